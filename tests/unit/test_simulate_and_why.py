"""`standfest simulate` and `standfest why` on a cluster of two nodes."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from standfest.cli.main import standfest

CIB = """\
<cib have-quorum="1" dc-uuid="1" execution-date="1760011200">
  <configuration>
    <crm_config><cluster_property_set id="o">
      <nvpair id="o-s" name="stonith-enabled" value="false"/>
    </cluster_property_set></crm_config>
    <nodes><node id="1" uname="alpha"/><node id="2" uname="beta"/></nodes>
    <resources>
      <primitive id="ip" class="ocf" provider="heartbeat" type="IPaddr2">
        <instance_attributes id="ip-i"><nvpair id="ip-a" name="ip" value="192.0.2.1"/>
        </instance_attributes>
        <operations><op id="ip-m" name="monitor" interval="10s"/></operations>
      </primitive>
      <primitive id="web" class="ocf" provider="heartbeat" type="nginx">META</primitive>
    </resources>
    <constraints>
      <rsc_location id="prefer" rsc="ip" node="beta" score="100"/>
      <rsc_colocation id="with" rsc="web" with-rsc="ip" score="INFINITY"/>
      <rsc_order id="after" first="ip" then="web"/>
    </constraints>
  </configuration>
  <status>
    <node_state id="1" uname="alpha" in_ccm="true" crmd="online" join="member" expected="member"/>
    <node_state id="2" uname="beta" in_ccm="true" crmd="online" join="member" expected="member"/>
  </status>
</cib>
"""


@pytest.fixture
def cib(tmp_path: Path) -> Path:
    place = tmp_path / "cib.xml"
    place.write_text(CIB.replace("META", ""))
    return place


def run(*words: str) -> Result:
    return CliRunner().invoke(standfest, list(words))


def actions(*words: str) -> list[dict[str, str]]:
    result = run("simulate", "--canonical", *words)
    assert result.exit_code == 0, result.output
    found: list[dict[str, str]] = json.loads(result.output)["actions"]
    return found


def test_both_start_where_the_first_prefers_to_be(cib: Path) -> None:
    assert [(a["op"], a["rsc"], a["to"]) for a in actions(str(cib))] == [
        ("start", "ip", "beta"),
        ("start", "web", "beta"),
    ]


def test_the_order_is_in_the_operations(cib: Path) -> None:
    document = json.loads(run("simulate", "--canonical", str(cib)).output)
    ops = [(op["op"], op["rsc"]) for op in document["ops"]]
    edges = {(ops[first], ops[then]) for first, then in document["edges"]}
    assert (("start", "ip"), ("start", "web")) in edges
    assert (("start", "ip"), ("monitor", "ip")) in edges


def test_what_if_a_node_had_left(cib: Path) -> None:
    assert {a["to"] for a in actions(str(cib), "--node-down", "beta")} == {"alpha"}


def test_what_if_there_were_no_quorum(cib: Path) -> None:
    assert [a for a in actions(str(cib), "--no-quorum") if not a.get("blocked")] == []


def test_followed_to_its_end_nothing_is_left_to_do(cib: Path) -> None:
    result = run("simulate", str(cib), "--run")
    assert result.exit_code == 0
    assert "After 1 transition(s): nothing left to do" in result.output


def test_a_failed_monitor_recovers_the_resource(cib: Path, tmp_path: Path) -> None:
    history = (
        '<lrm id="2"><lrm_resources><lrm_resource id="ip" class="ocf" provider="heartbeat" '
        'type="IPaddr2"><lrm_rsc_op id="ip_start_0" operation="start" operation_key="ip_start_0" '
        'interval="0" call-id="3" rc-code="0" op-status="0" transition-key="1:1:0:x"/>'
        "</lrm_resource></lrm_resources></lrm></node_state>\n  </status>"
    )
    text = CIB.replace("META", "").replace(
        'expected="member"/>\n  </status>', f'expected="member">{history}'
    )
    running = tmp_path / "running.xml"
    running.write_text(text)
    found = actions(str(running), "--op-inject", "ip_monitor_10000@beta=7")
    assert ("recover", "ip") in [(a["op"], a["rsc"]) for a in found]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--at", "yesterday"), "time yesterday; expected ISO 8601"),
        (("--node-fail", "gamma"), "unknown node gamma; expected one of: alpha, beta"),
        (("--op-inject", "ip@beta"), "operation ip@beta; expected RESOURCE_TASK_INTERVAL@NODE=RC"),
        (("--set-parameter", "ip=1"), "parameter ip=1; expected RESOURCE:NAME=VALUE"),
    ],
)
def test_bad_input_gets_one_clear_line(cib: Path, words: tuple[str, str], complaint: str) -> None:
    result = run("simulate", str(cib), *words)
    assert result.exit_code == 1
    assert complaint in result.output
    assert len(result.output.splitlines()) == 1


def test_why_names_what_contributed(cib: Path) -> None:
    output = run("why", "ip", str(cib)).output
    assert "beta has 100, the next best, alpha, 0" in output
    assert "100  location prefer (line 16)" in output


def test_why_not_names_the_proven_cause(tmp_path: Path) -> None:
    meta = '<meta_attributes id="m"><nvpair id="t" name="target-role" value="Stopped"/>'
    place = tmp_path / "cib.xml"
    place.write_text(CIB.replace("META", f"{meta}</meta_attributes>"))
    output = run("why", "web", str(place)).output
    assert "web: no node is left for it" in output
    assert "would run without: target-role=Stopped (t, line 13)" in output


def test_why_of_an_unknown_resource_is_an_error(cib: Path) -> None:
    result = run("why", "nothing", str(cib))
    assert result.exit_code == 1
    assert "no resource nothing; expected the id of one" in result.output
