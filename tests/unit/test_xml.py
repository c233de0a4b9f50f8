"""CIB text and elements: one is the other, and hostile text is refused by line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standfest.model.element import Element
from standfest.model.errors import ConfigError
from standfest.model.xml import MAX_DEPTH, parse, serialise

names = st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_.-]{0,8}", fullmatch=True)
# What XML can hold at all: no control characters but the three kinds of white space.
values = st.text(
    st.one_of(
        st.sampled_from("\t\n\r <>&\"'"),
        st.characters(
            min_codepoint=32, exclude_categories=["Cs"], exclude_characters="\ufffe\uffff"
        ),
    ),
    max_size=12,
)
attributes = st.dictionaries(names, values, max_size=4).map(lambda found: tuple(found.items()))
leaves = st.builds(Element, names, attributes, st.just(()), values.map(lambda v: v.strip()))
elements = st.recursive(
    leaves,
    lambda inner: st.builds(
        Element,
        names,
        attributes,
        st.lists(inner, min_size=1, max_size=4).map(tuple),
        values.map(lambda v: v.strip()),
    ),
    max_leaves=12,
)


def error_of(text: bytes | str, max_bytes: int = 100_000) -> str:
    with pytest.raises(ConfigError) as raised:
        parse(text, "cib.xml", max_bytes=max_bytes)
    return str(raised.value)


@given(elements)
def test_what_was_written_is_read_back_equal(element: Element) -> None:
    assert parse(serialise(element), "cib.xml") == element


@given(st.binary(max_size=200))
def test_any_bytes_are_an_element_or_a_config_error(content: bytes) -> None:
    try:
        parse(content, "cib.xml")
    except ConfigError:
        pass


@given(st.text(max_size=40))
def test_an_attribute_with_any_characters_makes_readable_xml(value: str) -> None:
    assert parse(serialise(Element("e", (("v", value),))), "cib.xml").tag == "e"


def test_what_xml_cannot_hold_becomes_the_replacement_character() -> None:
    assert serialise(Element("e", (("v", "a\x1b[1mb"),))) == '<e v="a\ufffd[1mb"/>\n'


def test_the_lines_of_elements_are_those_of_the_text() -> None:
    root = parse("<a>\n\n <b\n  x='1'/>\n <c/>\n</a>", "cib.xml")
    assert [(element.tag, element.line) for element in root.walk()] == [
        ("a", 1),
        ("b", 3),
        ("c", 5),
    ]


def test_entities_that_multiply_are_refused_before_they_do() -> None:
    laughs = (
        '<?xml version="1.0"?>\n<!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]>\n<l>&b;</l>'
    )
    assert error_of(laughs) == (
        "cib.xml:2: a document type declaration; expected plain XML without DTD or entities"
    )


def test_an_external_entity_is_refused() -> None:
    text = '<!DOCTYPE l SYSTEM "file:///etc/shadow"><l/>'
    assert error_of(text).startswith("cib.xml:1: a document type declaration")


def test_the_deepest_allowed_nesting_is_read_and_one_more_is_not() -> None:
    deepest = "<a>" * MAX_DEPTH + "</a>" * MAX_DEPTH
    assert parse(deepest, "cib.xml").tag == "a"
    assert error_of(f"<a>{deepest}</a>") == (
        "cib.xml:1: elements nested too deeply; expected at most 64 levels"
    )


def test_a_document_over_the_size_limit_is_refused_unread() -> None:
    assert error_of("<a/>" + " " * 97, max_bytes=100) == "cib.xml: 101 bytes; expected at most 100"


def test_too_many_elements_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("standfest.model.xml.MAX_ELEMENTS", 3)
    assert parse("<a><b/><c/></a>", "cib.xml").tag == "a"
    assert error_of("<a><b/>\n<c/><d/></a>") == "cib.xml:2: too many elements; expected at most 3"


def test_text_that_is_not_xml_is_refused_with_its_line() -> None:
    assert (
        error_of("<a>\n<b></a>") == "cib.xml:2: not XML: mismatched tag; expected well-formed XML"
    )
    assert error_of("") == "cib.xml:1: not XML: no element found; expected well-formed XML"


def test_an_encoding_nobody_reads_is_refused() -> None:
    assert error_of(b'<?xml version="1.0" encoding="klingon"?><a/>').startswith("cib.xml:1: not ")


def test_decoded_text_is_read_as_it_is_whatever_it_says_of_its_encoding() -> None:
    root = parse('<?xml version="1.0" encoding="ISO-8859-1"?><a v="M\u00fcnchen"/>', "cib.xml")
    assert root.get("v") == "M\u00fcnchen"
