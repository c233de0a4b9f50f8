"""Access rules: marks, what is left to read, what may be changed."""

import pytest

from standfest.core.cib.document import Cib
from standfest.core.cib.patch import difference
from standfest.model import xml
from standfest.model.element import Element
from standfest.model.errors import Ground, OperationError, RefusedError
from standfest.model.status import Status, Version
from standfest.runtime.channel import group_names
from standfest.runtime.cluster.access import access_of, limits, readable
from standfest.runtime.cluster.editing import edited
from standfest.runtime.cluster.protocol import ChangeConfiguration

TEXT = """<cib epoch="1" secret="s"><configuration><crm_config><cluster_property_set id="o">
<nvpair id="o1" name="enable-acl" value="{enabled}"/></cluster_property_set></crm_config>
<nodes><node id="1" uname="a"/></nodes>
<resources><group id="web"><primitive id="ip" class="ocf" provider="x" type="Dummy">
<instance_attributes id="i"><nvpair id="i1" name="ip" value="1"/><nvpair id="i2" name="mask"
 value="24"/></instance_attributes></primitive></group>
<primitive id="db" class="ocf" provider="x" type="Dummy"/></resources>
<constraints><rsc_location id="l" rsc="web" node="a" score="1"/></constraints>
<acls><acl_role id="ops"><acl_permission id="p1" kind="read" xpath="/cib"/>
<acl_permission id="p2" kind="write" reference="web"/>
<acl_permission id="p3" kind="deny" xpath="//nvpair[@name='ip']"/></acl_role>
<acl_role id="planner"><acl_permission id="q1" kind="write" object-type="constraints"/>
<acl_permission id="q2" kind="read" object-type="node" attribute="uname"/>
<acl_permission id="q3" kind="read" xpath="//nonsense["/></acl_role>
<acl_target id="eve"><role id="ops"/></acl_target>
<acl_group id="planners"><role id="planner"/></acl_group></acls>
</configuration><status/></cib>"""
CIB = xml.parse(TEXT.format(enabled="true"), "cib.xml")


def configuration(text: str = "true") -> Element:
    found = xml.parse(TEXT.format(enabled=text), "cib.xml").child("configuration")
    assert found is not None
    return found


def shown(user: str, *groups: str) -> str:
    access = access_of(CIB, user, groups)
    assert access is not None
    found = readable(CIB, access)
    return "" if found is None else xml.serialise(found)


def test_nobody_is_asked_where_the_rules_are_off_and_root_never() -> None:
    assert not limits(configuration("false"), "eve")
    assert limits(configuration(), "eve")
    for user in ("root", "hacluster"):
        assert access_of(CIB, user, ()) is None


def test_who_has_no_rule_reads_nothing() -> None:
    assert shown("zoe", "users") == ""


def test_what_is_denied_is_left_out_and_the_nearest_mark_counts() -> None:
    text = shown("eve")
    assert 'name="mask"' in text
    assert 'name="ip"' not in text
    assert 'secret="s"' in text
    assert 'id="db"' in text


def test_of_what_stands_around_only_the_id_is_read() -> None:
    text = shown("bob", "planners")
    assert "<rsc_location" in text
    assert '<node id="1" uname="a"/>' in text
    assert "secret" not in text
    assert "primitive" not in text


def ask(after: Element, user: str, *groups: str) -> str:
    """What the coordinator answers, or nothing when it does as it is asked."""
    cib = Cib(Version(0, 1, 0), configuration(), Status())
    patch = difference(cib.configuration, after)
    try:
        edited(ChangeConfiguration(patch, cib.version, 0, "t", user, groups), cib, 0, ())
    except OperationError as error:
        return str(error)
    return ""


def changed(old: str, new: str) -> Element:
    text = TEXT.format(enabled="true")
    assert old in text
    found = xml.parse(text.replace(old, new), "cib.xml").child("configuration")
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("old", "new", "user", "said"),
    [
        (' value="24"', ' value="25"', "eve", ""),
        ('name="ip" value="1"', 'name="ip" value="2"', "eve", "nvpair[@id='i1']"),
        ('<primitive id="db" class="ocf" provider="x" type="Dummy"/>', "", "eve", "@id='db'"),
        ('score="1"', 'score="2"', "eve", "rsc_location[@id='l']"),
        ('score="1"', 'score="2"', "bob", ""),
        ('<rsc_location id="l" rsc="web" node="a" score="1"/>', "", "bob", ""),
        (' value="24"', ' value="25"', "bob", "nvpair[@id='i2']"),
        ('value="true"', 'value="false"', "eve", "nvpair[@id='o1']"),
        (' value="24"', ' value="25"', "", ""),
    ],
)
def test_what_may_be_changed(old: str, new: str, user: str, said: str) -> None:
    groups = ("planners",) if user == "bob" else ()
    answer = ask(changed(old, new), user, *groups)
    assert (said in answer and f"{user} may not change" in answer) if said else not answer


def test_nobody_gives_himself_more_than_he_has_in_the_same_change() -> None:
    more = '<acl_target id="bob"><role id="ops"/></acl_target></acls>'
    after = changed("</acls>", more)
    assert "may not change /cib/configuration/acls/acl_target[@id='bob']" in ask(
        after, "bob", "planners"
    )


def test_the_version_is_not_counted_up_by_who_may_not_write() -> None:
    cib = Cib(Version(0, 1, 0), configuration(), Status())
    with pytest.raises(RefusedError, match="eve may not count the version up") as refused:
        edited(ChangeConfiguration(None, cib.version, 3, "t", "eve"), cib, 0, ())
    assert refused.value.ground is Ground.NOT_ALLOWED


def test_groups_without_a_name_are_left_out() -> None:
    assert group_names([0, 4_000_000_000, 0]) == ("root",)
