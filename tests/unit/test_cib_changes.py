"""Changes of a CIB: versions count them, nothing is none, and refusals say what was expected."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standfest.config.cib import load
from standfest.core.cib.changes import (
    AddConstraint,
    Change,
    ForgetHistory,
    ForgetRecurring,
    RecordResult,
    RemoveConstraint,
    ReplaceConfiguration,
    SetNodeAttribute,
    SetNodeState,
    SetQuorum,
    SetResourceMeta,
    SetTransientAttribute,
    apply,
    apply_all,
)
from standfest.core.cib.document import Cib
from standfest.model.element import Element
from standfest.model.errors import OperationError
from standfest.model.operations import Agent, Operation, OperationResult, OperationStatus
from standfest.model.status import Join, NodeState, Status, Version
from standfest.model.time import seconds
from standfest.model.xml import parse, serialise

CONFIGURATION = """<configuration><crm_config/><nodes><node id="17" uname="one"/></nodes>
<resources><group id="g"><primitive id="web" class="ocf" type="Dummy">
<meta_attributes id="m"><nvpair id="mine" name="target-role" value="Started"/></meta_attributes>
</primitive></group><primitive id="db" class="ocf" type="Dummy"/></resources>
<constraints><rsc_location id="l" rsc="web" node="one" score="1"/></constraints></configuration>"""
START = Cib(Version(1, 5, 9), parse(CONFIGURATION, "cib.xml"), Status())
DONE, PENDING = OperationStatus.DONE, OperationStatus.PENDING


def result(
    task: str,
    call: int,
    code: int = 0,
    *,
    every: int = 0,
    status: OperationStatus = DONE,
    expected: int = 0,
) -> OperationResult:
    operation = Operation(
        "web", Agent("ocf", "Dummy", "heartbeat"), task, seconds(every), seconds(20)
    )
    return OperationResult(
        Operation(
            operation.resource,
            operation.agent,
            task,
            operation.interval,
            operation.timeout,
            expected=expected,
        ),
        status,
        code,
        call,
    )


def calls_after(*results: OperationResult) -> list[int]:
    cib = apply_all(START, [RecordResult("one", entry) for entry in results])
    node = cib.status.node("one")
    assert node is not None
    return [entry.call_id for entry in node.of("web")]


def configured(change: Change) -> Element:
    return apply(START, change).configuration


def refusal_of(change: Change) -> str:
    with pytest.raises(OperationError) as raised:
        apply(START, change)
    return str(raised.value)


def location(identifier: str, resource: str) -> Element:
    names = (("id", identifier), ("rsc", resource), ("node", "one"), ("score", "7"))
    return Element("rsc_location", names)


# --- versions ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        RecordResult("one", result("start", 1)),
        SetNodeState("one", in_membership=True, online=True, join=Join.MEMBER, expected=True),
        SetTransientAttribute("one", "fail-count-web", "1"),
        SetQuorum(have_quorum=True, coordinator="one"),
    ],
)
def test_a_change_of_the_status_adds_one_to_num_updates_and_a_repetition_nothing(
    change: Change,
) -> None:
    once = apply(START, change)
    assert once.version == Version(1, 5, 10)
    assert once.configuration is START.configuration
    if not isinstance(change, RecordResult):
        assert apply(once, change) is once


@pytest.mark.parametrize(
    "change",
    [
        SetNodeAttribute("one", "standby", "on"),
        SetResourceMeta("web", "is-managed", "false"),
        SetResourceMeta("web", "target-role", None),
        AddConstraint(location("new", "db")),
        RemoveConstraint("l"),
        ReplaceConfiguration(Element("configuration")),
    ],
)
def test_a_change_of_the_configuration_adds_one_to_epoch_and_begins_num_updates_anew(
    change: Change,
) -> None:
    after = apply(START, change)
    assert after.version == Version(1, 6, 0)
    assert after.status is START.status


@pytest.mark.parametrize(
    "change",
    [
        SetQuorum(have_quorum=False, coordinator=""),
        ForgetHistory("one", "web"),
        ForgetHistory("one", ""),
        SetResourceMeta("web", "target-role", "Started"),
        SetResourceMeta("web", "never-set", None),
        SetNodeAttribute("one", "standby", None),
        SetNodeAttribute("unknown", "standby", None),
        ReplaceConfiguration(START.configuration),
    ],
)
def test_what_changes_nothing_is_the_same_object(change: Change) -> None:
    with_node = apply(START, SetTransientAttribute("one", "a", "b"))
    assert apply(with_node, change) is with_node


def test_one_refused_change_refuses_them_all() -> None:
    with pytest.raises(OperationError):
        apply_all(START, [SetNodeAttribute("one", "standby", "on"), RemoveConstraint("none")])
    assert START.version == Version(1, 5, 9)


# --- history -------------------------------------------------------------------------------------


def test_the_last_one_shot_operation_is_kept_and_the_last_of_each_recurring_one() -> None:
    assert calls_after(
        result("monitor", 1, 7, expected=7),
        result("start", 2),
        result("monitor", 3, every=10),
        result("monitor", 4, every=20),
        result("monitor", 5, every=10),
    ) == [2, 4, 5]


def test_a_successful_stop_ends_the_recurring_operations_and_a_failed_one_does_not() -> None:
    before = (result("start", 1), result("monitor", 2, every=10))
    assert calls_after(*before, result("stop", 3)) == [3]
    assert calls_after(*before, result("stop", 3, 1)) == [2, 3]


def test_the_last_failure_outlives_success_until_it_is_forgotten() -> None:
    failed = (result("start", 1), result("monitor", 2, 7, every=10))
    assert calls_after(*failed, result("stop", 3), result("start", 4)) == [2, 4]
    assert calls_after(*failed, result("stop", 3), result("start", 4, 1)) == [4]
    again = apply_all(
        START, [*(RecordResult("one", entry) for entry in failed), ForgetHistory("one", "web")]
    )
    assert again.status.node("one") == NodeState("one")


def test_a_probe_that_finds_nothing_else_than_expected_is_no_failure() -> None:
    assert calls_after(result("monitor", 1, 0, expected=7), result("stop", 2)) == [2]


def test_a_pending_operation_gives_way_to_its_result() -> None:
    running = result("start", 1, 193, status=PENDING)
    assert calls_after(running) == [1]
    assert calls_after(running, result("start", 1)) == [1]
    cib = apply_all(START, [RecordResult("one", running), RecordResult("one", result("start", 1))])
    node = cib.status.node("one")
    assert node is not None
    assert [entry.status for entry in node.of("web")] == [DONE]


def test_a_cancelled_recurring_operation_is_gone() -> None:
    cancelled = result("monitor", 3, every=10, status=OperationStatus.CANCELLED)
    assert calls_after(result("start", 1), result("monitor", 2, every=10), cancelled) == [1]


def test_the_history_of_all_resources_can_be_forgotten_at_once() -> None:
    cib = apply_all(START, [RecordResult("one", result("start", 1)), ForgetHistory("one", "")])
    assert cib.status.nodes == (NodeState("one"),)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["start", "stop", "monitor"]),
            st.sampled_from([0, 10, 20]),
            st.sampled_from([0, 1, 7]),
        ),
        max_size=30,
    )
)
def test_a_history_never_grows_beyond_what_scheduling_needs(
    steps: list[tuple[str, int, int]],
) -> None:
    entries = [
        result(task, call, code, every=every if task == "monitor" else 0)
        for call, (task, every, code) in enumerate(steps, 1)
    ]
    calls = calls_after(*entries) if entries else []
    assert len(calls) <= 4  # one one-shot, two recurring, one failure
    assert calls == sorted(calls)
    assert not entries or calls[-1] == len(entries)  # the newest is always there


# --- status --------------------------------------------------------------------------------------


def test_a_node_that_goes_keeps_its_history_and_attributes() -> None:
    cib = apply_all(
        START,
        [
            RecordResult("one", result("start", 1)),
            SetTransientAttribute("one", "b", "2"),
            SetTransientAttribute("one", "a", "1"),
            SetNodeState("one", in_membership=False, online=False, join=Join.DOWN, expected=True),
        ],
    )
    (node,) = cib.status.nodes
    assert node.attributes == (("a", "1"), ("b", "2"))
    assert [entry.call_id for entry in node.of("web")] == [1]
    assert (node.in_membership, node.online, node.expected) == (False, False, True)
    removed = apply(cib, SetTransientAttribute("one", "a", None))
    assert removed.status.nodes[0].attributes == (("b", "2"),)


# --- configuration -------------------------------------------------------------------------------


def test_a_value_changes_in_place_and_keeps_its_id() -> None:
    configuration = configured(SetResourceMeta("web", "target-role", "Stopped"))
    (pair,) = [e for e in configuration.walk() if e.id == "mine"]
    assert dict(pair.attributes) == {"id": "mine", "name": "target-role", "value": "Stopped"}


def test_a_meta_attribute_of_a_resource_without_any_gets_a_set() -> None:
    configuration = configured(SetResourceMeta("db", "target-role", "Stopped"))
    assert '<nvpair id="db-meta_attributes-target-role" name="target-role" value="Stopped"/>' in (
        serialise(configuration)
    )


def test_a_group_takes_meta_attributes_too() -> None:
    configuration = configured(SetResourceMeta("g", "is-managed", "false"))
    group = next(e for e in configuration.walk() if e.id == "g")
    assert group.children[0].id == "g-meta_attributes"


def test_a_permanent_attribute_makes_the_entry_of_a_node_that_has_none() -> None:
    configuration = configured(SetNodeAttribute("two", "standby", "on"))
    nodes = configuration.child("nodes")
    assert nodes is not None
    assert [(node.id, node.get("uname")) for node in nodes.children] == [
        ("17", "one"),
        ("two", "two"),
    ]
    assert dict(nodes.children[1].children[0].children[0].attributes) == {
        "id": "nodes-two-standby",
        "name": "standby",
        "value": "on",
    }


def test_an_edit_never_uses_an_id_twice_because_the_result_could_not_be_read_again() -> None:
    taken = parse(
        CONFIGURATION.replace(
            "<crm_config/>",
            '<crm_config><cluster_property_set id="db-meta_attributes">'
            '<nvpair id="db-meta_attributes-1-target-role" name="cluster-name" value="x"/>'
            "</cluster_property_set></crm_config>",
        ),
        "cib.xml",
    )
    cib = apply(Cib(Version(), taken, Status()), SetResourceMeta("db", "target-role", "Stopped"))
    again = load([("cib.xml", serialise(cib.configuration))])
    assert again.configuration == cib.configuration


def test_constraints_are_added_at_the_end_and_removed_by_id() -> None:
    after = apply_all(START, [AddConstraint(location("new", "g")), RemoveConstraint("l")])
    section = after.configuration.child("constraints")
    assert section is not None
    assert [child.id for child in section.children] == ["new"]


def test_a_section_that_was_missing_gets_its_place() -> None:
    cib = Cib(Version(), parse("<configuration><op_defaults/></configuration>", "x"), Status())
    after = apply(cib, SetNodeAttribute("one", "standby", "on"))
    assert [child.tag for child in after.configuration.children] == ["nodes", "op_defaults"]


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        (SetResourceMeta("wbe", "a", "b"), 'no resource wbe; expected "web"'),
        (SetResourceMeta("mail", "a", "b"), "no resource mail; expected one of: db, g, web"),
        (RemoveConstraint("x"), "no constraint x; expected one of: l"),
        (AddConstraint(location("l", "web")), "id l exists already; expected a new one"),
        (AddConstraint(location("web", "web")), "id web exists already; expected a new one"),
        (AddConstraint(location("new", "wbe")), 'no resource wbe; expected "web"'),
    ],
)
def test_a_refusal_is_one_line_that_says_what_was_expected(change: Change, refusal: str) -> None:
    assert refusal_of(change) == refusal


@pytest.mark.parametrize("task", ["start", "promote", "demote", "migrate_to", "migrate_from"])
def test_a_change_of_state_ends_the_monitors_from_before(task: str) -> None:
    assert calls_after(result("start", 1), result("monitor", 2, every=5), result(task, 3)) == [3]


def test_a_cancelled_monitor_counts_no_more_and_a_failed_one_still_does() -> None:
    known = [
        RecordResult("one", entry)
        for entry in (
            result("start", 1),
            result("monitor", 2, every=5),
            result("monitor", 3, 7, every=9),
        )
    ]
    before = apply_all(START, known)
    over = [ForgetRecurring("one", "web", "monitor", seconds(every)) for every in (5, 9)]
    node = apply_all(before, over).status.node("one")
    assert node is not None
    assert [entry.call_id for entry in node.of("web")] == [1, 3]
    unknown = ForgetRecurring("one", "db", "monitor", seconds(5))
    assert apply(before, unknown) is before
