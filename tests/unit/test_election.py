"""Who coordinates, as literals."""

from standfest.core.membership.election import Elected, Election, Hello, Promised, SayHello
from standfest.model.time import seconds


def settled(name: str) -> Election:
    election = Election(name, session=1)
    election.settle(0)
    return election


def test_a_lone_node_leads_at_once() -> None:
    election = Election("b", session=1)
    assert election.settle(0)[1:] == [Promised(1, "b"), Elected("b", 1, True)]


def test_nobody_leads_before_the_nodes_are_heard_or_given_up() -> None:
    election = Election("a", session=1)
    election.appear(0, "b")
    assert not any(
        isinstance(e, Elected) for e in election.hear(0, "b", Hello(2, (0, 0, 0), 0, False))
    )


def test_the_newest_configuration_leads_before_the_first_name() -> None:
    election = Election("a", session=1)
    election.rank = (0, 0, 3)
    election.appear(0, "b")
    election.hear(0, "b", Hello(2, (0, 0, 4), 0, False))
    assert Elected("b", 0, False) in election.settle(0)


def test_who_leads_stays_when_a_better_name_joins() -> None:
    election = settled("b")
    election.appear(5, "a")
    assert not any(
        isinstance(e, Elected) for e in election.hear(5, "a", Hello(2, (0, 0, 0), 0, False))
    )
    assert election.leading


def test_of_two_leaders_the_later_term_wins_on_both_sides() -> None:
    # b lost a and was elected in term 2; a goes on in term 1. Then they hear each other.
    a = settled("a")
    a.appear(1, "b")
    assert Elected("b", 2, False) in a.hear(1, "b", Hello(2, (0, 0, 0), 2, True))
    b = settled("b")
    b.term = 2
    b.appear(1, "a")
    assert not any(isinstance(e, Elected) for e in b.hear(1, "a", Hello(1, (0, 0, 0), 1, True)))
    assert b.leading


def test_leaders_that_disagree_answer_each_news_once() -> None:
    b = settled("b")
    b.term = 2
    b.appear(1, "a")
    b.hear(1, "a", Hello(1, (0, 0, 0), 1, False))
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
    election.hear(0, "b", Hello(2, (0, 0, 0), 4, False))
    assert Elected("b", 4, False) in election.settle(0)


def test_a_term_is_promised_to_one_coordinator_only() -> None:
    election = Election("a", session=1)
    assert election.promise(4, "b") == [Promised(4, "b")]
    assert election.promise(4, "b") == []
    assert election.promise(4, "c") is None
    assert election.promise(3, "c") is None
    assert election.promise(5, "c") == [Promised(5, "c")]


def test_a_promise_outlives_a_restart() -> None:
    # It promised term 4, restarted and leads alone: in a later term.
    election = Election("a", session=2, promised=(4, "b"))
    assert election.settle(0)[1:] == [Promised(5, "a"), Elected("a", 5, True)]


def test_a_coordinator_learns_which_terms_others_have_promised() -> None:
    election = settled("a")  # leads in term 1
    election.appear(1, "b")
    found = election.hear(1, "b", Hello(2, (0, 0, 0), 0, False, promised=(7, "c")))
    assert [e for e in found if isinstance(e, Elected)] == [Elected("a", 8, True)]


def test_the_configuration_of_a_later_term_is_newer_whatever_its_epoch() -> None:
    # b wrote epochs 4 to 9 in term 2 while nobody else had them; the others went on in term 3.
    election = Election("a", session=1)
    election.rank = (0, 3, 4)
    election.appear(0, "b")
    election.hear(0, "b", Hello(2, (0, 2, 9), 2, False))
    assert Elected("a", 3, True) in election.settle(0)


def test_a_hello_that_came_before_its_sender_was_heard_is_asked_for_again() -> None:
    a, b = settled("a"), settled("b")
    hello = b.appear(1, "a")[0]
    assert isinstance(hello, SayHello)
    assert a.hear(1, "b", hello.hello) == []  # a does not hear b yet
    question = a.appear(2, "b")[0]
    assert isinstance(question, SayHello)
    b.hear(2, "a", question.hello)  # the first time it is news in any case
    late = a.on_timer(seconds(3))[-1]
    assert isinstance(late, SayHello)
    answers = b.hear(seconds(3), "a", late.hello)
    assert [(type(e), e.destination) for e in answers if isinstance(e, SayHello)] == [
        (SayHello, "a")
    ]


def test_who_follows_a_coordinator_that_is_not_heard_yet_is_left_to_it() -> None:
    election = settled("a")  # leads in term 1
    election.appear(1, "b")
    hello = Hello(2, (0, 0, 0), 0, False, promised=(7, "c"), follows="c")
    assert not any(isinstance(e, Elected) for e in election.hear(1, "b", hello))


def test_who_is_told_of_a_later_term_that_was_its_own_begins_one_after_it() -> None:
    """Its disk had forgotten it."""
    election = settled("a")
    assert election.term == 1
    election.appear(5, "b")
    told = Hello(2, (0, 0, 0), 1, False, promised=(3, "a"), follows="a")
    assert Elected("a", 4, True) in election.hear(5, "b", told)


def test_who_leads_no_more_says_so_to_all_at_once() -> None:
    election = settled("b")
    election.appear(5, "a")
    told = election.hear(5, "a", Hello(2, (0, 0, 1), 7, True, promised=(7, "a"), follows="a"))
    # term 7 is a's; 1 was its own, and is still the last one that it promised
    resigned = Hello(1, (0, 0, 0), 7, False, promised=(1, "b"), follows="a")
    assert [e for e in told if e == SayHello(resigned)] == [SayHello(resigned)]
    assert told[-1] == Elected("a", 7, False)
