"""crm_mon: command line, exit codes, states that no sample has, the daemon and its page."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.canned_daemon import serving

from standfest.cli.tools import publishing
from standfest.cli.tools.codes import ToolError
from standfest.cli.tools.crm_mon import command
from standfest.model import xml
from standfest.model.fencing import FencingState
from standfest.monitor import crm
from standfest.monitor.crm import events, fencing
from standfest.monitor.crm.show import DEFAULT, SECTIONS, Show, sections_of
from standfest.monitor.crm.words import interval_text, iso_moment, moment

NOW = 1_760_011_200  # 2025-10-09 12:00:00 UTC
KEY = "3:1:0:a3b1c2d4-0000-4000-8000-00000000c0de"
PATIENCE_S = 20.0


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def entry(resource: str, task: str, *, code: int = 0, call: int = 3, status: int = 0) -> str:
    magic = KEY
    return (
        f'<lrm_rsc_op id="{resource}_last_0" operation_key="{resource}_{task}_0" '
        f'operation="{task}" transition-key="{magic}" call-id="{call}" rc-code="{code}" '
        f'op-status="{status}" interval="0" last-rc-change="{NOW - 60}" exec-time="1500" '
        f'queue-time="0"/>'
    )


def cib(*, resources: str = "", node1: str = "", crmd: str = "online", options: str = "") -> str:
    """Return a CIB of two nodes; node1: its history, as <lrm_resource> elements."""
    return f"""<cib have-quorum="1" dc-uuid="1" cib-last-written="Thu Oct  9 10:53:20 2025">
  <configuration>
    <crm_config><cluster_property_set id="options">
      <nvpair id="o1" name="stonith-enabled" value="false"/>{options}
    </cluster_property_set></crm_config>
    <nodes><node id="1" uname="node1"/><node id="2" uname="node2"/></nodes>
    <resources>{resources}</resources><constraints/>
  </configuration>
  <status>
    <node_state id="1" uname="node1" in_ccm="true" crmd="online" join="member" expected="member">
      <lrm id="1"><lrm_resources>{node1}</lrm_resources></lrm>
    </node_state>
    <node_state id="2" uname="node2" in_ccm="true" crmd="{crmd}" join="member" expected="member"/>
  </status>
</cib>"""


def primitive(name: str, target: str = "") -> str:
    meta = (
        f'<meta_attributes id="{name}-m"><nvpair id="{name}-t" name="target-role" '
        f'value="{target}"/></meta_attributes>'
    )
    inner = meta if target else ""
    return (
        f'<primitive id="{name}" class="ocf" provider="pacemaker" type="Dummy">{inner}</primitive>'
    )


def history(name: str, *entries: str) -> str:
    agent = 'class="ocf" provider="pacemaker" type="Dummy"'
    return f'<lrm_resource id="{name}" {agent}>{"".join(entries)}</lrm_resource>'


def shown(text: str, show: Show | None = None) -> list[str]:
    situation = crm.read(xml.parse(text, "test"), NOW)
    return crm.resources_text(situation, show)


def ran(*words: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        command.main(list(words), prog_name="crm_mon")
    output = capsys.readouterr()
    return int(ended.value.code or 0), output.out, output.err


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "cib.xml"
    path.write_text(cib(resources=primitive("r1"), node1=history("r1", entry("r1", "start"))))
    monkeypatch.setenv("CIB_file", str(path))
    return path


# --- what is shown -------------------------------------------------------------------------------


def test_what_is_under_way_stands_in_the_place_of_the_role() -> None:
    pending = entry("r1", "start", code=193, call=-1, status=-1)
    text = cib(resources=primitive("r1"), node1=history("r1", pending))
    assert shown(text) == ["  * r1\t(ocf:pacemaker:Dummy):\t Starting node1"]


def test_a_failed_stop_is_shown_as_blocked_and_counted() -> None:
    failed = entry("r1", "stop", code=1, status=4)
    text = cib(resources=primitive("r1"), node1=history("r1", failed))
    assert shown(text) == ["  * r1\t(ocf:pacemaker:Dummy):\t FAILED node1 (blocked)"]
    page = crm.text(crm.read(xml.parse(text, "test"), NOW), Show())
    assert (
        "  * 1 resource instance configured (1 BLOCKED from further action due to failure)" in page
    )
    when = "at Thu Oct  9 11:59:00 2025 after 1.500s"
    assert f"  * r1 stop on node1 could not be executed (Error) {when}" in page


def test_what_is_in_no_configuration_but_runs_is_shown_as_orphaned() -> None:
    text = cib(node1=history("gone", entry("gone", "start")))
    assert shown(text) == ["  * gone\t(ocf:pacemaker:Dummy):\t ORPHANED Started node1"]


def test_a_node_whose_daemon_has_gone_is_unclean() -> None:
    situation = crm.read(xml.parse(cib(crmd="offline"), "test"), NOW)
    assert crm.nodes_text(situation) == [
        "  * Node node2: UNCLEAN (offline)",
        "  * Online: [ node1 ]",
    ]
    assert crm.simple(situation) == "CLUSTER WARN: offline node: node2\n"


def test_a_disabled_group_says_so_and_how_many_of_it_do_not_run() -> None:
    group = f'<group id="g">{primitive("r1")}{primitive("r2")}</group>'
    text = cib(resources=group, node1=history("r1", entry("r1", "start")))
    assert shown(text, Show()) == [
        "  * Resource Group: g (1 member inactive):",
        "    * r1\t(ocf:pacemaker:Dummy):\t Started node1",
    ]
    assert shown(cib(resources=primitive("r3", "Stopped"))) == [
        "  * r3\t(ocf:pacemaker:Dummy):\t Stopped (disabled)"
    ]


def test_a_cib_of_heartbeat_2_is_shown_as_well() -> None:
    old = """<cib have_quorum="true" dc_uuid="1"><configuration><crm_config/>
      <nodes><node id="1" uname="alice" type="normal"/></nodes>
      <resources><primitive id="ip" class="ocf" provider="heartbeat" type="IPaddr">
        <instance_attributes id="ia"><attributes>
          <nvpair id="tr" name="target_role" value="stopped"/>
        </attributes></instance_attributes></primitive></resources>
      <constraints/></configuration><status>
      <node_state id="1" uname="alice" ha="active" in_ccm="true" crmd="online" join="member"
        expected="member"><lrm id="1"><lrm_resources>
        <lrm_resource id="ip" class="ocf" provider="heartbeat" type="IPaddr">
          <lrm_rsc_op id="ip_start_0" operation="start" op_status="0" rc_code="0" call_id="2"
            transition_key="3:1:a3b1c2d4-0000-4000-8000-00000000c0de" interval="0"/>
        </lrm_resource></lrm_resources></lrm></node_state></status></cib>"""
    assert shown(old) == ["  * ip\t(ocf:heartbeat:IPaddr):\t Started alice (disabled)"]
    page = crm.text(crm.read(xml.parse(old, "test"), NOW), Show())
    assert "Current DC: alice (version unknown) - partition with quorum" in page
    options = crm.text(crm.read(xml.parse(old, "test"), NOW), Show(frozenset({"options"})))
    assert "STONITH of failed nodes disabled" in options  # the default of 2007


def test_maintenance_is_announced_between_summary_and_nodes() -> None:
    option = '<nvpair id="o2" name="maintenance-mode" value="true"/>'
    situation = crm.read(xml.parse(cib(options=option), "test"), NOW)
    lines = crm.text(situation, Show()).split("\n")
    at = lines.index("              *** Resource management is DISABLED ***")
    assert lines[at + 1] == "  The cluster will not attempt to start, stop or recover services"
    assert lines[at + 3] == "Node List:"


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [(0, "0s"), (21, "21ms"), (1500, "1.500s"), (60_000, "60s"), (90_000, "1m30s"),
     (3_600_000, "60m"), (120_000, "2m"), (90_061_001, "1d1h1m1.001s")],
)  # fmt: skip
def test_time_spans_are_written_as_pacemaker_writes_them(milliseconds: int, text: str) -> None:
    assert interval_text(milliseconds) == text


def test_times_that_cannot_be_are_unknown() -> None:
    assert moment(1_760_000_000) == "Thu Oct  9 08:53:20 2025"
    assert iso_moment(1_760_000_000) == "2025-10-09 08:53:20Z"
    assert moment("x") == iso_moment(10**30) == "unknown"


def test_sections_are_added_and_taken_away_from_left_to_right() -> None:
    start = frozenset(DEFAULT)

    def after(*changes: tuple[bool, str]) -> frozenset[str]:
        return sections_of(start, changes, start)[0]

    assert after((True, "none,nodes")) == {"nodes"}
    assert after((True, "nodes,none")) == set()
    assert after((False, "summary"), (True, "dc")) == start - {
        *("counts", "options", "stack", "times", "maint-mode")
    } | {"dc"}
    assert after((True, "all")) == set(SECTIONS)
    assert after((True, "none,tickets,default")) == start | {"tickets"}
    assert sections_of(start, [(True, "bans:cli-")], start)[1] == "cli-"
    with pytest.raises(ValueError, match="rubbish"):
        after((True, "nodes,rubbish"))


def test_a_probe_that_found_something_is_called_a_probe() -> None:
    probe = entry("r1", "monitor")
    text = cib(resources=primitive("r1"), node1=history("r1", probe))
    show = Show(frozenset({"operations"}))
    situation = crm.read(xml.parse(text, "test"), NOW)
    assert crm.text(situation, show).split("\n")[2:4] == [
        "    * r1: migration-threshold=1000000:",
        "      * (3) probe",
    ]


def test_a_page_has_tickets_and_bans_on_request() -> None:
    text = cib(resources=primitive("r1")).replace(
        "<constraints/>",
        '<constraints><rsc_location id="ban" rsc="r1" node="node2" score="-INFINITY"/>'
        '<rsc_ticket id="t" rsc="r1" ticket="site-a"/></constraints>',
    )
    situation = crm.read(xml.parse(text, "test"), NOW)
    page = crm.html(situation, Show(frozenset({"tickets", "bans"})))
    assert "<h2>Tickets</h2>\n<ul><li>site-a:\trevoked</li></ul>" in page
    assert "<ul><li>ban\tprevents r1 from running on node2</li></ul>" in page


# --- the command line ----------------------------------------------------------------------------


def test_short_options_may_be_written_together_and_order_counts(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, output, _ = ran("-1rf", "-D", "--incl=dc", capsys=capsys)
    assert code == 0
    assert output.startswith("Cluster Summary:\n  * Current DC: node1 (version unknown)")
    assert "Full List of Resources:" in output
    assert "Migration Summary:" in output
    assert file.is_file()


def test_the_report_writes_one_dash_before_long_words(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CIB_file")
    code, output, _ = ran("-one-shot", "--xml-file", str(file), capsys=capsys)
    assert (code, "r1\t(ocf:pacemaker:Dummy):\t Started node1" in output) == (0, True)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["-1", "--include=rubbish"], 64, "there is no rubbish"),
        (["-1", "-i", "3x"], 64, "Invalid value for -i: 3x; expected a time"),
        (["-1", "-m", "5"], 64, "Fence history must be 0-3"),
        (["-d"], 64, "--daemonize; expected with it --output-to=FILE"),
        (["--rubbish"], 64, "unrecognized option '--rubbish'"),
        (["-1", "-h", "/nowhere/page.html"], 73, "/nowhere/page.html: No such file or directory"),
    ],
)
def test_mistakes_end_with_one_line_and_the_right_code(
    file: Path, words: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ended, output, error = ran(*words, capsys=capsys)
    assert (ended, output) == (code, "")
    assert said in error
    assert "Traceback" not in error
    assert file.is_file()


@pytest.mark.parametrize(
    ("content", "code"), [(None, 66), ("<cib", 65), ("<a/>", 65), ("<cib/>", 65), ("", 65)]
)
def test_what_is_no_cib_is_refused(
    content: str | None,
    code: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "cib.xml"
    if content is not None:
        path.write_text(content)
    monkeypatch.setenv("CIB_file", str(path))
    ended, output, error = ran("-1", capsys=capsys)
    assert (ended, output) == (code, "")
    assert len(error.strip().split("\n")) == 1


def test_without_a_cluster_it_is_said_in_the_form_that_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("CIB_file", raising=False)
    monkeypatch.setenv("STANDFEST_RUN_DIR", str(tmp_path))
    code, output, error = ran("-1", capsys=capsys)
    assert (code, output) == (102, "")
    assert error.startswith("Could not connect to the cluster")
    code, output, _ = ran("--output-as=xml", capsys=capsys)
    assert code == 102
    assert '<status code="102" message="Not connected">' in output
    code, output, _ = ran("-s", capsys=capsys)
    assert (code, output.startswith("CLUSTER CRIT: Could not connect")) == (2, True)


def test_a_page_for_a_web_server_has_its_header(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, output, _ = ran("-w", "--html-title", "A & B", capsys=capsys)
    assert code == 0
    assert output.startswith("Content-Type: text/html\n\n<!DOCTYPE html>\n")
    assert "<title>A &amp; B</title>" in output
    assert file.is_file()


def test_xml_of_the_old_kind_has_neither_request_nor_status(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, output, _ = ran("-X", capsys=capsys)
    root = xml.parse(output, "output")
    assert (root.tag, root.get("version"), root.child("status")) == ("crm_mon", "2.1.5", None)
    assert file.is_file()


# --- programs that are told ----------------------------------------------------------------------


def test_programs_are_told_of_what_is_new_and_of_nothing_twice() -> None:
    before = crm.read(xml.parse(cib(node1=history("r1", entry("r1", "start"))), "test"), NOW)
    after = crm.read(
        xml.parse(cib(node1=history("r1", entry("r1", "stop", code=1, call=4))), "test"), NOW
    )
    none, known = events.news(before, None)
    found, known = events.news(after, known)
    assert none == []
    assert events.news(after, known)[0] == []
    assert [events.environment(event, "me@example.org") for event in found] == [
        {
            "CRM_notify_recipient": "me@example.org",
            "CRM_notify_node": "node1",
            "CRM_notify_rsc": "r1",
            "CRM_notify_task": "stop",
            "CRM_notify_desc": "error",
            "CRM_notify_rc": "1",
            "CRM_notify_target_rc": "0",
            "CRM_notify_status": "0",
        }
    ]


# --- pages and daemons ---------------------------------------------------------------------------


def test_a_page_that_cannot_be_replaced_stays_as_it_was(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    publishing.publish(str(page), "one")
    (tmp_path / "page.html.new").symlink_to(tmp_path / "elsewhere")  # somebody's trap
    publishing.publish(str(page), "two")
    assert page.read_text() == "two"
    (tmp_path / "page.html.new").mkdir()
    with pytest.raises(ToolError, match=r"page\.html: .*; expected a file to write"):
        publishing.publish(str(page), "three")
    assert page.read_text() == "two"
    assert not (tmp_path / "elsewhere").exists()


def started(*words: str, cib_file: Path) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "CIB_file": str(cib_file), "TZ": "UTC"}
    program = [sys.executable, "-m", "standfest.cli.main", "crm_mon", *words]
    return subprocess.Popen(
        program, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def wait_for(what: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not what():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def runs(pid: int) -> bool:
    """Return whether a process is there and no zombie (in a container nobody may reap it)."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def test_the_daemon_keeps_a_whole_page_and_leaves_nothing_behind(
    file: Path, tmp_path: Path
) -> None:
    page, pid_file = tmp_path / "cluster.html", tmp_path / "crm_mon.pid"
    words = ("--daemonize", "--as-html", str(page), "-p", str(pid_file), "-i", "50ms")
    starter = started(*words, cib_file=file)
    assert (starter.communicate(timeout=PATIENCE_S), starter.returncode) == ((b"", b""), 0)
    pid = int(pid_file.read_text())
    try:
        assert runs(pid)
        assert "r1\t(ocf:pacemaker:Dummy):\t Started node1" in page.read_text()
        assert '<meta http-equiv="refresh" content="1">' in page.read_text()
        again = started(*words, cib_file=file)
        assert b"already running" in again.communicate(timeout=PATIENCE_S)[1]
        assert again.returncode == 1
        beside = tmp_path / "next.xml"
        beside.write_text(cib(resources=primitive("r2")))
        beside.rename(file)

        def follows() -> bool:
            text = page.read_text()
            assert text.endswith("</body>\n</html>\n")  # whoever reads it reads all of it
            return "No active resources" in text

        wait_for(follows)
        file.unlink()
        wait_for(lambda: "expected a file" in page.read_text() or "cib.xml" in page.read_text())
        assert "Started" not in page.read_text()  # nobody may believe what is over
    finally:
        os.kill(pid, signal.SIGTERM)
    wait_for(lambda: not runs(pid))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cluster.html"]


def test_a_daemon_that_cannot_begin_says_so_and_is_not_there(file: Path, tmp_path: Path) -> None:
    page = tmp_path / "cluster.html"
    words = ("-d", "-h", str(page), "-p", "/nowhere/crm_mon.pid")
    starter = started(*words, cib_file=file)
    output, error = starter.communicate(timeout=PATIENCE_S)
    assert (starter.returncode, output) == (73, b"")
    assert b"/nowhere/crm_mon.pid: No such file or directory" in error


def test_without_once_the_lines_come_again_until_it_is_interrupted(file: Path) -> None:
    process = started("-i", "50ms", cib_file=file)
    assert process.stdout is not None
    heads = 0
    for line in process.stdout:
        heads += line == b"Cluster Summary:\n"
        if heads == 3:
            break
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=PATIENCE_S)
    assert (heads, process.returncode, error) == (3, 0, b"")


# --- fencing -------------------------------------------------------------------------------------


def fenced(state: FencingState, *, ended: int, reason: str = "") -> dict[str, object]:
    return {
        "id": str(ended),
        "target": "node2",
        "action": "reboot",
        "state": state.value,
        "origin": "",
        "began": NOW - 90,
        "ended": ended,
        "executor": "node1",
        "devices": ["switch"],
        "failed_attempts": 0,
        "reason": reason,
    }


def test_failed_fencing_is_shown_at_once_and_all_of_it_on_request() -> None:
    records = fencing.records_of(
        [
            fenced(FencingState.DONE, ended=NOW - 80),
            fenced(FencingState.FAILED, ended=NOW - 70, reason="no answer"),
            fenced(FencingState.FAILED, ended=NOW - 60, reason="no answer"),
            fenced(FencingState.UNDER_WAY, ended=0),
        ]
    )
    situation = crm.read(xml.parse(cib(), "test"), NOW, records)
    text = crm.text(situation, Show(frozenset({"fencing-failed", "fencing-pending"})))
    by = "delegate=node1, client=standfest, origin=node1"
    assert text.split("\n") == [
        "Failed Fencing Actions:",
        f"  * reboot of node2 failed (no answer): {by}, last-failed='Thu Oct  9 11:59:00 2025'",
        "",
        "Pending Fencing Actions:",
        f"  * reboot of node2 pending: {by}",
        "",
    ]
    everything = Show(frozenset(SECTIONS), level=3)
    lines = crm.text(situation, everything).split("\n")
    at = lines.index("Fencing History:")
    assert lines[at + 2] == (
        f"  * reboot of node2 successful: {by}, completed='Thu Oct  9 11:58:40 2025'"
    )
    assert sum("failed (no answer)" in line for line in lines) == 2
    element = fencing.history_xml(situation, everything)
    assert element is not None
    assert [child.get("status") for child in element.children] == [
        *("pending", "failed", "failed", "success")
    ]


def record(
    identifier: str, state: FencingState, *, ended: int = 0, reason: str = ""
) -> dict[str, object]:
    """Return a fencing as the cluster daemon tells of it."""
    told = fenced(state, ended=ended, reason=reason) | {"id": identifier, "executor": "node1"}
    return told | {"action": "reboot" if ended else "off"}


def test_who_watches_fencing_is_told_of_it_at_once(tmp_path: Path) -> None:
    told, agent, page = (tmp_path / name for name in ("told", "agent", "page"))
    names = ("recipient", "node", "rsc", "task", "desc", "rc", "target_rc", "status")
    lines = "".join(f'echo "{name}=$CRM_notify_{name}"; ' for name in names)
    agent.write_text(f"#!/bin/sh\n{{ {lines}}} >> {told}\n")
    agent.chmod(0o755)
    words = ("-W", "-i", "1h", "-E", str(agent), "-e", "me", "-m3", "--output-to", str(page))
    with serving(tmp_path, cib(resources=primitive("r1"))) as daemon:
        daemon.history = [record("1-1", FencingState.DONE, ended=NOW - 9)]
        process = subprocess.Popen(
            [sys.executable, "-m", "standfest.cli.main", "crm_mon", *words],
            env={**os.environ, "STANDFEST_RUN_DIR": str(tmp_path), "TZ": "UTC"},
        )
        try:
            wait_for(lambda: page.exists() and "reboot of node2 successful" in page.read_text())
            daemon.history += [record("1-2", FencingState.UNDER_WAY)]
            wait_for(lambda: "off of node2 pending" in page.read_text())
            assert not told.exists()  # what was known, and what has not ended
            daemon.history[1:] = [
                record("1-2", FencingState.FAILED, ended=NOW, reason="no power"),
                record("1-3", FencingState.CONFIRMED, ended=NOW + 1),
            ]
            wait_for(lambda: told.exists() and told.read_text().count("status=") == 2)
        finally:
            process.terminate()
            assert process.wait(timeout=PATIENCE_S) == 0
    both = "client=standfest, origin=node1, completed='Thu Oct  9 12:00:0{} 2025'"
    assert told.read_text() == (
        "recipient=me\nnode=node2\nrsc=\ntask=reboot\n"
        f"desc=reboot of node2 failed (no power): delegate=node1, {both.format(0)}\n"
        "rc=1\ntarget_rc=0\nstatus=0\n"
        "recipient=me\nnode=node2\nrsc=\ntask=reboot\n"
        f"desc=reboot of node2 successful: delegate=node1, {both.format(1)}\n"
        "rc=0\ntarget_rc=0\nstatus=0\n"
    )


def test_without_watching_programs_are_not_told_of_fencing(tmp_path: Path) -> None:
    told, agent = tmp_path / "told", tmp_path / "agent"
    agent.write_text(f"#!/bin/sh\necho $CRM_notify_task >> {told}\n")
    agent.chmod(0o755)
    words = ("-i", "50ms", "-E", str(agent), "--output-to", str(tmp_path / "page"))
    with serving(tmp_path, cib(resources=primitive("r1"))) as daemon:
        process = subprocess.Popen(
            [sys.executable, "-m", "standfest.cli.main", "crm_mon", *words],
            env={**os.environ, "STANDFEST_RUN_DIR": str(tmp_path), "TZ": "UTC"},
        )
        try:
            wait_for((tmp_path / "page").exists)
            daemon.history = [record("1-1", FencingState.DONE, ended=NOW)]
            changed = xml.serialise(daemon.cib).replace("<lrm_resources/>", LRM)
            daemon.cib = xml.parse(changed, "test")
            wait_for(told.exists)
        finally:
            process.terminate()
            process.wait(timeout=PATIENCE_S)
    assert told.read_text() == "start\n"


LRM = f"<lrm_resources>{history('r1', entry('r1', 'start'))}</lrm_resources>"
