"""The status as XML: what today's tools need, by the letter, and back."""

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standfest.config.cib import compile_configuration, load, read_status
from standfest.core.cib.document import Author, Cib
from standfest.core.cib.status_xml import cib_element, digest, status_element
from standfest.model.configuration import Configuration
from standfest.model.element import Element
from standfest.model.operations import Agent, Operation, OperationResult, OperationStatus
from standfest.model.status import Join, NodeState, Status, Version
from standfest.model.time import milliseconds, seconds
from standfest.model.xml import parse

SAMPLES = Path(__file__).parents[3] / "shared/facts/formats/samples/cibs"
needs_samples = pytest.mark.skipif(not SAMPLES.is_dir(), reason="the samples are not here")
NODES = parse('<configuration><nodes><node id="17" uname="one"/></nodes></configuration>', "x")
AGENT = Agent("ocf", "Dummy", "heartbeat")
KEY = "5:3:0:01234567-89ab-cdef-0123-456789abcdef"


def run(
    task: str,
    call: int,
    code: int = 0,
    *,
    every: int = 0,
    status: OperationStatus = OperationStatus.DONE,
    parameters: tuple[tuple[str, str], ...] = (),
) -> OperationResult:
    operation = Operation(
        "web", AGENT, task, seconds(every), seconds(20), parameters, key=KEY, expected=0
    )
    return OperationResult(operation, status, code, call, last_change=1_760_011_200)


def written(*entries: OperationResult) -> Element:
    state = NodeState("one", True, True, Join.MEMBER, True, (("web", entries),))
    return status_element(Status((state,)), NODES)


def ids(status: Element) -> list[tuple[str, str | None]]:
    return [(e.id, e.get("call-id")) for e in status.walk() if e.tag == "lrm_rsc_op"]


def test_a_whole_cib_says_version_quorum_and_coordinator() -> None:
    status = Status((NodeState("one"),), have_quorum=True, coordinator="one")
    author = Author(1_760_011_200, "root", "cibadmin", "two")
    cib = Cib(Version(1, 22, 333), NODES, status, author=author)
    element = cib_element(cib, clock=lambda at: f"then ({at})")
    assert element.attributes == (
        ("crm_feature_set", "3.16.1"),
        ("validate-with", "pacemaker-3.9"),
        ("admin_epoch", "1"),
        ("epoch", "22"),
        ("num_updates", "333"),
        ("have-quorum", "1"),
        ("dc-uuid", "17"),
        ("cib-last-written", "then (1760011200)"),
        ("update-origin", "two"),
        ("update-client", "cibadmin"),
        ("update-user", "root"),
    )
    assert [child.tag for child in element.children] == ["configuration", "status"]


@pytest.mark.parametrize(
    ("state", "attributes"),
    [
        (
            NodeState("one", True, True, Join.MEMBER, True),
            {"in_ccm": "true", "crmd": "online", "join": "member", "expected": "member"},
        ),
        (  # an orderly leave
            NodeState("one", False, False, Join.DOWN, False),
            {"in_ccm": "false", "crmd": "offline", "join": "down", "expected": "down"},
        ),
        (  # a loss
            NodeState("one", False, False, Join.DOWN, True),
            {"in_ccm": "false", "crmd": "offline", "join": "down", "expected": "member"},
        ),
    ],
)
def test_a_nodes_state_is_written_in_booleans(state: NodeState, attributes: dict[str, str]) -> None:
    (node,) = status_element(Status((state,)), NODES).children
    assert dict(node.attributes) == {
        "id": "17",
        "uname": "one",
        "crm-debug-origin": "standfest",
        **attributes,
    }


def test_transient_attributes_have_the_ids_that_tools_look_for() -> None:
    state = NodeState("one", attributes=(("fail-count-web#monitor_10000", "2"),))
    (node,) = status_element(Status((state,)), NODES).children
    (transient,) = node.children
    assert (transient.tag, transient.id) == ("transient_attributes", "17")
    assert transient.children[0].id == "status-17"
    assert dict(transient.children[0].children[0].attributes) == {
        "id": "status-17-fail-count-web#monitor_10000",
        "name": "fail-count-web#monitor_10000",
        "value": "2",
    }


def test_an_operation_has_every_attribute_that_tools_need() -> None:
    (resource,) = [e for e in written(run("start", 4)).walk() if e.tag == "lrm_resource"]
    assert resource.attributes == (
        ("id", "web"),
        ("class", "ocf"),
        ("type", "Dummy"),
        ("provider", "heartbeat"),
    )
    assert dict(resource.children[0].attributes) == {
        "id": "web_last_0",
        "operation_key": "web_start_0",
        "operation": "start",
        "crm_feature_set": "3.16.1",
        "transition-key": KEY,
        "transition-magic": f"0:0;{KEY}",
        "call-id": "4",
        "rc-code": "0",
        "op-status": "0",
        "interval": "0",
        "last-rc-change": "1760011200",
        "exec-time": "0",
        "queue-time": "0",
        "op-digest": "f2317cad3d54cec5d7d7aa7d0bf35cf8",  # that of <parameters/>
    }


def test_entries_stand_as_the_last_of_their_kind_and_as_the_last_failure() -> None:
    assert ids(written(run("start", 1), run("monitor", 2, every=10))) == [
        ("web_last_0", "1"),
        ("web_monitor_10000", "2"),
    ]
    assert ids(written(run("start", 1), run("monitor", 2, 7, every=10))) == [
        ("web_last_0", "1"),
        ("web_monitor_10000", "2"),
        ("web_last_failure_0", "2"),
    ]
    # The monitor does not run any more, but its failure is still the last one.
    assert ids(written(run("monitor", 2, 7, every=10), run("start", 4))) == [
        ("web_last_failure_0", "2"),
        ("web_last_0", "4"),
    ]
    assert ids(written(run("monitor", 2, 7, every=10), run("stop", 3))) == [
        ("web_last_failure_0", "2"),
        ("web_last_0", "3"),
    ]


def test_an_operation_in_progress_has_no_call_yet() -> None:
    pending = run("start", 9, 193, status=OperationStatus.PENDING)
    (element,) = [e for e in written(pending).walk() if e.tag == "lrm_rsc_op"]
    assert (element.get("call-id"), element.get("rc-code"), element.get("op-status")) == (
        "-1",
        "193",
        "-1",
    )


def test_a_digest_is_of_the_parameters_as_2_1_5_writes_them() -> None:
    parameters = (("z", "it's"), ("a", '<b> & "c"\td\ne'))
    # Sorted by name, entities for all five characters, four blanks for a tab, \n in two letters.
    text = (
        ' <parameters CRM_meta_timeout="20000" a="&lt;b&gt; &amp; &quot;c&quot;    d\\ne" '
        'z="it&apos;s"/>\n'
    )
    expected = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
    assert digest(run("monitor", 1, every=10, parameters=parameters)) == expected


@needs_samples
def test_digests_are_those_that_pacemaker_computed() -> None:
    checked = 0
    for path in sorted(SAMPLES.glob("*.xml")):
        root = parse(path.read_bytes(), path.name)
        status = root.child("status")
        configuration, _ = compile_configuration(
            load([(path.name, path.read_text())]).configuration
        )
        assert status is not None
        primitives = {p.id: p for p in configuration.primitives()}
        for resource in (e for e in status.walk() if e.tag == "lrm_resource"):
            primitive = primitives.get(resource.id)
            for element in resource.all("lrm_rsc_op"):
                if primitive is None or element.get("op-digest") is None:
                    continue
                every = milliseconds(int(element.get("interval") or "0"))
                task = element.get("operation") or ""
                known = {(op.name, op.interval): op for op in primitive.operations}
                entry = known.get((task, every))
                parameters = dict(primitive.parameters) | dict(
                    entry.parameters if entry is not None else ()
                )
                operation = Operation(
                    resource.id,
                    primitive.agent,
                    task,
                    every,
                    entry.timeout if entry is not None else primitive.default_timeout,
                    tuple(sorted(parameters.items())),
                )
                ours = digest(OperationResult(operation, OperationStatus.DONE, 0, 1))
                assert ours == element.get("op-digest"), (path.name, element.id)
                checked += 1
    assert checked >= 20


statuses = st.sampled_from([OperationStatus.DONE, OperationStatus.TIMEOUT, OperationStatus.ERROR])
results = st.builds(
    lambda task, every, code, status, reason: (task, every, code, status, reason),
    st.sampled_from(["start", "stop", "monitor"]),
    st.sampled_from([0, 10, 20]),
    st.sampled_from([0, 1, 7]),
    statuses,
    st.sampled_from(["", "the disk is full", 'quote " and <tag> & more']),
)


@given(
    st.lists(results, max_size=4),
    st.booleans(),
    st.sampled_from(Join),
    st.dictionaries(st.sampled_from(["a", "b", "#c"]), st.text("xyz0<&", max_size=3)),
)
def test_a_status_that_was_written_is_read_back(
    steps: list[tuple[str, int, int, OperationStatus, str]],
    present: bool,
    join: Join,
    attributes: dict[str, str],
) -> None:
    entries: dict[tuple[str, int], OperationResult] = {}
    for call, (task, every, code, status, reason) in enumerate(steps, 1):
        every_ns = seconds(every) if task == "monitor" else 0
        # Timeout and parameters are not part of a recorded history, so none are given.
        operation = Operation("web", AGENT, task, every_ns, 0, key=KEY, expected=0)
        kind = (task, every_ns) if every_ns else ("", 0)
        if task == "start" or (task == "stop" and code == 0 and status is OperationStatus.DONE):
            entries.clear()
        entries[kind] = OperationResult(operation, status, code, call, reason, last_change=5)
    ordered = tuple(sorted(entries.values(), key=lambda entry: entry.call_id))
    history = (("web", ordered),) if ordered else ()
    state = NodeState(
        "one", present, not present, join, present, history, tuple(sorted(attributes.items()))
    )
    before = Status((state,), have_quorum=True, coordinator="one")
    element = status_element(before, NODES)
    after = read_status(element, Configuration(), have_quorum=True, coordinator="one")
    assert after == before


def test_a_node_of_a_newer_release_is_a_member_since_a_time() -> None:
    text = '<status><node_state id="17" in_ccm="{}" crmd="online"/></status>'
    for word, member in [("1760011200", True), ("0", False), ("garbage", False)]:
        status = read_status(parse(text.format(word), "x"), Configuration())
        assert [node.in_membership for node in status.nodes] == [member]


def test_a_damaged_status_is_read_without_what_is_damaged() -> None:
    text = """<status><node_state id="17" uname="one" join="perhaps"><lrm id="17"><lrm_resources>
      <lrm_resource id="web"><lrm_rsc_op id="a"/><lrm_rsc_op id="b" operation="start" rc-code="x"
      call-id="999999999999999999999" op-status="77" transition-key="::"/></lrm_resource>
      </lrm_resources></lrm></node_state></status>"""
    (node,) = read_status(parse(text, "x"), Configuration()).nodes
    assert node.join is Join.DOWN
    (entry,) = node.of("web")
    assert (entry.operation.task, entry.exit_code, entry.call_id, entry.status) == (
        "start",
        0,
        0,
        OperationStatus.ERROR,
    )
