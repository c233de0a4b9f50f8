"""ha_logd.cf: where the log process writes.

Source: facts/HEARTBEAT-WIRE.md section 11, ha_logd(8).
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from standfest.config.lines import BadValueError, Report, did_you_mean, directives, text_of
from standfest.model.errors import Finding
from standfest.model.settings import LogSettings

FACILITIES: Final = (
    *("auth", "authpriv", "cron", "daemon", "ftp", "kern", "lpr", "mail", "news", "none"),
    *(f"local{number}" for number in range(8)),
    *("security", "syslog", "user", "uucp"),
)
"""Syslog facilities as they are written; `none` is no syslog at all."""


def _mode(value: str) -> int:
    octal = 3 <= len(value) <= 4 and all(digit in "01234567" for digit in value)
    if not octal or int(value, 8) > 0o777:
        raise BadValueError("an octal mode from 0000 to 0777")
    return int(value, 8)


def facility(value: str) -> str:
    """Return a syslog facility's name; raises BadValueError."""
    if value not in FACILITIES:
        raise BadValueError(f"a syslog facility or none{did_you_mean(value, FACILITIES)}")
    return value


def log_path(value: str) -> str:
    """Return an absolute path; raises BadValueError."""
    if not value.startswith("/"):
        raise BadValueError("an absolute path")
    return value


_READERS: Final[dict[str, Callable[[str], object]]] = {
    "logfile": log_path,
    "debugfile": log_path,
    "logfacility": facility,
    "logmode": _mode,
    "entity": text_of,
    "syslogprefix": text_of,
}
_UNSUPPORTED: Final = frozenset({"recvqlen", "sendqlen", "syslogmsgfmt", "useapphbd"})
KNOWN: Final = tuple(sorted({*_READERS, *_UNSUPPORTED}))
"""All directives."""


def parse(text: str, path: str) -> tuple[LogSettings, tuple[Finding, ...]]:
    """Return the settings and the warnings in line order; raises ConfigError with all errors."""
    report = Report(path)
    values: dict[str, object] = {}
    lines: dict[str, int] = {}
    for line in directives(report, text, delimiters="", inline=True):
        if line.name in _UNSUPPORTED:
            report.unsupported(line)
        elif line.name not in _READERS:
            report.unknown(line, KNOWN)
        else:
            if line.name in lines:
                before = lines[line.name]
                report.warn(line.number, f"{line.name} again; it replaces line {before}")
            lines[line.name] = line.number
            values[line.name] = report.value(line, _READERS[line.name])
    report.raise_errors()
    settings = replace(LogSettings(), **values)  # type: ignore[arg-type]  # readers fit the fields
    return settings, tuple(report.warnings)
