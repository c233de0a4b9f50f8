"""The report's mail server, a group of six, through everything that happens to it."""

from dataclasses import replace
from itertools import pairwise

import pytest

from standfest.config.cib import load
from standfest.core.cib.document import Cib
from standfest.core.scheduler import outcome
from standfest.core.scheduler.caution import AWAY
from standfest.core.scheduler.engine import decide
from standfest.core.scheduler.schedule import Schedule
from standfest.core.scheduler.schedule import schedule as schedule_input
from standfest.model.element import Element
from standfest.model.operations import Agent, Operation, OperationResult, OperationStatus
from standfest.model.status import Join, NodeState, Status, Version
from standfest.model.time import seconds
from standfest.runtime.cluster.inputs import recorded

NAMES = ("homes", "spool", "postfix", "xinetd", "private", "public")
NOW = 1_000_000
AGENT = Agent("ocf", "Dummy", "heartbeat")
OPTIONS = {"stonith-enabled": "false", "no-quorum-policy": "ignore"}
NODES = '<node id="1" uname="sb21"/><node id="2" uname="sb22"/>'
STANDBY = (
    '<node id="1" uname="sb21"><instance_attributes id="s">'
    '<nvpair id="s1" name="standby" value="on"/></instance_attributes></node>'
    '<node id="2" uname="sb22"/>'
)


def pairs(tag: str, name: str, values: dict[str, str]) -> str:
    inner = "".join(
        f'<nvpair id="{name}-{key}" name="{key}" value="{value}"/>' for key, value in values.items()
    )
    return f'<{tag} id="{name}">{inner}</{tag}>'


def primitive(
    name: str, *, on_fail: str = "", parameter: str = "", start: str = "", **options: object
) -> str:
    """Return a primitive with a monitor every 5 s; options: its meta-attributes."""
    meta = {key.replace("_", "-"): str(value) for key, value in options.items()}
    reaction = f' on-fail="{on_fail}"' if on_fail else ""
    return (
        f'<primitive id="{name}" class="ocf" provider="heartbeat" type="Dummy">'
        f"{pairs('meta_attributes', name + '-m', meta)}"
        f"{pairs('instance_attributes', name + '-i', {'name': parameter or name})}"
        f'<operations>{start}<op id="{name}-o" name="monitor" interval="5s" timeout="20s"'
        f"{reaction}/></operations></primitive>"
    )


def mail(**changed: str) -> str:
    return '<group id="mail">' + "".join(changed.get(n) or primitive(n) for n in NAMES) + "</group>"


def configured(
    *resources: str, constraints: str = "", nodes: str = NODES, **options: str
) -> Element:
    given = OPTIONS | {key.replace("_", "-"): value for key, value in options.items()}
    text = (
        f"<configuration><crm_config>{pairs('cluster_property_set', 'o', given)}</crm_config>"
        f"<nodes>{nodes}</nodes><resources>{''.join(resources) or mail()}</resources>"
        f"<constraints>{constraints}</constraints></configuration>"
    )
    return load([("cib.xml", text)]).configuration


def wish(resource: str, node: str, score: object) -> str:
    return f'<rsc_location id="l-{resource}" rsc="{resource}" node="{node}" score="{score}"/>'


def names_of(configuration: Element) -> list[str]:
    return [element.id for element in configuration.walk() if element.tag == "primitive"]


def run(name: str, task: str, code: int = 0, call: int = 1, interval: int = 0) -> OperationResult:
    expected = 7 if task == "monitor" and not interval else 0
    operation = Operation(
        name,
        AGENT,
        task,
        seconds(interval),
        seconds(20),
        parameters=(("name", name),),
        expected=expected,
    )
    return OperationResult(operation, OperationStatus.DONE, code, call, last_change=NOW - 100)


def running(name: str) -> tuple[str, tuple[OperationResult, ...]]:
    return name, (run(name, "start"), run(name, "monitor", call=2, interval=5))


def idle(name: str) -> tuple[str, tuple[OperationResult, ...]]:
    return name, (run(name, "monitor", 7),)


def member(name: str, *history: tuple[str, tuple[OperationResult, ...]]) -> NodeState:
    return NodeState(name, True, True, Join.MEMBER, True, history)


def pair(configuration: Element, *, serving: str = "sb21") -> Status:
    """Return two members of which `serving` (or nobody) runs everything."""
    nodes = [
        member(name, *[running(p) if name == serving else idle(p) for p in names_of(configuration)])
        for name in ("sb21", "sb22")
    ]
    return Status(tuple(nodes), have_quorum=True, coordinator="sb21")


def with_failure(status: Status, node: str, what: str, *failed: OperationResult) -> Status:
    """Return the status with failures, counted as the coordinator counts them."""
    state = status.node(node)
    assert state is not None
    history = tuple((n, e + failed if n == what else e) for n, e in state.history)
    state = replace(state, history=history)
    for failure in failed:
        operation = failure.operation
        key = f"{what}#{operation.task}_{operation.interval // 1_000_000}"
        count = "INFINITY" if operation.task in ("start", "stop") else "1"
        state = state.with_attribute(f"fail-count-{key}", count)
        state = state.with_attribute(f"last-failure-{key}", str(NOW - 100))
    return status.with_node(state)


def schedule(configuration: Element, status: Status, now: int) -> Schedule:
    return schedule_input(configuration, recorded(Cib(Version(), configuration, status)), now)


def placements(configuration: Element, status: Status, now: int = NOW) -> dict[str, str]:
    """Return where everything runs when the transition has succeeded; empty: nowhere."""
    read = recorded(Cib(Version(), configuration, status))
    _, places = outcome.final(decide(configuration, read, now))
    return {name: " ".join(node for _, node in found) for name, found in places.items()}


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
    failed = run("postfix", "monitor", 7, 3, 5)
    status = with_failure(pair(configuration), "sb21", "postfix", failed)
    plan = schedule(configuration, status, NOW)
    names = ("postfix", "xinetd", "private", "public")
    assert set(keys(plan)) == {*stops("sb21", *names), *starts("sb21", *names)}
    assert before(plan, "stop public sb21", "stop private sb21")
    assert before(plan, "stop xinetd sb21", "stop postfix sb21")
    assert before(plan, "stop postfix sb21", "start postfix sb21")


def test_standby_stops_everything_in_reverse_before_it_starts_on_the_other_node() -> None:
    configuration = configured(nodes=STANDBY)
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


def test_what_a_lost_node_ran_is_started_only_after_it_is_fenced() -> None:
    device = '<primitive id="shooter" class="stonith" type="fence_dummy"/>'
    configuration = configured(mail(), device, stonith_enabled="true")
    status = lost(pair(configured()), "sb21")
    plan = schedule(configuration, status, NOW)
    [fencing] = [a for a in plan.graph.actions if a.task == "stonith"]
    assert (fencing.node, fencing.how, fencing.runnable) == ("sb21", "reboot", True)
    assert [event.node for event in plan.events if event.op == "fence"] == ["sb21"]
    after = {fencing.id}
    for action in plan.graph.actions * 3:  # ids ascend, but not always along the order
        if after & set(action.inputs):
            after.add(action.id)
    begun = [a for a in plan.graph.actions if a.operation is not None and a.resource != "shooter"]
    assert {a.task for a in begun} == {"start", "monitor"}
    assert [a.key for a in begun if a.id not in after] == []


def away(state: NodeState) -> NodeState:
    """Return a node that is heard, but whose cluster daemon does not take part."""
    state = replace(state, in_membership=True, online=False, join=Join.PENDING, expected=True)
    return state.with_attribute(AWAY, "true")


def test_a_node_whose_daemon_is_away_keeps_its_resources_and_is_asked_nothing() -> None:
    configuration = configured()
    status = pair(configuration)
    assert keys(schedule(configuration, status.with_node(away(status.nodes[0])), NOW)) == []


def test_what_depends_on_a_resource_whose_node_is_away_goes_on() -> None:
    order = '<rsc_order id="ord" first="one" then="two"/>'
    configuration = configured(primitive("one"), primitive("two"), constraints=order)
    nodes = (
        member("sb21", running("one"), idle("two")),
        member("sb22", idle("one"), running("two")),
    )
    status = Status(nodes, True, "sb22")
    assert keys(schedule(configuration, status.with_node(away(nodes[0])), NOW)) == []


def test_nothing_starts_that_may_run_on_a_node_whose_daemon_has_not_joined_yet() -> None:
    configuration = configured()
    status = pair(configuration, serving="nobody")
    joining = status.with_node(away(NodeState("sb22")))
    assert keys(schedule(configuration, joining, NOW)) == []
    # Once it is known to run nothing, it need not be there.
    known = status.with_node(away(status.nodes[1]))
    assert keys(schedule(configuration, known, NOW)) == starts("sb21", *NAMES)


@pytest.mark.parametrize("banned", ["homes", "public"])
def test_a_member_that_may_not_run_here_takes_the_whole_group_along(banned: str) -> None:
    configuration = configured(constraints=wish(banned, "sb21", "-INFINITY"))
    assert placements(configuration, pair(configuration)) == dict.fromkeys(NAMES, "sb22")


LINK = """<rsc_location id="link" rsc="public"><rule id="r" score="-INFINITY">
<expression id="e" attribute="#link-eth0" operation="eq" value="down"/></rule></rsc_location>"""


def test_a_dead_public_link_moves_the_whole_group() -> None:
    configuration = configured(constraints=LINK)
    status = pair(configuration)
    state = status.nodes[0]
    assert keys(schedule(configuration, status, NOW)) == []
    healthy = status.with_node(state.with_attribute("#link-eth0", "up"))
    assert keys(schedule(configuration, healthy, NOW)) == []
    cut = status.with_node(state.with_attribute("#link-eth0", "down"))
    assert placements(configuration, cut) == dict.fromkeys(NAMES, "sb22")
    neither = cut.with_node(cut.nodes[1].with_attribute("#link-eth0", "down"))
    # Nowhere to go: the five that need no public link stay, and only the address stops.
    assert placements(configuration, neither) == dict.fromkeys(NAMES[:-1], "sb21") | {"public": ""}


@pytest.mark.parametrize(("stickiness", "stays"), [(50, "sb21"), (10, "sb22")])
def test_the_stickiness_of_all_members_together_beats_a_smaller_wish(
    stickiness: int, stays: str
) -> None:
    group = mail(**{n: primitive(n, resource_stickiness=stickiness) for n in NAMES})
    # 6 x 50 = 300 > 250, 6 x 10 = 60 < 250.
    configuration = configured(group, constraints=wish("mail", "sb22", 250))
    assert placements(configuration, pair(configuration))["public"] == stays


def test_a_member_that_shall_be_stopped_stops_with_the_later_ones() -> None:
    configuration = configured(mail(xinetd=primitive("xinetd", target_role="Stopped")))
    plan = schedule(configuration, pair(configuration), NOW)
    assert keys(plan) == stops("sb21", "public", "private", "xinetd")


def test_an_unmanaged_member_that_failed_is_left_alone_with_the_later_ones() -> None:
    configuration = configured(mail(postfix=primitive("postfix", is_managed="false")))
    failed = run("postfix", "monitor", 7, 3, 5)
    status = with_failure(pair(configuration), "sb21", "postfix", failed)
    assert [k for k in keys(schedule(configuration, status, NOW)) if "postfix" in k] == []


def test_a_failed_start_with_a_fatal_count_moves_the_group() -> None:
    configuration = configured()
    status = with_failure(pair(configuration), "sb21", "xinetd", run("xinetd", "start", 1, 9))
    assert placements(configuration, status) == dict.fromkeys(NAMES, "sb22")
    plan = schedule(configuration, status, NOW)
    assert before(plan, "stop xinetd sb21", "start xinetd sb22")


def test_a_resource_that_could_not_be_stopped_is_started_nowhere_else() -> None:
    configuration = configured(primitive("public"), constraints=wish("public", "sb21", "-INFINITY"))
    status = with_failure(pair(configuration), "sb21", "public", run("public", "stop", 1, 9))
    assert keys(schedule(configuration, status, NOW)) == []


def test_a_resource_that_runs_twice_stops_everywhere_before_it_starts_once() -> None:
    configuration = configured(primitive("public"))
    nodes = (member("sb21", running("public")), member("sb22", running("public")))
    plan = schedule(configuration, Status(nodes, True, "sb21"), NOW)
    assert sorted(keys(plan)) == ["start public sb21", "stop public sb21", "stop public sb22"]
    assert before(plan, "stop public sb22", "start public sb21")


def test_a_pending_start_is_not_repeated() -> None:
    pending = replace(run("public", "start", 193, 9), status=OperationStatus.PENDING)
    status = Status((member("sb21", ("public", (pending,))), member("sb22", idle("public"))), True)
    plan = schedule(configured(primitive("public")), status, NOW)
    assert [key for key in keys(plan) if "sb22" in key or "stop" in key] == []


def test_changed_parameters_restart_and_unchanged_ones_do_not() -> None:
    before_change = configured(primitive("public"))
    after_change = configured(primitive("public", parameter="other"))
    status = pair(before_change)
    assert keys(schedule(before_change, status, NOW)) == []
    assert keys(schedule(after_change, status, NOW)) == [
        "stop public sb21",
        "start public sb21",
    ]


@pytest.mark.parametrize("value", ["plain", "it's", "two  blanks", "tab\there", "<&>"])
def test_no_character_in_a_parameter_is_a_change_by_itself(value: str) -> None:
    quoted = value.replace("&", "&amp;").replace("<", "&lt;").replace("\t", "&#9;")
    configuration = configured(primitive("public", parameter=quoted))
    entry = run("public", "start")
    entry = replace(entry, operation=replace(entry.operation, parameters=(("name", value),)))
    status = Status((member("sb21", ("public", (entry,))), member("sb22", idle("public"))), True)
    plan = schedule(configuration, status, NOW)
    assert keys(plan) == []  # the monitor begins; nothing restarts


def test_a_removed_resource_is_stopped_and_forgotten_on_every_node() -> None:
    status = pair(configured(primitive("old")))
    plan = schedule(configured(primitive("new")), status, NOW)
    found = [(a.task, a.node) for a in plan.graph.actions if a.resource == "old"]
    assert sorted(found) == [("lrm_delete", "sb21"), ("lrm_delete", "sb22"), ("stop", "sb21")]
    assert before(plan, "stop old sb21", "lrm_delete old sb21")


@pytest.mark.parametrize(
    ("reaction", "expected"),
    [
        ("ignore", []),
        ("block", []),
        ("stop", ["stop public sb21"]),
        ("standby", ["stop public sb21", "start public sb22"]),
        ("restart", ["stop public sb21", "start public sb21"]),
    ],
)
def test_on_fail_decides_what_a_failed_monitor_means(reaction: str, expected: list[str]) -> None:
    configuration = configured(primitive("public", on_fail=reaction))
    failed = run("public", "monitor", 1, 3, 5)
    status = with_failure(pair(configuration), "sb21", "public", failed)
    assert keys(schedule(configuration, status, NOW)) == expected


@pytest.mark.parametrize(
    ("policy", "serving", "expected"),
    [
        ("stop", "sb21", ["stop public sb21"]),
        ("freeze", "sb21", []),
        ("freeze", "nobody", []),
        ("ignore", "nobody", ["start public sb21"]),
    ],
)
def test_without_quorum_the_policy_decides(policy: str, serving: str, expected: list[str]) -> None:
    configuration = configured(primitive("public"), no_quorum_policy=policy)
    status = replace(pair(configuration, serving=serving), have_quorum=False)
    assert keys(schedule(configuration, status, NOW)) == expected


def test_old_failures_are_forgotten_and_the_moment_is_foretold() -> None:
    configuration = configured(primitive("public", failure_timeout="60s", migration_threshold=1))
    status = pair(configuration, serving="nobody")
    state = status.nodes[0].with_attribute("fail-count-public#monitor_5000", "1")
    status = status.with_node(state.with_attribute("last-failure-public#monitor_5000", str(NOW)))
    assert placements(configuration, status, NOW + 60) == {"public": "sb22"}
    assert schedule(configuration, status, NOW + 60).recheck_at == NOW + 61
    # Forgotten when more than 60 s have passed.
    assert placements(configuration, status, NOW + 61) == {"public": "sb21"}
    late = schedule(configuration, status, NOW + 61)
    assert [a.task for a in late.graph.actions if a.node == "sb21"].count("clear_failcount") == 1
    assert late.recheck_at is None


def test_constraints_that_wait_for_each_other_are_never_run() -> None:
    loop = '<rsc_order id="o1" first="one" then="two"/><rsc_order id="o2" first="two" then="one"/>'
    configuration = configured(primitive("one"), primitive("two"), constraints=loop)
    plan = schedule(configuration, pair(configuration, serving="nobody"), NOW)
    assert keys(plan) == []


def test_a_dependent_follows_its_primary_and_never_runs_without_it() -> None:
    together = '<rsc_colocation id="c" rsc="a" with-rsc="b" score="INFINITY"/>'
    rules = together + wish("b", "sb21", "-INFINITY")
    configuration = configured(primitive("a"), primitive("b"), constraints=rules)
    status = pair(configuration, serving="nobody")
    assert placements(configuration, status) == {"a": "sb22", "b": "sb22"}
    stopped = primitive("b", target_role="Stopped")
    configuration = configured(primitive("a"), stopped, constraints=rules)
    assert placements(configuration, status) == {"a": "", "b": ""}


def test_negative_wishes_yield_to_a_member_that_sticks() -> None:
    sticky = mail(spool=primitive("spool", resource_stickiness=200))
    configuration = configured(sticky, constraints=wish("mail", "sb22", -100))
    plan = schedule(configuration, pair(configuration, serving="sb22"), NOW)
    # -100 + 200 = 100 > 0, and the wish against sb22 is not a ban.
    assert keys(plan) == []


def test_a_tie_above_nothing_keeps_a_resource_even_on_the_busier_node() -> None:
    one, two = primitive("one", resource_stickiness=9), primitive("two", resource_stickiness=100)
    configuration = configured(one, two, constraints=wish("two", "sb22", 100))
    # `one` makes sb21 the busier node; 100 here and 100 there for `two`.
    assert keys(schedule(configuration, pair(configuration), NOW)) == []


def test_a_dependent_has_a_say_even_while_it_is_stopped() -> None:
    together = '<rsc_colocation id="c" rsc="a" with-rsc="b" score="INFINITY"/>'
    configuration = configured(
        primitive("a", target_role="Stopped"),
        primitive("b"),
        constraints=together + wish("a", "sb22", "INFINITY"),
    )
    status = pair(configuration, serving="nobody")
    # crm_simulate 2.1.5 gives b a score of INFINITY on sb22, and 0 on sb21.
    assert placements(configuration, status) == {"a": "", "b": "sb22"}
