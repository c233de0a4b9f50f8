"""Copies of the XDP balancer's connections: what one director tells, another one carries on."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from tests.netns import xdp_bench as bench
from tests.netns.xdp_bench import (
    ACK,
    CLIENT4,
    FIN,
    SIX,
    VIP4,
    Director,
    Packet,
    destination,
    more,
    new,
    reached,
    server,
    service,
)

from standfest.adapters.linux.xdp.backend import XdpBackend
from standfest.adapters.linux.xdp.flows import XdpFlows
from standfest.adapters.linux.xdp.programs import Verdict
from standfest.core.balancer.slots import slots
from standfest.model.balancing import Protocol
from standfest.model.flows import Flow, FlowKey, FlowTuple
from standfest.model.forwarding import DeleteDestination, DeleteService, ServiceOptions
from standfest.wire import xdp

pytestmark = [pytest.mark.root, pytest.mark.skipif(bool(bench.why_not()), reason=bench.why_not())]
PORTS = range(40000, 40020)
LEASE_S = 60


class Partner(Director):
    """Another director beside the first, on the other end of its cable."""

    def open(self) -> XdpBackend:
        return XdpBackend(slots, interfaces=("cable",), directory=self.directory)


@pytest.fixture(scope="module")
def partner_shared(
    xdp_shared: Director, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Partner]:
    path = tmp_path_factory.mktemp("xdp") / "bpf"
    with bench.bpf_directory(path) as directory:
        partner = Partner(directory, xdp_shared.interface)
        yield partner
        partner.close()


@pytest.fixture
def partner(xdp_director: Director, partner_shared: Partner) -> Partner:
    """The partner, without services or connections."""
    for director in (xdp_director, partner_shared):
        director.backend.apply([DeleteService(key) for key in director.backend.read()])
        for name in ("flows4", "flows6", "clients4"):
            one = director.backend._tables.maps[name]
            for keys, _ in list(one.batches()):
                for at in range(0, len(keys), one.shape.key_bytes):
                    one.delete(keys[at : at + one.shape.key_bytes])
    return partner_shared


def opened(director: Director, ports: range = PORTS) -> dict[int, int]:
    """Open connections; return port -> server."""
    found = {port: new(director, port) for port in ports}
    assert {port: more(director, port) for port in ports} == found
    return found


def told(director: Director) -> tuple[XdpFlows, list[Flow]]:
    """Return the director's table, which notes changes from now on, and what it tells at first."""
    table = director.backend.flow_table()
    assert isinstance(table, XdpFlows)
    return table, [*table.begin(), *table.changes().changed]


def passes(director: Director, port: int) -> bool:
    """Return whether a packet of a connection is nobody's."""
    return director.put(Packet(client_port=port, flags=ACK).frame()).verdict is Verdict.PASS


def entry(director: Director, port: int) -> tuple[int, ...]:
    """Return what the kernel has of a connection: server, generation, seen, state, limit."""
    key = xdp.encode_flow_key(flow_key(port))
    data = director.backend._tables.maps["flows4"].get(key)
    assert data is not None
    return xdp.FLOW.unpack(data)


def flow_key(port: int) -> FlowKey:
    return FlowKey(6, FlowTuple(CLIENT4.packed, VIP4.packed, port, 80))


def grow_older(director: Director, port: int, ticks: int) -> None:
    """Let a connection have been silent for longer."""
    number, generation, seen, state, limit = entry(director, port)
    data = xdp.FLOW.pack(number, generation, seen - ticks, state, limit)
    director.backend._tables.maps["flows4"].put(xdp.encode_flow_key(flow_key(port)), data)


# --- from one director to the other -------------------------------------------------------------


def test_connections_go_on_at_the_partner_with_their_servers(
    xdp_director: Director, partner: Partner
) -> None:
    service(partner, 1, port=81)  # its servers have other numbers
    for director in (xdp_director, partner):
        service(director, 1, 1, 1)
    owners = opened(xdp_director)
    assert all(passes(partner, port) for port in PORTS), "with rr nobody can know"
    _, flows = told(xdp_director)
    assert partner.backend.flow_table().put(flows, LEASE_S) == 0
    assert {port: more(partner, port) for port in PORTS} == owners


def test_ipv6_and_datagrams_are_told_as_well(xdp_director: Director, partner: Partner) -> None:
    six = replace(SIX, flags=ACK)
    datagram = Packet(protocol=17)
    for director in (xdp_director, partner):
        service(director, 1, 1, family=6)
        service(director, 1, 1, protocol=Protocol.UDP)
    owners = [reached(xdp_director.put(one.frame())) for one in (SIX, six, datagram)]
    _, flows = told(xdp_director)
    assert sorted(len(flow.key.original.source) for flow in flows) == [4, 16]
    partner.backend.flow_table().put(flows, LEASE_S)
    assert [reached(partner.put(one.frame())) for one in (six, datagram)] == owners[1:]


def test_a_connection_is_told_as_conntrack_has_it(xdp_director: Director, partner: Partner) -> None:
    service(xdp_director, 1)
    opened(xdp_director, range(40000, 40001))
    table, flows = told(xdp_director)
    reply = FlowTuple(server(1).packed, CLIENT4.packed, 80, 40000)
    assert [replace(flow, mark=0) for flow in flows] == [Flow(flow_key(40000), reply, 0, 900, 3)]
    assert table.mark_of(flows[0]) == flows[0].mark != 0


# --- what is told when --------------------------------------------------------------------------


def test_a_connection_is_told_when_it_is_open_and_when_it_closes_and_at_no_other_time(
    xdp_director: Director, partner: Partner
) -> None:
    service(xdp_director, 1)
    new(xdp_director, 40000)
    table, flows = told(xdp_director)
    assert flows == []  # a flood of first packets is not the partner's business
    more(xdp_director, 40000)
    assert [flow.tcp_state for flow in table.changes().changed] == [3]
    more(xdp_director, 40000)
    assert table.changes().changed == []
    more(xdp_director, 40000, FIN | ACK)
    changed = table.changes().changed
    assert [(flow.tcp_state, flow.timeout) for flow in changed] == [(4, 120)]
    assert table.changes().changed == []


def test_what_has_ended_is_told_after_a_while(xdp_director: Director, partner: Partner) -> None:
    key = service(xdp_director, 1, 1)
    owners = opened(xdp_director, range(40000, 40004))
    table, flows = told(xdp_director)
    assert len(flows) == 4
    grow_older(xdp_director, 40000, 3354)  # 900 s are 3353 steps
    xdp_director.backend.apply([DeleteDestination(key, destination(owners[40001]))])
    ended = [one for _ in range(100) for one in table.changes().ended]
    # Ports 40001 and 40003 had the server that is gone, 40000 has been silent for too long.
    assert {one.original.source_port for one in ended} == {40000, 40001, 40003}
    grow_older(xdp_director, 40002, 3354)
    table._swept_at -= 75  # 20 s, which is many fewer looks when there are many connections
    (last,) = table.changes().ended
    assert last.original.source_port == 40002


# --- what the partner makes of it ---------------------------------------------------------------


def test_a_copy_ends_unless_it_is_told_again(xdp_director: Director, partner: Partner) -> None:
    for director in (xdp_director, partner):
        service(director, 1)
    opened(xdp_director, range(40000, 40002))
    _, flows = told(xdp_director)
    table = partner.backend.flow_table()
    table.put(flows, LEASE_S)
    for port in (40000, 40001):
        # 60 s are 224 steps; the kernel's clock may be one behind ours
        grow_older(partner, port, 226)
    table.put(flows[1:], LEASE_S)
    again = flows[1].key.original.source_port
    assert {port: passes(partner, port) for port in (40000, 40001)} == {
        port: port != again for port in (40000, 40001)
    }


def test_what_is_taken_over_has_its_whole_time(xdp_director: Director, partner: Partner) -> None:
    for director in (xdp_director, partner):
        service(director, 1)
    opened(xdp_director, range(40000, 40001))
    _, flows = told(xdp_director)
    table = partner.backend.flow_table()
    table.put(flows, LEASE_S)
    table.put(flows, LEASE_S)
    assert entry(partner, 40000)[4] == 224 + 19 + 1  # the lease, and 5 s that it is older
    table.put(flows, None)
    assert entry(partner, 40000)[3:] == (xdp.ESTABLISHED, 3353)


def test_a_copy_that_nobody_takes_over_has_its_whole_time_when_it_is_told_on(
    xdp_director: Director, partner: Partner
) -> None:
    for director in (xdp_director, partner):
        service(director, 1)
    opened(xdp_director, range(40000, 40001))
    partner.backend.flow_table().put(told(xdp_director)[1], LEASE_S)
    _, flows = told(partner)  # another daemon, which has not heard what was told
    assert len(flows) == 1
    assert entry(partner, 40000)[4] == 3353


def test_what_passes_here_now_counts_for_more_than_what_is_told(
    xdp_director: Director, partner: Partner
) -> None:
    service(xdp_director, 1)
    service(partner, 0, 1)
    opened(xdp_director, range(40000, 40001))
    _, flows = told(xdp_director)
    assert new(partner, 40000) == 2
    table = partner.backend.flow_table()
    for lease_s in (LEASE_S, None):
        table.put(flows, lease_s)
        table.delete([flows[0].key])
        assert more(partner, 40000) == 2
    grow_older(partner, 40000, 25)  # 5 s are 19 steps
    table.put(flows, LEASE_S)
    assert more(partner, 40000) == 1


def test_a_copy_whose_packets_pass_here_is_ours(xdp_director: Director, partner: Partner) -> None:
    """Each of two directors may be the active one of some services, and one tells the other."""
    for director in (xdp_director, partner):
        service(director, 1)
    opened(xdp_director, range(40000, 40001))
    _, flows = told(xdp_director)
    table = partner.backend.flow_table()
    table.put(flows, LEASE_S)
    more(partner, 40000)
    grow_older(partner, 40000, 100)  # 27 s: it is no packet of now any more
    before = entry(partner, 40000)
    table.put(flows, LEASE_S)
    assert entry(partner, 40000) == (*before[:4], 3353)
    table.delete([flows[0].key])
    assert entry(partner, 40000) == (*before[:4], 3353)


def test_a_copy_is_forgotten_when_the_partner_says_that_it_has_ended(
    xdp_director: Director, partner: Partner
) -> None:
    for director in (xdp_director, partner):
        service(director, 1)
    opened(xdp_director, range(40000, 40001))
    _, flows = told(xdp_director)
    table = partner.backend.flow_table()
    table.put(flows, LEASE_S)
    table.delete([flows[0].key])
    assert passes(partner, 40000)


def test_a_connection_of_an_unknown_server_or_service_is_refused(
    xdp_director: Director, partner: Partner
) -> None:
    key = service(xdp_director, 1, 1)
    opened(xdp_director, range(40000, 40002))
    _, flows = told(xdp_director)
    table = partner.backend.flow_table()
    assert table.put(flows, LEASE_S) == 2
    partner_key = service(partner, 1)
    assert partner_key == key
    marks = [table.mark_of(flow) for flow in flows]
    assert sorted(mark != 0 for mark in marks) == [False, True]
    assert table.put(flows, LEASE_S) == 1
    partner.backend.apply([DeleteDestination(key, destination(1))])
    assert all(passes(partner, port) for port in (40000, 40001))
    assert table.put([flow for flow in flows if table.mark_of(flow)], None) == 0


def test_a_persistent_client_keeps_its_server(xdp_director: Director, partner: Partner) -> None:
    options = ServiceOptions("rr", timeout=50)
    for director in (xdp_director, partner):
        service(director, 1, 1, 1, options=options)
    (owner,) = set(opened(xdp_director, range(40000, 40003)).values())
    _, flows = told(xdp_director)
    partner.backend.flow_table().put(flows, None)
    assert {new(partner, port) for port in range(41000, 41006)} == {owner}
