"""Who belongs to the cluster as `pulse` sees it: strangers, nodes that come, nodes that go."""

import random
from collections.abc import Sequence
from dataclasses import replace

from tests.unit.test_membership_machine import SETTINGS, WALL

from standfest.core.membership.effects import (
    Deliver,
    Dropped,
    LinkChanged,
    NodeChanged,
    NodeStatus,
    Reason,
    Refusal,
    StreamReset,
    Transmit,
)
from standfest.core.membership.machine import Membership
from standfest.core.membership.sender import PAYLOAD_TYPE
from standfest.model.message import Message
from standfest.model.settings import Autojoin, HeartbeatSettings
from standfest.model.time import milliseconds

REFUSAL = (("dest", "a"), ("nodelist", "b c "), ("delnodelist", " "))
WELCOME = (("dest", "a"), ("nodelist", "a b "), ("delnodelist", " "))


def machine(settings: HeartbeatSettings = SETTINGS, name: str = "a") -> Membership:
    node = Membership(
        name=name,
        uuid=name.encode() * 16,
        generation=5,
        settings=settings,
        random=random.Random(1),
        links=("eth1",),
    )
    node.start(0, WALL)
    return node


def message(source: str, seq: int, *more: tuple[str, str], kind: str = "status") -> Message:
    own = (("t", kind), ("st", "active"), ("dt", "3e8"), *more)
    return Message((*own, ("src", source), ("seq", f"{seq:x}"), ("hg", "7"), ("ts", "1")))


def lists(effects: Sequence[object]) -> list[tuple[str | None, str | None, str | None]]:
    """The lists of nodes that were sent: to whom, who belongs, who was removed."""
    sent = [e.message for e in effects if isinstance(e, Transmit)]
    found = [m for m in sent if m.text("t") == "repnodes"]
    return [(m.text("dest"), m.text("nodelist"), m.text("delnodelist")) for m in found]


def changes(effects: Sequence[object]) -> list[tuple[str, NodeStatus, Reason]]:
    return [(e.node, e.state, e.reason) for e in effects if isinstance(e, NodeChanged)]


def test_a_stranger_is_dropped_and_told_once_a_keepalive_that_it_is_none_of_ours() -> None:
    node = machine()
    heard = list(node.on_message(0, WALL, "eth1", message("c", 1)))
    assert lists(heard) == [("c", "a b ", " ")]
    assert heard[-1] == Dropped("c", Refusal.UNKNOWN_NODE)
    early = list(node.on_message(milliseconds(99), WALL, "eth1", message("c", 2)))
    assert early == [Dropped("c", Refusal.UNKNOWN_NODE)]
    assert lists(list(node.on_message(milliseconds(100), WALL, "eth1", message("c", 3))))


def test_who_is_told_so_takes_the_other_for_dead_until_it_starts_anew() -> None:
    node = machine()
    node.on_message(0, WALL, "eth1", message("b", 1))
    told = list(node.on_message(1, WALL, "eth1", message("b", 2, *REFUSAL, kind="repnodes")))
    assert changes(told) == [("b", NodeStatus.DEAD, Reason.REFUSES)]
    assert LinkChanged("b", "eth1", False) in told
    assert changes(list(node.on_message(2, WALL, "eth1", message("b", 3)))) == []
    node.on_message(3, WALL, "eth1", message("b", 4, *WELCOME, kind="repnodes"))
    again = list(node.on_message(4, WALL, "eth1", message("b", 5)))
    assert changes(again) == [("b", NodeStatus.ACTIVE, Reason.HEALED)]


def payload(seq: int, text: bytes) -> Message:
    whole = message("b", seq, ("part", "0"), ("parts", "1"), kind=PAYLOAD_TYPE)
    return Message((*whole.fields, ("data", text)))


def test_who_refuses_us_delivers_nothing_until_it_takes_us_in() -> None:
    node = machine()
    node.on_message(0, WALL, "eth1", message("b", 1))
    node.on_message(1, WALL, "eth1", message("b", 2, *REFUSAL, kind="repnodes"))
    heard = node.on_message(2, WALL, "eth1", payload(3, b"not for us"))
    assert heard == [LinkChanged("b", "eth1", True)]
    welcomed = node.on_message(3, WALL, "eth1", message("b", 4, *WELCOME, kind="repnodes"))
    assert StreamReset("b") in welcomed  # its next payload may come before its next heartbeat
    assert StreamReset("b") in list(node.on_message(4, WALL, "eth1", message("b", 5)))
    assert list(node.on_message(5, WALL, "eth1", payload(6, b"ours"))) == [Deliver("b", 7, b"ours")]


def test_who_refuses_us_is_asked_again_at_each_heartbeat() -> None:
    node = machine()
    node.on_message(0, WALL, "eth1", message("b", 1))
    node.on_message(1, WALL, "eth1", message("b", 2, *REFUSAL, kind="repnodes"))
    for seq in (3, 4):
        *_, asked = node.on_message(2, WALL, "eth1", message("b", seq))
        assert isinstance(asked, Transmit)
        assert (asked.message.text("t"), asked.message.text("dest")) == ("reqnodes", "b")


def test_what_is_missing_of_who_refuses_us_is_asked_for() -> None:
    # That it takes us in is in the message that was lost.
    node = machine()
    node.on_message(0, WALL, "eth1", message("b", 1))
    node.on_message(1, WALL, "eth1", message("b", 2, *REFUSAL, kind="repnodes"))
    node.on_message(2, WALL, "eth1", message("b", 4))
    due = node.deadline()
    assert due is not None
    assert due <= milliseconds(21)  # 20 ms of patience at most, then it is asked for
    sent = [e.message for e in node.on_timer(milliseconds(21), WALL, "") if isinstance(e, Transmit)]
    assert [(m.text("t"), m.text("firstseq")) for m in sent] == [("NS_rexmit", "3")]
    node.on_message(milliseconds(22), WALL, "eth1", message("b", 3, *WELCOME, kind="repnodes"))
    again = list(node.on_message(milliseconds(23), WALL, "eth1", message("b", 5)))
    assert changes(again) == [("b", NodeStatus.ACTIVE, Reason.HEALED)]


def test_who_was_removed_does_not_find_itself_also_where_it_is_still_listed() -> None:
    node = machine()
    node.on_message(0, WALL, "eth1", message("b", 1))
    refusal = (("dest", "a"), ("nodelist", "a b "), ("delnodelist", "a "))
    told = list(node.on_message(1, WALL, "eth1", message("b", 2, *refusal, kind="repnodes")))
    assert changes(told) == [("b", NodeStatus.DEAD, Reason.REFUSES)]


def test_with_autojoin_a_stranger_is_heard_but_nobody_who_was_removed() -> None:
    for word in (Autojoin.OTHER, Autojoin.ANY):
        node = machine(replace(SETTINGS, autojoin=word, removed=("d",)))
        heard = list(node.on_message(0, WALL, "eth1", message("c", 1)))
        assert changes(heard) == [("c", NodeStatus.ACTIVE, Reason.HEARD)]
        removed = list(node.on_message(0, WALL, "eth1", message("d", 1)))
        assert lists(removed) == [("d", "a b ", "d ")]
        for odd in ("", "C", "x y", "x" * 65):
            wrong = list(node.on_message(0, WALL, "eth1", message(odd, 1)))
            assert wrong == [Dropped(odd[:64], Refusal.UNKNOWN_NODE)]


def test_no_more_nodes_join_than_a_cluster_may_have() -> None:
    node = machine(replace(SETTINGS, autojoin=Autojoin.ANY))
    for number in range(70):
        node.on_message(0, WALL, "eth1", message(f"n{number}", 1))
    assert len(node.peers) == 64  # b, and n0 to n62


def test_a_node_that_comes_is_heard_and_one_that_goes_is_given_up() -> None:
    node = machine()
    node.on_message(0, WALL, "eth1", message("b", 1))
    came = list(node.enroll(1, WALL, ("a", "b", "c"), ()))
    assert lists(came) == [("c", "a b c ", " ")]  # it may have taken us for strangers
    heard = list(node.on_message(2, WALL, "eth1", message("c", 1)))
    assert changes(heard) == [("c", NodeStatus.ACTIVE, Reason.HEARD)]
    went = list(node.enroll(3, WALL, ("a", "c"), ("b",)))
    assert changes(went) == [("b", NodeStatus.DEAD, Reason.REMOVED)]
    assert list(node.on_message(4, WALL, "eth1", message("b", 2)))[-1] == Dropped(
        "b", Refusal.UNKNOWN_NODE
    )
    assert list(node.enroll(5, WALL, ("a", "c"), ("b",))) == []


def test_a_node_that_is_not_added_yet_stays_while_nodes_may_join_by_themselves() -> None:
    node = machine(replace(SETTINGS, autojoin=Autojoin.ANY))
    node.on_message(0, WALL, "eth1", message("c", 1))
    assert changes(list(node.enroll(1, WALL, ("a", "b"), ()))) == []
    assert [peer.name for peer in node.peers] == ["b", "c"]
    assert changes(list(node.enroll(1, WALL, ("a", "b"), ("c",)))) == [
        ("c", NodeStatus.DEAD, Reason.REMOVED)
    ]
