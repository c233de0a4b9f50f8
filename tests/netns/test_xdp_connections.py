"""The XDP program, packet by packet: who is chosen, and who stays."""

import time
from collections import Counter
from dataclasses import replace
from ipaddress import IPv4Address, ip_address

import pytest
from tests.netns import xdp_bench as bench
from tests.netns.xdp_bench import (
    ACK,
    FIN,
    RST,
    SIX,
    VIP4,
    Director,
    Packet,
    destination,
    more,
    new,
    reached,
    service,
    value,
)

from standfest.adapters.linux.xdp.programs import Verdict
from standfest.model.balancing import Protocol
from standfest.model.forwarding import (
    AddDestination,
    AddService,
    DeleteDestination,
    DeleteService,
    ServiceOptions,
    SetDestination,
    SetService,
    service_key,
)

pytestmark = [pytest.mark.root, pytest.mark.skipif(bool(bench.why_not()), reason=bench.why_not())]


# --- who is chosen --------------------------------------------------------------------------------


def test_turns_are_taken_one_after_another(xdp_director: Director) -> None:
    service(xdp_director, 1, 1, 1)
    turns = [new(xdp_director, port) for port in range(40000, 40006)]
    assert turns[:3] == turns[3:]
    assert sorted(turns[:3]) == [1, 2, 3]


def test_weights_are_shares_of_the_turns(xdp_director: Director) -> None:
    service(xdp_director, 3, 1, options=ServiceOptions("wrr"))
    assert Counter(new(xdp_director, port) for port in range(40000, 40040)) == {1: 30, 2: 10}


def test_a_source_hash_sees_the_client_only_unless_it_is_told_to_see_the_port(
    xdp_director: Director,
) -> None:
    key = service(xdp_director, 1, 1, 1, 1, options=ServiceOptions("sh"))
    assert len({new(xdp_director, port) for port in range(40000, 40050)}) == 1
    clients = [IPv4Address("198.51.100.0") + n for n in range(200)]
    spread = Counter(new(xdp_director, 40000, client=client) for client in clients)
    assert min(spread.values()) > 30  # 50 each, give or take three standard deviations of 6.1
    xdp_director.backend.apply([SetService(key, ServiceOptions("mh", ("mh-port",)))])
    spread = Counter(new(xdp_director, port) for port in range(41000, 41200))
    assert min(spread.values()) > 30


def test_a_destination_hash_sees_the_virtual_address_only(xdp_director: Director) -> None:
    service(xdp_director, 1, 1, 1, 1, options=ServiceOptions("dh"))
    clients = [IPv4Address("198.51.100.0") + n for n in range(50)]
    assert len({new(xdp_director, 40000, client=client) for client in clients}) == 1


def test_ipv6_clients_are_spread_as_well(xdp_director: Director) -> None:
    service(xdp_director, 1, 1, 1, 1, family=6, options=ServiceOptions("mh"))
    spread: Counter[int] = Counter()
    for number in range(200):
        client = ip_address(f"2001:db8:{number:x}::1")
        spread[reached(xdp_director.put(replace(SIX, client=client).frame()))] += 1
    assert min(spread.values()) > 30


def test_all_ports_of_an_address_are_one_service_behind_those_that_have_their_own(
    xdp_director: Director,
) -> None:
    service(xdp_director, 1)
    key = service_key(Protocol.TCP, VIP4, 0)
    xdp_director.backend.apply(
        [AddService(key, ServiceOptions("rr")), AddDestination(key, destination(2), value())]
    )
    assert new(xdp_director, 40000) == 1
    assert reached(xdp_director.put(Packet(port=8080).frame())) == 2
    assert xdp_director.put(Packet(port=8080, protocol=17).frame()).verdict is Verdict.PASS


def test_datagrams_of_one_client_port_stay_unless_each_is_to_be_chosen_for(
    xdp_director: Director,
) -> None:
    options = ServiceOptions("rr")
    key = service(xdp_director, 1, 1, options=options, protocol=Protocol.UDP)
    datagram = Packet(protocol=17).frame()
    assert len({reached(xdp_director.put(datagram)) for _ in range(6)}) == 1
    xdp_director.backend.apply([SetService(key, replace(options, one_packet=True))])
    assert Counter(reached(xdp_director.put(datagram)) for _ in range(6)) == {1: 3, 2: 3}


def test_sctp_is_balanced_like_the_others(xdp_director: Director) -> None:
    service(xdp_director, 1, protocol=Protocol.SCTP)
    assert reached(xdp_director.put(Packet(protocol=132).frame())) == 1


# --- who stays ------------------------------------------------------------------------------------


def test_a_connection_stays_with_its_server_whatever_the_table_says(xdp_director: Director) -> None:
    key = service(xdp_director, 1, 1)
    before = {port: new(xdp_director, port) for port in range(40000, 40010)}
    xdp_director.backend.apply([SetDestination(key, destination(1), value(7))])
    assert {port: more(xdp_director, port) for port in before} == before


def test_a_drained_server_keeps_its_connections_and_gets_no_new_ones(
    xdp_director: Director,
) -> None:
    key = service(xdp_director, 1, 1)
    before = {port: new(xdp_director, port) for port in range(40000, 40010)}
    xdp_director.backend.apply([SetDestination(key, destination(1), value(0))])
    assert {port: more(xdp_director, port) for port in before} == before
    assert {new(xdp_director, port) for port in range(41000, 41020)} == {2}


def stranded(director: Director, port: int, flags: int = ACK) -> bool:
    """Return whether a packet of a connection passes to the stack, which resets it."""
    return director.put(Packet(client_port=port, flags=flags).frame()).verdict is Verdict.PASS


def test_the_connections_of_a_removed_server_are_not_its_any_more(xdp_director: Director) -> None:
    key = service(xdp_director, 1, 1)
    ports = [port for port in range(40000, 40010) if new(xdp_director, port) == 1]
    xdp_director.backend.apply([DeleteDestination(key, destination(1))])
    assert all(stranded(xdp_director, port) for port in ports)
    xdp_director.backend.apply([AddDestination(key, destination(1), value())])
    assert all(stranded(xdp_director, port) for port in ports)


def test_a_removed_service_is_gone_with_its_connections(xdp_director: Director) -> None:
    key = service(xdp_director, 1)
    assert new(xdp_director, 40000) == 1
    xdp_director.backend.apply([DeleteService(key)])
    assert stranded(xdp_director, 40000)
    service(xdp_director, 0, 1)
    assert stranded(xdp_director, 40000)
    assert new(xdp_director, 40000) == 2


def test_what_another_director_has_begun_goes_on_by_a_hash_and_not_by_turns(
    xdp_director: Director,
) -> None:
    key = service(xdp_director, 1, 1, 1, 1, options=ServiceOptions("mh", timeout=50))
    client = IPv4Address("198.51.100.99")
    middle = Packet(client=client, flags=ACK).frame()
    owner = reached(xdp_director.put(middle))
    assert new(xdp_director, 40001, client=client) == owner
    xdp_director.backend.apply([SetService(key, ServiceOptions("rr"))])
    turns = []
    for port in range(41000, 41008):
        assert stranded(xdp_director, port + 1000)
        turns.append(new(xdp_director, port))
    assert turns[:4] == turns[4:]
    assert sorted(turns[:4]) == [1, 2, 3, 4]


def test_a_packet_in_the_middle_does_not_prolong_persistence(xdp_director: Director) -> None:
    service(xdp_director, 1, 1, options=ServiceOptions("rr", timeout=1))
    first = new(xdp_director, 40000)
    time.sleep(0.8)
    assert stranded(xdp_director, 40007)
    time.sleep(0.7)
    assert new(xdp_director, 40001) == 3 - first


def test_a_packet_in_the_middle_does_not_change_whose_client_it_is(
    xdp_director: Director,
) -> None:
    options = ServiceOptions("rr", timeout=50)
    key = service(xdp_director, 1, 1, options=options)
    clients = [IPv4Address("198.51.100.100") + n for n in range(16)]
    owners = [new(xdp_director, 40000, client=client) for client in clients]
    xdp_director.backend.apply([SetService(key, replace(options, scheduler="mh"))])
    middle = [Packet(client=c, client_port=40001, flags=ACK).frame() for c in clients]
    assert [reached(xdp_director.put(frame)) for frame in middle] != owners
    assert [new(xdp_director, 40002, client=client) for client in clients] == owners


def test_ports_that_are_used_again_are_a_new_connection(xdp_director: Director) -> None:
    for last in (FIN | ACK, RST):
        key = service(xdp_director, 1)
        assert [new(xdp_director, 40000), more(xdp_director, 40000)] == [1, 1]
        xdp_director.backend.apply(
            [
                AddDestination(key, destination(2), value()),
                SetDestination(key, destination(1), value(0)),
            ]
        )
        assert new(xdp_director, 40000) == 1  # a SYN of an open connection is one sent again
        assert more(xdp_director, 40000, last) == 1
        assert more(xdp_director, 40000) == 1  # the last ACK of its end
        assert new(xdp_director, 40000) == 2
        xdp_director.backend.apply([DeleteService(key)])


def test_a_connection_that_was_silent_for_too_long_is_forgotten(xdp_director: Director) -> None:
    xdp_director.backend.set_timeouts(1, 1, 1)
    xdp_director.forget_program()
    try:
        key = service(xdp_director, 1)
        new(xdp_director, 40000)
        assert more(xdp_director, 40000) == 1
        xdp_director.backend.apply(
            [
                AddDestination(key, destination(2), value()),
                SetDestination(key, destination(1), value(0)),
            ]
        )
        assert more(xdp_director, 40000) == 1
        time.sleep(1.5)  # 4 steps of 0.27 s, and up to one more
        assert xdp_director.backend.counters()[key, destination(1)].active == 0
        assert stranded(xdp_director, 40000)
        assert new(xdp_director, 40000) == 2
    finally:
        xdp_director.backend.set_timeouts(900, 120, 300)
        xdp_director.forget_program()


# --- persistence ----------------------------------------------------------------------------------


def test_a_client_stays_with_its_server_and_others_do_not_follow(xdp_director: Director) -> None:
    service(xdp_director, 1, 1, options=ServiceOptions("rr", timeout=50))
    assert len({new(xdp_director, port) for port in range(40000, 40010)}) == 1
    neighbours = {
        new(xdp_director, 40000, client=IPv4Address("198.51.100.8") + n) for n in range(10)
    }
    assert neighbours == {1, 2}


def test_a_mask_makes_one_client_of_a_network(xdp_director: Director) -> None:
    mask = IPv4Address("255.255.255.0")
    service(xdp_director, 1, 1, options=ServiceOptions("rr", timeout=50, mask=mask))
    clients = [IPv4Address("198.51.100.0") + n for n in range(20)]
    assert len({new(xdp_director, 40000, client=client) for client in clients}) == 1
    service(xdp_director, 1, 1, family=6, options=ServiceOptions("rr", timeout=50, mask=48))
    hosts = [ip_address(f"2001:db8:0:{n}::1") for n in range(20)]
    six = {reached(xdp_director.put(replace(SIX, client=client).frame())) for client in hosts}
    assert len(six) == 1


def test_a_persistent_client_leaves_a_drained_server_with_its_next_connection(
    xdp_director: Director,
) -> None:
    key = service(xdp_director, 1, 1, options=ServiceOptions("rr", timeout=50))
    first = new(xdp_director, 40000)
    xdp_director.backend.apply([SetDestination(key, destination(first), value(0))])
    assert more(xdp_director, 40000) == first
    assert new(xdp_director, 40001) == 3 - first


def test_persistence_ends_with_its_time(xdp_director: Director) -> None:
    service(xdp_director, 1, 1, options=ServiceOptions("rr", timeout=1))
    first = new(xdp_director, 40000)
    assert new(xdp_director, 40001) == first
    time.sleep(1.5)
    assert new(xdp_director, 40002) == 3 - first  # whose turn it is
