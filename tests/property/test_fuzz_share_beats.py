"""Beats on the wire: what is sent is read, and no bytes, signed or not, do anything but fail."""

import random
import zlib
from collections import Counter

import pytest

from standfest.model.errors import WireError
from standfest.model.keys import Key, Keyring, SignatureMethod
from standfest.model.message import FieldValue, Message
from standfest.model.sharing import MAX_BUCKETS, Beat
from standfest.wire import heartbeat
from standfest.wire.sharing import REASONS, Errand, Verb, decode, encode

KEYRING = Keyring(1, (Key(1, SignatureMethod.SHA1, b"secret"),))
ERRAND = Errand("web1", "web2", 0x6B02A98E, 12, Verb.DRAIN)
BEAT = Beat(
    source="web1",
    generation=0x6B02A98D,
    number=77,
    layout=0xDEADBEEF,
    draining=True,
    wants=0b1111,
    holds=0b0111,
    former=0b1000_0000,
    known=0b1100_0000,
    votes={"web1": 0b1111, "web3": 1 << 4095},
    echoes={"web2": (0x6B02A98E, 12), "web3": (1, 2**64 - 1)},
)
NAMES = [f"node{number}" for number in range(64)]


def random_beat(rng: random.Random) -> Beat:
    count, buckets = rng.randint(1, 64), rng.choice((1, 63, 64, 192, MAX_BUCKETS))
    names = rng.sample(NAMES, count)
    votes = dict.fromkeys(names, 0)
    for bucket in range(buckets):
        if rng.random() < 0.9:
            votes[rng.choice(names)] |= 1 << bucket
    echoes = {name: (rng.getrandbits(32) + 1, rng.getrandbits(40)) for name in names[::2]}
    sets = [rng.getrandbits(buckets) & rng.getrandbits(buckets) for _ in range(4)]
    return Beat(
        rng.choice(NAMES),
        rng.getrandbits(63),
        rng.getrandbits(63),
        rng.getrandbits(32),
        rng.random() < 0.5,
        rng.random() < 0.5,
        wants=sets[0],
        holds=sets[1],
        former=sets[2],
        known=sets[3],
        votes={name: some for name, some in votes.items() if some},
        echoes=echoes,
    )


def outcome(datagram: bytes) -> Beat | Errand | str:
    try:
        return decode(datagram, "web", KEYRING)
    except WireError as error:
        return error.reason if error.reason in REASONS else f"UNKNOWN REASON {error.reason}"


def test_what_is_sent_is_read() -> None:
    assert outcome(encode(BEAT, "web", KEYRING)) == BEAT
    assert outcome(encode(ERRAND, "web", KEYRING)) == ERRAND
    rng = random.Random(20_084)
    for _ in range(200):
        beat = random_beat(rng)
        datagram = encode(beat, "web", KEYRING)
        assert outcome(datagram) == beat
        assert len(datagram) < 8_000


def test_beats_of_three_members_are_small() -> None:
    full = (1 << 64) - 1
    votes = {"web1": full, "web2": full << 64, "web3": full << 128}
    echoes = {"web2": (0x6B02A98E, 12), "web3": (0x6B02A98F, 99)}
    beat = Beat(
        *("web1", 0x6B02A98D, 1, 0xDEADBEEF),
        wants=full,
        holds=full,
        votes=votes,
        echoes=echoes,
    )
    assert len(encode(beat, "web", KEYRING)) < 400


def test_beats_of_another_shared_address_and_other_messages_are_told_apart() -> None:
    assert outcome(encode(BEAT, "shop", KEYRING)) == "other-address"
    status = Message((("t", "status"), ("of", "web"), ("src", "web1")))
    assert outcome(heartbeat.encode(status, KEYRING)) == "no-beat"
    other = Keyring(1, (Key(1, SignatureMethod.SHA1, b"another"),))
    assert outcome(encode(BEAT, "web", other)) == "bad-signature"


def test_an_errand_that_nobody_knows_is_refused() -> None:
    message = heartbeat.decode(encode(ERRAND, "web", KEYRING), KEYRING)
    for field, value, reason in (
        ("do", "reboot", "verb"),
        ("to", "", "members"),
        ("seq", "-1", "number"),
    ):
        fields = {**dict(message.fields), field: value}
        assert outcome(heartbeat.encode(Message(tuple(fields.items())), KEYRING)) == reason


def signed(changed: dict[str, FieldValue | None]) -> bytes:
    message = heartbeat.decode(encode(BEAT, "web", KEYRING), KEYRING)
    fields = []
    for name, value in message.fields:
        new = changed.get(name, value)
        if new is not None:
            fields.append((name, new))
    return heartbeat.encode(Message(tuple(fields)), KEYRING, inner=False)


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("w", b"\1" + zlib.compress(bytes(16 * 1024 * 1024), 9), "buckets"),
        ("v", b"\1" + zlib.compress(bytes(16 * 1024 * 1024), 9), "buckets"),
        ("w", b"\1" + zlib.compress(bytes(512)) + b"more", "buckets"),
        ("w", b"\1" + zlib.compress(bytes(512))[:-1], "buckets"),
        ("w", b"\0" + bytes(513), "buckets"),
        ("w", b"\2", "buckets"),
        ("w", b"", "buckets"),
        ("w", "text", "buckets"),
        ("v", b"\0\4", "buckets"),  # three names
        ("v", b"\0" + bytes(4097), "buckets"),
        ("e", b"\0" * 47, "echoes"),  # three names of 16 bytes
        ("e", None, "echoes"),
        ("m", None, "members"),
        ("m", ("web1", "web1", "web3"), "members"),
        ("m", tuple(map(str, range(65))), "members"),
        ("m", ("web1", "web2", ""), "members"),
        ("src", "x" * 65, "members"),
        ("src", "a\x1b[2J", "members"),
        ("hg", "-1", "number"),
        ("hg", "1" * 17, "number"),
        ("seq", "0x1", "number"),
        ("seq", "A", "number"),
        ("lay", None, "number"),
    ],
)
def test_what_is_signed_is_not_believed_either(
    field: str, value: FieldValue | None, reason: str
) -> None:
    assert outcome(signed({field: value})) == reason


def test_mutated_and_random_fields_are_a_beat_or_a_reason() -> None:
    rng = random.Random(20_085)
    message = heartbeat.decode(encode(BEAT, "web", KEYRING), KEYRING)
    seen: Counter[str] = Counter()
    for _ in range(20_000):
        fields = dict(message.fields)
        for name in rng.sample(list(fields), rng.randint(1, 3)):
            value = fields[name]
            if isinstance(value, bytes) and value:
                damaged = bytearray(value)
                damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
                fields[name] = bytes(damaged)
            else:
                noise = rng.randbytes(rng.randrange(20))
                fields[name] = rng.choice((noise, noise.hex(), (noise.hex(), "a")))
        result = outcome(heartbeat.encode(Message(tuple(fields.items())), KEYRING, inner=False))
        if isinstance(result, Beat):
            assert max(result.wants, result.holds, result.former, result.known) < 1 << MAX_BUCKETS
            assert len(result.votes) <= 64
        seen[result if isinstance(result, str) else "a beat"] += 1
    assert set(seen) <= {*REASONS, "a beat"}
    assert seen["a beat"] > 100
    assert seen["buckets"] > 1_000


def test_random_datagrams_never_break_the_decoder() -> None:
    rng = random.Random(20_086)
    good = encode(BEAT, "web", KEYRING)
    for _ in range(20_000):
        damaged = bytearray(good)
        for _ in range(rng.randint(1, 4)):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        attack = bytes(damaged[: rng.randrange(len(damaged) + 1)])
        assert attack == good or outcome(attack) in REASONS
