"""`crm_simulate`: its options, files and exit codes, on a cluster of one address.

What it prints here is what Debian's crm_simulate 2.1.5 printed for the same file and options, but
for the moments of failures, which are those of --set-datetime.
"""

import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from standfest.cli.tools import crm_simulate, profiling, ptest
from standfest.core.scheduler import engine

CIB = """<cib crm_feature_set="3.16.1" validate-with="pacemaker-3.9" epoch="1" num_updates="0"
 admin_epoch="0" have-quorum="1" dc-uuid="1"><configuration><crm_config>
<cluster_property_set id="o"><nvpair id="o-s" name="stonith-enabled" value="false"/>
</cluster_property_set></crm_config><nodes><node id="1" uname="n1"/><node id="2" uname="n2"/>
</nodes><resources><primitive id="ip" class="ocf" provider="heartbeat" type="IPaddr2">
<operations><op id="ip-m" name="monitor" interval="10s"/></operations>
<utilization id="ip-u"><nvpair id="ip-u-cpu" name="cpu" value="2"/></utilization></primitive>
</resources><constraints/></configuration><status>
<node_state id="1" uname="n1" in_ccm="true" crmd="online" join="member" expected="member">
<lrm id="1"><lrm_resources><lrm_resource id="ip" class="ocf" provider="heartbeat" type="IPaddr2">
<lrm_rsc_op id="ip_last_0" operation="start" operation_key="ip_start_0" interval="0"
 transition-key="1:1:0:00000000-0000-0000-0000-000000000000" call-id="1" rc-code="0" op-status="0"/>
<lrm_rsc_op id="ip_monitor_10000" operation="monitor" operation_key="ip_monitor_10000"
 transition-key="2:1:0:00000000-0000-0000-0000-000000000000" call-id="2" rc-code="0" op-status="0"
 interval="10000"/></lrm_resource></lrm_resources></lrm></node_state>
<node_state id="2" uname="n2" in_ccm="true" crmd="online" join="member" expected="member">
<lrm id="2"><lrm_resources><lrm_resource id="ip" class="ocf" provider="heartbeat" type="IPaddr2">
<lrm_rsc_op id="ip_last_0" operation="monitor" operation_key="ip_monitor_0" interval="0"
 transition-key="3:1:7:00000000-0000-0000-0000-000000000000" call-id="1" rc-code="7"
 op-status="0"/></lrm_resource></lrm_resources></lrm></node_state></status></cib>"""
BOTH = """Current cluster status:
  * Node List:
    * Online: [ n1 n2 ]

  * Full List of Resources:
    * ip\t(ocf:heartbeat:IPaddr2):\t Started n1
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "cib.xml"
    path.write_text(CIB, encoding="utf-8")
    return path


def said(*words: str, text: str = "", tool: str = "crm_simulate") -> tuple[int, str]:
    command = {"crm_simulate": crm_simulate, "ptest": ptest}[tool].command
    result = CliRunner().invoke(command, list(words), input=text)
    return result.exit_code, result.output


def test_without_a_question_it_shows_the_status(file: Path) -> None:
    assert said("-x", str(file)) == (0, BOTH)
    assert said("-p", text=CIB) == (0, BOTH)
    assert said("--xml-text", CIB) == (0, BOTH)


def test_a_node_goes_and_a_start_fails(file: Path) -> None:
    code, output = said(
        "-x", str(file), "-S", "-d", "n1", "-F", "ip_start_0@n2=1", "-t", "2026-01-01"
    )
    assert code == 0
    assert output == "Setting effective cluster time: 2026-01-01\n" + BOTH + (
        """
Performing Requested Modifications:
  * Taking node n1 offline
Setting effective cluster time: 2026-01-01

Transition Summary:
  * Start      ip      (    n2 )

Executing Cluster Transition:
  * Resource action: ip              start on n2
Pretending action """
        + output.partition("Pretending action ")[2].partition(" ")[0]
        + """ failed with rc=1
  * Injecting attribute fail-count-ip#start_0=value++ into /node_state '2'
  * Injecting attribute last-failure-ip#start_0=1767225600 into /node_state '2'
Setting effective cluster time: 2026-01-01

Revised Cluster Status:
  * Node List:
    * Online: [ n2 ]
    * OFFLINE: [ n1 ]

  * Full List of Resources:
    * ip\t(ocf:heartbeat:IPaddr2):\t FAILED n2
"""
    )


def test_scores_and_capacities_are_bare_lines(file: Path) -> None:
    assert said("-x", str(file), "-s", "-U", "-d", "n1") == (
        0,
        """[ n1 n2 ]

ip\t(ocf:heartbeat:IPaddr2):\t Started n1

Taking node n1 offline

Original: n1 capacity:
Original: n2 capacity:
pcmk__primitive_assign: ip allocation score on n1: 0
pcmk__primitive_assign: ip allocation score on n2: 0
pcmk__finalize_assignment: ip utilization on n2: cpu=2
Remaining: n1 capacity:
Remaining: n2 capacity: cpu=0

Start      ip      (    n2 )
""",
    )
    assert said("-x", str(file), "-s", "-Q") == (
        0,
        "pcmk__primitive_assign: ip allocation score on n1: 0\n"
        "pcmk__primitive_assign: ip allocation score on n2: 0\n",
    )
    assert said("-x", str(file), "-S", "-Q") == (0, "")


def test_what_is_changed_is_said(file: Path) -> None:
    words = ("-q", "false", "-w", "true", "-u", "n1", "-f", "n2", "-g", "a", "-r", "b", "-b", "c")
    code, output = said("-x", str(file), *words, "-e", "d", "-i", "ip_monitor_0@n2=0")
    assert code == 0
    assert output == BOTH + (
        """
Performing Requested Modifications:
  * Setting quorum: false
  * Setting watchdog: true
  * Bringing node n1 online
  * Failing node n2
  * Granting ticket a
  * Revoking ticket b
  * Making ticket c standby
  * Activating ticket d
  * Injecting ip_monitor_0@n2=0 into the configuration
"""
    )


def test_the_same_as_xml(file: Path) -> None:
    words = ("-d", "n1", "-q", "1", "-g", "t", "-s", "-U", "-S", "--output-as=xml")
    code, output = said("-x", str(file), *words)
    assert code == 0
    assert output[output.index("  <modif") : output.index("  <revised")] == (
        """  <modifications quorum="1">
    <modify_node action="Offline" node="n1"/>
    <modify_ticket action="Granting" ticket="t"/>
  </modifications>
  <allocations_utilizations>
    <capacity node="n1" comment="Original"/>
    <capacity node="n2" comment="Original"/>
    <node_weight function="pcmk__primitive_assign" node="n1" score="0" id="ip"/>
    <node_weight function="pcmk__primitive_assign" node="n2" score="0" id="ip"/>
    <utilization resource="ip" node="n2" function="pcmk__finalize_assignment">
      <cpu>2</cpu>
    </utilization>
    <capacity node="n1" comment="Remaining"/>
    <capacity node="n2" comment="Remaining">
      <cpu>0</cpu>
    </capacity>
  </allocations_utilizations>
  <actions>
    <rsc_action action="start" resource="ip" node="n2"/>
  </actions>
  <transition>
    <rsc_action resource="ip" op="start" node="n2"/>
    <rsc_action resource="ip" op="monitor" node="n2" interval="10000"/>
  </transition>
"""
    )


def test_files_are_written(file: Path, tmp_path: Path) -> None:
    kept = {letter: str(tmp_path / letter) for letter in "IOGD"}
    words = [word for letter, path in kept.items() for word in (f"-{letter}", path)]
    assert said("-x", str(file), "-S", "-d", "n1", *words)[0] == 0
    texts = {letter: Path(path).read_text(encoding="utf-8") for letter, path in kept.items()}
    assert texts["G"].startswith("<transition_graph ")
    assert texts["D"].startswith('digraph "g" {')
    # The input has the change, the output what comes of it.
    assert "Stopped" in said("-x", kept["I"])[1]
    assert "OFFLINE: [ n1 ]" in said("-x", kept["I"])[1]
    assert "Started n2" in said("-x", kept["O"])[1]
    assert said("-x", str(file), "-X", "-d", "n1")[0] == 0
    assert "Started n2" in said("-x", str(file))[1]
    code, output = said("-x", str(file), "-I", "/nonexistent/i.xml")
    assert code == 73
    assert output == (
        "crm_simulate: /nonexistent/i.xml: No such file or directory; expected a file to write\n"
    )


def test_ptest_is_the_same_with_heartbeats_letters(file: Path) -> None:
    # Given as a text, as Heartbeat 2 has it; it always says what would happen.
    code, output = said("-X", CIB, tool="ptest")
    assert code == 0
    assert output.startswith(BOTH + "\nTransition Summary:\n")
    assert said("-x", str(file), "-VVV", "-S", tool="ptest")[0] == 0


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (("-d", "nope"), 105, "unknown node nope; expected one of: n1, n2"),
        (("-S", "-i", "no_monitor_10@n1=7"), 105, "unknown resource no; expected the id"),
        (("-S", "-F", "ip_start_0@nope=1"), 105, "unknown node nope"),
        (("-S", "-i", "gibberish"), 64, "operation gibberish; expected RESOURCE_TASK_INTERVAL@"),
        (("-S", "-F", "ip_start_0@n1=900"), 64, "exit code 900; expected 0..255"),
        (("-t", "noon"), 64, "time noon; expected ISO 8601"),
        (("-q", "perhaps"), 64, "--quorum is perhaps; expected true or false"),
    ],
)
def test_a_mistake_is_one_line(file: Path, words: tuple[str, ...], code: int, text: str) -> None:
    got, output = said("-x", str(file), *words)
    assert got == code
    assert output.startswith("crm_simulate: ")
    assert text in output
    assert output.count("\n") == 1


def test_what_cannot_be_read_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STANDFEST_RUN_DIR", str(tmp_path))
    for name in ("CIB_file", "CIB_shadow"):
        monkeypatch.delenv(name, raising=False)
    code, output = said("-x", "/nonexistent.xml")
    assert code == 66
    assert output.startswith("crm_simulate: /nonexistent.xml: No such file or directory")
    code, output = said("--xml-text", "<cib>")
    assert code == 65
    assert output.startswith("crm_simulate: the given text:1: ")
    assert said("-X", "--xml-text", CIB) == (
        64,
        "crm_simulate: --in-place without --xml-file; expected the file to change\n",
    )
    code, output = said("-L")
    assert code == 102
    assert output.startswith("Could not connect to the cluster: ")


def test_live_check_reads_the_file_that_the_environment_names(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CIB_file", str(file))
    assert said("-L") == (0, BOTH)


def test_a_directory_is_timed_file_by_file(file: Path, tmp_path: Path) -> None:
    # The last name comes first; hidden files, directories and other names are passed over.
    folder = tmp_path / "many"
    (folder / "dir.xml").mkdir(parents=True)
    for name in ("b.xml", "B.xml", "a.xml", ".hidden.xml", "a.txt"):
        (folder / name).write_text(CIB, encoding="utf-8")
    code, text = said("-P", str(folder), "-N", "2")
    assert (code, re.sub(r"\d+\.\d\d", "T", text.replace(str(folder), "D"))) == (
        0,
        "Timings:\n  * Testing D/b.xml ... T secs\n  * Testing D/a.xml ... T secs\n"
        "  * Testing D/B.xml ... T secs\n",
    )


def test_each_repetition_is_decided(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[int] = []

    def decide(*given: Any) -> object:
        runs.append(given[2])
        return engine.decide(*given)

    monkeypatch.setattr(profiling, "decide", decide)
    words = ("-P", str(tmp_path), "-t", "1970-01-02T00:00:00Z")
    for repeats, count in (("3", 3), ("0", 1)):
        runs.clear()
        assert said(*words, "-N", repeats)[0] == 0
        assert runs == [86400] * count


def test_a_file_that_cannot_be_timed_is_named_and_the_others_follow(
    file: Path, tmp_path: Path
) -> None:
    (tmp_path / "no.xml").write_text("<a/>")
    code, text = said("-P", str(tmp_path))
    assert code == 65
    assert f"crm_simulate: {tmp_path}/no.xml:1: root element <a>; expected" in text
    assert f"  * Testing {file} ... " in text


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (("-P", "nowhere"), 66, "crm_simulate: nowhere: No such file or directory; expected a "),
        (("-P", ".", "-t", "noon"), 64, "crm_simulate: time noon; expected ISO 8601"),
        (("-P", ".", "-N", "-2"), 64, "'-N' / '--repeat': -2 is not in the range 0<=x<="),
    ],
)
def test_a_mistake_beside_a_directory_is_one_line(
    words: tuple[str, ...], code: int, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = said(*words)
    assert found[0] == code
    assert text in found[1]
