"""Members of a shared address on one simulated network, and what a client would see of them.

The production machine over filters in memory. Nodes have clocks of their own that run fast or slow;
beats are lost, late, doubled and cut one way; daemons pause and die, which the filter outlives, and
machines die.
"""

import heapq
import random
from dataclasses import dataclass, field

from standfest.adapters.memory.sharing import MemoryFilter
from standfest.core.sharing.effects import Answer, Remember, Renew, Send, SharingEffect
from standfest.core.sharing.machine import Sharing
from standfest.model.sharing import Answering, Beat, Buckets, SharingSettings, as_buckets
from standfest.model.time import Duration, Instant, milliseconds

DIGEST = 1
MAX_STEPS = 2_000_000


@dataclass(frozen=True, slots=True)
class Weather:
    """How bad the network is: probabilities 0..1, delays in ns."""

    loss: float = 0.0
    duplication: float = 0.0
    min_delay: Duration = milliseconds(1)
    max_delay: Duration = milliseconds(3)


@dataclass(slots=True)
class Node:
    """One machine; rate: of its clock, in parts per thousand of true time."""

    name: str
    settings: SharingSettings
    filter: MemoryFilter
    rate: int = 1000
    generation: int = 0
    machine: Sharing | None = None
    votes: dict[str, Buckets] | None = None
    paused: bool = False
    unplugged: bool = False
    off: bool = False
    inbox: list[Beat] = field(default_factory=list)


@dataclass(frozen=True, slots=True, order=True)
class _Arrival:
    at: Instant
    number: int
    receiver: str
    beat: Beat = field(compare=False)


class Segment:
    """All members on one network segment, on which the clients are, too."""

    def __init__(
        self,
        settings: SharingSettings,
        source: random.Random,
        weather: Weather | None = None,
        machine: type[Sharing] = Sharing,
    ) -> None:
        """Prepare; machine: the production machine, or one with a seeded bug."""
        self._source = source
        self._machine = machine
        self.weather = weather or Weather()
        self.now: Instant = 0
        self.cut: set[tuple[str, str]] = set()
        self.nodes: dict[str, Node] = {}
        self.violations: list[str] = []
        self.steps = 0
        self._way: list[_Arrival] = []
        self._number = 0
        for member in settings.members:
            node = Node(member.name, settings, MemoryFilter(lambda: 0))
            node.filter = MemoryFilter(lambda node=node: self._clock(node))  # type: ignore[misc]
            self.nodes[member.name] = node

    # --- what happens ---------------------------------------------------------------------------

    def start(self, name: str) -> None:
        """Switch a machine on, or start its daemon again."""
        node = self.nodes[name]
        if node.off:
            node.filter.close(keep=False)
            node.votes = None
        node.off = node.paused = False
        node.inbox.clear()
        node.generation += 1
        node.machine = self._machine(
            name=name, generation=node.generation, digest=DIGEST, settings=node.settings
        )
        answering, left = node.filter.open()
        self._perform(node, node.machine.start(self._clock(node), answering, left, node.votes))

    def kill(self, name: str) -> None:
        """Kill the daemon; the filter goes on for the rest of its time."""
        node = self.nodes[name]
        node.machine, node.paused = None, False

    def crash(self, name: str) -> None:
        """Cut the power."""
        self.kill(name)
        self.nodes[name].off = True

    def pause(self, name: str) -> None:
        """Stop the daemon (SIGSTOP); what comes in waits."""
        self.nodes[name].paused = True

    def resume(self, name: str) -> None:
        """Let the daemon go on: it is late for its timer, and reads what has come in."""
        node = self.nodes[name]
        if not node.paused or node.machine is None:
            return
        node.paused = False
        waiting, node.inbox = node.inbox, []
        self._perform(node, node.machine.on_timer(self._clock(node)))
        for beat in waiting:
            self._perform(node, node.machine.on_beat(self._clock(node), beat))

    def drain(self, name: str, *, on: bool = True) -> None:
        """Drain a member, or no longer."""
        node = self.nodes[name]
        if node.machine is not None and not node.paused:
            self._perform(node, node.machine.drain(self._clock(node), on=on))

    def run(self, duration: Duration) -> None:
        """Let time pass."""
        end = self.now + duration
        while True:
            at = min((t for t in self._due() if t <= end), default=None)
            if at is None:
                break
            self.now = max(self.now, at)
            self.steps += 1
            assert self.steps < MAX_STEPS, "a simulation that does not end"
            self._step()
        self.now = end
        self._check()

    # --- what clients see -----------------------------------------------------------------------

    def answering(self, name: str) -> Answering:
        """Return what a node answers now."""
        node = self.nodes[name]
        return Answering() if node.off or node.unplugged else node.filter.now()

    def owners(self, bucket: int) -> list[str]:
        """Return who answers a new connection of a bucket."""
        return [name for name in self.nodes if bucket in self.answering(name).mine]

    def unanswered(self) -> int:
        """Return how many buckets nobody answers."""
        found = 0
        for name in self.nodes:
            found |= as_buckets(self.answering(name).mine)
        buckets = next(iter(self.nodes.values())).settings.layout.buckets
        return buckets - found.bit_count()

    # --- inside ---------------------------------------------------------------------------------

    def _clock(self, node: Node) -> Instant:
        return self.now * node.rate // 1000

    def _due(self) -> list[Instant]:
        due = [self._way[0].at] if self._way else []
        for node in self.nodes.values():
            if node.machine is not None and not node.paused:
                at = node.machine.deadline()
                if at is not None:
                    due.append(max(self.now, -(-at * 1000 // node.rate)))
        return due

    def _step(self) -> None:
        while self._way and self._way[0].at <= self.now:
            arrival = heapq.heappop(self._way)
            node = self.nodes[arrival.receiver]
            if node.machine is None or node.unplugged:
                continue
            if node.paused:
                node.inbox.append(arrival.beat)
            else:
                self._perform(node, node.machine.on_beat(self._clock(node), arrival.beat))
        for node in self.nodes.values():
            if node.machine is not None and not node.paused:
                at = node.machine.deadline()
                if at is not None and at <= self._clock(node):
                    self._perform(node, node.machine.on_timer(self._clock(node)))

    def _perform(self, node: Node, effects: list[SharingEffect]) -> None:
        for effect in effects:
            match effect:
                case Remember(votes):
                    node.votes = dict(votes)
                case Answer(answering, until):
                    node.filter.answer(answering, max(0, (until or 0) - self._clock(node)))
                case Renew(until):
                    node.filter.renew(until - self._clock(node))
                case Send(beat):
                    self._send(node, beat)
                case _:
                    pass
            self._check()

    def _send(self, node: Node, beat: Beat) -> None:
        for receiver in self.nodes.values():
            blocked = (node.name, receiver.name) in self.cut or node.unplugged or receiver.unplugged
            for _ in range(2 if self._source.random() < self.weather.duplication else 1):
                delay = self._source.randint(self.weather.min_delay, self.weather.max_delay)
                if receiver is node or blocked or self._source.random() < self.weather.loss:
                    continue
                self._number += 1
                arrival = _Arrival(self.now + delay, self._number, receiver.name, beat)
                heapq.heappush(self._way, arrival)

    def _check(self) -> None:
        """Look for two owners of a bucket, and for whoever resets another's connections."""
        seen: dict[str, Answering] = {name: self.answering(name) for name in self.nodes}
        taken: dict[int, str] = {}
        for name, one in seen.items():
            for bucket in one.mine:
                other = taken.setdefault(bucket, name)
                if other != name:
                    self.violations.append(f"{self.now}: {other} and {name} answer {bucket}")
        for name, one in seen.items():
            for other, held in seen.items():
                if other != name and one.orphaned & held.former:
                    self.violations.append(f"{self.now}: {name} resets connections of {other}")
