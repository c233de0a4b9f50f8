"""`~SEQ(...)` and `~LST(...)`: what a line that begins so is repeated for.

Source: keepalived.conf(5), "Sequence blocks" and "List blocks".
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from standfest.config.lines import BadValueError

_HEAD: Final = re.compile(r"~(SEQx?|LST)\s*\(")
_NAME: Final = re.compile(r"[A-Za-z_]\w*\Z", re.ASCII)
_NUMBER: Final = re.compile(r"[+-]?(0[xX][0-9A-Fa-f]{1,15}|\d{1,18})\Z", re.ASCII)
_ITEM: Final = re.compile(r"\{([^{}]*)\}|([^,{}]*)")

SEQUENCE: Final = "~SEQ(NAME, [START, [STEP,]] END)"
LIST: Final = "~LST(NAME, VALUE, ...) or ~LST({NAME, NAME}, {VALUE, VALUE}, ...)"


@dataclass(frozen=True, slots=True)
class Repetition:
    """The rest of a line, once for each row: a value for every name."""

    names: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...] | range
    hexadecimal: bool
    rest: str

    def definitions(self) -> Iterator[dict[str, str]]:
        """Yield what the names mean, row by row."""
        for row in self.rows:
            if isinstance(row, tuple):
                yield dict(zip(self.names, row, strict=True))
            elif self.hexadecimal:
                yield {self.names[0]: f"{row:x}"}
            else:
                yield {self.names[0]: str(row)}


def begins(text: str) -> bool:
    """Return whether the line is to be repeated."""
    return text.startswith("~") and _HEAD.match(text) is not None


def split(text: str) -> tuple[str, str, str]:
    """Return kind, what is between the parentheses, and the rest; raises BadValueError."""
    head = _HEAD.match(text)
    assert head is not None, "begins() was asked first"
    close = text.find(")", head.end())
    if close < 0:
        raise BadValueError(LIST if head.group(1) == "LST" else SEQUENCE)
    return head.group(1), text[head.end() : close], text[close + 1 :].strip()


def read(kind: str, inside: str, rest: str, most: int) -> Repetition:
    """Return the repetition that a line asks for; raises BadValueError."""
    return _list(inside, rest, most) if kind == "LST" else _sequence(kind, inside, rest, most)


def _sequence(kind: str, inside: str, rest: str, most: int) -> Repetition:
    name, *bounds = (part.strip() for part in inside.split(","))
    numeric = all(_NUMBER.match(bound) for bound in bounds)
    if not _NAME.match(name) or not 1 <= len(bounds) <= 3 or not numeric:
        raise BadValueError(SEQUENCE)
    numbers = [int(bound, 16 if "x" in bound.lower() else 10) for bound in bounds]
    end = numbers[-1]
    start = numbers[0] if len(numbers) > 1 else (1 if end > 0 else -1)
    step = numbers[1] if len(numbers) == 3 else (1 if end >= start else -1)
    if step == 0:
        raise BadValueError("a step other than 0")
    rows = range(start, end + (1 if step > 0 else -1), step)
    if len(rows) > most:
        raise BadValueError(f"at most {most} values")
    return Repetition((name,), rows, kind == "SEQx", rest)


def _list(inside: str, rest: str, most: int) -> Repetition:
    items = list(_items(inside))
    rows = tuple(items[1:])
    names = items[0] if items else ()
    fits = all(len(row) == len(names) for row in rows)
    if not names or not rows or not fits or not all(_NAME.match(name) for name in names):
        raise BadValueError(LIST)
    if len(rows) > most:
        raise BadValueError(f"at most {most} values")
    return Repetition(names, rows, hexadecimal=False, rest=rest)


def _items(inside: str) -> Iterator[tuple[str, ...]]:
    place = 0
    while place <= len(inside):
        found = _ITEM.match(inside, place + len(inside[place:]) - len(inside[place:].lstrip()))
        assert found is not None, "the pattern matches nothing, too"
        values = (found.group(2) if found.group(1) is None else found.group(1)).strip()
        row = values.split(",") if found.group(1) is not None else [values]
        words = tuple(value.strip() for value in row)
        if any(len(word.split()) > 1 for word in words):
            raise BadValueError("values without blanks")
        yield words
        after = inside[found.end() :].lstrip()
        if after and not after.startswith(","):
            raise BadValueError(LIST)
        if not after:
            return
        place = len(inside) - len(after) + 1
