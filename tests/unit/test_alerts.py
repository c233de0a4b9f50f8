"""Alerts: what of <alerts> counts, what is an event, and what an agent is told of it."""

import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from standfest.analysis.filecheck import check as check_files
from standfest.analysis.verify import verify
from standfest.config.cib import checked, compile_configuration
from standfest.config.cib.alerts import compile_alerts
from standfest.config.keepalived.source import Setting
from standfest.core.cib.document import Cib
from standfest.core.executor.effects import Report
from standfest.daemons.alertcall import timestamp, variables
from standfest.daemons.included import DiskFiles
from standfest.model import xml
from standfest.model.alerts import AlertKind, AlertTarget
from standfest.model.element import Element
from standfest.model.errors import ConfigError
from standfest.model.fencing import FencingRecord, FencingState
from standfest.model.operations import Agent, Operation, OperationResult, OperationStatus
from standfest.model.status import Join, NodeState, Status, Version
from standfest.model.time import milliseconds, seconds
from standfest.runtime.cluster import events
from standfest.runtime.cluster.effects import Alert
from standfest.runtime.cluster.herald import Herald
from standfest.runtime.cluster.translate import executed

SECTIONS = "<crm_config/><nodes>{nodes}</nodes><resources/><constraints/>"


def configuration(alerts: str = "", nodes: str = "") -> Element:
    sections = SECTIONS.format(nodes=nodes)
    inside = f"<configuration>{sections}<alerts>{alerts}</alerts></configuration>"
    return xml.parse(inside, "cib.xml")


def meta(prefix: str, **given: str) -> str:
    pairs = (
        f'<nvpair id="{prefix}-{name}" name="{name.replace("_", "-")}" value="{value}"/>'
        for name, value in given.items()
    )
    return f'<meta_attributes id="{prefix}">{"".join(pairs)}</meta_attributes>'


def instance(prefix: str, **given: str) -> str:
    return meta(prefix, **given).replace("meta_attributes", "instance_attributes")


# --- what is configured ---------------------------------------------------------------------------

ALL_BUT_ATTRIBUTES = frozenset({AlertKind.NODE, AlertKind.FENCING, AlertKind.RESOURCE})


def test_an_alert_without_recipients_is_called_once_and_told_all_but_attributes() -> None:
    [target] = compile_alerts(configuration('<alert id="a" path="/bin/a"/>'))
    assert (target.alert, target.path, target.recipient, target.value) == ("a", "/bin/a", "", None)
    assert target.timeout == 30_000_000_000
    assert target.timestamp_format == "%H:%M:%S.%06N"
    assert [kind for kind in AlertKind if target.wants(kind, "x")] == [
        AlertKind.NODE,
        AlertKind.FENCING,
        AlertKind.RESOURCE,
    ]
    assert target.kinds == ALL_BUT_ATTRIBUTES


def test_a_recipient_has_the_alerts_values_and_its_own_before_them() -> None:
    text = f"""<alert id="a" path="/bin/a">{meta("m", timeout="15s", timestamp_format="%H")}
    {instance("i", colour="red", size="1")}
    <recipient id="r1" value="one"/>
    <recipient id="r2" value="two">{meta("m2", timeout="2min")}{instance("i2", colour="blue")}
    </recipient></alert>"""
    first, second = compile_alerts(configuration(text))
    assert (first.recipient, first.value, first.timeout) == ("r1", "one", 15_000_000_000)
    assert (second.recipient, second.value, second.timeout) == ("r2", "two", 120_000_000_000)
    assert (first.timestamp_format, second.timestamp_format) == ("%H", "%H")
    assert first.environment == (("colour", "red"), ("size", "1"))
    assert second.environment == (("colour", "blue"), ("size", "1"))


def test_what_is_switched_off_is_not_called() -> None:
    recipients = f'<recipient id="r" value="v">{meta("n", enabled="false")}</recipient>'
    one = f'<alert id="a" path="/bin/a">{recipients}<recipient id="s" value="w"/></alert>'
    inside = f'{meta("m", enabled="no")}<recipient id="t" value="x"/>'
    off = f'<alert id="b" path="/bin/b">{inside}</alert>'
    assert [t.recipient for t in compile_alerts(configuration(one + off))] == ["s"]
    alone = f'<alert id="a" path="/bin/a">{recipients}</alert>'
    assert compile_alerts(configuration(alone)) == ()  # not once without a recipient


@pytest.mark.parametrize(
    ("select", "kinds", "wanted", "unwanted"),
    [
        ("<select_nodes/>", {AlertKind.NODE}, (), ("x",)),
        ("<select_fencing/><select_resources/>", {AlertKind.FENCING, AlertKind.RESOURCE}, (), ()),
        ("<select_attributes/>", {AlertKind.ATTRIBUTE}, ("standby", "x"), ()),
        (
            '<select_attributes><attribute id="s1" name="standby"/></select_attributes>',
            {AlertKind.ATTRIBUTE},
            ("standby",),
            ("x",),
        ),
        ("", set(), (), ("x",)),
    ],
)
def test_an_alert_is_told_what_it_selects(
    select: str, kinds: set[AlertKind], wanted: tuple[str, ...], unwanted: tuple[str, ...]
) -> None:
    text = f'<alert id="a" path="/bin/a"><select>{select}</select></alert>'
    [target] = compile_alerts(configuration(text))
    assert target.kinds == kinds
    assert all(target.wants(AlertKind.ATTRIBUTE, name) for name in wanted)
    assert not any(target.wants(AlertKind.ATTRIBUTE, name) for name in unwanted)


def test_what_has_no_effect_as_it_is_written_is_warned_of_and_does_not_count() -> None:
    text = f"""<alert id="a" path="bin/a"/>
    <alert id="b" path="/bin/b">{meta("m", timeout="soon", enabled="perhaps", time_out="1s")}
    <recipient id="r" value="v">{meta("n", timeout="0")}</recipient></alert>"""
    element = configuration(text)
    assert [finding.problem for finding in compile_configuration(element)[1]] == [
        "alert a: path 'bin/a': it is never called",
        "timeout of alert b is 'soon': it does not count",
        "enabled of alert b is 'perhaps': it does not count",
        "time-out of alert b has no effect",
        "timeout of recipient r is '0': it does not count",
    ]
    [target] = compile_alerts(element)
    assert (target.path, target.timeout) == ("/bin/b", seconds(30))


def test_a_set_with_a_rule_is_warned_of_and_does_not_count() -> None:
    rule = '<rule id="r"><date_expression id="d" operation="gt" start="2000-01-01"/></rule>'
    sets = meta("m", timeout="1s").replace("><nvpair", f">{rule}<nvpair", 1)
    element = configuration(f'<alert id="b" path="/bin/b">{sets}</alert>')
    [warning] = compile_configuration(element)[1]
    assert warning.problem == "m has a rule: it does not count for alerts"
    assert compile_alerts(element)[0].timeout == seconds(30)


def test_what_no_alert_has_is_refused_when_the_configuration_is_changed() -> None:
    for text in ('<alert id="a"/>', '<alert id="a" path="/x"><colour/></alert>'):
        with pytest.raises(ConfigError):
            checked(configuration(text), "cib.xml")


def test_an_agent_that_is_not_here_is_warned_of_by_check_and_crm_verify() -> None:
    text = f"""<cib validate-with="pacemaker-3.0" admin_epoch="0" epoch="1" num_updates="0">
    <configuration>{SECTIONS.format(nodes="")}<alerts>
    <alert id="a" path="/nowhere/at/all"/><alert id="b" path="/etc/passwd"/>
    <alert id="c" path="/bin/sh"/></alerts></configuration><status/></cib>"""
    text = text.replace("<crm_config/>", "<crm_config>{}</crm_config>").format(
        '<cluster_property_set id="o"><nvpair id="o1" name="stonith-enabled" value="false"/>'
        "</cluster_property_set>"
    )
    wanted = [
        "cib.xml:3: warning: alert a: /nowhere/at/all is no executable file on this machine; "
        "expected an executable file on every node",
        "cib.xml:3: warning: alert b: /etc/passwd is no executable file on this machine; "
        "expected an executable file on every node",
    ]
    verdict = verify(text, "cib.xml")
    assert (verdict.errors, list(verdict.notes)) == ((), wanted)
    found = check_files([("cib.xml", text)], Setting("", {}), DiskFiles())
    assert [line for line in map(str, found.findings) if "alert" in line] == wanted


# --- what is an event -----------------------------------------------------------------------------


def result(task: str, code: int, *, interval: int = 0, expected: int = 0) -> OperationResult:
    asked = Operation("db", Agent("ocf", "Dummy", "x"), task, interval, seconds(20))
    asked = replace(asked, expected=expected)
    return OperationResult(asked, OperationStatus.DONE, code, 7, run_time=milliseconds(1234))


def test_how_an_operation_ended_is_told_with_its_variables() -> None:
    [event] = events.operation("alice", result("monitor", 7, interval=seconds(10)))
    assert event == Alert(
        AlertKind.RESOURCE,
        (
            ("node", "alice"),
            ("rsc", "db"),
            ("task", "monitor"),
            ("interval", "10000"),
            ("desc", "not running"),
            ("status", "0"),
            ("target_rc", "0"),
            ("rc", "7"),
            ("exec_time", "1234"),
        ),
    )


def test_an_operation_that_took_too_long_is_told_by_its_status() -> None:
    late = replace(result("start", 1), status=OperationStatus.TIMEOUT)
    [event] = events.operation("alice", late)
    assert dict(event.fields)["desc"] == "Timed Out"
    assert dict(event.fields)["status"] == "2"


def test_a_probe_is_told_only_where_it_finds_something_else() -> None:
    assert events.operation("alice", result("monitor", 7, expected=7)) == []
    [event] = events.operation("alice", result("monitor", 0, expected=7))
    assert dict(event.fields)["desc"] == "ok"
    assert dict(event.fields)["target_rc"] == "7"


def test_a_result_that_the_coordinator_asks_for_again_is_no_event() -> None:
    done = result("start", 0)
    assert len([e for e in executed("a", "b", [Report(done)]) if isinstance(e, Alert)]) == 1
    again = executed("a", "b", [Report(done, again=True)])
    assert [e for e in again if isinstance(e, Alert)] == []


RECORD = FencingRecord("5-1", "carol", "reboot", FencingState.DONE, "", 100, 103, "bob")


def test_a_fencing_is_told_when_it_is_over() -> None:
    assert events.fencing(RECORD, "alice") == Alert(
        AlertKind.FENCING,
        (
            ("node", "carol"),
            ("task", "reboot"),
            (
                "desc",
                "Operation reboot of carol by bob for standfest@alice: OK (ref=5-1)",
            ),
            ("rc", "0"),
        ),
    )
    failed = replace(RECORD, state=FencingState.FAILED, origin="bob", reason="no answer")
    said = dict(events.fencing(failed, "alice").fields)
    assert said["desc"] == (
        "Operation reboot of carol for standfest@bob: Error (no answer) (ref=5-1)"
    )
    assert said["rc"] == "1"


# --- what is news ---------------------------------------------------------------------------------

NODES = '<node id="1" uname="a"/><node id="2" uname="b">{}</node>'


class Member:
    """One member's herald, and what it has been shown."""

    def __init__(self) -> None:
        self.herald = Herald()
        self.cib = Cib(Version(), configuration(nodes=NODES.format("")), Status((), True, "a"))
        self.records: tuple[FencingRecord, ...] = ()
        self.synchronised = True
        self.term: int | None = None

    def look(self) -> list[tuple[str, ...]]:
        """Return the kind and the values of what is told."""
        found = self.herald.look(
            self.cib, self.records, synchronised=self.synchronised, term=self.term
        )
        return [(event.kind.value, *(value for _, value in event.fields)) for event in found]

    def node(self, name: str, *, there: bool = True, **attributes: str) -> None:
        known = tuple(sorted(attributes.items()))
        state = NodeState(name, there, there, Join.MEMBER, there, (), known)
        self.cib = replace(self.cib, status=self.cib.status.with_node(state))

    def permanent(self, text: str) -> None:
        element = configuration(nodes=NODES.format(text))
        self.cib = replace(self.cib, configuration=element)


@pytest.fixture
def member() -> Member:
    """Return a member that has found nodes a and b there."""
    found = Member()
    found.node("a")
    found.node("b")
    assert found.look() == []  # what it finds is no news
    return found


def test_nodes_that_come_and_go_are_told_once(member: Member) -> None:
    member.node("b", there=False)
    assert member.look() == [("node", "b", "2", "lost")]
    assert member.look() == []
    member.node("c")  # of which the configuration says nothing
    member.node("b")
    assert member.look() == [("node", "b", "2", "member"), ("node", "c", "c", "member")]


def test_what_changed_while_out_of_step_is_told_when_in_step_again(member: Member) -> None:
    member.synchronised = False
    member.node("b", there=False)
    assert member.look() == []
    member.synchronised = True
    assert member.look() == [("node", "b", "2", "lost")]


def test_fencing_is_told_when_it_ends_and_not_from_the_history_of_others(member: Member) -> None:
    old = replace(RECORD, id="4-9")
    begun = replace(RECORD, state=FencingState.UNDER_WAY)
    member.synchronised = False
    member.records = (old,)
    assert member.look() == []
    member.synchronised = True
    assert member.look() == []
    member.records = (old, begun)
    assert member.look() == []
    member.records = (old, RECORD)
    assert [told[:3] for told in member.look()] == [("fencing", "carol", "reboot")]
    confirmed = replace(RECORD, id="5-2", state=FencingState.CONFIRMED, executor="")
    member.records = (old, RECORD, confirmed)  # begun and over at once
    assert len(member.look()) == 1
    member.records = (old, RECORD, confirmed)
    assert member.look() == []


def test_a_fencing_whose_coordinator_has_gone_is_told_by_its_successor(member: Member) -> None:
    member.records = (replace(RECORD, state=FencingState.UNDER_WAY),)
    assert member.look() == []
    member.synchronised = False
    member.records = (replace(RECORD, state=FencingState.FAILED, reason="it has changed"),)
    assert [told[0] for told in member.look()] == ["fencing"]


def test_each_failed_attempt_of_a_fencing_is_told_and_one_that_was_given_up_is_not(
    member: Member,
) -> None:
    begun = replace(RECORD, state=FencingState.UNDER_WAY, executor="")
    other = replace(begun, id="5-2", target="dave")
    steps = [
        ([begun, other], []),
        ([replace(begun, attempts=1, reason="no answer"), other], ["1"]),
        ([replace(begun, attempts=1, reason="no answer"), replace(other, began=100)], []),
        ([replace(begun, attempts=2, reason="no answer", state=FencingState.FAILED), other], ["1"]),
        ([replace(other, state=FencingState.FAILED, reason="not wanted any more")], []),
        ([replace(other, id="5-3", state=FencingState.FAILED, reason="no device")], ["1"]),
        ([replace(other, id="5-4", state=FencingState.DONE, attempts=3)], ["0"]),
    ]
    for records, codes in steps:
        member.records = tuple(records)
        assert [told[-1] for told in member.look()] == codes


def test_attributes_are_told_by_the_coordinator_alone(member: Member) -> None:
    member.node("b", pingd="100")
    assert member.look() == []
    member.term = 5
    assert member.look() == []  # what a coordinator begins with was told by its predecessor
    member.node("b", pingd="200", standby="on")
    assert member.look() == [
        ("attribute", "b", "pingd", "200"),
        ("attribute", "b", "standby", "on"),
    ]
    member.node("b", pingd="200")
    assert member.look() == [("attribute", "b", "standby")]  # without a value: it has none
    member.permanent(instance("i", standby="on"))
    assert member.look() == [("attribute", "b", "standby", "on")]
    member.permanent("")
    assert member.look() == [("attribute", "b", "standby")]
    member.term = 6
    member.node("b")
    assert member.look() == []


def test_attributes_of_nodes_that_come_or_go_are_not_told(member: Member) -> None:
    member.term = 5
    assert member.look() == []
    member.node("b", pingd="100", shutdown="1")
    assert [told[0] for told in member.look()] == ["attribute", "attribute"]
    member.node("b", there=False)
    assert [told[0] for told in member.look()] == ["node"]
    member.node("b", pingd="7")
    assert [told[0] for told in member.look()] == ["node"]


# --- what an agent is told ------------------------------------------------------------------------

AT = 1_700_000_000_012_345_678  # 2023-11-14 22:13:20.012345678 UTC


@pytest.fixture
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let local time be UTC."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("utc")
@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("%H:%M:%S.%06N", "22:13:20.012345"),
        ("%Y-%m-%d,%H:%M:%S.%01N", "2023-11-14,22:13:20.0"),
        ("%s %N", "1700000000 012345678"),
        ("%%06N %3N", "%06N 012"),
        ("", ""),
    ],
)
def test_the_time_is_written_by_the_format(form: str, text: str) -> None:
    assert timestamp(form, AT) == text


@pytest.mark.usefixtures("utc")
def test_an_agent_finds_all_of_an_event_in_its_environment() -> None:
    secrets = (("CRM_alert_kind", "fake"), ("a=b", "bad"), ("password", "x"))
    target = AlertTarget("a", "/bin/a", "r", "who@where", environment=secrets)
    event = events.membership("bob", "17", there=False)
    told = variables(target, event, 42, AT)
    assert told == {
        "password": "x",
        "CRM_alert_kind": "node",
        "CRM_alert_version": "2.1.5",
        "CRM_alert_node_sequence": "42",
        "CRM_alert_timestamp": "22:13:20.012345",
        "CRM_alert_timestamp_epoch": "1700000000",
        "CRM_alert_timestamp_usec": "12345",
        "CRM_alert_recipient": "who@where",
        "CRM_alert_node": "bob",
        "CRM_alert_nodeid": "17",
        "CRM_alert_desc": "lost",
        "CRM_notify_kind": "node",
        "CRM_notify_version": "2.1.5",
        "CRM_notify_node_sequence": "42",
        "CRM_notify_timestamp": "22:13:20.012345",
        "CRM_notify_timestamp_epoch": "1700000000",
        "CRM_notify_timestamp_usec": "12345",
        "CRM_notify_recipient": "who@where",
        "CRM_notify_node": "bob",
        "CRM_notify_nodeid": "17",
        "CRM_notify_desc": "lost",
    }
    alone = variables(AlertTarget("a", "/bin/a"), events.attribute("bob", "x", None), 1, AT)
    assert "CRM_alert_recipient" not in alone
    assert "CRM_alert_attribute_value" not in alone
    assert "password" not in repr(target)
