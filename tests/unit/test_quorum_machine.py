"""Whose partition may act: votes, rules, and ties."""

import pytest

from standfest.core.quorum.machine import Judged, Quorum, SeenAll
from standfest.model.element import Element
from standfest.model.quorum import (
    Breaker,
    Ground,
    Lease,
    Mandate,
    QuorumRules,
    Weight,
    one_vote_each,
)
from standfest.model.time import milliseconds, seconds
from standfest.runtime.cluster.partition import Partition
from standfest.runtime.cluster.settings import ClusterSettings

A, B = frozenset({"a"}), frozenset({"a", "b"})
TWO = (("a", 1), ("b", 1))


def machine(rules: QuorumRules, *, seen_all: bool = True) -> Quorum:
    return Quorum(rules, "a", 0, seen_all=seen_all)


def says(quorum: Quorum) -> tuple[Mandate, Ground]:
    return quorum.verdict.mandate, quorum.verdict.ground


@pytest.mark.parametrize(
    ("votes", "nodes", "weight"),
    [
        ((1, 1, 1), "ab", Weight.MORE),  # 2 of 3
        ((1, 1, 1), "c", Weight.LESS),
        ((2, 1, 1), "a", Weight.HALF),  # 2 of 4
        ((2, 1, 1), "bc", Weight.HALF),
        ((3, 1, 1), "a", Weight.MORE),  # 3 of 5
        ((0, 1, 1), "a", Weight.LESS),
        ((0, 0, 0), "abc", Weight.LESS),  # no votes are no half
        ((1, 1, 0), "ax", Weight.HALF),  # a stranger has none
    ],
)
def test_votes_are_weighed_against_half_of_all(
    votes: tuple[int, ...], nodes: str, weight: Weight
) -> None:
    rules = QuorumRules(tuple(zip("abc", votes, strict=True)))
    assert rules.weigh(set(nodes)) is weight


def test_more_than_half_is_quorum_and_half_alone_is_not() -> None:
    quorum = machine(one_vote_each("ab"))
    assert (quorum.rules.expected, quorum.rules.needed) == (2, 2)
    assert says(quorum) == (Mandate.LOST, Ground.TIE)
    assert quorum.present(0, B) == [Judged(quorum.verdict)]
    assert says(quorum) == (Mandate.QUORATE, Ground.MAJORITY)
    quorum.present(seconds(1), A)
    assert says(quorum) == (Mandate.LOST, Ground.TIE)


def test_a_majority_that_lost_nodes_starts_nothing_before_they_must_have_noticed() -> None:
    rules = QuorumRules((("a", 1), ("b", 1), ("c", 1)), settle=milliseconds(200))
    quorum = machine(rules)
    quorum.present(0, frozenset("abc"))
    assert says(quorum) == (Mandate.QUORATE, Ground.MAJORITY)  # nobody was lost
    quorum.present(seconds(1), B)
    assert says(quorum) == (Mandate.OPEN, Ground.SETTLING)
    assert quorum.deadline() == milliseconds(1_200)
    quorum.fence(seconds(1), usable=True)
    assert says(quorum) == (Mandate.QUORATE, Ground.MAJORITY)
    quorum.fence(seconds(1), usable=False)
    quorum.on_timer(milliseconds(1_200))
    assert says(quorum) == (Mandate.QUORATE, Ground.MAJORITY)
    assert quorum.deadline() is None
    quorum.present(seconds(2), frozenset("abc"))
    quorum.present(seconds(3), B, left=True)
    assert says(quorum) == (Mandate.QUORATE, Ground.MAJORITY)


def test_wait_for_all_waits_for_all_once() -> None:
    rules = QuorumRules((("a", 1), ("b", 1), ("c", 1)), wait_for_all=True)
    quorum = machine(rules, seen_all=False)
    quorum.present(0, B)  # 2 of 3
    assert says(quorum) == (Mandate.LOST, Ground.WAITING)
    effects = quorum.present(1, frozenset("abc"))
    assert effects == [SeenAll(), Judged(quorum.verdict)]
    assert quorum.verdict.quorate
    quorum.present(2, B)
    assert quorum.verdict.quorate
    again = machine(rules, seen_all=True)  # the daemon alone was started again
    again.present(0, B)
    assert again.verdict.quorate


def test_the_two_node_rule_counts_with_fencing_only() -> None:
    quorum = machine(QuorumRules(TWO, two_node=True))
    assert says(quorum) == (Mandate.LOST, Ground.TWO_NODE_UNFENCED)
    quorum.fence(1, usable=True)
    assert says(quorum) == (Mandate.QUORATE, Ground.TWO_NODE)
    fresh = machine(QuorumRules(TWO, two_node=True), seen_all=False)
    fresh.fence(1, usable=True)
    assert says(fresh) == (Mandate.LOST, Ground.WAITING)  # it waits for all without being told


def test_a_ping_counts_with_fencing_only() -> None:
    quorum = machine(QuorumRules(TWO, breaker=Breaker.PING))
    quorum.reach(0, reachable=True)
    assert says(quorum) == (Mandate.LOST, Ground.PING_UNFENCED)
    quorum.fence(1, usable=True)
    assert says(quorum) == (Mandate.QUORATE, Ground.PING)
    quorum.reach(2, reachable=False)
    assert says(quorum) == (Mandate.LOST, Ground.NO_PING)


def test_the_chosen_node_breaks_ties_for_its_own_half_only() -> None:
    rules = QuorumRules(TWO, breaker=Breaker.NODE, tie_node="b")
    assert says(machine(rules)) == (Mandate.LOST, Ground.OTHER_NODE)
    other = Quorum(rules, "b", 0, seen_all=True)
    assert says(other) == (Mandate.QUORATE, Ground.NODE)


LEASED = QuorumRules(TWO, breaker=Breaker.SERVER, settle=milliseconds(500))


def with_both_and_then_alone() -> Quorum:
    """Return a machine that has lost b at 10 s; nobody has the vote before 10.7 s."""
    quorum = machine(LEASED)
    quorum.present(seconds(1), B)
    quorum.promise(seconds(9), Lease(quorum.since, milliseconds(10_700), milliseconds(10_700)))
    quorum.present(seconds(10), A)
    return quorum


def test_a_tie_is_open_while_nobody_else_can_have_the_vote() -> None:
    quorum = with_both_and_then_alone()
    assert says(quorum) == (Mandate.OPEN, Ground.LEASE_OPEN)
    assert quorum.deadline() == milliseconds(10_500)
    quorum.on_timer(milliseconds(10_699))
    assert says(quorum) == (Mandate.OPEN, Ground.LEASE_OPEN)
    quorum.on_timer(milliseconds(10_700))
    assert says(quorum) == (Mandate.LOST, Ground.NO_LEASE)


def test_a_vote_counts_when_the_loss_has_settled_and_until_it_ends() -> None:
    quorum = with_both_and_then_alone()
    quorum.promise(milliseconds(10_100), Lease(seconds(10), seconds(11), seconds(11)))
    assert says(quorum) == (Mandate.OPEN, Ground.LEASE_OPEN)
    assert quorum.deadline() == milliseconds(10_500)
    quorum.on_timer(milliseconds(10_500))
    assert says(quorum) == (Mandate.QUORATE, Ground.LEASE)
    assert quorum.deadline() == seconds(11)
    # It stood still: whatever comes first, the lease is over before anything is done.
    effects = quorum.reach(seconds(12), reachable=True)
    assert effects == [Judged(quorum.verdict)]
    assert says(quorum) == (Mandate.LOST, Ground.NO_LEASE)


def test_a_vote_for_a_view_that_comes_back_is_none() -> None:
    quorum = with_both_and_then_alone()
    mine = Lease(quorum.since, seconds(20), seconds(20))
    quorum.promise(seconds(11), mine)
    assert quorum.verdict.quorate
    quorum.present(seconds(12), B)
    quorum.present(seconds(13), A)
    quorum.on_timer(seconds(14))
    assert says(quorum) == (Mandate.OPEN, Ground.LEASE_OPEN)  # kept, but no vote of this view


def test_who_has_lost_starts_nothing_on_an_open_tie() -> None:
    quorum = with_both_and_then_alone()
    quorum.on_timer(seconds(11))
    quorum.promise(seconds(12), Lease(-1, 0, seconds(20)))
    assert says(quorum) == (Mandate.LOST, Ground.NO_LEASE)


def test_a_daemon_that_starts_keeps_what_runs_until_the_tiebreaker_may_have_spoken() -> None:
    quorum = machine(LEASED)
    assert says(quorum) == (Mandate.OPEN, Ground.LEASE_OPEN)
    assert quorum.deadline() == milliseconds(500)
    quorum.on_timer(milliseconds(500))
    assert says(quorum) == (Mandate.LOST, Ground.NO_LEASE)


def test_who_lets_go_of_everything_wants_no_vote() -> None:
    settings = ClusterSettings("a", ("a", "b"), "0" * 36, rules=LEASED)
    partition = Partition(settings, 0, Element("configuration"))
    assert partition.presence(()).enough  # half
    partition.isolated = True
    assert not partition.presence(()).enough
