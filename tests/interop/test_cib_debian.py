"""Debian's own tools read what we write: crm_verify, crm_mon, crm_simulate of pacemaker 2.1.5."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from standfest.config.cib import compile_configuration, load
from standfest.core.cib.changes import (
    Change,
    RecordResult,
    SetNodeAttribute,
    SetNodeState,
    SetQuorum,
    SetResourceMeta,
    SetTransientAttribute,
    apply_all,
)
from standfest.core.cib.document import Cib
from standfest.core.cib.status_xml import cib_element
from standfest.model.configuration import Primitive
from standfest.model.operations import Operation, OperationResult, OperationStatus
from standfest.model.status import Join, Status
from standfest.model.time import seconds
from standfest.model.xml import serialise

SHARED = next(
    (p / "shared" for p in Path(__file__).resolve().parents if (p / "shared/reference").is_dir()),
    Path("absent"),
)
REPORT = SHARED / "reference" / "configs"
LEGACY = SHARED / "facts/formats/samples/legacy/legacy-cib-2.0.8.xml"
KEY = "1:0:{}:01234567-89ab-cdef-0123-456789abcdef"
NODES = """<nodes><node id="1" uname="node-1"/><node id="2" uname="node-2"/></nodes>"""
POLICY = (
    '<crm_config><cluster_property_set id="q"><nvpair id="q1" name="no-quorum-policy" '
    'value="ignore"/><nvpair id="q2" name="dc-version" value="2.1.5"/>'
    '<nvpair id="q3" name="cluster-infrastructure" value="standfest"/></cluster_property_set>'
    "</crm_config>"
)

pytestmark = pytest.mark.skipif(not REPORT.is_dir(), reason="the report's files are not here")


def run(tool: str, *arguments: str, folder: Path, code: int = 0) -> str:
    path = shutil.which(tool, path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if path is None:
        pytest.skip(f"{tool} is not installed")
    done = subprocess.run(
        [path, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
        env={"PATH": "/usr/sbin:/usr/bin", "LC_ALL": "C", "HOME": str(folder)},
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def mail_server() -> Cib:
    text = (REPORT / "cib-mail-server.xml").read_text()
    texts = [("mail.xml", text), ("nodes.xml", NODES), ("policy.xml", POLICY)]
    return Cib(load(texts).version, load(texts).configuration, Status())


def started(cib: Cib, node: str) -> list[Change]:
    """Return what a member records that starts the group and its monitors."""
    changes: list[Change] = []
    call = 0
    for primitive in compile_configuration(cib.configuration)[0].primitives():
        call += 1
        changes.append(RecordResult(node, ended(primitive, "start", call)))
        for entry in primitive.operations:
            call += 1
            changes.append(RecordResult(node, ended(primitive, "monitor", call, entry.interval)))
    return changes


def ended(
    primitive: Primitive,
    task: str,
    call: int,
    interval: int = 0,
    *,
    code: int = 0,
    expected: int = 0,
) -> OperationResult:
    operation = Operation(
        primitive.id,
        primitive.agent,
        task,
        interval,
        seconds(20),
        primitive.parameters,
        key=KEY.format(expected),
        expected=expected,
    )
    return OperationResult(
        operation, OperationStatus.DONE, code, call, last_change=1_760_011_200 + call
    )


def present(node: str) -> SetNodeState:
    return SetNodeState(node, in_membership=True, online=True, join=Join.MEMBER, expected=True)


def probed(cib: Cib, node: str) -> list[Change]:
    """Return what a member records that finds nothing running."""
    return [
        RecordResult(node, ended(primitive, "monitor", call, code=7, expected=7))
        for call, primitive in enumerate(
            compile_configuration(cib.configuration)[0].primitives(), 1
        )
    ]


def running() -> Cib:
    cib = mail_server()
    return apply_all(
        cib,
        [
            SetQuorum(have_quorum=True, coordinator="node-1"),
            present("node-1"),
            present("node-2"),
            *started(cib, "node-1"),
            *probed(cib, "node-2"),
        ],
    )


def saved(cib: Cib, folder: Path) -> str:
    path = folder / "cib.xml"
    path.write_text(serialise(cib_element(cib)))
    return str(path)


@pytest.mark.parametrize("name", ["mail-server", "nfs-server", "clusterip"])
def test_crm_verify_accepts_the_reports_files_after_our_upgrade(name: str, tmp_path: Path) -> None:
    text = (REPORT / f"cib-{name}.xml").read_text()
    loaded = load([("report.xml", text), ("nodes.xml", NODES)])
    path = saved(Cib(loaded.version, loaded.configuration, Status()), tmp_path)
    assert run("crm_verify", "-V", "-x", path, folder=tmp_path) == ""


@pytest.mark.skipif(not LEGACY.is_file(), reason="the sample is not here")
def test_crm_verify_accepts_a_cib_of_2_0_8_after_our_upgrade(tmp_path: Path) -> None:
    loaded = load([("old.xml", LEGACY.read_text())])
    path = saved(Cib(loaded.version, loaded.configuration, Status()), tmp_path)
    said = run("crm_verify", "-VV", "-x", path, folder=tmp_path, code=78)
    assert re.findall(r"(?:warning|error): (.*)", said) == [  # no error, and nothing of the schema
        "Blind faith: not fencing unseen nodes",
        "Support for restart-type is deprecated and will be removed in a future release",
    ]


def test_crm_verify_accepts_what_commands_made_of_a_configuration(tmp_path: Path) -> None:
    changes: list[Change] = [
        SetNodeAttribute("node-1", "standby", "on"),
        SetResourceMeta("mail-server", "target-role", "Stopped"),
        SetResourceMeta("postfix", "is-managed", "false"),
    ]
    path = saved(apply_all(running(), changes), tmp_path)
    assert run("crm_verify", "-V", "-x", path, folder=tmp_path) == ""


def test_crm_mon_shows_the_nodes_the_coordinator_and_where_everything_runs(tmp_path: Path) -> None:
    path = saved(running(), tmp_path)
    shown = _mon(path, tmp_path)
    assert "Current DC: node-1" in shown
    assert "partition with quorum" in shown
    assert "Online: [ node-1 node-2 ]" in shown
    assert "Resource Group: mail-server" in shown
    lines = re.findall(r"\* (\S+)\s+\((\S+)\):\s+(.*)", shown)
    assert lines == [
        ("mail-homes", "ocf:myResources:Filesystem", "Started node-1"),
        ("mail-spool", "ocf:myResources:Filesystem", "Started node-1"),
        ("postfix", "ocf:myResources:GentooService", "Started node-1"),
        ("xinetd", "ocf:myResources:GentooService", "Started node-1"),
        ("private-net", "ocf:myResources:IPAddr", "Started node-1"),
        ("public", "ocf:myResources:IPAddr", "Started node-1"),
    ]
    assert "Failed Resource Actions" not in shown


def test_crm_mon_shows_a_lost_node_and_a_failed_operation(tmp_path: Path) -> None:
    cib = running()
    postfix = compile_configuration(cib.configuration)[0].primitives()[2]
    lost = SetNodeState("node-2", in_membership=False, online=False, join=Join.DOWN, expected=False)
    cib = apply_all(
        cib,
        [
            lost,
            RecordResult("node-1", ended(postfix, "monitor", 90, seconds(5), code=7)),
            SetTransientAttribute("node-1", "fail-count-postfix#monitor_5000", "1"),
        ],
    )
    shown = _mon(saved(cib, tmp_path), tmp_path)
    assert "Online: [ node-1 ]" in shown
    assert "OFFLINE: [ node-2 ]" in shown
    assert "* postfix 5s-interval monitor on node-1 returned 'not running'" in shown


def test_crm_mon_shows_an_operation_in_progress_and_not_a_failure(tmp_path: Path) -> None:
    cib = running()
    public = compile_configuration(cib.configuration)[0].primitives()[5]
    entry = ended(public, "stop", 91)
    pending = OperationResult(entry.operation, OperationStatus.PENDING, 193, 91)
    shown = _mon(saved(apply_all(cib, [RecordResult("node-1", pending)]), tmp_path), tmp_path)
    assert "Failed Resource Actions" not in shown
    assert re.search(r"public\s+\(ocf:myResources:IPAddr\):\s+Stopping node-1", shown)


def test_crm_simulate_finds_nothing_to_do_in_a_cluster_that_runs(tmp_path: Path) -> None:
    # A wrong digest, a missing attribute or an unreadable entry would show up as an action here.
    shown = run("crm_simulate", "-S", "-x", saved(running(), tmp_path), folder=tmp_path)
    planned = shown.partition("Transition Summary:")[2].partition("Executing Cluster Transition:")
    assert planned[0].strip() == ""
    assert "Resource action" not in shown


def test_crm_simulate_restarts_a_resource_whose_parameters_changed(tmp_path: Path) -> None:
    # The counterpart: it does compare our digests.
    text = serialise(cib_element(running())).replace("123.123.123.254", "123.123.123.253")
    assert "123.123.123.253" in text
    path = tmp_path / "cib.xml"
    path.write_text(text)
    shown = run("crm_simulate", "-S", "-x", str(path), folder=tmp_path)
    assert re.findall(r"(Restart|Start|Stop|Recover|Move)\s+(\S+)\s+\(", shown) == [
        ("Restart", "public")
    ]


def test_crm_simulate_moves_everything_when_the_node_leaves(tmp_path: Path) -> None:
    left = SetNodeState("node-1", in_membership=False, online=False, join=Join.DOWN, expected=False)
    path = saved(apply_all(running(), [left]), tmp_path)
    shown = run("crm_simulate", "-S", "-x", path, folder=tmp_path)
    starts = re.findall(r"Start\s+(\S+)\s+\(\s+node-2 \)", shown)
    assert starts == ["mail-homes", "mail-spool", "postfix", "xinetd", "private-net", "public"]


def _mon(path: str, folder: Path) -> str:
    return run("crm_mon", "-1", "-r", "-x", path, folder=folder)
