"""Tables of a TOML file whose values are asked for one by one; every mistake has its line.

tomllib says what a document holds, not where. Lines are found by a second look at the text: the
last line before a value that spells its key in its table. Odd spellings get the table's line.
"""

import re
import tomllib
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Any, Final, TypeVar

from standfest.config.lines import BadValueError, Report, did_you_mean, shown

MAX_TEXT: Final = 256 * 1024
_HEADER: Final = re.compile(r"\s*\[{1,2}\s*([A-Za-z0-9_-]+)\s*\]{1,2}\s*(#.*)?")
_KEY: Final = re.compile(r"""\s*["']?([A-Za-z0-9_-]+)["']?\s*=""")
_WHERE: Final = re.compile(r"(.*) \(at (?:line (\d+), column \d+|end of document)\)", re.DOTALL)
Value = TypeVar("Value")


class Table:
    """One table: what it holds, and where."""

    def __init__(self, report: Report, name: str, values: dict[str, Any], line: int) -> None:
        """name: put before a key in what is reported; line: where the table begins, 0: the file."""
        self.report, self.values, self.line = report, values, line
        self._prefix = f"{name}: " if name else ""
        self.lines: dict[str, int] = {}

    def line_of(self, key: str) -> int:
        """Return the line of a key, or the table's."""
        return self.lines.get(key, self.line)

    def error(self, key: str, problem: str, expected: str = "") -> None:
        """Report something about a key."""
        self.report.error(self.line_of(key), f"{self._prefix}{problem}", expected)

    def unknown(self, known: Iterable[str]) -> None:
        """Report the keys that nobody knows."""
        names = sorted(known)
        for key in self.values:
            if key not in names:
                hint = did_you_mean(key, names) or f"; expected one of {', '.join(names)}"
                self.error(key, f'unknown key "{shown(key)}"{hint}')

    def read(self, key: str, reader: Callable[[Any], Value], default: Value) -> Value:
        """Return a value as the reader reads it; `default` where it is missing or reported."""
        if key not in self.values:
            return default
        return self._read(key, reader, default)

    def need(
        self, key: str, reader: Callable[[Any], Value], default: Value, expected: str
    ) -> Value:
        """Return a value that must be there; `default` when it is reported."""
        if key not in self.values:
            self.error(key, f"no {key}", f"{key} = {expected}")
            return default
        return self._read(key, reader, default)

    def _read(self, key: str, reader: Callable[[Any], Value], default: Value) -> Value:
        try:
            return reader(self.values[key])
        except BadValueError as problem:
            self.error(key, f"{key} is {spelled(self.values[key])}", problem.expected)
            return default


def tables(report: Report, text: str, listed: str) -> tuple[Table, tuple[Table, ...] | None]:
    """Return the document's own table, and those of its list of tables `listed`.

    None where that is no list of tables. What cannot be read at all is reported, and empty.
    """
    document = _document(report, text)
    root = Table(report, "", document, 0)
    entries = document.get(listed, [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        members = None
    else:
        members = tuple(
            Table(report, f"{listed} {number}", entry, 0) for number, entry in enumerate(entries, 1)
        )
    _locate(text, root, listed, members or ())
    return root, members


def named(report: Report, text: str, root: Table, name: str) -> Table | None:
    """Return the table `[name]`; None where there is none. Anything else there is reported."""
    values = root.values.get(name)
    if values is None:
        return None
    if not isinstance(values, dict):
        root.error(name, f"{name} is {spelled(values)}", f"a table [{name}]")
        return None
    table = Table(report, name, values, root.line_of(name))
    inside = False
    for number, line in enumerate(text.splitlines(), 1):
        if (header := _HEADER.fullmatch(line)) is not None:
            inside = header[1] == name
            if inside:
                table.line = number
        elif inside and (key := _KEY.match(line)) and key[1] in values:
            table.lines[key[1]] = number
    return table


def _document(report: Report, text: str) -> dict[str, Any]:
    if len(text) > MAX_TEXT:
        report.error(0, f"the file has {len(text)} characters", f"at most {MAX_TEXT}")
        return {}
    try:
        return tomllib.loads(text, parse_float=Decimal)
    except (ValueError, ArithmeticError, RecursionError) as error:
        found = _WHERE.fullmatch(str(error))
        line = int(found[2] or len(text.splitlines())) if found else 0
        problem = found[1] if found else type(error).__name__
        report.error(line, f"not TOML: {shown(problem)}", 'lines as key = "value"')
        return {}


def _locate(text: str, root: Table, listed: str, members: Sequence[Table]) -> None:
    table: Table | None = root
    entered = 0
    for number, line in enumerate(text.splitlines(), 1):
        if (header := _HEADER.fullmatch(line)) is not None:
            table = None
            if header[1] in root.values:
                root.lines.setdefault(header[1], number)
            if header[1] == listed and entered < len(members):
                table = members[entered]
                table.line = number
                entered += 1
        elif table is not None and (key := _KEY.match(line)) and key[1] in table.values:
            table.lines[key[1]] = number
    for member in members[entered:]:
        member.line = root.line_of(listed)


def spelled(value: object) -> str:
    """Return a foreign value as an error repeats it."""
    if isinstance(value, str):
        return f'"{shown(value)}"'
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and abs(value) >= 10**18:
        return "a very large number"
    if isinstance(value, int | Decimal):
        return shown(str(value))
    return "a list" if isinstance(value, list) else f"a {type(value).__name__}"


def word(value: object) -> str:
    """Return a string; raises BadValueError."""
    if not isinstance(value, str):
        raise BadValueError("a string")
    return value


def whole(low: int, high: int) -> Callable[[object], int]:
    """Return a reader of whole numbers from `low` to `high`."""

    def read(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise BadValueError(f"a number from {low} to {high}")
        return value

    return read


def truth(value: object) -> bool:
    """Return a truth value; raises BadValueError."""
    if not isinstance(value, bool):
        raise BadValueError("true or false")
    return value


def one_of(words: Iterable[str]) -> Callable[[object], str]:
    """Return a reader of one of these words."""
    known = tuple(words)

    def read(value: object) -> str:
        if not isinstance(value, str) or value not in known:
            hint = did_you_mean(value, known) if isinstance(value, str) else ""
            raise BadValueError(
                ", ".join(known[:-1]) + " or " * (len(known) > 1) + known[-1] + hint
            )
        return value

    return read
