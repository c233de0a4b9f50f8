"""Nodes that come and go while the cluster runs, with the production machines."""

from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.simulation.test_cluster import agree, cluster, configuration, ha_cf, owner
from tests.simulation.test_fencing import FencedCluster
from tests.simulation.test_fencing import configuration as fenced

from standfest.model.errors import Ground
from standfest.model.quorum import Weight
from standfest.model.settings import Autojoin
from standfest.model.time import milliseconds, seconds
from standfest.runtime.cluster.protocol import AddNode, RemoveNode, Standby
from standfest.sim.cluster import SimCluster
from standfest.sim.network import Weather


def running(seed: int, *nodes: str, autojoin: bool = False) -> SimCluster:
    sim = cluster(seed, *nodes, policy="stop")
    if autojoin:
        for node in nodes:
            sim.crash(node)
            sim.nodes[node].settings = replace(sim.nodes[node].settings, autojoin=Autojoin.ANY)
            sim.power_on(node)
    sim.run_until(lambda: owner(sim) is not None and agree(sim, *nodes), at_most=seconds(15))
    sim.run_for(seconds(1))
    return sim


def answer(sim: SimCluster, node: str) -> tuple[bool, str]:
    sim.run_until(lambda: bool(sim.nodes[node].answers), at_most=seconds(5))
    found = sim.nodes[node].answers.pop()
    grounds = {"no quorum": Ground.NO_QUORUM, "open whet": Ground.NO_QUORUM}
    known = Ground.NO_SUCH if found.text.startswith("no node ") else Ground.NONE
    assert found.ground is grounds.get(found.text[:9], known)
    return found.accepted, found.text


def electorate(sim: SimCluster, node: str) -> tuple[str, ...]:
    member = sim.nodes[node].member
    assert member is not None
    assert member.partition.quorum.rules.nodes == member.partition.roster.nodes
    return member.partition.roster.nodes


def add_third(sim: SimCluster) -> None:
    sim.ask("a", AddNode("c"))
    assert answer(sim, "a") == (True, "c is a node now")
    sim.install("c", ha_cf("a", "b", "c"))
    sim.power_on("c")
    sim.run_until(lambda: agree(sim, "a", "b", "c"), at_most=seconds(5))


@given(seed=st.integers(0, 2**32))
@settings(max_examples=6, deadline=None)
def test_a_third_node_is_added_and_removed_again_and_nothing_stops(seed: int) -> None:
    sim = running(seed, "a", "b")
    first, starts = owner(sim), sim.world.starts
    add_third(sim)
    assert [electorate(sim, node) for node in "abc"] == [("a", "b", "c")] * 3
    # Two of three are a quorum now: any one may fail.
    sim.ask("a", RemoveNode("c"))
    assert answer(sim, "a") == (False, "c is active; stop it first")
    sim.depart("c")
    sim.run_until(lambda: sim.nodes["c"].left, at_most=seconds(10))
    sim.run_for(seconds(2))
    sim.ask("b", RemoveNode("c"))
    assert answer(sim, "b") == (True, "c is no node any more")
    sim.run_until(lambda: agree(sim, "a", "b"), at_most=seconds(5))
    for node in "ab":
        member = sim.nodes[node].member
        assert member is not None
        assert electorate(sim, node) == ("a", "b")
        assert member.partition.roster.removed == ("c",)
        assert [state.name for state in member.cib.status.nodes] == ["a", "b"]
        entries = member.cib.configuration.child("nodes")
        assert entries is not None
        assert [entry.get("uname") for entry in entries.children] == ["a", "b"]
    assert (owner(sim), sim.world.starts, sim.doubles) == (first, starts, [])


def test_a_removed_node_that_starts_again_runs_nothing_and_counts_nobody() -> None:
    sim = running(1, "a", "b", "c")
    sim.depart("c")
    sim.run_until(lambda: sim.nodes["c"].left, at_most=seconds(10))
    sim.run_for(seconds(2))
    sim.ask("a", RemoveNode("c"))
    assert answer(sim, "a")[0]
    starts = sim.world.starts
    sim.power_on("c")  # its ha.cf and its disk say that it is one of three
    sim.run_for(seconds(30))
    member = sim.nodes["c"].member
    assert member is not None
    assert sim.nodes["c"].heard == set()  # they say that it is none of theirs
    assert member.partition.quorum.rules.weigh({"c"}) is Weight.LESS
    assert not member.partition.quorate
    assert "c" not in sim.nodes["a"].heard | sim.nodes["b"].heard
    assert (sim.world.starts, sim.doubles) == (starts, [])
    sim.ask("b", AddNode("c"))
    assert answer(sim, "b")[0]
    sim.run_until(lambda: agree(sim, "a", "b", "c"), at_most=seconds(20))
    assert electorate(sim, "c") == ("a", "b", "c")


def test_a_new_node_is_not_fenced_for_being_new() -> None:
    sim = FencedCluster(1, fenced(), "a", "b")
    sim.run_until(lambda: agree(sim, "a", "b"), at_most=seconds(15))
    sim.run_for(seconds(2))
    sim.ask("a", AddNode("c"))
    assert answer(sim, "a") == (True, "c is a node now")
    sim.run_for(seconds(30))
    assert sim.fenced == []
    sim.install("c", replace(ha_cf("a", "b", "c"), deadtime=sim.DEADTIME))
    sim.power_on("c")
    sim.run_until(lambda: agree(sim, "a", "b", "c"), at_most=seconds(5))


def test_without_a_majority_before_and_after_nothing_is_changed() -> None:
    sim = running(2, "a", "b", "c")
    for node in "bc":
        sim.crash(node)
    sim.run_for(seconds(3))
    sim.ask("a", RemoveNode("b"))
    text = "no quorum: of 3 nodes, and of 2 then, only a would keep it"
    assert answer(sim, "a") == (False, text)
    assert electorate(sim, "a") == ("a", "b", "c")


def test_half_of_the_nodes_keep_no_change_while_the_other_half_is_only_heard() -> None:
    # Quorum is there, by what is heard; but the change would be on one of two disks.
    sim = running(6, "a", "b")
    sim.kill_cluster_daemon("b")
    sim.run_for(seconds(3))
    assert quorate(sim, "a")
    sim.ask("a", Standby("a", True))
    assert answer(sim, "a") == (False, "no quorum: of 2 nodes only a would keep it")
    sim.restart_cluster_daemon("b")
    sim.run_until(lambda: agree(sim, "a", "b"), at_most=seconds(5))
    sim.ask("a", Standby("a", True))
    assert answer(sim, "a") == (True, "a goes into standby")


def test_of_one_node_nobody_becomes_two_before_the_second_takes_part() -> None:
    # Of two votes one is no majority: whoever adds a node that is not there would stop itself.
    sim = running(3, "a")
    sim.ask("a", AddNode("b"))
    text = "no quorum: of 1 nodes, and of 2 then, only a would keep it"
    assert answer(sim, "a") == (False, text)


@given(seed=st.integers(0, 2**32))
@settings(max_examples=4, deadline=None)
def test_with_autojoin_unknown_nodes_join_get_a_vote_and_are_remembered(seed: int) -> None:
    sim = running(seed, "a", autojoin=True)
    for name in "bcd":
        sim.install(name, replace(ha_cf("a"), autojoin=Autojoin.ANY))
        sim.power_on(name)
    every = ("a", "b", "c", "d")
    sim.run_until(
        lambda: agree(sim, *every) and all(electorate(sim, n) == every for n in every),
        at_most=seconds(15),
    )
    assert sim.doubles == []
    for name in every:
        sim.crash(name)
    sim.power_on("b")
    sim.power_on("c")
    sim.run_for(seconds(15))
    # Two of four: they remember that they are four.
    assert electorate(sim, "b") == every
    member = sim.nodes["b"].member
    assert member is not None
    assert not member.partition.quorate
    sim.power_on("d")
    sim.run_until(lambda: owner(sim) is not None, at_most=seconds(15))


def test_a_node_alone_that_nobody_named_has_no_vote_and_starts_nothing() -> None:
    sim = SimCluster(4, ha_cf("a"), configuration("stop"))
    sim.install("b", replace(ha_cf("a"), autojoin=Autojoin.ANY))
    sim.power_on("b")
    sim.run_for(seconds(40))
    assert sim.world.starts == 0


@given(seed=st.integers(0, 2**32))
@example(seed=516)  # what tells a node that it is one again was lost
@settings(max_examples=15, deadline=None)
def test_changes_under_faults_never_let_two_partitions_act(seed: int) -> None:
    """Crashes, cuts and loss while nodes are added and removed; electorates differ by one vote."""
    weather = Weather(loss=0.05, max_delay=milliseconds(30))
    sim = cluster(seed, "a", "b", "c", policy="stop", weather=weather)
    sim.install("d", ha_cf("a", "b", "c", "d"))
    source = sim.source
    for _ in range(12):
        up = [n for n in sim.nodes if sim.nodes[n].member is not None and not sim.nodes[n].left]
        match source.randrange(6):
            case 0 if up:
                sim.crash(source.choice(up))
            case 1:
                for name in sim.nodes:
                    if not sim.nodes[name].up:
                        sim.power_on(name)
            case 2:
                split = [name for name in sim.nodes if source.random() < 0.5]
                sim.partition(split, [name for name in sim.nodes if name not in split])
            case 3:
                sim.heal()
            case 4 if up:
                sim.ask(source.choice(up), AddNode(source.choice(list(sim.nodes))))
            case 5 if up:
                sim.ask(source.choice(up), RemoveNode(source.choice(list(sim.nodes))))
            case _:
                pass  # nobody is there to be asked
        sim.run_for(milliseconds(source.randint(50, 4000)))
        judge(sim)
    sim.heal()
    for name in sim.nodes:
        if not sim.nodes[name].up:
            sim.power_on(name)
    sim.run_for(seconds(40))
    judge(sim)
    leaders = [n for n in sim.nodes if quorate(sim, n)]
    rosters = {electorate(sim, node) for node in leaders}
    assert len(rosters) == 1, rosters  # some partition acts, and all of it by one electorate
    assert agree(sim, *(n for n in next(iter(rosters))))


def quorate(sim: SimCluster, node: str) -> bool:
    member = sim.nodes[node].member
    return member is not None and member.partition.quorate


def judge(sim: SimCluster) -> None:
    """No two partitions without a node in common have quorum at once."""
    views = [sim.nodes[name].heard | {name} for name in sim.nodes if quorate(sim, name)]
    for one in views:
        assert all(one & other for other in views), views


@pytest.mark.parametrize("name", ["", "B", "b c", "x" * 65])
def test_a_name_that_no_machine_has_is_refused(name: str) -> None:
    sim = running(5, "a", "b")
    sim.ask("a", AddNode(name))
    accepted, text = answer(sim, "a")
    assert not accepted
    assert "is no name" in text
