"""Divided clusters with a tiebreaker, in virtual time: clocks that drift, and everything late.

Nodes beat; who is silent for the deadtime is gone from a node's view. Cuts are symmetric, each
node's way to the tiebreaker breaks by itself. `leased_apart` must never happen; nor `quorate_apart`
where a cut lasts for longer than nodes need to notice it (`steady`): whoever changes sides faster
is counted by both for a moment, which no count of votes by views can help.
"""

import random
from collections.abc import Callable
from dataclasses import replace
from heapq import heappop, heappush

from standfest.core.quorum.machine import Quorum
from standfest.model.quorum import Ground, Presence, QuorumRules
from standfest.model.time import Duration, Instant, milliseconds, seconds

TICK: Duration = milliseconds(5)
KEEPALIVE: Duration = milliseconds(100)
DEADTIME: Duration = seconds(1)
INITDEAD: Duration = 2 * DEADTIME
MAX_DELAY: Duration = milliseconds(40)
EPOCH: Instant = seconds(1000)


class Clock:
    """A clock that is wrong by up to 1 %."""

    def __init__(self, source: random.Random) -> None:
        self.rate = source.choice((0.99, 1.0, 1.01, source.uniform(0.99, 1.01)))
        self._offset = source.randrange(seconds(1000))

    def read(self, now: Instant) -> Instant:
        return self._offset + int(now * self.rate)


class Node:
    """One node: its heartbeats' view of the others, and the machine under test."""

    def __init__(self, name: str, rules: QuorumRules, source: random.Random, now: Instant) -> None:
        self.name = name
        self.clock = Clock(source)
        self.quorum = Quorum(rules, name, self.clock.read(now), seen_all=True)
        self.heard: dict[str, Instant] = {}
        self.up = True
        self.served = self.born = now
        self.stalled_until: Instant = 0
        self.doubt_until: Instant = 0
        self.lost_at: Instant = 0

    def presence(self, now: Instant, *, busy: bool) -> Presence:
        """Return what the tiebreaker is told; who was paused lets go and wants no vote."""
        presence = self.quorum.presence(busy=busy)
        return replace(presence, enough=False) if now < self.doubt_until else presence

    def view(self, now: Instant) -> frozenset[str]:
        local = self.clock.read(now)
        return frozenset(n for n, at in self.heard.items() if local - at < DEADTIME)


class World:
    """Time, the network between the nodes, and what happens later."""

    def __init__(self, seed: int, rules: QuorumRules, *, steady: bool = True) -> None:
        self.source = random.Random(seed)
        self.steady = steady
        self._cut_at: Instant = EPOCH
        self.rules = rules
        self.now: Instant = EPOCH
        self.nodes = {name: Node(name, rules, self.source, self.now) for name in rules.nodes}
        self.side = dict.fromkeys(rules.nodes, 0)
        self.reaches = dict.fromkeys(rules.nodes, True)
        self._later: list[tuple[Instant, int, Callable[[], None]]] = []
        self._count = 0

    def later(self, at: Instant, what: Callable[[], None]) -> None:
        self._count += 1
        heappush(self._later, (at, self._count, what))

    def delay(self) -> Duration:
        return self.source.randrange(MAX_DELAY)

    def tick(self) -> None:
        """Let time pass; heartbeats arrive, views are told to the machines."""
        self.now += TICK
        while self._later and self._later[0][0] <= self.now:
            heappop(self._later)[2]()
        for node in self.nodes.values():
            if not node.up or self.now < node.stalled_until:
                continue
            local = node.clock.read(self.now)
            if self.now - node.served > DEADTIME // 2:
                node.doubt_until = self.now + 2 * DEADTIME
            node.served = self.now
            if local % KEEPALIVE < TICK:
                self._beat(node)
            node.quorum.present(local, node.view(self.now))
            at = node.quorum.deadline()
            if at is not None and at <= local:
                node.quorum.on_timer(local)

    def _beat(self, node: Node) -> None:
        for other in self.nodes.values():
            if other is not node and self.source.random() < 0.95:
                self.later(self.now + self.delay(), lambda other=other: self._hear(node, other))  # type: ignore[misc]

    def _hear(self, sender: Node, other: Node) -> None:
        if other.up and self.side[sender.name] == self.side[other.name]:
            other.heard[sender.name] = other.clock.read(self.now)

    def acting(self) -> list[Node]:
        """Return the nodes that may start something now; nobody does before its initdead."""
        return [
            node
            for node in self.nodes.values()
            if node.up
            and self.now >= max(node.stalled_until, node.doubt_until)
            and self.now >= node.born + INITDEAD
            and node.quorum.verdict.quorate
        ]

    def leased_apart(self) -> list[tuple[str, str]]:
        """Return pairs that have the tiebreaker's vote for different views."""
        acting = [n for n in self.acting() if n.quorum.verdict.ground is Ground.LEASE]
        return [
            (one.name, two.name)
            for one in acting
            for two in acting
            if one.name < two.name and one.quorum.view != two.quorum.view
        ]

    def kept_apart(self) -> list[tuple[str, str]]:
        """Return pairs of one that has the vote without the other, which keeps what it runs."""
        with_vote = [n for n in self.acting() if n.quorum.verdict.ground is Ground.LEASE]
        keeping = [
            node
            for node in self.nodes.values()
            if node.up
            and self.now >= max(node.stalled_until, node.doubt_until)
            and self.now > node.born + DEADTIME  # whoever was just started runs nothing
            and node.quorum.verdict.ground is Ground.LEASE_OPEN
        ]
        return [
            (one.name, two.name)
            for one in with_vote
            for two in keeping
            if two.name not in one.quorum.view
        ]

    def quorate_apart(self) -> list[tuple[str, str]]:
        """Return pairs on two sides of a cut that act, though neither counts the other in."""
        acting = self.acting()
        return [
            (one.name, two.name)
            for one in acting
            for two in acting
            if one.name < two.name
            and self.side[one.name] != self.side[two.name]
            and two.name not in one.quorum.view
            and one.name not in two.quorum.view
        ]

    def misfortune(self) -> None:
        """Cut, join, stall, crash, start: one of these now and then."""
        source = self.source
        node = self.nodes[source.choice(self.rules.nodes)]
        kind = source.randrange(8)
        if kind < 3 and self.steady:
            if self.now - self._cut_at < 3 * DEADTIME:
                return
            self._cut_at = self.now
            # From one division straight to another whole nodes would change sides.
            kind = 2 if len(set(self.side.values())) > 1 else 0
        if kind < 2:
            self.side = {name: source.randrange(2) for name in self.rules.nodes}
        elif kind == 2:
            self.side = dict.fromkeys(self.rules.nodes, 0)
        elif kind == 3:
            self.reaches[node.name] = False
        elif kind == 4:
            self.reaches = dict.fromkeys(self.rules.nodes, True)
        elif kind == 5 and node.up:
            node.stalled_until = self.now + source.randrange(seconds(3))
        elif kind == 6:
            node.up = False
            node.lost_at = self.now
        elif not node.up and self.now - node.lost_at > 2 * DEADTIME:
            self.start(node)

    def start(self, node: Node) -> None:
        """Boot a node that was down for longer than the others need to notice."""
        fresh = Node(node.name, self.rules, self.source, self.now)
        self.nodes[node.name] = fresh
