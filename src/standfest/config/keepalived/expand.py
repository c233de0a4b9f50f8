"""Files -> lines: conditions, definitions, sequences and includes are gone, origins are kept.

A line that a definition or a sequence expands into keeps the number of the line that used it, as
keepalived counts. Everything is bounded (`Limits`).
Source: keepalived.conf(5), "ADVANCED CONFIGURATION", and experiments with keepalived 2.2.7.
"""

import posixpath
import random
import re
from collections.abc import Iterator
from typing import Final, NoReturn

from standfest.config.keepalived import sequences
from standfest.config.keepalived.source import (
    Files,
    Line,
    Origin,
    Report,
    Setting,
    TooMuchError,
)
from standfest.config.keepalived.words import is_closed, without_comment
from standfest.config.lines import BadValueError, shown

_DEFINITION: Final = re.compile(r"\$([A-Za-z_]\w*)=(.*)\Z", re.ASCII | re.DOTALL)
_USE: Final = re.compile(
    r"\$(?:\{([A-Za-z_]\w*)(?:\s+([^{}]*))?\}|([A-Za-z_]\w*)(?=\s|\Z))", re.ASCII
)
_USE_INSIDE: Final = re.compile(r"\$(?:\{([A-Za-z_]\w*)()\}|([A-Za-z_]\w*)(?=[\s,}]|\Z))", re.ASCII)
"""Within the parentheses of a sequence a comma ends a name, too."""

INCLUDE: Final = "include"
_INCLUDE: Final = re.compile(r"include([rmwba]?)\s+(.*)\Z", re.DOTALL)
_CHECKS: Final = {
    "readable": "r",
    "match": "m",
    "wildcard_match": "w",
    "brace_match": "b",
}
_STRICT: Final = frozenset("mwba")
"""Kinds of include for which naming no file is a mistake."""

_MOST_RANDOM: Final = 32_767


class Expander:
    """Expands one configuration: definitions live as long as it, in the order of the lines."""

    def __init__(self, report: Report, files: Files, setting: Setting) -> None:
        self._report = report
        self._files = files
        self._setting = setting
        self._limits = setting.limits
        self._parameters: dict[str, list[str]] = {}
        self._random = random.Random(0)  # noqa: S311 # not for secrets: addresses and delays
        self._checks: frozenset[str] = frozenset()
        self._lines = 0

    def expand(self, path: str, text: str) -> Iterator[Line]:
        """Yield the lines of a file and of what it includes; raises TooMuchError."""
        yield from self._file(path, text, 0)

    def _file(self, path: str, text: str, depth: int) -> Iterator[Line]:
        checks = self._checks
        numbered = enumerate(text.split("\n"), 1)
        for number, raw in numbered:
            origin = Origin(path, number)
            self._backslash(raw, origin)
            head = without_comment(raw)
            if not head:
                continue
            if not head.isascii():
                head = self._without_odd_blanks(head, origin)
            included = _INCLUDE.match(head)
            if included is not None:
                yield from self._include(included.group(1), included.group(2), origin, depth)
                continue
            if head.endswith("\\") and self._is_definition(head):
                head = self._rest_of_definition(head, numbered)
            yield from self._line(head, origin, 0)
        self._checks = checks  # what an included file sets ends with it

    def _without_odd_blanks(self, text: str, origin: Origin) -> str:
        """Return a line with ASCII blanks; others, which word processors make, are mistakes."""
        odd = sorted({char for char in text if char.isspace() and not char.isascii()})
        if not odd:
            return text
        names = ", ".join(f"U+{ord(char):04X}" for char in odd)
        self._report.error(origin, f"a blank is not an ordinary one ({names})", "a blank or a tab")
        return "".join(" " if char in odd else char for char in text).strip()

    def _backslash(self, raw: str, origin: Origin) -> None:
        if raw.rstrip().endswith("\\") and raw.lstrip().startswith(("!", "#")):
            problem = "a comment ends with a backslash, which keepalived 2.2.7 takes for a keyword"
            self._report.error(origin, problem, "no backslash")

    @staticmethod
    def _is_definition(head: str) -> bool:
        return "$" in head and re.match(r"(?:@\S*\s+)?\$\w+=", head) is not None

    def _rest_of_definition(self, head: str, numbered: Iterator[tuple[int, str]]) -> str:
        """Return all lines of a definition that goes on while a line ends with a backslash."""
        lines = [head[:-1].rstrip()]
        for _number, raw in numbered:
            text = raw.strip()
            goes_on = text.endswith("\\")
            lines.append(without_comment(text[:-1] if goes_on else text))
            if not goes_on:
                break
        return "\n".join(lines)

    def _line(self, text: str, origin: Origin, depth: int) -> Iterator[Line]:
        """Yield what a line comes to: itself, nothing, or many."""
        self._count(origin)
        if depth > self._limits.depth:
            self._too_much(origin, "definitions are nested too deeply", f"{self._limits.depth}")
        text = text.strip()
        if "$" not in text and not text.startswith(("@", "~")):
            yield from self._plain(text, origin)
            return
        if text.startswith("@"):
            kept = self._condition(text)
            if kept is None:
                return
            text = kept
        definition = _DEFINITION.match(text) if text.startswith("$") else None
        if definition is not None:
            self._define(definition.group(1), definition.group(2))
            return
        if sequences.begins(text):
            yield from self._repeat(text, origin, depth)
            return
        yield from self._substitute(text, origin, depth)

    def _condition(self, text: str) -> str | None:
        """Return what follows `@id` or `@^id`, or None when the condition does not hold."""
        word = text.split(maxsplit=1)[0]
        wanted, rest = word[1:], text[len(word) :].strip()
        holds = (
            wanted[1:] != self._setting.identity
            if wanted.startswith("^")
            else wanted == self._setting.identity
        )
        return rest if holds and rest else None

    def _define(self, name: str, value: str) -> None:
        lines = value.split("\n")
        # Nothing on the line of the name: the definition begins with the next line.
        if len(lines) > 1 and not lines[0].strip():
            lines = lines[1:]
        self._parameters[name] = [line.strip() for line in lines if line.strip()] or [""]

    def _repeat(self, text: str, origin: Origin, depth: int) -> Iterator[Line]:
        try:
            kind, inside, rest = sequences.split(text)
            inside = " ".join(self._replaced(inside, origin, _USE_INSIDE)[0].split("\n"))
            repetition = sequences.read(kind, inside, rest, self._limits.sequence)
        except BadValueError as problem:
            self._report.error(origin, f'"{shown(text)}" cannot be repeated', problem.expected)
            return
        outer = {name: self._parameters.get(name) for name in repetition.names}
        for definitions in repetition.definitions():
            for name, value in definitions.items():
                self._parameters[name] = [value]
            if repetition.rest:
                yield from self._line(repetition.rest, origin, depth + 1)
        for name, old in outer.items():
            if old is None:
                self._parameters.pop(name, None)
            else:
                self._parameters[name] = old

    def _substitute(self, text: str, origin: Origin, depth: int) -> Iterator[Line]:
        first, others = self._replaced(text, origin)
        if first != text and self._begins_anew(first):
            # What was put in may itself be a condition, a definition or a sequence.
            yield from self._line(first, origin, depth + 1)
        else:
            yield from self._plain(first, origin)
        for other in others:
            yield from self._line(other, origin, depth + 1)

    @staticmethod
    def _begins_anew(text: str) -> bool:
        return text.startswith("@") or _DEFINITION.match(text) is not None or sequences.begins(text)

    def _replaced(
        self, text: str, origin: Origin, use: re.Pattern[str] = _USE
    ) -> tuple[str, list[str]]:
        """Return a line with its parameters replaced, and the further lines of a definition.

        What is put in is looked at again; a parameter of several lines must be the last word.
        """
        place = 0
        others: list[str] = []
        left = self._limits.replacements
        while (found := use.search(text, place)) is not None:
            left -= 1
            if not left:
                self._too_much(origin, "parameters without end", f"{self._limits.replacements}")
            name = found.group(1) or found.group(3)
            value = self._value(name, found.group(2) or "", origin)
            last = not text[found.end() :].strip()
            if value is None or (len(value) > 1 and not last):
                place = found.end()
                continue
            text = text[: found.start()] + value[0] + text[found.end() :]
            place = found.start()
            others = value[1:] + others
            if len(text) > self._limits.line:
                self._too_much(origin, "the line is too long", f"{self._limits.line} characters")
            if len(others) > self._limits.lines:
                self._too_much(origin, "the file expands too far", f"{self._limits.lines} lines")
            if place == 0 and self._begins_anew(text):
                return text, others
        return text, others

    def _value(self, name: str, arguments: str, origin: Origin) -> list[str] | None:
        if not name.startswith("_"):
            return self._parameters.get(name)
        match name:
            case "_PWD":
                return [posixpath.dirname(origin.path) or "."]
            case "_INSTANCE":
                return [self._setting.identity]
            case "_HASH":
                return ["#"]
            case "_BANG":
                return ["!"]
            case "_RANDOM":
                return self._draw(arguments.split())
            case "_ENV":
                value = self._setting.environment.get(arguments.strip())
                return None if value is None else [" ".join(value.split())]
            case _:
                return self._parameters.get(name)

    def _draw(self, bounds: list[str]) -> list[str] | None:
        numeric = all(bound.isascii() and bound.isdigit() and len(bound) < 10 for bound in bounds)
        if not numeric or len(bounds) > 2:
            return None
        low = int(bounds[0]) if bounds else 0
        high = int(bounds[1]) if len(bounds) > 1 else _MOST_RANDOM
        return [str(self._random.randint(low, high))] if low <= high else None

    def _plain(self, text: str, origin: Origin) -> Iterator[Line]:
        text = without_comment(text)
        if not text:
            return
        if len(text) > self._limits.line:
            self._too_much(origin, "the line is too long", f"{self._limits.line} characters")
        if not is_closed(text):
            self._report.error(origin, f'a quote is not closed in "{shown(text)}"', 'another "')
        self._note(text.rpartition("{")[2].split())
        yield Line(text, origin)

    def _note(self, words: list[str]) -> None:
        """Follow the two settings that change how the rest of the files is read."""
        if words[:1] == ["random_seed"] and words[1:] and words[1].isdecimal():
            self._random = random.Random(int(words[1][:18]))  # noqa: S311 # as above
        elif words[:1] == ["include_check"]:
            self._check_includes(words[1:])

    def _check_includes(self, options: list[str]) -> None:
        wanted = set(self._checks) if options and options[0][0] in "+-" else set()
        for option in options or list(_CHECKS):
            letter = _CHECKS.get(option.lstrip("+-"))
            if letter is not None and option.startswith("-"):
                wanted.discard(letter)
            elif letter is not None:
                wanted.add(letter)
        self._checks = frozenset(wanted)

    def _include(self, kind: str, pattern: str, origin: Origin, depth: int) -> Iterator[Line]:
        if depth >= self._limits.depth:
            self._too_much(origin, "files include each other", f"{self._limits.depth} deep")
        pattern = pattern.strip('" ')
        paths = self._files.find(pattern, posixpath.dirname(origin.path))
        if not paths:
            yield Line(f'{INCLUDE}{kind} "{pattern}"', origin)  # printing keeps it
            problem = f'include "{shown(pattern)}" names no file'
            if kind in _STRICT or self._checks & _STRICT:
                self._report.error(
                    origin, problem, "a file, because missing ones were to be errors"
                )
            else:
                self._report.warn(origin, problem)
        for path in paths:
            yield from self._file(path, self._files.read(path), depth + 1)

    def _count(self, origin: Origin) -> None:
        self._lines += 1
        if self._lines > self._limits.lines:
            self._too_much(origin, "the file expands too far", f"{self._limits.lines} lines")

    def _too_much(self, origin: Origin, problem: str, at_most: str) -> NoReturn:
        self._report.error(origin, problem, f"at most {at_most}")
        raise TooMuchError
