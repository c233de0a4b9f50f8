"""Options of resources in a CIB: which nvpair is meant, what it is called, what is said."""

import pytest

from standfest.core.cib.options import (
    Kind,
    NoPlaceError,
    Option,
    SeveralError,
    UnknownError,
    with_option,
    without_option,
)
from standfest.core.cib.resources import (
    place_of,
    with_property,
    without_number,
    without_resource,
)
from standfest.model import xml
from standfest.model.element import Element

CIB = xml.parse(
    """<cib><configuration><resources>
<template id="tpl"/>
<primitive id="a" class="ocf"/>
<primitive id="b">
  <meta_attributes id="b-m"><nvpair id="b-m1" name="target-role" value="Started"/></meta_attributes>
  <instance_attributes id="b-1"><nvpair id="b-1-x" name="x" value="1"/></instance_attributes>
  <instance_attributes id="b-2"><nvpair id="b-2-x" name="x" value="2"/></instance_attributes>
</primitive>
<group id="g"><primitive id="g1"/></group>
<clone id="c">
  <primitive id="p"/>
</clone>
<clone id="d">
  <primitive id="q">
    <meta_attributes id="q-m"><nvpair id="q-m1" name="priority" value="1"/></meta_attributes>
  </primitive>
  <meta_attributes id="d-m"><nvpair id="d-m1" name="priority" value="2"/></meta_attributes>
</clone>
</resources></configuration><status/></cib>""",
    "test",
)
META = Kind.META


def written(cib: Element, identifier: str) -> str:
    """Return the element with this id as text, on one line."""
    found = next(e for e in cib.walk() if e.id == identifier)
    return xml.serialise(found, indent=0).replace("\n", "")


def test_a_new_option_comes_to_a_new_set_at_the_resources_end() -> None:
    changed = with_option(CIB, Option("a", "ip", Kind.INSTANCE), "10.0.0.1")
    assert written(changed.cib, "a") == (
        '<primitive id="a" class="ocf"><instance_attributes id="a-instance_attributes">'
        '<nvpair id="a-instance_attributes-ip" name="ip" value="10.0.0.1"/>'
        "</instance_attributes></primitive>"
    )
    assert changed.said == (
        "Set 'a' option: id=a-instance_attributes-ip set=a-instance_attributes name=ip "
        "value=10.0.0.1",
    )


def test_an_option_that_there_is_changes_where_it_is() -> None:
    changed = with_option(CIB, Option("b", "target-role", META), "Stopped")
    assert 'id="b-m1" name="target-role" value="Stopped"' in written(changed.cib, "b-m")
    assert changed.said == ("Set 'b' option: id=b-m1 name=target-role value=Stopped",)


@pytest.mark.parametrize(("value", "expected"), [("value++", "2"), ("value+=5", "6")])
def test_a_value_counts_from_the_old_one(value: str, expected: str) -> None:
    changed = with_option(CIB, Option("q", "priority", META), value)
    assert f'value="{expected}"' in written(changed.cib, "q-m")


def test_of_several_none_is_changed_without_a_word_which() -> None:
    with pytest.raises(SeveralError) as error:
        with_option(CIB, Option("b", "x"), "3")
    listed = (
        "Multiple attributes match name=x",
        "  Value: 1 \t(id=b-1-x)",
        "  Value: 2 \t(id=b-2-x)",
        "",
    )
    assert error.value.said == listed * 2
    with pytest.raises(SeveralError):
        without_option(CIB, Option("b", "x"))
    named = with_option(CIB, Option("b", "x", set_id="b-2"), "3")
    assert 'value="3"' in written(named.cib, "b-2-x")
    assert 'value="1"' in written(named.cib, "b-1-x")
    assert named.said == (*listed, "Set 'b' option: id=b-2-x set=b-2 name=x value=3")
    gone = without_option(CIB, Option("b", "x", id="b-1-x"))
    assert written(gone.cib, "b-1") == '<instance_attributes id="b-1"/>'
    assert gone.said == ("Deleted 'b' option: id=b-1-x name=x",)


def test_what_is_not_set_is_deleted_without_a_word() -> None:
    assert without_option(CIB, Option("a", "ip")).cib == CIB
    assert without_option(CIB, Option("a", "ip")).said == ()


def test_a_meta_attribute_for_what_is_cloned_is_the_clones() -> None:
    changed = with_option(CIB, Option("p", "target-role", META), "Stopped")
    assert changed.said == (
        "Performing update of 'target-role' on 'c', the parent of 'p'",
        "Set 'c' option: id=c-meta_attributes-target-role set=c-meta_attributes "
        "name=target-role value=Stopped",
    )
    assert written(changed.cib, "p") == '<primitive id="p"/>'
    numbered = with_option(CIB, Option("p:0", "target-role", META), "Stopped")
    assert numbered.cib == changed.cib
    forced = with_option(CIB, Option("p", "target-role", META, force=True), "Stopped")
    assert forced.said[0].startswith("Set 'p' option: id=p-meta_attributes-target-role ")


def test_a_meta_attribute_that_the_cloned_has_is_its_own() -> None:
    changed = with_option(CIB, Option("d", "priority", META), "5")
    assert 'value="5"' in written(changed.cib, "q-m")
    assert 'value="2"' in written(changed.cib, "d-m")
    assert changed.said[4:] == (
        "A value for 'priority' already exists in child 'q', performing update on that "
        "instead of 'd'",
        "Set 'q' option: id=q-m1 name=priority value=5",
    )
    forced = without_option(CIB, Option("d", "priority", META, force=True))
    assert written(forced.cib, "d-m") == '<meta_attributes id="d-m"/>'


def test_a_parameter_by_the_name_of_a_meta_attribute_is_refused() -> None:
    with pytest.raises(SeveralError) as error:
        with_option(CIB, Option("b", "target-role"), "Stopped")
    assert error.value.warned == (
        "WARNING: There is already a meta attribute for 'b' called 'target-role' (id=b-m1)",
        "         Delete 'b-m1' first or use the force option to override",
    )
    forced = with_option(CIB, Option("b", "target-role", force=True), "Stopped")
    assert "b-instance_attributes-target-role" in written(forced.cib, "b")


def test_what_cannot_have_an_option_is_refused() -> None:
    with pytest.raises(UnknownError):
        with_option(CIB, Option("tpl", "x"), "1")
    with pytest.raises(UnknownError):
        without_option(CIB, Option("nosuch", "x"))
    with pytest.raises(NoPlaceError, match="utilization of group g; expected a primitive"):
        with_option(CIB, Option("g", "cpu", Kind.UTILIZATION), "1")


def test_an_nvpair_takes_the_place_of_the_one_that_has_its_id() -> None:
    changed = with_option(CIB, Option("b", "y", set_id="b-1", id="b-1-x"), "7")
    assert written(changed.cib, "b-1") == (
        '<instance_attributes id="b-1"><nvpair id="b-1-x" name="y" value="7"/>'
        "</instance_attributes>"
    )


def test_only_a_resource_of_the_type_is_deleted() -> None:
    assert without_resource(CIB, "a", "group") is CIB
    assert without_resource(CIB, "nosuch", "primitive") is CIB
    assert place_of(without_resource(CIB, "a", "primitive"), "a") is None
    assert place_of(without_resource(CIB, "g1", "primitive"), "g") is not None
    bare = Element("cib")
    assert without_resource(bare, "a", "primitive") is bare


def test_an_attribute_of_the_resource_itself_is_set() -> None:
    changed = with_property(CIB, "a", "primitive", "class", "lsb")
    assert changed is not None
    assert written(changed, "a") == '<primitive id="a" class="lsb"/>'
    assert with_property(CIB, "a", "group", "class", "lsb") is None
    assert with_property(CIB, "nosuch", "primitive", "class", "lsb") is None


def test_a_number_counts_only_where_no_resource_is_called_so() -> None:
    assert without_number(CIB, "p:0") == "p"
    assert without_number(CIB, "p:x") == "p:x"
    assert without_number(CIB, "a") == "a"
    assert place_of(Element("cib"), "a") is None
