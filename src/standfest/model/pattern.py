"""An operator's regular expression, written for PCRE2, as one of Python's.

Most is the same. What is only written differently is translated, what Python cannot do is refused
with its reason, so that a check never means something else than it says. Source: pcre2pattern(3),
pcre2api(3), and Python's `re`.
"""

import re
from dataclasses import dataclass
from typing import Final

MAX_PATTERN: Final = 4096

_FLAGS: Final = {
    "caseless": re.IGNORECASE,
    "dotall": re.DOTALL,
    "extended": re.VERBOSE,
    "multiline": re.MULTILINE,
}
_HARMLESS: Final = frozenset(
    {
        "alt_verbnames", "auto_callout", "dupnames", "never_backslash_c", "never_ucp", "never_utf",
        "no_auto_possess", "no_dotstar_anchor", "no_start_optimize", "use_offset_limit",
    }
)  # fmt: skip
"""Options that ask for speed or forbid what is not offered: the result is the same without."""

_TRANSLATED: Final = frozenset({"dollar_endonly", "firstline", "ungreedy", "ucp", "utf"})

OPTIONS: Final = tuple(sorted({*_FLAGS, *_HARMLESS, *_TRANSLATED}))
"""Options that are understood."""

_CLASSES: Final = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "ascii": r"\x00-\x7f",
    "blank": r" \t",
    "cntrl": r"\x00-\x1f\x7f",
    "digit": "0-9",
    "graph": r"\x21-\x7e",
    "lower": "a-z",
    "print": r"\x20-\x7e",
    "punct": r"!-/:-@\[-`{-~",
    "space": r" \t\n\r\f\v",
    "upper": "A-Z",
    "word": r"0-9A-Za-z_",
    "xdigit": "0-9A-Fa-f",
}
_ESCAPES: Final = {
    "A": r"\A",
    "z": r"\Z",
    "Z": r"(?=\n?\Z)",
    "h": r"[ \t]",
    "H": r"[^ \t]",
    "R": r"(?>\r\n|\n|\r|\f|\x0b)",
    "N": r"[^\n]",
    "e": r"\x1b",
}
_UNKNOWN: Final = frozenset("CEGKLQUXgklopu")
"""Escapes that Python lacks, or takes for something else."""


class PatternError(ValueError):
    """The expression means nothing in Python; the text says what."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """What to search with: one of the expressions; first_line: it must begin in the first line."""

    data: "re.Pattern[bytes] | None"
    text: "re.Pattern[str] | None"
    first_line: bool = False

    def is_found(self, data: bytes, least: int = 0, most: int | None = None) -> bool:
        """Return whether a match begins at one of the offsets `least` to `most` (bytes).

        The time that this takes has no bound: whoever calls it sets one.
        """
        if least > len(data):
            return False
        if self.text is not None:
            before = _decode(data[:least])
            match = self.text.search(before + _decode(data[least:]), len(before))
            at = -1 if match is None else len(_encode(match.string[: match.start()]))
        else:
            assert self.data is not None, "one of both is there"
            found = self.data.search(data, least)
            at = -1 if found is None else found.start()
        if at < 0 or (most is not None and at > most):
            return False
        end = data.find(b"\n", least)
        return not self.first_line or end < 0 or at <= end


def _decode(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def compile_pattern(pattern: str, options: tuple[str, ...] = ()) -> Pattern:
    """Return what to search with; raises PatternError."""
    unknown = [option for option in options if option not in OPTIONS]
    if unknown:
        raise PatternError(f"option {unknown[0]} cannot be had; expected of {', '.join(OPTIONS)}")
    if len(pattern) > MAX_PATTERN:
        raise PatternError(f"longer than {MAX_PATTERN} characters")
    flags = re.RegexFlag(0)
    for option in options:
        flags |= _FLAGS.get(option, re.RegexFlag(0))
    written = _Translator(pattern, frozenset(options)).run()
    first_line = "firstline" in options
    try:
        if "utf" in options:
            # PCRE's classes are ASCII's unless `ucp` is asked for.
            extra = re.RegexFlag(0) if "ucp" in options else re.ASCII
            return Pattern(None, re.compile(written, flags | extra), first_line)
        return Pattern(re.compile(_encode(written), flags), None, first_line)
    except (re.error, OverflowError, RecursionError, ValueError) as error:
        raise PatternError(f"{error}") from error


class _Translator:
    """Walks over an expression once, from left to right."""

    def __init__(self, pattern: str, options: frozenset[str]) -> None:
        self._pattern, self._options = pattern, options
        self._at = 0
        self._repeatable = False

    def run(self) -> str:
        """Return the expression as Python has it."""
        found: list[str] = []
        while self._at < len(self._pattern):
            found.append(self._next())
        return "".join(found)

    def _next(self) -> str:
        rest = self._pattern[self._at :]
        first, before = rest[0], self._repeatable
        self._repeatable = first not in "(|^"
        if first == "\\":
            return self._escape()
        if first == "[":
            return self._class()
        if first == "(":
            return self._group(rest)
        self._at += 1
        if first == "$" and "dollar_endonly" in self._options:
            return r"\Z" if "multiline" not in self._options else "$"
        if before and (first in "*+?" or _BRACES.match(rest)):
            return self._repeat(rest)
        return first

    def _repeat(self, rest: str) -> str:
        """Return a quantifier; `ungreedy` exchanges `x*` and `x*?`."""
        braces = _BRACES.match(rest)
        word = braces.group() if braces else rest[0]
        self._at += len(word) - 1
        suffix = rest[len(word) : len(word) + 1]
        if suffix in ("?", "+") and suffix:
            self._at += 1
        else:
            suffix = ""
        self._repeatable = False
        if "ungreedy" in self._options and suffix != "+":
            suffix = "" if suffix else "?"
        return word + suffix

    def _escape(self) -> str:
        following = self._pattern[self._at + 1 : self._at + 2]
        if not following:
            raise PatternError("ends with a backslash")
        if following in _UNKNOWN:
            raise PatternError(f"\\{following} cannot be had")
        self._at += 2
        return _ESCAPES.get(following, "\\" + following)

    def _group(self, rest: str) -> str:
        """Return the beginning of a group."""
        for opening in (
            "(?|",
            "(?R",
            "(?C",
            "(?&",
            "(?P>",
            "(*",
            "(?+",
            "(?'",
            "(?J",
            "(?U",
            "(?0",
        ):
            if rest.startswith(opening):
                raise PatternError(f"{opening} cannot be had")
        if re.match(r"\(\?-?[0-9]", rest):
            raise PatternError("a pattern within itself cannot be had")
        if rest.startswith("(?<") and rest[3:4] not in ("=", "!"):
            self._at += 3
            return "(?P<"
        self._at += 1
        if rest.startswith("(?"):
            self._at += 1
            return "(?"
        return "("

    def _class(self) -> str:
        """Return a class in brackets, POSIX names in it spelled out."""
        found = ["["]
        self._at += 1
        if self._pattern[self._at : self._at + 1] == "^":
            found.append("^")
            self._at += 1
        if self._pattern[self._at : self._at + 1] == "]":
            found.append("\\]")
            self._at += 1
        while self._at < len(self._pattern):
            rest = self._pattern[self._at :]
            if rest[0] == "]":
                self._at += 1
                return "".join([*found, "]"])
            named = _POSIX.match(rest)
            if named:
                if named.group(1) not in _CLASSES:
                    raise PatternError(f"{named.group()} cannot be had")
                found.append(_CLASSES[named.group(1)])
                self._at += named.end()
            elif rest[0] == "\\":
                found.append(self._class_escape(rest))
            else:
                # Python warns of these: they may mean sets one day.
                found.append("\\" + rest[0] if rest[0] in "[&~|" else rest[0])
                self._at += 1
        raise PatternError("a class without its end")

    def _class_escape(self, rest: str) -> str:
        following = rest[1:2]
        if not following or following in _UNKNOWN or following in "HRNZAz":
            raise PatternError(f"\\{following} cannot be had in a class")
        self._at += 2
        return {"h": r" \t", "e": r"\x1b"}.get(following, "\\" + following)


_BRACES: Final = re.compile(r"\{(\d+(,\d*)?|,\d+)\}")
_POSIX: Final = re.compile(r"\[:(\^?[a-z]+):\]")
