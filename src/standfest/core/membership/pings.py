"""Which ping nodes this node reaches: whom to ask, and what answers and silence mean.

Every interval each host gets an echo request. A host is reached until `deadping` after the last
request that it has answered; one that was lost is reached again only after three answers in a row,
so that a line that loses nearly everything does not move services to and fro. The machine sends
nothing: identifier, token and addresses are the adapter's. Source: ha.cf(5), RFC 792, RFC 4443
section 4, docs/adr/0034.
"""

from dataclasses import dataclass
from typing import Final

from standfest.model.pinging import Pinging, PingNode
from standfest.model.time import Duration, Instant, earliest

RISE: Final = 3
"""So many requests in a row must be answered before a host that was lost counts as reached."""

MAX_OPEN: Final = 1024
"""Requests whose answers still count, at most; far fewer than there are sequence numbers."""

SEQUENCES: Final = 65_536


@dataclass(frozen=True, slots=True)
class Echo:
    """Send an echo request with this sequence number, 0 to 65,535, to a host."""

    host: str
    sequence: int


@dataclass(frozen=True, slots=True)
class PingChanged:
    """A ping node is reached now, or is no longer."""

    node: str
    reached: bool


@dataclass(frozen=True, slots=True)
class Reached:
    """The whole picture, sorted; said first when nothing about it is unknown any more."""

    reached: tuple[str, ...]
    lost: tuple[str, ...]


PingEffect = Echo | PingChanged | Reached


@dataclass(slots=True)
class _Host:
    """What is known of one host.

    answered: when the latest request that was answered was sent, round: its number; row: how many
    in a row were answered; reached: None until the first answer, or `deadping` without one.
    """

    answered: Instant
    round: int = -1
    row: int = 0
    reached: bool | None = None


class Pings:
    """All hosts of one node's ha.cf. `picture` is what `Reached` said last, None before."""

    def __init__(self, settings: Pinging) -> None:
        self._nodes: tuple[PingNode, ...] = settings.nodes
        self._interval: Duration = settings.interval
        self._deadping: Duration = settings.deadping
        self._hosts: dict[str, _Host] = {}
        self._open: dict[int, tuple[int, Instant]] = {}
        self._round = 0
        self._ask_at: Instant | None = None
        self._states: dict[str, bool | None] = {node.name: None for node in settings.nodes}
        self.picture: Reached | None = None

    def start(self, now: Instant) -> list[PingEffect]:
        """Begin to ask; without ping nodes nothing ever happens."""
        hosts = dict.fromkeys(host for node in self._nodes for host in node.hosts)
        self._hosts = {host: _Host(now) for host in hosts}
        return self._ask(now) if hosts else []

    def deadline(self) -> Instant | None:
        """Return when `on_timer` is due."""
        if self._ask_at is None:
            return None
        waiting = (h.answered for h in self._hosts.values() if h.reached is not False)
        first = min(waiting, default=None)
        return earliest(self._ask_at, None if first is None else first + self._deadping)

    def on_reply(self, now: Instant, host: str, sequence: int) -> list[PingEffect]:
        """A host has answered; what we have not asked it, or asked too long ago, does not count."""
        known, asked = self._hosts.get(host), self._open.get(sequence)
        if known is None or asked is None:
            return []
        number, sent = asked
        if number <= known.round or now - sent >= self._deadping:
            return []  # twice, or overtaken by a later answer, or late
        known.row = known.row + 1 if number == known.round + 1 else 1
        known.round, known.answered = number, sent
        if known.reached is None or (known.reached is False and known.row >= RISE):
            known.reached = True
            return self._judged()
        return []

    def on_timer(self, now: Instant) -> list[PingEffect]:
        """Ask again, and give up whoever has been silent for too long."""
        due = self.deadline()
        if due is None or due > now:
            return []
        if now - due > self._interval:
            self._forgive(now - due)
        fallen = False
        for host in self._hosts.values():
            if host.reached is not False and now - host.answered >= self._deadping:
                host.reached, host.row, fallen = False, 0, True
        effects = self._judged() if fallen else []
        if self._ask_at is not None and self._ask_at <= now:
            effects += self._ask(now)
        return effects

    def _forgive(self, slept: Duration) -> None:
        """Nobody was asked while this node stood still: that silence counts against no host."""
        for host in self._hosts.values():
            host.answered += slept
        self._open.clear()

    def _ask(self, now: Instant) -> list[PingEffect]:
        self._ask_at = now + self._interval
        self._round += 1
        sequence = self._round % SEQUENCES
        self._open[sequence] = (self._round, now)
        oldest = next(iter(self._open))
        while len(self._open) > MAX_OPEN or now - self._open[oldest][1] > self._deadping:
            del self._open[oldest]
            oldest = next(iter(self._open))
        return [Echo(host, sequence) for host in self._hosts]

    def _judged(self) -> list[PingEffect]:
        """Return which ping nodes changed, and the picture once it is whole."""
        effects: list[PingEffect] = []
        for node in self._nodes:
            state = self._state(node)
            if state is not None and state is not self._states[node.name]:
                self._states[node.name] = state
                effects.append(PingChanged(node.name, state))
        if None in self._states.values():
            return effects
        reached = tuple(sorted(name for name, state in self._states.items() if state))
        lost = tuple(sorted(name for name, state in self._states.items() if not state))
        picture = Reached(reached, lost)
        if picture != self.picture:
            self.picture = picture
            effects.append(picture)
        return effects

    def _state(self, node: PingNode) -> bool | None:
        """Return whether one of its hosts is reached; None while that may still come."""
        states = [self._hosts[host].reached for host in node.hosts]
        if True in states:
            return True
        return None if None in states else False
