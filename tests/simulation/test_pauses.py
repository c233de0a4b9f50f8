"""A node that stands still while time goes on: what it owned has another owner when it wakes."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.simulation.test_cluster import GROUP, MEMBERS, agree, cluster, ha_cf, owner

from standfest.config.cib import load
from standfest.model.time import Duration, milliseconds, seconds
from standfest.sim.cluster import SimCluster

ADDRESS = GROUP[GROUP.index('<primitive id="address"') : GROUP.index("</group>")]
ADDRESS_FIRST = GROUP.replace(ADDRESS, "").replace(
    '<group id="mail">', f'<group id="mail">{ADDRESS}'
)
"""The address is the first of the group: in order it would be stopped as the last."""


def stand_still(sim: SimCluster, name: str, duration: Duration, *, before: Duration = -1) -> None:
    """Neither daemon of the node turns for so long; what runs there runs on.

    before: how long before `pulse` the cluster daemon turns again, and notices it by itself.
    """
    node = sim.nodes[name]
    pulse, member, runner = node.pulse, node.member, node.runner
    node.pulse = node.member = node.runner = None
    sim._agenda.touch(node)
    sim.run_for(duration)
    node.member, node.runner = member, runner
    sim._agenda.touch(node)
    if before >= 0:
        assert member is not None
        sim._member(node, member.paused(sim.now, sim.wall, duration))
        sim.run_for(before)
    node.pulse = pulse
    sim._agenda.touch(node)
    assert pulse is not None
    sim._pulse(node, pulse.wake(sim.now))


def settled(sim: SimCluster) -> str:
    """Run until the group is served and everybody agrees; return its owner."""
    sim.run_until(lambda: owner(sim) is not None, at_most=seconds(15))
    sim.run_for(seconds(3))
    found = owner(sim)
    assert found is not None
    return found


@pytest.mark.parametrize("nodes", [("a", "b"), ("a", "b", "c")])
@given(seed=st.integers(0, 2**32), pause_ms=st.integers(2_000, 20_000))
@settings(max_examples=15, deadline=None)
def test_a_node_that_stood_still_releases_addresses_first_and_leaves_the_rest_to_its_heirs(
    nodes: tuple[str, ...], seed: int, pause_ms: int
) -> None:
    element = load([("cib.xml", ADDRESS_FIRST.format(policy="ignore"))]).configuration
    sim = SimCluster(seed, ha_cf(*nodes), element, links=("eth0", "eth1"))
    for node in nodes:
        sim.power_on(node)
    first = settled(sim)
    stand_still(sim, first, milliseconds(pause_ms))
    heir = next(name for name in sim.world.on("address") if name != first)
    # One stop of 2 to 80 ms, whatever else there is to stop.
    sim.run_until(lambda: sim.world.on("address") == {heir}, at_most=milliseconds(81))
    sim.run_until(lambda: owner(sim) == heir, at_most=seconds(1))
    sim.run_for(seconds(5))
    assert owner(sim) == heir
    assert agree(sim, *nodes)


@given(seed=st.integers(0, 2**32), pause_ms=st.integers(1, 800))
@settings(max_examples=15, deadline=None)
def test_a_short_pause_changes_nothing(seed: int, pause_ms: int) -> None:
    sim = cluster(seed, "a", "b")
    first = settled(sim)
    starts = sim.world.starts
    stand_still(sim, first, milliseconds(pause_ms))
    sim.run_for(seconds(5))
    assert owner(sim) == first
    assert sim.world.starts == starts
    assert sim.doubles == []


@given(seed=st.integers(0, 2**32))
@settings(max_examples=10, deadline=None)
def test_a_lone_node_that_stood_still_serves_again(seed: int) -> None:
    sim = cluster(seed, "a", "b")
    first = settled(sim)
    other = "b" if first == "a" else "a"
    sim.crash(other)
    sim.run_for(seconds(3))
    stand_still(sim, first, seconds(2))
    # All is stopped, nobody is heard for as long as the pause took, then it starts.
    assert settled(sim) == first
    assert {frozenset(sim.world.on(name)) for name in MEMBERS} == {frozenset({first})}


@given(seed=st.integers(0, 2**32), before_ms=st.integers(0, 60))
@settings(max_examples=15, deadline=None)
def test_a_pause_that_both_daemons_noticed_is_given_up_for_once(seed: int, before_ms: int) -> None:
    sim = cluster(seed, "a", "b")
    first = settled(sim)
    stand_still(sim, first, seconds(4), before=milliseconds(before_ms))
    heir = "b" if first == "a" else "a"
    # Four stops of at most 80 ms and the messages between them; initdead would be 10 s.
    sim.run_until(lambda: owner(sim) == heir, at_most=seconds(1))
    sim.run_for(seconds(8))
    assert owner(sim) == heir
    assert agree(sim, "a", "b")
