"""The quorum server's decision, question by question."""

import pytest

from standfest.config import qdevice
from standfest.core.quorum.asking import Asking, Promised, SendAsk
from standfest.core.quorum.server import VoteServer
from standfest.model.errors import ConfigError
from standfest.model.quorum import NO_LEASE, Ask, Lease, Presence, Token, Told, Wish
from standfest.model.time import Duration, milliseconds, seconds

LEASE: Duration = seconds(1)


def server(*, votes_from: int = 0) -> VoteServer:
    return VoteServer(votes_from - seconds(10), LEASE)


class Clients:
    """Nodes that ask, each with its own numbers."""

    def __init__(self, at: VoteServer) -> None:
        self._server = at
        self._number = 0

    def __call__(self, now: int, node: str, view: str, wish: Wish = Wish.VOTE) -> Token:
        self._number += 1
        told = self._server.ask(
            milliseconds(now), Ask(node, 1, self._number, tuple(view), len(view), wish, LEASE)
        )
        assert told is not None
        return told.token


def test_all_of_one_partition_have_the_vote_together() -> None:
    ask = Clients(server())
    assert [ask(0, "a", "ab"), ask(0, "b", "ab")] == [Token.VOTE, Token.VOTE]


def test_of_two_halves_the_lowest_name_gets_it_when_the_other_has_let_go() -> None:
    ask = Clients(server())
    ask(0, "a", "ab"), ask(0, "b", "ab")
    assert ask(100, "b", "b") is Token.WAIT  # a has not noticed yet
    assert ask(110, "a", "a") is Token.WAIT  # b still has a promise
    assert ask(120, "b", "b") is Token.NO
    assert ask(130, "b", "b", Wish.BUSY) is Token.WAIT
    assert ask(1_100, "a", "a") is Token.WAIT  # ... for as long as b says that it is busy
    assert ask(1_110, "b", "b", Wish.NOTHING) is Token.NO
    assert ask(1_120, "a", "a") is Token.VOTE
    assert ask(1_130, "b", "b") is Token.NO


def test_a_silent_nodes_promise_ends_a_32nd_after_its_lease() -> None:
    ask = Clients(server())
    ask(0, "a", "ab"), ask(0, "b", "ab")
    assert ask(1_031, "b", "b") is Token.WAIT  # 1,000 ms + 31.25 ms
    assert ask(1_032, "b", "b") is Token.VOTE


def test_whoever_has_it_keeps_it_against_a_lower_name_that_comes_back() -> None:
    ask = Clients(server())
    assert ask(0, "b", "b") is Token.VOTE
    assert ask(100, "a", "a") is Token.NO
    assert ask(200, "b", "b") is Token.VOTE


def test_more_votes_come_before_a_lower_name() -> None:
    ask = Clients(server())
    for name in "abcd":
        ask(0, name, "abcd")
    assert ask(100, "a", "a") is Token.WAIT
    assert ask(110, "b", "bcd") is Token.WAIT
    assert ask(120, "a", "a") is Token.NO


def test_a_restarted_server_promises_nothing_while_old_promises_may_live() -> None:
    ask = Clients(VoteServer(0, LEASE))
    assert ask(1_031, "a", "a") is Token.LATER
    assert ask(1_032, "a", "a") is Token.VOTE


def test_what_was_overtaken_changes_nothing() -> None:
    at = server()
    new = Ask("a", 2, 2, ("a",), 1, Wish.VOTE, LEASE)
    assert at.ask(0, new) is not None
    for session, number in ((2, 2), (2, 1), (1, 9)):
        assert at.ask(1, Ask("a", session, number, ("a",), 1, Wish.NOTHING, LEASE)) is None
    # The clock was set back: the new process is heard when the old promise is over.
    old = Ask("a", 1, 1, ("a",), 1, Wish.VOTE, LEASE)
    assert at.ask(seconds(2), old) is not None


def test_a_lease_is_not_longer_than_the_server_waits_after_a_restart() -> None:
    told = server().ask(0, Ask("a", 1, 1, ("a",), 1, Wish.VOTE, LEASE + 1))
    assert told == Told(1, 1, Token.NO, "the lease is longer than allowed here")


ALONE = Presence(frozenset("a"), 5, 1, enough=True, busy=True)


def asking() -> Asking:
    return Asking("a", 7, milliseconds(200), LEASE)


def test_a_promise_counts_from_the_question_not_from_the_answer() -> None:
    machine = asking()
    (sent,) = machine.present(seconds(3), ALONE)[-1:]
    assert isinstance(sent, SendAsk)
    effects = machine.told(milliseconds(3_700), Told(7, sent.ask.number, Token.VOTE))
    assert effects == [Promised(Lease(5, seconds(4), seconds(4)))]
    assert machine.told(seconds(5), Told(7, sent.ask.number, Token.VOTE)) == []  # doubled


def test_an_answer_to_another_view_is_no_answer() -> None:
    machine = asking()
    machine.present(0, ALONE)
    machine.present(1, Presence(frozenset("ab"), 6, 2, enough=True, busy=True))
    machine.present(2, Presence(frozenset("a"), 7, 1, enough=True, busy=True))
    assert machine.told(3, Told(7, 1, Token.VOTE)) == []
    assert machine.lease == NO_LEASE


def test_who_is_refused_is_busy_then_needs_nothing_then_asks_again() -> None:
    machine = asking()
    machine.present(0, ALONE)
    machine.told(1, Told(7, 1, Token.VOTE))
    machine.on_timer(milliseconds(200))
    effects = machine.told(milliseconds(201), Told(7, 2, Token.NO))
    assert effects[0] == Promised(NO_LEASE)  # quorum is lost before the server hears of it
    assert isinstance(effects[1], SendAsk)
    assert effects[1].ask.wish is Wish.BUSY
    stopped = Presence(frozenset("a"), 5, 1, enough=True, busy=False)
    (sent,) = machine.present(milliseconds(300), stopped)
    assert isinstance(sent, SendAsk)
    assert sent.ask.wish is Wish.NOTHING
    (again,) = machine.on_timer(milliseconds(500))
    assert isinstance(again, SendAsk)
    assert again.ask.wish is Wish.VOTE
    # It holds nothing any more: there is nothing to give back, and it goes on asking.
    assert machine.told(milliseconds(501), Told(7, again.ask.number, Token.NO)) == []
    (more,) = machine.on_timer(milliseconds(700))
    assert isinstance(more, SendAsk)
    assert more.ask.wish is Wish.VOTE


SERVER = """address = "192.0.2.1"
longest_lease = "10"
[[clusters]]
name = "mail"
key_file = "/etc/standfest/mail.keys"
"""


def test_the_servers_file() -> None:
    file = qdevice.parse(SERVER, "q")
    assert (file.address, file.port, file.longest) == ("192.0.2.1", 5414, seconds(10))
    assert file.clusters == (qdevice.ServedCluster("mail", "/etc/standfest/mail.keys"),)


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ("port = 0", "q:1: port is 0; expected a number from 1 to 65535"),
        (SERVER.replace("mail.keys", "").replace("/etc/standfest/", "keys"),
         'q:5: clusters 1: key_file is "keys"; expected a path from the root'),
        (SERVER.replace('"10"', '"90"'),
         'q:2: longest_lease is "90"; expected seconds from 1 to 60, or with ms'),
        (SERVER + '[[clusters]]\nname = "mail"\nkey_file = "/k"\n',
         'q:7: clusters 2: name is "mail" again; expected each cluster once'),
    ],
)  # fmt: skip
def test_a_mistake_in_it_is_one_line(text: str, finding: str) -> None:
    with pytest.raises(ConfigError) as caught:
        qdevice.parse(text, "q")
    assert finding in [str(one) for one in caught.value.findings]
