"""Recordings that were cut, damaged or forged: a replay ends in words, never in a traceback."""

import json
import random
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any
from zlib import crc32

import pytest

from standfest.config.cib import load
from standfest.core.cib.document import Cib
from standfest.core.membership.election import Hello
from standfest.core.membership.machine import Membership
from standfest.model.errors import WireError
from standfest.model.message import Message
from standfest.model.settings import HeartbeatSettings
from standfest.model.status import Status, Version
from standfest.model.time import milliseconds, seconds
from standfest.runtime.cluster.member import ClusterMember
from standfest.runtime.cluster.settings import ClusterSettings
from standfest.runtime.recording import describe
from standfest.runtime.recording.recorder import Recorder, about
from standfest.runtime.recording.replayer import Damage, Step, Verdict, parse, replay
from standfest.runtime.recording.ring import HEADER_BYTES, RECORD, RECORDS_AT, Ring, read_ring

HALF = 20_000
WALL = 1_764_155_000
EACH = 2_500
DAMAGED, FORGED = "damaged", "forged"


def pulse_ring() -> bytes:
    buffer = bytearray(HEADER_BYTES + 2 * HALF)
    troubles: list[str] = []
    settings = HeartbeatSettings(("a", "b"), (), keepalive=seconds(1), initdead=seconds(2))
    machine = Recorder(Ring(buffer, about("a", "pulse")), troubles.append, hides=True).attach(
        "membership",
        Membership(
            name="a", uuid=b"a" * 16, generation=1, settings=settings, random=random.Random(1),
            links=(),
        ),
    )  # fmt: skip
    machine.start(0, WALL)
    for number in (1, 2, 4, 3, 9):
        fields = (("t", "status"), ("st", "up"), ("src", "b"), ("seq", f"{number:x}"))
        message = Message((*fields, ("hg", "5"), ("ts", "65f2a1b3")))
        machine.on_message(number * milliseconds(300), WALL, "eth1", message)
    machine.on_timer(seconds(3), WALL, "0.1")
    machine.submit(seconds(3), WALL, b"payload" * 9, "b")
    assert troubles == []
    return bytes(buffer)


def cluster_ring() -> bytes:
    buffer = bytearray(HEADER_BYTES + 2 * HALF)
    troubles: list[str] = []
    xml = (
        "<configuration><crm_config/><resources>"
        '<primitive id="r" class="ocf" provider="x" type="Dummy"/></resources></configuration>'
    )
    cib = Cib(Version(), load([("cib.xml", xml)]).configuration, Status())
    settings = ClusterSettings("a", ("a", "b"), "0" * 36)
    machine = Recorder(Ring(buffer, about("a", "cluster")), troubles.append).attach(
        "member", ClusterMember(settings, 5, cib)
    )
    machine.carrier(0, WALL, (), isolated=False)
    machine.appear(1, WALL, "b")
    machine.settle(2, WALL)
    machine.receive(3, WALL, "b", Hello(7, (0, 0, 0), 0, False))
    for second in range(1, 6):
        at = machine.deadline()
        machine.on_timer(at if at is not None else seconds(second), WALL)
    machine.vanish(seconds(9), WALL, "b", left=False)
    assert troubles == []
    return bytes(buffer)


def damaged(ring: bytes, rng: random.Random) -> bytes:
    """Flip, cut, repeat or overwrite bytes anywhere that was written."""
    data = bytearray(ring)
    for _ in range(rng.randint(1, 4)):
        at = rng.choice((rng.randrange(64), rng.randrange(HEADER_BYTES, HEADER_BYTES + 14_000)))
        match rng.randrange(5):
            case 0:
                data[at] ^= 1 << rng.randrange(8)
            case 1:
                data[at : at + 8] = rng.randbytes(8)
            case 2:
                return bytes(data[: rng.randrange(len(data))])
            case 3:
                source = rng.randrange(HEADER_BYTES, HEADER_BYTES + 14_000)
                data[at : at + 40] = data[source : source + 40]
            case _:
                struct.pack_into("<I", data, at, rng.choice((0, 1, 2**31, 2**32 - 1, 5000)))
        data = data[: len(ring)]
    return bytes(data)


def forged(ring: bytes, rng: random.Random) -> bytes:
    """Change what is said in some record, with checksums that are right."""
    data = bytearray(ring)
    (half,) = read_ring(ring).halves
    records = list(half.records)
    for _ in range(rng.randint(1, 3)):
        index = rng.randrange(len(records))
        document = json.loads(records[index])
        places = list(_places(document))
        holder, key = rng.choice(places)
        match rng.randrange(4):
            case 0:
                holder[key] = rng.choice(
                    (None, 0, -1, 2**70, "", "x" * 300, [], {}, {"r": 0}, {"z": 10**6}, 1.5, True)
                )
            case 1:
                other, name = rng.choice(places)
                holder[key] = json.loads(json.dumps(other[name]))
            case 2 if isinstance(holder, list):
                del holder[key]
            case _:
                records[index] = records[rng.randrange(len(records))]
                continue
        records[index] = json.dumps(document).encode()
    at = HEADER_BYTES + RECORDS_AT
    for text in records:
        if at + RECORD.size + len(text) > HEADER_BYTES + HALF:
            break
        RECORD.pack_into(data, at, len(text), crc32(text, half.sequence))
        data[at + RECORD.size : at + RECORD.size + len(text)] = text
        at += RECORD.size + len(text)
    return bytes(data)


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every place in a document as (container, key)."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in pairs:
        yield value, key
        if isinstance(item, dict | list) and (not isinstance(item, list) or len(item) < 600):
            yield from _places(item)


def outcome(data: bytes) -> str:
    """Replay and print everything; return how it ended."""
    try:
        recording = parse(data)
    except WireError as error:
        return error.reason
    found: Step | Damage | None = None
    for count, found in enumerate(replay(recording)):
        assert count < 100, "more than was recorded"
        if isinstance(found, Step):
            words = describe.words(found.arguments)
            words += [word for effect in found.effects for word in describe.effect_words(effect)]
            assert " ".join(words).isprintable()
    if isinstance(found, Step):
        return found.verdict.value
    return "damage" if found else "nothing"


@pytest.mark.parametrize("make", [pulse_ring, cluster_ring])
def test_the_rings_that_are_changed_below_are_good(make: Callable[[], bytes]) -> None:
    assert outcome(make()) == Verdict.AS_RECORDED.value


@pytest.mark.parametrize("kind", [DAMAGED, FORGED])
@pytest.mark.parametrize("make", [pulse_ring, cluster_ring])
def test_no_change_does_anything_but_end_the_replay_in_words(
    make: Callable[[], bytes], kind: str
) -> None:
    ring, rng = make(), random.Random(kind)
    change = damaged if kind == DAMAGED else forged
    outcomes = Counter(outcome(change(ring, rng)) for _ in range(EACH))
    # Every end that there is was reached, so the changes reach every layer.
    expected = {
        DAMAGED: {"damage", "as recorded", "not-a-ring", "damaged-header", "other-format"},
        FORGED: {"damage", "as recorded", "diverged", "unreadable"},
    }
    assert expected[kind] <= set(outcomes), outcomes
    assert outcomes.total() == EACH
