"""Fencing in the simulated cluster: nothing is recovered before a power switch has said yes."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from standfest.config.cib import load
from standfest.model.element import Element
from standfest.model.errors import Ground
from standfest.model.fencing import FencingState
from standfest.model.settings import HeartbeatSettings
from standfest.model.time import Duration, Instant, milliseconds, seconds
from standfest.runtime.cluster.protocol import FenceConfirm, FenceForget, FenceNode
from standfest.runtime.recording.codec import Writer, read
from standfest.sim.cluster import SimCluster

CIB = """<configuration><crm_config><cluster_property_set id="o">
<nvpair id="o1" name="stonith-enabled" value="true"/>
<nvpair id="o3" name="cluster-recheck-interval" value="0"/>
<nvpair id="o2" name="no-quorum-policy" value="{policy}"/>{options}
</cluster_property_set></crm_config>
<resources><primitive id="web" class="ocf" provider="x" type="Dummy">
<operations><op id="m" name="monitor" interval="5s"/></operations></primitive>{devices}
</resources></configuration>"""
DEVICE = """<primitive id="power" class="stonith" type="fence_test"><instance_attributes id="pi">
<nvpair id="p1" name="pcmk_host_list" value="a b c d e"/>{more}</instance_attributes></primitive>"""


def configuration(policy: str = "ignore", options: str = "", more: str = "") -> Element:
    devices = DEVICE.format(more=more)
    text = CIB.format(policy=policy, options=options, devices=devices)
    return load([("cib.xml", text)]).configuration


class FencedCluster(SimCluster):
    """A cluster whose fence agents all reach one switch."""

    DEADTIME = seconds(1)

    def __init__(self, seed: int, element: Element, *nodes: str, off: str = "") -> None:
        ha_cf = HeartbeatSettings(
            nodes=nodes,
            media=(),
            keepalive=milliseconds(100),
            deadtime=self.DEADTIME,
            warntime=milliseconds(500),
            initdead=seconds(10),
        )
        super().__init__(seed, ha_cf, element)
        for node in nodes:
            if node != off:
                self.power_on(node)

    @property
    def fenced(self) -> list[tuple[Instant, str]]:
        """When whom the switch cut off."""
        return self.switch.done

    def go(self, milliseconds_: int) -> None:
        """Let time pass."""
        self.run_for(milliseconds(milliseconds_))

    def until(self, state: str, limit_s: int) -> Duration:
        """Run until the service is on this node alone."""
        return self.run_until(lambda: self.world.on("web") == {state}, seconds(limit_s))

    def said(self, name: str, event: str) -> list[dict[str, str]]:
        notes = self.nodes[name].notes
        return [dict(n.fields) for _, n in notes if n.event == event]


def serving(sim: FencedCluster) -> tuple[str, str]:
    """Run until the service is somewhere; return where, and the lowest other node."""
    for _ in range(200):
        sim.go(100)
        if sim.world.on("web"):
            break
    sim.go(3000)
    [owner] = sim.world.on("web")
    return owner, min(name for name in sim.nodes if name != owner)


@given(seed=st.integers(0, 2**32))
@settings(max_examples=8, deadline=None)
def test_a_silent_node_is_fenced_before_its_service_starts_elsewhere(seed: int) -> None:
    sim = FencedCluster(seed, configuration("stop"), "a", "b", "c")
    owner, _ = serving(sim)
    others = [name for name in sim.nodes if name != owner]
    sim.switch.takes = seconds(5)
    sim.partition([owner], others)  # it goes on, cut off, until its power goes
    sim.go(4000)
    # Its side has no quorum and stops it; whether it could, nobody else knows.
    assert sim.world.on("web") == set()
    assert sim.fenced == []
    [(called, by, call)] = sim.switch.calls
    assert by in others
    assert (call.target, call.action, call.device) == (owner, "reboot", "power")
    sim.go(8000)
    [(at, target)] = sim.fenced
    assert target == owner
    assert at - called >= seconds(5)
    assert sim.world.on("web") <= set(others)
    assert len(sim.world.on("web")) == 1
    assert sim.doubles == []
    state = sim.nodes[others[0]].member.cib.status.node(owner)  # type: ignore[union-attr]
    assert state is not None
    assert (state.in_membership, state.online, state.expected) == (False, False, False)
    assert (state.join.value, state.history, state.attributes) == ("down", (), ())
    sim.heal()
    sim.power_on(owner)
    sim.go(8000)
    assert len(sim.switch.calls) == 1
    assert all(node.member is not None and node.member.synchronised for node in sim.nodes.values())
    state = sim.nodes[others[0]].member.cib.status.node(owner)  # type: ignore[union-attr]
    assert state is not None
    assert (state.online, state.expected) == (True, True)


@given(seed=st.integers(0, 2**32))
@settings(max_examples=8, deadline=None)
def test_fencing_that_fails_is_repeated_after_a_pause_and_nothing_starts_before(seed: int) -> None:
    sim = FencedCluster(seed, configuration(), "a", "b")
    owner, other = serving(sim)
    sim.switch.failures = 4  # two attempts of two tries each
    sim.crash(owner)
    # Deadtime 1 s, attempt 0.6 s, pause 2 s, attempt 0.6 s, pause 4 s, attempt 0.3 s: 8.5 s.
    took = sim.until(other, 12)
    assert seconds(7) <= took <= seconds(10)
    assert len(sim.switch.calls) == 5
    assert [f["attempts"] for f in sim.said(other, "fencing-failed")] == ["1", "2"]
    [record] = sim.nodes[other].member.fenced  # type: ignore[union-attr, misc]
    assert (record.state, record.attempts, record.executor) == (FencingState.DONE, 2, other)


def test_after_the_last_attempt_nothing_spins_and_news_begins_it_anew() -> None:
    most = '<nvpair id="o4" name="stonith-max-attempts" value="2"/>'
    sim = FencedCluster(1, configuration("stop", most), "a", "b", "c")
    owner, _ = serving(sim)
    first, second = [name for name in sim.nodes if name != owner]
    sim.switch.failures = 1000
    sim.crash(owner)
    sim.go(60_000)
    assert len(sim.switch.calls) == 4
    leader = next(n.name for n in sim.nodes.values() if n.member and n.member.coordinator)
    started = len(sim.said(leader, "transition-started"))
    assert started < 12
    sim.go(60_000)
    assert len(sim.switch.calls) == 4
    assert len(sim.said(leader, "transition-started")) == started
    sim.switch.failures = 0
    other = second if leader == first else first
    sim.kill_cluster_daemon(other)
    sim.restart_cluster_daemon(other)
    sim.go(5000)
    assert [target for _, target in sim.fenced] == [owner]
    assert len(sim.world.on("web")) == 1


def test_a_node_that_comes_back_while_it_is_being_fenced_is_fenced_all_the_same() -> None:
    sim = FencedCluster(2, configuration("stop"), "a", "b", "c")
    owner, _ = serving(sim)
    others = [name for name in sim.nodes if name != owner]
    sim.switch.takes = seconds(4)
    sim.partition([owner], others)
    sim.go(2000)
    assert len(sim.switch.calls) == 1
    sim.heal()
    sim.go(6000)
    assert [target for _, target in sim.fenced] == [owner]
    assert len(sim.switch.calls) == 1
    sim.go(4000)
    assert len(sim.world.on("web")) == 1
    assert sim.doubles == []


def test_a_fence_device_that_lies_gets_its_victim_back_as_a_member() -> None:
    sim = FencedCluster(3, configuration("stop"), "a", "b", "c")
    serving(sim)
    leader = next(n.name for n in sim.nodes.values() if n.member and n.member.coordinator)
    victim = next(name for name in sim.nodes if name != leader)
    sim.switch.lies = True
    sim.ask(leader, FenceNode(victim, "reboot"))
    sim.go(25_000)
    assert sim.said(leader, "fenced-and-heard") != []
    state = sim.nodes[leader].member.cib.status.node(victim)  # type: ignore[union-attr]
    assert state is not None
    assert state.online
    assert len(sim.world.on("web")) == 1


def test_a_new_coordinator_repeats_fencing_whose_outcome_it_does_not_know() -> None:
    sim = FencedCluster(4, configuration("stop"), "a", "b", "c", "d", "e")
    serving(sim)
    leader = next(n.name for n in sim.nodes.values() if n.member and n.member.coordinator)
    victim = next(name for name in "edcba" if name != leader)
    sim.switch.takes = seconds(30)
    sim.crash(victim)
    sim.go(3000)
    assert len(sim.switch.calls) == 1
    sim.switch.takes = milliseconds(100)
    sim.crash(leader)
    sim.go(10_000)
    assert {target for _, target in sim.fenced} == {victim, leader}
    assert len(sim.world.on("web")) == 1


def test_a_partition_without_quorum_fences_nobody() -> None:
    sim = FencedCluster(5, configuration("stop"), "a", "b", "c")
    serving(sim)
    sim.partition(["a"], ["b", "c"])
    sim.go(6000)
    assert {target for _, target in sim.fenced} == {"a"}


def test_a_killed_cluster_daemon_is_not_fenced_if_it_comes_back_soon() -> None:
    sim = FencedCluster(6, configuration("stop"), "a", "b", "c")
    owner, _ = serving(sim)
    stops = sim.world.stops
    sim.kill_cluster_daemon(owner)
    sim.go(5000)
    sim.restart_cluster_daemon(owner)
    sim.go(20_000)
    assert sim.switch.calls == []
    assert (sim.world.on("web"), sim.world.stops) == ({owner}, stops)
    sim.kill_cluster_daemon(owner)
    sim.go(16_000)  # patience is 10 s
    assert [target for _, target in sim.fenced] == [owner]
    assert len(sim.world.on("web")) == 1


@pytest.mark.parametrize("confirmed", [True, False])
def test_an_administrators_word_counts_as_fencing(confirmed: bool) -> None:
    sim = FencedCluster(7, configuration(), "a", "b")
    owner, other = serving(sim)
    sim.switch.failures = 1000
    sim.crash(owner)
    sim.go(6000)
    assert sim.world.on("web") == set()
    if confirmed:
        sim.ask(other, FenceConfirm(owner))
    sim.go(2000)
    assert sim.world.on("web") == ({other} if confirmed else set())
    [record] = sim.nodes[other].member.fenced  # type: ignore[union-attr, misc]
    expected = FencingState.CONFIRMED if confirmed else FencingState.UNDER_WAY
    assert (record.state, record.target) == (expected, owner)


def test_who_takes_part_cannot_be_declared_fenced() -> None:
    sim = FencedCluster(8, configuration(), "a", "b")
    owner, other = serving(sim)
    sim.ask(other, FenceConfirm(owner))
    sim.go(500)
    [answer] = sim.nodes[other].answers
    assert not answer.accepted
    assert answer.text == (
        f"{owner} takes part in the cluster; stop it first, or `standfest fence {owner}`"
    )


def test_a_node_that_was_never_seen_is_fenced_before_anything_starts() -> None:
    sim = FencedCluster(9, configuration(), "a", "b", off="b")
    sim.go(9_800)  # initdead is 10 s
    assert sim.switch.calls == []
    sim.go(3000)
    assert [target for _, target in sim.fenced] == ["b"]
    assert sim.world.on("web") == {"a"}


def test_a_coordinator_that_is_fencing_can_be_recorded_and_read_again() -> None:
    sim = FencedCluster(10, configuration("stop"), "a", "b", "c")
    serving(sim)
    leader = next(n for n in sim.nodes.values() if n.member and n.member.coordinator)
    sim.switch.takes = seconds(30)
    sim.crash(next(name for name in sim.nodes if name != leader.name))
    sim.go(3000)
    assert len(sim.switch.calls) == 1
    text = Writer().state(leader.member)
    assert Writer().state(read(text)) == text
    assert read(text).deadline() == leader.member.deadline()  # type: ignore[union-attr]


class PatientCluster(FencedCluster):
    """One whose elections are over before silence counts."""

    DEADTIME = seconds(6)


def test_a_node_that_died_before_the_new_coordinator_met_it_is_fenced() -> None:
    sim = PatientCluster(3, configuration("stop"), "a", "b", "c")
    owner, _ = serving(sim)
    witness, heir = sorted(set(sim.nodes) - {owner})
    sim.crash(witness)
    sim.go(12_000)
    assert [target for _, target in sim.fenced] == [witness]
    sim.crash(owner)
    sim.kill_cluster_daemon(heir)  # what it knew of the others is gone before deadtime is over
    sim.restart_cluster_daemon(heir)
    sim.go(8000)
    assert sim.world.on("web") == set()  # one of three has no quorum
    sim.power_on(witness)
    sim.run_until(lambda: bool(sim.world.on("web")), seconds(30))
    assert [target for _, target in sim.fenced][-1] == owner


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_node_that_waits_for_another_one_at_its_start_is_not_fenced(seed: int) -> None:
    """It restarts faster than deadtime, and gives the third node initdead to be heard."""
    sim = FencedCluster(seed, configuration("stop"), "a", "b", "c")
    owner, waits = serving(sim)
    [victim] = {"a", "b", "c"} - {owner, waits}
    sim.crash(victim)
    sim.go(5000)
    assert [node for _, node in sim.fenced] == [victim]
    sim.nodes[waits].settings = replace(sim.nodes[waits].settings, initdead=seconds(30))
    sim.crash(waits)
    sim.go(300)
    sim.power_on(waits)
    sim.go(40_000)
    assert [node for _, node in sim.fenced] == [victim]
    member = sim.nodes[waits].member
    assert member is not None
    assert member.synchronised


def leading(sim: FencedCluster) -> str:
    """Return who coordinates."""
    [name] = [n.name for n in sim.nodes.values() if n.member and n.member.coordinator]
    return name


def on_record(sim: FencedCluster, *names: str) -> list[list[tuple[str, FencingState]]]:
    """Return what each of these nodes knows of fencing."""
    members = [sim.nodes[name].member for name in names]
    return [[(r.target, r.state) for r in member.fenced or ()] for member in members if member]


def test_forgotten_fencings_are_gone_on_all_members_and_what_is_under_way_stays() -> None:
    sim = FencedCluster(12, configuration("stop"), "a", "b", "c", "d", "e")
    serving(sim)
    leader = leading(sim)
    asking, _, first, second = [name for name in "abcde" if name != leader]
    sim.crash(first)
    sim.go(3000)
    sim.power_on(first)
    sim.go(5000)
    sim.switch.takes = seconds(20)
    sim.crash(second)
    sim.go(3000)
    done, busy = FencingState.DONE, FencingState.UNDER_WAY
    assert on_record(sim, leader, asking) == [[(first, done), (second, busy)]] * 2
    for node, text, left in (
        (second, f"0 fencings of {second} are forgotten", [(first, done), (second, busy)]),
        ("", "1 fencings of all nodes are forgotten", [(second, busy)]),
    ):
        sim.ask(asking, FenceForget(node))
        sim.go(500)
        assert on_record(sim, leader, asking) == [left, left]
        answer = sim.nodes[asking].answers[-1]
        assert (answer.accepted, answer.text) == (True, text)
    sim.go(20_000)
    assert on_record(sim, leader, asking) == [[(second, done)]] * 2
    assert [target for _, target in sim.fenced] == [first, second]


def test_a_forgotten_failure_neither_fences_again_nor_forgets_that_a_node_is_to_be_fenced() -> None:
    most = '<nvpair id="o4" name="stonith-max-attempts" value="2"/>'
    sim = FencedCluster(1, configuration("stop", most), "a", "b", "c")
    owner, _ = serving(sim)
    leader = leading(sim)
    sim.switch.failures = 1000
    sim.crash(owner)
    sim.go(60_000)
    leader = leading(sim)
    other = next(name for name in sim.nodes if name not in (owner, leader))
    assert on_record(sim, other) == [[(owner, FencingState.FAILED)]]
    calls = len(sim.switch.calls)
    sim.ask(other, FenceForget("nobody"))
    sim.ask(other, FenceForget(owner))
    sim.go(60_000)
    assert [(a.accepted, a.text, a.ground) for a in sim.nodes[other].answers] == [
        (False, "no node nobody; expected one of: a, b, c", Ground.NO_SUCH),
        (True, f"1 fencings of {owner} are forgotten", Ground.NONE),
    ]
    assert on_record(sim, leader, other) == [[], []]
    assert (len(sim.switch.calls), sim.world.on("web")) == (calls, set())
    sim.switch.failures = 0
    sim.kill_cluster_daemon(other)
    sim.restart_cluster_daemon(other)
    sim.go(5000)
    assert on_record(sim, leader, other) == [[(owner, FencingState.DONE)]] * 2
    assert len(sim.world.on("web")) == 1


def test_a_member_that_was_away_when_fencings_were_forgotten_forgets_them_when_it_is_back() -> None:
    most = '<nvpair id="o4" name="stonith-max-attempts" value="1"/>'
    sim = FencedCluster(13, configuration("stop", most), "a", "b", "c")
    serving(sim)
    leader = leading(sim)
    asking, away = [name for name in "abc" if name != leader]
    sim.crash(asking)
    sim.go(3000)
    sim.power_on(asking)
    sim.go(5000)
    assert on_record(sim, leader, away) == [[(asking, FencingState.DONE)]] * 2
    sim.switch.failures = 1000
    sim.partition([away], [leader, asking])
    sim.go(5000)
    sim.ask(asking, FenceForget(""))
    sim.go(500)
    assert on_record(sim, leader, asking, away) == [[], [], [(asking, FencingState.DONE)]]
    sim.heal()
    sim.go(5000)
    assert on_record(sim, away) == [[]]
