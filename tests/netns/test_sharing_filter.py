"""Sharing an address by nftables on real kernels: who answers, and that nobody else does."""

import random
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address

import pytest
from tests.netns import balancing_lab, sharing_lab
from tests.netns.sharing_lab import (
    ACK,
    GROUP_MAC,
    LONG,
    SHARED,
    SYN,
    Lab,
    Wire,
    datagram_frame,
    every,
    vip_of,
)

from standfest.adapters.linux.sharing.selection import open_filter
from standfest.core.sharing.hashing import bucket_of
from standfest.model.sharing import Answering, Flow, HashMode, Layout, Target
from standfest.model.time import in_seconds, milliseconds, seconds

SKIP = balancing_lab.why_not("nft", "sysctl", "bridge")
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


def answered(lab: Lab, version: int, asked: list[Flow], buckets: frozenset[int]) -> set[Flow]:
    """Return those of which a datagram reaches the first node's sockets."""
    node, vip = lab.nodes[0], vip_of(version)
    node.answer(Answering(mine=buckets))
    family = socket.AF_INET6 if version == 6 else socket.AF_INET
    heard = []
    with node.inside():
        for port in range(5000, 5008):
            one = socket.socket(family, socket.SOCK_DGRAM)
            one.bind((str(vip), port))
            one.settimeout(0.001)
            heard.append(one)
    with lab.client.inside(), socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as out:
        out.bind(("eth0", 0))
        for flow in asked:
            out.send(datagram_frame(GROUP_MAC, flow, vip))
    time.sleep(0.05)
    found = set()
    for one in heard:
        with one:
            try:
                while True:
                    _, peer = one.recvfrom(100)
                    found.add(Flow(ip_address(peer[0]), peer[1], one.getsockname()[1]))
            except TimeoutError:
                continue
    return found


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
            for flow in answered(two, version, asked, wanted):
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
        heard = wire.segments(SYN | ACK)
    assert [talk.server for talk in talks] == [pair.owner(talk.flow) for talk in talks]
    assert {talk.server for talk in talks} == {"node1", "node2"}
    assert heard == {(talk.flow.source, talk.flow.source_port): 1 for talk in talks}


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


def test_a_successor_adopts_what_is_answered_and_the_rest_of_its_time(two: Lab) -> None:
    node = two.nodes[0]
    answering = Answering(frozenset({1, 2}), frozenset({3}), frozenset({4, 5}))
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
