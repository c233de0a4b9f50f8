"""What one director has learned of connections by DR goes on at the other, to the same servers."""

import contextlib
import socket
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from tests.netns import balancing_lab
from tests.netns.balancing_lab import CLIENTS, VIP, Conversation, Lab, Machine, close_all, opened
from tests.netns.frames import mac_of, send_first_segment

from standfest.adapters.linux.nftables import plane as pl
from standfest.adapters.linux.nftables.backend import NftablesBackend
from standfest.adapters.linux.nftables.kernel import NetfilterNetlink
from standfest.adapters.linux.nftables.plane import Path, Plane
from standfest.core.balancer.difference import difference
from standfest.core.balancer.slots import slots
from standfest.model.balancing import Forwarding, Protocol
from standfest.model.flows import Flow, FlowKey, FlowTuple
from standfest.model.forwarding import DeleteDestination, ServiceOptions, SetDestination
from standfest.model.vrrp import Family
from standfest.ports.flows import Changes, FlowTable
from standfest.wire.nftables import Element, Learned

SKIP = balancing_lab.why_not("nft")
pytestmark = [pytest.mark.root, pytest.mark.skipif(bool(SKIP), reason=SKIP)]
LEASE_S = 60
FOUR = Plane(Family.IPV4, Path.INGRESS)
LATE_ACK_S = 0.25
"""So long a client may keep back its last acknowledgement, which renews an entry (40 to 200 ms)."""


class Partner:
    """Another director on the switch, which has the virtual addresses when it is asked to."""

    def __init__(self, lab: Lab) -> None:
        self.lab, self.machine = lab, Machine(f"{lab.director.name}-2")
        balancing_lab.run("ip", "netns", "add", self.machine.name)
        end = ("type", "veth", "peer", "name", "eth0", "netns", self.machine.name)
        lab.switch.ip("link", "add", "partner", *end)
        lab.switch.ip("link", "set", "partner", "master", "br0", "up")
        self.machine.ip("link", "set", "eth0", "up")
        for address in ("10.8.0.2/24", "fd08::2/64"):
            self.machine.ip("address", "add", address, "dev", "eth0", "nodad")
        with self.machine.inside():
            self.backend = NftablesBackend(slots)

    def has_the_services(self) -> None:
        """Balance what the first director does."""
        with self.machine.inside():
            self.backend.apply(difference(self.backend.read(), self.lab.table))

    def becomes_active(self) -> None:
        """Get all packets from now on."""
        mac = mac_of(self.machine, "eth0")
        for address in VIP.values():
            self.lab.client.ip("neigh", "replace", str(address), "lladdr", mac, "dev", "eth0")

    def close(self) -> None:
        """Remove it."""
        with self.machine.inside():
            self.backend.close(keep=False)
        balancing_lab.run("ip", "netns", "delete", self.machine.name)


@pytest.fixture(scope="module")
def shared() -> Iterator[tuple[Lab, Partner]]:
    with balancing_lab.lab(lambda: NftablesBackend(slots), Forwarding.DIRECT) as lab:
        partner = Partner(lab)
        with contextlib.closing(partner):
            yield lab, partner


@pytest.fixture
def both(shared: tuple[Lab, Partner]) -> Iterator[tuple[Lab, Partner]]:
    lab, partner = shared
    yield lab, partner
    lab.clear()
    partner.has_the_services()
    for machine in (lab.director, partner.machine):
        for name in (pl.FLOWS, pl.CLOSING):
            machine.execute("nft", "flush", "map", *str(FOUR.table).split(), name)
    lab.client.ip("neigh", "flush", "dev", "eth0", "nud", "permanent")


def table_of(machine: Machine, backend: object) -> FlowTable:
    assert isinstance(backend, NftablesBackend)
    with machine.inside():
        return backend.flow_table()


def told(lab: Lab) -> tuple[FlowTable, list[Flow]]:
    """Return the director's table, which notes changes from now on, and what it tells at first."""
    table = table_of(lab.director, lab.backend)
    return table, [*table.begin(), *table.changes().changed]


def with_our_marks(table: FlowTable, flows: list[Flow]) -> list[Flow]:
    """Return what the partner makes of what it is told."""
    return [replace(flow, mark=mark) for flow in flows if (mark := table.mark_of(flow))]


def learned(machine: Machine, name: str = pl.FLOWS) -> dict[int, Learned]:
    """Return what the kernel has of connections, by the client's port."""
    with machine.inside():
        netlink = NetfilterNetlink()
        found = netlink.learned(FOUR.table, name, 20)
        netlink.close()
    return {int.from_bytes(one[0][8:10]): one for one in found}


def open_at_the_director(lab: Lab, count: int) -> list[Conversation]:
    connections = opened(lab, count)
    assert all(connection.is_alive() for connection in connections)
    time.sleep(LATE_ACK_S)
    return connections


def test_connections_go_on_at_the_partner_if_it_was_told(both: tuple[Lab, Partner]) -> None:
    lab, partner = both
    lab.serve(1, 1, 1)
    lab.serve(1, 1, key=lab.key(version=6))
    partner.has_the_services()
    connections = [*open_at_the_director(lab, 9), *(lab.connect(version=6) for _ in range(4))]
    assert all(connection.is_alive() for connection in connections)
    director, flows = told(lab)
    assert len(flows) == 13
    untold = connections.pop(0)
    kept = [flow for flow in flows if flow.key.original.source_port != untold.address()[1]]
    table = table_of(partner.machine, partner.backend)
    assert table.put(with_our_marks(table, kept), LEASE_S) == 0
    partner.becomes_active()
    assert all(connection.is_alive() for connection in connections)
    assert not untold.is_alive(1)
    close_all([*connections, untold])
    for one in (director, table):
        one.close()


def test_datagrams_are_told_at_once(both: tuple[Lab, Partner]) -> None:
    lab, partner = both
    lab.serve(1, 1, key=lab.key(protocol=Protocol.UDP))
    partner.has_the_services()
    assert lab.datagrams(1) == ["rs1"]
    with lab.client.inside():
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with made:
        made.settimeout(2)
        made.bind((str(CLIENTS[4][0]), 31000))
        made.connect((str(VIP[4]), 80))
        made.send(b"1")
        assert made.recv(100) == b"rs2 1"
        director, flows = told(lab)
        table = table_of(partner.machine, partner.backend)
        table.put(with_our_marks(table, flows), LEASE_S)
        partner.becomes_active()
        made.send(b"2")
        assert made.recv(100) == b"rs2 2"  # its own first turn is the other's
    for one in (director, table):
        one.close()


def test_a_connection_is_told_when_it_is_open_and_when_it_closes(both: tuple[Lab, Partner]) -> None:
    lab, _ = both
    lab.serve(1)
    send_first_segment(lab)
    connection = lab.connect()
    client, port = connection.address()
    table, flows = told(lab)
    assert len(learned(lab.director)) == 2
    original = FlowTuple(socket.inet_aton(client), VIP[4].packed, port, 80)
    reply = FlowTuple(lab.address(1).packed, socket.inet_aton(client), 80, port)
    # 900 s, ESTABLISHED: as connection tracking would have it
    assert [replace(f, mark=0) for f in flows] == [Flow(FlowKey(6, original), reply, 0, 900, 3)]
    assert table.mark_of(flows[0]) == flows[0].mark != 0
    assert connection.is_alive()
    assert look(table).changed == []
    connection.close()
    assert [(f.timeout, f.tcp_state) for f in look(table).changed] == [(120, 4)]  # FIN_WAIT
    assert look(table).changed == []
    table.close()


def look(table: FlowTable) -> Changes:
    """Return what a look says, as late as the next one is."""
    time.sleep(0.2)
    return table.changes()


def test_what_has_ended_is_told_after_a_while(both: tuple[Lab, Partner]) -> None:
    lab, _ = both
    lab.serve(1)
    connections = open_at_the_director(lab, 2)
    table, flows = told(lab)
    assert len(flows) == 2
    port = connections[0].address()[1]
    key = learned(lab.director)[port][0]
    with lab.director.inside():
        netlink = NetfilterNetlink()
        netlink.commit(netlink.generation(), FOUR.table.remove(pl.FLOWS, [key]))
        netlink.close()
    ended = [one.original.source_port for _ in range(25) for one in look(table).ended]
    assert ended == [port]
    close_all(connections)
    table.close()


def test_a_copy_has_its_lease_and_its_whole_time_when_it_is_taken_over(
    both: tuple[Lab, Partner],
) -> None:
    lab, partner = both
    lab.serve(1)
    partner.has_the_services()
    (connection,) = open_at_the_director(lab, 1)
    port = connection.address()[1]
    director, flows = told(lab)
    table = table_of(partner.machine, partner.backend)
    flows = with_our_marks(table, flows)
    for _ in range(2):  # told again, it is renewed
        table.put(flows, LEASE_S)
        assert learned(partner.machine)[port][2] == 60_500
    table.put(flows, None)
    assert learned(partner.machine)[port][2] == 900_000
    connection.close()
    for one in (director, table):
        one.close()


def test_a_copy_that_nobody_takes_over_has_its_whole_time_when_it_is_told_on(
    both: tuple[Lab, Partner],
) -> None:
    lab, partner = both
    lab.serve(1)
    partner.has_the_services()
    (connection,) = open_at_the_director(lab, 1)
    director, flows = told(lab)
    table = table_of(partner.machine, partner.backend)
    table.put(with_our_marks(table, flows), LEASE_S)
    table.close()
    table = table_of(partner.machine, partner.backend)  # another daemon's, which has heard nothing
    assert len([*table.begin(), *table.changes().changed]) == 1
    assert learned(partner.machine)[connection.address()[1]][2] == 900_000
    connection.close()
    for one in (director, table):
        one.close()


def test_what_passes_here_now_counts_for_more_than_what_is_told(both: tuple[Lab, Partner]) -> None:
    lab, _ = both
    key = lab.serve(1, 1)
    (connection,) = open_at_the_director(lab, 1)
    table, flows = told(lab)
    port = connection.address()[1]
    before = learned(lab.director)[port]
    other = next(m for m in marks_of(lab, 2) if m != flows[0].mark)
    for lease_s in (LEASE_S, None):
        assert table.put([replace(flows[0], mark=other)], lease_s) == 0
        table.delete([flows[0].key])
        assert learned(lab.director)[port][:3] == before[:3]
    assert connection.is_alive()
    time.sleep(LATE_ACK_S)
    # With its server it has lost what it had.
    number = int(connection.server.removeprefix("rs"))
    lab.change(DeleteDestination(key, lab.server(number)))
    table.put([replace(flows[0], mark=other)], LEASE_S)
    assert learned(lab.director)[port][2] == 60_500
    table.delete([flows[0].key])
    assert port not in learned(lab.director)
    connection.close()
    table.close()


def test_what_has_become_ours_has_its_whole_time_and_stays(both: tuple[Lab, Partner]) -> None:
    """A packet has passed here, ten seconds ago: it counts, unless there is another server now."""
    lab, _ = both
    lab.serve(1, 1)
    (connection,) = open_at_the_director(lab, 1)
    table, flows = told(lab)
    port = connection.address()[1]
    key, data, _, _ = learned(lab.director)[port]
    with lab.director.inside():
        netlink = NetfilterNetlink()
        older = [
            *FOUR.table.remove(pl.FLOWS, [key]),
            *FOUR.table.add(pl.FLOWS, [Element(key, data, timeout_ms=890_000)]),
        ]
        netlink.commit(netlink.generation(), older)
        netlink.close()
    table.put(flows, LEASE_S)
    table.delete([flows[0].key])
    assert learned(lab.director)[port][2] == 890_000
    other = next(mark for mark in marks_of(lab, 2) if mark != flows[0].mark)
    table.put([replace(flows[0], mark=other)], LEASE_S)
    assert learned(lab.director)[port][2] == 60_500
    connection.close()
    table.close()


def marks_of(lab: Lab, count: int) -> set[int]:
    """Return servers' marks, by connections that they have."""
    connections = open_at_the_director(lab, count)
    found = {int.from_bytes(one[1], "little") for one in learned(lab.director).values()}
    close_all(connections)
    return found


def test_a_closing_copy_is_among_those_that_close(both: tuple[Lab, Partner]) -> None:
    lab, partner = both
    lab.serve(1)
    partner.has_the_services()
    (connection,) = open_at_the_director(lab, 1)
    port = connection.address()[1]
    director, flows = told(lab)
    table = table_of(partner.machine, partner.backend)
    table.put(with_our_marks(table, flows), LEASE_S)
    connection.close()
    table.put(with_our_marks(table, list(look(director).changed)), LEASE_S)
    assert port not in learned(partner.machine)
    assert learned(partner.machine, pl.CLOSING)[port][2] == 60_500
    for one in (director, table):
        one.close()


def test_a_persistent_client_keeps_its_server(both: tuple[Lab, Partner]) -> None:
    lab, partner = both
    lab.serve(1, 1, 1, options=ServiceOptions("rr", timeout=50))
    partner.has_the_services()
    connections = [lab.connect(client=1), lab.connect()]
    assert [connection.server for connection in connections] == ["rs1", "rs2"]
    assert all(connection.is_alive() for connection in connections)
    director, flows = told(lab)
    table = table_of(partner.machine, partner.backend)
    table.put(with_our_marks(table, flows), None)
    partner.becomes_active()
    assert set(lab.ask(4)) == {"rs2"}
    close_all(connections)
    for one in (director, table):
        one.close()


def test_changes_between_copies_find_the_tables_as_they_know_them(
    both: tuple[Lab, Partner], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy is a transaction too; with a thousand services all would be read again after each."""
    lab, partner = both
    key = lab.serve(1)
    partner.has_the_services()
    connections = open_at_the_director(lab, 3)
    director, flows = told(lab)
    table = table_of(partner.machine, partner.backend)
    monkeypatch.setattr(partner.backend, "_read", lambda: pytest.fail("read again"))
    with partner.machine.inside():
        for weight, flow in enumerate(with_our_marks(table, flows), 1):
            table.put([flow], LEASE_S)
            partner.backend.apply([SetDestination(key, lab.server(1), lab.weighing(weight + 1))])
    monkeypatch.undo()
    close_all(connections)
    for one in (director, table):
        one.close()
