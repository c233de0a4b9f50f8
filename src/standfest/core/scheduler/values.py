"""Lenient readers of attribute values: what cannot be read counts as not given.

`config.cib` has told the administrator already. Source: CIB-MODERN.md, "Value types".
"""

import re

from standfest.model.scores import INFINITY, clamp

_TRUE = frozenset({"true", "yes", "y", "on", "1"})
_FALSE = frozenset({"false", "no", "n", "off", "0"})
_DURATION = re.compile(r"\s*\+?(\d{1,15})(?:\.\d*)?\s*([a-zA-Z]*)\s*", re.ASCII)
_NUMBER = re.compile(r"\s*([+-]?\d{1,15})", re.ASCII)
_ISO = re.compile(
    r"P(?:(\d{1,4})Y)?(?:(\d{1,4})M)?(?:(\d{1,4})W)?(?:(\d{1,6})D)?"
    r"(?:T(?:(\d{1,6})H)?(?:(\d{1,6})M)?(?:(\d{1,9})S)?)?",
    re.ASCII,
)
_ISO_SECONDS = (365 * 86400, 30 * 86400, 7 * 86400, 86400, 3600, 60, 1)
_UNITS = {
    "": 1000,
    "s": 1000,
    "sec": 1000,
    "ms": 1,
    "msec": 1,
    "m": 60_000,
    "min": 60_000,
    "h": 3_600_000,
    "hr": 3_600_000,
}
_PARTS = re.compile(r"(\d+)")


def boolean(text: str | None, default: bool) -> bool:
    """Return the truth value."""
    if text is None:
        return default
    word = text.strip().lower()
    if word in _TRUE:
        return True
    return False if word in _FALSE else default


def integer(text: str | None, default: int) -> int:
    """Return the leading number."""
    if text is None:
        return default
    match = _NUMBER.match(text)
    return int(match[1]) if match is not None else default


def milliseconds(text: str | None, default: int) -> int:
    """Return a duration in ms; a bare number is seconds."""
    if text is None:
        return default
    match = _DURATION.fullmatch(text)
    if match is None:
        iso = _ISO.fullmatch(text.strip())
        if iso is not None and any(iso.groups()):
            parts = zip(iso.groups(), _ISO_SECONDS, strict=True)
            return 1000 * sum(int(count) * unit for count, unit in parts if count)
        if text.strip().lstrip("+").upper() == "INFINITY":
            return INFINITY * 1000
        return default
    unit = match[2].lower()
    if unit in ("us", "usec"):
        return int(match[1]) // 1000
    return int(match[1]) * _UNITS[unit] if unit in _UNITS else default


def score(text: str | None, default: int) -> int:
    """Return a score within +-INFINITY."""
    if text is None:
        return default
    word = text.strip()
    upper = word.upper()
    if upper in ("INFINITY", "+INFINITY"):
        return INFINITY
    if upper == "-INFINITY":
        return -INFINITY
    match = _NUMBER.match(word)
    return clamp(int(match[1])) if match is not None else default


def natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """Return a sort key under which node2 comes before node10, whatever the case."""
    parts = _PARTS.split(name.lower())
    return tuple((1, int(p), "") if p.isdigit() else (2, 0, p) for p in parts if p)
