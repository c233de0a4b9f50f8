"""A simulated cluster: the production machines under loss, crashes, cuts and restarts."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from standfest.config.cib import load
from standfest.model.element import Element
from standfest.model.settings import HeartbeatSettings
from standfest.model.time import Instant, milliseconds, seconds
from standfest.runtime.cluster.effects import MemberEffect, Note, Send
from standfest.runtime.cluster.protocol import Cleanup, Clear, Join, Move, Standby
from standfest.runtime.cluster.stored import from_bytes
from standfest.sim.cluster import SimCluster
from standfest.sim.network import Weather
from standfest.sim.node import SimNode
from standfest.sim.observer import Observer

GROUP = """<configuration><crm_config><cluster_property_set id="o">
<nvpair id="o1" name="stonith-enabled" value="false"/>
<nvpair id="o2" name="no-quorum-policy" value="{policy}"/></cluster_property_set></crm_config>
<resources><group id="mail">
<primitive id="files" class="ocf" provider="x" type="Dummy"/>
<primitive id="smtp" class="ocf" provider="x" type="Dummy">
<operations><op id="m" name="monitor" interval="5s"/></operations></primitive>
<primitive id="address" class="ocf" provider="x" type="IPaddr"><instance_attributes id="i">
<nvpair id="i1" name="nic" value="eth0"/></instance_attributes></primitive>
</group></resources></configuration>"""
MEMBERS = ("files", "smtp", "address")


def configuration(policy: str = "ignore") -> Element:
    return load([("cib.xml", GROUP.format(policy=policy))]).configuration


def ha_cf(*nodes: str) -> HeartbeatSettings:
    return HeartbeatSettings(
        nodes=nodes,
        media=(),
        keepalive=milliseconds(100),
        deadtime=seconds(1),
        warntime=milliseconds(500),
        initdead=seconds(10),
    )


def cluster(
    seed: int, *nodes: str, policy: str = "ignore", weather: Weather | None = None
) -> SimCluster:
    sim = SimCluster(
        seed, ha_cf(*nodes), configuration(policy), links=("eth0", "eth1"), weather=weather
    )
    for node in nodes:
        sim.power_on(node)
    return sim


def owner(sim: SimCluster) -> str | None:
    """The one node where all members of the group run, or None."""
    places = [sim.world.on(name) for name in MEMBERS]
    return next(iter(places[0])) if len(places[0]) == 1 and places.count(places[0]) == 3 else None


def agree(sim: SimCluster, *nodes: str) -> bool:
    """All these nodes follow the same coordinator and have the same CIB."""
    members = [sim.nodes[name].member for name in nodes]
    if any(member is None or not member.synchronised for member in members):
        return False
    return len({(m.leader, m.cib.version) for m in members if m is not None}) == 1


@given(seed=st.integers(0, 2**32))
@settings(max_examples=15, deadline=None)
def test_two_nodes_started_at_once_serve_without_a_fixed_wait(seed: int) -> None:
    sim = cluster(seed, "a", "b")
    # Heard within 3 ms; a hello, a join, three probes and starts of at most 80 ms each: under 1 s.
    sim.run_until(lambda: owner(sim) is not None, at_most=seconds(1))
    sim.run_for(seconds(5))
    assert agree(sim, "a", "b")
    assert sim.world.starts == 3
    assert sim.doubles == []


@given(seed=st.integers(0, 2**32))
@settings(max_examples=15, deadline=None)
def test_a_lone_node_waits_initdead_for_the_others(seed: int) -> None:
    sim = SimCluster(seed, ha_cf("a", "b"), configuration())
    sim.power_on("a")
    sim.run_for(milliseconds(9_999))
    assert owner(sim) is None
    sim.run_until(lambda: owner(sim) == "a", at_most=seconds(1))


@pytest.mark.parametrize("nodes", [("a", "b"), ("a", "b", "c")])
@given(seed=st.integers(0, 2**32))
@settings(max_examples=15, deadline=None)
def test_the_group_outlives_its_node_and_the_node_comes_back(
    nodes: tuple[str, ...], seed: int
) -> None:
    sim = cluster(seed, *nodes)
    sim.run_until(lambda: owner(sim) is not None, at_most=seconds(2))
    sim.run_for(seconds(3))
    first = owner(sim)
    assert first is not None
    sim.crash(first)
    took = sim.run_until(lambda: owner(sim) not in (None, first), at_most=seconds(2))
    # The last heartbeat was sent up to 100 ms before and came up to 3 ms later; deadtime 1 s; with
    # three nodes two say hello and join first; three starts of 2 to 80 ms each.
    assert milliseconds(900) <= took <= milliseconds(1_003 + 3 * 80 + 30)
    second = owner(sim)
    sim.run_for(seconds(3))
    sim.power_on(first)
    sim.run_for(seconds(5))
    assert owner(sim) == second
    assert agree(sim, *nodes)
    sim.crash(str(second))
    sim.run_until(lambda: owner(sim) not in (None, second), at_most=seconds(2))
    assert sim.doubles == []


@given(seed=st.integers(0, 2**32))
@settings(max_examples=15, deadline=None)
def test_a_lossy_network_changes_nothing(seed: int) -> None:
    weather = Weather(loss=0.1, duplication=0.1, max_delay=milliseconds(20))
    sim = cluster(seed, "a", "b", "c", weather=weather)
    sim.run_until(lambda: owner(sim) is not None, at_most=seconds(5))
    first = owner(sim)
    sim.run_for(seconds(20))
    assert owner(sim) == first
    assert sim.world.starts == 3
    sim.run_until(lambda: agree(sim, "a", "b", "c"), at_most=seconds(5))


@given(seed=st.integers(0, 2**32))
@settings(max_examples=15, deadline=None)
def test_a_cut_service_link_moves_the_group_without_anybody_dying(seed: int) -> None:
    sim = cluster(seed, "a", "b")
    sim.run_until(lambda: owner(sim) is not None, at_most=seconds(2))
    sim.run_for(seconds(2))
    first = owner(sim)
    assert first is not None
    sim.unplug(first, "eth0")
    # No waiting: the carrier goes, three stops and three starts of at most 80 ms each.
    sim.run_until(lambda: owner(sim) not in (None, first), at_most=milliseconds(6 * 80 + 50))
    assert all(len(node.heard) == 1 for node in sim.nodes.values())
    assert sim.doubles == []
    second = owner(sim)
    sim.plug(first, "eth0")
    sim.run_for(seconds(5))
    assert owner(sim) == second  # no ping-pong


@given(seed=st.integers(0, 2**32))
@settings(max_examples=15, deadline=None)
def test_a_node_without_any_link_lets_go_before_the_other_starts(seed: int) -> None:
    sim = cluster(seed, "a", "b")
    sim.run_until(lambda: owner(sim) is not None, at_most=seconds(2))
    sim.run_for(seconds(2))
    first = owner(sim)
    assert first is not None
    sim.unplug(first, "eth0")
    sim.unplug(first, "eth1")
    sim.run_until(lambda: owner(sim) not in (None, first), at_most=seconds(2))
    assert sim.doubles == []
    sim.plug(first, "eth0")
    sim.plug(first, "eth1")
    sim.run_for(seconds(8))
    assert owner(sim) is not None
    assert agree(sim, "a", "b")
    assert sim.doubles == []


@given(seed=st.integers(0, 2**32))
@settings(max_examples=15, deadline=None)
def test_a_minority_stops_and_the_majority_goes_on(seed: int) -> None:
    sim = cluster(seed, "a", "b", "c", policy="stop")
    sim.run_until(lambda: owner(sim) is not None, at_most=seconds(2))
    sim.run_for(seconds(2))
    first = owner(sim)
    assert first is not None
    rest = [name for name in sim.nodes if name != first]
    sim.partition([first], rest)
    sim.run_for(seconds(4))
    assert owner(sim) in rest
    sim.heal()
    sim.run_for(seconds(8))
    assert agree(sim, "a", "b", "c")
    assert owner(sim) is not None


@given(seed=st.integers(0, 2**32), victim=st.sampled_from(["a", "b"]))
@settings(max_examples=15, deadline=None)
def test_a_killed_cluster_daemon_touches_no_healthy_service(seed: int, victim: str) -> None:
    sim = cluster(seed, "a", "b")
    sim.run_until(lambda: owner(sim) is not None, at_most=seconds(2))
    sim.run_for(seconds(2))
    first = owner(sim)
    sim.kill_cluster_daemon(victim)
    sim.run_for(milliseconds(300))
    sim.restart_cluster_daemon(victim)
    sim.run_for(seconds(6))
    assert owner(sim) == first
    assert sim.world.starts == 3
    assert agree(sim, "a", "b")


@given(seed=st.integers(0, 2**32), victim=st.sampled_from(["a", "b"]))
@settings(max_examples=15, deadline=None)
def test_a_restarted_pulse_touches_no_healthy_service(seed: int, victim: str) -> None:
    sim = cluster(seed, "a", "b")
    sim.run_until(lambda: owner(sim) is not None, at_most=seconds(2))
    sim.run_for(seconds(2))
    first = owner(sim)
    sim.restart_pulse(victim)
    sim.run_for(seconds(6))
    assert owner(sim) == first
    assert sim.world.starts == 3
    assert agree(sim, "a", "b")
    assert all(node.heard for node in sim.nodes.values())


@given(seed=st.integers(0, 2**32), victim=st.sampled_from(["a", "b"]))
@settings(max_examples=15, deadline=None)
def test_daemons_killed_together_and_back_before_anybody_missed_them_take_part_again(
    seed: int, victim: str
) -> None:
    sim = cluster(seed, "a", "b")
    sim.run_until(lambda: owner(sim) is not None, at_most=seconds(2))
    sim.run_for(seconds(2))
    first = owner(sim)
    sim.restart_daemons(victim)
    sim.run_for(seconds(6))
    assert owner(sim) == first
    assert sim.world.starts == 3
    assert agree(sim, "a", "b")
    assert sim.nodes["a"].member is not None
    online = [state.online for state in sim.nodes["a"].member.cib.status.nodes]
    assert online == [True, True]


@given(seed=st.integers(0, 2**32))
@settings(max_examples=15, deadline=None)
def test_an_orderly_stop_hands_over_without_waiting(seed: int) -> None:
    sim = cluster(seed, "a", "b")
    sim.run_until(lambda: owner(sim) is not None, at_most=seconds(2))
    sim.run_for(seconds(2))
    first = owner(sim)
    assert first is not None
    sim.depart(first)
    sim.run_until(lambda: owner(sim) not in (None, first), at_most=milliseconds(6 * 80 + 50))
    sim.run_until(lambda: sim.nodes[first].left, at_most=seconds(1))
    other = sim.nodes["b" if first == "a" else "a"]
    sim.run_for(milliseconds(50))
    assert other.heard == set()
    assert sim.doubles == []


@given(seed=st.integers(0, 2**32), asked=st.sampled_from(["a", "b"]))
@settings(max_examples=15, deadline=None)
def test_standby_and_move_are_answered_when_every_node_has_them(seed: int, asked: str) -> None:
    sim = cluster(seed, "a", "b")
    sim.run_until(lambda: owner(sim) is not None, at_most=seconds(2))
    sim.run_for(seconds(2))
    first = str(owner(sim))
    other = "b" if first == "a" else "a"
    sim.ask(asked, Standby(first, True))
    sim.run_until(lambda: bool(sim.nodes[asked].answers), at_most=seconds(1))
    assert [answer.accepted for answer in sim.nodes[asked].answers] == [True]
    kept = [from_bytes(node.disk.load() or b"").cib for node in sim.nodes.values()]
    assert {cib.version.epoch for cib in kept} == {1}
    sim.run_until(lambda: owner(sim) == other, at_most=seconds(2))
    sim.ask(asked, Standby(first, False))
    sim.run_for(seconds(2))
    assert owner(sim) == other
    sim.ask(asked, Move("smtp", first))
    sim.run_until(lambda: owner(sim) == first, at_most=seconds(2))
    sim.ask(asked, Clear("mail"))
    sim.run_for(seconds(2))
    assert owner(sim) == first
    sim.ask(asked, Move("nothing", first))
    sim.run_for(seconds(1))
    last = sim.nodes[asked].answers[-1]
    assert (last.accepted, last.text) == (False, "no resource nothing; expected one of: mail")
    assert sim.doubles == []


@given(seed=st.integers(0, 2**32))
@settings(max_examples=15, deadline=None)
def test_a_failing_start_moves_the_group_and_cleanup_forgets_it(seed: int) -> None:
    sim = cluster(seed, "a", "b")
    sim.world.broken.add(("a", "smtp"))
    sim.run_until(lambda: owner(sim) == "b", at_most=seconds(3))
    sim.run_for(seconds(5))
    sim.world.broken.clear()
    sim.crash("b")
    sim.run_for(seconds(5))
    assert owner(sim) is None  # a is forbidden: its start failed
    sim.ask("a", Cleanup("smtp", ""))
    sim.run_until(lambda: owner(sim) == "a", at_most=seconds(3))
    assert sim.doubles == []


@given(seed=st.integers(0, 2**32))
@settings(max_examples=15, deadline=None)
def test_a_dead_process_is_found_by_its_monitor_and_restarted_in_place(seed: int) -> None:
    sim = cluster(seed, "a", "b")
    sim.run_until(lambda: owner(sim) is not None, at_most=seconds(2))
    sim.run_for(seconds(3))
    first = str(owner(sim))
    sim.world.kill("smtp", first)
    # Interval 5 s, then: monitor, stops of two, starts of two, each at most 80 ms.
    sim.run_until(lambda: owner(sim) == first, at_most=milliseconds(5_000 + 6 * 80))
    sim.run_for(seconds(3))
    sim.world.kill("smtp", first)  # watched again after the repair
    sim.run_until(lambda: owner(sim) == first, at_most=milliseconds(5_000 + 6 * 80))
    assert sim.doubles == []


def test_the_same_seed_gives_the_same_run() -> None:
    def history(seed: int) -> list[object]:
        sim = cluster(seed, "a", "b", "c", weather=Weather(loss=0.2))
        sim.run_for(seconds(5))
        sim.crash("a")
        sim.run_for(seconds(5))
        return [(name, node.notes) for name, node in sim.nodes.items()]

    assert history(7) == history(7)
    assert history(7) != history(8)


def test_nodes_that_never_meet_are_active_to_nobody() -> None:
    sim = cluster(1, "a", "b")
    sim.partition(["a"], ["b"])
    sim.run_for(seconds(5))
    assert all(not node.heard for node in sim.nodes.values())


@given(seed=st.integers(0, 2**32))
@settings(max_examples=5, deadline=None)
def test_a_cable_that_is_out_for_less_than_deadtime_costs_nobody_its_place(seed: int) -> None:
    # The coordinator gives up the others at once; they never miss it, and take themselves for
    # joined. Deadtime is 1 s.
    sim = SimCluster(seed, ha_cf("a", "b", "c"), configuration("stop"), links=("eth0",))
    for node in ("a", "b", "c"):
        sim.power_on(node)
    sim.run_until(lambda: owner(sim) is not None, at_most=seconds(2))
    sim.run_for(seconds(3))
    member = sim.nodes["a"].member
    assert member is not None
    leader = member.leader
    sim.unplug(leader, "eth0")
    sim.run_until(lambda: owner(sim) is None, at_most=seconds(1))
    sim.plug(leader, "eth0")
    sim.run_until(lambda: owner(sim) is not None, at_most=seconds(10))
    sim.run_for(seconds(1))  # what is on its way arrives
    assert agree(sim, "a", "b", "c")


def test_a_daemon_that_leads_twice_uses_no_transition_number_twice() -> None:
    # They are in the keys of operations: an executor reports what it did under a key, and does
    # not do it again.
    sim = cluster(1, "a", "b")
    sim.run_until(lambda: owner(sim) is not None, at_most=seconds(2))
    sim.run_for(seconds(2))
    for _ in range(3):
        sim.partition(["a"], ["b"])
        sim.run_for(seconds(3))
        sim.heal()
        sim.run_for(seconds(3))
    led, numbers = 0, []
    for _, event in max((node.notes for node in sim.nodes.values()), key=_terms):
        led += event.event == "coordinator"
        if event.event == "transition-started":
            numbers.append(int(dict(event.fields)["number"]))
    assert led >= 2
    assert numbers == sorted(set(numbers))


def _terms(notes: list[tuple[Instant, Note]]) -> int:
    return sum(event.event == "coordinator" for _, event in notes)


class Joins(Observer):
    """Counts who puts itself under a coordinator."""

    def __init__(self) -> None:
        self.by: list[str] = []

    def wanted(self, now: Instant, node: SimNode, effect: MemberEffect) -> None:
        if isinstance(effect, Send) and isinstance(effect.message, Join):
            self.by.append(node.name)


def test_a_daemon_that_restarts_joins_once() -> None:
    # A second Join would say that nothing is known of what the first one had probed meanwhile.
    sim = cluster(1, "a", "b", "c")
    sim.run_until(lambda: owner(sim) is not None, at_most=seconds(2))
    sim.run_for(seconds(2))
    leader = next(n for n, node in sim.nodes.items() if node.member and node.member.coordinator)
    follower = min(set(sim.nodes) - {leader})
    sim.kill_cluster_daemon(follower)
    sim.run_for(milliseconds(50))
    sim.observer = joins = Joins()
    sim.restart_cluster_daemon(follower)
    sim.run_for(seconds(4))
    assert joins.by == [follower]
    assert agree(sim, "a", "b", "c")
