"""The XDP program, packet by packet: what passes, and how packets reach a server."""

import random
import struct
import time
from dataclasses import replace
from ipaddress import ip_address

import pytest
from tests.netns import xdp_bench as bench
from tests.netns.xdp_bench import (
    ACK,
    CLIENT4,
    CLIENT6,
    DIRECTOR_MAC,
    ROUTER_MAC,
    SIX,
    SYN,
    VIP4,
    VIP6,
    Director,
    Packet,
    more,
    new,
    reached,
    service,
    value,
)

from standfest.adapters.linux.xdp.programs import Verdict
from standfest.model.balancing import Forwarding, Protocol
from standfest.model.forwarding import (
    AddDestination,
    AddService,
    DestinationKey,
    IPAddress,
    ServiceOptions,
    service_key,
)
from standfest.wire.checksum import is_intact

pytestmark = [pytest.mark.root, pytest.mark.skipif(bool(bench.why_not()), reason=bench.why_not())]


# --- what is not balanced -------------------------------------------------------------------------


def test_everything_that_is_not_for_a_service_passes_untouched(xdp_director: Director) -> None:
    service(xdp_director, 1, 1)
    service(xdp_director, 1, 1, family=6)
    options = bytearray(Packet().packet())
    options[0] = 0x46
    fragment = bytearray(Packet().packet())
    fragment[6:8] = b"\x20\x00"
    tail = bytearray(Packet().packet())
    tail[6:8] = b"\x00\x10"
    hop_by_hop = bench.ipv6(CLIENT6, VIP6, 0, bytes(8) + Packet().transport())
    for frame in (
        Packet(port=81).frame(),
        Packet(vip=ip_address("10.9.0.101")).frame(),
        Packet(protocol=17).frame(),
        Packet(protocol=47).frame(),
        replace(SIX, port=81).frame(),
        replace(SIX, vip=ip_address("fd09::101")).frame(),
        bench.ethernet(bytes(options)),
        bench.ethernet(bytes(fragment)),
        bench.ethernet(bytes(tail)),
        bench.ethernet(hop_by_hop),
        bytes.fromhex("ffffffffffff") + ROUTER_MAC + b"\x08\x06" + bytes(46),  # ARP
        DIRECTOR_MAC + ROUTER_MAC + bytes.fromhex("81000005") + b"\x08\x00" + Packet().packet(),
    ):
        outcome = xdp_director.put(frame)
        assert (outcome.verdict, outcome.packet) == (Verdict.PASS, frame)


def test_no_bytes_stop_the_program(xdp_director: Director) -> None:
    service(xdp_director, 1)
    service(xdp_director, 1, family=6)
    chance = random.Random(20261126)
    for _ in range(3000):
        whole = chance.choice((Packet(), SIX)).frame()
        begin = chance.choice((0, 14, 20, 34, 54))
        frame = whole[:begin] + chance.randbytes(chance.randint(14, 100))
        assert xdp_director.put(frame).verdict is not Verdict.ABORTED
    for size in range(14, 60):
        for packet in (Packet(), SIX):
            outcome = xdp_director.put(packet.frame()[:size])
            assert outcome.verdict in (Verdict.PASS, Verdict.TX)


def test_frames_for_other_stations_are_left_to_them(xdp_director: Director) -> None:
    service(xdp_director, 1)
    for mac, verdict in (
        (bytes.fromhex("020000000002"), Verdict.PASS),
        (bytes.fromhex("030000000001"), Verdict.PASS),
        (bytes.fromhex("00005e000133"), Verdict.TX),  # of a virtual router that is here
        (bytes.fromhex("00005e000233"), Verdict.TX),
        (bytes.fromhex("00005e000333"), Verdict.PASS),
    ):
        assert xdp_director.put(Packet(mac=mac).frame()).verdict is verdict, mac.hex()


def test_a_service_without_servers_passes_so_that_the_stack_refuses(xdp_director: Director) -> None:
    service(xdp_director)
    assert xdp_director.put(Packet().frame()).verdict is Verdict.PASS
    service(xdp_director, 0, family=6)
    assert xdp_director.put(SIX.frame()).verdict is Verdict.PASS


# --- on the way to the server ---------------------------------------------------------------------


def test_direct_routing_changes_macs_and_hops_and_nothing_else(xdp_director: Director) -> None:
    service(xdp_director, 1)
    frame = Packet(payload=b"hello").frame()
    outcome = xdp_director.put(frame)
    assert outcome.verdict is Verdict.TX
    assert outcome.packet[:14] == bench.server_mac(1) + DIRECTOR_MAC + b"\x08\x00"
    assert outcome.packet[22] == 63
    assert bench.intact(outcome.packet[14:])
    assert outcome.packet[14:22] + outcome.packet[26:] == frame[14:22] + frame[26:]


def test_direct_routing_does_the_same_with_ipv6(xdp_director: Director) -> None:
    service(xdp_director, 1, family=6)
    frame = replace(SIX, payload=b"hello").frame()
    outcome = xdp_director.put(frame)
    assert outcome.verdict is Verdict.TX
    assert outcome.packet[:14] == bench.server_mac(1) + DIRECTOR_MAC + b"\x86\xdd"
    assert outcome.packet[21] == 63
    assert outcome.packet[14:21] + outcome.packet[22:] == frame[14:21] + frame[22:]


def test_the_header_checksum_stays_right(xdp_director: Director) -> None:
    service(xdp_director, 1)
    for hops in (2, 3, 64, 127, 128, 255):
        for identification in range(0, 65536, 257):
            packet = Packet(hops=hops).packet()
            packet = packet[:4] + identification.to_bytes(2) + packet[6:]
            frame = bench.ethernet(bench.with_checksum(packet[:20]) + packet[20:])
            outcome = xdp_director.put(frame)
            assert outcome.packet[22] == hops - 1
            assert bench.intact(outcome.packet[14:])


def test_directors_that_send_to_each_other_come_to_an_end(xdp_director: Director) -> None:
    service(xdp_director, 1)
    service(xdp_director, 1, family=6)
    for packet in (Packet(hops=1), replace(SIX, hops=1)):
        assert xdp_director.put(packet.frame()).verdict is Verdict.PASS


def test_a_tunnel_puts_an_outer_ipv4_header_in_front(xdp_director: Director) -> None:
    service(xdp_director, 1, forwarding=Forwarding.TUNNEL)
    packet = Packet(payload=b"hello")
    outcome = xdp_director.put(packet.frame())
    assert outcome.verdict is Verdict.TX
    assert outcome.packet[:14] == bench.server_mac(1) + DIRECTOR_MAC + b"\x08\x00"
    outer = outcome.packet[14:34]
    inner = packet.packet()  # 20 + 20 + 5 = 45 bytes; 20 more are 65 = 0x41
    # class as inside, 0 never to be fragmented, 64 hops, protocol 4 (RFC 2003)
    assert outer[:10].hex() == "4510" + "0041" + "0000" + "4000" + "4004"
    assert outer[12:] == ip_address("10.9.0.1").packed + bench.server(1).packed
    assert bench.intact(outer)
    assert outcome.packet[34 + 8] == 63
    assert bench.intact(outcome.packet[34:])
    assert outcome.packet[34 + 12 : 34 + 45] == inner[12:]


def test_a_tunnel_does_not_count_the_padding_of_a_short_frame(xdp_director: Director) -> None:
    service(xdp_director, 1, forwarding=Forwarding.TUNNEL)
    outcome = xdp_director.put(Packet().frame())  # 40 bytes in a frame that has room for 46
    assert int.from_bytes(outcome.packet[16:18]) == 60
    assert len(outcome.packet) == 80


def test_a_tunnel_puts_an_outer_ipv6_header_in_front(xdp_director: Director) -> None:
    service(xdp_director, 1, family=6, forwarding=Forwarding.TUNNEL)
    packet = replace(SIX, payload=b"hello")
    outcome = xdp_director.put(packet.frame())
    assert outcome.verdict is Verdict.TX
    assert outcome.packet[:14] == bench.server_mac(1) + DIRECTOR_MAC + b"\x86\xdd"
    outer, inner = outcome.packet[14:54], outcome.packet[54:]
    assert outer[:2].hex()[:3] == "610"  # version 6, class 0x10 as inside
    # 40 + 20 + 5 = 65 bytes inside, next header 41 (RFC 2473), 64 hops
    assert outer[4:8].hex() == "0041" + "29" + "40"
    assert outer[8:40] == ip_address("fd09::1").packed + bench.server(1, 6).packed
    assert inner[8:65] == packet.packet()[8:]


def test_the_outer_flow_label_tells_connections_apart_but_not_their_packets(
    xdp_director: Director,
) -> None:
    service(xdp_director, 1, family=6, forwarding=Forwarding.TUNNEL)

    def label(port: int, flags: int) -> int:
        outcome = xdp_director.put(replace(SIX, client_port=port, flags=flags).frame())
        return int.from_bytes(outcome.packet[14:18]) & 0xFFFFF

    labels = [label(port, SYN) for port in range(40000, 40100)]
    assert labels == [label(port, ACK) for port in range(40000, 40100)]
    assert len(set(labels)) > 95


def test_a_server_that_is_the_director_itself_gets_its_packets_from_the_stack(
    xdp_director: Director,
) -> None:
    key = service_key(Protocol.TCP, VIP4, 80)
    own = DestinationKey(ip_address("10.9.0.1"), 80)
    xdp_director.backend.apply(
        [AddService(key, ServiceOptions("rr")), AddDestination(key, own, value())]
    )
    frame = Packet().frame()
    outcome = xdp_director.put(frame)
    assert (outcome.verdict, outcome.packet) == (Verdict.PASS, frame)


def test_a_server_whose_mac_nobody_knows_gets_nothing(xdp_director: Director) -> None:
    key = service_key(Protocol.TCP, VIP4, 80)
    absent = DestinationKey(ip_address("10.9.0.99"), 80)
    xdp_director.backend.apply(
        [AddService(key, ServiceOptions("rr")), AddDestination(key, absent, value())]
    )
    assert xdp_director.put(Packet().frame()).verdict is Verdict.DROP
    mac = bench.server_mac(3).hex(":")
    bench.ip("neigh", "replace", "10.9.0.99", "lladdr", mac, "dev", "eth0", "nud", "permanent")
    assert reached(xdp_director.put(Packet().frame())) == 3


def test_a_servers_new_mac_counts_after_a_moment_without_the_daemon(xdp_director: Director) -> None:
    service(xdp_director, 1)
    words = ("neigh", "replace", str(bench.server(1)), "lladdr")
    assert new(xdp_director, 40000) == 1
    try:
        bench.ip(*words, bench.server_mac(4).hex(":"), "dev", "eth0", "nud", "permanent")
        time.sleep(0.22)  # what a CPU has found out lasts for 0.2 s
        assert more(xdp_director, 40000) == 4
    finally:
        bench.ip(*words, bench.server_mac(1).hex(":"), "dev", "eth0", "nud", "permanent")


# --- ICMP -----------------------------------------------------------------------------------------


def unreachable(quoted: bytes, *, kind: int = 3, target: IPAddress = VIP4) -> bytes:
    """Return the frame of an ICMP error from a router on the way back."""
    body = struct.pack(">BBHI", kind, 4, 0, 1400) + quoted[:28]
    return bench.ethernet(bench.ipv4(ip_address("203.0.113.1"), target, 1, body))


def test_an_icmp_error_goes_to_the_server_of_its_connection(xdp_director: Director) -> None:
    service(xdp_director, 1, 1)
    for port in range(40000, 40004):
        owner = new(xdp_director, port)
        answer = bench.ipv4(VIP4, CLIENT4, 6, struct.pack(">HHI", 80, port, 5) + bytes(12))
        for kind in (3, 11, 12):
            assert reached(xdp_director.put(unreachable(answer, kind=kind))) == owner
        assert xdp_director.put(unreachable(answer, kind=8)).verdict is Verdict.PASS
        elsewhere = unreachable(answer, target=ip_address("10.9.0.101"))
        assert xdp_director.put(elsewhere).verdict is Verdict.PASS
    stranger = bench.ipv4(VIP4, CLIENT4, 6, struct.pack(">HHI", 80, 50000, 5) + bytes(12))
    assert xdp_director.put(unreachable(stranger)).verdict is Verdict.PASS
    other = bench.ipv4(CLIENT4, CLIENT4, 6, struct.pack(">HHI", 80, 40000, 5) + bytes(12))
    assert xdp_director.put(unreachable(other)).verdict is Verdict.PASS


def test_an_icmpv6_error_goes_to_the_server_of_its_connection(xdp_director: Director) -> None:
    service(xdp_director, 1, 1, family=6)
    for port in range(40000, 40004):
        owner = reached(xdp_director.put(replace(SIX, client_port=port).frame()))
        answer = bench.ipv6(VIP6, CLIENT6, 6, struct.pack(">HHI", 80, port, 5) + bytes(12))
        for kind, verdict in (
            (1, Verdict.TX),
            (2, Verdict.TX),
            (3, Verdict.TX),
            (128, Verdict.PASS),
        ):
            body = struct.pack(">BBHI", kind, 0, 0, 1400) + answer
            frame = bench.ethernet(bench.ipv6(ip_address("2001:db8:1::1"), VIP6, 58, body))
            outcome = xdp_director.put(frame)
            assert outcome.verdict is verdict
            assert verdict is Verdict.PASS or reached(outcome) == owner


def test_a_packet_that_does_not_fit_the_tunnel_is_answered_with_what_fits(
    xdp_director: Director,
) -> None:
    service(xdp_director, 1, forwarding=Forwarding.TUNNEL)
    new_length = 1480 - 40
    assert xdp_director.put(Packet(payload=bytes(new_length)).frame()).verdict is Verdict.TX
    long = Packet(payload=bytes(new_length + 1))
    outcome = xdp_director.put(long.frame())
    assert outcome.verdict is Verdict.TX
    assert outcome.packet[:14] == ROUTER_MAC + DIRECTOR_MAC + b"\x08\x00"
    header, icmp = outcome.packet[14:34], outcome.packet[34:]
    assert bench.intact(header)
    assert header[12:] == VIP4.packed + CLIENT4.packed
    assert (header[9], int.from_bytes(header[2:4])) == (1, 20 + 8 + 28)
    assert is_intact(icmp)
    # destination unreachable, fragmentation needed (RFC 1191); 1500 - 20 = 1480 = 0x5c8
    assert icmp[:2].hex() + icmp[4:8].hex() == "0304" + "000005c8"
    assert icmp[8:] == long.packet()[:28]


def test_a_long_ipv6_packet_is_told_to_be_too_big(xdp_director: Director) -> None:
    service(xdp_director, 1, family=6, forwarding=Forwarding.TUNNEL)
    fits = 1500 - 40 - 40 - 20
    assert xdp_director.put(replace(SIX, payload=bytes(fits)).frame()).verdict is Verdict.TX
    long = replace(SIX, payload=bytes(fits + 1))
    outcome = xdp_director.put(long.frame())
    assert outcome.verdict is Verdict.TX
    assert outcome.packet[:14] == ROUTER_MAC + DIRECTOR_MAC + b"\x86\xdd"
    header, icmp = outcome.packet[14:54], outcome.packet[54:]
    assert header[4:8].hex() == "0038" + "3a" + "40"  # 8 + 48 bytes, ICMPv6
    assert header[8:] == VIP6.packed + CLIENT6.packed
    pseudo = header[8:] + struct.pack(">II", len(icmp), 58)
    assert is_intact(pseudo + icmp)
    assert icmp[:2].hex() + icmp[4:8].hex() == "0200" + "000005b4"  # 1500 - 40 = 1460
    assert icmp[8:] == long.packet()[:48]


def test_a_long_packet_that_may_be_fragmented_is_dropped(xdp_director: Director) -> None:
    service(xdp_director, 1, forwarding=Forwarding.TUNNEL)
    packet = bytearray(Packet(payload=bytes(1441)).packet())
    packet[6:8] = b"\0\0"
    frame = bench.ethernet(bench.with_checksum(bytes(packet[:20])) + bytes(packet[20:]))
    assert xdp_director.put(frame).verdict is Verdict.DROP
