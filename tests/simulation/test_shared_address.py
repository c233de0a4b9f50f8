"""The report's shared address (appendix B.12): each bucket is answered by exactly one node."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from standfest.config.cib import load
from standfest.model.settings import HeartbeatSettings
from standfest.model.time import milliseconds, seconds
from standfest.runtime.cluster.protocol import Standby
from standfest.sim.cluster import SimCluster

EXAMPLE = Path(__file__).parents[2] / "examples" / "clusterip"
REPORT = (EXAMPLE / "cib-clusterip.xml").read_text(encoding="utf-8")
TODAY = (EXAMPLE / "cib-clusterip-today.xml").read_text(encoding="utf-8")
THREE = TODAY.replace('max" value="2"', 'max" value="3"')
OPTIONS = (EXAMPLE / "cib-options.xml").read_text(encoding="utf-8")
RUN_MS, NET_MS, DEAD_MS, HELLO_MS = 80, 3, 1_000, 30
"""The longest agent run, the longest way of a datagram, deadtime, hello and join of survivors."""


def cluster(seed: int, text: str, count: int) -> SimCluster:
    nodes = tuple(f"node-{number}" for number in range(1, count + 1))
    heartbeats = HeartbeatSettings(
        nodes=nodes,
        media=(),
        keepalive=milliseconds(100),
        deadtime=milliseconds(DEAD_MS),
        warntime=milliseconds(500),
        initdead=seconds(10),
    )
    loaded = load([("cib.xml", text), ("cib-options.xml", OPTIONS)])
    sim = SimCluster(seed, heartbeats, loaded.configuration)
    for node in nodes:
        sim.power_on(node)
    return sim


def places(sim: SimCluster, count: int) -> list[set[str]]:
    return [sim.world.on(f"cluster_ip:{number}") for number in range(count)]


def each_once(sim: SimCluster, count: int) -> bool:
    return all(len(nodes) == 1 for nodes in places(sim, count))


def spread(sim: SimCluster, count: int) -> bool:
    return each_once(sim, count) and len(set.union(*places(sim, count))) == count


@pytest.mark.parametrize(("text", "count"), [(REPORT, 2), (TODAY, 2), (THREE, 3)])
@given(seed=st.integers(0, 2**32))
@settings(max_examples=5, deadline=None)
def test_a_dead_node_s_bucket_is_taken_over_and_given_back(
    text: str, count: int, seed: int
) -> None:
    sim = cluster(seed, text, count)
    sim.run_until(lambda: spread(sim, count), at_most=seconds(12))
    sim.run_for(seconds(5))
    assert (sim.world.starts, sim.world.stops) == (count, 0)
    inherited: list[tuple[str, str, str]] = []
    for turn, victim in enumerate(("node-1", f"node-{count}")):
        kept = {node: n for n, (node,) in enumerate(places(sim, count)) if node != victim}
        (given,) = [n for n in range(count) if n not in kept.values()]
        sim.crash(victim)
        took = sim.run_until(lambda: each_once(sim, count), at_most=seconds(2))
        assert took <= milliseconds(DEAD_MS + NET_MS + HELLO_MS + 2 * RUN_MS)
        # It is told that its owner is dead: nobody knows the connections of that bucket.
        (owner,) = places(sim, count)[given]
        inherited.append((f"cluster_ip:{given}", owner, victim))
        assert sim.world.inherited == inherited
        # Nobody else's bucket has moved.
        assert all(places(sim, count)[n] == {node} for node, n in kept.items())
        sim.run_for(seconds(3))
        sim.power_on(victim)
        sim.run_until(lambda: spread(sim, count), at_most=seconds(3))
        sim.run_for(seconds(5))
        # One start for the failover, one stop and one start to give one bucket back.
        done = turn + 1
        assert (sim.world.starts, sim.world.stops) == (count + 2 * done, done)
        # Given back in good order: the owner before lives, and knows its connections.
        assert sim.world.inherited == inherited
    assert sim.doubles == []


@given(seed=st.integers(0, 2**32))
@settings(max_examples=5, deadline=None)
def test_who_lets_go_in_order_is_not_taken_for_dead_though_another_node_is(seed: int) -> None:
    sim = cluster(seed, THREE, 3)
    sim.run_until(lambda: spread(sim, 3), at_most=seconds(12))
    sim.crash("node-1")
    sim.run_for(seconds(3))
    assert len(sim.world.inherited) == 1
    # It stays down, and what it had ran last on a node that now gives up all that it has.
    ((bucket, owner, _lost),) = sim.world.inherited
    other = "node-2" if owner == "node-3" else "node-3"
    sim.ask(other, Standby(owner, True))
    sim.run_until(lambda: sim.world.on(bucket) == {other}, at_most=seconds(2))
    sim.run_for(seconds(3))
    assert places(sim, 3) == [{other}] * 3
    # Nor when nobody has it for a while.
    sim.ask(other, Standby(other, True))
    sim.run_until(lambda: places(sim, 3) == [set()] * 3, at_most=seconds(2))
    sim.run_for(seconds(3))
    sim.ask(other, Standby(owner, False))
    sim.run_until(lambda: places(sim, 3) == [{owner}] * 3, at_most=seconds(2))
    assert len(sim.world.inherited) == 1


def test_kept_buckets_stay_together_when_that_is_said() -> None:
    sim = cluster(1, TODAY.replace('stickiness" value="0"', 'stickiness" value="1"'), 2)
    sim.run_until(lambda: spread(sim, 2), at_most=seconds(12))
    sim.crash("node-1")
    sim.run_for(seconds(3))
    sim.power_on("node-1")
    sim.run_for(seconds(5))
    assert places(sim, 2) == [{"node-2"}, {"node-2"}]
