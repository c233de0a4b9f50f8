"""Service links: broadcast packets without an address of our own, sealed."""

import pytest

from standfest.adapters.linux.media import broadcast_packets
from standfest.adapters.linux.seal import Seal
from standfest.model.errors import WireError
from standfest.model.keys import Key, SignatureMethod

KEY = Key(1, SignatureMethod.SHA1, b"secret")


def test_a_small_datagram_is_one_packet_from_nobody_to_all() -> None:
    (packet,) = broadcast_packets(b"hello", 694)
    # Version 4, 5 words; 20 + 8 + 5 = 33 = 0x21 bytes; protocol 17; 0.0.0.0 -> 255.255.255.255;
    # ports 694 = 0x02b6; UDP length 13; no UDP checksum.
    assert packet[:4] == bytes.fromhex("45100021")
    assert packet[6:10] == bytes.fromhex("00000111")
    assert packet[12:20] == bytes.fromhex("00000000ffffffff")
    assert packet[20:] == bytes.fromhex("02b602b6000d0000") + b"hello"
    words = [int.from_bytes(packet[i : i + 2]) for i in range(0, 20, 2)]
    total = sum(words)
    assert (total & 0xFFFF) + (total >> 16) == 0xFFFF


def test_a_large_datagram_is_fragmented_at_1480_bytes() -> None:
    packets = list(broadcast_packets(b"x" * 4_000, 694))
    # 8 + 4000 bytes: 1480 + 1480 + 1048; offsets in units of 8: 0, 185, 370; the last says no more.
    assert [len(packet) for packet in packets] == [1500, 1500, 1068]
    assert [packet[6:8].hex() for packet in packets] == ["2000", "20b9", "0172"]
    assert len({packet[4:6] for packet in packets}) == 1


def test_what_is_sealed_opens_only_with_the_key_and_undamaged() -> None:
    sealed = Seal(KEY).close(b"status of node-1")
    assert b"node-1" not in sealed
    assert Seal(KEY).open(sealed) == b"status of node-1"
    assert Seal(KEY).close(b"x") != Seal(KEY).close(b"x")
    with pytest.raises(WireError, match="bad-seal"):
        Seal(Key(1, SignatureMethod.SHA1, b"other")).open(sealed)
    with pytest.raises(WireError, match="bad-seal"):
        Seal(KEY).open(sealed[:-1] + bytes([sealed[-1] ^ 1]))
    with pytest.raises(WireError, match="unsealed"):
        Seal(KEY).open(b"###\n")
