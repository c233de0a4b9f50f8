"""Sharing an address by xt_cluster of iptables, where this kernel has it."""

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_interface

import pytest
from tests.netns import balancing_lab, sharing_lab
from tests.netns.sharing_lab import (
    ACK,
    GROUP_MAC,
    SHARED,
    SINGLE_MAC,
    SYN,
    VIP4,
    Lab,
    Wire,
    client_address,
    every,
)

from standfest.adapters.linux.sharing.selection import limits, open_filter
from standfest.core.sharing.hashing import bucket_of
from standfest.model.errors import OperationError
from standfest.model.sharing import (
    FOREVER,
    Answering,
    Flow,
    HashMode,
    Layout,
    SharedAddress,
    Target,
)

BUCKETS = 32
OURS = replace(
    SHARED,
    addresses=(ip_interface(f"{VIP4}/32"),),
    layout=Layout(HashMode.SOURCE_IP, BUCKETS, 0xDEADBEEF),
)


def why_not() -> str:
    missing = balancing_lab.why_not("nft", "iptables-legacy", "arptables-legacy", "unshare")
    if missing:
        return missing
    rule = "iptables-legacy -t mangle -A PREROUTING -m cluster --cluster-total-nodes 2"
    rule += " --cluster-local-node 1 --cluster-hash-seed 1 && arptables-legacy -L"
    tried = subprocess.run(["unshare", "-n", "sh", "-c", rule], capture_output=True, check=False)
    return "this kernel has no xt_cluster" if tried.returncode else ""


SKIP = why_not()
pytestmark = [pytest.mark.root, pytest.mark.skipif(bool(SKIP), reason=SKIP)]


@pytest.fixture(scope="module")
def two() -> Iterator[Lab]:
    with sharing_lab.lab(2, OURS) as lab:
        yield lab


@pytest.fixture
def pair(two: Lab) -> Iterator[Lab]:
    two.share(Target.XT_CLUSTER)
    yield two
    two.unshare()


def bucket(client: int) -> int:
    return bucket_of(OURS.layout, Flow(client_address(client)))


def test_each_connection_is_answered_once_by_the_owner_of_its_bucket(pair: Lab) -> None:
    with Wire(pair) as wire:
        talks = [pair.connect(client=client) for client in range(20)]
        heard = wire.answers(SYN | ACK)
    assert [talk.server for talk in talks] == [f"node{bucket(n) % 2 + 1}" for n in range(20)]
    assert {talk.server for talk in talks} == {"node1", "node2"}
    assert heard == {(talk.flow, int(talk.server[-1])): 1 for talk in talks}
    assert f"{VIP4} dev eth0 lladdr {GROUP_MAC.hex(':')}" in pair.client.ip("neigh")


def test_the_kernel_finds_the_bucket_that_we_compute(pair: Lab) -> None:
    first, second = pair.nodes
    second.answer(Answering())
    found = dict.fromkeys(range(20), 0)
    for bit in range(5):  # 32 buckets: each bit of the number is asked for
        first.answer(Answering(frozenset(n for n in range(BUCKETS) if n >> bit & 1)))
        for client in found:
            with pair.asking(Flow(client_address(client), 4000 + bit, 80), 0.05) as asking:
                asking.send(b"?")
                try:
                    found[client] |= (asking.recv(9) == b"node1 ?") << bit
                except TimeoutError:
                    continue
    assert found == {client: bucket(client) for client in found}


def test_connections_stay_or_are_reset_when_their_bucket_goes(pair: Lab) -> None:
    first, second = pair.nodes
    given, lost = [next(c for c in range(20) if bucket(c) % 4 == part) for part in (0, 2)]
    old, other = pair.connect(client=given), pair.connect(client=lost)
    assert (old.server, other.server) == ("node1", "node1")
    rest = every(0, 2, BUCKETS) - {bucket(given), bucket(lost)}
    first.answer(Answering(rest, former=frozenset({bucket(given)})))
    second.answer(
        Answering(every(1, 2, BUCKETS) | {bucket(given), bucket(lost)}, frozenset({bucket(lost)}))
    )
    assert pair.connect(client=given).server == "node2"
    assert old.is_alive()
    assert other.is_reset()
    assert pair.connect(client=lost).server == "node2"


def test_it_is_adopted_and_nothing_is_left_behind(two: Lab) -> None:
    node = two.nodes[0]
    before = node.state()
    answering = Answering(frozenset({1, 3, 31}), frozenset({3}), frozenset({4, 5}))
    node.open(OURS, Target.XT_CLUSTER)
    node.answer(answering)
    node.close(keep=True)
    with node.inside():
        node.filter = open_filter(OURS, Target.XT_CLUSTER)
        assert node.look() == answering
        assert node.filter.open() == (answering, FOREVER)
    during = node.execute("arptables-legacy", "-L")
    assert GROUP_MAC.hex(":") in during
    node.close()
    assert node.state() == before
    assert GROUP_MAC.hex(":") not in node.execute("arptables-legacy", "-L")


@pytest.mark.parametrize(
    ("shared", "problem"),
    [
        (SHARED, "IPv4 only"),
        (replace(OURS, layout=Layout(HashMode.SOURCE_IP_PORT, 8, 0)), "source address only"),
        (replace(OURS, layout=Layout(HashMode.SOURCE_IP, 33, 0)), "32 buckets"),
        (replace(OURS, mac=SINGLE_MAC), "multicast MAC"),
        (replace(OURS, name="n" * 21), "too long"),
    ],
)
def test_what_it_cannot_is_refused(shared: SharedAddress, problem: str) -> None:
    with pytest.raises(OperationError, match=problem):
        open_filter(shared, Target.XT_CLUSTER)


def test_nobody_is_promised_a_lease_that_the_kernel_does_not_keep() -> None:
    assert [target for target in Target if limits(target).leases] == [Target.AUTO, Target.NFTABLES]
