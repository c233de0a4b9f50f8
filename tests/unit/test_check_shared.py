"""`standfest check` knows the traps of an address that several nodes share."""

from pathlib import Path

import pytest

from standfest.analysis.filecheck import check
from standfest.config.keepalived.source import Setting
from standfest.daemons.included import DiskFiles
from standfest.model.errors import Severity

EXAMPLE = Path(__file__).parents[2] / "examples" / "clusterip"
TODAY = (EXAMPLE / "cib-clusterip-today.xml").read_text(encoding="utf-8")
REPORT = (EXAMPLE / "cib-clusterip.xml").read_text(encoding="utf-8")
OPTIONS = (EXAMPLE / "cib-options.xml").read_text(encoding="utf-8")
FENCED = OPTIONS.replace(
    'name="stonith_enabled" value="false"', 'name="stonith_enabled" value="true"'
)
HA_CF = (EXAMPLE / "ha.cf").read_text(encoding="utf-8")
OTHERS = """<primitive id="db" class="ocf" type="Dummy"/>
<clone id="web_clone"><primitive id="web" class="ocf" type="Dummy"/></clone></resources>"""
WITH_OTHERS = TODAY.replace("</resources>", OTHERS)


def problems(*cibs: str, ha_cf: str = HA_CF) -> list[str]:
    texts = [(f"{number}.xml", text) for number, text in enumerate(cibs)]
    checked = check([*texts, ("ha.cf", ha_cf)], Setting("here", {}), DiskFiles())
    assert checked.usable
    assert all(found.severity is Severity.WARNING for found in checked.findings)
    # That two nodes without fencing have nothing that decides is told, too: tests of quorum.
    return [
        found.problem
        for found in checked.findings
        if not found.problem.startswith("two nodes without a tiebreaker")
    ]


def test_the_report_s_files_have_one_trap_the_missing_fencing() -> None:
    for cib in (REPORT, TODAY):
        (problem,) = problems(cib, OPTIONS)
        assert problem.startswith("clusterip_clone is shared without fencing")
        assert problems(cib, FENCED) == []


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('clone-max" value="2"', 'clone-max" value="3"', "clone-max of clusterip_clone is 3 for 2"),
        ('"clone-node-max" value="2"', '"clone-node-max" value="1"', "clone-node-max of clus"),
        (
            'unique" value="true"',
            'unique" value="false"',
            "the instances of clusterip_clone cannot",
        ),
        (
            'stickiness" value="0"',
            'stickiness" value="9"',
            "resource-stickiness of clusterip_clone",
        ),
        ('provider="standfest"', 'provider="heartbeat"', "cluster_ip is resource-agents' script"),
        (' provider="standfest"', "", "cluster_ip is resource-agents' script"),
        ('"01:02:03:04:05:06"', '"02:02:03:04:05:06"', "mac of cluster_ip is 02:02:03:04:05:06"),
    ],
)
def test_each_trap_is_named(old: str, new: str, told: str) -> None:
    assert TODAY.count(old) == 1
    found = problems(TODAY.replace(old, new), FENCED)
    assert [one for one in found if one.startswith(told)] != []


def test_a_node_without_an_instance_answers_nobody() -> None:
    three = HA_CF.replace("node node-1 node-2", "node node-1 node-2 node-3")
    (problem,) = problems(TODAY, FENCED, ha_cf=three)
    assert problem == "clone-max of clusterip_clone is 2, but there are 3 nodes: not all answer"


@pytest.mark.parametrize(
    ("constraint", "told"),
    [
        ('<rsc_colocation id="c" rsc="clusterip_clone" with-rsc="db" score="INFINITY"/>', 1),
        ('<rsc_colocation id="c" rsc="clusterip_clone" with-rsc="db" score="100"/>', 0),
        ('<rsc_colocation id="c" rsc="clusterip_clone" with-rsc="web_clone" score="INFINITY"/>', 0),
        ('<rsc_order id="o" first="web_clone" then="clusterip_clone"/>', 1),
        ('<rsc_order id="o" first="web_clone" then="clusterip_clone" kind="Optional"/>', 0),
        ('<rsc_order id="o" first="db" then="clusterip_clone"/>', 0),
        ('<rsc_order id="o" first="clusterip_clone" then="web_clone"/>', 0),
    ],
)
def test_constraints_that_end_the_sharing_are_named(constraint: str, told: int) -> None:
    found = problems(WITH_OTHERS, f"<constraints>{constraint}</constraints>", FENCED)
    assert len(found) == told


def test_an_address_that_is_not_shared_is_none_of_these() -> None:
    unique = TODAY.replace(
        "</instance_attributes>",
        '<nvpair id="u" name="unique_clone_address" value="true"/></instance_attributes>',
    )
    alone = TODAY.replace('clone-max" value="2"', 'clone-max" value="1"')
    assert problems(unique, OPTIONS) == problems(alone, OPTIONS) == []


def test_sections_in_several_files_are_one_cluster_s() -> None:
    order = '<constraints><rsc_order id="o" first="web_clone" then="db"/></constraints>'
    assert problems(order, WITH_OTHERS, FENCED) == []
