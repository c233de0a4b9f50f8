"""The records that the XDP program and its daemon share."""

import sys
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standfest.model.balancing import Forwarding, Method
from standfest.model.errors import WireError
from standfest.model.flows import FlowKey, FlowTuple
from standfest.model.forwarding import Destination, DestinationKey, ServiceKey, ServiceOptions
from standfest.model.slots import Choice
from standfest.model.vrrp import Family
from standfest.wire import xdp
from standfest.wire.checksum import internet_checksum

LITTLE = sys.byteorder == "little"
WEB = ServiceKey(Family.IPV4, "TCP", IPv4Address("192.0.2.1"), 80)


def test_the_key_of_a_service_is_as_a_packet_has_it() -> None:
    assert xdp.encode_service_key(WEB).hex() == "c000020100500600"
    six = ServiceKey(Family.IPV6, "UDP", IPv6Address("2001:db8::1"), 53)
    assert xdp.encode_service_key(six).hex() == "20010db8" + "00" * 11 + "01" + "0035" + "1100"


@given(
    address=st.ip_addresses(),
    port=st.integers(0, 65535),
    protocol=st.sampled_from(["TCP", "UDP", "SCTP"]),
)
def test_keys_come_back(address: IPv4Address | IPv6Address, port: int, protocol: str) -> None:
    key = ServiceKey(Family(address.version), protocol, address, port)
    assert xdp.decode_service_key(xdp.encode_service_key(key)) == key


def test_services_come_back_with_all_that_a_daemon_must_know() -> None:
    for mask in (None, IPv4Address("255.255.255.0"), 64):
        options = ServiceOptions("mh", ("mh-port", "mh-fallback"), 50, mask, one_packet=True)
        record = xdp.ServiceRecord(7, 1000, 251, Choice.SOURCE_PORT, options)
        assert xdp.decode_service(xdp.encode_service(record, Family.IPV6)) == record


@pytest.mark.skipif(not LITTLE, reason="the literal is a little-endian machine's")
def test_the_program_finds_the_fields_of_a_service_where_it_looks() -> None:
    options = ServiceOptions("rr", timeout=50, mask=IPv4Address("255.255.0.0"))
    data = xdp.encode_service(xdp.ServiceRecord(1, 2, 3, Choice.TURN, options), Family.IPV4)
    # 50 s are 50e9 / 2**28 = 186.3 of the program's, rounded up: 187 = 0xbb.
    assert data[: xdp.SERVICE_MASK + 4].hex(" ", 4) == (
        "01000000 02000000 03000000 00000000 bb000000 00000000 ffff0000"
    )


def test_a_prefix_tells_clients_apart_by_its_first_bits() -> None:
    options = ServiceOptions("rr", timeout=50, mask=60)
    data = xdp.encode_service(xdp.ServiceRecord(1, 2, 3, Choice.TURN, options), Family.IPV6)
    mask = data[xdp.SERVICE_MASK : xdp.SERVICE_MASK + 16]
    assert mask.hex() == "fffffffffffffff0" + "00" * 8


def test_seconds_are_rounded_up_to_the_programs_steps() -> None:
    assert xdp.ticks(0) == 0
    assert xdp.ticks(1) == 4  # 1e9 / 2**28 = 3.7
    assert xdp.ticks(900) == 3353  # 3352.8


def test_servers_come_back_and_a_free_number_is_nobody() -> None:
    for address, source in (("10.9.0.11", "10.9.0.1"), ("fd00::11", "fd00::1")):
        record = xdp.ServerRecord(
            3,
            4,
            DestinationKey(ip_address(address), 8080),
            Destination(Method(Forwarding.TUNNEL), 100, upper=50, lower=20),
            ip_address(source),
        )
        assert xdp.decode_server(xdp.encode_server(record)) == record
    assert xdp.decode_server(bytes(64)) is None


def test_the_constant_sum_and_the_rest_come_to_the_checksum_of_the_outer_header() -> None:
    source, destination = ip_address("10.9.0.1"), ip_address("10.9.0.12")
    record = xdp.ServerRecord(
        1, 0, DestinationKey(destination, 0), Destination(Method(Forwarding.TUNNEL), 1), source
    )
    outer = bytearray.fromhex("4500 003c 0000 4000 4004 0000")
    outer += source.packed + destination.packed
    data = xdp.encode_server(record)
    order = sys.byteorder
    rest = int.from_bytes(outer[0:2], order) + int.from_bytes(outer[2:4], order)
    constant = data[xdp.SERVER_OUTER_SUM : xdp.SERVER_OUTER_SUM + 4]
    total = int.from_bytes(constant, order) + rest
    folded = (total & 0xFFFF) + (total >> 16)
    folded = (folded & 0xFFFF) + (folded >> 16)
    assert (folded ^ 0xFFFF).to_bytes(2, order) == internet_checksum(bytes(outer)).to_bytes(2)


def test_what_all_cpus_have_carried_is_added_up() -> None:
    first = xdp.CARRIED.pack(1, 10, 1000, 5, 2, 3, b"a" * 6, b"b" * 6, 1500)
    second = xdp.CARRIED.pack(2, 20, 2000, 0, 0, 0, bytes(6), bytes(6), 0)
    assert len(first) == 56  # a multiple of 8: per-CPU records stand without gaps
    counters = xdp.decode_carried(first + second)
    assert (counters.connections, counters.packets_in, counters.bytes_in) == (3, 30, 3000)


@given(
    addresses=st.one_of(*[st.tuples(*[st.ip_addresses(v=version)] * 2) for version in (4, 6)]),
    ports=st.tuples(st.integers(0, 65535), st.integers(0, 65535)),
    protocol=st.integers(0, 255),
)
def test_the_keys_of_connections_come_back(
    addresses: tuple[IPv4Address | IPv6Address, ...], ports: tuple[int, int], protocol: int
) -> None:
    source, destination = addresses
    key = FlowKey(protocol, FlowTuple(source.packed, destination.packed, *ports))
    assert xdp.decode_flow_key(xdp.encode_flow_key(key)) == key


@pytest.mark.skipif(not LITTLE, reason="the literal is a little-endian machine's")
def test_the_key_of_a_connection_is_what_the_program_gathers() -> None:
    way = FlowTuple(bytes((10, 0, 0, 9)), bytes((192, 0, 2, 1)), 40000, 80)
    # 40000 = 0x9c40, in the network's order as the addresses are; the protocol in ours.
    assert xdp.encode_flow_key(FlowKey(6, way)).hex() == "0a000009c00002019c40005006000000"


def test_the_key_of_a_client_is_what_tells_it_apart() -> None:
    options = ServiceOptions("rr", timeout=50, mask=IPv4Address("255.255.255.0"))
    record = xdp.ServiceRecord(7, 0, 1, Choice.TURN, options)
    key = xdp.encode_client_key(record, bytes((198, 51, 100, 7)))
    assert key == (7).to_bytes(4, sys.byteorder) + bytes((198, 51, 100, 0))


@given(data=st.binary(max_size=160))
def test_any_bytes_are_a_record_or_a_wire_error(data: bytes) -> None:
    for decode in (
        xdp.decode_service_key,
        xdp.decode_service,
        xdp.decode_server,
        xdp.decode_flow_key,
    ):
        for sample in (data, data.ljust(64, b"\0")[:64], data.ljust(xdp.SERVICE.size, b"\1")):
            try:
                decode(sample)
            except WireError:
                continue
    xdp.decode_carried(data)
