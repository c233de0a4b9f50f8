"""Copies of connections between directors: what to tell when, and what to make of what is told.

The active director tells what begins, changes and ends, and everything again within each round, so
that a lost datagram costs a round. The partner keeps short-lived entries in its kernel, which end
by themselves when nobody renews them; when it becomes active it gives them the time that they had.
"""

from collections.abc import Callable, Iterable
from itertools import islice

from standfest.model.flows import Entry, Flow, FlowKey
from standfest.model.time import NANOSECONDS_PER_SECOND, Duration, Instant, milliseconds, seconds

GATHER: Duration = milliseconds(20)
"""Changes of this long go together; what a director that dies in between had not told is lost."""
ROUND: Duration = seconds(20)
STEP: Duration = milliseconds(200)
STEPS = ROUND // STEP
LEASE_S = 3 * ROUND // NANOSECONDS_PER_SECOND
"""How long a copy lives that nobody renews: two rounds may be lost."""
MAX_FLOWS = 1_000_000
MAX_NEWS = 1000
"""Changes that are told at a time, so 50,000 a second (2 MB); more of them wait their turn."""


class Teller:
    """The active director's half."""

    def __init__(self) -> None:
        self._known: dict[FlowKey, Flow] = {}
        self._news: dict[FlowKey, Entry] = {}
        self._tell_at: Instant | None = None
        self._round: list[FlowKey] = []
        self._step_at: Instant | None = None

    def __len__(self) -> int:
        """Return how many connections are known."""
        return len(self._known)

    def start(self, now: Instant, flows: Iterable[Flow]) -> None:
        """Begin with everything that the kernel has."""
        for flow in flows:
            self.on_flow(now, flow)
        self._step_at = now + STEP

    def on_flow(self, now: Instant, flow: Flow) -> None:
        """A connection has begun or changed."""
        if flow.key not in self._known and len(self._known) >= MAX_FLOWS:
            return
        self._known[flow.key] = flow
        self._tell(now, Entry(flow))

    def on_end(self, now: Instant, key: FlowKey) -> None:
        """A connection has ended; one that is not known is ignored."""
        flow = self._known.pop(key, None)
        if flow is not None:
            self._tell(now, Entry(flow, gone=True))

    def deadline(self) -> Instant | None:
        """Return when `on_timer` is due."""
        if self._tell_at is None or self._step_at is None:
            return self._step_at if self._tell_at is None else self._tell_at
        return min(self._tell_at, self._step_at)

    def on_timer(self, now: Instant) -> list[Entry]:
        """Return what is to be told now."""
        told: list[Entry] = []
        if self._tell_at is not None and self._tell_at <= now:
            keys = list(islice(self._news, MAX_NEWS))
            told += [self._news.pop(key) for key in keys]
            self._tell_at = now + GATHER if self._news else None
        if self._step_at is not None and self._step_at <= now:
            # Never behind itself: a director that slept does not tell several rounds at once.
            self._step_at = max(self._step_at + STEP, now)
            told += self._some_again()
        return told

    def _some_again(self) -> list[Entry]:
        if not self._round:
            self._round = list(self._known)
        count = -(-len(self._known) // STEPS)
        part, self._round = self._round[:count], self._round[count:]
        return [Entry(self._known[key]) for key in part if key in self._known]

    def _tell(self, now: Instant, entry: Entry) -> None:
        self._news[entry.flow.key] = entry
        if self._tell_at is None:
            self._tell_at = now + GATHER


class Listener:
    """The partner's half. mark_of: our own mark of a told flow's server, 0 if we have it not."""

    def __init__(self, mark_of: Callable[[Flow], int]) -> None:
        self._mark_of = mark_of
        self._kept: dict[FlowKey, tuple[Flow, Instant]] = {}
        self._incarnation = -1
        self._sequence = 0
        self.lost = 0

    def __len__(self) -> int:
        """Return how many connections are kept."""
        return len(self._kept)

    def on_told(
        self, now: Instant, incarnation: int, sequence: int, entries: Iterable[Entry]
    ) -> tuple[list[Flow], list[FlowKey]]:
        """Return the flows to put into the kernel and the keys to delete from it.

        What comes late, or twice, is ignored; what is missing in between is counted in `lost`.
        """
        if incarnation != self._incarnation:
            self._incarnation, self._sequence = incarnation, sequence - 1
        if sequence <= self._sequence:
            return [], []
        self.lost += sequence - self._sequence - 1
        self._sequence = sequence
        put: dict[FlowKey, Flow] = {}
        ended: list[FlowKey] = []
        for entry in entries:
            key = entry.flow.key
            if entry.gone:
                put.pop(key, None)
                if self._kept.pop(key, None) is not None:
                    ended.append(key)
                continue
            flow = self._as_ours(entry.flow)
            if flow is None or (key not in self._kept and len(self._kept) >= MAX_FLOWS):
                continue
            self._kept[key] = flow, now + LEASE_S * NANOSECONDS_PER_SECOND
            put[key] = flow
        return list(put.values()), ended

    def forget_ended(self, now: Instant) -> int:
        """Forget the copies whose entries have ended by themselves; return how many."""
        ended = [key for key, (_, until) in self._kept.items() if until <= now]
        for key in ended:
            del self._kept[key]
        return len(ended)

    def take_over(self, now: Instant) -> list[Flow]:
        """Become active: return all connections, whose entries get their own timeout now."""
        self.forget_ended(now)
        flows = [flow for flow, _ in self._kept.values()]
        self._kept = {}
        return flows

    def _as_ours(self, flow: Flow) -> Flow | None:
        mark = self._mark_of(flow)
        if not mark:
            return None
        return flow if mark == flow.mark else Flow(
            flow.key, flow.reply, mark, flow.timeout, flow.tcp_state, flow.scales
        )  # fmt: skip
