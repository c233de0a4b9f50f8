"""authkeys: the keys that sign messages between nodes.

Errors never repeat anything of a line but its number's key number and method, so no secret leaks.
Source: facts/HEARTBEAT-WIRE.md section 11, "authkeys".
"""

import stat
from dataclasses import dataclass
from typing import Final

from standfest.config.lines import Line, Report, did_you_mean, directives
from standfest.model.errors import ConfigError, Finding
from standfest.model.keys import Key, Keyring, SignatureMethod

MAX_NUMBER: Final = 15
_NUMBER: Final = f"a key number from 0 to {MAX_NUMBER}"
_METHODS: Final = tuple(method.value for method in SignatureMethod)


def check_mode(mode: int, path: str) -> None:
    """Raise ConfigError when group or others may do anything with the file; mode: st_mode."""
    bits = stat.S_IMODE(mode)
    if bits & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigError(Finding(path, 0, f"mode is {bits:04o}", "0600: it holds secrets"))


def parse(text: str, path: str) -> Keyring:
    """Return the keys of an authkeys file.

    Raises ConfigError with all errors; `auth N` must stand before the line of key N.
    """
    report = Report(path)
    keys: dict[int, Key] = {}
    active: _Active | None = None
    for line in directives(report, text, delimiters="", inline=False):
        if line.name == "auth":
            active = _auth(report, line, active, keys)
        else:
            _key(report, line, keys)
    if active is None and not any('"auth"' in error.problem for error in report.errors):
        report.error(0, 'no "auth" line', f'"auth N" with {_NUMBER}')
    elif active is not None and active.number not in keys and not report.errors:
        report.error(active.line, f"key {active.number} is not defined", "its line after this one")
    report.raise_errors()
    assert active is not None
    return Keyring(active.number, tuple(keys.values()))


@dataclass(frozen=True, slots=True)
class _Active:
    line: int
    number: int


def _auth(
    report: Report, line: Line, active: _Active | None, keys: dict[int, Key]
) -> _Active | None:
    number = _number(line.values[0]) if len(line.values) == 1 else None
    if number is None:
        report.error(line.number, '"auth" does not name one key', _NUMBER)
    elif active is not None:
        report.error(line.number, f'"auth" again; line {active.line} has it', 'one "auth" line')
    elif number in keys:
        report.error(
            line.number, f'"auth" after key {number}', f'"auth {number}" before the key\'s line'
        )
        return _Active(line.number, number)
    else:
        return _Active(line.number, number)
    return active


def _key(report: Report, line: Line, keys: dict[int, Key]) -> None:
    number = _number(line.name)
    if number is None:
        # The first word may be a secret that lost its number: it is not repeated.
        report.error(line.number, "the line begins with something else", f'"auth" or {_NUMBER}')
        return
    if number in keys:
        report.error(line.number, f"key {number} again", "each number once")
        return
    key = _method(report, line, number)
    if key is not None:
        keys[number] = key


def _method(report: Report, line: Line, number: int) -> Key | None:
    word, secrets = (line.values[0], line.values[1:]) if line.values else ("", ())
    if word not in _METHODS:
        # Only a word that is nearly a method is certainly no secret; it is not repeated either.
        hint = did_you_mean(word, _METHODS)
        problem = f"key {number} has {'an unknown' if word else 'no'} method{hint}"
        report.error(line.number, problem, "crc, md5 or sha1")
        return None
    method = SignatureMethod(word)
    wanted = 0 if method is SignatureMethod.CRC else 1
    if len(secrets) != wanted:
        problem = f"key {number} ({word}) has {len(secrets)} words after the method"
        report.error(line.number, problem, "one: the key" if wanted else "none: crc takes no key")
        return None
    # surrogateescape: a key of any bytes signs as those bytes, however the file was decoded.
    return Key(number, method, "".join(secrets).encode("utf-8", "surrogateescape"))


def _number(word: str) -> int | None:
    if not (word.isascii() and word.isdigit() and len(word) <= 2):
        return None
    return int(word) if int(word) <= MAX_NUMBER else None
