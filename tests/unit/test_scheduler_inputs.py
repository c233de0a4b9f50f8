"""What the coordinator gives the scheduler is what a reader of the CIB would read."""

from hypothesis import given
from hypothesis import strategies as st

from standfest.analysis.replay import compare, recorded_steps
from standfest.config.cib import compile_configuration, load
from standfest.config.cib.status import read_status
from standfest.config.recorded import read
from standfest.core.cib.document import Cib
from standfest.core.cib.status_xml import status_element
from standfest.core.scheduler.engine import decide
from standfest.core.scheduler.schedule import schedule
from standfest.model.configuration import NoQuorumPolicy
from standfest.model.history import Entry, NodeRecord, Recorded, Ticket
from standfest.model.operations import Agent, Operation, OperationResult, OperationStatus
from standfest.model.status import Join, NodeState, Status, Version
from standfest.model.tickets import Tickets, TicketState
from standfest.model.time import seconds
from standfest.model.xml import parse, serialise
from standfest.runtime.cluster import inputs
from standfest.runtime.cluster.effects import KeepInput

CIB = """<configuration><crm_config><cluster_property_set id="o">
<nvpair id="o1" name="stonith-enabled" value="false"/>
<nvpair id="o2" name="no_quorum_policy" value="ignore"/></cluster_property_set></crm_config>
<nodes><node id="17" uname="a"/></nodes>
<resources><primitive id="ip" class="ocf" type="IPaddr"><instance_attributes id="i">
<nvpair id="n" name="nic" value="eth0"/></instance_attributes></primitive></resources>
</configuration>"""
ELEMENT = load([("cib.xml", CIB)]).configuration
WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=8)
TASKS = st.sampled_from(
    ["start", "stop", "monitor", "promote", "demote", "migrate_to", "migrate_from"]
)


@st.composite
def results(draw: st.DrawFn, call: int) -> OperationResult:
    task = draw(TASKS)
    interval = draw(st.sampled_from([0, 5, 10])) if task == "monitor" else 0
    meta = (("migrate_target", "b"),) if task == "migrate_to" else ()
    operation = Operation(
        "ip",
        Agent("ocf", "IPaddr", "heartbeat"),
        task,
        seconds(interval),
        seconds(20),
        parameters=tuple(sorted(draw(st.dictionaries(WORDS.filter(bool), WORDS)).items())),
        meta=meta,
        key=draw(st.sampled_from(["", "3:4:7:00000000-0000-4000-8000-000000000000"])),
        expected=7 if task == "monitor" and not interval else 0,
    )
    if operation.key:
        operation = Operation(
            **{n: getattr(operation, n) for n in operation.__slots__} | {"expected": 7}
        )
    status = draw(st.sampled_from([OperationStatus.DONE, OperationStatus.PENDING]))
    return OperationResult(
        operation, status, draw(st.sampled_from([0, 1, 7, 8, 193])), call, draw(WORDS), 5, 6
    )


@st.composite
def statuses(draw: st.DrawFn) -> Status:
    nodes = []
    for name in ("a", "b"):
        entries = tuple(draw(results(call)) for call in range(1, draw(st.integers(1, 5))))
        history = (("ip", entries),) if entries else ()
        attributes = draw(st.sampled_from([(), (("#link-eth0", "down"),), (("shutdown", "1"),)]))
        up = draw(st.booleans())
        join = draw(st.sampled_from(list(Join)))
        nodes.append(NodeState(name, up, up, join, draw(st.booleans()), history, attributes))
    quorum, coordinator = draw(st.booleans()), draw(st.sampled_from(["", "a", "b"]))
    return Status(tuple(nodes), quorum, coordinator, draw(tickets()))


@st.composite
def tickets(draw: st.DrawFn) -> Tickets:
    values = st.sampled_from(["true", "FALSE", "Yes", "y", "1", "0", "", "1700000000", "-5", "²"])
    names = st.sampled_from(["granted", "standby", "last-granted", "geo"])
    found = draw(st.dictionaries(WORDS, st.dictionaries(names, values), max_size=3))
    states = tuple(TicketState(name, tuple(pairs.items())) for name, pairs in found.items())
    return Tickets(states, (draw(st.integers(0, 9)), draw(st.integers(0, 9))))


def facts(entry: Entry) -> tuple[object, ...]:
    """All that the scheduler reads of an entry."""
    return (
        entry.id,
        entry.task,
        entry.interval,
        entry.exit_code,
        entry.status,
        entry.key,
        entry.transition,
        entry.expected,
        entry.call_id,
        entry.last_change,
        entry.failed,
        entry.digest,
        entry.migrate_target,
    )


def node_facts(node: NodeRecord) -> tuple[object, ...]:
    history = [(r.id, r.agent, [facts(e) for e in r.entries]) for r in node.history]
    wanted = ("in_ccm", "crmd", "join", "expected")
    return node.id, node.name, [node.attributes.get(n) for n in wanted], node.transient, history


def all_facts(recorded: Recorded) -> tuple[object, ...]:
    dc, quorum = recorded.attributes.get("dc-uuid"), recorded.attributes.get("have-quorum")
    return dc, quorum, [node_facts(node) for node in recorded.nodes], recorded.tickets


@given(known=tickets())
def test_tickets_as_written_are_read_as_they_were(known: Tickets) -> None:
    written = status_element(Status(tickets=known), ELEMENT)
    read_back = read_status(parse(serialise(written), "status"), compile_configuration(ELEMENT)[0])
    assert read_back.tickets.states == known.states


def test_what_a_ticket_says_counts_in_any_case_and_a_time_that_is_none_is_0() -> None:
    said = (("granted", "YES"), ("standby", "off"), ("last-granted", "soon"))
    assert Ticket.stated("T", dict(said)) == Ticket("T", True, False, 0)
    assert Ticket.stated("T", {"last-granted": "1700000000"}).last_granted == 1_700_000_000


@given(status=statuses())
def test_the_status_as_given_is_the_status_as_written_and_read(status: Status) -> None:
    cib = Cib(Version(0, 5, 17), ELEMENT, status)
    _, written = read(inputs.document(KeepInput(cib, 1_700_000_000, ())), "kept")
    assert written.attributes["execution-date"] == "1700000000"
    assert all_facts(inputs.recorded(cib)) == all_facts(written)


def test_every_node_of_the_installation_is_the_schedulers_to_use() -> None:
    # The CIB names a, ha.cf both: without b in it the address would have nowhere to go.
    configuration, _ = compile_configuration(ELEMENT)
    known = inputs.effective(ELEMENT, configuration, ("a", "b"), policy=None)
    nodes = known.child("nodes")
    assert nodes is not None
    assert [(n.id, n.get("uname")) for n in nodes.children] == [("17", "a"), ("b", "b")]


def test_the_policy_that_counts_now_is_the_given_one_whatever_the_configuration_says() -> None:
    configuration, _ = compile_configuration(ELEMENT)
    agent = Agent("ocf", "IPaddr", "heartbeat")
    operation = Operation("ip", agent, "start", 0, seconds(20), (("nic", "eth0"),))
    started = OperationResult(operation, OperationStatus.DONE, 0, 1)
    state = NodeState("a", True, True, Join.MEMBER, True, (("ip", (started,)),))
    cib = Cib(Version(), ELEMENT, Status((state,), have_quorum=False, coordinator="a"))
    stop, freeze = NoQuorumPolicy.STOP, NoQuorumPolicy.FREEZE
    for policy, expected in ((None, ()), (stop, ("ip_stop_0 a",)), (freeze, ())):
        known = inputs.effective(ELEMENT, configuration, ("a",), policy=policy)
        plan = schedule(known, inputs.recorded(cib), 1_700_000_000)
        assert plan.steps == expected


def test_a_result_that_holds_two_hyphens_does_not_end_its_comment() -> None:
    cib = Cib(Version(), ELEMENT, Status())
    text = inputs.document(KeepInput(cib, 1, ("a--b_start_0 node--1",)))
    assert text.count("--") == 2  # the comment's own
    assert read(text, "kept")[1].attributes["execution-date"] == "1"


def test_a_replay_says_what_was_decided_otherwise() -> None:
    cib = Cib(Version(), ELEMENT, Status((NodeState("a", True, True, Join.MEMBER, True),), True))
    wall = 1_700_000_000
    steps = schedule(ELEMENT, inputs.recorded(cib), wall).steps
    assert steps == ("ip_monitor_0 a", "ip_start_0 a")
    for kept, expected in (
        (steps, ["Replay: as decided when it was recorded (2 steps)"]),
        (
            ("ip_monitor_0 a", "ip_start_0 b"),
            [
                "Replay: decided otherwise when it was recorded",
                "  only then: ip_start_0 b",
                "  only now:  ip_start_0 a",
            ],
        ),
    ):
        text = inputs.document(KeepInput(cib, wall, kept)).encode()
        then = recorded_steps(text)
        assert then == kept
        assert compare(then, decide(*read(text, "kept"), wall)) == expected


def test_a_cib_that_nobody_recorded_has_no_steps_to_compare_with() -> None:
    assert recorded_steps(b"<cib><configuration/></cib>") is None
    assert recorded_steps(b'<cib/><!-- standfest-result ["a", 1] -->') is None
    assert recorded_steps(b"<cib/><!-- standfest-result [ -->") is None
