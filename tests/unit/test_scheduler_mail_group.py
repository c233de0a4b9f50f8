"""The report's mail server, a group of six, through everything that happens to it."""

import time
from dataclasses import replace
from itertools import pairwise

import pytest

from standfest.core.scheduler.operations import one_shot, recurring
from standfest.core.scheduler.schedule import Schedule, schedule
from standfest.model.configuration import (
    ClusterOptions,
    Colocation,
    Configuration,
    Expression,
    Group,
    Location,
    NodeEntry,
    NoQuorumPolicy,
    OnFail,
    OperationEntry,
    Order,
    Primitive,
    ResourceOptions,
    Rule,
    TargetRole,
)
from standfest.model.operations import Agent, OperationResult, OperationStatus
from standfest.model.scores import INFINITY
from standfest.model.status import Join, NodeState, Status
from standfest.model.time import seconds

NAMES = ("homes", "spool", "postfix", "xinetd", "private", "public")
NOW = 1_000_000
EVERY = OperationEntry("m", "monitor", seconds(5), seconds(20))
OPTIONS = ClusterOptions(stonith_enabled=False, no_quorum_policy=NoQuorumPolicy.IGNORE)


def primitive(name: str, **options: object) -> Primitive:
    return Primitive(
        name,
        Agent("ocf", "Dummy", "heartbeat"),
        parameters=(("name", name),),
        operations=(EVERY,),
        options=replace(ResourceOptions(), **options),  # type: ignore[arg-type]
    )


def mail(*changed: Primitive) -> Group:
    others = {p.id: p for p in changed}
    return Group("mail", tuple(others.get(n) or primitive(n) for n in NAMES))


def configured(*resources: Primitive | Group, **more: object) -> Configuration:
    plain = Configuration(
        options=OPTIONS,
        nodes=(NodeEntry("1", "sb21"), NodeEntry("2", "sb22")),
        resources=resources or (mail(),),
    )
    return replace(plain, **more)  # type: ignore[arg-type]


def run(
    what: Primitive, task: str, code: int = 0, call: int = 1, interval: int = 0
) -> OperationResult:
    operation = recurring(what, EVERY, "x") if interval else one_shot(what, task, "x")
    return OperationResult(operation, OperationStatus.DONE, code, call, last_change=NOW - 100)


def running(what: Primitive) -> tuple[str, tuple[OperationResult, ...]]:
    return what.id, (run(what, "start"), run(what, "monitor", call=2, interval=5))


def idle(what: Primitive) -> tuple[str, tuple[OperationResult, ...]]:
    return what.id, (run(what, "monitor", 7),)


def member(name: str, *history: tuple[str, tuple[OperationResult, ...]]) -> NodeState:
    return NodeState(name, True, True, Join.MEMBER, True, history)


def pair(configuration: Configuration, *, serving: str = "sb21") -> Status:
    """Return two members of which `serving` (or nobody) runs everything."""
    found = configuration.primitives()
    nodes = [
        member(name, *[running(p) if name == serving else idle(p) for p in found])
        for name in ("sb21", "sb22")
    ]
    return Status(tuple(nodes), have_quorum=True, coordinator="sb21")


def with_failure(status: Status, node: str, what: Primitive, *failed: OperationResult) -> Status:
    state = status.node(node)
    assert state is not None
    history = tuple((n, e + failed if n == what.id else e) for n, e in state.history)
    return status.with_node(replace(state, history=history))


def keys(plan: Schedule) -> list[str]:
    """Return the actions for agents, as `KEY@NODE`, in an order in which they may run."""
    done: list[int] = []
    lines: list[str] = []
    progress = True
    while progress:
        progress = False
        for action in plan.graph.actions:
            ready = action.runnable and set(action.inputs) <= set(done)
            if action.id not in done and ready:
                done.append(action.id)
                progress = True
                if action.operation is not None and not action.operation.interval:
                    lines.append(f"{action.task} {action.resource} {action.node}")
    return lines


def stops(node: str, *names: str) -> list[str]:
    return [f"stop {name} {node}" for name in names]


def starts(node: str, *names: str) -> list[str]:
    return [f"start {name} {node}" for name in names]


def before(plan: Schedule, earlier: str, later: str) -> bool:
    """Return whether the graph orders one `TASK RESOURCE NODE` before another."""
    labels = {a.id: f"{a.task} {a.resource} {a.node}" for a in plan.graph.actions}
    inputs = {a.id: a.inputs for a in plan.graph.actions}
    work = [number for number, label in labels.items() if label == later]
    while work:
        for number in inputs[work.pop()]:
            if labels[number] == earlier:
                return True
            work.append(number)
    return False


def test_the_group_starts_in_order_on_the_node_that_is_first_by_name() -> None:
    configuration = configured()
    plan = schedule(configuration, pair(configuration, serving="nobody"), NOW)
    assert [k for k in keys(plan) if k.startswith("start")] == starts("sb21", *NAMES)
    for earlier, later in pairwise(NAMES):
        assert before(plan, f"start {earlier} sb21", f"start {later} sb21")
    assert before(plan, "start public sb21", "running mail ")


def test_every_member_is_probed_everywhere_before_it_starts_anywhere() -> None:
    configuration = configured()
    plan = schedule(configuration, Status((member("sb21"), member("sb22")), True, "sb21"), NOW)
    probes = [a for a in plan.graph.actions if a.task == "monitor" and a.operation]
    # 6 members x 2 nodes, expected not to run (7), and 6 recurring monitors.
    assert sum(a.operation.expected == 7 for a in probes if a.operation) == 12
    assert before(plan, "monitor homes sb22", "start homes sb21")


def test_a_healthy_group_is_left_alone() -> None:
    configuration = configured()
    assert schedule(configuration, pair(configuration), NOW).graph.actions == ()


def test_a_failed_member_restarts_with_the_later_ones_in_reverse_and_the_earlier_stay() -> None:
    configuration = configured()
    postfix = primitive("postfix")
    failed = run(postfix, "monitor", 7, 3, 5)
    plan = schedule(configuration, with_failure(pair(configuration), "sb21", postfix, failed), NOW)
    names = ("postfix", "xinetd", "private", "public")
    assert set(keys(plan)) == {*stops("sb21", *names), *starts("sb21", *names)}
    assert before(plan, "stop public sb21", "stop private sb21")
    assert before(plan, "stop xinetd sb21", "stop postfix sb21")
    assert before(plan, "stop postfix sb21", "start postfix sb21")


def test_standby_stops_everything_in_reverse_before_it_starts_on_the_other_node() -> None:
    configuration = configured(
        nodes=(NodeEntry("1", "sb21", (("standby", "on"),)), NodeEntry("2", "sb22"))
    )
    plan = schedule(configuration, pair(configuration), NOW)
    assert set(keys(plan)) == {*stops("sb21", *NAMES), *starts("sb22", *NAMES)}
    assert before(plan, "stop public sb21", "stop homes sb21")
    assert before(plan, "stop homes sb21", "start homes sb22")


def lost(status: Status, name: str) -> Status:
    state = status.node(name)
    assert state is not None
    return status.with_node(
        replace(state, in_membership=False, online=False, join=Join.DOWN, expected=True)
    )


def test_a_lost_node_counts_as_stopped_when_there_is_no_fencing() -> None:
    configuration = configured()
    plan = schedule(configuration, lost(pair(configuration), "sb21"), NOW)
    assert keys(plan) == starts("sb22", *NAMES)


def test_nothing_is_recovered_from_a_lost_node_while_fencing_is_due() -> None:
    configuration = configured(options=replace(OPTIONS, stonith_enabled=True))
    plan = schedule(configuration, lost(pair(configuration), "sb21"), NOW)
    assert keys(plan) == []
    assert any("not fenced" in note for note in plan.notes)


def test_nothing_starts_that_a_lost_node_may_run_unseen_while_fencing_is_due() -> None:
    configuration = configured(options=replace(OPTIONS, stonith_enabled=True))
    status = pair(configuration, serving="nobody")
    unseen = lost(Status((member("sb21"), *status.nodes[1:]), True), "sb21")
    assert keys(schedule(configuration, unseen, NOW)) == []
    seen = lost(status, "sb21")
    assert keys(schedule(configuration, seen, NOW)) == starts("sb22", *NAMES)


def test_a_node_whose_daemon_is_away_keeps_its_resources_and_is_asked_nothing() -> None:
    configuration = configured()
    status = pair(configuration)
    state = status.node("sb21")
    assert state is not None
    away = status.with_node(replace(state, online=False, join=Join.PENDING))
    assert keys(schedule(configuration, away, NOW)) == []


def test_nothing_starts_that_may_run_on_a_node_whose_daemon_has_not_joined_yet() -> None:
    configuration = configured()
    status = pair(configuration, serving="nobody")
    joining = status.with_node(NodeState("sb22", True, False, Join.PENDING))
    assert keys(schedule(configuration, joining, NOW)) == []
    # Once it is known to run nothing, it need not be there.
    away = NodeState("sb22", True, False, Join.PENDING, True, status.nodes[1].history)
    assert keys(schedule(configuration, status.with_node(away), NOW)) == starts("sb21", *NAMES)


@pytest.mark.parametrize("banned", ["homes", "public"])
def test_a_member_that_may_not_run_here_takes_the_whole_group_along(banned: str) -> None:
    ban = Location("ban", banned, -INFINITY, node="sb21")
    configuration = configured(locations=(ban,))
    plan = schedule(configuration, pair(configuration), NOW)
    assert dict(plan.placements) == dict.fromkeys(NAMES, "sb22")


def test_a_dead_public_link_moves_the_whole_group() -> None:
    down = Rule((Expression("#link-eth0", "eq", "down"),))
    ban = Location("link", "public", -INFINITY, rule=down)
    configuration = configured(locations=(ban,))
    status = pair(configuration)
    state = status.node("sb21")
    assert state is not None
    assert keys(schedule(configuration, status, NOW)) == []
    healthy = status.with_node(state.with_attribute("#link-eth0", "up"))
    assert keys(schedule(configuration, healthy, NOW)) == []
    cut = status.with_node(state.with_attribute("#link-eth0", "down"))
    plan = schedule(configuration, cut, NOW)
    assert dict(plan.placements) == dict.fromkeys(NAMES, "sb22")
    both = cut.with_node(member("sb22", *[idle(p) for p in configuration.primitives()]))
    other = both.node("sb22")
    assert other is not None
    neither = schedule(
        configuration, both.with_node(other.with_attribute("#link-eth0", "down")), NOW
    )
    # Nowhere to go: the five that need no public link stay, and only the address stops.
    assert dict(neither.placements) == dict.fromkeys(NAMES[:-1], "sb21") | {"public": ""}


@pytest.mark.parametrize(("stickiness", "stays"), [(50, "sb21"), (10, "sb22")])
def test_the_stickiness_of_all_members_together_beats_a_smaller_wish(
    stickiness: int, stays: str
) -> None:
    group = mail(*[primitive(n, resource_stickiness=stickiness) for n in NAMES])
    # 6 x 50 = 300 > 250, 6 x 10 = 60 < 250.
    wish = Location("wish", "mail", 250, node="sb22")
    configuration = configured(group, locations=(wish,))
    plan = schedule(configuration, pair(configuration), NOW)
    assert dict(plan.placements)["public"] == stays


def test_a_member_that_shall_be_stopped_stops_with_the_later_ones() -> None:
    configuration = configured(mail(primitive("xinetd", target_role=TargetRole.STOPPED)))
    plan = schedule(configuration, pair(configuration), NOW)
    assert keys(plan) == stops("sb21", "public", "private", "xinetd")


def test_an_unmanaged_member_that_failed_is_left_alone_with_the_later_ones() -> None:
    postfix = primitive("postfix", is_managed=False)
    configuration = configured(mail(postfix))
    failed = run(postfix, "monitor", 7, 3, 5)
    status = with_failure(pair(configuration), "sb21", postfix, failed)
    assert keys(schedule(configuration, status, NOW)) == []


def test_a_failed_start_with_a_fatal_count_moves_the_group() -> None:
    configuration = configured()
    status = pair(configuration)
    state = status.node("sb21")
    assert state is not None
    status = status.with_node(state.with_attribute("fail-count-xinetd#start_0", "INFINITY"))
    xinetd = primitive("xinetd")
    status = with_failure(status, "sb21", xinetd, run(xinetd, "start", 1, 9))
    plan = schedule(configuration, status, NOW)
    assert dict(plan.placements) == dict.fromkeys(NAMES, "sb22")
    assert before(plan, "stop xinetd sb21", "start xinetd sb22")


def test_a_resource_that_could_not_be_stopped_is_started_nowhere_else() -> None:
    alone = primitive("public")
    banned = Location("ban", "public", -INFINITY, node="sb21")
    configuration = configured(alone, locations=(banned,))
    status = with_failure(pair(configuration), "sb21", alone, run(alone, "stop", 1, 9))
    assert keys(schedule(configuration, status, NOW)) == []


def test_a_resource_that_runs_twice_stops_everywhere_before_it_starts_once() -> None:
    alone = primitive("public")
    configuration = configured(alone)
    status = Status((member("sb21", running(alone)), member("sb22", running(alone))), True, "sb21")
    plan = schedule(configuration, status, NOW)
    assert sorted(keys(plan)) == ["start public sb21", "stop public sb21", "stop public sb22"]
    assert before(plan, "stop public sb22", "start public sb21")


def test_a_pending_start_is_not_repeated() -> None:
    alone = primitive("public")
    pending = replace(run(alone, "start", 193, 9), status=OperationStatus.PENDING)
    status = Status((member("sb21", ("public", (pending,))), member("sb22", idle(alone))), True)
    assert keys(schedule(configured(alone), status, NOW)) == []


def test_changed_parameters_restart_and_unchanged_ones_do_not() -> None:
    before_change = configured(primitive("public"))
    after_change = configured(replace(primitive("public"), parameters=(("name", "other"),)))
    status = pair(before_change)
    assert keys(schedule(before_change, status, NOW)) == []
    assert keys(schedule(after_change, status, NOW)) == [
        "stop public sb21",
        "start public sb21",
    ]


def test_parameters_of_the_start_operation_alone_are_not_a_change() -> None:
    entry = OperationEntry("s", "start", 0, seconds(20), parameters=(("depth", "1"),))
    alone = replace(primitive("public"), operations=(EVERY, entry))
    configuration = configured(alone)
    assert keys(schedule(configuration, pair(configuration), NOW)) == []


def test_a_removed_resource_is_stopped_and_forgotten_on_every_node() -> None:
    status = pair(configured(primitive("old")))
    plan = schedule(replace(configured(), resources=()), status, NOW)
    found = [(a.task, a.node) for a in plan.graph.actions]
    assert found == [("stop", "sb21"), ("lrm_delete", "sb21"), ("lrm_delete", "sb22")]
    assert before(plan, "stop old sb21", "lrm_delete old sb22")


@pytest.mark.parametrize(
    ("reaction", "expected"),
    [
        (OnFail.IGNORE, []),
        (OnFail.BLOCK, []),
        (OnFail.STOP, ["stop public sb21"]),
        (OnFail.STANDBY, ["stop public sb21", "start public sb22"]),
        (OnFail.RESTART, ["stop public sb21", "start public sb21"]),
    ],
)
def test_on_fail_decides_what_a_failed_monitor_means(reaction: OnFail, expected: list[str]) -> None:
    alone = replace(primitive("public"), operations=(replace(EVERY, on_fail=reaction),))
    configuration = configured(alone)
    status = with_failure(pair(configuration), "sb21", alone, run(alone, "monitor", 1, 3, 5))
    assert keys(schedule(configuration, status, NOW)) == expected


@pytest.mark.parametrize(
    ("policy", "serving", "expected"),
    [
        (NoQuorumPolicy.STOP, "sb21", ["stop public sb21"]),
        (NoQuorumPolicy.FREEZE, "sb21", []),
        (NoQuorumPolicy.FREEZE, "nobody", []),
        (NoQuorumPolicy.IGNORE, "nobody", ["start public sb21"]),
    ],
)
def test_without_quorum_the_policy_decides(
    policy: NoQuorumPolicy, serving: str, expected: list[str]
) -> None:
    alone = primitive("public")
    configuration = configured(alone, options=replace(OPTIONS, no_quorum_policy=policy))
    status = replace(pair(configuration, serving=serving), have_quorum=False)
    assert keys(schedule(configuration, status, NOW)) == expected


def test_old_failures_are_forgotten_and_the_moment_is_foretold() -> None:
    alone = primitive("public", failure_timeout=seconds(60), migration_threshold=1)
    configuration = configured(alone)
    status = pair(configuration, serving="nobody")
    state = status.node("sb21")
    assert state is not None
    state = state.with_attribute("fail-count-public#monitor_5000", "1")
    status = status.with_node(state.with_attribute("last-failure-public#monitor_5000", str(NOW)))
    early = schedule(configuration, status, NOW + 60)
    assert early.placements == (("public", "sb22"),)
    assert early.recheck_at == NOW + 61  # forgotten when more than 60 s have passed
    late = schedule(configuration, status, NOW + 61)
    assert late.placements == (("public", "sb21"),)
    assert [a.task for a in late.graph.actions if a.node == "sb21"].count("clear_failcount") == 1
    assert late.recheck_at is None


def test_constraints_that_wait_for_each_other_are_shown_but_never_run() -> None:
    one, two = primitive("one"), primitive("two")
    loop = (Order("o1", "one", "two"), Order("o2", "two", "one"))
    configuration = configured(one, two, orders=loop)
    plan = schedule(configuration, pair(configuration, serving="nobody"), NOW)
    assert keys(plan) == []
    reasons = {a.reason for a in plan.graph.actions if a.task == "start"}
    assert reasons == {"ordering constraints loop"}


def test_a_dependent_follows_its_primary_and_never_runs_without_it() -> None:
    follower, leader = primitive("a"), primitive("b")
    together = Colocation("c", "a", "b", INFINITY)
    only = Location("l", "b", -INFINITY, node="sb21")
    configuration = configured(follower, leader, colocations=(together,), locations=(only,))
    status = pair(configuration, serving="nobody")
    assert schedule(configuration, status, NOW).placements == (("a", "sb22"), ("b", "sb22"))
    stopped = replace(leader, options=ResourceOptions(target_role=TargetRole.STOPPED))
    configuration = replace(configuration, resources=(follower, stopped))
    assert schedule(configuration, status, NOW).placements == (("a", ""), ("b", ""))


def test_a_member_waits_until_the_one_before_it_has_ended_its_start() -> None:
    configuration = configured(mail())
    status = pair(configuration, serving="nobody")
    state = status.node("sb21")
    assert state is not None
    homes = primitive("homes")
    pending = replace(run(homes, "start", 193, 9), status=OperationStatus.PENDING)
    history = (("homes", (pending,)), *[h for h in state.history if h[0] != "homes"])
    status = status.with_node(replace(state, history=history))
    assert keys(schedule(configuration, status, NOW)) == []


def test_nothing_restarts_around_a_member_that_is_stuck_on_another_node() -> None:
    stuck = mail(primitive("spool", is_managed=False))
    configuration = configured(stuck, nodes=(NodeEntry("1", "sb21", (("standby", "on"),)),))
    status = pair(configuration)
    plan = schedule(configuration, status, NOW)
    # homes cannot stop under spool; the four above it cannot follow it to a node on standby.
    assert set(keys(plan)) == set(stops("sb21", "public", "private", "xinetd", "postfix"))
    assert "homes: spool needs it and cannot be stopped" in plan.notes


def test_negative_wishes_yield_to_a_member_that_sticks() -> None:
    sticky = mail(primitive("spool", resource_stickiness=200))
    wish = Location("wish", "mail", -100, node="sb22")
    configuration = configured(sticky, locations=(wish,))
    plan = schedule(configuration, pair(configuration, serving="sb22"), NOW)
    # -100 + 200 = 100 > 0, and the wish against sb22 is not a ban.
    assert keys(plan) == []


def test_a_wish_against_one_member_yields_to_a_later_one_that_sticks() -> None:
    sticky = mail(primitive("public", resource_stickiness=200))
    wish = Location("wish", "spool", -100, node="sb22")
    configuration = configured(sticky, locations=(wish,))
    plan = schedule(configuration, pair(configuration, serving="sb22"), NOW)
    assert keys(plan) == []


def test_a_tie_above_nothing_keeps_a_resource_even_on_the_busier_node() -> None:
    one, two = primitive("one", resource_stickiness=9), primitive("two", resource_stickiness=100)
    wish = Location("wish", "two", 100, node="sb22")
    configuration = configured(one, two, locations=(wish,))
    # `one` makes sb21 the busier node; 100 here and 100 there for `two`.
    assert keys(schedule(configuration, pair(configuration), NOW)) == []


def test_what_an_unmanaged_member_needs_does_not_restart_under_it() -> None:
    homes = replace(primitive("homes"), parameters=(("name", "moved"),))
    status = pair(configured(mail(primitive("spool", is_managed=False))))
    changed = configured(mail(homes, primitive("spool", is_managed=False)))
    assert keys(schedule(changed, status, NOW)) == []


def test_a_dependent_that_is_stopped_has_no_say() -> None:
    follower = primitive("a", target_role=TargetRole.STOPPED)
    leader = primitive("b")
    configuration = configured(
        follower,
        leader,
        colocations=(Colocation("c", "a", "b", INFINITY),),
        locations=(Location("l", "a", INFINITY, node="sb22"),),
    )
    plan = schedule(configuration, pair(configuration, serving="nobody"), NOW)
    assert plan.placements == (("a", ""), ("b", "sb21"))


def best_of(times: int, configuration: Configuration, status: Status) -> float:
    took = []
    for _ in range(times):
        begun = time.perf_counter()
        schedule(configuration, status, NOW)
        took.append(time.perf_counter() - begun)
    return min(took)


if __name__ == "__main__":  # measures; a test would assert on a clock
    ten = configured(Group("g", tuple(primitive(f"r{i}") for i in range(10))))
    print(f"steady {1e3 * best_of(50, ten, pair(ten)):.2f} ms")
    print(f"node lost {1e3 * best_of(50, ten, lost(pair(ten), 'sb21')):.2f} ms")
    cold = Status((member("sb21"), member("sb22")), True, "sb21")
    print(f"cold start {1e3 * best_of(50, ten, cold):.2f} ms")
