"""Values between daemons: only registered types, whatever the bytes."""

import random

import pytest

from standfest.core.cib.changes import AddConstraint, SetQuorum
from standfest.core.cib.replica import Update
from standfest.model.element import Element
from standfest.model.errors import Ground, WireError
from standfest.model.status import Version
from standfest.runtime import frames
from standfest.runtime.cluster import protocol
from standfest.wire import values

UPDATE = Update(
    3,
    Version(0, 5, 1),
    Version(0, 6, 0),
    (SetQuorum(True, "a"), AddConstraint(Element("rsc_location", (("id", "x"),)))),
)


def test_a_message_with_a_union_inside_comes_back_equal() -> None:
    assert protocol.decode(protocol.encode(UPDATE)) == UPDATE


def test_what_pulse_says_for_a_dead_cluster_daemon_is_gone() -> None:
    from standfest.runtime.frames import GONE_PAYLOAD

    assert protocol.decode(GONE_PAYLOAD) == protocol.Gone()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"nonsense", "not-json"),
        (b"[" * 100_000, "not-json"),
        (b'{"a": 1}', "wrong-shape"),
        (b'["Eval", {}]', "unknown-type"),
        (b'["Lead", {"term": "1", "version": {}}]', "wrong-shape"),
        (b'["Lead", {"term": true, "version": {}}]', "wrong-shape"),
        (b'["Gone", {"more": 1}]', "wrong-shape"),
        (b'["Ask", {"id": 1, "request": ["Lead", {}]}]', "wrong-shape"),
        (b" " * (values.MAX_BYTES + 1), "oversized"),
    ],
)
def test_foreign_bytes_are_refused_with_a_reason(data: bytes, reason: str) -> None:
    with pytest.raises(WireError) as refused:
        protocol.decode(data)
    assert refused.value.reason == reason


def test_mutated_messages_are_messages_or_wire_errors() -> None:
    source = random.Random(5)
    good = protocol.encode(UPDATE)
    refused = 0
    for _ in range(5_000):
        data = bytearray(good)
        for _ in range(source.randint(1, 4)):
            data[source.randrange(len(data))] = source.randrange(256)
        try:
            protocol.decode(bytes(data))
        except WireError:
            refused += 1
    assert refused > 4_000  # most bytes are names or brackets


def test_frames_are_cut_wherever_the_stream_is() -> None:
    sent: list[frames.Value | frames.Payload] = [
        frames.Payload("node-1", b"\0\xff" * 50),
        frames.Watch(("eth0",)),
        frames.Settled(),
    ]
    stream = b"".join(frames.write(value) for value in sent)
    for size in (1, 3, 7, len(stream)):
        reader = frames.FrameReader()
        got = [
            value
            for start in range(0, len(stream), size)
            for value in reader.feed(stream[start : start + size])
        ]
        assert got == sent


@pytest.mark.parametrize("stream", [b"\xff\xff\xff\xffV", b"\0\0\0\1X?", b"\0\0\0\1P\5"])
def test_a_stream_that_is_none_is_refused(stream: bytes) -> None:
    with pytest.raises(WireError):
        list(frames.FrameReader().feed(stream))


def reply(body: bytes) -> bytes:
    return frames.HEADER.pack(len(body), frames.VALUE) + body


def test_a_reply_says_on_what_ground_it_refuses() -> None:
    refusal = frames.Reply(False, "no node c", Ground.NO_SUCH)
    text = b'["Reply",{"accepted":false,"text":"no node c","ground":"no-such"}]'
    assert frames.write(refusal) == reply(text)
    assert list(frames.FrameReader().feed(reply(text))) == [refusal]
    without = b'["Reply",{"accepted":false,"text":"no"}]'
    assert list(frames.FrameReader().feed(reply(without))) == [frames.Reply(False, "no")]
    with pytest.raises(WireError):
        list(frames.FrameReader().feed(reply(text.replace(b"no-such", b"bogus"))))
