"""What a change of the configuration comes to, as an administrator reads it."""

import pytest

from standfest.analysis import cibchange
from standfest.config.cib import checked
from standfest.core.cib import provisional
from standfest.core.cib.patch import difference
from standfest.core.cib.provisional import Trial
from standfest.model import xml
from standfest.model.element import Element
from standfest.model.errors import ConfigError

CIB = xml.parse(
    """<cib validate-with="pacemaker-3.9" admin_epoch="0" epoch="4" num_updates="2"
 have-quorum="1" dc-uuid="a"><configuration><crm_config><cluster_property_set id="o">
<nvpair id="o1" name="stonith-enabled" value="false"/></cluster_property_set></crm_config>
<nodes><node id="a" uname="a"/><node id="b" uname="b"/></nodes><resources>
<primitive id="web" class="ocf" provider="heartbeat" type="Dummy"><instance_attributes id="i">
<nvpair id="i1" name="password" value="hunter2"/><nvpair id="i2" name="port" value="80"/>
</instance_attributes></primitive></resources><constraints/></configuration>
<status><node_state id="a" uname="a" in_ccm="true" crmd="online" join="member" expected="member">
<lrm id="a"><lrm_resources><lrm_resource id="web" class="ocf" provider="heartbeat" type="Dummy">
<lrm_rsc_op id="web_last_0" operation="start" operation_key="web_start_0" call-id="3" rc-code="0"
 op-status="0" interval="0" transition-key="1:1:0:00000000-0000-0000-0000-000000000000"/>
</lrm_resource></lrm_resources></lrm></node_state>
<node_state id="b" uname="b" in_ccm="true" crmd="online" join="member" expected="member"/>
</status></cib>""",
    "cib.xml",
)
NOW = 1_764_000_000


def configuration() -> Element:
    found = CIB.child("configuration")
    assert found is not None
    return found


def proposed(text: str) -> Element:
    return cibchange.proposed(CIB, text.encode(), "new.xml")


def test_a_section_replaces_that_section_and_what_is_stopped_is_named() -> None:
    after = proposed(
        '<resources><primitive id="files" class="ocf" provider="heartbeat" type="Dummy"/>'
        "</resources>"
    )
    plan = cibchange.plan(CIB, after, NOW)
    assert plan.differences == (
        "- resources > primitive web ocf:heartbeat:Dummy",
        "+ resources > primitive files ocf:heartbeat:Dummy",
    )
    assert plan.interrupted == ("web",)
    assert any(line.startswith("  start     files on ") for line in plan.transition)
    assert after.child("nodes") == configuration().child("nodes")


def test_values_are_shown_and_secrets_are_not() -> None:
    text = xml.serialise(configuration())
    after = proposed(text.replace("hunter2", "swordfish").replace('value="80"', 'value="81"'))
    patch = difference(configuration(), after)
    assert patch is not None
    where = "resources > primitive web > instance_attributes i > nvpair"
    assert list(cibchange.differences(patch, configuration())) == [
        f"~ {where} i1 (password): (not shown)",
        f"~ {where} i2 (port): value 80 -> 81",
    ]


def test_an_id_is_taken_also_where_nothing_else_is_looked_at() -> None:
    """The document could not be read again."""
    rules = Element("acls", (), (Element("acl_role", (("id", "web"),)),))
    before = configuration()
    after = before.with_children((*before.children, rules))
    for known in (None, before):
        with pytest.raises(ConfigError, match="id web is taken by"):
            checked(after, "CIB", known)
    fresh = Element("acls", (), (Element("acl_role", (("id", "mine"),)),))
    assert checked(before.with_children((*before.children, fresh)), "CIB", before).child("acls")


def test_an_old_dialect_is_upgraded() -> None:
    after = proposed(
        '<resources><primitive id="ip" class="ocf" provider="heartbeat" type="IPaddr" '
        'is_managed="false"><instance_attributes id="x"><attributes><nvpair id="x1" name="ip" '
        'value="192.0.2.1"/></attributes></instance_attributes></primitive></resources>'
    )
    patch = difference(configuration(), after)
    assert patch is not None
    lines = list(cibchange.differences(patch, configuration()))
    assert "+ resources > primitive ip ocf:heartbeat:IPaddr" in lines
    assert "+   ip=192.0.2.1" in lines
    assert "+   is-managed=false" in lines


def test_what_is_not_the_administrators_stays() -> None:
    on_trial = provisional.with_trial(configuration(), Trial(NOW, "undo"))
    children = tuple(on_trial if e.tag == "configuration" else e for e in CIB.children)
    after = cibchange.proposed(
        CIB.with_children(children), xml.serialise(configuration()).encode(), "new.xml"
    )
    assert provisional.read(after) == Trial(NOW, "undo")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<resources", "new.xml:1: not XML"),
        ("<ressources/>", 'new.xml:1: root element <ressources>; expected "resources"'),
        (
            '<resources><primitive id="o1" class="ocf" provider="x" type="Dummy"/></resources>',
            "id o1 is taken",
        ),
        (
            '<constraints><rsc_location id="l" rsc="wep" node="a" score="1"/></constraints>',
            "wep",
        ),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_place(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        proposed(text)
    assert said in str(refused.value)
