"""`crm_resource` and `stonith_admin` against a daemon's socket."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.canned_daemon import CannedDaemon, serving

from standfest.cli.tools import crm_resource, crm_ticket, resource_live, stonith_admin
from standfest.cli.tools.tool import ToolCommand
from standfest.model import xml
from standfest.model.element import Element
from standfest.model.errors import Ground
from standfest.runtime import frames
from standfest.runtime.cluster import protocol
from standfest.runtime.frames import Reply

CIB = """<cib crm_feature_set="3.16.1" validate-with="pacemaker-3.9" admin_epoch="0" epoch="5"
 num_updates="0" have-quorum="1" dc-uuid="1"><configuration>
<crm_config><cluster_property_set id="o"><nvpair id="o1" name="stonith-enabled" value="false"/>
</cluster_property_set></crm_config>
<nodes><node id="1" uname="n1"/><node id="2" uname="n2"/></nodes>
<resources>
<primitive id="a" class="ocf" provider="pacemaker" type="Dummy"/>
<group id="g"><primitive id="g1" class="ocf" provider="pacemaker" type="Dummy"/>
<primitive id="g2" class="ocf" provider="pacemaker" type="Dummy"/></group>
<primitive id="power" class="stonith" type="fence_x"><instance_attributes id="pi">
<nvpair id="pi1" name="pcmk_host_list" value="n1"/></instance_attributes></primitive>
</resources><constraints/></configuration>
<status>
<node_state id="1" uname="n1" in_ccm="true" crmd="online" join="member" expected="member">
<lrm id="1"><lrm_resources>
<lrm_resource id="a" class="ocf" provider="pacemaker" type="Dummy">
<lrm_rsc_op id="a_last_0" operation_key="a_start_0" operation="start" call-id="8" rc-code="0"
 op-status="0" interval="0" transition-key="1:1:0:u" transition-magic="0:0;1:1:0:u"/>
</lrm_resource>
<lrm_resource id="g1" class="ocf" provider="pacemaker" type="Dummy">
<lrm_rsc_op id="g1_last_0" operation_key="g1_monitor_0" operation="monitor" call-id="9" rc-code="7"
 op-status="0" interval="0" transition-key="1:1:7:u" transition-magic="0:7;1:1:7:u"/>
</lrm_resource>
</lrm_resources></lrm>
<transient_attributes id="1"><instance_attributes id="status-1">
<nvpair id="s1" name="fail-count-g2#monitor_10000" value="2"/>
<nvpair id="s2" name="fail-count-a#start_0" value="1"/>
</instance_attributes></transient_attributes></node_state>
</status></cib>"""


@pytest.fixture
def daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CannedDaemon]:
    for name in ("CIB_file", "CIB_shadow"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("STANDFEST_RUN_DIR", str(tmp_path))
    with serving(tmp_path, CIB) as served:
        yield served


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> "Runner":
    return Runner(capsys)


class Runner:
    """Runs a command line; returns exit code, standard output, standard error."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(
        self, words: str, tool: ToolCommand = crm_resource.command
    ) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            tool.main(words.split(), prog_name=tool.name)
        written = self._capsys.readouterr()
        return int(ended.value.code or 0), written.out, written.err

    def stonith(self, words: str) -> tuple[int, str, str]:
        return self(words, stonith_admin.command)


def constraints(daemon: CannedDaemon) -> list[str]:
    section = next(e for e in daemon.cib.walk() if e.tag == "constraints")
    return [child.id for child in section.children]


def verbs(daemon: CannedDaemon) -> list[tuple[str, str, str]]:
    return [(c.verb, c.resource, c.node) for c in daemon.commands]


def test_queries_ask_the_running_cluster(daemon: CannedDaemon, run: Runner) -> None:
    assert run("-W -r a") == (0, "resource a is running on: n1\n", "")
    assert run("-l") == (0, "a\ng1\ng2\npower\n", "")
    assert daemon.commands == []


def test_nodes_that_the_cib_does_not_name_are_the_clusters_all_the_same(
    daemon: CannedDaemon, run: Runner
) -> None:
    """A cluster's CIB has an entry only for a node that was given an attribute."""
    text = re.sub(r'<node id="." uname="n."/>', "", CIB)
    for tag in ("node_state", "transient_attributes"):
        text = text.replace(f'<{tag} id="1"', f'<{tag} id="n1"')
    daemon.cib = xml.parse(text, "test")
    assert run("-W -r a") == (0, "resource a is running on: n1\n", "")
    assert run("--move -r a -N n2") == (0, "", "")
    assert constraints(daemon) == ["cli-prefer-a"]
    section = next(e for e in daemon.cib.walk() if e.tag == "nodes")
    assert section.children == ()  # to look at, not to keep
    assert run("-C -N n1")[1] == "Cleaned up a on n1\nCleaned up g2 on n1\n"
    assert run("--wait -T 1ms")[0] == 124


def test_moves_are_patches_of_the_configuration(daemon: CannedDaemon, run: Runner) -> None:
    assert run("--move -r a -N n2") == (0, "", "")
    assert constraints(daemon) == ["cli-prefer-a"]
    assert run("--un-migrate a")[:2] == (0, "Removing constraint: cli-prefer-a\n")
    assert constraints(daemon) == []
    assert [type(r) for r in daemon.requests] == [protocol.ChangeConfiguration] * 2
    assert run("--un-migrate a")[:2] == (0, "")  # nothing to clear is nothing to ask
    assert len(daemon.requests) == 2


def test_a_refusal_by_the_cluster_ends_the_tool_with_its_code(
    daemon: CannedDaemon, run: Runner
) -> None:
    text = "no quorum: of 3 nodes only n1 would keep it"
    daemon.answer = lambda _: frames.Reply(False, text, Ground.NO_QUORUM)
    code, out, err = run("-r a -p x -v 1")
    assert (code, out) == (106, "")
    assert err == (
        "no quorum: of 3 nodes only n1 would keep it\n"
        "crm_resource: Error performing operation: Quorum required\n"
    )


def test_cleaning_up_forgets_only_what_failed(daemon: CannedDaemon, run: Runner) -> None:
    assert run("-C") == (0, "Cleaned up a on n1\nCleaned up g2 on n1\n", "")
    assert verbs(daemon) == [("cleanup", "a", "n1"), ("cleanup", "g2", "n1")]
    daemon.commands.clear()
    assert run("-C -r g1") == (0, "Cleaned up g2 on n1\n", "")  # with the group around it
    assert run("-C -r g1 --force") == (0, "", "")
    assert run("-C -r g2 -n monitor -I 10s") == (0, "Cleaned up g2 on n1\n", "")
    assert run("-C -r g2 -n start") == (0, "", "")
    assert run("-C -N n2") == (0, "", "")
    assert verbs(daemon) == [("cleanup", "g2", "n1")] * 2
    daemon.answer = lambda _: frames.Reply(False, "not now")
    assert run("-C -r a") == (
        1,
        "",
        "crm_resource: not now\nError performing operation: Error occurred\n",
    )


def test_a_refresh_is_of_the_whole_and_of_a_node(daemon: CannedDaemon, run: Runner) -> None:
    assert run("-R -r g1 -N n1")[0] == 0
    assert run("--reprobe --host-uname n2")[0] == 0
    assert daemon.requests == [protocol.Refresh("g", "n1"), protocol.Refresh("", "n2")]


REPLIED = "Waiting for 1 reply from the controller\n... got reply (done)\n"


def test_a_resource_is_said_to_have_failed_in_the_words_of_pacemakers_tool(
    daemon: CannedDaemon, run: Runner
) -> None:
    """All of these were asked of a cluster of Pacemaker 2.1.5, too."""
    assert run("-F -r a -N n1") == (0, REPLIED, "")
    assert run("-Q -F -r g1 -N N1") == (0, "", "")
    assert daemon.requests == [protocol.FailResource("a", "n1"), protocol.FailResource("g1", "n1")]
    last = "crm_resource: Error performing operation: "
    for words, code, said in (
        ("-F -r a", 64, "crm_resource: Must supply a node name with -N\n"),
        ("-F -N n1", 64, "crm_resource: Must supply a resource id with -r\n"),
        ("-F -r nosuch -N n1", 105, f"Resource nosuch not found\n{last}No such object\n"),
        (
            "-F -r a -N nobody",
            105,
            "crm_resource: Node 'nobody' not found\nError performing operation: No such object\n",
        ),
        (
            "-F -r g -N n1",
            70,
            f"We can only process primitive resources, not g\n{last}Internal software bug\n",
        ),
        ("-F -r a -N n2", 102, f"Node n2 is not online\n{last}Not connected\n"),
    ):
        assert run(words) == (code, "", said)
    assert len(daemon.requests) == 2


def test_what_the_cluster_does_not_let_fail_is_said_once(daemon: CannedDaemon, run: Runner) -> None:
    for text, ground, code in (
        ("g2 is not active on n1", Ground.NO_SUCH, 105),
        ("node n1 is not online", Ground.NOT_ONLINE, 102),
        ("no quorum: ...", Ground.NO_QUORUM, 106),
    ):
        refusal = Reply(False, text, ground)
        daemon.answer = lambda _command, refusal=refusal: refusal  # type: ignore[misc]
        ended, out, err = run("-F -r g2 -N n1")
        assert (ended, out, err.splitlines()[0]) == (code, "", f"crm_resource: {text}")


def test_nothing_fails_in_a_file(tmp_path: Path, run: Runner) -> None:
    file = tmp_path / "cib.xml"
    file.write_text(CIB)
    refused = (69, "", "crm_resource: --fail: nothing fails in a file\n")
    assert run(f"-F -r a -N n1 -x {file}") == refused
    assert file.read_text() == CIB


def test_tickets_of_the_running_cluster_are_its_to_change(
    daemon: CannedDaemon, run: Runner
) -> None:
    def ticket(words: str) -> tuple[int, str, str]:
        return run(words, crm_ticket.command)

    code, out, err = ticket("-t T -g")
    assert (code, err) == (4, "crm_ticket: Ticket modification not allowed\n")
    assert "--force" in out
    assert daemon.requests == []
    assert ticket("-t T -g --force") == (0, "", "")
    assert ticket("-t T -s") == (0, "", "")
    assert ticket("-t T -S geo -v 5") == (0, "", "")
    assert ticket("-t T -D geo") == (0, "", "")
    assert ticket("-t T -C") == (105, "", "crm_ticket: No such ticket 'T'\n")
    daemon.cib = xml.parse(
        xml.serialise(daemon.cib).replace(
            "</status>", '<tickets><ticket_state id="T" granted="true"/></tickets></status>'
        ),
        "test",
    )
    assert ticket("-t T -C")[0] == 4  # it is granted
    assert ticket("-t T -C -f") == (0, "Cleaned up T\n", "")
    assert ticket("-w") == (0, "T\n", "")
    assert daemon.requests == [
        protocol.ChangeTicket("T", (("granted", "true"),)),
        protocol.ChangeTicket("T", (("standby", "true"),)),
        protocol.ChangeTicket("T", (("geo", "5"),)),
        protocol.ChangeTicket("T", (("geo", None),)),
        protocol.ForgetTicket("T"),
    ]
    for words in ("-t T -S id -v x", "-t T -S a=b -v x"):
        assert ticket(words)[0] == 64
    daemon.answer = lambda _command: Reply(
        False, "eve may not change /cib/status/tickets", Ground.NOT_ALLOWED
    )
    said = "crm_ticket: eve may not change /cib/status/tickets\n"
    assert ticket("-t T -r --force") == (77, "", said)


def test_waiting_ends_when_nothing_is_left_to_do(
    daemon: CannedDaemon, run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource_live, "POLL_S", 0.01)
    text = "crm_resource: Error performing operation: Timeout occurred\n"
    assert run("--wait -T 50ms") == (124, "", text)  # the group is to be started
    stopped = xml.serialise(daemon.cib).replace(
        "<resources>",
        '<resources><primitive id="z" class="ocf" provider="pacemaker" type="Dummy"/>',
    )
    # Without anything to start, and with nobody who could run it.
    daemon.cib = xml.parse(re.sub(r"(?s)<status>.*</status>", "<status/>", stopped), "test")
    assert run("--wait -T 5s") == (0, "", "")


def test_a_restart_stops_starts_and_puts_the_target_role_back(
    daemon: CannedDaemon, run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource_live, "POLL_S", 0.01)
    monkeypatch.setattr(resource_live, "left_to_do", lambda _cib, _now: ())
    before = daemon.cib.child("configuration")
    started = daemon.cib.child("status")
    assert started is not None
    seen: list[str] = []

    def obey(cib: Element) -> Element:
        roles = [e.get("value") for e in cib.walk() if e.get("name") == "target-role"]
        seen.append(str(roles))
        status = Element("status") if roles == ["Stopped"] else started
        children = tuple(status if child.tag == "status" else child for child in cib.children)
        return cib.with_children(children)

    daemon.after_change = obey
    code, out, err = run("--restart -r a -T 5s")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "Set 'a' option: name=target-role value=Stopped",
        "Waiting for a to stop",
        "Put the target-role of 'a' back",
        "Waiting for a to start again",
    ]
    assert seen == ["['Stopped']", "[]"]
    assert daemon.cib.child("configuration") == before


def test_a_restart_that_takes_too_long_puts_the_target_role_back(
    daemon: CannedDaemon, run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource_live, "POLL_S", 0.01)
    before = daemon.cib.child("configuration")
    assert run("--restart -r a -T 50ms")[0] == 124
    assert daemon.cib.child("configuration") == before
    assert len(daemon.requests) == 2
    code, _, err = run("--restart -r g")
    assert (code, err) == (1, "crm_resource: g is not running; nothing to restart\n")


# --- stonith_admin -------------------------------------------------------------------------------


def record(number: int, target: str, action: str, state: str, ended: int) -> dict[str, object]:
    return {
        "id": f"7-{number}",
        "target": target,
        "action": action,
        "state": state,
        "origin": "n1",
        "began": 1_760_000_000,
        "ended": ended,
        "executor": "n2" if state == "done" else "",
        "devices": ["power"],
        "failed_attempts": 0,
        "reason": "no answer" if state == "failed" else "",
    }


def fencing(daemon: CannedDaemon, state: str) -> None:
    """Have the next fencing end in this state as soon as it is asked for."""

    def answer(command: frames.Command) -> frames.Reply | None:
        if command.verb == "fence":
            daemon.history.append(
                record(len(daemon.history), command.node, command.how, state, 1_760_000_100)
            )
        return None

    daemon.answer = answer


@pytest.mark.parametrize(("option", "how"), [("-F", "off"), ("-B", "reboot"), ("-U", "on")])
def test_fencing_waits_until_it_has_ended(
    daemon: CannedDaemon, run: Runner, option: str, how: str
) -> None:
    daemon.history.append(record(0, "n2", how, "done", 1_760_000_001))  # an earlier one
    fencing(daemon, "done")
    assert run.stonith(f"{option} n2 -t 5") == (0, "", "")
    assert [(c.verb, c.node, c.how) for c in daemon.commands] == [("fence", "n2", how)]


def test_fencing_that_fails_is_told(
    daemon: CannedDaemon, run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    fencing(daemon, "failed")
    assert run.stonith("--fence n2") == (
        1,
        "",
        "stonith_admin: Couldn't fence n2: no answer\n",
    )
    text = "no node n9; expected one of: n1, n2"
    daemon.answer = lambda _: frames.Reply(False, text, Ground.NO_SUCH)
    code, _, err = run.stonith("--unfence n9")
    assert code == 105
    assert err == ("stonith_admin: Couldn't unfence n9: no node n9; expected one of: n1, n2\n")
    daemon.answer = lambda _: None
    monkeypatch.setattr(stonith_admin, "POLL_S", 0.01)
    code, _, err = run.stonith("--reboot n2 --timeout 50ms")
    assert (code, err) == (
        124,
        "stonith_admin: Couldn't fence n2: not ended within 0.05 s; it goes on\n",
    )


def test_what_was_fenced_just_now_is_left_alone(daemon: CannedDaemon, run: Runner) -> None:
    daemon.history.append(record(0, "n2", "off", "done", 4_000_000_000))
    assert run.stonith("-F n2 --tolerance 10s")[0] == 0
    assert daemon.commands == []
    fencing(daemon, "done")
    assert run.stonith("-B n2 --tolerance 10s")[0] == 0  # another action
    assert len(daemon.commands) == 1


def test_the_history_is_shown(
    daemon: CannedDaemon, run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "UTC")
    assert run.stonith("-h n2")[1] == "Node n2 has never been fenced\n"
    daemon.history += [
        record(0, "n2", "off", "done", 1_760_000_100),
        record(1, "n2", "reboot", "failed", 1_760_000_200),
        record(2, "n1", "reboot", "under way", 0),
    ]
    code, out, _ = run.stonith("-H n2")
    assert code == 0
    assert re.fullmatch(
        r"off of n2 successful: delegate=n2, client=standfest, origin=n1, completed='.*'\n", out
    )
    assert run.stonith("-H n2 -q")[1] == "1760000100\n"
    lines = run.stonith("-H * -V")[1].splitlines()
    assert [line.split(":")[0] for line in lines] == [
        "reboot of n1 pending",
        "reboot of n2 failed (no answer)",
        "off of n2 successful",
    ]
    assert run.stonith("-h n2")[1].startswith("Node n2 last fenced at: ")
    assert run.stonith("-h 2 -n")[1].startswith("Node n2 last fenced at: ")
    assert run.stonith("-h 9 -n")[0] == 105
    assert '<fence_event status="success" delegate="n2"' in run.stonith("-H n2 --output-as=xml")[1]
    assert '<last-fenced target="n2" when="' in run.stonith("-h n2 --output-as=xml")[1]


def test_a_node_is_confirmed_to_be_down(daemon: CannedDaemon, run: Runner) -> None:
    assert run.stonith("-C n2") == (0, "", "")
    assert [(c.verb, c.node) for c in daemon.commands] == [("fence-confirm", "n2")]
    daemon.answer = lambda _: frames.Reply(False, "n2 is a member")
    assert run.stonith("--confirm=n2") == (
        1,
        "",
        "stonith_admin: Couldn't confirm n2: n2 is a member\n",
    )


def test_devices_are_those_of_the_configuration(daemon: CannedDaemon, run: Runner) -> None:
    assert daemon.cib.tag == "cib"
    assert run.stonith("-L") == (0, "power\n1 fence device found\n", "")
    assert run.stonith("-l n1")[1] == "power\n1 fence device found\n"
    assert run.stonith("-l n2")[1] == "No fence devices found\n"
    assert run.stonith("-s power")[1] == "n1\n"
    anybody = (
        xml.serialise(daemon.cib)
        .replace("pcmk_host_list", "other")
        .replace('<node id="2" uname="n2"/>', "")
    )
    daemon.cib = xml.parse(anybody, "test")
    assert run.stonith("-s power")[1] == "n1\nn2\n"
    assert run.stonith("-s nosuch") == (105, "", "stonith_admin: no fence device nosuch\n")
    code, _, err = run.stonith("-Q power")
    assert (code, err) == (
        1,
        "stonith_admin: power does not answer: no fence agent /usr/sbin/fence_x\n",
    )


def test_without_a_cluster_both_say_so(
    daemon: CannedDaemon, run: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert daemon.commands == []
    monkeypatch.setenv("STANDFEST_RUN_DIR", str(tmp_path / "none"))
    for words in ("-L", "-r a -p x -v 1", "-R", "-C"):
        code, out, err = run(words)
        assert (code, out) == (102, "")
        assert err.startswith(("crm_resource: Could not connect", "Could not connect"))
    for words in ("-L", "-F n1", "-C n1", "-H n1", "-h n1"):
        code, out, err = run.stonith(words)
        assert (code, out, err.count("\n")) == (102, "", 1)
