"""Clones, roles, migration and sets in simulated clusters, under crashes and killed daemons."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from standfest.config.cib import load
from standfest.model.settings import HeartbeatSettings
from standfest.model.time import milliseconds, seconds
from standfest.monitor.text import render
from standfest.runtime.cluster.protocol import Cleanup, Clear, Move, Standby
from standfest.runtime.cluster.report import report
from standfest.sim.cluster import SimCluster

OPTIONS = """<crm_config><cluster_property_set id="o">
<nvpair id="o1" name="stonith-enabled" value="false"/>
<nvpair id="o2" name="no-quorum-policy" value="ignore"/></cluster_property_set></crm_config>"""
MONITORS = """<operations><op id="{0}-m" name="monitor" interval="5s"/>
<op id="{0}-p" name="monitor" interval="4s" role="Promoted"/></operations>"""
RUN_MS, NET_MS, BEAT_MS, DEAD_MS = 80, 3, 100, 1_000
"""The longest agent run, the longest way of a datagram, keepalive and deadtime."""
HELLO_MS = 30
"""Hello, join and restatement among survivors: a few datagrams of at most 3 ms each."""


def dummy(name: str, *, monitors: bool = True, extra: str = "") -> str:
    inner = extra + (MONITORS.format(name) if monitors else "")
    return f'<primitive id="{name}" class="ocf" provider="x" type="Dummy">{inner}</primitive>'


def meta(owner: str, **values: str) -> str:
    pairs = "".join(
        f'<nvpair id="{owner}-{name}" name="{name.replace("_", "-")}" value="{value}"/>'
        for name, value in values.items()
    )
    return f'<meta_attributes id="{owner}-meta">{pairs}</meta_attributes>'


def clone(inner: str, **values: str) -> str:
    return f'<clone id="all">{meta("all", **values)}{inner}</clone>'


def prefer(**scores: int) -> str:
    """Return a constraint that gives nodes scores for the promoted role."""
    return "".join(
        f'<rsc_location id="on-{node}" rsc="all"><rule id="rule-{node}" score="{score}" '
        f'role="Promoted"><expression id="is-{node}" attribute="#uname" operation="eq" '
        f'value="{node}"/></rule></rsc_location>'
        for node, score in scores.items()
    )


def cluster(seed: int, nodes: str, resources: str, constraints: str = "") -> SimCluster:
    text = (
        f"<configuration>{OPTIONS}<resources>{resources}</resources>"
        f"<constraints>{constraints}</constraints></configuration>"
    )
    heartbeats = HeartbeatSettings(
        nodes=tuple(nodes),
        media=(),
        keepalive=milliseconds(BEAT_MS),
        deadtime=milliseconds(DEAD_MS),
        warntime=milliseconds(500),
        initdead=seconds(10),
    )
    sim = SimCluster(seed, heartbeats, load([("cib.xml", text)]).configuration)
    for node in nodes:
        sim.power_on(node)
    return sim


def on(sim: SimCluster, resource: str, nodes: str) -> Callable[[], bool]:
    return lambda: sim.world.on(resource) == set(nodes)


def promoted(sim: SimCluster, nodes: str) -> Callable[[], bool]:
    return lambda: sim.world.promoted_on("db") == set(nodes)


def quiet(sim: SimCluster) -> None:
    """Nothing changes any more, and every member has the same CIB."""
    starts, stops = sim.world.starts, sim.world.stops
    sim.run_for(seconds(5))
    assert (sim.world.starts, sim.world.stops) == (starts, stops)
    members = [node.member for node in sim.nodes.values() if node.member is not None]
    assert len({(member.leader, member.cib.version) for member in members}) == 1
    assert all(member.synchronised for member in members)


@given(seed=st.integers(0, 2**32))
@settings(max_examples=10, deadline=None)
def test_an_anonymous_clone_runs_on_every_node_and_on_one_that_returns(seed: int) -> None:
    sim = cluster(seed, "abc", clone(dummy("db")))
    sim.run_until(on(sim, "db", "abc"), at_most=seconds(1))
    quiet(sim)
    sim.crash("b")
    sim.run_for(seconds(3))
    assert sim.world.on("db") == {"a", "c"}
    assert (sim.world.starts, sim.world.stops) == (3, 0)  # the others did not notice
    sim.power_on("b")
    sim.run_until(on(sim, "db", "abc"), at_most=seconds(2))
    quiet(sim)
    assert (sim.world.starts, sim.world.stops) == (4, 0)
    assert sim.doubles == []


@given(seed=st.integers(0, 2**32))
@settings(max_examples=10, deadline=None)
def test_the_instances_of_a_unique_clone_each_run_once(seed: int) -> None:
    values = {"globally_unique": "true", "clone_max": "3", "clone_node_max": "3"}
    sim = cluster(seed, "ab", clone(dummy("db"), **values))
    names = [f"db:{number}" for number in range(3)]
    sim.run_until(lambda: all(len(sim.world.on(name)) == 1 for name in names), at_most=seconds(1))
    quiet(sim)
    places = sorted(len([n for n in names if sim.world.on(n) == {node}]) for node in "ab")
    assert places == [1, 2]
    sim.crash("a")
    sim.run_until(lambda: all(sim.world.on(name) == {"b"} for name in names), at_most=seconds(2))
    quiet(sim)
    assert sim.doubles == []


@given(seed=st.integers(0, 2**32))
@settings(max_examples=10, deadline=None)
def test_when_the_promoted_node_dies_the_next_best_is_promoted(seed: int) -> None:
    sim = cluster(seed, "abc", clone(dummy("db"), promotable="true"), prefer(a=30, b=20, c=10))
    sim.run_until(promoted(sim, "a"), at_most=seconds(1))
    sim.run_until(on(sim, "db", "abc"), at_most=seconds(1))
    quiet(sim)
    sim.crash("a")
    took = sim.run_until(promoted(sim, "b"), at_most=seconds(2))
    # Dead a deadtime after the last heartbeat, which left up to one keepalive before the crash;
    # then one promotion. A probe or monitor that runs already comes first: one more run.
    assert milliseconds(DEAD_MS - BEAT_MS) <= took
    assert took <= milliseconds(DEAD_MS + NET_MS + HELLO_MS + 2 * RUN_MS)
    assert sim.world.on("db") == {"b", "c"}
    quiet(sim)
    sim.power_on("a")
    sim.run_until(promoted(sim, "a"), at_most=seconds(3))  # its score is the best again
    quiet(sim)
    assert sim.world.on("db") == {"a", "b", "c"}
    assert sim.doubles == []


@given(seed=st.integers(0, 2**32))
@settings(max_examples=10, deadline=None)
def test_a_promoted_process_that_dies_is_promoted_again(seed: int) -> None:
    sim = cluster(seed, "ab", clone(dummy("db"), promotable="true"), prefer(a=30, b=20))
    sim.run_until(promoted(sim, "a"), at_most=seconds(1))
    quiet(sim)
    sim.world.kill("db", "a")
    # Found by the monitor of the promoted role: 4 s; then demote, stop, start, promote.
    sim.run_until(lambda: "a" not in sim.world.on("db"), at_most=milliseconds(1))
    sim.run_until(
        lambda: len(sim.world.promoted_on("db")) == 1, at_most=milliseconds(4_000 + 6 * RUN_MS)
    )
    sim.run_until(on(sim, "db", "ab"), at_most=milliseconds(4 * RUN_MS))
    quiet(sim)
    assert sim.doubles == []


@given(seed=st.integers(0, 2**32))
@settings(max_examples=10, deadline=None)
def test_every_instance_is_told_before_and_after_a_promotion(seed: int) -> None:
    values = {"promotable": "true", "notify": "true"}
    sim = cluster(seed, "abc", clone(dummy("db"), **values), prefer(a=30, b=20, c=10))
    sim.run_until(promoted(sim, "a"), at_most=seconds(2))
    sim.run_until(on(sim, "db", "abc"), at_most=seconds(1))
    quiet(sim)
    sim.world.told.clear()
    sim.crash("a")
    sim.run_until(promoted(sim, "b"), at_most=seconds(3))
    changed = sim.now
    sim.run_for(seconds(2))
    told = [t for t in sim.world.told if t.task == "promote"]
    before = {t.node for t in told if t.occasion == "pre" and t.at <= changed}
    after = {t.node for t in told if t.occasion == "post" and t.at >= changed}
    assert (before, after) == ({"b", "c"}, {"b", "c"})
    assert len(told) == 4
    meta_ = dict(told[0].meta)
    assert meta_["notify_promote_uname"] == "b"
    assert meta_["notify_promoted_uname"] == ""  # a is gone
    assert sim.doubles == []


@given(seed=st.integers(0, 2**32), back=st.booleans())
@settings(max_examples=10, deadline=None)
def test_what_may_migrate_moves_without_being_stopped(seed: int, back: bool) -> None:
    sim = cluster(seed, "ab", dummy("vm", extra=meta("vm", allow_migrate="true")))
    sim.run_until(lambda: bool(sim.world.on("vm")), at_most=seconds(1))
    quiet(sim)
    first = next(iter(sim.world.on("vm")))
    other = "b" if first == "a" else "a"
    away: list[int] = []
    sim.ask("a", Standby(first, True))

    def moved() -> bool:
        if not sim.world.on("vm"):
            away.append(sim.now)
        return sim.world.on("vm") == {other}

    sim.run_until(moved, at_most=milliseconds(HELLO_MS + 3 * RUN_MS))
    quiet(sim)
    if back:
        sim.ask("b", Standby(first, False))
        sim.ask("b", Standby(other, True))
        sim.run_until(on(sim, "vm", first), at_most=seconds(1))
        quiet(sim)
    assert (away, sim.world.starts, sim.world.stops) == ([], 1, 0)
    assert sim.doubles == []


@given(seed=st.integers(0, 2**32), moment=st.integers(0, 3 * RUN_MS))
@settings(max_examples=20, deadline=None)
def test_a_migration_whose_target_dies_ends_with_one_owner(seed: int, moment: int) -> None:
    sim = cluster(seed, "abc", dummy("vm", extra=meta("vm", allow_migrate="true")))
    sim.run_until(lambda: bool(sim.world.on("vm")), at_most=seconds(1))
    quiet(sim)
    first = next(iter(sim.world.on("vm")))
    sim.ask("a", Standby(first, True))
    sim.run_for(milliseconds(moment))
    others = [node for node in "abc" if node != first]
    for node in others:
        if sim.world.on("vm") == {node}:
            sim.crash(node)
            break
    else:
        sim.crash(others[0])
    sim.run_for(seconds(3))
    sim.run_until(lambda: len(sim.world.on("vm")) == 1, at_most=seconds(3))
    quiet(sim)
    assert sim.world.on("vm") <= set(others)
    assert sim.doubles == []


@pytest.mark.parametrize("notify", ["false", "true"])
@given(
    seed=st.integers(0, 2**32),
    victim=st.sampled_from("ab"),
    moment=st.integers(0, 5 * RUN_MS),
)
@settings(max_examples=20, deadline=None)
def test_a_daemon_killed_in_the_middle_of_a_promotion_makes_no_second_one(
    notify: str, seed: int, victim: str, moment: int
) -> None:
    values = {"promotable": "true", "notify": notify}
    sim = cluster(seed, "ab", clone(dummy("db"), **values), prefer(a=30, b=20))
    sim.run_for(milliseconds(moment))
    sim.kill_cluster_daemon(victim)
    sim.run_for(milliseconds(50))
    sim.restart_cluster_daemon(victim)
    sim.run_until(promoted(sim, "a"), at_most=seconds(8))
    sim.run_until(on(sim, "db", "ab"), at_most=seconds(2))
    quiet(sim)
    assert sim.world.promoted_on("db") == {"a"}
    assert sim.doubles == []


@given(seed=st.integers(0, 2**32))
@settings(max_examples=10, deadline=None)
def test_a_killed_daemon_touches_no_promoted_instance(seed: int) -> None:
    sim = cluster(seed, "ab", clone(dummy("db"), promotable="true"), prefer(a=30, b=20))
    sim.run_until(promoted(sim, "a"), at_most=seconds(1))
    sim.run_until(on(sim, "db", "ab"), at_most=seconds(1))
    quiet(sim)
    lost: list[int] = []
    for victim in ("a", "b"):
        sim.kill_cluster_daemon(victim)
        sim.run_for(milliseconds(300))
        sim.restart_cluster_daemon(victim)
        began = sim.now

        def later(began: int = began) -> bool:
            if sim.world.promoted_on("db") != {"a"}:
                lost.append(sim.now)
            return sim.now >= began + seconds(5)

        sim.run_until(later, at_most=seconds(7))
    assert (lost, sim.world.starts, sim.world.stops) == ([], 2, 0)
    assert sim.doubles == []


SETS = (
    '<rsc_order id="order"><resource_set id="s1" sequential="false"><resource_ref id="one"/>'
    '<resource_ref id="two"/></resource_set><resource_set id="s2"><resource_ref id="three"/>'
    '<resource_ref id="four"/></resource_set></rsc_order>'
    '<rsc_colocation id="together" score="INFINITY"><resource_set id="s3">'
    '<resource_ref id="one"/><resource_ref id="two"/><resource_ref id="three"/>'
    '<resource_ref id="four"/></resource_set></rsc_colocation>'
)


@given(seed=st.integers(0, 2**32))
@settings(max_examples=10, deadline=None)
def test_sets_start_and_stop_in_their_order_and_stay_together(seed: int) -> None:
    names = ("one", "two", "three", "four")
    sim = cluster(seed, "ab", "".join(dummy(name) for name in names), SETS)
    wrong: list[tuple[str, ...]] = []

    def settled_on(nodes: str) -> Callable[[], bool]:
        def check() -> bool:
            up = {name for name in names if sim.world.on(name)}
            if ("three" in up and not {"one", "two"} <= up) or ("four" in up and "three" not in up):
                wrong.append(tuple(sorted(up)))
            places = {frozenset(sim.world.on(name)) for name in names}
            return places in [{frozenset(node)} for node in nodes]

        return check

    sim.run_until(settled_on("ab"), at_most=seconds(1))
    quiet(sim)
    first = next(iter(sim.world.on("one")))
    other = "b" if first == "a" else "a"
    sim.ask("a", Standby(first, True))
    # Stops in three steps, starts in three: at most 80 ms each, and a message to and fro between.
    sim.run_until(settled_on(other), at_most=milliseconds(6 * (RUN_MS + 2 * NET_MS) + HELLO_MS))
    assert wrong == []
    quiet(sim)
    assert sim.doubles == []


@given(seed=st.integers(0, 2**32))
@settings(max_examples=10, deadline=None)
def test_the_promoted_role_is_moved_and_comes_back(seed: int) -> None:
    sim = cluster(seed, "abc", clone(dummy("db"), promotable="true"), prefer(a=30, b=20, c=10))
    sim.run_until(promoted(sim, "a"), at_most=seconds(1))
    quiet(sim)
    sim.ask("b", Move("db", "c"))
    sim.run_until(promoted(sim, "c"), at_most=seconds(1))
    quiet(sim)
    sim.ask("b", Move("all", ""))  # away from where it is
    sim.run_until(promoted(sim, "a"), at_most=seconds(1))
    quiet(sim)
    sim.ask("b", Clear("all"))
    quiet(sim)
    assert sim.world.promoted_on("db") == {"a"}
    assert (sim.world.starts, sim.world.stops) == (3, 0)
    assert [(a.accepted, a.text) for a in sim.nodes["b"].answers] == [
        (True, "all's promoted role goes to c and stays there"),
        (True, "all's promoted role leaves c until it is cleared"),
        (True, "all may run anywhere again"),
    ]
    assert sim.doubles == []


@given(seed=st.integers(0, 2**32), whole=st.booleans())
@settings(max_examples=10, deadline=None)
def test_a_unique_instance_that_failed_to_start_is_cleaned_by_its_number(
    seed: int, whole: bool
) -> None:
    values = {"globally_unique": "true", "clone_max": "2"}
    sim = cluster(seed, "ab", clone(dummy("db"), **values))
    sim.world.broken |= {("a", "db:0"), ("a", "db:1")}
    sim.run_for(seconds(3))
    running = [name for name in ("db:0", "db:1") if sim.world.on(name)]
    assert len(running) == 1  # one on b; a may have none, and b has one place
    sim.world.broken.clear()
    for name in ["all"] if whole else ["db:0", "db:1"]:
        sim.ask("b", Cleanup(name, "a"))
    sim.run_until(
        lambda: all(len(sim.world.on(name)) == 1 for name in ("db:0", "db:1")), at_most=seconds(1)
    )
    quiet(sim)
    assert sim.doubles == []


# --- what administrators see ----------------------------------------------------------------------


def status(sim: SimCluster, node: str = "a") -> list[str]:
    member = sim.nodes[node].member
    assert member is not None
    return render(report(member, "status")).splitlines()


def resources_shown(sim: SimCluster) -> list[str]:
    lines = status(sim)
    began = lines.index("Resources:") + 1
    return [line.rstrip() for line in lines[began:] if line.startswith("  ")]


def test_the_status_tells_every_instance_its_node_and_role() -> None:
    sim = cluster(1, "abc", clone(dummy("db"), promotable="true"), prefer(a=30, b=20, c=10))
    sim.run_until(promoted(sim, "a"), at_most=seconds(1))
    quiet(sim)
    assert resources_shown(sim) == [
        "  all (clone, promotable)",
        "    db                   Promoted on a, Unpromoted on b and c ocf:x:Dummy",
    ]
    sim.crash("b")
    sim.run_for(seconds(2))
    assert resources_shown(sim)[1] == (
        "    db                   Promoted on a, Unpromoted on c ocf:x:Dummy"
    )


def test_the_status_tells_unique_instances_by_their_number() -> None:
    values = {"globally_unique": "true", "clone_max": "2", "clone_node_max": "2"}
    template = '<template id="t" class="ocf" provider="x" type="Dummy"/>'
    inner = '<group id="g"><primitive id="db" template="t"/></group>'
    sim = cluster(1, "ab", template + clone(inner, **values))
    sim.run_for(seconds(2))
    assert resources_shown(sim) == [
        "  all (clone, globally unique)",
        "    g:0 (group)",
        "      db:0                 a                    ocf:x:Dummy",
        "    g:1 (group)",
        "      db:1                 b                    ocf:x:Dummy",
    ]


def test_the_status_tells_what_is_not_touched_and_why() -> None:
    resources = (
        dummy("one", extra=meta("one", is_managed="false"))
        + dummy("two", extra=meta("two", maintenance="true"))
        + dummy("three", extra=meta("three", target_role="Stopped"))
        + '<primitive id="four" class="ocf" provider="x" type="Dummy"><operations>'
        '<op id="four-m" name="monitor" interval="1s" on-fail="block"/></operations></primitive>'
    )
    sim = cluster(1, "a", resources)
    sim.run_for(seconds(12))  # a lone node waits initdead, 10 s
    sim.world.kill("four", "a")
    sim.run_for(seconds(3))
    assert resources_shown(sim)[:4] == [
        "  one                  stopped              ocf:x:Dummy  (unmanaged)",
        "  two                  stopped              ocf:x:Dummy  (maintenance)",
        "  three                stopped              ocf:x:Dummy  (disabled)",
        "  four                 stopped              ocf:x:Dummy  "
        "(blocked on a: clean up when it is in order)",
    ]


@given(seed=st.integers(0, 2**32), data=st.data())
@settings(max_examples=25, deadline=None)
def test_whatever_happens_there_is_one_promoted_and_in_the_end_all_is_well(
    seed: int, data: st.DataObject
) -> None:
    values = {"promotable": "true", "notify": "true", "interleave": "true"}
    inner = f'<group id="g">{dummy("db")}{dummy("web")}</group>'
    sim = cluster(seed, "abc", clone(inner, **values), prefer(a=30, b=20, c=10))
    down: dict[str, str] = {}
    faults = st.tuples(
        st.sampled_from([5, 40, 100, 300, 1_000, 3_000]),
        st.sampled_from("abc"),
        st.sampled_from(["crash", "kill", "process", "back"]),
    )
    for wait, node, fault in data.draw(st.lists(faults, max_size=8)):
        sim.run_for(milliseconds(wait))
        if fault == "process":
            sim.world.kill("db", node)
        elif fault == "back":
            _bring_back(sim, node, down.pop(node, ""))
        elif fault == "crash" and down.get(node) != "crash":
            sim.crash(node)
            down[node] = fault
        elif fault == "kill" and node not in down:
            sim.kill_cluster_daemon(node)
            down[node] = fault
    for node, fault in sorted(down.items()):
        _bring_back(sim, node, fault)
    sim.run_for(seconds(15))
    sim.ask("a", Cleanup("all", ""))
    sim.run_for(seconds(10))
    for name in ("db", "web"):
        assert (sim.world.on(name), sim.world.promoted_on(name)) == ({"a", "b", "c"}, {"a"})
    quiet(sim)
    assert sim.doubles == []


def _bring_back(sim: SimCluster, node: str, fault: str) -> None:
    if fault == "crash":
        sim.power_on(node)
    elif fault == "kill":
        sim.restart_cluster_daemon(node)
