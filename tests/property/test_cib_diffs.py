"""Pacemaker's patches between random CIBs: one after the other, stale, damaged, and garbage."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standfest.core.cib import diffxml
from standfest.core.cib.counting import same
from standfest.core.cib.diffxml import DiffError, apply, diff
from standfest.core.cib.printed import formatted
from standfest.model import xml
from standfest.model.element import Element
from standfest.model.errors import ConfigError

IDS = ("1", "2", "3", "it's", "x/y", "")
VALUES = ("", "1", "2", 'quote"d', "a\nb")
SEEDS = st.integers(0, 2**32)


def element(rng: random.Random, depth: int = 3) -> Element:
    identifier = rng.choice(IDS)
    attributes = {rng.choice("xy"): rng.choice(VALUES) for _ in range(rng.randint(0, 2))}
    if identifier:
        attributes = {"id": identifier, **attributes}
    count = rng.randint(0, 3) if depth else 0
    children = tuple(element(rng, depth - 1) for _ in range(count))
    return Element(rng.choice("abc"), tuple(attributes.items()), children)


def cib(rng: random.Random, epoch: int = 1) -> Element:
    """Return a CIB of few sections and few ids, so that much is the same in two of them."""
    tags = rng.sample(["crm_config", "nodes", "resources", "tags"], rng.randint(0, 4))
    sections = [
        Element(tag, (), tuple(element(rng) for _ in range(rng.randint(0, 4)))) for tag in tags
    ]
    version = (("admin_epoch", "0"), ("epoch", str(epoch)), ("num_updates", "0"))
    attributes = (("crm_feature_set", "3.16.1"), *version)
    status = Element("status", (), tuple(element(rng) for _ in range(rng.randint(0, 2))))
    return Element("cib", attributes, (Element("configuration", (), tuple(sections)), status))


def cibs(seed: int, *epochs: int) -> list[Element]:
    """Return CIBs, of which each but the first is half of the time the one before, shuffled."""
    rng = random.Random(seed)
    made: list[Element] = []
    for epoch in epochs:
        fresh = cib(rng, epoch)
        if made and rng.random() < 0.5:
            fresh = shuffled(rng, made[-1]).with_attribute("epoch", str(epoch))
        made.append(fresh)
    return made


def shuffled(rng: random.Random, one: Element) -> Element:
    inner = [shuffled(rng, child) for child in one.children if rng.random() < 0.9]
    if one.tag != "cib":
        rng.shuffle(inner)
    return one.with_children(tuple(inner))


def patched(document: Element, patch: Element | None) -> Element:
    return document if patch is None else apply(document, patch)


def reread(patch: Element | None) -> Element | None:
    """Return a patch that was written to a file and read again."""
    return None if patch is None else xml.parse(xml.serialise(patch), "patch")


@given(SEEDS, st.booleans())
def test_a_patch_makes_one_document_the_other(seed: int, digest: bool) -> None:
    old, new = cibs(seed, 1, 2)
    patch = reread(diff(old, new, digest=digest))
    assert patch is not None, "the epochs differ"
    assert same(patched(old, patch), new)


@given(SEEDS)
def test_without_versions_the_content_is_patched(seed: int) -> None:
    old, new = cibs(seed, 1, 1)
    patch = diff(old, new.with_attribute("epoch", "9"), versions=False)
    assert same(patched(old, patch), new)
    assert patch is None or patch.child("version") is None


@given(SEEDS)
def test_patches_compose(seed: int) -> None:
    first, second, third = cibs(seed, 1, 2, 3)
    one, other = diff(first, second), diff(second, third)
    assert same(patched(patched(first, one), other), patched(first, diff(first, third)))


@given(SEEDS)
def test_a_stale_patch_is_refused(seed: int) -> None:
    old, new = cibs(seed, 1, 2)
    patch = diff(old, new)
    assert patch is not None
    for other, stale in ((new, True), (old.with_attribute("epoch", "0"), False)):
        with pytest.raises(DiffError) as error:
            apply(other, patch)
        assert error.value.stale is stale


@given(SEEDS)
def test_a_patch_of_another_document_is_refused_by_its_digest(seed: int) -> None:
    old, new, other = cibs(seed, 1, 2, 1)
    patch = diff(old, new, digest=True)
    assert patch is not None
    try:
        result = apply(other, patch)
    except DiffError:
        return
    assert formatted(result) == formatted(new)


@given(SEEDS, st.integers(0, 400), st.text(max_size=4))
def test_a_damaged_patch_is_refused_or_makes_a_document(seed: int, at: int, junk: str) -> None:
    old, new = cibs(seed, 1, 2)
    made = diff(old, new)
    assert made is not None
    text = formatted(made)
    damaged = text[: at % len(text)] + junk + text[at % len(text) + 1 :]
    try:
        apply(old, xml.parse(damaged, "patch"))
    except (ConfigError, DiffError):
        return


WORDS = ("create", "delete", "modify", "move", "", "x")
PATHS = ("/cib", "/cib/configuration", "/cib/status", "", "/", "/cib/a[@id='1']", "cib", "//", "/x")
POSITIONS = ("0", "1", "99", "-1", "x", "", "9" * 20)
INNER = (
    Element("a", (("id", "1"),)),
    Element("change-list", (), (Element("change-attr", (("name", "x"),)),)),
    Element("change-result", (), (Element("cib"),)),
    Element("change-result"),
)


@given(SEEDS)
def test_any_changes_are_refused_or_make_a_document(seed: int) -> None:
    rng = random.Random(seed)
    old = cib(rng)
    before = formatted(old)
    changes = []
    for _ in range(rng.randint(0, 5)):
        attributes = (
            ("operation", rng.choice(WORDS)),
            ("path", rng.choice(PATHS)),
            ("position", rng.choice(POSITIONS)),
        )
        inner = tuple(rng.choices(INNER, k=rng.randint(0, 2)))
        changes.append(Element("change", attributes, inner))
    try:
        apply(old, Element("diff", (("format", "2"),), tuple(changes)))
    except DiffError as error:
        lines = str(error).splitlines()
    else:
        lines = []
    assert len(lines) <= 1
    assert formatted(old) == before


OLD = """\
<cib crm_feature_set="3.16.1" admin_epoch="0" epoch="1" num_updates="0">
  <a id="1"/>
  <a id="2"/>
  <a id="3"/>
</cib>
"""
NEW = """\
<cib crm_feature_set="3.16.1" admin_epoch="0" epoch="2" num_updates="0">
  <a id="3"/>
  <a id="4">
    <k/>
  </a>
  <a id="1" b="2"/>
</cib>
"""
# As crm_diff 2.1.5 prints it for these two, but that it moves <a id="1"> as well.
PATCH = """\
<diff format="2">
  <version>
    <source admin_epoch="0" epoch="1" num_updates="0"/>
    <target admin_epoch="0" epoch="2" num_updates="0"/>
  </version>
  <change operation="delete" path="/cib/a[@id=&apos;2&apos;]"/>
  <change operation="modify" path="/cib">
    <change-list>
      <change-attr name="epoch" operation="set" value="2"/>
    </change-list>
    <change-result>
      <cib crm_feature_set="3.16.1" admin_epoch="0" epoch="2" num_updates="0"/>
    </change-result>
  </change>
  <change operation="move" path="/cib/a[@id=&apos;3&apos;]" position="0"/>
  <change operation="create" path="/cib" position="1">
    <a id="4">
      <k/>
    </a>
  </change>
  <change operation="modify" path="/cib/a[@id=&apos;1&apos;]">
    <change-list>
      <change-attr name="b" operation="set" value="2"/>
    </change-list>
    <change-result>
      <a id="1" b="2"/>
    </change-result>
  </change>
</diff>
"""


def test_a_patch_is_written_as_pacemaker_does() -> None:
    old, new = xml.parse(OLD, "old"), xml.parse(NEW, "new")
    patch = diff(old, new)
    assert patch is not None
    assert formatted(patch) == PATCH
    assert apply(old, patch) == new


def test_where_siblings_have_no_ids_their_parent_is_made_anew() -> None:
    old = xml.parse("<cib epoch='1'><p><a/><a x='1'/></p></cib>", "old")
    new = xml.parse("<cib epoch='2'><p><a x='1'/><a/></p></cib>", "new")
    patch = diff(old, new)
    assert patch is not None
    operations = [(one.get("operation"), one.get("path")) for one in patch.all("change")]
    assert operations == [("delete", "/cib/p"), ("modify", "/cib"), ("create", "/cib")]
    assert apply(old, patch) == new


@pytest.mark.parametrize(
    ("patch", "problem"),
    [
        ("<x/>", '<x> is no patch; expected <diff format="2">'),
        ('<diff format="1"/>', '<diff> is no patch; expected <diff format="2">'),
        (
            '<diff format="2"><change operation="delete" path="/cib/b"/></diff>',
            "path '/cib/b': there is no such element",
        ),
        (
            '<diff format="2"><change operation="delete" path="/cib"/></diff>',
            "the root cannot be deleted",
        ),
        (
            '<diff format="2"><change operation="modify" path="/x"/></diff>',
            "path '/x': there is no such root",
        ),
        (
            '<diff format="2"><change operation="create" path="/cib" position="-1"><a/></change>'
            "</diff>",
            "position '-1'; expected a number from 0",
        ),
        (
            '<diff format="2"><change operation="move" path="/cib/a[@id=\'1\']" position="0"/>'
            '<change operation="move" path="/cib/a[@id=\'1\']" position="1"/></diff>',
            "an element is moved twice, or moved and deleted",
        ),
        (
            '<diff format="2" digest="0"/>',
            "what comes out is not what the patch's digest says",
        ),
    ],
)
def test_what_is_wrong_with_a_patch_is_said(patch: str, problem: str) -> None:
    with pytest.raises(DiffError) as error:
        apply(xml.parse(OLD, "old"), xml.parse(patch, "patch"))
    assert str(error.value) == problem


def test_a_patch_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diffxml, "MAX_CHANGES", 3)
    with pytest.raises(DiffError, match="5 changes; expected at most 3"):
        apply(xml.parse(OLD, "old"), xml.parse(PATCH, "patch"))


def test_other_roots_are_not_compared() -> None:
    with pytest.raises(DiffError, match="<a> and <b> cannot be compared"):
        diff(Element("a"), Element("b"))
