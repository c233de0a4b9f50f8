"""Numbers and times of operations as words. Source: what Debian's tools print."""

import time

from standfest.model.outcomes import EXIT_WORDS, STATUS_WORDS

_UNITS = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "m"))


def exit_text(code: int) -> str:
    """Return what an agent's exit code means."""
    return EXIT_WORDS.get(code, "unknown")


def status_text(status: int) -> str:
    """Return how an operation ended, from its op-status."""
    return STATUS_WORDS.get(status, "unknown")


def moment(seconds: int | str) -> str:
    """Return a time as `Thu Oct  9 08:53:20 2025`, local time."""
    try:
        return time.strftime("%a %b %e %H:%M:%S %Y", time.localtime(int(seconds)))
    except (ValueError, OverflowError, OSError):
        return "unknown"


def iso_moment(seconds: int | str) -> str:
    """Return a time as `2025-10-09 08:53:20Z`, or with the offset of the local zone."""
    try:
        there = time.localtime(int(seconds))
    except (ValueError, OverflowError, OSError):
        return "unknown"
    shown = time.strftime("%Y-%m-%d %H:%M:%S", there)
    offset = there.tm_gmtoff // 60
    if not offset:
        return f"{shown}Z"
    sign = "-" if offset < 0 else "+"
    return f"{shown} {sign}{abs(offset) // 60:02}:{abs(offset) % 60:02}"


def interval_text(milliseconds: int) -> str:
    """Return a time span as Pacemaker writes it: `20s`, `1m30s`, `1.500s`, `60s` (not `1m`)."""
    found, rest = "", milliseconds
    for size, unit in _UNITS:
        if rest > size:
            found += f"{rest // size}{unit}"
            rest %= size
    if rest % 1000 == 0:
        found += f"{rest // 1000}s" if rest or not found else ""
    elif rest > 1000:
        found += f"{rest // 1000}.{rest % 1000:03}s"
    else:
        found += f"{rest}ms"
    return found


def truth(value: object) -> str:
    """Return `true` or `false`."""
    return "true" if value else "false"


def plural(count: int, one: str, many: str = "") -> str:
    """Return `1 node`, `2 nodes`."""
    return f"{count} {one}" if count == 1 else f"{count} {many or one + 's'}"
