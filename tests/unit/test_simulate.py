"""The switches of `standfest simulate`, one by one and together."""

import bz2
import gzip
import json
import lzma
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from standfest.cli.main import standfest
from standfest.config.compressed import plain
from standfest.model import xml
from standfest.model.errors import ConfigError

NOW = 1_760_011_200
NO_PARAMETERS = "f2317cad3d54cec5d7d7aa7d0bf35cf8"  # the digest that Pacemaker writes then


def entry(resource: str, task: str, call: int, *, interval: int = 0) -> str:
    return (
        f'<lrm_rsc_op id="{resource}_{task}_{interval}" operation="{task}" '
        f'operation_key="{resource}_{task}_{interval}" interval="{interval}" call-id="{call}" '
        f'rc-code="0" op-status="0" transition-key="1:1:0:x" last-rc-change="{NOW}" '
        f'op-digest="{NO_PARAMETERS}"/>'
    )


CIB = f"""\
<cib have-quorum="1" dc-uuid="1" execution-date="{NOW}">
  <configuration>
    <crm_config><cluster_property_set id="o">
      <nvpair id="o-s" name="stonith-enabled" value="false"/>
    </cluster_property_set></crm_config>
    <nodes>
      <node id="1" uname="alpha"><utilization id="u"><nvpair id="u-1" name="cpu" value="4"/>
      </utilization></node>
      <node id="2" uname="beta"/>
    </nodes>
    <resources>
      <primitive id="vm" class="ocf" provider="heartbeat" type="VirtualDomain">
        <meta_attributes id="m"><nvpair id="m-1" name="allow-migrate" value="true"/>
        </meta_attributes>
        <utilization id="v"><nvpair id="v-1" name="cpu" value="3"/></utilization>
      </primitive>
      <primitive id="web" class="ocf" provider="heartbeat" type="nginx"/>
    </resources>
    <constraints>
      <rsc_order id="after" first="vm" then="web"/>
      <rsc_ticket id="needs" rsc="web" ticket="east" loss-policy="stop"/>
    </constraints>
  </configuration>
  <status>
    <node_state id="1" uname="alpha" in_ccm="true" crmd="online" join="member" expected="member">
      <transient_attributes id="1"><instance_attributes id="t">
        <nvpair id="t-1" name="pingd" value="100"/></instance_attributes></transient_attributes>
      <lrm id="1"><lrm_resources>
        <lrm_resource id="vm" class="ocf" provider="heartbeat" type="VirtualDomain">
          {entry("vm", "start", 3)}
        </lrm_resource>
      </lrm_resources></lrm>
    </node_state>
    <node_state id="2" uname="beta" in_ccm="true" crmd="online" join="member" expected="member"/>
  </status>
</cib>
"""


@pytest.fixture
def cib(tmp_path: Path) -> Path:
    place = tmp_path / "cib.xml"
    place.write_text(CIB)
    return place


def run(*words: str) -> Result:
    return CliRunner().invoke(standfest, ["simulate", *words])


def lines(*words: str) -> list[str]:
    result = run(*words)
    assert result.exit_code == 0, result.output
    return result.output.splitlines()


def transition(*words: str) -> list[str]:
    found = lines(*words)
    begin = found.index("Transition:") + 1
    return [line.strip() for line in found[begin : found.index("", begin)]]


def test_nothing_happens_as_long_as_nothing_is_changed(cib: Path) -> None:
    assert transition(str(cib)) == ["nothing to do"]


def test_switches_work_together_and_have_crm_simulates_letters(cib: Path) -> None:
    # The node that runs vm has left in order, and web has got its ticket: both start on beta.
    assert transition(str(cib), "-d", "alpha", "-g", "east") == [
        "start     vm on beta",
        "start     web on beta",
    ]


def test_a_failed_start_bans_the_node(cib: Path) -> None:
    found = transition(str(cib), "-d", "alpha", "-i", "vm_start_0@beta=1")
    assert found == ["stop      vm on beta  (no node is left for it)"]


def test_a_result_of_a_live_migration_is_injected(cib: Path) -> None:
    assert run(str(cib), "-i", "vm_migrate_to_0@alpha=1").exit_code == 0
    found = json.loads(run(str(cib), "-i", "vm_migrate_to_0@alpha=1", "--json").output)
    assert [(a["op"], a["rsc"]) for a in found["actions"]] == [("recover", "vm")]


def test_failures_are_counted_as_the_cluster_counts_them(cib: Path) -> None:
    twice = ("-i", "vm_monitor_10000@alpha=7", "-i", "vm_monitor_10000@alpha=7")
    found = lines(str(cib), *twice, "-i", "web_start_0@beta=1", "-c")
    assert found[:3] == [
        "Fail counts:",
        "  alpha: vm#monitor_10000=2",  # 1 + 1
        "  beta: web#start_0=INFINITY",  # start-failure-is-fatal is the default
    ]


def test_an_operation_fails_on_the_way_and_the_cluster_decides_again(cib: Path) -> None:
    output = run(str(cib), "-d", "alpha", "-F", "vm_start_0@beta=5", "--run").output
    assert output.splitlines() == [
        "Transition:",
        "  start     vm on beta",
        "  fails:    vm_start_0 on beta (exit code 5)",
        "  what depends on that does not happen",
        "",
        "2. Transition:",
        "  stop      vm on beta  (no node is left for it)",
        "",
        "Status after it:",
        "  node alpha: offline",
        "  node beta: online",
        "  vm: stopped",
        "  web: stopped",
        "",
        "After 2 transition(s): nothing left to do",
        "  node alpha: offline",
        "  node beta: online",
        "  vm: stopped",
        "  web: stopped",
    ]


def test_what_depends_on_a_failure_does_not_happen(cib: Path, tmp_path: Path) -> None:
    after = tmp_path / "after.xml"
    words = ("-d", "alpha", "-g", "east", "-F", "vm_start_0@beta=1", "--run", "-O", str(after))
    assert run(str(cib), *words).exit_code == 0
    # web comes after vm, which never runs: web is not started at all.
    assert 'operation="start" operation_key="web_start_0"' not in after.read_text()
    assert transition(str(after)) == ["start     web on beta  [blocked]  (vm_start_0)"]


def test_failing_on_the_way_needs_a_way(cib: Path) -> None:
    result = run(str(cib), "-F", "vm_start_0@beta=1")
    assert result.exit_code == 1
    assert result.output == ("Error: --op-fail without --run; expected both: it fails on the way\n")


def test_a_shutdown_is_followed_until_the_node_is_gone(cib: Path, tmp_path: Path) -> None:
    leaving = tmp_path / "leaving.xml"
    leaving.write_text(
        CIB.replace('name="pingd" value="100"', 'name="shutdown" value="1760011199"')
    )
    found = lines(str(leaving), "--run")
    assert "  migrate   vm from alpha to beta  (alpha is shutting down)" in found
    assert found[-4:] == [
        "  node alpha: offline",
        "  node beta: online",
        "  vm: Started on beta",
        "  web: stopped",
    ]


def test_scores_are_shown_as_a_table(cib: Path) -> None:
    assert lines(str(cib), "--scores")[:5] == [
        "Scores:",
        "  vm allocation score on alpha: 0",
        "  vm allocation score on beta: 0",
        "  web allocation score on alpha: -INFINITY",
        "  web allocation score on beta: -INFINITY",
    ]


def test_capacities_are_shown_before_and_after(cib: Path, tmp_path: Path) -> None:
    strategy = '<nvpair id="o-p" name="placement-strategy" value="utilization"/>'
    place = tmp_path / "cib.xml"
    place.write_text(CIB.replace("</cluster_property_set>", f"{strategy}</cluster_property_set>"))
    assert lines(str(place), "-U")[:6] == [
        "Utilization:",
        "  alpha original: cpu=4",
        "  alpha remaining: cpu=1",  # 4 - 3 of vm
        "  beta original: nothing",
        "  beta remaining: nothing",
        "  vm on alpha: cpu=3",
    ]


def test_node_attributes_are_shown(cib: Path) -> None:
    assert lines(str(cib), "-A")[:2] == ["Node attributes:", "  alpha: pingd=100"]


def test_a_watchdog_can_be_assumed(cib: Path) -> None:
    assert transition(str(cib), "--watchdog") == ["nothing to do"]
    assert transition(str(cib), "--no-watchdog") == ["nothing to do"]


def test_the_graph_is_written_as_crm_simulate_writes_it(cib: Path, tmp_path: Path) -> None:
    graph, dot = tmp_path / "graph.xml", tmp_path / "graph.dot"
    lines(str(cib), "-g", "east", "-G", str(graph), "-D", str(dot))
    root = xml.parse(graph.read_bytes(), "graph")
    assert root.tag == "transition_graph"
    starts = [
        action
        for synapse in root.children
        for action in synapse.children[0].children
        if action.get("operation") == "start"
    ]
    assert [(start.get("operation_key"), start.get("on_node")) for start in starts] == [
        ("web_start_0", "beta")
    ]
    assert starts[0].children[0].attributes == (
        ("id", "web"),
        ("class", "ocf"),
        ("provider", "heartbeat"),
        ("type", "nginx"),
    )
    text = dot.read_text()
    assert text.startswith('digraph "g" {\n')
    assert '"web_monitor_0 beta" -> "web_start_0 beta" [ style = bold]' in text


def test_the_json_is_complete(cib: Path) -> None:
    words = ("--run", "-d", "alpha", "-F", "vm_start_0@beta=1", "--json", "--scores", "-U")
    result = run(str(cib), *words)
    found = json.loads(result.output)
    assert found["at"] == NOW
    assert found["failed"] == ["vm_start_0@beta=1"]
    assert found["scores"]["allocation"]["vm"] == {"alpha": 0, "beta": 0}
    assert found["utilization"]["alpha"]["remaining"] == {"cpu": 4}
    second, last = found["transitions"]
    assert second["actions"] == [
        {
            "op": "stop",
            "rsc": "vm",
            "from": "beta",
            "role_from": "Started",
            "reason": "no node is left for it",
        }
    ]
    assert last["actions"] == []


def test_the_next_time_that_changes_anything_is_in_the_json(cib: Path) -> None:
    with_timeout = CIB.replace(
        'name="allow-migrate"',
        'name="failure-timeout" value="60"/><nvpair id="m-2" name="allow-migrate"',
    )
    cib.write_text(with_timeout)
    found = json.loads(run(str(cib), "-i", "vm_monitor_10000@alpha=7", "--json").output)
    assert found["recheck"] == NOW + 61  # the failure has expired a second after its timeout


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_compressed_input_is_recognised_by_its_content(
    cib: Path, pack: object, tmp_path: Path
) -> None:
    assert callable(pack)
    place = tmp_path / "pe-input-7"
    place.write_bytes(pack(CIB.encode()))
    assert transition(str(place), "-d", "alpha") == ["start     vm on beta"]


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_damaged_or_huge_compressed_input_gets_one_clear_line(pack: object) -> None:
    assert callable(pack)
    packed = pack(b"x" * 5000)
    with pytest.raises(ConfigError, match=r"^in: damaged \w+ data; expected a whole file$"):
        plain(packed[:-9], "in")
    with pytest.raises(ConfigError, match=r"unpacks to more than 4999 bytes; expected a CIB"):
        plain(packed, "in", 4999)
    assert plain(packed, "in", 5000) == b"x" * 5000


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("-i", "vm_start_0@gamma=1"), "unknown node gamma; expected one of: alpha, beta"),
        (("-i", "db_start_0@beta=1"), "unknown resource db; expected the id of a primitive"),
        (
            ("-i", "vm_begin_0@beta=1"),
            "operation vm_begin_0@beta=1; expected RESOURCE_TASK_INTERVAL",
        ),
        (("-i", "vm_start_0@beta=256"), "exit code 256; expected 0..255"),
        (("--run", "-F", "vm_start_0@gamma=1"), "unknown node gamma; expected one of: alpha, beta"),
        (
            ("--run", "-F", "db_start_0@beta=1"),
            "unknown resource db; expected the id of a primitive",
        ),
        (("-G", "/nowhere/graph"), "/nowhere/graph: No such file or directory; expected a file"),
    ],
)
def test_bad_input_gets_one_clear_line(cib: Path, words: tuple[str, ...], complaint: str) -> None:
    result = run(str(cib), *words)
    assert result.exit_code == 1
    assert complaint in result.output
    assert len(result.output.splitlines()) == 1, result.output


def test_a_file_that_is_not_there_gets_one_clear_line() -> None:
    result = run("/nowhere/cib.xml")
    assert result.output == (
        "Error: /nowhere/cib.xml: No such file or directory; expected a CIB file\n"
    )
