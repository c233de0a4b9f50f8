"""authkeys: the keys that sign, or encrypt, messages between nodes.

Errors never repeat anything of a line but its number's key number and method, so no secret leaks.
Source: facts/HEARTBEAT-WIRE.md section 11, "authkeys"; `sha256`, `aes256-gcm` and `mixed` are ours.
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
_ENCRYPTS: Final = SignatureMethod.AES256_GCM.value

MIN_PASSPHRASE: Final = 16
"""Bytes of a key that encrypts: who records one datagram may try passphrases for years."""

_OURS: Final = "sha256 or aes256-gcm where no node runs heartbeat 3.0.6"
_WEAK: Final = {
    SignatureMethod.CRC: "it authenticates nothing, anybody can send",
    SignatureMethod.MD5: "old",
    SignatureMethod.SHA1: "old",
}
_BETTER: Final = {
    SignatureMethod.CRC: "sha1 beside heartbeat 3.0.6, else sha256 or aes256-gcm",
    SignatureMethod.MD5: _OURS,
    SignatureMethod.SHA1: _OURS,
}


def check_mode(mode: int, path: str) -> None:
    """Raise ConfigError when group or others may do anything with the file; mode: st_mode."""
    bits = stat.S_IMODE(mode)
    if bits & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigError(Finding(path, 0, f"mode is {bits:04o}", "0600: it holds secrets"))


def parse(text: str, path: str) -> tuple[Keyring, tuple[Finding, ...]]:
    """Return the keys of an authkeys file, and what is weak about them, in line order.

    `mixed yes` is ours: keys that encrypt beside keys that only sign, while nodes change over.
    Raises ConfigError with all errors; `auth N` must stand before the line of key N.
    """
    report = Report(path)
    keys: dict[int, Key] = {}
    lines: dict[int, int] = {}
    active: _Active | None = None
    mixed = 0
    for line in directives(report, text, delimiters="", inline=False):
        if line.name == "auth":
            active = _auth(report, line, active, keys)
        elif line.name == "mixed":
            mixed = _mixed(report, line, mixed)
        else:
            _key(report, line, keys, lines)
    if active is None and not any('"auth"' in error.problem for error in report.errors):
        report.error(0, 'no "auth" line', f'"auth N" with {_NUMBER}')
    elif active is not None and active.number not in keys and not report.errors:
        report.error(active.line, f"key {active.number} is not defined", "its line after this one")
    _judge(report, keys, lines, mixed)
    report.raise_errors()
    assert active is not None
    ring = Keyring(active.number, tuple(keys.values()), mixed=mixed > 0)
    return ring, tuple(sorted(report.warnings, key=lambda finding: finding.line))


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


def _mixed(report: Report, line: Line, before: int) -> int:
    if before:
        report.error(line.number, f'"mixed" again; line {before} has it', 'one "mixed" line')
    elif line.values != ("yes",):
        report.error(line.number, '"mixed" does not say yes', '"mixed yes", or no such line')
    return line.number


def _judge(report: Report, keys: dict[int, Key], lines: dict[int, int], mixed: int) -> None:
    """Refuse to accept what anybody can read beside what is encrypted, unless told; name the weak.

    The weakest key decides what the whole ring is worth: each of them lets messages in.
    """
    hidden = [key for key in keys.values() if key.encrypts]
    plain = [key for key in keys.values() if not key.encrypts]
    if hidden and plain and not mixed:
        for key in plain:
            problem = f"key {key.number} ({key.method.value}) beside key {hidden[0].number}"
            expected = f'{_ENCRYPTS} keys only, or "mixed yes" while nodes change over'
            report.error(lines[key.number], f"{problem} ({_ENCRYPTS})", expected)
    elif mixed and hidden and plain:
        report.warn(mixed, "unencrypted messages are accepted, too", "no such line in the end")
    elif mixed:
        report.warn(mixed, '"mixed" has no effect: the keys are of one kind', "no such line")
    for key in plain:
        weakness = _WEAK.get(key.method)
        if weakness is not None:
            problem = f"key {key.number} is {key.method.value}: {weakness}"
            report.warn(lines[key.number], problem, _BETTER[key.method])


def _key(report: Report, line: Line, keys: dict[int, Key], lines: dict[int, int]) -> None:
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
        keys[number], lines[number] = key, line.number


def _method(report: Report, line: Line, number: int) -> Key | None:
    word, secrets = (line.values[0], line.values[1:]) if line.values else ("", ())
    if word not in _METHODS:
        # Only a word that is nearly a method is certainly no secret; it is not repeated either.
        hint = did_you_mean(word, _METHODS)
        problem = f"key {number} has {'an unknown' if word else 'no'} method{hint}"
        report.error(line.number, problem, f"{', '.join(_METHODS[:-1])} or {_METHODS[-1]}")
        return None
    method = SignatureMethod(word)
    wanted = 0 if method is SignatureMethod.CRC else 1
    if len(secrets) != wanted:
        problem = f"key {number} ({word}) has {len(secrets)} words after the method"
        report.error(line.number, problem, "one: the key" if wanted else "none: crc takes no key")
        return None
    # surrogateescape: a key of any bytes signs as those bytes, however the file was decoded.
    key = Key(number, method, "".join(secrets).encode("utf-8", "surrogateescape"))
    if key.encrypts and len(key.secret) < MIN_PASSPHRASE:
        problem = f"key {number} ({word}) is shorter than {MIN_PASSPHRASE} bytes"
        report.error(line.number, problem, "what `openssl rand -base64 32` prints")
        return None
    return key


def _number(word: str) -> int | None:
    if not (word.isascii() and word.isdigit() and len(word) <= 2):
        return None
    return int(word) if int(word) <= MAX_NUMBER else None
