"""Who coordinates: one member orders all changes and schedules for everybody.

Every `cluster` daemon says `Hello` to the others; whoever has heard all of them picks the same
coordinator. One that coordinates already stays, so that a joining node moves nothing; of several,
the one that a quorum has joined; otherwise the member with the newest configuration does, then the
one that saw the latest term, then the one whose name sorts first. A partition elects one
coordinator, and quorum decides which of them may act.

Terms: a member promises a term to one coordinator only and keeps the promise on disk, so that no
two coordinators with a majority ever share a term (docs/adr/0027). Whoever leads in a term that
somebody has promised to another begins a later one, unless that one follows a coordinator that we
do not hear.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from standfest.model.time import Duration, Instant, earliest, seconds

HELLO_TIMEOUT: Duration = seconds(2)
"""How long a member that is heard, but whose cluster daemon says nothing, holds up an election."""


@dataclass(frozen=True, slots=True)
class Hello:
    """One cluster daemon presents itself.

    session: drawn at its start, so that a restart is noticed; rank: how new its configuration is
    (core.cib.document.Rank); term: of the coordinator it leads or follows; leading: whether it
    coordinates; seeking: it waits for our Hello, our Lead or a Sync; promised: the latest
    term that it promised, and to whom; follows: its coordinator's name, or nothing; backed: it
    leads and a quorum has joined it.
    """

    session: int
    rank: tuple[int, int, int]
    term: int
    leading: bool
    seeking: bool = False
    promised: tuple[int, str] = (0, "")
    follows: str = ""
    backed: bool = False

    @property
    def merit(self) -> tuple[bool, int, tuple[int, int, int], int]:
        """Return what decides between candidates, before their names.

        Of those that a quorum joined the later one leads: terms tell which. A daemon that just
        restarted is at term 0: it knows less of the status than the others.
        """
        return self.backed, self.term if self.backed else 0, self.rank, self.term


@dataclass(frozen=True, slots=True)
class SayHello:
    """Send `hello` to `destination`, or to all members when it is None."""

    hello: Hello
    destination: str | None = None


@dataclass(frozen=True, slots=True)
class Promised:
    """`term` belongs to `node`: on disk before anybody hears of it."""

    term: int
    node: str


@dataclass(frozen=True, slots=True)
class Elected:
    """The coordinator is now `node`; `mine` when that is this node, which leads in `term`."""

    node: str
    term: int
    mine: bool


ElectionEffect = SayHello | Promised | Elected


@dataclass(frozen=True, slots=True)
class _Peer:
    hello: Hello | None
    wait_until: Instant


class Election:
    """One node's part in electing a coordinator."""

    def __init__(self, name: str, session: int, promised: tuple[int, str] = (0, "")) -> None:
        self.name = name
        self.session = session
        self.rank = (0, 0, 0)
        self.term = 0
        self.promised = promised
        self._highest_term = promised[0]
        self._backed = False
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
        # Its own Hello may have come, and been ignored, before we knew that it is heard.
        return [self._say(node, seeking=True), *self._decide(now)]

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
        """A node's cluster daemon presents itself; it gets our own Hello if it needs one."""
        peer = self._peers.get(node)
        if peer is None:
            return []  # not heard by `pulse` (yet); `appear` will make it say Hello again
        news = peer.hello is None or peer.hello.session != hello.session
        if news and self.coordinator == node:
            self.coordinator = ""  # a restarted coordinator must be elected again
        self._peers[node] = replace(peer, hello=hello)
        effects: list[ElectionEffect] = [self._say(node)] if news or hello.seeking else []
        return effects + self._decide(now)

    def back(self, *, backed: bool) -> list[ElectionEffect]:
        """A quorum has joined us, or has not any more: the others must know."""
        if backed == self._backed:
            return []
        self._backed = backed
        return [self._say(None)]

    def promise(self, term: int, node: str) -> list[ElectionEffect] | None:
        """Promise a term to a coordinator; None when it is not to be had any more."""
        if (term, node) == self.promised:
            return []
        if term <= self.promised[0]:
            return None
        self.promised = (term, node)
        self._highest_term = max(self._highest_term, term)
        return [Promised(term, node)]

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
                effects.append(self._say(name, seeking=True))
        return effects

    def _decide(self, now: Instant) -> list[ElectionEffect]:
        if not self._settled:
            return []
        if any(peer.hello is None and now < peer.wait_until for peer in self._peers.values()):
            return []
        hellos = dict(self._candidates())
        pool = {name: hello for name, hello in hellos.items() if hello.leading} or hellos
        best = max(hello.merit for hello in pool.values())
        winner = min(name for name, hello in pool.items() if hello.merit == best)
        if winner == self.coordinator and not self._outdated():
            return []
        led, self.coordinator = self.leading, winner
        known = (max(hello.term, hello.promised[0]) for hello in hellos.values())
        self._highest_term = max(self._highest_term, *known)
        self.term = hellos[winner].term
        if winner != self.name:
            told = [self._say(None)] if led else []  # who followed us must follow somebody else
            return [*told, Elected(winner, self.term, False)]
        self.term = self._highest_term + 1
        promised = self.promise(self.term, self.name)
        assert promised is not None, "a term above all that we know"
        return [*promised, Elected(winner, self.term, True)]

    def _outdated(self) -> bool:
        """Return whether somebody has promised our term to another one, or a later term.

        A later one may be ours, too: a disk that lost what it had synced has forgotten it. Who
        follows a coordinator that we may just not hear yet is left to it.
        """
        hellos = [peer.hello for peer in self._peers.values() if peer.hello is not None]
        promises = [hello.promised for hello in hellos if hello.follows in {"", self.name}]
        return self.leading and any(
            t > self.term or (t == self.term and who != self.name) for t, who in promises
        )

    def _candidates(self) -> Iterator[tuple[str, Hello]]:
        yield self.name, self.hello()
        for name, peer in self._peers.items():
            if peer.hello is not None:
                yield name, peer.hello

    def hello(self, *, seeking: bool = False) -> Hello:
        """Return what this node says of itself; seeking: the receiver shall answer."""
        return Hello(
            self.session,
            self.rank,
            self.term,
            self.leading,
            seeking,
            self.promised,
            self.coordinator,
            self._backed and self.leading,
        )

    def _say(self, destination: str | None, *, seeking: bool = False) -> SayHello:
        return SayHello(self.hello(seeking=seeking), destination)
