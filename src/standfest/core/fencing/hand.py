"""Calls fence agents on one member, as the coordinator asks; a machine without I/O."""

from dataclasses import dataclass

from standfest.model.fencing import FenceCall
from standfest.model.time import Instant

MAX_CALLS = 64
"""Calls at once on one member; more is a coordinator gone wild, and is refused."""


@dataclass(frozen=True, slots=True)
class Begin:
    """Call the agent; `number` is never used twice on this member."""

    number: int
    call: FenceCall


@dataclass(frozen=True, slots=True)
class End:
    """End the agent: it took longer than its timeout."""

    number: int


@dataclass(frozen=True, slots=True)
class Tell:
    """Tell the coordinator of `term` how its run ended."""

    term: int
    run: int
    succeeded: bool
    reason: str


HandEffect = Begin | End | Tell


@dataclass(slots=True)
class _Held:
    term: int
    run: int
    until: Instant


class Hand:
    """A run is known by the coordinator's term and number: asked for twice, it is begun once."""

    def __init__(self) -> None:
        self._held: dict[int, _Held] = {}
        self._next = 1

    def begin(self, now: Instant, term: int, run: int, call: FenceCall) -> list[HandEffect]:
        """The coordinator wants an agent called."""
        if any((held.term, held.run) == (term, run) for held in self._held.values()):
            return []
        if len(self._held) >= MAX_CALLS:
            return [Tell(term, run, False, f"more than {MAX_CALLS} calls at once")]
        number = self._next
        self._next += 1
        self._held[number] = _Held(term, run, now + call.timeout)
        return [Begin(number, call)]

    def on_ended(self, number: int, *, succeeded: bool, reason: str) -> list[HandEffect]:
        """An agent's process is over; one that was given up is ignored."""
        held = self._held.pop(number, None)
        return [] if held is None else [Tell(held.term, held.run, succeeded, reason)]

    def on_timer(self, now: Instant) -> list[HandEffect]:
        """Give up calls that took too long: whether they had an effect is not known."""
        effects: list[HandEffect] = []
        for number, held in list(self._held.items()):
            if held.until <= now:
                del self._held[number]
                effects += [
                    End(number),
                    Tell(held.term, held.run, False, "timeout"),
                ]
        return effects

    def deadline(self) -> Instant | None:
        """Return when `on_timer` is due."""
        return min((held.until for held in self._held.values()), default=None)
