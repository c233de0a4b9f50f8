"""Who coordinates, as literals."""

from standfest.core.membership.election import Elected, Election, Hello, SayHello
from standfest.model.time import seconds


def settled(name: str) -> Election:
    election = Election(name, session=1)
    election.settle(0)
    return election


def test_a_lone_node_leads_at_once() -> None:
    election = Election("b", session=1)
    assert election.settle(0)[1:] == [Elected("b", 1, True)]


def test_nobody_leads_before_the_nodes_are_heard_or_given_up() -> None:
    election = Election("a", session=1)
    election.appear(0, "b")
    assert not any(
        isinstance(e, Elected) for e in election.hear(0, "b", Hello(2, (0, 0), 0, False))
    )


def test_the_newest_configuration_leads_before_the_first_name() -> None:
    election = Election("a", session=1)
    election.epoch = (0, 3)
    election.appear(0, "b")
    election.hear(0, "b", Hello(2, (0, 4), 0, False))
    assert Elected("b", 0, False) in election.settle(0)


def test_who_leads_stays_when_a_better_name_joins() -> None:
    election = settled("b")
    election.appear(5, "a")
    assert not any(
        isinstance(e, Elected) for e in election.hear(5, "a", Hello(2, (0, 0), 0, False))
    )
    assert election.leading


def test_of_two_leaders_the_later_term_wins_on_both_sides() -> None:
    # b lost a and was elected in term 2; a goes on in term 1. Then they hear each other.
    a = settled("a")
    a.appear(1, "b")
    assert Elected("b", 2, False) in a.hear(1, "b", Hello(2, (0, 0), 2, True))
    b = settled("b")
    b.term = 2
    b.appear(1, "a")
    assert not any(isinstance(e, Elected) for e in b.hear(1, "a", Hello(1, (0, 0), 1, True)))
    assert b.leading


def test_leaders_that_disagree_answer_each_news_once() -> None:
    b = settled("b")
    b.term = 2
    b.appear(1, "a")
    b.hear(1, "a", Hello(1, (0, 0), 1, False))
    first = b.acknowledge(2, "a", 1)
    assert [effect for effect in first if isinstance(effect, SayHello)]
    assert b.acknowledge(3, "a", 1) == []


def test_a_node_whose_cluster_daemon_is_silent_is_waited_for_2_seconds() -> None:
    election = Election("a", session=1)
    election.appear(0, "b")
    election.settle(0)
    assert election.coordinator == ""
    assert election.deadline() == seconds(2)
    assert Elected("a", 1, True) in election.on_timer(seconds(2))


def test_a_daemon_that_restarted_knows_less_than_one_that_did_not() -> None:
    election = Election("a", session=7)  # restarted: term 0
    election.appear(0, "b")
    election.hear(0, "b", Hello(2, (0, 0), 4, False))
    assert Elected("b", 4, False) in election.settle(0)
