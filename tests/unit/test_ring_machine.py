"""The ring machine: what a cluster daemon is told, and when, whatever comes first."""

from collections.abc import Sequence
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standfest.core.ring.effects import (
    Deliver,
    Departed,
    Dropped,
    Effects,
    Heard,
    Isolated,
    Lost,
    Multicast,
    Mute,
    Reset,
    Settled,
    Unnamed,
    Verdict,
)
from standfest.core.ring.fragments import Assembly, cut
from standfest.core.ring.machine import Ring
from standfest.model.errors import OperationError
from standfest.model.ring import (
    Absence,
    Beat,
    Farewell,
    Fragment,
    GroupChanged,
    Process,
    QuorumChanged,
    RingChanged,
    RingEvent,
)
from standfest.model.time import milliseconds, seconds

NAMES = ((1, "alice"), (2, "bob"), (3, "carol"))
ALICE, BOB, CAROL = Process(1, 100), Process(2, 100), Process(3, 100)
YES = Verdict(True, "")
NO = Verdict(False, "no-quorum")
PATIENCE = seconds(2)


def feed(ring: Ring, now: int, events: Sequence[RingEvent]) -> Effects:
    effects: Effects = []
    for event in events:
        match event:
            case RingChanged():
                effects += ring.ring(now, event)
            case GroupChanged():
                effects += ring.group(now, event)
            case QuorumChanged():
                effects += ring.quorum(now, event)
            case _:
                raise AssertionError(event)
    return effects


def connected() -> Ring:
    ring = Ring(0)
    assert ring.connect(0, 1, NAMES, patience=PATIENCE, has_votes=True) == []
    return ring


def together(*processes: Process, nodes: tuple[int, ...] = (), sequence: int = 8) -> Ring:
    """Return alice's machine in a quorate ring with the others, and with nodes without our own."""
    ring = connected()
    nodes = (*(process.node for process in (ALICE, *processes)), *nodes)
    feed(
        ring,
        0,
        [
            GroupChanged((ALICE, *processes), ()),
            RingChanged(sequence, nodes),
            QuorumChanged(sequence, True),
        ],
    )
    wait(ring, seconds(3) if nodes[len(processes) + 1 :] else 0)
    return ring


def wait(ring: Ring, until: int) -> Effects:
    """Let time pass while everything we say to ourselves comes back; return what is told."""
    effects: Effects = []
    while (at := ring.deadline()) is not None and at <= until:
        for effect in ring.on_timer(at):
            if isinstance(effect, Multicast):
                effects += ring.receive(at, ALICE, effect.message)
            else:
                effects.append(effect)
    return effects


def told(effects: Effects) -> Effects:
    """Return what is for the cluster daemon."""
    return [e for e in effects if not isinstance(e, Multicast)]


FIRST: tuple[RingEvent, ...] = (
    GroupChanged((ALICE, BOB), ()),
    RingChanged(8, (1, 2)),
    QuorumChanged(8, True),
)


@pytest.mark.parametrize("events", list(permutations(FIRST)))
def test_quorum_is_told_with_the_nodes_that_bring_it_whatever_comes_first(
    events: tuple[RingEvent, ...],
) -> None:
    assert feed(connected(), 0, events) == [Heard("bob"), YES, Settled()]


ALONE: tuple[RingEvent, ...] = (
    GroupChanged((ALICE,), ((BOB, Absence.NODE_DOWN),)),
    RingChanged(12, (1,)),
    QuorumChanged(12, False),
)


@pytest.mark.parametrize("events", list(permutations(ALONE)))
def test_a_node_is_given_up_only_after_its_loss_has_cost_the_quorum(
    events: tuple[RingEvent, ...],
) -> None:
    assert feed(together(BOB), 0, events) == [NO, Lost("bob", False)]


BACK: tuple[RingEvent, ...] = (
    GroupChanged((ALICE, BOB), ()),
    RingChanged(16, (1, 2)),
    QuorumChanged(16, True),
)


@pytest.mark.parametrize("events", list(permutations(BACK)))
def test_a_minority_that_is_healed_hears_the_others_before_it_may_act(
    events: tuple[RingEvent, ...],
) -> None:
    ring = together(BOB)
    feed(ring, 0, ALONE)
    assert feed(ring, 0, events) == [Heard("bob"), YES]


def test_a_node_without_our_process_holds_up_the_quorum_for_three_seconds() -> None:
    ring = connected()
    assert feed(ring, 0, [GroupChanged((ALICE,), ()), *FIRST[1:]]) == []
    assert wait(ring, seconds(3) - 1) == []
    assert wait(ring, seconds(3)) == [YES, Settled()]


def test_a_ring_that_left_one_out_and_has_it_back_loses_it_first() -> None:
    # A ring in between was never told: node 2 went and came within one change.
    ring = together(BOB, CAROL)
    bob = Process(2, 200)
    effects = feed(
        ring,
        0,
        [
            GroupChanged((ALICE, CAROL), ((BOB, Absence.NODE_DOWN),)),
            GroupChanged((ALICE, bob, CAROL), ()),
            RingChanged(16, (1, 2, 3)),
            QuorumChanged(16, True),
        ],
    )
    assert effects == [Lost("bob", False), Heard("bob")]


def test_votes_that_never_judge_the_ring_count_as_no_after_two_seconds() -> None:
    ring = together(BOB)
    assert feed(ring, 0, [GroupChanged((ALICE,), ((BOB, Absence.NODE_DOWN),))]) == []
    assert feed(ring, 0, [RingChanged(12, (1,))]) == []
    assert wait(ring, seconds(2) - 1) == []
    assert wait(ring, seconds(2)) == [Verdict(False, "no-votes"), Lost("bob", False)]


def test_votes_for_a_ring_that_is_never_told_count_as_no_after_two_seconds() -> None:
    ring = together(BOB)
    assert wait(ring, seconds(5)) == []
    assert ring.quorum(seconds(5), QuorumChanged(12, True)) == []
    assert wait(ring, seconds(7) - 1) == []
    assert wait(ring, seconds(7)) == [Verdict(False, "no-votes")]


def test_without_quorum_others_are_waited_for_ten_seconds_before_that_is_all() -> None:
    ring = connected()
    assert feed(ring, 0, [GroupChanged((ALICE,), ()), *ALONE[1:]]) == [NO]
    assert wait(ring, seconds(10) - 1) == []
    assert wait(ring, seconds(10)) == [Settled()]


def test_a_restarted_process_is_a_reset_and_one_that_stays_away_is_mute() -> None:
    ring = together(BOB)
    down = GroupChanged((ALICE,), ((BOB, Absence.PROCESS_DOWN),))
    assert ring.group(0, down) == []
    assert wait(ring, seconds(2) - 1) == []
    assert ring.group(seconds(2) - 1, GroupChanged((ALICE, Process(2, 200)), ())) == [Reset("bob")]
    assert wait(ring, seconds(3)) == []
    down = GroupChanged((ALICE,), ((Process(2, 200), Absence.PROCESS_DOWN),))
    assert ring.group(seconds(3), down) == []
    assert wait(ring, seconds(5) - 1) == []
    assert wait(ring, seconds(5)) == [Mute("bob")]
    # Its machine still counts: only when that is gone, too, may others take over.
    assert feed(ring, seconds(5), [RingChanged(12, (1,)), QuorumChanged(12, True)]) == [
        Lost("bob", False)
    ]


def test_whoever_says_farewell_has_left_and_is_not_heard_again() -> None:
    ring = together(BOB, nodes=(3,))
    assert ring.receive(0, BOB, Farewell()) == [Lost("bob", True)]
    assert ring.group(0, GroupChanged((ALICE, BOB, CAROL), ())) == [Heard("carol")]
    assert ring.group(0, GroupChanged((ALICE, CAROL), ((BOB, Absence.PROCESS_DOWN),))) == []
    # The machine may have been started anew and give the same process id.
    assert ring.group(0, GroupChanged((ALICE, BOB, CAROL), ())) == [Heard("bob")]


def test_our_own_farewell_is_known_when_it_comes_back_or_after_two_seconds() -> None:
    ring = together(BOB)
    assert ring.leave(0) == [Multicast(Farewell())]
    assert ring.receive(0, ALICE, Farewell()) == [Departed()]
    assert ring.leave(0) == [Multicast(Farewell())]
    assert told(ring.on_timer(seconds(2))) == [Departed()]


def test_payloads_are_for_one_or_for_all_and_wait_for_the_votes() -> None:
    ring = together(BOB)
    everybody = Fragment(8, 0, 1, 0, 1, b"all")
    assert ring.receive(0, BOB, everybody) == [Deliver("bob", b"all")]
    assert ring.receive(0, BOB, Fragment(8, 3, 2, 0, 1, b"for carol")) == []
    ring.group(0, GroupChanged((ALICE, BOB, CAROL), ()))
    assert ring.receive(0, CAROL, Fragment(12, 1, 0, 0, 1, b"zeroth")) == []
    ring.ring(0, RingChanged(12, (1, 2, 3)))
    assert ring.receive(0, CAROL, Fragment(12, 1, 1, 0, 1, b"first")) == []
    assert ring.receive(0, BOB, Fragment(12, 1, 3, 0, 1, b"second")) == []
    assert ring.quorum(0, QuorumChanged(12, True)) == [
        Heard("carol"),
        Deliver("carol", b"zeroth"),
        Deliver("carol", b"first"),
        Deliver("bob", b"second"),
    ]


def test_a_payload_from_before_the_sender_was_lost_is_stale() -> None:
    ring = together(BOB)
    feed(ring, 0, ALONE)
    feed(ring, 0, BACK)
    assert ring.receive(0, BOB, Fragment(8, 1, 9, 0, 1, b"old")) == [Dropped("ring-stale")]
    assert ring.receive(0, BOB, Fragment(16, 1, 10, 0, 1, b"new")) == [Deliver("bob", b"new")]
    assert ring.receive(0, CAROL, Fragment(16, 1, 1, 0, 1, b"?")) == [Dropped("ring-stranger")]


def test_submitted_payloads_carry_the_ring_that_was_told_and_names_must_be_known() -> None:
    ring = together(BOB)
    assert ring.submit(0, b"hello", "bob") == [Multicast(Fragment(8, 2, 1, 0, 1, b"hello"))]
    ring.ring(0, RingChanged(12, (1, 2)))  # not judged yet: the cluster daemon lives in ring 8
    assert ring.submit(0, b"hello", "") == [Multicast(Fragment(8, 0, 2, 0, 1, b"hello"))]
    with pytest.raises(OperationError, match="no node dave"):
        ring.submit(0, b"hello", "dave")


def test_without_corosync_everything_is_let_go_and_is_back_with_the_others() -> None:
    ring = together(BOB)
    gone = [Verdict(False, "corosync-gone"), Isolated(True), Lost("bob", False)]
    assert ring.disconnect(seconds(1), "corosync-gone") == gone
    assert ring.submit(0, b"hello", "bob") == []
    assert ring.leave(seconds(1)) == [Departed()]
    ring.connect(seconds(2), 1, NAMES, patience=PATIENCE, has_votes=True)
    # Settled only once; Isolated ends when the others are heard.
    assert feed(ring, seconds(2), BACK) == [Heard("bob"), YES, Isolated(False)]


def test_a_corosync_that_never_comes_settles_without_quorum_after_three_seconds() -> None:
    ring = Ring(0)
    assert ring.deadline() == seconds(3)
    assert ring.on_timer(seconds(3)) == [
        Verdict(False, "no-corosync"),
        Isolated(True),
        Settled(),
    ]


def test_a_ring_that_carries_nothing_is_noticed_and_believed_again_when_it_does() -> None:
    ring = together(BOB)
    # A message to ourselves every 2 s / 8 = 250 ms; the ring counts as silent after 2 x 2 s.
    now = 0
    effects: Effects = []
    while not told(effects):
        at = ring.deadline()
        assert at is not None
        now = at
        effects = ring.on_timer(now)
    assert now == seconds(4) + milliseconds(250)
    assert told(effects) == [Verdict(False, "ring-silent"), Isolated(True), Lost("bob", False)]
    assert ring.receive(now, ALICE, Beat(1)) == []  # said before: proves nothing
    [said] = [effect.message for effect in effects if isinstance(effect, Multicast)]
    assert ring.receive(now, ALICE, said) == [Heard("bob"), YES, Isolated(False)]


def test_a_pause_longer_than_the_others_patience_lets_go_before_anything_else() -> None:
    ring = together(BOB)
    ring.on_timer(0)
    late = milliseconds(250) + PATIENCE + 1
    assert told(ring.on_timer(late)) == [
        Verdict(False, "paused"),
        Isolated(True),
        Lost("bob", False),
    ]


def test_a_corosync_that_hangs_is_a_corosync_that_is_gone() -> None:
    ring = together(BOB)
    assert ring.stall(0) == [
        Verdict(False, "corosync-hangs"),
        Isolated(True),
        Lost("bob", False),
    ]
    assert ring.stall(1) == []


def test_a_cluster_daemon_that_comes_later_is_told_all_of_it() -> None:
    ring = together(BOB)
    ring.group(0, GroupChanged((ALICE,), ((BOB, Absence.PROCESS_DOWN),)))
    wait(ring, seconds(2))
    assert ring.picture() == [
        YES,
        Isolated(False),
        Lost("carol", False),
        Heard("bob"),
        Mute("bob"),
        Settled(),
    ]


def test_without_votes_a_majority_of_the_nodes_in_the_ring_counts() -> None:
    ring = Ring(0)
    ring.connect(0, 1, NAMES, patience=PATIENCE, has_votes=False)
    assert feed(ring, 0, FIRST[:2]) == [Heard("bob"), YES, Settled()]  # 2 of 3
    no = Verdict(False, "no-majority")  # 1 of 3
    assert feed(ring, 0, ALONE[:2]) == [no, Lost("bob", False)]


def test_a_node_whose_name_is_unknown_is_asked_for_once_and_heard_then() -> None:
    ring = together(BOB, nodes=(4,))
    dave = Process(4, 100)
    assert ring.group(0, GroupChanged((ALICE, BOB, dave), ())) == [Unnamed((4,))]
    assert ring.group(0, GroupChanged((ALICE, BOB, dave), ())) == []
    assert ring.name(0, ((4, "dave"),)) == [Heard("dave")]


@given(st.binary(max_size=500), st.integers(1, 100))
def test_a_payload_that_was_cut_is_whole_again(payload: bytes, size: int) -> None:
    assembly = Assembly()
    parts = list(cut(payload, size, ring=1, destination=0, message=1))
    assert [assembly.add(part) for part in parts[:-1]] == [None] * (len(parts) - 1)
    assert assembly.add(parts[-1]) == payload
    assert assembly.broken == 0


PARTS = st.builds(
    Fragment,
    st.just(1),
    st.just(0),
    st.integers(0, 2),
    st.integers(0, 3),
    st.just(4),
    st.binary(min_size=1, max_size=2),
)


@given(st.lists(PARTS, max_size=40))
def test_parts_in_any_order_make_a_payload_only_when_four_follow_each_other(
    parts: list[Fragment],
) -> None:
    assembly = Assembly()
    for position, part in enumerate(parts):
        whole = assembly.add(part)
        last = parts[max(0, position - 3) : position + 1]
        run = [(p.message, p.index) for p in last] == [(part.message, n) for n in range(4)]
        assert (whole is not None) == run
        if whole is not None:
            assert whole == b"".join(p.content for p in last)
