"""Which servers of a service count, with which weight, and whether they are enough."""

from ipaddress import IPv4Address

from standfest.core.balancer.effects import Drained, QuorumChanged, ServerChanged
from standfest.core.balancer.machine import Balancer
from standfest.core.balancer.pool import Pool
from standfest.model.balancing import (
    AddressRange,
    AddressService,
    BalancerSettings,
    GroupService,
    MarkService,
    RealServer,
    ServiceGroup,
    SorryServer,
    VirtualService,
)
from standfest.model.time import seconds

VIP = AddressService(IPv4Address("192.0.2.1"), 80)


def server(number: int, weight: int = 1, *, inhibit: bool = False, port: int = 80) -> RealServer:
    return RealServer(
        IPv4Address(f"10.0.0.{number}"), port, weight=weight, inhibit_on_failure=inhibit
    )


def pool(*servers: RealServer, slow_start: int = 0, **options: object) -> Pool:
    settings = VirtualService(VIP, servers=servers, **options)  # type: ignore[arg-type]
    return Pool(0, settings, slow_start=slow_start)


def weights(of: Pool) -> dict[str, int]:
    return {str(key): value.weight for key, value in of.destinations().items()}


def test_a_failed_server_leaves_and_comes_back() -> None:
    one = pool(server(1), server(2))
    assert one.checker_changed(0, 0, "tcp", up=False, reason="refused") == [
        ServerChanged(0, 0, False, "refused")
    ]
    assert weights(one) == {"10.0.0.2:80": 1}
    assert one.checker_changed(0, 0, "tcp", up=True, reason="") == [ServerChanged(0, 0, True, "")]
    assert weights(one) == {"10.0.0.1:80": 1, "10.0.0.2:80": 1}


def test_every_checker_must_be_content() -> None:
    one = pool(server(1), server(2))
    one.checker_changed(0, 0, "tcp", up=False, reason="x")
    assert one.checker_changed(0, 0, "http", up=False, reason="y") == []
    assert one.checker_changed(0, 0, "tcp", up=True, reason="") == []
    assert weights(one) == {"10.0.0.2:80": 1}
    assert one.failures(0) == {"http": "y"}


def test_an_inhibited_server_keeps_its_connections_with_weight_0() -> None:
    one = pool(server(1, inhibit=True), server(2))
    one.checker_changed(0, 0, "tcp", up=False, reason="x")
    assert weights(one) == {"10.0.0.1:80": 0, "10.0.0.2:80": 1}


def test_quorum_has_hysteresis() -> None:
    one = pool(server(1, 12), quorum=10, hysteresis=2)
    seen = []
    for weight in (9, 8, 7, 8, 11, 12, 8):
        one.weight_found(0, weight)
        seen.append(one.quorate)
    # Quorum 10, hysteresis 2: lost below 8, back at 12.
    assert seen == [True, True, False, False, False, True, True]


def test_the_sorry_server_stands_in_while_too_few_are_left() -> None:
    sorry = SorryServer(IPv4Address("10.0.0.9"), 8080)
    one = pool(server(1), server(2), sorry_server=sorry, quorum=2)
    found = one.checker_changed(0, 1, "tcp", up=False, reason="x")
    assert found == [ServerChanged(0, 1, False, "x"), QuorumChanged(0, False, 1, 2)]
    assert weights(one) == {"10.0.0.9:8080": 1}
    found = one.checker_changed(0, 1, "tcp", up=True, reason="")
    assert found == [ServerChanged(0, 1, True, ""), QuorumChanged(0, True, 2, 2)]
    assert weights(one) == {"10.0.0.1:80": 1, "10.0.0.2:80": 1}


def test_too_few_are_better_than_none_where_nobody_stands_in() -> None:
    one = pool(server(1), server(2), quorum=2)
    one.checker_changed(0, 1, "tcp", up=False, reason="x")
    assert not one.quorate
    assert weights(one) == {"10.0.0.1:80": 1}


def test_servers_that_must_prove_themselves_first_are_not_there_at_the_start() -> None:
    one = pool(server(1), server(2))
    assert one.start([(0, "tcp"), (1, "tcp")]) == [QuorumChanged(0, False, 0, 1)]
    assert weights(one) == {}
    assert one.checker_changed(0, 0, "tcp", up=True, reason="ok") == [
        ServerChanged(0, 0, True, "ok"),
        QuorumChanged(0, True, 1, 1),
    ]


def test_a_drained_server_gets_nothing_new_until_it_is_told_otherwise() -> None:
    one = pool(server(1), server(2))
    one.drain(0, until=seconds(60))
    assert weights(one) == {"10.0.0.1:80": 0, "10.0.0.2:80": 1}
    assert one.connections(seconds(1), 0, 5) == []
    assert one.connections(seconds(2), 0, 0) == [Drained(0, 0, 0)]
    one.undrain(seconds(3), 0)
    assert weights(one)["10.0.0.1:80"] == 1


def test_a_drain_that_takes_too_long_says_what_is_left() -> None:
    one = pool(server(1), server(2))
    one.drain(0, until=seconds(60))
    assert one.deadline() == seconds(60)
    assert one.connections(seconds(60), 0, 3) == [Drained(0, 0, 3)]


def test_a_server_that_comes_back_rises_to_its_weight_in_ten_steps() -> None:
    one = pool(server(1, 50), server(2, 50), slow_start=seconds(10))
    assert weights(one)["10.0.0.1:80"] == 50  # at the start nobody is slow
    one.checker_changed(0, 0, "tcp", up=False, reason="x")
    one.checker_changed(seconds(20), 0, "tcp", up=True, reason="")
    seen = [weights(one)["10.0.0.1:80"]]
    while (at := one.deadline()) is not None:
        one.on_timer(at)
        seen.append(weights(one)["10.0.0.1:80"])
    # A tenth of 50 each second, from 20 s to 29 s.
    assert seen == [5, 10, 15, 20, 25, 30, 35, 40, 45, 50]


def test_weights_of_files_and_programs_add_up_within_their_range() -> None:
    one = pool(server(1, 10))
    one.weight_found(0, 20)
    one.weight_added(0, "file", -5)
    assert weights(one) == {"10.0.0.1:80": 15}
    one.weight_added(0, "file", 100_000)
    assert weights(one) == {"10.0.0.1:80": 65_535}


def test_a_server_without_a_port_has_the_services() -> None:
    one = pool(server(1, port=0), sorry_server=SorryServer(IPv4Address("10.0.0.9")))
    assert weights(one) == {"10.0.0.1:80": 1}
    one.checker_changed(0, 0, "tcp", up=False, reason="x")
    assert weights(one) == {"10.0.0.9:80": 1}


def test_a_reload_keeps_what_is_known_of_the_servers_that_stay() -> None:
    before = Balancer(settings(server(1), server(2)))
    before.pools[0].checker_changed(0, 0, "tcp", up=False, reason="x")
    before.pools[0].drain(1)
    after = before.reload(settings(server(3), server(1), server(2, 7)))
    assert weights(after.pools[0]) == {"10.0.0.3:80": 1, "10.0.0.2:80": 0}
    after.pools[0].undrain(0, 2)
    assert weights(after.pools[0])["10.0.0.2:80"] == 7


def settings(*servers: RealServer, **more: object) -> BalancerSettings:
    return BalancerSettings((VirtualService(VIP, servers=servers),), **more)  # type: ignore[arg-type]


def test_a_group_is_one_service_at_many_addresses() -> None:
    first, last = IPv4Address("192.0.2.10"), IPv4Address("192.0.2.12")
    group = ServiceGroup("g", (AddressRange(first, last, 443),), (MarkService(5),))
    service = VirtualService(GroupService("g"), servers=(server(1, port=443),), scheduler="rr")
    table = Balancer(BalancerSettings((service,), (group,))).table()
    assert [str(key) for key in table] == [
        "TCP 192.0.2.10:443",
        "TCP 192.0.2.11:443",
        "TCP 192.0.2.12:443",
        "FWM 5",
    ]
    assert {str(d) for s in table.values() for d in s.destinations} == {"10.0.0.1:443"}
