"""What administrators do to a whole CIB, one operation at a time, with literals.

The expectations were seen with Debian's cibadmin 2.1.5 (docs/guide/tools.md); tests/differential
compares the two at random.
"""

import pytest

from standfest.core.cib import objects
from standfest.core.cib.arithmetic import expanded
from standfest.core.cib.counting import counted, rank_of, same
from standfest.core.cib.objects import ChangeError, Refusal
from standfest.core.cib.places import paths, section_path
from standfest.core.cib.printed import digest_on_disk, digest_versioned, formatted
from standfest.model import xml
from standfest.model.element import Element

CIB = """\
<cib validate-with="pacemaker-3.9" epoch="12" num_updates="34" admin_epoch="0">
  <configuration>
    <crm_config/>
    <nodes>
      <node id="1" uname="alice"/>
    </nodes>
    <resources>
      <group id="web">
        <primitive id="ip" class="ocf" provider="heartbeat" type="IPaddr2">
          <operations>
            <op id="ip-mon" name="monitor" interval="10s"/>
          </operations>
        </primitive>
        <primitive id="httpd" class="systemd" type="apache2"/>
      </group>
    </resources>
    <constraints>
      <rsc_location id="where" rsc="web" node="alice" score="100"/>
    </constraints>
  </configuration>
  <status/>
</cib>
"""
DUMMY = '<primitive id="{}" class="ocf" provider="pacemaker" type="Dummy"/>'


def cib() -> Element:
    return xml.parse(CIB, "cib.xml")


def element(text: str) -> Element:
    return xml.parse(text, "given")


def section(whole: Element, name: str) -> str:
    return formatted(objects.query(whole, name))


def refusal(error: pytest.ExceptionInfo[ChangeError]) -> tuple[Refusal, str]:
    return error.value.refusal, error.value.problem


def test_a_section_or_all_is_shown() -> None:
    assert section(cib(), "nodes") == '<nodes>\n  <node id="1" uname="alice"/>\n</nodes>\n'
    assert objects.query(cib(), "all") == objects.query(cib(), "cib") == cib()
    assert objects.query(cib(), "status") == Element("status")
    with pytest.raises(ChangeError) as error:
        objects.query(cib(), "tags")
    assert refusal(error) == (Refusal.NO_SUCH, "the CIB has no section tags")


def test_what_is_created_comes_to_the_end_of_its_section() -> None:
    after = objects.create(cib(), element(DUMMY.format("new")), "resources")
    assert [child.id for child in objects.query(after, "resources").children] == ["web", "new"]


def test_a_section_given_whole_brings_all_its_children_or_none() -> None:
    both = element(f"<resources>{DUMMY.format('a')}{DUMMY.format('b')}</resources>")
    after = objects.create(cib(), both, "resources")
    assert [child.id for child in objects.query(after, "resources").children] == ["web", "a", "b"]
    taken = element(f"<resources>{DUMMY.format('a')}<group id='web'/></resources>")
    with pytest.raises(ChangeError) as error:
        objects.create(cib(), taken, "resources")
    assert refusal(error) == (Refusal.EXISTS, "<group id=web> exists already")
    assert error.value.failed == element("<group id='web'/>")


def test_of_a_whole_cib_given_the_section_is_meant() -> None:
    given = element("<cib><configuration><nodes><node id='2'/></nodes></configuration></cib>")
    assert objects.fragment(given, "nodes") == element("<nodes><node id='2'/></nodes>")
    assert objects.fragment(given, None) == given
    with pytest.raises(ChangeError) as error:
        objects.fragment(given, "resources")
    assert refusal(error) == (Refusal.INVALID, "the <cib> given has no section resources")


def test_nothing_is_created_in_a_section_that_is_not_there() -> None:
    with pytest.raises(ChangeError) as error:
        objects.create(cib(), element("<tag id='t'/>"), "tags")
    assert refusal(error) == (Refusal.INVALID, "the CIB has no section tags")


def test_without_a_section_creating_begins_at_what_is_there() -> None:
    after = objects.create(cib(), element("<nodes><node id='2' uname='bob'/></nodes>"))
    assert [child.id for child in objects.query(after, "nodes").children] == ["1", "2"]
    with pytest.raises(ChangeError) as error:
        objects.create(cib(), element(DUMMY.format("new")))
    assert refusal(error) == (Refusal.NO_SUCH, "<primitive id=new> is not in the CIB")


def test_an_object_is_modified_wherever_it_is() -> None:
    after = objects.modify(cib(), element('<op id="ip-mon" interval="20s" timeout="9s"/>'))
    assert '<op id="ip-mon" name="monitor" interval="20s" timeout="9s"/>' in formatted(after)
    assert objects.modify(cib(), element('<op id="ip-mon"/>')) == cib()


def test_children_are_merged_by_tag_and_id_and_new_ones_come_last() -> None:
    operations = '<operations><op id="ip-mon" interval="5s"/></operations>'
    after = objects.modify(cib(), element(f'<primitive id="ip">{operations}<x/></primitive>'))
    primitive = next(one for one in after.walk() if one.id == "ip")
    assert formatted(primitive) == (
        '<primitive id="ip" class="ocf" provider="heartbeat" type="IPaddr2">\n'
        "  <operations>\n"
        '    <op id="ip-mon" name="monitor" interval="5s"/>\n'
        "  </operations>\n"
        "  <x/>\n"
        "</primitive>\n"
    )


@pytest.mark.parametrize(
    ("text", "scope"),
    [
        ('<op id="nowhere"/>', None),
        ('<op name="monitor"/>', None),  # without an id, only what has none is meant
        ('<op id="ip-mon"/>', "constraints"),
        ('<primitive id="web"/>', None),
        ('<meta_attributes id="m"/>', "rsc_defaults"),
    ],
)
def test_what_is_nowhere_is_not_modified(text: str, scope: str | None) -> None:
    with pytest.raises(ChangeError) as error:
        objects.modify(cib(), element(text), scope)
    assert error.value.refusal is Refusal.NO_SUCH


def test_what_is_missing_is_created_when_that_is_allowed() -> None:
    defaults = element('<meta_attributes id="m"/>')
    after = objects.modify(cib(), defaults, "rsc_defaults", allow_create=True)
    configuration = after.child("configuration")
    assert configuration is not None
    assert configuration.children[-1] == Element("rsc_defaults", (), (defaults,))


@pytest.mark.parametrize(
    ("value", "old", "new"),
    [
        ("score++", "100", "101"),
        ("score+=5", "100", "105"),
        ("score+=-5", "100", "95"),
        ("score++", None, "1"),
        ("score++", "INFINITY", "1000000"),
        ("score+=INFINITY", "5", "1000000"),
        ("score+=-INFINITY", "100", "-999900"),
        ("score+=-INFINITY", "-999999", "-1999999"),  # there is no least value in 2.1.5
        ("score++", "10s", "11"),
        ("score+=x", "10s", "10"),
        ("score++", "no number", "1"),
        ("other++", "100", "other++"),
        ("score--", "100", "score--"),
        ("7", "100", "7"),
    ],
)
def test_values_count(value: str, old: str | None, new: str) -> None:
    assert expanded("score", value, old) == new


def test_an_object_is_replaced_with_all_that_is_in_it() -> None:
    after = objects.replace(cib(), element(DUMMY.format("ip")))
    assert [one.id for one in after.walk() if one.tag == "op"] == []
    assert DUMMY.format("ip") in formatted(after)
    counting = objects.replace(cib(), element('<rsc_location id="where" score="score++"/>'))
    assert '<rsc_location id="where" score="1"/>' in formatted(counting)


def test_a_section_is_replaced_by_its_tag() -> None:
    after = objects.replace(cib(), element("<constraints/>"), "constraints")
    assert section(after, "constraints") == "<constraints/>\n"
    for scope in ("resources", "tags"):
        with pytest.raises(ChangeError) as error:
            objects.replace(cib(), element("<constraints/>"), scope)
        assert error.value.refusal is Refusal.NO_SUCH


@pytest.mark.parametrize(
    "version",
    [
        'admin_epoch="0" epoch="11" num_updates="99"',
        'admin_epoch="0" epoch="12" num_updates="33"',
        'epoch="99" num_updates="0"',  # it does not say how old it is
    ],
)
def test_an_older_cib_replaces_nothing(version: str) -> None:
    with pytest.raises(ChangeError) as error:
        objects.replace(cib(), element(f"<cib {version}/>"))
    assert error.value.refusal is Refusal.OLDER


def test_the_first_that_matches_is_deleted() -> None:
    after = objects.delete(cib(), element('<primitive class="systemd"/>'))
    assert [one.id for one in after.walk() if one.tag == "primitive"] == ["ip"]
    after = objects.delete(cib(), element("<primitive/>"))
    assert [one.id for one in after.walk() if one.tag == "primitive"] == ["httpd"]


@pytest.mark.parametrize(
    ("text", "scope"),
    [
        ('<primitive id="ip" class="lsb"/>', None),  # all attributes must be those
        ('<primitive id="nowhere"/>', None),
        ('<primitive id="ip"/>', "constraints"),
        ("<cib/>", None),
        ("<resources/>", "resources"),
        ("<tag id='t'/>", "tags"),
    ],
)
def test_deleting_what_is_not_there_changes_nothing(text: str, scope: str | None) -> None:
    assert objects.delete(cib(), element(text), scope) == cib()


def test_places_that_lie_in_each_other_are_deleted_once() -> None:
    group = next(path for path, one in paths(cib()) if one.id == "web")
    inside = next(path for path, one in paths(cib()) if one.id == "ip-mon")
    after = objects.delete_at(cib(), [inside, group, inside])
    assert section(after, "resources") == "<resources/>\n"
    both = [path for path, one in paths(cib()) if one.tag == "primitive"]
    assert '<group id="web"/>' in section(objects.delete_at(cib(), both), "resources")
    with pytest.raises(ChangeError) as error:
        objects.delete_at(cib(), [()])
    assert refusal(error) == (Refusal.INVALID, "the whole CIB cannot be deleted")


def test_what_is_replaced_by_its_place_comes_to_the_end() -> None:
    first = next(path for path, one in paths(cib()) if one.id == "ip")
    after = objects.replace(cib(), element(DUMMY.format("z")), at=first)
    assert [one.id for one in after.walk() if one.tag == "primitive"] == ["httpd", "z"]
    with pytest.raises(ChangeError) as error:
        objects.replace(cib(), element("<cib/>"), at=())
    assert error.value.refusal is Refusal.INVALID


def test_erasing_leaves_empty_sections_and_the_next_admin_epoch() -> None:
    erased = objects.erase(cib())
    assert rank_of(erased) == (1, 12, 34)
    assert erased.children == objects.empty().children
    assert section_path(erased, "tags") is None


def test_an_empty_cib_is_as_pacemakers() -> None:
    assert formatted(objects.empty("pacemaker-2.0")) == (
        '<cib crm_feature_set="3.16.1" validate-with="pacemaker-2.0" epoch="1" num_updates="0" '
        'admin_epoch="0">\n  <configuration>\n    <crm_config/>\n    <nodes/>\n    <resources/>\n'
        "    <constraints/>\n  </configuration>\n  <status/>\n</cib>\n"
    )


def test_versions_count_what_changed() -> None:
    before = cib()
    configured = objects.delete(before, element("<rsc_location id='where'/>"))
    assert rank_of(counted(before, configured)) == (0, 13, 0)
    status = objects.create(before, element("<node_state id='1'/>"), "status")
    assert rank_of(counted(before, status)) == (0, 12, 35)
    assert rank_of(counted(before, objects.bump(before))) == (0, 13, 35)
    assert rank_of(counted(before, objects.erase(before))) == (1, 13, 0)
    given = configured.with_attribute("admin_epoch", "3").with_attribute("epoch", "7")
    assert rank_of(counted(before, given)) == (3, 8, 0)
    assert counted(before, cib()) is before


def test_the_order_of_attributes_is_no_change() -> None:
    assert same(element("<a b='1' c='2'/>"), element("<a c='2' b='1'/>"))
    assert not same(element("<a b='1'/>"), element("<a b='2'/>"))
    assert not same(element("<a><b/><c/></a>"), element("<a><c/><b/></a>"))


def test_digests_are_pacemakers() -> None:
    primitive = element(DUMMY.format("extra"))
    assert digest_on_disk(primitive) == "41267de677d108ed457831801553582b"
    version = element('<cib epoch="1" num_updates="0" admin_epoch="0"/>')
    assert digest_on_disk(version) == "4904f6c315eba98026a8fb5541a567c9"
    assert digest_versioned(version) == "4904f6c315eba98026a8fb5541a567c9"
    # Printed by cibadmin -6 of 2.1.5: apostrophes and tabs have escapes of their own.
    quoted = element('<a b="x&#39;y&#9;z&gt;"><c/></a>')
    assert digest_versioned(quoted) == "d731c9e689524990da3d11f5b3be1764"
