"""What instances depend on: its state, and what that makes of a fault and of a priority.

Source: keepalived.conf(5), vrrp_script, track_*; facts/KEEPALIVED-FEATURES.md.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from standfest.model.vrrp import MAX_PRIORITY, MIN_PRIORITY, PRIORITY_OWNER, Track, TrackKind

FAULT_BELOW = -253
"""A weighted value below this is a fault (keepalived.conf(5), track_file)."""


@dataclass(frozen=True, slots=True)
class Assessment:
    """What a set of dependencies amounts to.

    faults: one line each for people. waiting: something has not been looked at yet.
    """

    faults: tuple[str, ...] = ()
    waiting: bool = False
    adjustment: int = 0

    def __add__(self, other: "Assessment") -> "Assessment":
        """Return both together."""
        return Assessment(
            (*self.faults, *other.faults),
            self.waiting or other.waiting,
            self.adjustment + other.adjustment,
        )


class Tracked:
    """The last known state of everything that is tracked.

    Interfaces, scripts, processes and BFD sessions are up or down; files have a value. What nobody
    has spoken of: an interface or a session is down, a file is 0, a script or a process is awaited.
    """

    def __init__(self) -> None:
        self._up: dict[tuple[TrackKind, str], bool] = {}
        self._values: dict[str, int] = {}

    def is_up(self, kind: TrackKind, name: str) -> bool | None:
        """Return the state, or None when nothing is known."""
        return self._up.get((kind, name))

    def set_up(self, kind: TrackKind, name: str, up: bool) -> None:
        """Note that something is up or down."""
        self._up[kind, name] = up

    def set_value(self, name: str, value: int) -> None:
        """Note a file's value."""
        self._values[name] = value

    def forget(self, kind: TrackKind, name: str) -> None:
        """Forget something that is tracked no longer."""
        self._up.pop((kind, name), None)

    def assess(self, tracks: Iterable[Track], *, weighted: bool) -> Assessment:
        """Return what dependencies amount to; weighted False: all weights are taken as 0."""
        total = Assessment()
        for track in tracks:
            weight = track.weight if weighted else 0
            if track.kind is TrackKind.FILE:
                total += self._assess_file(track, weight)
            else:
                total += self._assess_state(track, weight)
        return total

    def _assess_file(self, track: Track, weight: int) -> Assessment:
        value = self._values.get(track.name, 0)
        if weight == 0:
            bad = (value != 0) is not track.reverse
            return Assessment((f"file {track.name} says {value}",)) if bad else Assessment()
        result = value * weight * (-1 if track.reverse else 1)
        if result < FAULT_BELOW:
            return Assessment((f"file {track.name} amounts to {result}",))
        return Assessment(adjustment=min(result, -FAULT_BELOW))

    def _assess_state(self, track: Track, weight: int) -> Assessment:
        up = self._up.get((track.kind, track.name))
        if up is None:
            if track.kind in {TrackKind.SCRIPT, TrackKind.PROCESS}:
                return Assessment(waiting=weight == 0)
            up = False
        if weight == 0:
            word = "up" if up else "down"
            bad = up is track.reverse
            return (
                Assessment((f"{track.kind.value} {track.name} is {word}",)) if bad else Assessment()
            )
        counts = weight if up is (weight > 0) else 0
        return Assessment(adjustment=-counts if track.reverse else counts)


def effective_priority(base: int, adjustment: int) -> int:
    """Return the priority to say: an owner's is fixed, others stay within 1..254."""
    if base == PRIORITY_OWNER:
        return base
    return max(MIN_PRIORITY, min(MAX_PRIORITY, base + adjustment))
