"""Service links: broadcast packets without an address of our own."""

from standfest.adapters.linux.media import broadcast_packets


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
