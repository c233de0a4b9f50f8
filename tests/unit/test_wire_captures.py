"""Every packet captured from heartbeat 3.0.6 decodes as the facts say, and encodes to itself."""

import struct
from collections import Counter
from pathlib import Path

import pytest

from standfest.model.errors import WireError
from standfest.model.keys import Key, Keyring, SignatureMethod
from standfest.wire.heartbeat import Form, decode, encode

CAPTURES = Path(__file__).parents[3] / "shared" / "facts" / "heartbeat" / "data"
pytestmark = pytest.mark.skipif(not CAPTURES.is_dir(), reason=f"no captures in {CAPTURES}")

RIG = b"rigSecretKey"
SHA1 = Keyring(1, (Key(1, SignatureMethod.SHA1, RIG),))
MD5 = Keyring(1, (Key(1, SignatureMethod.MD5, RIG),))
CRC = Keyring(1, (Key(1, SignatureMethod.CRC),))
TWO = Keyring(1, (*SHA1.keys, Key(2, SignatureMethod.SHA1, b"otherKey")))


def datagrams(name: str) -> list[bytes]:
    """Return the UDP payloads of a little-endian capture: 14 + 20 + 8 bytes of headers each."""
    data = (CAPTURES / name).read_bytes()
    found = []
    offset = 24
    while offset < len(data):
        (size,) = struct.unpack_from("<I", data, offset + 8)
        found.append(data[offset + 16 + 42 : offset + 16 + size])
        offset += 16 + size
    return found


@pytest.mark.parametrize(
    ("name", "keyring", "accepted"),
    [
        ("heartbeat-sha1.pcap", SHA1, 295),
        ("heartbeat-netstring.pcap", SHA1, 295),
        ("join-classic.pcap", SHA1, 197),
        ("join-crc.pcap", CRC, 207),
        ("join-full.pcap", SHA1, 348),
        ("join-md5.pcap", MD5, 207),
        ("join-noinner.pcap", SHA1, 207),
        ("join-noproto.pcap", SHA1, 191),
        ("join-nouuid.pcap", SHA1, 207),
        ("join-quiet.pcap", SHA1, 458),
        ("join-replay.pcap", SHA1, 195),
        ("join-rot-classic.pcap", TWO, 1474),
        ("join-rot-netstring.pcap", TWO, 1365),
        ("join-rot-netstring-curkey.pcap", TWO, 208),
        ("join-shutdown.pcap", SHA1, 212),
    ],
)
def test_every_captured_packet_decodes_and_encodes_to_itself(
    name: str, keyring: Keyring, accepted: int
) -> None:
    packets = datagrams(name)
    assert len(packets) == accepted
    for packet in packets:
        message = decode(packet, keyring)
        assert message.text("t")
        assert message.text("src") in ("n1", "n2")
        if b"\n42:2 " in packet and name.endswith("curkey.pcap"):
            continue  # number 2 signed with key 1: we never sign so
        number = 2 if b"42:2 " in packet[-48:] or b"auth=2 " in packet else 1
        form = Form.CLASSIC if packet.startswith(b">>>") else Form.NETSTRING
        sender = Keyring(number, keyring.keys)
        inner = b"(0)auth=" in packet
        assert encode(message, sender, form=form, inner=inner) == packet


def test_packets_of_a_wrong_key_are_dropped_and_those_of_the_right_one_are_not() -> None:
    outcome: Counter[str] = Counter()
    for packet in datagrams("join-wrongkey.pcap"):
        try:
            outcome[f"accepted {decode(packet, SHA1).text('src')}"] += 1
        except WireError as error:
            outcome[error.reason] += 1
    assert set(outcome) == {"accepted n1", "bad-signature"}
    assert outcome.total() == 1354


def test_number_two_is_unknown_to_a_node_without_that_key() -> None:
    reasons = Counter[str]()
    for packet in datagrams("join-rot-netstring.pcap"):
        try:
            decode(packet, SHA1)
        except WireError as error:
            reasons[error.reason] += 1
    assert set(reasons) == {"unknown-key"}
