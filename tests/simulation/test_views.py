"""Links that work one way only, bridges and flapping, with the production machines.

Each: one owner at most after the view is agreed, services run where the votes are, and all is as
before when the link is whole again, without anybody's help. Keepalive 100 ms, deadtime 1 s.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.simulation.test_cluster import agree, cluster, owner
from tests.simulation.test_fencing import FencedCluster
from tests.simulation.test_fencing import configuration as fenced
from tests.simulation.test_fencing import serving as serving_fenced

from standfest.model.time import milliseconds, seconds
from standfest.sim.cluster import SimCluster

# A deadtime until the silence is noticed, one until the statements count, a keepalive and what is
# on the way; then an election, joins, three stops and three starts of at most 80 ms each.
AGREED = milliseconds(1_000 + 1_000 + 100 + 100)
SERVING = AGREED + milliseconds(6 * 80) + seconds(4)


def serving(seed: int, *nodes: str) -> tuple[SimCluster, str]:
    sim = cluster(seed, *nodes, policy="stop")
    sim.run_until(lambda: owner(sim) is not None and agree(sim, *nodes), at_most=seconds(3))
    sim.run_for(seconds(3))
    return sim, str(owner(sim))


def cut(sim: SimCluster, *ways: tuple[str, str]) -> None:
    """Let nothing pass from the first to the second of each."""
    sim.network.cut |= set(ways)


def members(sim: SimCluster, node: str) -> str:
    member = sim.nodes[node].member
    assert member is not None
    return "".join(member.view()["members"])


def heals(sim: SimCluster, *nodes: str) -> None:
    sim.heal()
    whole = "".join(nodes)
    sim.run_until(
        lambda: (
            agree(sim, *nodes)
            and all(members(sim, node) == whole for node in nodes)
            and owner(sim) is not None
        ),
        at_most=seconds(20),
    )
    sim.run_for(seconds(5))
    assert agree(sim, *nodes)
    assert owner(sim) is not None


@pytest.mark.parametrize("node", ["a", "b", "c"])
@given(seed=st.integers(0, 2**32))
@settings(max_examples=4, deadline=None)
def test_a_mute_node_of_three_is_out_and_stops(node: str, seed: int) -> None:
    sim, _ = serving(seed, "a", "b", "c")
    rest = "abc".replace(node, "")
    cut(sim, *((node, other) for other in rest))
    sim.run_for(AGREED)
    assert [members(sim, other) for other in rest] == [rest, rest]
    assert members(sim, node) == node
    sim.run_for(SERVING - AGREED)
    assert owner(sim) in set(rest)
    heals(sim, "a", "b", "c")


@pytest.mark.parametrize("node", ["a", "b", "c"])
@given(seed=st.integers(0, 2**32))
@settings(max_examples=4, deadline=None)
def test_a_deaf_node_of_three_is_out_and_stops(node: str, seed: int) -> None:
    sim, _ = serving(seed, "a", "b", "c")
    rest = "abc".replace(node, "")
    cut(sim, *((other, node) for other in rest))
    sim.run_for(AGREED)
    assert [members(sim, other) for other in rest] == [rest, rest]
    assert members(sim, node) == node
    sim.run_for(SERVING - AGREED)
    assert owner(sim) in set(rest)
    heals(sim, "a", "b", "c")


@pytest.mark.parametrize("middle", ["a", "b", "c"])
@given(seed=st.integers(0, 2**32))
@settings(max_examples=4, deadline=None)
def test_of_a_bridge_of_three_one_end_is_out(middle: str, seed: int) -> None:
    sim, _ = serving(seed, "a", "b", "c")
    one, other = [node for node in "abc" if node != middle]
    cut(sim, (one, other), (other, one))
    sim.run_for(AGREED)
    views = {node: members(sim, node) for node in "abc"}
    together = views[middle]
    assert together in {"".join(sorted((middle, one))), "".join(sorted((middle, other)))}
    assert all(views[node] == (together if node in together else node) for node in "abc")
    sim.run_for(SERVING - AGREED)
    assert owner(sim) in set(together)
    heals(sim, "a", "b", "c")


@given(seed=st.integers(0, 2**32), deaf=st.sampled_from("abcde"), mute=st.sampled_from("abcde"))
@settings(max_examples=8, deadline=None)
def test_of_five_one_that_does_not_hear_another_costs_one(seed: int, deaf: str, mute: str) -> None:
    if deaf == mute:
        return
    sim, _ = serving(seed, *"abcde")
    cut(sim, (mute, deaf))
    sim.run_for(AGREED)
    views = {node: members(sim, node) for node in "abcde"}
    together = views[next(node for node in "abcde" if node not in (deaf, mute))]
    assert together in {"abcde".replace(deaf, ""), "abcde".replace(mute, "")}
    assert all(views[node] == (together if node in together else node) for node in "abcde")
    sim.run_for(SERVING - AGREED)
    assert owner(sim) in set(together)
    heals(sim, *"abcde")


@given(seed=st.integers(0, 2**32), mute=st.booleans())
@settings(max_examples=6, deadline=None)
def test_a_link_that_flaps_faster_than_deadtime_changes_nothing(seed: int, mute: bool) -> None:
    sim, first = serving(seed, "a", "b", "c")
    starts = sim.world.starts
    for _ in range(10):
        cut(sim, ("a", "b") if mute else ("b", "a"))
        sim.run_for(milliseconds(1_500))  # it is missed after 1 s, and would be out after 2 s
        sim.heal()
        sim.run_for(milliseconds(400))
    assert [members(sim, node) for node in "abc"] == ["abc"] * 3
    assert (owner(sim), sim.world.starts) == (first, starts)
    assert agree(sim, "a", "b", "c")


@pytest.mark.parametrize("seed", [2, 3])
def test_who_is_not_heard_does_not_vote_while_it_is_undecided_whether_it_is_lost(seed: int) -> None:
    # A ring of seven: each hears two, and is told of two more by those.
    nodes = "abcdefg"
    sim, _ = serving(seed, *nodes)
    near = {(one, nodes[i - 1]) for i, one in enumerate(nodes)}
    near |= {(other, one) for one, other in near}
    cut(sim, *((one, other) for one in nodes for other in nodes if (one, other) not in near))
    # A keepalive before, a deadtime, and what is on the way; the view is the same for one more.
    sim.run_for(milliseconds(100 + 1_000 + 100))
    assert [len(members(sim, node)) for node in nodes] == [1 + 2 + 2] * 7
    for node in nodes:
        member = sim.nodes[node].member
        assert member is not None
        assert not member.partition.quorate
    heals(sim, *nodes)


@pytest.mark.parametrize("seed", [2, 3, 4])
def test_a_node_that_misses_both_others_at_once_fences_nobody(seed: int) -> None:
    # Of the second that is missed nothing is known but what it said of the first: both go in the
    # same instant, and no vote of either may count when that is acted on.
    sim = FencedCluster(seed, fenced("stop"), "a", "b", "c")
    owner_, _ = serving_fenced(sim)
    at = sim.now
    sim.partition([owner_], [name for name in sim.nodes if name != owner_])
    sim.go(2000)
    events = [event.event for when, event in sim.nodes[owner_].notes if when > at]
    assert "quorum-lost" in events
    assert "fencing-needed" not in events
