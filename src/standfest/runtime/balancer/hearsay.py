"""Checkers that do not probe: tracked files and BFD sessions, of which others tell.

Source: keepalived.conf(5), FILE_CHECK, BFD_CHECK, track_file.
"""

from standfest.core.balancer.effects import PoolEffect
from standfest.core.balancer.machine import Balancer
from standfest.model.balancing import BfdCheck, FileCheck
from standfest.model.director import TrackFile
from standfest.model.time import Instant
from standfest.runtime.balancer.checks import Check

FILE, SESSION = "file", "bfd"
Known = tuple[str, str]
"""(kind, name) of what is told of."""


def concerns(check: Check, known: Known) -> bool:
    """Return whether a checker follows a file or a session."""
    match check.checker:
        case FileCheck(name):
            return known == (FILE, name)
        case BfdCheck(name):
            return known == (SESSION, name)
        case _:
            return False


def heard(
    now: Instant, balancer: Balancer, files: tuple[TrackFile, ...], check: Check, value: int
) -> list[PoolEffect]:
    """Return what a server makes of a file's number, or of a session that is up (1) or not (0)."""
    pool = balancer.pools[check.pool]
    match check.checker:
        case BfdCheck(name):
            reason = f"BFD session {name} is {'up' if value else 'down'}"
            up = bool(value)
        case FileCheck(name):
            weight, reverse = _weight(check.checker, files)
            if weight:
                added = -weight * value if reverse else weight * value
                return list(pool.weight_added(check.server, check.name, added))
            reason = f"file {name} says {value}"
            up = (value == 0) != reverse
        case _:
            return []
    return list(pool.checker_changed(now, check.server, check.name, up=up, reason=reason))


def _weight(checker: FileCheck, files: tuple[TrackFile, ...]) -> tuple[int, bool]:
    """Return (what one counts for, whether it is turned round): the checker's, or the file's."""
    if checker.weight is not None:
        return checker.weight, checker.reverse
    tracked = next((file for file in files if file.name == checker.file), None)
    return (tracked.weight, tracked.reverse) if tracked is not None else (1, False)
