"""Any tree of elements is judged, and never raises: by every schema, in every state of disorder."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standfest.config.cib.schema.check import MAX_FINDINGS
from standfest.config.cib.schema.grammar_legacy import LEGACY
from standfest.config.cib.schema.patterns import Attribute, Child, leaves
from standfest.config.cib.schema.validate import (
    TYPES,
    known_schemas,
    legacy_schemas,
    validate,
)
from standfest.model.element import Element
from standfest.model.errors import Finding

_LEAVES = [leaf for types in (TYPES, LEGACY) for p in types.values() for leaf in leaves(p)]
TAGS = sorted({leaf.tag for leaf in _LEAVES if isinstance(leaf, Child)})
NAMES = sorted({leaf.name for leaf in _LEAVES if isinstance(leaf, Attribute)})

tags = st.sampled_from(TAGS) | st.text(max_size=8)
values = st.sampled_from(["a", "1", "true", "INFINITY", "ocf", "eq", "date_spec", "none", " a "])
attributes = st.lists(
    st.tuples(st.sampled_from(NAMES) | st.text(max_size=5), values | st.text(max_size=8)),
    max_size=6,
).map(tuple)
elements = st.recursive(
    st.builds(Element, tags, attributes, st.just(()), st.text(max_size=4)),
    lambda inner: st.builds(Element, tags, attributes, st.lists(inner, max_size=4).map(tuple)),
    max_leaves=25,
)
schemas = st.sampled_from([*known_schemas(), *legacy_schemas(), "none", "unknown", None])


@given(root=elements, schema=schemas)
def test_anything_is_judged(root: Element, schema: str | None) -> None:
    whole = Element("cib", root.attributes, (Element("configuration", (), (root,)),))
    for document in (root, whole):
        findings = validate(document, "any.xml", schema)
        assert all(isinstance(finding, Finding) and str(finding) for finding in findings)
        assert len(findings) <= MAX_FINDINGS + 1


@pytest.mark.parametrize("schema", ["pacemaker-1.0", "pacemaker-4.0", "heartbeat-2.1.3"])
def test_depth_and_width_are_no_matter(schema: str) -> None:
    """Rules inside rules, ten thousand deep; then as many attributes, and as many children."""
    element = Element("rule", (("id", "r"), ("score", "1")))
    for _ in range(10_000):
        element = Element("rule", element.attributes, (element,))
    deep = Element(
        "cib",
        (),
        (
            Element(
                "configuration",
                (),
                (Element("constraints", (), (Element("rsc_location", (), (element,)),)),),
            ),
        ),
    )
    assert len(validate(deep, "any.xml", schema)) >= 2
    wide = tuple((f"a{number}", "x") for number in range(10_000))
    assert len(validate(Element("cib", wide), "any.xml", schema)) == MAX_FINDINGS + 1
    nodes = tuple(Element("nodes") for _ in range(10_000))
    crowd = Element("cib", (), (Element("configuration", (), nodes),))
    assert len(validate(crowd, "any.xml", schema)) == MAX_FINDINGS + 1
