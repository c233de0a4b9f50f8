"""The shared disk's vote: never two partitions at once, however late, torn or lost a write is.

A node's disk does one thing at a time, in steps that take as long as they like: a write lands at
some moment before it is done, or half of it does, or none; then all sectors are read one by one.
"""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.property.quorum_world import DEADTIME, EPOCH, Node, World

from standfest.core.quorum.disk import DiskEffect, DiskVote, Promised, Record, Sector, Write
from standfest.model.quorum import Breaker, Ground, QuorumRules
from standfest.model.time import Duration, Instant, milliseconds, seconds

INTERVAL: Duration = milliseconds(200)
LEASE: Duration = DEADTIME
SHAPES = (
    (("a", 1), ("b", 1)),
    (("a", 1), ("b", 1), ("c", 1), ("d", 1)),
    (("a", 2), ("b", 1), ("c", 1)),
    (("a", 1), ("b", 1), ("z", 0)),
)
EMPTY = Sector(b"", None)


class Divided(World):
    """A world with a shared disk; `rough`: slow, torn and lost writes."""

    def __init__(
        self, seed: int, votes: tuple[tuple[str, int], ...], *, steady: bool, rough: bool
    ) -> None:
        rules = QuorumRules(votes, breaker=Breaker.DISK, settle=DEADTIME // 2)
        super().__init__(seed, rules, steady=steady)
        self.rough = rough
        self.slots = {name: slot for slot, name in enumerate(rules.nodes)}
        self.sectors = dict.fromkeys(self.slots.values(), EMPTY)
        self.votes = {name: self._vote(name) for name in rules.nodes}
        self.free_at = dict.fromkeys(rules.nodes, EPOCH)
        self.seen: set[Ground] = set()

    def _vote(self, name: str) -> DiskVote:
        session = self.source.getrandbits(60)
        return DiskVote(name, self.slots, session, INTERVAL, LEASE)

    def tick(self) -> None:
        super().tick()
        for name, node in self.nodes.items():
            busy_disk = self.now < self.free_at[name]
            if not node.up or busy_disk or self.now < node.stalled_until:
                continue  # whoever waits for the disk does nothing else
            vote, local = self.votes[name], node.clock.read(self.now)
            busy = node in self.acting() or self.source.random() < 0.9
            self._do(node, vote.present(local, node.presence(self.now, busy=busy)))
            at = vote.deadline()
            if at is not None and at <= local:
                self._do(node, vote.on_timer(local))
            self.seen.add(node.quorum.verdict.ground)
        assert self.leased_apart() == [], self.now
        assert self.kept_apart() == [], self.now
        assert not self.steady or self.quorate_apart() == [], self.now

    def _do(self, node: Node, effects: list[DiskEffect]) -> None:
        for effect in effects:
            match effect:
                case Promised(lease):
                    node.quorum.promise(node.clock.read(self.now), lease)
                case Write(record) if self.reaches[node.name]:
                    self._write(node, record)
                case Write():
                    self.votes[node.name].on_failure()

    def _write(self, node: Node, record: Record) -> None:
        """Begin a write; it lands some time before it is done, and reading follows."""
        source, slot = self.source, self.slots[node.name]
        begun = self.now
        kind = source.choice(("good",) * 6 + ("torn", "lost", "lost")) if self.rough else "good"
        lands = begun + self._while()
        done = lands + self._while()
        if kind == "torn":
            torn = Sector(source.randbytes(8), None)
            self.later(lands, lambda: self._land(slot, torn))
        elif kind == "good":
            self.later(lands, lambda: self._land(slot, Sector(repr(record).encode(), record)))
        found: dict[int, Sector] = {}
        at = done
        order = list(self.slots.values())
        source.shuffle(order)
        for other in order:
            at += self._while() // 4
            self.later(at, lambda other=other: found.update({other: self.sectors[other]}))  # type: ignore[misc]
        self.free_at[node.name] = at
        looked = node.clock.read(done)
        vote = self.votes[node.name]
        self.later(at, lambda: self._read(node, vote, node.clock.read(begun), looked, found))

    def _land(self, slot: int, sector: Sector) -> None:
        self.sectors[slot] = sector

    def _read(
        self, node: Node, vote: DiskVote, begun: Instant, looked: Instant, found: dict[int, Sector]
    ) -> None:
        if not node.up or self.votes[node.name] is not vote:
            return
        if self.now < node.stalled_until:  # it is told when it goes on
            self.later(node.stalled_until, lambda: self._read(node, vote, begun, looked, found))
            self.free_at[node.name] = node.stalled_until
            return
        local = node.clock.read(self.now)
        self._do(node, vote.on_cycle(local, begun, looked, found))

    def _while(self) -> Duration:
        """Return how long a step of a disk takes."""
        if self.rough and self.source.random() < 0.06:
            return self.source.randrange(seconds(3))
        return self.source.randrange(milliseconds(8))

    def start(self, node: Node) -> None:
        """A machine comes back; what its disk was still doing is over (docs/adr/0029)."""
        if self.now < self.free_at[node.name]:
            return
        super().start(node)
        self.votes[node.name] = self._vote(node.name)


@pytest.mark.hunt
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_two_partitions_never_have_the_disks_vote_at_once(seed: int) -> None:
    source = random.Random(seed)
    shape, steady = source.choice(SHAPES), source.random() < 0.5
    world = Divided(seed, shape, steady=steady, rough=source.random() < 0.8)
    for _ in range(3_000):  # 15 s
        world.tick()
        if source.random() < (0.004 if world.steady else 0.012):
            world.misfortune()


def test_the_world_reaches_votes_open_ties_and_refusals() -> None:
    seen: set[Ground] = set()
    for seed in range(8):
        world = Divided(seed, SHAPES[seed % 2], steady=True, rough=False)
        for _ in range(3_000):
            world.tick()
            if world.source.random() < 0.004:
                world.misfortune()
        seen |= world.seen
    assert {Ground.LEASE, Ground.LEASE_OPEN, Ground.NO_LEASE, Ground.MAJORITY} <= seen


@pytest.mark.parametrize("dead", [True, False])
def test_one_half_goes_on_when_the_other_is_cut_off_or_dead(dead: bool) -> None:
    world = Divided(1, SHAPES[0], steady=True, rough=False)
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
