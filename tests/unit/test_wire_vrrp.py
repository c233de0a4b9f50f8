"""What RFC 3768 and RFC 9568 want of every VRRP packet, before anybody knows the virtual router."""

import struct

import pytest

from standfest.model.advertisement import Advertisement
from standfest.model.errors import WireError
from standfest.model.time import milliseconds, seconds
from standfest.model.vrrp import Family
from standfest.wire import arp, ndp, vrrp, vrrp_ah
from standfest.wire.checksum import internet_checksum, is_intact
from standfest.wire.ipv4 import decode_ipv4

HERE, THERE = bytes((10, 77, 0, 1)), bytes((10, 77, 0, 2))
GROUP = bytes((224, 0, 0, 18))
SIX = bytes.fromhex("fe800000000000000000000000000002")
GROUP_SIX = bytes.fromhex("ff020000000000000000000000000012")
VIP = bytes((10, 77, 0, 100))
V2 = Advertisement(Family.IPV4, 2, 51, 150, seconds(1), VIP)
V3 = Advertisement(Family.IPV4, 3, 51, 150, milliseconds(100), VIP)
V6 = Advertisement(Family.IPV6, 3, 51, 150, milliseconds(100), SIX)


def message(advertisement: Advertisement, **change: int) -> bytes:
    """Return the encoded advertisement, bytes replaced by position, the checksum done again."""
    six = advertisement.family is Family.IPV6
    source, destination = (SIX, GROUP_SIX) if six else (THERE, GROUP)
    data = bytearray(vrrp.encode(advertisement, source=source, destination=destination))
    for name, value in change.items():
        data[int(name.removeprefix("byte"))] = value
    data[6:8] = b"\0\0"
    pseudo = b""
    if advertisement.version == 3 and not six:
        pseudo = source + destination + bytes((0, 112, 0, len(data)))
    elif six:
        pseudo = source + destination + struct.pack("!IHBB", len(data), 0, 0, 112)
    data[6:8] = internet_checksum(pseudo + bytes(data)).to_bytes(2)
    return bytes(data)


def decode(data: bytes, *, ttl: int = 255, destination: bytes = GROUP) -> Advertisement:
    source = SIX if len(destination) == 16 else THERE
    return vrrp.decode(data, source=source, destination=destination, ttl=ttl)


def refusal(data: bytes, *, ttl: int = 255, destination: bytes = GROUP) -> str:
    with pytest.raises(WireError) as caught:
        decode(data, ttl=ttl, destination=destination)
    assert caught.value.reason in vrrp.REASONS
    return caught.value.reason


def test_version_2_says_seconds_and_carries_8_bytes_of_authentication() -> None:
    """3768-5.3-1, 3768-5.3.7-1: 8 fixed bytes, 4 of address, 8 of authentication data."""
    data = message(V2)
    assert len(data) == 20
    assert data[:6] == bytes((0x21, 51, 150, 1, 0, 1))
    assert decode(data) == V2


def test_a_password_is_padded_to_8_bytes_and_never_shown() -> None:
    """3768-5.3.6-1: the field stays where RFC 2338 had it."""
    secret = Advertisement(Family.IPV4, 2, 51, 150, seconds(1), VIP, 1, b"s3cret\0\0")
    data = message(secret)
    assert data[4] == 1
    assert data[-8:] == b"s3cret\0\0"
    assert decode(data) == secret
    assert "s3cret" not in repr(secret)


def test_version_3_says_centiseconds_in_12_bits() -> None:
    """9568-5.2.7-1: 0.1 s is 10 cs, 40.95 s is 4095 cs."""
    assert message(V3)[4:6] == bytes((0, 10))
    slow = Advertisement(Family.IPV4, 3, 51, 150, milliseconds(40_950), VIP)
    assert message(slow)[4:6] == bytes((0x0F, 0xFF))
    assert decode(message(slow)).interval == 40_950_000_000


def test_reserved_bits_are_sent_as_zero() -> None:
    """9568-5.2.6-1 on transmission: the upper four bits of byte 4."""
    assert message(V3)[4] >> 4 == 0


def test_reserved_bits_are_ignored_on_reception() -> None:
    """9568-5.2.6-1 on reception."""
    assert decode(message(V3, byte4=0xF0)) == V3


def test_an_interval_of_0_is_refused() -> None:
    """9568-5.2.7-1, 3768-5.3.7-1: nobody could ever be late."""
    assert refusal(message(V3, byte5=0)) == "interval"
    assert refusal(message(V2, byte5=0)) == "interval"


def test_ttl_255_is_accepted() -> None:
    """9568-5.1.1.3-1, 9568-5.1.2.3-1, 9568-7.1-1, 3768-5.2.3-1, 3768-7.1-1."""
    assert decode(message(V2), ttl=255) == V2
    assert decode(message(V3), ttl=255) == V3
    assert decode(message(V6), ttl=255, destination=GROUP_SIX) == V6


@pytest.mark.parametrize("ttl", [0, 1, 64, 254])
def test_any_other_ttl_of_multicast_is_refused(ttl: int) -> None:
    """9568-5.1.1.3-1, 9568-5.1.2.3-1, 9568-7.1-1, 3768-5.2.3-1, 3768-7.1-1."""
    assert refusal(message(V2), ttl=ttl) == "ttl"
    assert refusal(message(V3), ttl=ttl) == "ttl"
    assert refusal(message(V6), ttl=ttl, destination=GROUP_SIX) == "ttl"


def test_the_ttl_of_unicast_is_left_to_the_instance() -> None:
    data = vrrp.encode(V3, source=THERE, destination=HERE)
    assert decode(data, ttl=64, destination=HERE) == V3


@pytest.mark.parametrize("version", [0, 1, 4, 15])
def test_other_versions_are_refused(version: int) -> None:
    """9568-7.1-2, 3768-7.1-2."""
    assert refusal(message(V3, byte0=version << 4 | 1)) == "version"


def test_versions_2_and_3_are_told_apart() -> None:
    """9568-7.1-2, 3768-7.1-2: which of them is right is the instance's to say."""
    assert decode(message(V2)).version == 2
    assert decode(message(V3)).version == 3


def test_version_2_over_ipv6_is_refused() -> None:
    """9568-7.1-2: version 2 knows IPv4 only."""
    assert refusal(message(V6, byte0=0x21), destination=GROUP_SIX) == "version"


def test_type_1_is_the_only_type() -> None:
    """9568-5.2.2-1, 9568-7.1-3, 3768-5.3.2-1."""
    assert message(V3)[0] & 15 == 1
    assert decode(message(V3)) == V3


@pytest.mark.parametrize("kind", [0, 2, 15])
def test_an_unknown_type_is_refused(kind: int) -> None:
    """9568-5.2.2-1, 9568-7.1-3, 3768-5.3.2-1."""
    assert refusal(message(V3, byte0=0x30 | kind)) == "type"
    assert refusal(message(V2, byte0=0x20 | kind)) == "type"


def test_a_complete_packet_is_accepted_whatever_follows_it() -> None:
    """9568-7.1-4, 3768-7.1-3: the checksum covers what follows."""
    data = bytearray(message(V3) + b"more")
    data[6:8] = b"\0\0"
    pseudo = THERE + GROUP + bytes((0, 112, 0, len(data)))
    data[6:8] = internet_checksum(pseudo + bytes(data)).to_bytes(2)
    assert decode(bytes(data)) == V3


@pytest.mark.parametrize("size", range(20))
def test_every_shorter_packet_is_refused(size: int) -> None:
    """9568-7.1-4, 3768-7.1-3, 3768-5.3-1: version 2 with one address has 20 bytes, version 3 12."""
    assert refusal(message(V2)[:size]) == "short"
    if size < 12:
        assert refusal(message(V3)[:size]) == "short"


def test_more_addresses_announced_than_there_are_is_short() -> None:
    """9568-7.1-4, 3768-7.1-3."""
    assert refusal(message(V3, byte3=2)) == "short"


def test_the_right_checksum_is_accepted_with_and_without_a_pseudo_header() -> None:
    """9568-5.2.8-1, 9568-7.1-5, 3768-7.1-4: RFC 5798 and RFC 9568 disagree about IPv4."""
    for pseudo_header in (True, False):
        data = vrrp.encode(V3, source=THERE, destination=GROUP, pseudo_header=pseudo_header)
        assert decode(data) == V3
    assert is_intact(vrrp.encode(V3, source=THERE, destination=GROUP, pseudo_header=False))
    assert is_intact(message(V2))


@pytest.mark.parametrize("advertisement", [V2, V3, V6])
def test_every_flipped_bit_is_noticed(advertisement: Advertisement) -> None:
    """9568-5.2.8-1, 9568-7.1-5, 3768-7.1-4."""
    destination = GROUP_SIX if advertisement.family is Family.IPV6 else GROUP
    data = message(advertisement)
    for bit in range(len(data) * 8):
        wrong = bytearray(data)
        wrong[bit // 8] ^= 1 << bit % 8
        assert refusal(bytes(wrong), destination=destination)


def test_ipv6_without_a_pseudo_header_is_refused() -> None:
    """9568-5.2.8-1: IPv6 always has it."""
    data = bytearray(message(V6))
    data[6:8] = b"\0\0"
    data[6:8] = internet_checksum(bytes(data)).to_bytes(2)
    assert refusal(bytes(data), destination=GROUP_SIX) == "checksum"


def test_an_ipv6_list_is_not_taken_for_an_ipv4_one() -> None:
    """9568-5.2.9-1: one address has 16 bytes, and 12 bytes hold none."""
    assert refusal(message(V6)[:12], destination=GROUP_SIX) == "short"
    assert decode(message(V6), destination=GROUP_SIX).address_list()[0].version == 6


def test_vrid_0_is_refused() -> None:
    """9568-5.2.3-1, 3768-5.3.3-1."""
    assert refusal(message(V3, byte1=0)) == "vrid"


def test_vrids_1_to_255_are_accepted() -> None:
    """9568-5.2.3-1, 3768-5.3.3-1."""
    assert decode(message(V3, byte1=1)).vrid == 1
    assert decode(message(V3, byte1=255)).vrid == 255


def test_protocol_112_is_vrrp() -> None:
    """9568-5.1.1.4-1, 3768-5.2.4-1."""
    packet = bytes.fromhex("45c0002000010000ff70") + b"\0\0" + THERE + GROUP + message(V3)
    assert vrrp.decode_ipv4_packet(packet, "eth0").advertisement == V3


def test_another_protocol_is_refused() -> None:
    """9568-5.1.1.4-1, 3768-5.2.4-1: 17 is UDP."""
    packet = bytearray(bytes.fromhex("45c0002000010000ff70") + b"\0\0" + THERE + GROUP)
    packet += message(V3)
    packet[9] = 17
    with pytest.raises(WireError, match="protocol 17"):
        vrrp.decode_ipv4_packet(bytes(packet), "eth0")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({0: 0x65}, "ip-header"),
        ({0: 0x44}, "ip-header"),
        ({3: 19}, "ip-header"),
        ({3: 33}, "short"),
        ({6: 0x20}, "fragment"),
        ({7: 1}, "fragment"),
    ],
)
def test_a_broken_ip_header_is_refused(change: dict[int, int], reason: str) -> None:
    packet = bytearray(bytes.fromhex("45c0002000010000ff70") + b"\0\0" + THERE + GROUP)
    packet += message(V3)
    for at, value in change.items():
        packet[at] = value
    with pytest.raises(WireError) as caught:
        decode_ipv4(bytes(packet))
    assert caught.value.reason == reason


def test_the_virtual_mac_names_family_and_vrid() -> None:
    """9568-7.3-1, 3768-7.3-1: 00-00-5E-00-01-{VRID} and 00-00-5E-00-02-{VRID}."""
    assert vrrp.virtual_mac(Family.IPV4, 51).hex() == "00005e000133"
    assert vrrp.virtual_mac(Family.IPV6, 255).hex() == "00005e0002ff"


def test_no_two_virtual_routers_share_a_virtual_mac() -> None:
    """9568-7.3-1, 3768-7.3-1: 2 families x 255 VRIDs."""
    macs = {vrrp.virtual_mac(family, vrid) for family in Family for vrid in range(1, 256)}
    assert len(macs) == 510


def test_multicast_groups_have_their_ethernet_addresses() -> None:
    assert vrrp.multicast_mac(GROUP).hex() == "01005e000012"
    assert vrrp.multicast_mac(bytes((239, 200, 1, 2))).hex() == "01005e480102"
    assert vrrp.multicast_mac(GROUP_SIX).hex() == "333300000012"


def test_an_authentication_header_with_another_key_is_refused() -> None:
    told = Advertisement(Family.IPV4, 2, 51, 150, seconds(1), VIP, 2, bytes(8), 7)
    packet = vrrp_ah.encode_packet(
        told, key=b"s3cret", source=THERE, destination=GROUP, identification=9
    )
    heard = vrrp_ah.decode_packet(packet, "eth0", key=b"s3cret\0\0")
    assert heard.advertisement == told
    with pytest.raises(WireError, match="the ICV is wrong"):
        vrrp_ah.decode_packet(packet, "eth0", key=b"s3creT")
    for at in range(len(packet)):
        wrong = bytearray(packet)
        wrong[at] ^= 1
        if at in {1, 6, 7, 10, 11}:
            continue  # TOS, fragment field and header checksum are not covered
        with pytest.raises(WireError):
            vrrp_ah.decode_packet(bytes(wrong), "eth0", key=b"s3cret")


def test_a_gratuitous_arp_is_a_broadcast_request_for_itself() -> None:
    """9568-6.4.1-2: sender and target are the virtual address."""
    mac = bytes.fromhex("00005e000133")
    frame = arp.gratuitous_frame(mac, VIP)
    assert frame[:14].hex() == "ffffffffffff00005e0001330806"
    assert arp.decode(frame[14:]) == arp.ArpPacket(1, mac, VIP, b"\xff" * 6, VIP)


@pytest.mark.parametrize(("at", "reason"), [(1, "arp-type"), (5, "arp-type"), (7, "arp-operation")])
def test_other_arp_is_refused(at: int, reason: str) -> None:
    packet = bytearray(arp.gratuitous_frame(bytes(6), VIP)[14:])
    packet[at] = 9
    with pytest.raises(WireError) as caught:
        arp.decode(bytes(packet))
    assert caught.value.reason == reason


def test_an_unsolicited_advertisement_overrides_and_is_not_solicited() -> None:
    """9568-6.4.1-3: R set, S clear, O set, target link-layer address option."""
    mac = bytes.fromhex("00005e000233")
    frame = ndp.unsolicited_frame(mac, SIX, router=True)
    assert frame[:14].hex() == "33330000000100005e00023386dd"
    assert (frame[20], frame[21]) == (58, 255)
    told = ndp.decode(frame[54:], source=SIX, destination=ndp.ALL_NODES, hop_limit=255)
    assert told == ndp.NeighbourAdvertisement(SIX, mac, True, False, True)


def test_a_neighbour_advertisement_from_afar_is_refused() -> None:
    frame = ndp.unsolicited_frame(bytes(6), SIX, router=False)
    with pytest.raises(WireError) as caught:
        ndp.decode(frame[54:], source=SIX, destination=ndp.ALL_NODES, hop_limit=254)
    assert caught.value.reason == "hop-limit"
