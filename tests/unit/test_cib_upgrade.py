"""From Heartbeat 2's dialect to today's: the result is valid, and every change is told."""

from pathlib import Path

import pytest

from standfest.config.cib.schema.validate import validate
from standfest.config.cib.upgrade import Change, differences, upgrade
from standfest.model import xml
from standfest.model.element import Element

SAMPLE = next(
    (
        place
        for parent in Path(__file__).resolve().parents
        if (place := parent / "shared/facts/formats/samples/legacy/legacy-cib-2.0.8.xml").is_file()
    ),
    Path("absent"),
)

DOCUMENT = """\
<cib admin_epoch="0" epoch="7" num_updates="2" have_quorum="yes" num_peers="2">
<configuration>
<crm_config/>
<nodes><node id="8c05" uname="a" type="normal"/></nodes>
<resources>
<primitive id="1db" class="lsb" type="mysql" provider="x" is_managed="true">
<operations><op id="mon" name="monitor" on_fail="fence" disabled="false"/></operations>
<instance_attributes id="set"><attributes>
<nvpair id="p" name="port" value="3306"/>
</attributes></instance_attributes>
</primitive>
</resources>
<constraints>
<rsc_order id="o" from="1db" to="1db" type="before"/>
<rsc_location id="l" rsc="1db">
<lifetime id="t"><rule id="tr" score="0"/></lifetime>
<rule id="r" boolean_op="and"><expression id="e" attribute="x" operation="defined"/></rule>
</rsc_location>
</constraints>
</configuration>
<status><node_state id="8c05" uname="a"/></status>
</cib>"""


CHANGES = [
    'line 1: <cib>: have_quorum="yes" -> have-quorum="true"',
    'line 1: <cib>: num_peers="2" -> nothing',
    'line 1: <cib>: nothing -> validate-with="pacemaker-3.9"',
    'line 4: <node id=8c05>: type="normal" -> type="member"',
    'line 6: <primitive id=1db>: id="1db" -> id="id-1db"',
    'line 6: <primitive id=1db>: provider="x" -> nothing',
    'line 6: <primitive id=1db>: is_managed="true" -> nothing',
    'line 7: <op id=mon>: on_fail="fence" -> on-fail="fence"',
    'line 7: <op id=mon>: disabled="false" -> enabled="true"',
    'line 7: <op id=mon>: nothing -> interval="0"',
    "line 8: <attributes>: <attributes/> -> nothing",
    'line 14: <rsc_order id=o>: from="1db" -> first="id-1db"',
    'line 14: <rsc_order id=o>: to="1db" -> then="id-1db"',
    'line 14: <rsc_order id=o>: type="before" -> nothing',
    'line 15: <rsc_location id=l>: rsc="1db" -> rsc="id-1db"',
    "line 15: order in <rsc_location id=l>: lifetime r -> r lifetime",
    'line 16: <lifetime id=t>: id="t" -> nothing',
    'line 17: <rule id=r>: boolean_op="and" -> boolean-op="and"',
    'line 17: <rule id=r>: nothing -> score="0"',
    "<cluster_property_set id=heartbeat-2-options>: nothing -> "
    '<cluster_property_set id="heartbeat-2-options"/>',
    "<nvpair id=heartbeat-2-stonith-enabled>: nothing -> "
    '<nvpair id="heartbeat-2-stonith-enabled" name="stonith-enabled" value="false"/>',
    "line 6: <meta_attributes id=id-1db-heartbeat-2-meta>: nothing -> "
    '<meta_attributes id="id-1db-heartbeat-2-meta"/>',
    "line 6: <nvpair id=id-1db-heartbeat-2-meta-is-managed>: nothing -> "
    '<nvpair id="id-1db-heartbeat-2-meta-is-managed" name="is-managed" value="true"/>',
    "line 16: <expression id=tr-always>: nothing -> "
    '<expression id="tr-always" attribute="#uname" operation="defined"/>',
    "line 21: <status>: what was seen -> empty: it is seen anew",
]


def test_every_change_is_told_with_line_before_and_after() -> None:
    done = upgrade(xml.parse(DOCUMENT, "cib.xml"), "cib.xml")
    assert [str(change) for change in done.changes] == CHANGES
    assert done.findings == ()


def test_the_result_is_valid_today() -> None:
    done = upgrade(xml.parse(DOCUMENT, "cib.xml"), "cib.xml")
    assert done.root.get("validate-with") == "pacemaker-3.9"
    assert validate(done.root, "cib.xml") == []
    assert validate(xml.parse(xml.serialise(done.root), "cib.xml"), "cib.xml") == []


def test_a_document_of_today_is_unchanged() -> None:
    root = xml.parse(
        '<cib validate-with="pacemaker-3.9" admin_epoch="0" epoch="0" num_updates="0">'
        "<configuration><crm_config/><nodes/><resources/><constraints/></configuration></cib>",
        "cib.xml",
    )
    done = upgrade(root, "cib.xml")
    assert (done.root, done.changes, done.findings) == (root, (), ())


def test_what_cannot_be_kept_is_a_warning() -> None:
    text = DOCUMENT.replace(
        'name="port" value="3306"', 'name="resource_failure_stickiness" value="-5"'
    )
    done = upgrade(xml.parse(text, "cib.xml"), "cib.xml")
    assert [str(finding) for finding in done.findings] == [
        "cib.xml:9: warning: resource_failure_stickiness is -5: it is dropped, nothing today does "
        "the same; expected a migration-threshold of the resource"
    ]


def test_any_difference_is_found() -> None:
    def tree(*children: Element, **attributes: str) -> Element:
        return Element("a", tuple(attributes.items()), children)

    one, two = Element("b", (("id", "x"),), line=3), Element("c", (("id", "y"),), line=4)
    assert list(differences(tree(one, two), tree(one, two))) == []
    assert list(differences(tree(one, two), tree(two, one))) == [
        Change(0, "order in <a>", "x y", "y x")
    ]
    assert list(differences(tree(one), tree())) == [Change(3, "<b id=x>", '<b id="x"/>', "")]
    assert list(differences(tree(), tree(one))) == [Change(3, "<b id=x>", "", '<b id="x"/>')]
    assert list(differences(tree(n="1"), tree(n="2"))) == [Change(0, "<a>", 'n="1"', 'n="2"')]
    assert list(differences(tree(n_m="1"), tree(**{"n-m": "1"}))) == [
        Change(0, "<a>", 'n_m="1"', 'n-m="1"')
    ]
    inside = one.with_children((two,))
    assert list(differences(tree(one, two), tree(inside))) == [
        Change(4, "<c id=y> moved", "in <a>", "in <b id=x>")
    ]
    assert list(differences(tree(one), tree(Element("c", (("id", "x"),))))) == [
        Change(3, "<b id=x>", "<b>", "<c>")
    ]


@pytest.mark.skipif(not SAMPLE.is_file(), reason="the legacy sample is not here (../shared)")
def test_the_sample_says_what_cibadmin_made_of_it() -> None:
    done = upgrade(xml.parse(SAMPLE.read_bytes(), "cib.xml"), "cib.xml")
    assert done.findings == ()
    peer = xml.parse((SAMPLE.parent / STEP_TWO).read_bytes(), STEP_TWO)
    tags = ("rsc_colocation", "rsc_order", "op", "rule", "node")
    assert stated(done.root, tags) == stated(peer, tags)
    # What is stated of all resources: cibadmin writes out the order of sections otherwise.
    assert pairs(done.root, "rsc_defaults") == pairs(peer, "rsc_defaults")
    assert pairs(done.root, "op_defaults") == pairs(peer, "op_defaults")
    told = [str(change) for change in done.changes]
    assert 'line 37: <op id=ip_mon>: on_fail="restart" -> on-fail="restart"' in told
    assert len(told) == 106


STEP_TWO = "step2-pacemaker-3.9-by-cibadmin-2.1.5.xml"


def stated(root: Element, tags: tuple[str, ...]) -> dict[tuple[str, str], dict[str, str]]:
    """Return the attributes of elements that keep their ids."""
    return {(e.tag, e.id): dict(e.attributes) for e in root.walk() if e.tag in tags}


def pairs(root: Element, section: str) -> dict[str | None, str | None]:
    """Return names and values of a section."""
    found = next(element for element in root.walk() if element.tag == section)
    return {e.get("name"): e.get("value") for e in found.walk() if e.tag == "nvpair"}
