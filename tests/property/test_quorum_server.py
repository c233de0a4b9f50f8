"""The quorum server's vote: never two partitions at once, and one soon after the faults end."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.property.quorum_world import DEADTIME, Node, World

from standfest.core.quorum.asking import Asking, AskingEffect, Promised, SendAsk
from standfest.core.quorum.server import VoteServer
from standfest.model.quorum import Ask, Breaker, Ground, QuorumRules, Told
from standfest.model.time import Duration, milliseconds

INTERVAL: Duration = milliseconds(200)
LEASE: Duration = DEADTIME
SHAPES = (
    (("a", 1), ("b", 1)),
    (("a", 1), ("b", 1), ("c", 1), ("d", 1)),
    (("a", 2), ("b", 1), ("c", 1)),
    (("a", 1), ("b", 1), ("z", 0)),
)


class Served(World):
    """A world with a quorum server, whose network loses, doubles and delays."""

    def __init__(
        self, seed: int, votes: tuple[tuple[str, int], ...], *, steady: bool = True
    ) -> None:
        rules = QuorumRules(votes, breaker=Breaker.SERVER, settle=DEADTIME // 2)
        super().__init__(seed, rules, steady=steady)
        self.server = VoteServer(self.now, LEASE)
        self.asking = {name: self._asking(name) for name in rules.nodes}
        self.seen: set[Ground] = set()
        self.lossy = True

    def _asking(self, name: str) -> Asking:
        return Asking(name, self.now, INTERVAL, LEASE)

    def tick(self) -> None:
        super().tick()
        for name, node in self.nodes.items():
            if not node.up or self.now < node.stalled_until:
                continue
            asking, local = self.asking[name], node.clock.read(self.now)
            # Services stop some time after quorum is lost.
            busy = node in self.acting() or self.source.random() < 0.9
            self._do(node, asking.present(local, node.presence(self.now, busy=busy)))
            at = asking.deadline()
            if at is not None and at <= local:
                self._do(node, asking.on_timer(local))
            self.seen.add(node.quorum.verdict.ground)
        assert self.leased_apart() == [], self.now
        assert self.kept_apart() == [], self.now
        assert not self.steady or self.quorate_apart() == [], self.now

    def _do(self, node: Node, effects: list[AskingEffect]) -> None:
        for effect in effects:
            match effect:
                case Promised(lease):
                    node.quorum.promise(node.clock.read(self.now), lease)
                case SendAsk(ask):
                    for _ in range(self.source.choice((0, 1, 1, 1, 1, 2)) if self.lossy else 1):
                        self.later(self.now + self._late(), lambda: self._arrive(ask))

    def _arrive(self, ask: Ask) -> None:
        if not self.reaches[ask.node]:
            return
        told = self.server.ask(self.now, ask)
        if told is not None and (not self.lossy or self.source.random() < 0.9):
            self.later(self.now + self._late(), lambda: self._answer(ask.node, told))

    def _late(self) -> Duration:
        return self.delay() * (self.source.choice((1, 1, 1, 20)) if self.lossy else 1)

    def _answer(self, name: str, told: Told) -> None:
        node = self.nodes[name]
        if node.up and self.reaches[name] and self.now >= node.stalled_until:
            self._do(node, self.asking[name].told(node.clock.read(self.now), told))

    def start(self, node: Node) -> None:
        super().start(node)
        self.asking[node.name] = self._asking(node.name)

    def restart_server(self) -> None:
        self.server = VoteServer(self.now, LEASE)


@pytest.mark.hunt
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_two_partitions_never_have_the_servers_vote_at_once(seed: int) -> None:
    source = random.Random(seed)
    world = Served(seed, source.choice(SHAPES), steady=source.random() < 0.5)
    for _ in range(3_000):  # 15 s
        world.tick()
        if source.random() < (0.004 if world.steady else 0.012):
            world.misfortune()
        if source.random() < 0.0002:
            world.restart_server()


def test_the_world_reaches_votes_open_ties_and_refusals() -> None:
    seen: set[Ground] = set()
    for seed in range(8):
        world = Served(seed, SHAPES[seed % 2])
        for _ in range(3_000):
            world.tick()
            if world.source.random() < 0.004:
                world.misfortune()
        seen |= world.seen
    assert {Ground.LEASE, Ground.LEASE_OPEN, Ground.NO_LEASE, Ground.MAJORITY} <= seen


@pytest.mark.parametrize("dead", [True, False])
def test_one_half_goes_on_when_the_other_is_cut_off_or_dead(dead: bool) -> None:
    world = Served(1, SHAPES[0])
    world.lossy = False
    for _ in range(1_000):
        world.tick()
    if dead:
        world.nodes["a"].up = False
    else:
        world.side["a"] = 1
    lost = 0
    survivor = world.nodes["b" if dead else "a"].quorum  # the lowest name when both are alive
    for _ in range(600):  # 3 s: deadtime, half of it to settle, an interval, and a lease at most
        world.tick()
        lost += survivor.verdict.ground is Ground.NO_LEASE
    assert (survivor.verdict.ground, lost) == (Ground.LEASE, 0)
    if not dead:
        assert world.nodes["b"].quorum.verdict.ground is Ground.NO_LEASE
