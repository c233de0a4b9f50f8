"""Who coordinates: one member orders all changes and schedules for everybody.

Every `cluster` daemon says `Hello` to the others; whoever has heard all of them picks the same
coordinator. One that coordinates already stays, so that a joining node moves nothing; otherwise the
member with the newest configuration does, then the one that saw the latest term, then the one whose
name sorts first. Not a consensus
protocol: a partition elects one coordinator each, and quorum decides which of them may act.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from standfest.model.time import Duration, Instant, earliest, seconds

HELLO_TIMEOUT: Duration = seconds(2)
"""How long a member that is heard, but whose cluster daemon says nothing, holds up an election."""


@dataclass(frozen=True, slots=True)
class Hello:
    """One cluster daemon presents itself.

    session: drawn at its start, so that a restart is noticed; epoch: (admin_epoch, epoch) of its
    configuration; term: of the coordinator it leads or follows; leading: whether it coordinates;
    seeking: it waits for the coordinator's Lead or for a Sync.
    """

    session: int
    epoch: tuple[int, int]
    term: int
    leading: bool
    seeking: bool = False


@dataclass(frozen=True, slots=True)
class SayHello:
    """Send `hello` to `destination`, or to all members when it is None."""

    hello: Hello
    destination: str | None = None


@dataclass(frozen=True, slots=True)
class Elected:
    """The coordinator is now `node`; `mine` when that is this node, which leads in `term`."""

    node: str
    term: int
    mine: bool


ElectionEffect = SayHello | Elected


@dataclass(frozen=True, slots=True)
class _Peer:
    hello: Hello | None
    wait_until: Instant


class Election:
    """One node's part in electing a coordinator."""

    def __init__(self, name: str, session: int) -> None:
        self.name = name
        self.session = session
        self.epoch = (0, 0)
        self.term = 0
        self._highest_term = 0
        self.coordinator = ""
        self._settled = False
        self._peers: dict[str, _Peer] = {}

    @property
    def leading(self) -> bool:
        """Return whether this node coordinates."""
        return self.coordinator == self.name

    @property
    def participants(self) -> tuple[str, ...]:
        """Return the names of all nodes whose cluster daemon takes part, this one included."""
        others = [name for name, peer in self._peers.items() if peer.hello is not None]
        return tuple(sorted([self.name, *others]))

    def deadline(self) -> Instant | None:
        """Return when waiting for a silent cluster daemon ends."""
        if not self._settled:
            return None
        return earliest(*(p.wait_until for p in self._peers.values() if p.hello is None))

    def settle(self, now: Instant) -> list[ElectionEffect]:
        """Every configured node has been heard or given up: elections may be decided."""
        self._settled = True
        return [self._say(None), *self._decide(now)]

    def appear(self, now: Instant, node: str) -> list[ElectionEffect]:
        """A node is heard: present ourselves and wait for its cluster daemon."""
        self._peers[node] = _Peer(None, now + HELLO_TIMEOUT)
        return [self._say(node), *self._decide(now)]

    def vanish(self, now: Instant, node: str) -> list[ElectionEffect]:
        """A node is dead or has left."""
        self._peers.pop(node, None)
        return self._decide(now)

    def abandon(self, now: Instant, node: str) -> list[ElectionEffect]:
        """A node is heard, but its cluster daemon has gone."""
        if node in self._peers:
            self._peers[node] = _Peer(None, now + HELLO_TIMEOUT)
        if self.coordinator == node:
            self.coordinator = ""
        return self._decide(now)

    def hear(self, now: Instant, node: str, hello: Hello) -> list[ElectionEffect]:
        """A node's cluster daemon presents itself; a new session gets our own Hello in return."""
        peer = self._peers.get(node)
        if peer is None:
            return []  # not heard by `pulse` (yet); `appear` will make it say Hello again
        news = peer.hello is None or peer.hello.session != hello.session
        if news and self.coordinator == node:
            self.coordinator = ""  # a restarted coordinator must be elected again
        self._peers[node] = replace(peer, hello=hello)
        effects: list[ElectionEffect] = [self._say(node)] if news else []
        return effects + self._decide(now)

    def acknowledge(self, now: Instant, node: str, term: int) -> list[ElectionEffect]:
        """A node says that it leads in `term`."""
        peer = self._peers.get(node)
        if peer is None or peer.hello is None:
            return []
        news = not (peer.hello.leading and peer.hello.term == term)
        self._highest_term = max(self._highest_term, term)
        self._peers[node] = replace(peer, hello=replace(peer.hello, term=term, leading=True))
        effects = self._decide(now)
        if self.coordinator != node and news:
            return [*effects, self._say(node)]  # so that it can judge again with what we know
        return effects

    def on_timer(self, now: Instant) -> list[ElectionEffect]:
        """Decide without those that stayed silent for too long."""
        effects = self._decide(now)
        for name, peer in self._peers.items():
            if peer.hello is None and peer.wait_until <= now:
                self._peers[name] = replace(peer, wait_until=now + HELLO_TIMEOUT)
                effects.append(self._say(name))
        return effects

    def _decide(self, now: Instant) -> list[ElectionEffect]:
        if not self._settled:
            return []
        if any(peer.hello is None and now < peer.wait_until for peer in self._peers.values()):
            return []
        hellos = dict(self._candidates())
        pool = {name: hello for name, hello in hellos.items() if hello.leading} or hellos
        # A daemon that just restarted is at term 0: it knows less of the status than the others.
        best = max((hello.epoch, hello.term) for hello in pool.values())
        winner = min(name for name, hello in pool.items() if (hello.epoch, hello.term) == best)
        if winner == self.coordinator:
            return []
        self.coordinator = winner
        self._highest_term = max(self._highest_term, *(h.term for h in hellos.values()))
        self.term = hellos[winner].term
        if winner == self.name:
            self.term = self._highest_term + 1
        return [Elected(winner, self.term, winner == self.name)]

    def _candidates(self) -> Iterator[tuple[str, Hello]]:
        yield self.name, self._hello()
        for name, peer in self._peers.items():
            if peer.hello is not None:
                yield name, peer.hello

    def _hello(self) -> Hello:
        return Hello(self.session, self.epoch, self.term, self.leading)

    def _say(self, destination: str | None) -> SayHello:
        return SayHello(self._hello(), destination)
