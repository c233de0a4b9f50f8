"""Every packet that keepalived 2.2.7 sent in 16 captures decodes, and encodes to the same bytes."""

import struct
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from standfest.model.advertisement import Arrival
from standfest.model.vrrp import Family
from standfest.wire import arp, ndp, vrrp, vrrp_ah
from standfest.wire.ipv4 import decode_ipv4, encode_header

CAPTURES = Path(__file__).parents[3] / "shared/facts/keepalived/pcap"
pytestmark = pytest.mark.skipif(not CAPTURES.is_dir(), reason=f"no captures in {CAPTURES}")

ETHERNET = 14
IPV6_HEADER = 40

CLASSES = {
    "v2_advert_half": {"vrrp2": 14, "garp": 20},
    "v2_auth_ah": {"ah": 14, "garp": 20},
    "v2_auth_pass": {"vrrp2": 12, "garp": 15},
    "v2_garp_refresh": {"vrrp2": 13, "garp": 10},
    "v2_noauth": {"vrrp2": 17, "garp": 25},
    "v2_unicast": {"vrrp2": 13, "garp": 20},
    "v2_vmac": {"vrrp2": 16, "garp": 20},
    "v3_100ms": {"vrrp3": 104, "garp": 20},
    "v3_10ms": {"vrrp3": 872, "garp": 110},
    "v3_1s_crash": {"vrrp3": 16, "garp": 20},
    "v3_checksum_as_v2": {"vrrp3": 12, "garp": 15},
    "v3_ipv6": {"vrrp3": 13, "na": 30},
    "v3_ipv6_unicast": {"vrrp3": 14, "na": 40},
    "v3_ipv6_vmac": {"vrrp3": 12, "na": 30},
    "v3_unicast": {"vrrp3": 12, "garp": 15},
    "v3_vmac_xmit_base": {"vrrp3": 14, "garp": 20},
}
"""Counted by another decoder (shared/rigs/keepalived/vrrp_pcap.py)."""


def frames(name: str) -> Iterator[bytes]:
    data = (CAPTURES / f"{name}.pcap").read_bytes()
    order = "<" if data[:4] in {b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1"} else ">"
    at = 24
    while at < len(data):
        (size,) = struct.unpack_from(f"{order}I", data, at + 8)
        yield data[at + 16 : at + 16 + size]
        at += 16 + size


def check_ipv4(frame: bytes) -> str:
    packet = frame[ETHERNET:]
    ip = decode_ipv4(packet)
    if ip.protocol == vrrp_ah.AH_PROTOCOL:
        heard = vrrp_ah.decode_packet(packet, "eth0", key=b"s3cret")
        again = vrrp_ah.encode_packet(
            heard.advertisement,
            key=b"s3cret",
            source=heard.source,
            destination=heard.destination,
            identification=ip.identification,
        )
        assert again == packet[: len(again)]
        return "ah"
    if ip.protocol != vrrp.PROTOCOL:
        return ""
    heard = vrrp.decode_ipv4_packet(packet, "eth0")
    message = again_as_message(heard)
    header = encode_header(
        source=heard.source,
        destination=heard.destination,
        ttl=255,
        tos=vrrp.TRAFFIC_CLASS,
        identification=ip.identification,
        protocol=vrrp.PROTOCOL,
        payload_bytes=len(message),
    )
    assert header + message == packet[: len(header + message)]
    if heard.destination[0] >= 224:
        assert frame[:6] == vrrp.multicast_mac(heard.destination)
    return f"vrrp{heard.advertisement.version}"


def again_as_message(heard: Arrival) -> bytes:
    return vrrp.encode(heard.advertisement, source=heard.source, destination=heard.destination)


def check_ipv6(frame: bytes) -> str:
    packet = frame[ETHERNET:]
    following, hop_limit = packet[6], packet[7]
    source, destination = packet[8:24], packet[24:40]
    message = packet[IPV6_HEADER:]
    if following == vrrp.PROTOCOL:
        heard = vrrp.decode(message, source=source, destination=destination, ttl=hop_limit)
        assert vrrp.encode(heard, source=source, destination=destination) == message
        return f"vrrp{heard.version}"
    if following != ndp.PROTOCOL_ICMPV6 or message[0] != ndp.TYPE_ADVERTISEMENT:
        return ""
    told = ndp.decode(message, source=source, destination=destination, hop_limit=hop_limit)
    if told.solicited or told.target != source:
        return ""  # an answer of the kernel, not of keepalived
    assert told.mac is not None
    if destination == ndp.ALL_NODES and told.target.endswith(b"\x01\x00"):
        assert ndp.unsolicited_frame(told.mac, told.target, router=told.router) == frame
        return "na"
    return ""


def check(frame: bytes) -> str:
    match frame[12:14]:
        case b"\x08\x00":
            return check_ipv4(frame)
        case b"\x86\xdd":
            return check_ipv6(frame)
        case b"\x08\x06":
            packet = arp.decode(frame[ETHERNET:])
            if packet.sender != packet.target:
                return ""
            assert arp.gratuitous_frame(packet.sender_mac, packet.sender) == frame[:42]
            return "garp"
        case _:
            return ""


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_the_capture_decodes_and_encodes_to_the_same_bytes(name: str) -> None:
    seen = Counter(kind for kind in map(check, frames(name)) if kind)
    assert dict(seen) == CLASSES[name]


def test_the_virtual_mac_is_the_one_in_the_captures() -> None:
    sources = {frame[6:12] for frame in frames("v2_vmac") if frame[23] == vrrp.PROTOCOL}
    assert sources == {vrrp.virtual_mac(Family.IPV4, 51)} == {bytes.fromhex("00005e000133")}
    six = {frame[6:12] for frame in frames("v3_ipv6_vmac") if frame[20] == vrrp.PROTOCOL}
    assert six == {vrrp.virtual_mac(Family.IPV6, 51)} == {bytes.fromhex("00005e000233")}
