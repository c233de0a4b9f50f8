"""XPath over a CIB: places of elements, and nothing else."""

import pytest

from standfest.config.cib.xpath import MAX_CHARACTERS, matches
from standfest.model import xml
from standfest.model.errors import ConfigError

CIB = xml.parse(
    '<cib><a id="1"><b x="1"/><b x="2">text</b></a><a id="2"/></cib>',
    "cib",
)


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("/cib", ((),)),
        ("//b", ((0, 0), (0, 1))),
        ("//a[@id='2'] | //b[@x='1']", ((0, 0), (1,))),
        ("//b/@x", ((0, 0), (0, 1))),
        ("//b/text()", ((0, 1),)),
        ("//b/..", ((0,),)),
        ("//nowhere", ()),
        ("count(//b)", ()),
        ("string(//b/@x)", ()),
        ("true()", ()),
        ("/", ()),
    ],
)
def test_elements_are_found_in_document_order(
    expression: str, found: tuple[tuple[int, ...], ...]
) -> None:
    assert matches(CIB, expression) == found


@pytest.mark.parametrize(
    "expression",
    ["", "//[", "//a[", "nosuch()", "//x:b", "document('/etc/passwd')", "re:test('a', 'a')", "\0"],
)
def test_what_cannot_be_read_is_one_line(expression: str) -> None:
    with pytest.raises(ConfigError) as error:
        matches(CIB, expression)
    assert str(error.value).count("\n") == 0
    assert str(error.value).startswith("xpath: ")


def test_an_expression_has_a_limit() -> None:
    assert matches(CIB, "//b" + " " * (MAX_CHARACTERS - 3)) == ((0, 0), (0, 1))
    with pytest.raises(ConfigError, match=f"{MAX_CHARACTERS + 1} characters; expected at most"):
        matches(CIB, " " * (MAX_CHARACTERS + 1))
