r"""One line -> its words and braces.

`"` begins and ends a word and keeps blanks, `#` and `!` begin a comment, and braces stand alone
wherever they are outside quotes. The arguments of commands know escapes and `'` as well.
Source: keepalived.conf(5), "Quoted strings", and experiments with keepalived 2.2.7: only commands
and regular expressions have escapes; elsewhere a backslash and a `'` are characters like others.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_BLANK: Final = " \t\r\f\v"
_BRACES: Final = "{}"
_COMMENT: Final = "#!"
_ENDS: Final = re.compile(r'[ \t\r\f\v"{}]')
_PARAMETER: Final = re.compile(r"\$\{[^{}\s\"]*\}")
_CONTROL: Final = {"a": 7, "b": 8, "E": 27, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11}
_OCTAL: Final = re.compile(r"[0-7]{1,3}")
_HEX: Final = re.compile(r"x([0-9A-Fa-f]{1,6})")
_MAX_CODE: Final = 0x10FFFF
_SURROGATES: Final = range(0xD800, 0xE000)


@dataclass(frozen=True, slots=True)
class Word:
    """A word without its quotes; quoted: it may be empty and mean itself whatever it looks like."""

    text: str
    quoted: bool = False


@dataclass(frozen=True, slots=True)
class Brace:
    """`{` or `}`, outside quotes."""

    text: str


Token = Word | Brace


def without_comment(text: str) -> str:
    """Return a line up to the first `#` or `!` outside double quotes, without blanks around it."""
    if "#" not in text and "!" not in text:
        return text.strip(_BLANK)
    quoted = False
    for place, char in enumerate(text):
        if char == '"':
            quoted = not quoted
        elif char in _COMMENT and not quoted:
            return text[:place].strip(_BLANK)
    return text.strip(_BLANK)


def is_closed(text: str) -> bool:
    """Return whether every double quote of a line has its partner."""
    return text.count('"') % 2 == 0


def plain(text: str) -> Iterator[Token]:
    """Yield the words of an ordinary line; a `${NAME}` that nobody defined stays one word."""
    place, end = 0, len(text)
    while place < end:
        char = text[place]
        if char in _BLANK:
            place += 1
        elif char in _BRACES:
            yield Brace(char)
            place += 1
        elif char == '"':
            close = text.find('"', place + 1)
            close = end if close < 0 else close
            yield Word(text[place + 1 : close], quoted=True)
            place = close + 1
        else:
            stop = _word_end(text, place)
            yield Word(text[place:stop])
            place = stop


def _word_end(text: str, place: int) -> int:
    while True:
        found = _ENDS.search(text, place)
        if found is None:
            return len(text)
        stop = found.start()
        parameter = _PARAMETER.match(text, stop - 1) if stop else None
        if parameter is None or text[stop] != "{":
            return stop
        place = parameter.end()


def escaped(text: str) -> Iterator[Token]:
    r"""Yield the words of a command or a regular expression: `\"`, `\'` and `\\n` are understood.

    A word in quotes keeps blanks and goes on until a blank outside quotes.
    """
    letters: list[str] = []
    quote = ""
    quoted = False
    place, end = 0, len(text)
    while place < end:
        char = text[place]
        if char == "\\" and place + 1 < end:
            letter, place = _escape(text, place + 1)
            letters.append(letter)
            continue
        place += 1
        if quote:
            if char == quote:
                quote = ""
            else:
                letters.append(char)
        elif char in "\"'":
            quote, quoted = char, True
        elif char == "{" and letters[-1:] == ["$"] and (found := _PARAMETER.match(text, place - 2)):
            letters.append(text[place - 1 : found.end()])
            place = found.end()
        elif char in _BLANK or char in _BRACES:
            if letters or quoted:
                yield Word("".join(letters), quoted)
            letters, quoted = [], False
            if char in _BRACES:
                yield Brace(char)
        else:
            letters.append(char)
    if letters or quoted:
        yield Word("".join(letters), quoted)


def _escape(text: str, place: int) -> tuple[str, int]:
    r"""Return the character that `\` and what follows mean, and the place after it."""
    char = text[place]
    octal, code = _OCTAL.match(text, place), _HEX.match(text, place)
    if octal is not None:
        return chr(int(octal.group(), 8)), octal.end()
    if code is not None:
        value = int(code.group(1), 16)
        usable = value <= _MAX_CODE and value not in _SURROGATES
        return chr(value) if usable else "?", code.end()
    if char == "c" and place + 1 < len(text):
        return chr(ord(text[place + 1]) & 0x1F), place + 2
    return chr(_CONTROL[char]) if char in _CONTROL else char, place + 1
