"""Liveness and reliable messages, as literals of keepalive 100 ms, deadtime 1 s, initdead 10 s."""

import random

import pytest

from standfest.core.membership.effects import (
    Deliver,
    Dropped,
    LinkChanged,
    MembershipEffect,
    NodeChanged,
    NodeStatus,
    Paused,
    Reason,
    Refusal,
    Settled,
    StreamReset,
    Transmit,
    Unsteady,
)
from standfest.core.membership.machine import Membership
from standfest.core.membership.sender import MAX_PAYLOAD_BYTES
from standfest.model.errors import OperationError
from standfest.model.message import Message
from standfest.model.settings import HeartbeatSettings
from standfest.model.time import Duration, Instant, milliseconds, seconds

WALL = 1_000_000
SETTINGS = HeartbeatSettings(
    nodes=("a", "b"),
    media=(),
    keepalive=milliseconds(100),
    deadtime=seconds(1),
    warntime=milliseconds(500),
    initdead=seconds(10),
)


def machine(name: str = "a", generation: int = 5) -> Membership:
    return Membership(
        name=name,
        uuid=name.encode() * 16,
        generation=generation,
        settings=SETTINGS,
        random=random.Random(1),
        links=("eth0", "eth1"),
    )


def beat(seq: int, *, generation: int = 7, status: str = "active", dt: str = "3e8") -> Message:
    return Message(
        (
            ("t", "status"),
            ("st", status),
            ("dt", dt),
            ("protocol", "1"),
            ("src", "b"),
            ("seq", f"{seq:x}"),
            ("hg", f"{generation:x}"),
            ("ts", f"{WALL:x}"),
        )
    )


def hear(node: Membership, now: Instant, message: Message, link: str = "eth1") -> list[object]:
    effects = node.on_message(now, WALL, link, message)
    return [effect for effect in effects if not isinstance(effect, Transmit)]


def timers(node: Membership, until: Instant) -> list[tuple[Duration, MembershipEffect]]:
    """Run the timers up to an instant; return what happened besides sending."""
    seen: list[tuple[Duration, MembershipEffect]] = []
    while (at := node.deadline()) is not None and at <= until:
        effects = node.on_timer(at, WALL, "0")
        seen += [(at, effect) for effect in effects if not isinstance(effect, Transmit)]
    return seen


def test_a_silent_node_is_dead_exactly_one_deadtime_after_its_last_heartbeat() -> None:
    node = machine()
    node.start(0, WALL)
    hear(node, milliseconds(340), beat(1))
    assert timers(node, milliseconds(1_339)) == []
    assert timers(node, milliseconds(1_340)) == [
        (milliseconds(1_340), LinkChanged("b", "eth1", False)),
        (milliseconds(1_340), NodeChanged("b", NodeStatus.DEAD, 7, Reason.SILENT)),
    ]


def test_the_deadtime_that_counts_is_the_one_the_node_announces() -> None:
    node = machine()
    node.start(0, WALL)
    hear(node, 0, beat(1, dt="12c"))  # 0x12c = 300 ms
    assert timers(node, milliseconds(300))[-1] == (
        milliseconds(300),
        NodeChanged("b", NodeStatus.DEAD, 7, Reason.SILENT),
    )


def test_a_node_that_was_never_heard_is_given_up_after_initdead() -> None:
    node = machine()
    node.start(0, WALL)
    assert timers(node, seconds(10)) == [
        (seconds(10), NodeChanged("b", NodeStatus.DEAD, 0, Reason.NEVER_HEARD)),
        (seconds(10), Settled()),
    ]


def test_heartbeats_keep_their_rhythm_and_are_not_made_up_for() -> None:
    node = machine()
    first = node.start(0, WALL)
    states = [e.message.text("st") for e in first if isinstance(e, Transmit)]
    assert states == ["init", "up"]
    assert node.deadline() == milliseconds(100)
    late = node.on_timer(milliseconds(350), WALL, "0")  # two were missed: one is sent
    assert len([e for e in late if isinstance(e, Transmit)]) == 1
    assert node.deadline() == milliseconds(400)


def test_late_heartbeats_are_reported_once_with_the_deadtime_that_they_ask_for() -> None:
    node = machine()
    node.start(0, WALL)
    hear(node, 0, beat(1))
    # 2 x 501 ms = 1,002 ms, rounded up to 100 ms.
    first = Unsteady("b", 1, 0, milliseconds(501), milliseconds(1_100), over=False)
    assert hear(node, milliseconds(501), beat(2)) == [first]
    timers(node, milliseconds(501))
    assert hear(node, milliseconds(1_121), beat(3)) == []  # 620 ms: the same episode
    number, now = 4, milliseconds(1_121)
    news: list[object] = []
    while now < milliseconds(61_121):
        timers(node, now)
        assert news == []
        now += milliseconds(100)
        news = hear(node, now, beat(number))
        number += 1
    # 60 s after the second: 2 x 620 ms = 1,240 ms.
    assert news == [Unsteady("b", 2, 0, milliseconds(620), milliseconds(1_300), over=True)]
    (figures,) = [peer.rhythm.figures() for peer in node.peers]
    assert (figures.late, figures.lost, figures.longest) == (2, 0, milliseconds(620))
    # 600 of 602 intervals were 100 ms: in the bucket from 98.304 to 114.688 ms.
    assert figures.usual == figures.p99 == 114_688_000


def test_a_message_that_has_to_be_asked_for_is_lost() -> None:
    node = machine()
    node.start(0, WALL)
    hear(node, 0, beat(1))
    hear(node, milliseconds(100), beat(2))
    hear(node, milliseconds(200), beat(4))
    (news,) = [e for _, e in timers(node, milliseconds(290)) if isinstance(e, Unsteady)]
    # Nothing was late: at least four heartbeats of 100 ms.
    assert news == Unsteady("b", 0, 1, 0, milliseconds(400), over=False)
    assert [link.skipped for peer in node.peers for link in peer.links.values()] == [1]
    hear(node, milliseconds(299), beat(3))
    assert [link.skipped for peer in node.peers for link in peer.links.values()] == [0]


def test_a_silence_of_more_than_four_deadtimes_is_no_advice() -> None:
    node = machine()
    node.start(0, WALL)
    hear(node, 0, beat(1, dt="64"))  # it announces 100 ms, and was heard again within them
    hear(node, milliseconds(90), beat(2, dt="64"))
    (peer,) = node.peers
    peer.rhythm.beat(milliseconds(500), "b", milliseconds(401), milliseconds(100))
    assert peer.rhythm.figures().longest == milliseconds(401)
    assert peer.rhythm.advised == milliseconds(400)  # 4 x keepalive; 2 x 90 ms is less
    peer.rhythm.beat(milliseconds(900), "b", milliseconds(400), milliseconds(100))
    assert peer.rhythm.advised == milliseconds(800)


def test_a_node_that_stood_still_for_a_deadtime_knows_nobody_until_it_hears_them_anew() -> None:
    node = machine()
    node.start(0, WALL)
    hear(node, 0, beat(1))
    timers(node, milliseconds(700))
    hear(node, milliseconds(750), beat(2))
    # Deadtime 1 s less half a heartbeat, 50 ms, after the last heartbeat of its own at 700 ms.
    assert node.wake(milliseconds(1_649)) == []
    assert hear(node, milliseconds(1_650), beat(3)) == [Paused(milliseconds(950))]
    assert hear(node, milliseconds(1_651), beat(4)) == [
        LinkChanged("b", "eth1", True),
        NodeChanged("b", NodeStatus.ACTIVE, 7, Reason.HEALED),
        StreamReset("b"),
    ]


def test_the_timer_says_that_we_were_paused_before_anything_else() -> None:
    node = machine()
    node.start(0, WALL)
    hear(node, milliseconds(10), beat(1))
    first, second = node.on_timer(seconds(5), WALL, "0")
    assert first == Paused(seconds(5))
    assert isinstance(second, Transmit)
    assert node.on_timer(milliseconds(5_100), WALL, "0")[:1] != [first]


def test_the_second_links_copy_is_no_second_heartbeat() -> None:
    node = machine()
    node.start(0, WALL)
    hear(node, 0, beat(1), "eth0")
    assert hear(node, 1, beat(1), "eth1") == [LinkChanged("b", "eth1", True)]


def test_a_cut_link_is_named_and_nobody_dies_of_it() -> None:
    node = machine()
    node.start(0, WALL)
    for number in range(1, 16):
        now = milliseconds(100 * number)
        if number < 13:
            assert timers(node, now) == []
        hear(node, now, beat(number), "eth1")
        if number <= 3:
            hear(node, now, beat(number), "eth0")
    # eth0 was used at 300 ms for the last time.
    assert timers(node, milliseconds(1_500)) == [
        (milliseconds(1_300), LinkChanged("b", "eth0", False))
    ]


def test_a_replayed_heartbeat_keeps_nobody_alive() -> None:
    node = machine()
    node.start(0, WALL)
    hear(node, 0, beat(1))
    hear(node, milliseconds(100), beat(2))
    for at in range(200, 1_100, 100):
        assert timers(node, milliseconds(at)) == []
        assert hear(node, milliseconds(at), beat(1)) == []
    assert timers(node, milliseconds(1_100))[-1][1] == NodeChanged(
        "b", NodeStatus.DEAD, 7, Reason.SILENT
    )
    # Dead, a replay does not bring it back either; a new heartbeat does.
    assert hear(node, milliseconds(1_200), beat(2)) == []
    assert hear(node, milliseconds(1_300), beat(3)) == [
        LinkChanged("b", "eth1", True),
        NodeChanged("b", NodeStatus.ACTIVE, 7, Reason.HEALED),
        StreamReset("b"),
    ]


def test_an_older_generation_is_refused_and_a_newer_one_is_a_restart() -> None:
    node = machine()
    node.start(0, WALL)
    hear(node, 0, beat(1))
    assert hear(node, 1, beat(9, generation=6)) == [Dropped("b", Refusal.OLD_GENERATION)]
    assert hear(node, 2, beat(1, generation=8))[:2] == [
        NodeChanged("b", NodeStatus.ACTIVE, 8, Reason.RESTARTED),
        StreamReset("b"),
    ]


def test_unknown_nodes_and_incomplete_messages_are_refused() -> None:
    node = machine()
    node.start(0, WALL)
    stranger = Message((("t", "status"), ("src", "x"), ("hg", "1"), ("ts", "1"), ("seq", "1")))
    assert hear(node, 0, stranger) == [Dropped("x", Refusal.UNKNOWN_NODE)]
    for missing in ("hg", "ts", "seq"):
        partial = Message(tuple(f for f in beat(1).fields if f[0] != missing))
        assert hear(node, 0, partial) == [Dropped("b", Refusal.INCOMPLETE)]


def test_an_orderly_leave_is_seen_at_once_and_its_last_beats_are_ignored() -> None:
    a, b = machine("a"), machine("b")
    a.start(0, WALL)
    for effect in b.start(0, WALL):
        if isinstance(effect, Transmit):
            hear(a, 0, effect.message)
    (goodbye,) = b.leave(1, WALL)
    assert isinstance(goodbye, Transmit)
    assert hear(a, 1, goodbye.message) == [NodeChanged("b", NodeStatus.LEFT, 5, Reason.LEFT)]
    assert hear(a, 2, beat(4, generation=5)) == [Dropped("b", Refusal.DEPARTED)]
    assert NodeChanged("b", NodeStatus.ACTIVE, 6, Reason.HEARD) in hear(a, 3, beat(1, generation=6))


def exchange(payloads: list[bytes]) -> tuple[Membership, Membership, list[Message]]:
    """Return two nodes that know each other, and what one sends for these payloads."""
    a, b = machine("a"), machine("b")
    for one, other in ((a, b), (b, a)):
        for effect in one.start(0, WALL):
            assert isinstance(effect, Transmit)
            other.on_message(0, WALL, "eth1", effect.message)
    sent = [e for payload in payloads for e in b.submit(1, WALL, payload, None)]
    return a, b, [e.message for e in sent if isinstance(e, Transmit)]


def test_a_gap_is_asked_for_in_decimal_and_filled_in_order() -> None:
    a, b, sent = exchange([b"one", b"two", b"three"])
    assert hear(a, 1, sent[0]) == [Deliver("b", 5, b"one")]
    assert hear(a, 1, sent[2]) == []
    at = a.deadline()
    assert at is not None
    assert milliseconds(5) <= at - 1 <= milliseconds(20)
    requests = [
        e.message
        for e in a.on_timer(at, WALL, "0")
        if isinstance(e, Transmit) and e.message.text("t") == "NS_rexmit"
    ]
    assert [request.text("firstseq") for request in requests] == ["4"]  # init, up, one, two
    (again,) = b.on_message(at, WALL, "eth1", requests[0])
    assert isinstance(again, Transmit)
    assert again.message == sent[1]  # the same bytes
    assert hear(a, at, again.message) == [Deliver("b", 5, b"two"), Deliver("b", 5, b"three")]


def test_a_large_payload_is_cut_and_put_together() -> None:
    payload = bytes(range(256)) * 80  # 20,480 bytes: fragments of 8,000, 8,000 and 4,480
    a, _, sent = exchange([payload])
    assert [len(message.binary("data") or b"") for message in sent] == [8_000, 8_000, 4_480]
    assert hear(a, 1, sent[0]) == hear(a, 1, sent[1]) == []
    assert hear(a, 1, sent[2]) == [Deliver("b", 5, payload)]


def test_a_payload_that_is_too_large_is_refused() -> None:
    _, b, _ = exchange([])
    with pytest.raises(OperationError, match="3200001 bytes; at most 3200000"):
        b.submit(1, WALL, bytes(MAX_PAYLOAD_BYTES + 1), None)


def test_what_the_sender_no_longer_has_breaks_the_stream_and_it_goes_on() -> None:
    a, _, sent = exchange([b"one", b"two", b"three"])
    hear(a, 1, sent[0])
    hear(a, 1, sent[2])
    stamp = (("src", "b"), ("hg", "5"), ("ts", "1"))
    nak = Message((("t", "NS_nak_rexmit"), ("firstseq", "4"), ("dest", "a"), *stamp))
    assert hear(a, 2, nak) == [StreamReset("b"), Deliver("b", 5, b"three")]


def test_the_stream_breaks_where_the_message_is_missing_not_when_that_becomes_known() -> None:
    a, _, sent = exchange([b"one", b"two", b"three", b"four"])
    hear(a, 1, sent[0])
    hear(a, 1, sent[3])
    stamp = (("src", "b"), ("hg", "5"), ("ts", "1"))
    nak = Message((("t", "NS_nak_rexmit"), ("firstseq", "5"), ("dest", "a"), *stamp))
    assert hear(a, 2, nak) == []  # two, number 4, may still come
    two, reset, four = Deliver("b", 5, b"two"), StreamReset("b"), Deliver("b", 5, b"four")
    assert hear(a, 3, sent[1]) == [two, reset, four]


def test_messages_that_are_lost_beside_each_other_break_the_stream_once() -> None:
    a, _, sent = exchange([b"one", b"two", b"three", b"four"])
    hear(a, 1, sent[0])
    hear(a, 1, sent[3])
    stamp = (("src", "b"), ("hg", "5"), ("ts", "1"))
    five, four = (
        Message((("t", "NS_nak_rexmit"), ("firstseq", lost), ("dest", "a"), *stamp))
        for lost in ("5", "4")
    )
    assert hear(a, 2, five) == []  # number 4 may still come
    assert hear(a, 2, four) == [StreamReset("b"), Deliver("b", 5, b"four")]


def test_a_payload_before_a_lost_message_is_put_together_all_the_same() -> None:
    payload = bytes(range(256)) * 60  # 15,360 bytes: fragments of 8,000 and 7,360
    a, _, sent = exchange([payload, b"lost", b"last"])
    hear(a, 1, sent[0])
    hear(a, 1, sent[3])
    stamp = (("src", "b"), ("hg", "5"), ("ts", "1"))
    nak = Message((("t", "NS_nak_rexmit"), ("firstseq", "5"), ("dest", "a"), *stamp))
    assert hear(a, 2, nak) == []
    told = [Deliver("b", 5, payload), StreamReset("b"), Deliver("b", 5, b"last")]
    assert hear(a, 3, sent[1]) == told


def test_heartbeats_node_list_is_answered() -> None:
    a = machine()
    a.start(0, WALL)
    hear(a, 0, beat(1))
    ask = Message((("t", "reqnodes"), ("dest", "a"), *beat(2).fields[4:]))
    answers = [e.message for e in a.on_message(1, WALL, "eth1", ask) if isinstance(e, Transmit)]
    assert [m.text("nodelist") for m in answers if m.text("t") == "repnodes"] == ["a b "]
