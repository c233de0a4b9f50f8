"""Sharing an address by nftables on real kernels: who answers, and that nobody else does."""

import random
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address, ip_interface

import pytest
from tests.netns import balancing_lab, sharing_lab
from tests.netns.sharing_lab import (
    ACK,
    ECHO_REPLY,
    GROUP_MAC,
    ICMP,
    LONG,
    PATIENCE_S,
    PORT,
    RST,
    SHARED,
    SINGLE_MAC,
    SYN,
    UDP,
    VIP4,
    VIP6,
    Lab,
    Node,
    Wire,
    client_address,
    every,
    segment,
    sequence_of,
    too_big,
    vip_of,
)

from standfest.adapters.linux.sharing.selection import open_filter
from standfest.core.sharing.hashing import bucket_of
from standfest.model.sharing import Answering, Established, Flow, HashMode, Layout, Target
from standfest.model.time import in_seconds, milliseconds, seconds

SKIP = balancing_lab.why_not("nft", "sysctl", "bridge", "nstat")
pytestmark = [pytest.mark.root, pytest.mark.skipif(bool(SKIP), reason=SKIP)]


@pytest.fixture(scope="module")
def two() -> Iterator[Lab]:
    with sharing_lab.lab(2) as lab:
        yield lab


@pytest.fixture
def pair(two: Lab) -> Iterator[Lab]:
    """Two nodes, of which the first answers even buckets, the second odd ones."""
    two.shared = SHARED
    two.share()
    yield two
    two.unshare()


# --- which bucket --------------------------------------------------------------------------------


def flows(version: int, count: int) -> list[Flow]:
    """Return flows from anywhere, to eight ports."""
    chance = random.Random(version)
    net = 0x0A080000 if version == 4 else 0xFD08 << 112
    return [
        Flow(
            ip_address(net + chance.randrange(300, 65000)), chance.randrange(1, 65536), 5000 + n % 8
        )
        for n in range(count)
    ]


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("mode", HashMode)
def test_the_kernel_finds_the_bucket_that_we_compute(
    two: Lab, version: int, mode: HashMode
) -> None:
    node = two.nodes[0]
    layout = Layout(mode, 100, 0x1234ABCD)
    node.open(replace(SHARED, layout=layout), Target.NFTABLES)
    try:
        asked = flows(version, 300)
        found = dict.fromkeys(asked, 0)
        for bit in range(7):  # 100 buckets: each bit of the number is asked for
            wanted = frozenset(bucket for bucket in range(100) if bucket >> bit & 1)
            node.answer(Answering(mine=wanted))
            for flow in two.reached(node, asked, version):
                found[flow] |= 1 << bit
    finally:
        node.close()
    assert found == {flow: bucket_of(layout, flow) for flow in asked}
    assert len(set(found.values())) > 80


# --- who answers ---------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [4, 6])
def test_each_connection_is_answered_once_by_the_owner_of_its_bucket(
    pair: Lab, version: int
) -> None:
    with Wire(pair) as wire:
        talks = [pair.connect(version, client) for client in range(20) for _ in range(5)]
        heard = wire.answers(SYN | ACK)
    assert [talk.server for talk in talks] == [pair.owner(talk.flow) for talk in talks]
    assert {talk.server for talk in talks} == {"node1", "node2"}
    assert heard == {(talk.flow, int(talk.server[-1])): 1 for talk in talks}


def test_nothing_is_left_behind(two: Lab) -> None:
    node = two.nodes[0]
    before = node.state()
    assert "nf_conntrack_tcp_loose = 1" in before
    node.open(SHARED, Target.NFTABLES)
    node.answer(Answering(mine=every(0, 1)))
    during = node.state()
    assert "nf_conntrack_tcp_loose = 0" in during
    assert GROUP_MAC.hex(":") in during
    node.close()
    assert node.state() == before


def test_rules_go_when_the_interface_has_gone_before(two: Lab) -> None:
    node = two.nodes[0]
    for mac in (GROUP_MAC, SINGLE_MAC):
        node.ip("link", "add", "gone0", "type", "veth", "peer", "name", "gone1")
        node.open(replace(SHARED, interface="gone0", mac=mac), Target.NFTABLES)
        assert "standfest_share_web" in node.execute("nft", "list", "tables")
        node.ip("link", "delete", "gone0")
        node.close()
        assert node.execute("nft", "list", "tables") == ""


def test_a_node_serves_itself_whatever_is_its_to_answer(pair: Lab) -> None:
    node = pair.nodes[0]
    node.answer(Answering(), 0)
    for version in (4, 6):
        six = version == 6
        with node.inside(), socket.socket(socket.AF_INET6 if six else socket.AF_INET) as own:
            own.settimeout(PATIENCE_S)
            own.connect((str(vip_of(version)), PORT))
            assert own.recv(100) == b"node1"
            own.sendall(b"still there?")
            assert own.recv(100) == b"still there?"


def test_a_host_that_refuses_unicast_in_multicast_frames_makes_an_exception(two: Lab) -> None:
    node, name = two.nodes[0], "net.ipv6.conf.eth0.drop_unicast_in_l2_multicast"
    two.shared = SHARED
    node.sysctl(**{name.replace(".", "__"): 1})
    two.share()
    try:
        assert two.connect(6, bucket=2).server == "node1"
    finally:
        two.unshare()
    assert "= 1" in node.execute("sysctl", name)
    node.sysctl(**{name.replace(".", "__"): 0})


def test_a_successor_adopts_what_is_answered_and_the_rest_of_its_time(two: Lab) -> None:
    node = two.nodes[0]
    answering = Answering(frozenset({1, 2, 3}), frozenset({3}), frozenset({4, 5}))
    node.open(SHARED, Target.NFTABLES)
    node.answer(answering, seconds(60))
    node.close(keep=True)
    with node.inside():
        node.filter = open_filter(SHARED, Target.AUTO)
        assert node.filter.look() == answering
        adopted, left = node.filter.open()
    assert adopted == answering
    assert 50 < in_seconds(left) < 60
    node.close()
    with node.inside():
        looking = open_filter(SHARED, Target.AUTO)
        assert looking.look() is None
        looking.close(keep=True)


def test_rules_for_other_settings_are_replaced_and_answer_nothing(two: Lab) -> None:
    node = two.nodes[0]
    node.open(SHARED, Target.NFTABLES)
    node.answer(Answering(mine=every(0, 1)))
    node.close(keep=True)
    other = replace(SHARED, layout=replace(SHARED.layout, seed=1))
    with node.inside():
        node.filter = open_filter(other, Target.AUTO)
        assert node.filter.look() is None
        assert node.filter.open() == (Answering(), 0)
    assert node.execute("nft", "list", "tables").count("standfest_share_web") == 2
    node.close()


def test_three_nodes_share_and_two_take_what_one_leaves() -> None:
    with sharing_lab.lab(3) as three:
        three.share()
        old = {bucket: three.connect(bucket=bucket) for bucket in range(12)}
        assert [old[bucket].server for bucket in range(6)] == ["node1", "node2", "node3"] * 2
        first, second, third = three.nodes
        third.close()  # its address goes before its rules: nobody is reset by it
        first.answer(Answering(every(0, 3) | every(2, 6)))
        second.answer(Answering(every(1, 3) | every(5, 6)))
        assert {bucket: three.connect(bucket=bucket).server for bucket in (2, 5, 8, 11)} == {
            2: "node1", 5: "node2", 8: "node1", 11: "node2"
        }  # fmt: skip
        assert all(old[bucket].is_alive() for bucket in range(12) if bucket % 3 != 2)
        for talk in three.talks:
            talk.socket.close()
        first.close()
        second.close()


def test_the_kernel_ends_a_lease_without_us(pair: Lab) -> None:
    pair.nodes[0].answer(Answering(mine=every(0, 2)), milliseconds(300))
    talk = pair.connect(bucket=0)
    assert talk.server == "node1"
    time.sleep(0.3)
    assert not talk.is_alive(0.3)
    with pytest.raises(TimeoutError):
        pair.connect(bucket=0, patience_s=0.5)
    other = pair.connect(bucket=1)
    assert other.server == "node2"
    pair.nodes[0].answer(Answering(mine=every(0, 2)), LONG)
    assert talk.is_alive()


# --- buckets that change hands -------------------------------------------------------------------


def move(lab: Lab, bucket: int, giver: Node, taker: Node, *, dead: bool = False) -> None:
    """Move a bucket in good order, or from a dead node to a taker that knows so."""
    left = every(giver.number - 1, len(lab.nodes)) - {bucket}
    gained = every(taker.number - 1, len(lab.nodes))
    giver.answer(Answering(left, former=frozenset() if dead else frozenset({bucket})))
    taken = Answering(gained, frozenset({bucket})) if dead else Answering(gained | {bucket})
    taker.answer(taken)


@pytest.mark.parametrize("version", [4, 6])
def test_a_connection_stays_where_it_is_when_its_bucket_goes(pair: Lab, version: int) -> None:
    first, second = pair.nodes
    old = pair.connect(version, bucket=2)
    assert old.server == "node1"
    move(pair, 2, first, second)
    assert pair.connect(version, bucket=2).server == "node2"
    assert old.is_alive()


def test_connections_of_a_dead_node_are_reset_by_its_heir(pair: Lab) -> None:
    first, second = pair.nodes
    old, others = pair.connect(bucket=2), [pair.connect(bucket=bucket) for bucket in (1, 4)]
    move(pair, 2, first, second, dead=True)
    assert old.is_reset()
    assert pair.connect(bucket=2).server == "node2"
    assert all(other.is_alive() for other in others)


def test_connections_that_may_not_stay_are_reset_by_the_next_owner(two: Lab) -> None:
    two.shared = SHARED
    two.share(established=Established.MOVE)
    try:
        old = two.connect(bucket=2)
        move(two, 2, *two.nodes)
        assert old.is_reset()
        assert two.nodes[0].look() == Answering(every(0, 2) - {2})
    finally:
        two.unshare()


@pytest.mark.parametrize("version", [4, 6])
def test_a_syn_that_is_sent_again_is_answered_by_one_node_only(pair: Lab, version: int) -> None:
    first, second = pair.nodes
    phantom = pair.phantom(version)
    flow = pair.flow_in(2, phantom)
    with Wire(pair) as wire:
        pair.inject(flow, segment(flow, SYN))
        assert {number for number, _ in wire.of(flow)} == {first.number}
        move(pair, 2, first, second)
        wire.of(flow)  # what the first node may have sent again before
        pair.inject(flow, segment(flow, SYN))
        assert {number for number, _ in wire.of(flow)} == {second.number}
        # Both send their SYN-ACK again after 1 s, and the first node's must not leave it.
        time.sleep(1.2)
        assert first.number not in dict(wire.of(flow))


def test_a_client_that_begins_anew_is_answered_by_the_new_owner_alone(pair: Lab) -> None:
    """The old owner still has the connection that the client has forgotten."""
    first, second = pair.nodes
    flow = pair.flow_in(2, pair.phantom(4))
    with Wire(pair) as wire:
        pair.inject(flow, segment(flow, SYN))
        (told,) = dict(wire.of(flow, SYN | ACK)).values()
        pair.inject(flow, segment(flow, ACK, 1001, sequence_of(told) + 1))
        assert {(number, one[20:]) for number, one in wire.of(flow)} == {(1, b"node1")}
        move(pair, 2, first, second)
        pair.inject(flow, segment(flow, SYN, 5000))
        # The first node may send its greeting again, which nobody has acknowledged: no answer.
        heard = {number for number, one in wire.of(flow) if one[20:] != b"node1"}
    assert heard == {second.number}


def test_datagrams_go_with_their_bucket_at_once(pair: Lab) -> None:
    with Wire(pair) as wire, pair.asking(pair.flow_in(2, client_address(0))) as asking:
        asking.send(b"first")
        assert asking.recv(100) == b"node1 first"
        move(pair, 2, *pair.nodes)
        asking.send(b"second")
        assert asking.recv(100) == b"node2 second"
        heard = [pair.number_of(mac) for kind, mac, _, _ in wire.packets() if kind == UDP]
    assert heard == [1, 2]


def test_half_a_connection_is_not_reset_by_whoever_gave_it_away(pair: Lab) -> None:
    """The client's ACK of the new owner's SYN-ACK is nonsense to the old owner: silence."""
    first, second = pair.nodes
    flow = pair.flow_in(2, pair.phantom(4))
    with Wire(pair) as wire:
        pair.inject(flow, segment(flow, SYN))
        move(pair, 2, first, second)
        pair.inject(flow, segment(flow, SYN))
        told = dict(wire.of(flow, SYN | ACK))
        pair.inject(flow, segment(flow, ACK, 1001, sequence_of(told[second.number]) + 1))
        heard = [number for number, one in wire.of(flow) if one[13] & RST]
    assert set(told) == {first.number, second.number}
    assert heard == []


ASK = """
import select, socket, sys
made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
made.bind((sys.argv[1], int(sys.argv[2])))
made.connect((sys.argv[3], 80))
made.settimeout(5)
count = 0
while not select.select([sys.stdin], [], [], 0)[0]:
    made.send(b"?")
    assert made.recv(9) == b"node1 ?"
    count += 1
print(count)
"""


def test_a_change_is_there_all_at_once(pair: Lab) -> None:
    node = pair.nodes[0]
    talk, flow = pair.connect(bucket=2), pair.flow_in(4, client_address(0))
    # Both buckets go from one verdict to another in all maps, and the gate is made anew.
    rest = every(0, 2) - {2, 4}
    turns = Answering(rest | {4}, former=frozenset({2})), Answering(rest | {2, 4}, frozenset({4}))
    words = [sys.executable, "-c", ASK, str(flow.source), str(flow.source_port), str(VIP4)]
    asking = subprocess.Popen(
        ["ip", "netns", "exec", pair.client.name, *words],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    for turn in turns * 40:
        node.answer(turn)
    said, _ = asking.communicate("enough\n")
    assert asking.returncode == 0
    assert int(said) > 10
    assert talk.is_alive()


def test_rules_that_somebody_flushes_come_back_with_the_next_renewal(pair: Lab) -> None:
    node = pair.nodes[0]
    node.execute("nft", "flush", "ruleset")
    with node.inside():
        node.filter.renew(LONG)
    assert node.look() == Answering(every(0, 2))
    assert {pair.connect(bucket=bucket).server for bucket in (1, 3, 5)} == {"node2"}
    assert {pair.connect(bucket=bucket).server for bucket in (0, 2, 4)} == {"node1"}


def test_connection_tracking_is_lenient_again_when_the_last_sharer_has_gone(two: Lab) -> None:
    node = two.nodes[0]
    node.open(SHARED, Target.NFTABLES)
    with node.inside():
        other = open_filter(
            replace(SHARED, name="mail", addresses=(ip_interface("10.8.0.101/32"),)), Target.AUTO
        )
        other.open()
    node.close()
    assert "= 0" in node.execute("sysctl", "net.netfilter.nf_conntrack_tcp_loose")
    with node.inside():
        other.close(keep=False)
    assert "= 1" in node.execute("sysctl", "net.netfilter.nf_conntrack_tcp_loose")


# --- what is no connection -----------------------------------------------------------------------


@pytest.mark.parametrize("version", [4, 6])
def test_a_ping_is_answered_once(pair: Lab, version: int) -> None:
    with Wire(pair) as wire:
        for client in range(20):
            pair.ping(client_address(client, version))
        heard = Counter(
            (destination, pair.number_of(mac))
            for protocol, mac, destination, payload in wire.packets()
            if protocol == ICMP[version] and payload[0] == ECHO_REPLY[version]
        )
    sources = [client_address(client, version) for client in range(20)]
    owners = {source: bucket_of(pair.shared.layout, Flow(source)) % 2 + 1 for source in sources}
    assert heard == dict.fromkeys(owners.items(), 1)
    assert set(owners.values()) == {1, 2}


@pytest.mark.parametrize("version", [4, 6])
def test_a_datagram_in_fragments_is_answered_once_and_whole(pair: Lab, version: int) -> None:
    for bucket in (6, 7):
        with pair.asking(pair.flow_in(bucket, client_address(0, version)), 0.3) as asking:
            asking.send(bytes(4000))
            assert asking.recv(5000) == f"node{bucket % 2 + 1} ".encode() + bytes(4000)
            with pytest.raises(TimeoutError):
                asking.recv(5000)


@pytest.mark.parametrize("version", [4, 6])
def test_a_router_tells_the_owner_of_the_connection_what_fits(pair: Lab, version: int) -> None:
    with Wire(pair) as wire:
        talk = pair.connect(version, bucket=2)
        ((number, told),) = wire.of(talk.flow, SYN | ACK)
    assert number == 1
    # By its own address the router falls into a bucket of the second node.
    router = next(
        address
        for address in (client_address(n, version) for n in range(1, 20))
        if bucket_of(pair.shared.layout, Flow(address)) % 2
    )
    sent = sequence_of(told) + 1 + len("node1")
    pair.inject(Flow(router), too_big(router, talk.flow, sent & 0xFFFFFFFF, 1300))
    client = str(talk.flow.source)
    known = [
        "mtu 1300" in node.ip("route", "get", client, "from", str(vip_of(version)))
        for node in pair.nodes
    ]
    assert known == [True, False]
    assert [node.errors_heard(version) for node in pair.nodes] == [1, 0]


# --- what neighbours learn -----------------------------------------------------------------------


def test_neighbours_and_switches_never_learn_a_node_s_own_mac(pair: Lab) -> None:
    """A node that has forgotten who the client is asks for it from the shared address."""
    for version in (4, 6):
        for bucket in (0, 1):
            for node in pair.nodes:
                node.ip("neigh", "flush", "all")
            pair.connect(version, bucket=bucket)
    shown = pair.client.ip("neigh")
    for vip in (VIP4, VIP6):
        assert f"{vip} dev eth0 lladdr {GROUP_MAC.hex(':')}" in shown


def test_a_unicast_mac_that_the_switch_floods_does_too(two: Lab) -> None:
    two.shared = SHARED
    node, before = two.nodes[0], two.nodes[0].state()
    two.share(mac=SINGLE_MAC)
    try:
        for version in (4, 6):
            talks = [two.connect(version, client) for client in range(20)]
            assert [talk.server for talk in talks] == [two.owner(talk.flow) for talk in talks]
            assert {talk.server for talk in talks} == {"node1", "node2"}
        shown = two.client.ip("neigh")
        for vip in (VIP4, VIP6):
            assert f"{vip} dev eth0 lladdr {SINGLE_MAC.hex(':')}" in shown
        assert SINGLE_MAC.hex(":") not in two.switch.execute("bridge", "fdb", "show")
        assert f"{SINGLE_MAC.hex(':')} dev eth0 self permanent" in node.state()
    finally:
        two.unshare()
    assert node.state() == before
