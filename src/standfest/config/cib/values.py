"""The value types of a CIB: booleans, durations, scores.

Source: facts/formats/CIB-MODERN.md, "Value types".
"""

import re

from standfest.model.configuration import MAX_INSTANCES
from standfest.model.scores import INFINITY, clamp
from standfest.model.time import Duration, microseconds, milliseconds, seconds

_TRUE = frozenset({"true", "yes", "y", "on", "1"})
_FALSE = frozenset({"false", "no", "n", "off", "0"})
_UNITS: dict[str, Duration] = {
    "us": microseconds(1),
    "usec": microseconds(1),
    "ms": milliseconds(1),
    "msec": milliseconds(1),
    "": seconds(1),
    "s": seconds(1),
    "sec": seconds(1),
    "m": seconds(60),
    "min": seconds(60),
    "h": seconds(3600),
    "hr": seconds(3600),
}
_DURATION = re.compile(r"(\d{1,12})(?:\.(\d{1,9}))?\s*([a-zA-Z]*)", re.ASCII)
_ISO = re.compile(
    r"P(?:(\d{1,4})Y)?(?:(\d{1,4})M)?(?:(\d{1,4})W)?(?:(\d{1,6})D)?"
    r"(?:T(?:(\d{1,6})H)?(?:(\d{1,6})M)?(?:(\d{1,9})S)?)?",
    re.ASCII,
)
_ISO_SECONDS = (365 * 86400, 30 * 86400, 7 * 86400, 86400, 3600, 60, 1)
_COLOURS = {"red": -INFINITY, "yellow": 0, "green": 0}


def boolean(text: str) -> bool:
    """Return the truth value; raises ValueError saying what was expected."""
    word = text.strip().lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise ValueError("true or false")


def duration(text: str) -> Duration:
    """Return ns; a bare number is seconds, `PT5M` is ISO 8601. Raises ValueError."""
    word = text.strip()
    if word.upper() in ("INFINITY", "+INFINITY"):
        return seconds(10**9)
    if word.startswith("P") and len(word) > 1:
        iso = _ISO.fullmatch(word)
        if iso is not None and any(iso.groups()):
            parts = zip(iso.groups(), _ISO_SECONDS, strict=True)
            return seconds(sum(int(count) * unit for count, unit in parts if count))
    match = _DURATION.fullmatch(word)
    if match is None or match[3].lower() not in _UNITS:
        raise ValueError("a time such as 20s, 500ms, 2min or PT5M")
    unit = _UNITS[match[3].lower()]
    fraction = int((match[2] or "0").ljust(9, "0")) * unit // 10**9
    return int(match[1]) * unit + fraction


def score(text: str) -> int:
    """Return the score, clamped to +-INFINITY. Raises ValueError."""
    word = text.strip()
    if word.lower() in _COLOURS:
        return _COLOURS[word.lower()]
    if word.upper() in ("INFINITY", "+INFINITY"):
        return INFINITY
    if word.upper() == "-INFINITY":
        return -INFINITY
    try:
        return clamp(int(word.partition(".")[0]))
    except ValueError:
        raise ValueError("an integer, INFINITY or -INFINITY") from None


def instances(text: str) -> int:
    """Return how many instances there are to be, at most MAX_INSTANCES. Raises ValueError."""
    word = text.strip()
    is_large = len(word.lstrip("0")) > len(str(MAX_INSTANCES))
    if word.isascii() and word.isdigit() and (is_large or int(word) > MAX_INSTANCES):
        raise ValueError(f"at most {MAX_INSTANCES}")
    return count(word)


def count(text: str) -> int:
    """Return a number that is not negative. Raises ValueError."""
    word = text.strip()
    if not (word.isascii() and word.isdigit() and len(word) < 10):
        raise ValueError("a number that is not negative")
    return int(word)
