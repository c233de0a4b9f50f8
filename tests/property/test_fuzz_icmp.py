"""Echo replies: whatever arrives is one that was asked for, or a WireError with a known reason."""

import os
import random
from collections import Counter

import pytest

from standfest.model.errors import WireError
from standfest.wire import icmp
from standfest.wire.checksum import internet_checksum
from standfest.wire.ipv4 import encode_header

SEED = int(os.environ.get("STANDFEST_HUNT_SEED", "792"))
TOKEN = bytes(range(16))
ROUNDS = 20_000


def reply(version: int, identifier: int, sequence: int, data: bytes) -> bytes:
    """Return what a raw socket gives for a good reply."""
    asked = icmp.echo(version, identifier, sequence, data)
    bare = bytes([icmp.ECHO_REPLY[version], 0, 0, 0]) + asked[4:]
    if version == 6:
        return bare
    message = bare[:2] + internet_checksum(bare).to_bytes(2, "big") + bare[4:]
    header = encode_header(
        source=bytes((10, 0, 0, 1)), destination=bytes((10, 0, 0, 2)), ttl=64, tos=0,
        identification=7, protocol=1, payload_bytes=len(message),
    )  # fmt: skip
    return header + message


def damaged(rng: random.Random, packet: bytes) -> bytes:
    data = bytearray(packet)
    for _ in range(rng.randint(0, 4)):
        match rng.randrange(4):
            case 0 if data:
                data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
            case 1:
                del data[rng.randrange(len(data) + 1) :]
            case 2:
                data[rng.randrange(len(data) + 1) : 0] = rng.randbytes(rng.randint(1, 600))
            case _ if data:
                data[0] = rng.choice((0x45, 0x4F, 0x40, 0x46, 0, 129))
            case _:
                pass
    return bytes(data)


@pytest.mark.parametrize("version", [4, 6])
def test_damaged_replies_are_refused_with_a_reason_or_are_what_was_sent(version: int) -> None:
    rng, seen = random.Random(SEED + version), Counter[str]()
    good = reply(version, 0x1234, 9, TOKEN)
    for _ in range(ROUNDS):
        packet = damaged(rng, good) if rng.random() < 0.9 else rng.randbytes(rng.randint(0, 700))
        try:
            found = icmp.read_reply(version, packet)
        except WireError as error:
            seen[error.reason] += 1
            continue
        seen["reply"] += 1
        assert 0 <= found.identifier <= 65_535
        assert 0 <= found.sequence <= 65_535
        assert len(found.data) <= len(packet)
    reasons = {"short", "not-a-reply", "reply"} | ({"checksum"} if version == 4 else set())
    assert set(seen) == reasons
    assert min(seen.values()) > 200


@pytest.mark.parametrize("version", [4, 6])
def test_a_reply_is_read_as_it_was_asked_for(version: int) -> None:
    assert icmp.read_reply(version, reply(version, 0x1234, 9, TOKEN)) == icmp.EchoReply(
        0x1234, 9, TOKEN
    )


def test_a_request_and_an_error_are_no_replies() -> None:
    for first in (8, 3, 11):  # echo request, unreachable, time exceeded
        packet = bytearray(reply(4, 1, 1, TOKEN))
        packet[20] = first
        with pytest.raises(WireError, match="not-a-reply"):
            icmp.read_reply(4, bytes(packet))
    with pytest.raises(WireError, match="not-a-reply"):
        icmp.read_reply(6, icmp.echo(6, 1, 1, TOKEN))
