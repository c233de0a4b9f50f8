"""IPVS requests and answers: the same values back, and no bytes that break the reader."""

from ipaddress import IPv4Address, IPv6Address

from hypothesis import given
from hypothesis import strategies as st

from standfest.model.balancing import Forwarding, Method, Protocol, TunnelType
from standfest.model.errors import WireError
from standfest.model.forwarding import (
    Destination,
    DestinationKey,
    ServiceKey,
    ServiceOptions,
    service_key,
)
from standfest.model.vrrp import Family
from standfest.wire import ipvs, netlink

IPS = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6))
PORTS = st.integers(0, 65_535)
TRANSPORTS = st.sampled_from([Protocol.TCP, Protocol.UDP, Protocol.SCTP])
MARKS = st.integers(1, 2**32 - 1)
KEYS = st.one_of(
    st.builds(service_key, TRANSPORTS, IPS, PORTS),
    st.builds(
        lambda mark, family: service_key(Protocol.NONE, None, mark=mark, family=family),
        MARKS,
        st.sampled_from(Family),
    ),
)
METHODS = st.sampled_from(
    [
        Method(Forwarding.NAT),
        Method(Forwarding.DIRECT),
        Method(Forwarding.TUNNEL),
        Method(Forwarding.TUNNEL, TunnelType.GUE, 6080, "csum"),
        Method(Forwarding.TUNNEL, TunnelType.GRE, 0, "nocsum"),
    ]
)


@given(key=KEYS, scheduler=st.sampled_from(["rr", "wlc", "sh", "mh"]), one=st.booleans())
def test_a_service_is_read_as_it_was_written(key: ServiceKey, scheduler: str, one: bool) -> None:
    mask = 64 if key.family is Family.IPV6 else IPv4Address("255.255.255.0")
    flags = (f"{scheduler}-port",) if scheduler in ("sh", "mh") else ()
    for timeout, given_mask in ((0, None), (300, mask)):
        options = ServiceOptions(scheduler, flags, timeout, given_mask, one_packet=one)
        assert ipvs.read_service(ipvs.service(key, options)) == (key, options)


@given(ip=IPS, port=PORTS, method=METHODS, weight=st.integers(0, 65_535))
def test_a_destination_is_read_as_it_was_written(
    ip: IPv4Address | IPv6Address, port: int, method: Method, weight: int
) -> None:
    key, value = DestinationKey(ip, port), Destination(method, weight, 100, 80)
    assert ipvs.read_destination(ipvs.destination(key, value))[:2] == (key, value)


@given(data=st.binary(max_size=200), kind=st.sampled_from([1, 2, 3]))
def test_no_answer_breaks_the_reader(data: bytes, kind: int) -> None:
    body = netlink.nested(kind, data)
    reasons = set()
    for read in (ipvs.read_service, ipvs.read_destination, ipvs.read_daemon):
        try:
            read(body)
        except WireError as error:
            reasons.add(error.reason)
    assert reasons <= {"ipvs-service", "ipvs-destination", "ipvs-answer"}


@given(data=st.binary(max_size=200))
def test_attributes_end_where_they_do_not_fit(data: bytes) -> None:
    found = list(netlink.attributes(data))
    assert sum(4 + len(value) for _, value in found) <= len(data)
    assert all(0 <= kind <= 0x3FFF for kind, _ in found)


def test_numbers_are_read_in_all_their_sizes() -> None:
    assert netlink.number({1: b"\7"}, 1) == 7
    assert netlink.number(netlink.values(netlink.u16(1, 513)), 1) == 513
    assert netlink.number(netlink.values(netlink.u32(1, 2**31)), 1) == 2**31
    assert netlink.number({1: b"odd"}, 1, 9) == 9
    assert netlink.number({}, 1, 9) == 9
