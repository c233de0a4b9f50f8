"""Patches of a CIB: what a difference is, and that it changes nothing else."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from standfest.core.cib.patch import ConflictError, Patch, applied, difference, size
from standfest.model.element import Element

NAMES, IDS, VALUES = "abc", ("", "x", "y", "z"), "012"


def attributes() -> st.SearchStrategy[tuple[tuple[str, str], ...]]:
    pairs = st.tuples(st.sampled_from("pqr"), st.sampled_from(VALUES))
    return st.lists(pairs, max_size=3, unique_by=lambda pair: pair[0]).map(tuple)


def element(identifier: str, tag: str, own: tuple[tuple[str, str], ...]) -> Element:
    return Element(tag, ((("id", identifier),) if identifier else ()) + own)


def leaves() -> st.SearchStrategy[Element]:
    return st.builds(element, st.sampled_from(IDS), st.sampled_from(NAMES), attributes())


def unlike(children: list[Element]) -> list[Element]:
    """Keep the first of each id: a document has an id once."""
    seen: set[tuple[str, str]] = set()
    kept = []
    for child in children:
        key = child.tag, child.id
        if not child.id or key not in seen:
            kept.append(child)
        seen.add(key)
    return kept


def grown(inner: st.SearchStrategy[Element]) -> st.SearchStrategy[Element]:
    children = st.lists(inner, max_size=5).map(unlike)
    return st.builds(lambda e, c: e.with_children(tuple(c)), leaves(), children)


TREES = st.recursive(leaves(), grown, max_leaves=20).map(
    lambda tree: Element("cib", (), (tree,)) if tree.tag else tree
)


@given(TREES, TREES)
@settings(max_examples=400, deadline=None)
def test_a_difference_applied_is_the_other_document(before: Element, after: Element) -> None:
    patch = difference(before, after)
    if patch is None:
        assert before == after
    else:
        assert applied(patch, before) == after


@given(TREES, TREES, TREES)
@settings(max_examples=300, deadline=None)
def test_patches_compose(first: Element, second: Element, third: Element) -> None:
    one, two = difference(first, second) or Patch(), difference(second, third) or Patch()
    both = difference(first, third) or Patch()
    assert applied(two, applied(one, first)) == applied(both, first) == third


@given(TREES, TREES, TREES)
@settings(max_examples=300, deadline=None)
def test_on_another_document_a_patch_is_refused_or_does_what_it_says(
    before: Element, after: Element, other: Element
) -> None:
    patch = difference(before, after)
    if patch is None:
        return
    try:
        changed = applied(patch, other)
    except ConflictError:
        return
    assert applied(patch, changed) == changed  # done already: once more changes nothing


def resources(**values: str) -> Element:
    made = tuple(
        Element("primitive", (("id", name), ("type", value))) for name, value in values.items()
    )
    return Element("resources", (), made)


def test_one_attribute_among_many_is_one_setting() -> None:
    before = resources(**{f"r{number}": "Dummy" for number in range(500)})
    children = list(before.children)
    children[250] = children[250].with_attribute("type", "Stateful")
    patch = difference(before, before.with_children(tuple(children)))
    assert patch is not None
    assert size(patch) == 1
    assert len(repr(patch)) < 250


def test_one_that_moves_to_the_end_is_one_place() -> None:
    before = resources(a="1", b="1", c="1", d="1")
    patch = difference(before, resources(b="1", c="1", d="1", a="1"))
    assert patch is not None
    assert [(place.at, str(place.step)) for place in patch.places] == [(3, "primitive[@id='a']")]


def test_two_that_change_different_things_both_do() -> None:
    base = resources(a="1", b="1")
    one, two = difference(base, resources(a="2", b="1")), difference(base, resources(a="1", b="2"))
    assert one is not None
    assert two is not None
    assert applied(two, applied(one, base)) == resources(a="2", b="2")
    three = difference(base, resources(a="1", b="1", c="1"))
    assert three is not None
    assert applied(three, applied(one, base)) == resources(a="2", b="1", c="1")


@pytest.mark.parametrize(
    ("mine", "theirs", "said"),
    [
        (
            resources(a="2", b="1"),
            resources(a="3", b="1"),
            "/resources/primitive[@id='a']: type is 3 meanwhile; expected 1",
        ),
        (
            resources(b="1"),
            resources(a="3", b="1"),
            "/resources/primitive[@id='a']: changed meanwhile; expected to remove it",
        ),
        (
            resources(a="2", b="1"),
            resources(b="1"),
            "/resources/primitive[@id='a']: is gone; expected to change it",
        ),
        (
            resources(a="1", b="1", c="1"),
            resources(a="1", b="1", c="2"),
            "/resources/primitive[@id='c']: exists meanwhile; expected to add it",
        ),
    ],
)
def test_two_that_change_the_same_do_not(mine: Element, theirs: Element, said: str) -> None:
    patch = difference(resources(a="1", b="1"), mine)
    assert patch is not None
    with pytest.raises(ConflictError) as refused:
        applied(patch, theirs)
    assert str(refused.value) == said


def test_what_both_did_is_done() -> None:
    base, wanted = resources(a="1", b="1"), resources(a="2", c="1")
    patch = difference(base, wanted)
    assert patch is not None
    assert applied(patch, wanted) == wanted


def test_text_is_changed_only_from_what_it_was() -> None:
    base = Element("cib", (), (), "one")
    patch = difference(base, replace(base, text="two"))
    assert patch is not None
    assert applied(patch, base).text == "two"
    with pytest.raises(ConflictError, match="the text is another one"):
        applied(patch, replace(base, text="three"))
