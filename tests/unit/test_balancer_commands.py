"""What `standfest balance` asks and shows, and which backend suits."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standfest.adapters.linux.proxy import ProxyBackend
from standfest.cli import balance_table
from standfest.core.balancer.machine import Balancer
from standfest.daemons.balancer import control
from standfest.model.balancing import (
    AddressService,
    BalancerSettings,
    Forwarding,
    GroupService,
    MarkService,
    Method,
    Persistence,
    Protocol,
    RealServer,
    ServiceGroup,
    SyncDaemon,
    VirtualService,
)
from standfest.model.errors import OperationError
from standfest.model.forwarding import Counters, DestinationKey, service_key
from standfest.model.time import seconds
from standfest.ports.balancer import Capabilities
from standfest.runtime.balancer import report, suitability
from standfest.runtime.balancer.adoption import Ledger
from standfest.runtime.balancer.assignment import Assignment
from standfest.runtime.balancer.balancing import Balancing
from standfest.runtime.balancer.places import find

VIP = IPv4Address("192.0.2.1")
MODEST = Capabilities(
    frozenset({"NAT"}), frozenset({"rr", "wrr", "sh"}), False, False, False, False
)


def real(number: int) -> RealServer:
    return RealServer(IPv4Address(f"10.0.0.{number}"), 80)


def settings(**more: object) -> BalancerSettings:
    service = VirtualService(
        AddressService(VIP, 80),
        **{"scheduler": "rr", "servers": (real(1), real(2)), **more},  # type: ignore[arg-type]
    )
    return BalancerSettings(services=(service,))


class Silent:
    """A balancer that does everything that it is asked to."""

    def status(self) -> report.Status:
        return {}

    def command(self, verb: str, server: str, service: str, seconds_left: float) -> str:
        return f"{verb} {server}"

    def keep(self, *, on: bool) -> None:
        pass


@given(st.binary(max_size=1024))
def test_any_bytes_are_answered(question: bytes) -> None:
    assert control.answer(question, Silent()).startswith(b"{")


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        (b'{"verb": "drain", "server": "10.0.0.1"}', b'{"done": "drain 10.0.0.1"}'),
        (b'{"verb": "drain", "seconds": -1}', b'{"error": "seconds are a number from 0 to'),
        (b'{"verb": "drain", "seconds": NaN}', b'{"error": "seconds are a number from 0 to'),
        (b"[]", b'{"error": "a question is an object"}'),
        (b"[" * 1000, b'{"error": "this is not JSON"}'),
    ],
)
def test_questions_are_answered(question: bytes, expected: bytes) -> None:
    assert control.answer(question, Silent()).startswith(expected)


def test_servers_are_found_by_address_and_by_service() -> None:
    balancer = Balancer(settings())
    assert find(balancer, "10.0.0.1") == [(0, 0)]
    assert find(balancer, "10.0.0.1:80") == [(0, 0)]
    assert find(balancer, "10.0.0.1:80", "192.0.2.1:80") == [(0, 0)]
    assert find(balancer, "10.0.0.1:80", "TCP 192.0.2.1:80") == [(0, 0)]
    assert find(balancer, "10.0.0.1:80", "192.0.2.1:443") == []
    assert find(balancer, "10.0.0.1:81") == []


def test_what_a_backend_lacks_is_said_with_the_alternative() -> None:
    wanted = settings(scheduler="lblc", persistence=Persistence(seconds(50)))
    assert suitability.lacks("nftables", MODEST, wanted) == (
        "virtual_server 192.0.2.1 80: nftables has no scheduler lblc; expected sh, "
        "or --backend ipvs",
        "virtual_server 192.0.2.1 80: nftables has no persistence; expected scheduler sh, "
        "or --backend ipvs",
    )
    tunnel = RealServer(IPv4Address("10.0.0.1"), 80, method=Method(Forwarding.TUNNEL))
    assert suitability.lacks("proxy", MODEST, settings(servers=(tunnel,))) == (
        "virtual_server 192.0.2.1 80: proxy cannot forward by TUN; expected NAT, or --backend ipvs",
    )
    six = RealServer(IPv6Address("2001:db8::1"), 80)
    assert suitability.lacks("ipvs", MODEST, settings(servers=(six,))) == (
        "virtual_server 192.0.2.1 80: ipvs has no IPv6; expected IPv4 addresses",
    )
    assert suitability.lacks("nftables", MODEST, settings()) == ()
    assert suitability.lacks("nftables", MODEST, settings(flags=("proxy-v2",))) == (
        "virtual_server 192.0.2.1 80: nftables adds nothing to connections; "
        "expected no proxy-v2, or --backend proxy",
    )


def test_the_proxy_says_how_services_cannot_be_reached() -> None:
    able = ProxyBackend().capabilities()
    group = ServiceGroup("all", marks=(MarkService(7),))
    wanted = BalancerSettings(
        services=(
            VirtualService(AddressService(IPv4Address("192.0.2.1"))),
            VirtualService(AddressService(IPv4Address("192.0.2.1"), 80), Protocol.SCTP),
            VirtualService(MarkService(5), Protocol.NONE),
            VirtualService(GroupService("all")),
            VirtualService(AddressService(IPv4Address("192.0.2.1"), 25), flags=("proxy-v2",)),
        ),
        groups=(group,),
    )
    assert suitability.lacks("proxy", able, wanted) == (
        "virtual_server 192.0.2.1 0: proxy has no service for all ports; expected a port, "
        "or --backend ipvs",
        "virtual_server 192.0.2.1 80: proxy has no SCTP; expected TCP or UDP, or --backend ipvs",
        "virtual_server fwmark 5: proxy sees no packet marks; expected an address, "
        "or --backend ipvs",
        "virtual_server group all: proxy sees no packet marks; expected an address, "
        "or --backend ipvs",
    )


def test_connection_sync_is_asked_of_ipvs_first() -> None:
    assert suitability.order(settings())[0] == "nftables"
    synchronised = BalancerSettings(sync_daemon=SyncDaemon("eth0"))
    assert suitability.order(synchronised)[0] == "ipvs"


def test_signed_copies_are_nothing_for_ipvs() -> None:
    signed = BalancerSettings(sync_daemon=SyncDaemon("eth0", key_file="/etc/sync.key"))
    assert suitability.order(signed)[0] == "nftables"
    able = replace(MODEST, sync=True)
    assert suitability.lacks("ipvs", able, signed) == (
        "lvs_sync_key_file: ipvs's own daemon signs nothing; expected none, or --backend nftables",
    )
    assert suitability.lacks("nftables", replace(MODEST, sync=False), signed) == ()
    assert suitability.lacks("ipvs", able, BalancerSettings(sync_daemon=SyncDaemon("eth0"))) == ()


def machine() -> Balancing:
    made = Balancing(Assignment(settings()))
    made.start(0, {}, Ledger())
    return made


def test_the_table_shows_state_weight_and_reason() -> None:
    one = machine()
    one.balancer.pools[0].checker_changed(0, 1, "TCP_CHECK", up=False, reason="refused")
    one.drain(seconds(2), [(0, 0)], None)
    key = service_key(one.balancer.settings.services[0].protocol, VIP, 80)
    readings = {
        (key, DestinationKey(IPv4Address("10.0.0.1"), 80)): Counters(
            connections=7, bytes_in=12_345, active=3
        )
    }
    found = report.status(one, "ipvs", seconds(60), 1000, readings)
    assert list(balance_table.lines(found, now=1000)) == [
        "backend ipvs",
        "  -> server       method  weight  state     for  active  inactive  in   out",
        "TCP 192.0.2.1:80 rr (quorum lost: weight 0 of 1)",
        "  -> 10.0.0.1:80  NAT     0       draining  1m   3       0         12k  0",
        "  -> 10.0.0.2:80  NAT     0       down      1m   0       0         0    0",
        "TCP_CHECK: refused",
    ]


def test_rates_are_the_difference_of_two_looks() -> None:
    one = machine()
    key = service_key(one.balancer.settings.services[0].protocol, VIP, 80)
    place = (key, DestinationKey(IPv4Address("10.0.0.1"), 80))
    looks = [
        report.status(one, "ipvs", 0, 1000, {place: Counters(connections=count)})
        for count in (100, 150)
    ]
    rated = balance_table.with_rates(looks[0], looks[1], 2.0)
    assert rated["services"][0]["servers"][0]["rates"]["connections"] == 25.0  # 50 in 2 s


def test_who_is_meant_must_be_there() -> None:
    with pytest.raises(OperationError, match=r"no server '10\.0\.0\.9'; expected ADDRESS or"):
        report.meant(machine(), "10.0.0.9", "")
