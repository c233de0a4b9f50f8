"""Statements -> text: one canonical form, in which everything is expanded.

Reading what is written gives the same statements again, whatever the file looked like.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from standfest.config.keepalived.tree import Statement
from standfest.config.keepalived.vocabulary import COMMANDS, KINDS, OUTSIDE
from standfest.config.keepalived.words import Word

INDENT: Final = "    "
_MAX_OCTAL: Final = 0o777
_SPECIAL: Final = frozenset(" \t\r\f\v{}#!\"'\\")


def write(statements: Sequence[Statement]) -> str:
    """Return the text of a configuration; blocks outside of all others are set apart."""
    lines: list[str] = []
    for statement in statements:
        if lines and (statement.block is not None or lines[-1] == "}"):
            lines.append("")
        lines.extend(_lines(statement, "", OUTSIDE))
    return "".join(f"{line}\n" for line in lines)


def _lines(statement: Statement, indent: str, kind: str) -> Iterator[str]:
    words = [_keyword(statement.keyword, kind)]
    escapes = statement.keyword in COMMANDS
    words += [_escaped(word.text) if escapes else _plain(word) for word in statement.arguments]
    line = indent + " ".join(words)
    if statement.block is None:
        yield line
        return
    known = KINDS[kind].keywords.get(statement.keyword)
    inner = known.block if known is not None and known.block else kind
    yield f"{line} {{"
    for child in statement.block:
        yield from _lines(child, indent + INDENT, inner)
    yield f"{indent}}}"


def _keyword(text: str, kind: str) -> str:
    """Return the first word of a line; in a list it may be anything."""
    return text if text in KINDS[kind].keywords else _plain(Word(text))


def _plain(word: Word) -> str:
    """Return a word as `words.plain` reads it: it cannot hold a double quote, and needs not."""
    text = word.text
    bare = text and not _SPECIAL & set(text) - {"'", "\\"} and not text.startswith("$")
    return text if bare and not text.startswith(("@", "~")) else f'"{text}"'


def _escaped(text: str) -> str:
    """Return a word as `words.escaped` reads it."""
    if text and not _SPECIAL & set(text) and text.isprintable() and "$" not in text:
        return text
    return '"' + "".join(_letter(char) for char in text) + '"'


def _letter(char: str) -> str:
    # As a number: keepalived looks for comments before it understands a backslash. Octal, because
    # three digits end by themselves and hexadecimal ones go on.
    number = char in '"\\' or (not char.isprintable() and ord(char) <= _MAX_OCTAL)
    return f"\\{ord(char):03o}" if number else char
