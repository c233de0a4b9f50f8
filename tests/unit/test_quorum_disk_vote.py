"""The shared disk's vote, step by step: who looks when at what."""

from dataclasses import replace

from standfest.core.quorum.disk import DiskVote, Flag, Promised, Record, Sector, Write
from standfest.model.quorum import NO_LEASE, Lease, Presence
from standfest.model.time import milliseconds, seconds

SLOTS = {"a": 0, "b": 1}
EMPTY = Sector(b"", None)
LEASE = seconds(1)
ALONE = Presence(frozenset("a"), 7, 1, enough=True, busy=True)


def vote(name: str = "a") -> DiskVote:
    return DiskVote(name, SLOTS, 1, milliseconds(200), LEASE)


def sector(record: Record) -> Sector:
    return Sector(repr(record).encode(), record)


def other(flag: Flag, number: int = 1, view: int = 0b10, votes: int = 1) -> Sector:
    return sector(Record(2, number, flag, view, votes, LEASE))


def written(machine: DiskVote, now: int) -> Record:
    effects = machine.on_timer(now)
    assert isinstance(effects[-1], Write)
    return effects[-1].record


def holder(now: int = 0) -> DiskVote:
    """Return a's machine, which has the vote until a second after `now`."""
    machine = vote()
    machine.present(now, ALONE)
    record = written(machine, now)
    assert record.flag is Flag.WANTS
    effects = machine.on_cycle(now, now, now, {0: sector(record), 1: EMPTY})
    assert effects == [Promised(Lease(7, now + LEASE, now + LEASE))]
    return machine


def test_nobody_elses_flag_is_up_so_it_has_the_vote_from_before_its_write() -> None:
    machine = vote()
    machine.present(0, ALONE)
    record = written(machine, seconds(5))
    # The write took 300 ms, reading 400 ms: the lease counts from before both.
    effects = machine.on_cycle(
        milliseconds(5_700), seconds(5), milliseconds(5_300), {0: sector(record), 1: EMPTY}
    )
    assert effects == [Promised(Lease(7, seconds(6), seconds(6)))]
    assert written(machine, milliseconds(5_700)).flag is Flag.HAS


def test_what_was_not_written_promises_nothing() -> None:
    machine = vote()
    machine.present(0, ALONE)
    written(machine, 0)
    assert machine.on_cycle(1, 0, 1, {0: EMPTY, 1: EMPTY}) == []  # lost
    record = written(machine, milliseconds(200))
    torn = Sector(b"half", None)
    assert machine.on_cycle(milliseconds(201), 0, 1, {0: torn, 1: EMPTY}) == []
    old = sector(replace(record, number=record.number - 1))
    assert machine.on_cycle(milliseconds(201), 0, 1, {0: old, 1: EMPTY}) == []
    assert (machine.failures, machine.lease) == (3, NO_LEASE)


def test_a_flag_is_down_when_it_was_seen_unchanged_for_longer_than_a_lease() -> None:
    machine = vote()
    machine.present(0, ALONE)
    stale = other(Flag.HAS, view=0b11, votes=2)  # b's last word before it died
    record = written(machine, 0)
    machine.on_cycle(0, 0, 0, {0: sector(record), 1: stale})
    # 1 s and a 32nd: 1,031.25 ms. Not before that, and not when only the reading took so long.
    for looked, now in ((1_031, 1_031), (1_000, 9_000)):
        at = milliseconds(now)
        record = written(machine, at)
        machine.on_cycle(at, at, milliseconds(looked), {0: sector(record), 1: stale})
        assert machine.lease.votes_until == 0
    at = milliseconds(10_000)
    record = written(machine, at)
    effects = machine.on_cycle(at, at, at, {0: sector(record), 1: stale})
    assert effects == [Promised(Lease(7, seconds(11), seconds(11)))]


def test_a_sector_that_nobody_can_read_is_a_flag_until_it_has_not_changed_for_a_lease() -> None:
    machine = vote()
    machine.present(0, ALONE)
    record = written(machine, 0)
    machine.on_cycle(0, 0, 0, {0: sector(record), 1: Sector(b"?", None)})
    assert machine.lease == NO_LEASE
    at = milliseconds(1_032)
    record = written(machine, at)
    machine.on_cycle(at, at, at, {0: sector(record), 1: Sector(b"?", None)})
    assert machine.lease.votes_until == at + LEASE


def test_a_holder_ignores_new_flags_only_while_its_own_lease_has_not_run_out() -> None:
    machine = holder()
    record = written(machine, milliseconds(500))
    assert record.flag is Flag.HAS
    wants = other(Flag.WANTS, votes=1)
    at = milliseconds(500)
    machine.on_cycle(at, at, at, {0: sector(record), 1: wants})
    assert machine.lease == Lease(7, milliseconds(1_500), milliseconds(1_500))
    # The next write takes until after that: b may have the vote by now, though it says WANTS.
    late = holder()
    record = written(late, milliseconds(500))
    at = milliseconds(1_001)
    late.on_cycle(at, milliseconds(500), at, {0: sector(record), 1: wants})
    assert late.lease.votes_until <= at
    assert late.lease.kept_until <= at


def test_nothing_is_kept_when_the_flag_was_not_up_without_a_break() -> None:
    machine = vote()
    machine.present(0, ALONE)
    record = written(machine, 0)
    # b's view still has a in it: it is waited for, and nothing is promised to who had nothing.
    machine.on_cycle(0, 0, 0, {0: sector(record), 1: other(Flag.HAS, view=0b11, votes=2)})
    assert machine.lease == NO_LEASE


def test_the_loser_is_busy_until_it_has_stopped_everything_and_then_down() -> None:
    machine = vote("b")
    presence = Presence(frozenset("b"), 3, 1, enough=True, busy=True)
    machine.present(0, presence)
    first = sector(Record(9, 1, Flag.WANTS, 0b01, 1, LEASE))  # a, the lower name
    record = written(machine, 0)
    machine.on_cycle(0, 0, 0, {0: first, 1: sector(record)})
    assert machine.refused_for == 0
    assert written(machine, milliseconds(1)).flag is Flag.BUSY
    idle = replace(presence, busy=False)
    assert machine.present(milliseconds(2), idle) == []
    record = written(machine, milliseconds(2))
    assert record.flag is Flag.DOWN
    # While a's partition comes first it stays down.
    at = milliseconds(3)
    machine.on_cycle(at, at, at, {0: first, 1: sector(record)})
    assert written(machine, milliseconds(300)).flag is Flag.DOWN
    gone = sector(Record(9, 2, Flag.DOWN, 0b01, 1, LEASE))
    record = written(machine, milliseconds(600))
    at = milliseconds(601)
    machine.on_cycle(at, at, at, {0: gone, 1: sector(record)})
    assert written(machine, milliseconds(602)).flag is Flag.WANTS


def test_a_view_that_comes_back_is_asked_for_anew() -> None:
    machine = holder()
    both = Presence(frozenset("ab"), 8, 2, enough=True, busy=True)
    assert machine.present(milliseconds(100), both) == [Promised(Lease(-1, 0, LEASE))]
    again = replace(ALONE, since=9)
    assert machine.present(milliseconds(200), again) == []
    assert (machine.lease.since, machine.lease.kept_until) == (-1, LEASE)
