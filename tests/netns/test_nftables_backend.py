"""The nftables backend beyond what all backends promise: its tables, and others' beside them."""

import contextlib
import socket
import struct
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator

import pytest
from tests.netns import balancing_lab
from tests.netns.balancing_lab import VIP, Lab, opened

from standfest.adapters.linux.conntrack import Conntrack
from standfest.adapters.linux.nftables import plane as pl
from standfest.adapters.linux.nftables.backend import NftablesBackend
from standfest.core.balancer.difference import difference
from standfest.core.balancer.slots import slots
from standfest.model.balancing import Forwarding, Method, Protocol
from standfest.model.errors import OperationError
from standfest.model.forwarding import (
    AddDestination,
    DeleteDestination,
    DeleteService,
    Destination,
    Service,
    ServiceKey,
    ServiceOptions,
    SetDestination,
    service_key,
)
from standfest.model.time import seconds
from standfest.ports.balancer import BalancerBackend

SKIP = balancing_lab.why_not("nft")
pytestmark = [pytest.mark.root, pytest.mark.skipif(bool(SKIP), reason=SKIP)]
USERS = (
    "table ip filter {\nchain pre {\ntype filter hook prerouting priority raw;\n"
    "tcp dport 80 counter\n}\n}\n"
)


def make() -> BalancerBackend:
    return NftablesBackend(slots)


@pytest.fixture(scope="module")
def shared() -> Iterator[Lab]:
    with balancing_lab.lab(make) as lab:
        yield lab


@pytest.fixture
def lab(shared: Lab) -> Lab:
    shared.clear()
    return shared


@pytest.fixture(scope="module")
def direct() -> Iterator[Lab]:
    with balancing_lab.lab(make, Forwarding.DIRECT) as lab:
        yield lab


def listed(lab: Lab) -> str:
    return lab.director.execute("nft", "list", "ruleset")


def of_every_kind(lab: Lab) -> dict[ServiceKey, Service]:
    """Return a table with every scheduler and option that there is, some by DR."""
    direct = Destination(Method(Forwarding.DIRECT), 1)
    found: dict[ServiceKey, Service] = {}
    for number, scheduler in enumerate(sorted(lab.backend.capabilities().schedulers)):
        for version in (4, 6):
            key = service_key(Protocol.TCP, VIP[version], 1000 + number)
            one = {lab.server(n, 80, version): lab.weighing(n) for n in (1, 2, 3)}
            mask = 64 if version == 6 else None
            found[key] = Service(ServiceOptions(scheduler, timeout=60, mask=mask), one)
            key = service_key(Protocol.UDP, VIP[version], 1000 + number)
            two = {lab.server(n, 80, version): direct for n in (1, 2)}
            found[key] = Service(ServiceOptions(scheduler, timeout=number), two)
    found[lab.key(0)] = Service(ServiceOptions("sh", ("sh-port",)), {lab.server(1, 0): direct})
    found[lab.mark(9)] = Service(ServiceOptions("mh", one_packet=True), {lab.server(1, 0): direct})
    found[lab.key(99, Protocol.SCTP)] = Service(ServiceOptions("rr"), {})
    return found


def test_nft_can_list_whatever_is_there(lab: Lab) -> None:
    wanted = of_every_kind(lab)
    lab.change(*difference({}, wanted))
    text = listed(lab)
    # 10.8.0.100 . tcp . 1000: the first scheduler by name
    assert 'tcp . 1000 comment "dh timeout=60" : goto service-' in text
    assert "ct mark set numgen inc mod 6 map @slots-" in text  # 1 + 2 + 3
    ingress = ("netdev standfest-ingress4", "netdev standfest-ingress6")
    for table in ("ip standfest", "ip6 standfest", "ip standfest-direct", *ingress):
        assert f"table {table} {{" in text


def test_asking_what_it_can_do_leaves_nothing(lab: Lab) -> None:
    before = listed(lab)
    with lab.director.inside():
        able = lab.backend.capabilities()
    assert (able.methods, able.ipv6) == (frozenset({"NAT", "DR"}), True)
    assert listed(lab) == before


def test_tables_of_others_stay(lab: Lab) -> None:
    lab.director.execute("nft", USERS)
    theirs = lab.director.execute("nft", "list", "table", "ip", "filter")
    key = lab.serve(1, 1)
    lab.change(DeleteService(key))
    assert lab.director.execute("nft", "list", "table", "ip", "filter") == theirs
    with lab.director.inside():
        lab.backend.close(keep=False)
    assert listed(lab).strip() == theirs.strip()
    with lab.director.inside():
        lab.backend = make()
    lab.director.execute("nft", "delete", "table", "ip", "filter")


def test_a_rule_set_that_somebody_flushed_is_made_anew(lab: Lab) -> None:
    wanted = {lab.key(): Service(ServiceOptions("rr"), {lab.server(1): lab.weighing(1)})}
    lab.change(*difference({}, wanted))
    lab.director.execute("nft", "flush", "ruleset")
    with lab.director.inside():
        assert lab.backend.read() == {}
        with pytest.raises(
            OperationError, match=r"^change 10\.9\.0\.11:80 of .*: no such service$"
        ):
            lab.backend.apply([SetDestination(lab.key(), lab.server(1), lab.weighing(2))])
        lab.backend.apply(difference(lab.backend.read(), wanted))
        assert lab.backend.read() == wanted
    assert lab.ask(2) == ["rs1", "rs1"]


def test_what_others_change_between_two_changes_does_not_matter(lab: Lab) -> None:
    key = lab.serve(1, 1)
    with lab.director.inside():
        other = make()
        other.apply([DeleteDestination(key, lab.server(1))])
        lab.backend.apply([AddDestination(key, lab.server(3), lab.weighing(1))])
        found = lab.backend.read()[key].destinations
    assert found.keys() == {lab.server(2), lab.server(3)}
    other.close(keep=True)
    lab.table[key] = Service(ServiceOptions("rr"), found)


def test_a_refused_change_leaves_all_as_it_was(lab: Lab) -> None:
    key = lab.serve(1, 1)
    before = listed(lab)
    tunnel = Destination(Method(Forwarding.TUNNEL), 1)
    with lab.director.inside(), pytest.raises(OperationError, match="cannot forward by TUN"):
        lab.backend.apply(
            [DeleteDestination(key, lab.server(1)), AddDestination(key, lab.server(3), tunnel)]
        )
    assert listed(lab) == before


def test_connections_of_others_stay_tracked(lab: Lab) -> None:
    """A removed server's connections are deleted by its mark; no other entry is touched."""
    key = lab.serve(1, 1)
    connections = opened(lab, 10)
    with lab.director.inside():
        table = Conntrack()
        marks = Counter(flow.mark for flow in table.flows())
    ours = [mark for mark in marks if mark & pl.SERVER_MASK == pl.SERVER_MARKS]
    assert sorted(marks[mark] for mark in ours) == [5, 5]
    with lab.director.inside():
        # The partner's copy of a connection, say, or a mark of the user's own.
        flow = next(f for f in table.flows() if f.mark == ours[0])
        table.delete([flow.key])
        table.put([type(flow)(flow.key, flow.reply, 7, 300, flow.tcp_state, flow.scales)])
    lab.change(DeleteDestination(key, lab.server(1)), DeleteDestination(key, lab.server(2)))
    with lab.director.inside():
        left = [f.mark for f in table.flows()]
    table.close()
    assert left == [7]
    for connection in connections:
        connection.close()


def test_packets_by_nat_are_counted_while_somebody_asks(lab: Lab) -> None:
    now = 0
    with lab.director.inside():
        lab.backend.close(keep=False)
        lab.backend = backend = NftablesBackend(slots, lambda: now)
    key = lab.serve(1)
    seen = []
    # 599 s after the last question they are counted still, 601 s after it no more.
    for after_s, asks in ((0, False), (0, True), (599, False), (601, False), (601, True)):
        now = seconds(after_s)
        with lab.director.inside():
            backend.follow()
            if asks:
                backend.count_packets()
        before = lab.counters()[key, lab.server(1)]
        with lab.connect() as conversation:
            assert conversation.is_alive()
        after = lab.counters()[key, lab.server(1)]
        assert after.connections == before.connections + 1
        seen.append((after.packets_in > before.packets_in, after.packets_out > before.packets_out))
    assert seen == [(False,) * 2, (True,) * 2, (True,) * 2, (False,) * 2, (True,) * 2]
    lab.restart()  # who asked the daemon before is served by the next one
    assert "chain count-prerouting" in listed(lab)


def test_clients_on_the_director_are_served_by_nat(lab: Lab) -> None:
    lab.serve(1, 1)
    found = []
    for _ in range(4):
        with lab.director.inside(), socket.create_connection((str(VIP[4]), 80), 10) as client:
            found.append(client.recv(100).decode())
    assert Counter(found) == {"rs1": 2, "rs2": 2}


def test_a_download_goes_on_while_its_server_is_drained(lab: Lab) -> None:
    key = lab.serve(1, 1)
    (connection,) = opened(lab, 1)
    half = b"x" * (4 << 20)
    assert connection.echoes(half)
    number = int(connection.server.removeprefix("rs"))
    lab.change(SetDestination(key, lab.server(number), lab.weighing(0)))
    assert connection.echoes(half)
    connection.close()


def test_the_mark_of_a_told_connection_is_the_servers(lab: Lab) -> None:
    lab.serve(1, 1)
    connections = opened(lab, 4)
    with lab.director.inside():
        assert isinstance(lab.backend, NftablesBackend)
        table = lab.backend.flow_table()
        flows = list(table.begin())
        assert len(flows) == 4
        assert all(table.mark_of(flow) == flow.mark for flow in flows)
        table.close()
    for connection in connections:
        connection.close()


@pytest.mark.parametrize("method", ["shared", "direct"])
def test_an_sctp_association_begins_at_a_server(
    request: pytest.FixtureRequest, method: str
) -> None:
    """The kernel here has no SCTP sockets, so INIT goes and comes by raw ones."""
    lab: Lab = request.getfixturevalue(method)
    lab.clear()
    lab.serve(1, 1, key=lab.key(36412, Protocol.SCTP))
    found = []
    raw = (socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_SCTP)
    heard = {}
    for number in (1, 2):
        with lab.servers[number].inside():
            heard[number] = socket.socket(*raw)
            heard[number].settimeout(0.5)
    for port in range(5000, 5004):
        with lab.client.inside(), socket.socket(*raw) as sender:
            sender.sendto(sctp_init(port, 36412), (str(VIP[4]), 0))
        for number, receiver in heard.items():
            with contextlib.suppress(TimeoutError):
                packet = receiver.recv(2000)
                assert packet[20:24] == struct.pack(">HH", port, 36412)
                found.append(number)
    for receiver in heard.values():
        receiver.close()
    assert Counter(found) == {1: 2, 2: 2}
    lab.clear()


def sctp_init(source: int, destination: int) -> bytes:
    """Return an SCTP packet with one INIT chunk (RFC 9260 sections 3.1 and 3.3.2)."""
    chunk = struct.pack(">BBHIIHHI", 1, 0, 20, 0x11111111, 65536, 1, 1, 1)
    head = struct.pack(">HHI", source, destination, 0)
    return head + struct.pack("<I", crc32c(head + bytes(4) + chunk)) + chunk


def crc32c(data: bytes) -> int:
    """Return the checksum of SCTP (RFC 9260 appendix A)."""
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    return value ^ 0xFFFFFFFF


@pytest.mark.parametrize("method", ["shared", "direct"])
def test_turns_go_by_shares_until_the_service_changes(
    request: pytest.FixtureRequest, method: str
) -> None:
    lab: Lab = request.getfixturevalue(method)
    lab.clear()
    key = lab.serve(1, 1, options=ServiceOptions("wlc"))
    with lab.director.inside():
        lab.backend.share({key: {lab.server(1): 90, lab.server(2): 30}})
        assert lab.backend.read() == lab.table
    assert Counter(lab.ask(8)) == {"rs1": 6, "rs2": 2}
    with lab.director.inside():
        lab.backend.share({key: {lab.server(1): 0, lab.server(2): 120}})
    assert set(lab.ask(2)) == {"rs2"}
    lab.change(SetDestination(key, lab.server(2), lab.weighing(0)))
    assert set(lab.ask(2)) == {"rs1"}
    lab.clear()


def test_shares_of_a_service_that_another_program_has_removed_are_refused(shared: Lab) -> None:
    shared.clear()
    key = shared.serve(1, 1, options=ServiceOptions("wlc"))
    with shared.director.inside():
        subprocess.run(["nft", "delete", "table", "ip", "standfest"], check=True)
        with pytest.raises(OperationError, match="another program"):
            shared.backend.share({key: {shared.server(1): 120}})
        assert shared.backend.read() == {}
    shared.table.clear()


@pytest.mark.parametrize("method", ["shared", "direct"])
def test_connections_by_a_hash_outlive_a_director_that_knows_none_of_them(
    request: pytest.FixtureRequest, method: str
) -> None:
    """Another director with the same servers chooses alike, in the middle of a connection, too."""
    lab: Lab = request.getfixturevalue(method)
    lab.clear()
    lab.serve(1, 1, 1, options=ServiceOptions("mh", ("mh-port",)))
    connections = opened(lab, 24)
    assert len({connection.server for connection in connections}) == 3
    with lab.director.inside():
        lab.backend.close(keep=False)
        lab.backend = make()
        lab.backend.apply(difference({}, lab.table))
    assert all(connection.is_alive() for connection in connections)
    for connection in connections:
        connection.close()
    lab.clear()


def test_a_mark_that_decides_survives_direct_routing(direct: Lab) -> None:
    direct.director.execute(
        "nft",
        "table ip user {\nchain pre {\ntype filter hook prerouting priority -310;\n"
        "tcp dport 80 meta mark set 5\n}\nchain post {\ntype filter hook postrouting priority 0;\n"
        "tcp dport 80 meta mark 5 counter\n}\n}\n",
    )
    direct.serve(1, 1, key=direct.mark(5), options=ServiceOptions("rr", timeout=60))
    assert len(set(direct.ask(3))) == 1
    text = direct.director.execute("nft", "list", "table", "ip", "user")
    direct.director.execute("nft", "delete", "table", "ip", "user")
    direct.clear()
    packets = int(text.split("counter packets ")[1].split()[0])
    assert packets >= 9  # three connections: SYN, ACK, FIN at least


def test_direct_routing_leaves_connection_tracking_alone(direct: Lab) -> None:
    with direct.director.inside():
        direct.backend.close(keep=False)
        direct.backend = make()
    direct.serve(1, 1)
    assert len(direct.ask(4)) == 4
    with direct.director.inside():
        table = Conntrack()
        assert table.flows() == []
        table.close()
    direct.clear()


def test_without_permission_it_says_so() -> None:
    code = (
        "from standfest.adapters.linux.nftables.backend import NftablesBackend as B\n"
        "from standfest.core.balancer.slots import slots\n"
        "from standfest.model.errors import OperationError as E\n"
        "try: B(slots)\n"
        "except E as error: print(error)\n"
    )
    done = subprocess.run(
        ["setpriv", "--bounding-set", "-all", "--inh-caps", "-all", "--reuid", "65534",
         "--clear-groups", sys.executable, "-c", code],
        capture_output=True, text=True, check=False,
        env={"PYTHONPATH": balancing_lab.SOURCE},
    )  # fmt: skip
    assert "Operation not permitted" in done.stdout + done.stderr, done
