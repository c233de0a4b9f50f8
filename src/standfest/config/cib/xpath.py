"""XPath over a CIB, by lxml (docs/adr/0039); import it only where an XPath is used.

The tree is built from our own elements: no parser, entities or files are involved, and no
extension functions are registered.
"""

from lxml import etree

from standfest.model.element import Element
from standfest.model.errors import ConfigError, Finding

MAX_CHARACTERS = 4096
Path = tuple[int, ...]


def matches(root: Element, expression: str) -> tuple[Path, ...]:
    """Return the places of the elements that match, in document order, as child indexes.

    An attribute or a text that matches stands for its element; a number or a string for nothing.
    Raises ConfigError for an expression that cannot be read.
    """
    if len(expression) > MAX_CHARACTERS:
        problem = f"an XPath of {len(expression)} characters"
        raise ConfigError(Finding("xpath", 0, problem, f"at most {MAX_CHARACTERS}"))
    places: dict[etree._Element, Path] = {}
    tree = _built(root, (), places)
    try:
        found = etree.XPath(expression, regexp=False)(tree.getroottree())
    except (etree.XPathError, ValueError, TypeError) as error:
        raise ConfigError(Finding("xpath", 0, f"{expression}: {error}", "an XPath")) from error
    if not isinstance(found, list):
        return ()
    elements = (_element_of(one) for one in found)
    return tuple(sorted({places[one] for one in elements if one is not None and one in places}))


def _built(element: Element, path: Path, places: dict[etree._Element, Path]) -> etree._Element:
    """Return the element as lxml's; remembers where each came from."""
    made = _made(element)
    places[made] = path
    for index, child in enumerate(element.children):
        made.append(_built(child, (*path, index), places))
    return made


def _made(element: Element) -> etree._Element:
    try:
        made = etree.Element(element.tag, dict(element.attributes))
        made.text = element.text or None
    except ValueError as error:  # a name with a colon, a character that XML cannot hold
        problem = f"<{element.tag}>: {error}"
        raise ConfigError(Finding("xpath", element.line, problem, "plain XML")) from error
    return made


def _element_of(found: object) -> etree._Element | None:
    if isinstance(found, etree._Element):
        return found
    parent = getattr(found, "getparent", None)
    owner = parent() if parent is not None else None
    return owner if isinstance(owner, etree._Element) else None
