"""Files of one directive a line: splitting, and the values that several of them share.

Values are read by functions that raise BadValueError(expected); `Report` turns what it hears into
findings with file and line, so that everything wrong with a file is told at once.
Source: facts/HEARTBEAT-WIRE.md section 11.
"""

import ipaddress
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from standfest.config.nearest import nearest
from standfest.model.errors import ConfigError, Finding, Severity
from standfest.model.time import NANOSECONDS_PER_MICROSECOND as MICROSECOND
from standfest.model.time import NANOSECONDS_PER_MILLISECOND as MILLISECOND
from standfest.model.time import NANOSECONDS_PER_SECOND as SECOND
from standfest.model.time import Duration, seconds

MAX_LINES: Final = 10_000
MAX_LINE: Final = 4_096
"""Characters; heartbeat itself cuts at 5,120 bytes."""

MIN_TIME: Final = MILLISECOND
MAX_TIME: Final = seconds(86_400)
_SHOWN: Final = 40
"""Characters of a foreign word that an error repeats."""

_TIME: Final = "seconds, or a number with ms or us, from 1ms to 86400"
_UNITS: Final = (
    ("msec", MILLISECOND),
    ("usec", MICROSECOND),
    ("ms", MILLISECOND),
    ("us", MICROSECOND),
    ("", SECOND),
)
_MAX_DIGITS: Final = 18
_TRUE: Final = frozenset({"on", "yes", "true", "y", "1"})
_FALSE: Final = frozenset({"off", "no", "false", "n", "0"})


class BadValueError(ValueError):
    """A value is not what a directive takes; `expected` says what it takes."""

    def __init__(self, expected: str) -> None:
        super().__init__(expected)
        self.expected = expected


@dataclass(frozen=True, slots=True)
class Line:
    """One directive: its line number from 1, its name, and its values."""

    number: int
    name: str
    values: tuple[str, ...]

    @property
    def text(self) -> str:
        """Return the values with single blanks between them."""
        return " ".join(self.values)

    def one(self) -> str:
        """Return the only value; raises BadValueError."""
        if len(self.values) != 1:
            raise BadValueError("one value")
        return self.values[0]


@dataclass(slots=True)
class Report:
    """Collects what is wrong or remarkable in one file, in the order of discovery."""

    path: str
    errors: list[Finding] = field(default_factory=list)
    warnings: list[Finding] = field(default_factory=list)

    def error(self, line: int, problem: str, expected: str = "") -> None:
        """Note something that refuses the file; line 0 means the whole file."""
        self.errors.append(Finding(self.path, line, problem, expected))

    def warn(self, line: int, problem: str, expected: str = "") -> None:
        """Note something that the operator should know."""
        self.warnings.append(Finding(self.path, line, problem, expected, Severity.WARNING))

    def unknown(self, line: Line, known: Iterable[str]) -> None:
        """Note a directive that nobody knows, with the nearest that somebody does."""
        hint = did_you_mean(line.name, known)
        self.error(line.number, f'unknown directive "{shown(line.name)}"{hint}')

    def unsupported(self, line: Line) -> None:
        """Note a directive that is right but has no effect here."""
        self.warn(line.number, f'"{line.name}" is known and not implemented yet; it has no effect')

    def value(self, line: Line, read: Callable[[str], object]) -> object | None:
        """Return the line's only value as `read` reads it, or note the error and return None."""
        try:
            return read(line.one())
        except BadValueError as problem:
            self.bad_value(line, problem.expected)
            return None

    def bad_value(self, line: Line, expected: str) -> None:
        """Note that the directive's values are not what it takes."""
        there = f'is "{shown(line.text)}"' if line.values else "has no value"
        self.error(line.number, f"{line.name} {there}", expected)

    def raise_errors(self) -> None:
        """Raise ConfigError with all errors by line, if there are any."""
        if self.errors:
            raise ConfigError(*sorted(self.errors, key=lambda finding: finding.line))


def directives(report: Report, text: str, *, delimiters: str, inline: bool) -> Iterator[Line]:
    r"""Yield the directives of a file; `\r\n` ends a line as `\n` does.

    delimiters: characters other than blank and tab that separate values; inline: `#` begins a
    comment anywhere, else only at the start of a line. Lines that are too long, or beyond
    MAX_LINES, are errors in the report.
    """
    for number, raw in enumerate(text.split("\n"), 1):
        if number > MAX_LINES:
            report.error(number, f"the file has more than {MAX_LINES} lines")
            return
        content = raw.partition("#")[0] if inline else raw
        if len(raw) > MAX_LINE:
            report.error(number, f"the line has {len(raw)} characters", f"at most {MAX_LINE}")
            continue
        name, *rest = content.split(maxsplit=1) or ("",)
        if not name or name.startswith("#"):
            continue
        values = "".join(rest)
        for delimiter in delimiters:
            values = values.replace(delimiter, " ")
        yield Line(number, name, tuple(values.split()))


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean "NAME"?` to be added to a problem, or the empty string."""
    name = nearest(word, known)
    return f'; did you mean "{name}"?' if name is not None else ""


def shown(word: str) -> str:
    """Return a foreign word fit for one line of a terminal: printable, not endless."""
    clean = "".join(char if char.isprintable() else "?" for char in word[: _SHOWN + 1])
    return clean if len(clean) <= _SHOWN else clean[:_SHOWN] + "..."


def as_bytes(text: str) -> bytes:
    """Return the bytes of a foreign word, which may hold what is no character.

    An environment variable that is not UTF-8 comes as surrogates (PEP 383).
    """
    return text.encode("utf-8", "surrogatepass")


def text_of(value: str) -> str:
    """Return the value as it is."""
    return value


def boolean(value: str) -> bool:
    """Return a truth value; raises BadValueError."""
    word = value.lower()
    if word not in _TRUE | _FALSE:
        raise BadValueError("on or off")
    return word in _TRUE


def integer(low: int, high: int) -> Callable[[str], int]:
    """Return a reader of decimal numbers from `low` to `high`, which raises BadValueError."""

    def read(value: str) -> int:
        digits = value.isascii() and value.isdigit() and len(value) <= _MAX_DIGITS
        if not digits or not low <= int(value) <= high:
            raise BadValueError(f"a number from {low} to {high}")
        return int(value)

    return read


def time(value: str) -> Duration:
    """Return a time: seconds, or with ms, msec, us, usec; fractions are fine; raises BadValueError.

    Other suffixes, `s` among them, are refused as heartbeat refuses them.
    """
    number, unit = _split_unit(value)
    whole, point, fraction = number.partition(".")
    digits = whole + fraction
    numeric = digits.isascii() and digits.isdigit() and len(digits) <= _MAX_DIGITS
    if not numeric or (point and not fraction):
        raise BadValueError(_TIME)
    # Whole numbers throughout: 0.3 s is exactly 300,000,000 ns.
    scale: int = 10 ** len(fraction)
    duration = int(digits) * unit // scale
    if not MIN_TIME <= duration <= MAX_TIME:
        raise BadValueError(_TIME)
    return duration


def _split_unit(value: str) -> tuple[str, int]:
    return next(
        (value.removesuffix(suffix), unit) for suffix, unit in _UNITS if value.endswith(suffix)
    )


def ipv4_address(value: str) -> str:
    """Return an IPv4 address in its usual form; raises BadValueError."""
    try:
        return str(ipaddress.IPv4Address(value))
    except ValueError:
        raise BadValueError("an IPv4 address") from None
