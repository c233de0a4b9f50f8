"""Shared addresses in virtual time over a bad network: one owner per bucket at every instant.

Expected times: keepalive 100 ms, deadtime 1 s. After the last fault a member is found dead or alive
within a deadtime, a new daemon votes after another one, and votes go round in a few beats: 3 s.
"""

import os
import random
from collections.abc import Callable

import pytest

from standfest.core.sharing.machine import Sharing
from standfest.model.sharing import (
    HashMode,
    Layout,
    Member,
    NoQuorum,
    SharingSettings,
    as_buckets,
)
from standfest.model.time import Instant, milliseconds, seconds
from standfest.sim.sharing import Segment, Weather

SETTLED = seconds(3)
Scenario = Callable[[type[Sharing]], Segment]


def settings(members: int, no_quorum: NoQuorum = NoQuorum.STOP, weight: int = 1) -> SharingSettings:
    """Return members n0, n1, ... with eight buckets each; the first has a weight of its own."""
    names = tuple(Member(f"n{number}", 1 if number else weight) for number in range(members))
    layout = Layout(HashMode.SOURCE_IP_PORT, 8 * members, 0xC0FFEE)
    return SharingSettings(names, layout, milliseconds(100), seconds(1), no_quorum)


def segment(
    members: int,
    seed: int = 1,
    no_quorum: NoQuorum = NoQuorum.STOP,
    machine: type[Sharing] = Sharing,
) -> Segment:
    """Return a segment whose members have all started, and have settled."""
    found = Segment(settings(members, no_quorum), random.Random(seed), machine=machine)
    for name in found.nodes:
        found.start(name)
    found.run(seconds(2))
    return found


def shares(found: Segment) -> list[int]:
    """Return how many buckets each member answers."""
    return [len(found.answering(name).mine) for name in found.nodes]


def test_all_members_share_equally() -> None:
    assert shares(segment(3)) == [8, 8, 8]
    assert shares(segment(5)) == [8, 8, 8, 8, 8]


def test_loss_of_a_member_moves_its_buckets_alone_to_all_others() -> None:
    found = segment(5)
    before = {name: found.answering(name).mine for name in found.nodes}
    found.crash("n1")
    found.run(milliseconds(1060))  # the deadtime, and a few beats of at most 3 ms each way
    assert found.unanswered() == 0
    assert shares(found) == [10, 0, 10, 10, 10]  # 8 / 4 = 2 more
    for name in ("n0", "n2", "n3", "n4"):
        now = found.answering(name)
        assert before[name] < now.mine
        assert now.orphaned == now.mine  # nobody else has connections of any of these
    found.start("n1")
    found.run(milliseconds(2100))  # a deadtime until it votes
    assert {name: found.answering(name).mine for name in found.nodes} == before
    assert len(found.answering("n0").former) == 2
    assert found.violations == []


def test_a_draining_member_keeps_its_connections() -> None:
    found = segment(3)
    mine = found.answering("n2").mine
    found.drain("n2")
    found.run(milliseconds(50))
    assert shares(found) == [12, 12, 0]
    assert found.answering("n2").former == mine
    assert not found.answering("n0").orphaned & mine
    found.drain("n2", on=False)
    found.run(milliseconds(50))
    assert found.answering("n2").mine == mine
    assert found.violations == []


def test_a_daemon_that_comes_back_in_time_goes_on_answering() -> None:
    found = segment(3)
    before = {name: found.answering(name) for name in found.nodes}
    found.kill("n0")
    found.run(milliseconds(500))
    found.start("n0")
    for _ in range(20):
        found.run(milliseconds(100))
        assert {name: found.answering(name) for name in found.nodes} == before
    assert found.violations == []


def test_the_filter_ends_what_a_hanging_daemon_answers_before_others_take_over() -> None:
    found = segment(3)
    found.pause("n0")
    found.run(milliseconds(960))  # deadtime - 5 % after its last beat at the latest
    assert not found.answering("n0").mine
    assert found.unanswered() == 8
    found.run(milliseconds(140))
    assert found.unanswered() == 0
    found.resume("n0")
    found.run(seconds(2))
    assert shares(found) == [8, 8, 8]
    assert found.violations == []


def test_a_minority_answers_nothing() -> None:
    found = segment(3)
    found.cut |= {("n0", "n1"), ("n0", "n2"), ("n1", "n0"), ("n2", "n0")}
    found.run(milliseconds(1100))
    assert shares(found) == [0, 12, 12]
    found.cut.clear()
    found.run(milliseconds(300))
    assert shares(found) == [8, 8, 8]
    assert found.violations == []


def test_whoever_is_heard_but_does_not_hear_lets_go() -> None:
    found = segment(3)
    found.cut |= {("n1", "n0"), ("n2", "n0")}
    found.run(seconds(2))
    assert found.violations == []
    assert shares(found)[0] == 0


def test_of_two_the_other_stops_unless_told_to_ignore_it() -> None:
    stops = segment(2)
    stops.crash("n1")
    stops.run(seconds(2))
    assert shares(stops) == [0, 0]
    goes_on = segment(2, no_quorum=NoQuorum.IGNORE)
    mine = goes_on.answering("n0").mine
    goes_on.crash("n1")
    for _ in range(106):
        goes_on.run(milliseconds(10))
        assert goes_on.answering("n0").mine >= mine  # its own are answered all the time
    assert shares(goes_on) == [16, 0]
    assert goes_on.violations == []


@pytest.mark.parametrize("loses", [Segment.kill, Segment.crash])
def test_with_ignore_a_return_takes_nothing_from_who_went_on(
    loses: Callable[[Segment, str], None],
) -> None:
    found = segment(2, no_quorum=NoQuorum.IGNORE)
    mine = found.answering("n0").mine
    loses(found, "n1")
    found.run(seconds(2))
    assert shares(found)[0] == 16
    found.start("n1")
    for _ in range(2000):
        found.run(milliseconds(1))
        answering = found.answering("n0")
        assert answering.mine >= mine  # its own are answered all the time
        assert len(answering.mine | answering.former) == 16  # and connections of all others
    assert shares(found) == [8, 8]
    assert found.violations == []


def test_with_ignore_a_daemon_that_stood_still_reads_what_has_come_before_it_takes_anything() -> (
    None
):
    found = Segment(settings(2, no_quorum=NoQuorum.IGNORE), random.Random(1))
    for name in found.nodes:
        found.start(name)
    found.run(milliseconds(20))
    found.pause("n1")  # until it may vote, a deadtime after its start, and the other thinks it dead
    found.run(milliseconds(1000))
    assert shares(found) == [16, 0]
    found.resume("n1")
    found.run(seconds(1))
    assert found.violations == []
    assert shares(found) == [8, 8]


def test_with_ignore_whoever_stood_still_and_answers_is_counted() -> None:
    found = segment(2, no_quorum=NoQuorum.IGNORE)
    found.kill("n0")
    found.run(seconds(2))
    assert shares(found) == [0, 16]
    found.pause("n1")
    found.run(milliseconds(640))  # less than its lease: it answers all
    found.start("n0")
    found.resume("n1")
    found.run(seconds(2))
    assert found.violations == []
    assert shares(found) == [8, 8]


@pytest.mark.parametrize("no_quorum", NoQuorum)
def test_a_daemon_that_stood_still_for_less_than_its_lease_keeps_what_it_answers(
    no_quorum: NoQuorum,
) -> None:
    found = segment(2 if no_quorum is NoQuorum.IGNORE else 3, no_quorum=no_quorum)
    mine = found.answering("n0").mine
    found.pause("n0")
    found.run(milliseconds(400))
    found.resume("n0")
    for _ in range(1000):
        found.run(milliseconds(1))
        assert found.answering("n0").mine == mine
    assert found.violations == []


def test_with_ignore_a_segment_that_was_cut_has_two_owners_for_a_beat_after_it_heals() -> None:
    found = segment(2, no_quorum=NoQuorum.IGNORE)
    found.nodes["n1"].unplugged = True  # from the other member, and from all clients here
    found.run(seconds(3))
    assert shares(found) == [16, 0]
    assert found.violations == []
    found.nodes["n1"].unplugged = False
    healed = found.now
    found.run(seconds(2))
    last = max(int(violation.partition(":")[0]) for violation in found.violations)
    assert last - healed <= milliseconds(100 + 3)  # until the next beat has come
    assert shares(found) == [8, 8]


def test_whoever_shares_by_another_layout_stands_by() -> None:
    found = Segment(settings(3), random.Random(1))
    for name in ("n0", "n1"):
        found.start(name)
    found.run(seconds(2))

    class Other(Sharing):
        """A member with another seed in its file."""

        def __init__(self, **given: object) -> None:
            super().__init__(**{**given, "digest": 2})  # type: ignore[arg-type]

    found._machine = Other
    found.start("n2")
    found.run(seconds(3))
    assert shares(found) == [12, 12, 0]
    assert found.violations == []


# --- random faults ------------------------------------------------------------------------------


def trouble(found: Segment, source: random.Random, *, cuts: bool) -> None:
    """Do one thing to the members, or end it."""
    name = source.choice(tuple(found.nodes))
    node = found.nodes[name]
    what = source.randrange(8 if cuts else 5)
    if what == 0 and not node.off:
        found.crash(name)
    elif what == 1 and not node.paused and node.machine is not None:
        found.kill(name)
    elif what == 2:
        found.resume(name) if node.paused else found.pause(name)
    elif what == 3 and node.machine is None:
        found.start(name)
    elif what == 4:
        found.drain(name, on=source.random() < 0.5)
    elif what == 5:
        found.cut.add((name, source.choice(tuple(found.nodes))))
    elif what == 6:
        found.cut.clear()
    elif what == 7:
        part = set(source.sample(tuple(found.nodes), source.randrange(1, len(found.nodes))))
        found.cut |= {
            (a, b) for a in found.nodes for b in found.nodes if (a in part) != (b in part)
        }


def recover(found: Segment) -> None:
    """End all faults."""
    found.cut.clear()
    found.weather = Weather()
    for name, node in found.nodes.items():
        found.resume(name)
        if node.machine is None:
            found.start(name)
        found.drain(name, on=False)


def ordeal(
    seed: int, machine: type[Sharing] = Sharing, no_quorum: NoQuorum = NoQuorum.STOP
) -> Segment:
    """Run members through twenty faults; the network is bad where a majority decides."""
    source = random.Random(seed)
    strict = no_quorum is NoQuorum.STOP
    members = source.randrange(3, 6) if strict else 2
    weather = Weather()
    if strict:
        late = milliseconds(source.choice((3, 30, 400)))
        weather = Weather(source.choice((0, 0.1, 0.4)), source.choice((0, 0.3)), max_delay=late)
    weight = source.choice((1, 1, 3, 0))
    found = Segment(settings(members, no_quorum, weight), source, weather, machine)
    for node in found.nodes.values():
        node.rate = source.randrange(990, 1011)
    for name in found.nodes:
        found.start(name)
    for _ in range(20):
        found.run(source.choice((0, 20, 100, 300, 900, 1500)) * milliseconds(1))
        trouble(found, source, cuts=strict)
        if found.violations:
            return found
    recover(found)
    found.run(SETTLED)
    return found


def seeds(count: int) -> range:
    """Return some seeds: fresh ones in a hunt."""
    first = int(os.environ.get("STANDFEST_HUNT_SEED", "1"))
    return range(first, first + count)


@pytest.mark.parametrize("no_quorum", NoQuorum)
def test_one_owner_at_every_instant_and_all_answered_in_the_end(no_quorum: NoQuorum) -> None:
    for seed in seeds(40):
        found = ordeal(seed, no_quorum=no_quorum)
        assert found.violations == [], seed
        assert found.unanswered() == 0, seed
        for node in found.nodes.values():
            assert node.machine is not None
            wishes = node.machine.wishes(found._clock(node))
            assert as_buckets(found.answering(node.name).mine) == wishes[node.name], seed


# --- seeded bugs --------------------------------------------------------------------------------


class HandsOverInOneStep(Sharing):
    """Takes what it wants without waiting for its owner to let go."""

    def _count(self, now: Instant) -> None:
        super()._count(now)
        self._holds |= self._wants
        self._ends = {now + self._lease: self._holds}


class ForgetsVotes(Sharing):
    """Votes at once after a start, and does not know for whom it had voted."""

    def start(self, now, answering, left, votes):  # type: ignore[no-untyped-def]
        del votes
        return super().start(now, answering, left, {})


class CountsOldVotes(Sharing):
    """Counts votes from before it let a bucket go and asked for it again."""

    def _wish(self, now: Instant) -> None:
        kept = {name: peer.support for name, peer in self.peers.items()}
        super()._wish(now)
        for name, support in kept.items():
            self.peers[name].support = support


class VotesTwice(Sharing):
    """Gives a vote to whoever asks, while another one may still answer."""

    def _vote(self, now: Instant) -> None:
        self._votes = {}
        super()._vote(now)


class LeaseOfTheDeadtimeFromNow(Sharing):
    """Believes that it has been heard when it hears."""

    def _support(self, now, beat):  # type: ignore[no-untyped-def]
        found = super()._support(now, beat)
        return type(found)(found.buckets, now + self.settings.deadtime)


class ResetsWhateverItTakes(Sharing):
    """Takes the connections of all buckets for orphans."""

    def _open_elsewhere(self) -> int:
        return 0


def both_voters_start_anew(machine: type[Sharing]) -> Segment:
    """The majority loses its power and its memory while the third is cut off and still answers."""
    found = segment(3, machine=machine)
    found.cut |= {("n0", "n1"), ("n0", "n2"), ("n1", "n0"), ("n2", "n0")}
    found.run(milliseconds(5))  # what was on its way has come
    for name in ("n1", "n2"):
        found.crash(name)
        found.start(name)
    found.run(seconds(3))
    return found


def old_votes_are_all_that_is_heard(machine: type[Sharing]) -> Segment:
    """A member that has let its buckets go asks for them again, and hears no new votes."""
    found = segment(5, machine=machine)
    for name in ("n1", "n2", "n3", "n4"):
        found.drain(name)
    found.run(milliseconds(150))
    found.cut |= {("n1", "n0"), ("n3", "n0"), ("n4", "n0")}
    for name, on in (("n3", False), ("n2", False), ("n2", True)):
        found.drain(name, on=on)
        found.run(milliseconds(30))
    found.run(seconds(3))
    return found


def a_member_falls_silent_before_it_is_deaf(machine: type[Sharing]) -> Segment:
    """First nobody hears it, later it hears nobody."""
    found = segment(3, machine=machine)
    found.cut |= {("n0", "n1"), ("n0", "n2")}
    found.run(milliseconds(900))
    found.cut |= {("n1", "n0"), ("n2", "n0")}
    found.run(seconds(2))
    return found


def random_faults(machine: type[Sharing]) -> Segment:
    """Return the first of thirty ordeals with a violation."""
    tried = (ordeal(seed, machine) for seed in range(1, 31))
    return next(found for found in tried if found.violations)


@pytest.mark.parametrize(
    "scenario",
    [
        both_voters_start_anew,
        old_votes_are_all_that_is_heard,
        a_member_falls_silent_before_it_is_deaf,
    ],
)
def test_the_machine_withstands_what_catches_bugs(scenario: Scenario) -> None:
    assert scenario(Sharing).violations == []


@pytest.mark.parametrize(
    ("bug", "scenario"),
    [
        (HandsOverInOneStep, random_faults),
        (ForgetsVotes, both_voters_start_anew),
        (CountsOldVotes, old_votes_are_all_that_is_heard),
        (VotesTwice, random_faults),
        (LeaseOfTheDeadtimeFromNow, a_member_falls_silent_before_it_is_deaf),
        (ResetsWhateverItTakes, random_faults),
    ],
)
def test_seeded_bugs_are_caught(bug: type[Sharing], scenario: Scenario) -> None:
    assert scenario(bug).violations
