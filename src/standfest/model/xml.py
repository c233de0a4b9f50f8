"""CIB text <-> Element: expat with limits, line numbers kept, no DTD and no entities of its own.

Never reads anything but the text it is given.
"""

import re
from xml.parsers import expat
from xml.sax.saxutils import escape

from standfest.model.element import Element
from standfest.model.errors import ConfigError, Finding

MAX_BYTES = 16 * 1024 * 1024
MAX_DEPTH = 64
MAX_ELEMENTS = 500_000

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_PLAIN = re.compile("[ !#-%'-;=?-~]*")
"""What stands in XML as it is, wherever: nearly all of a CIB."""
_ATTRIBUTE_ENTITIES = {'"': "&quot;", "\n": "&#10;", "\r": "&#13;", "\t": "&#9;"}
_TEXT_ENTITIES = {"\r": "&#13;"}


class _Builder:
    """Receives expat's events; a frame is (tag, attributes, line, children, text)."""

    def __init__(self, path: str, parser: expat.XMLParserType) -> None:
        self._path = path
        self._parser = parser
        self._open: list[
            tuple[str, tuple[tuple[str, str], ...], int, list[Element], list[str]]
        ] = []
        self._count = 0
        self.root: Element | None = None

    def refuse(self, problem: str, expected: str) -> ConfigError:
        line = self._parser.CurrentLineNumber
        return ConfigError(Finding(self._path, line, problem, expected))

    def start(self, tag: str, attributes: list[str]) -> None:
        self._count += 1
        if self._count > MAX_ELEMENTS:
            raise self.refuse("too many elements", f"at most {MAX_ELEMENTS}")
        if len(self._open) >= MAX_DEPTH:
            raise self.refuse("elements nested too deeply", f"at most {MAX_DEPTH} levels")
        pairs = tuple(zip(attributes[::2], attributes[1::2], strict=True))
        self._open.append((tag, pairs, self._parser.CurrentLineNumber, [], []))

    def end(self, _tag: str) -> None:
        tag, attributes, line, children, text = self._open.pop()
        content = "".join(text)
        if children or not content.strip():
            content = content.strip()  # between elements, white space is layout
        element = Element(tag, attributes, tuple(children), content, line)
        if self._open:
            self._open[-1][3].append(element)
        else:
            self.root = element

    def data(self, text: str) -> None:
        if self._open:
            self._open[-1][4].append(text)

    def doctype(self, *_: object) -> None:
        raise self.refuse("a document type declaration", "plain XML without DTD or entities")


def parse(text: bytes | str, path: str, *, max_bytes: int = MAX_BYTES) -> Element:
    """Return the root element of `text`; `path` is for error messages only.

    Raises ConfigError with the line for text that is not well-formed, holds a DTD, or is larger or
    deeper than the limits above.
    """
    try:
        content = text.encode() if isinstance(text, str) else text
    except UnicodeEncodeError as error:
        raise ConfigError(Finding(path, 0, "not Unicode text", "UTF-8")) from error
    if len(content) > max_bytes:
        raise ConfigError(Finding(path, 0, f"{len(content)} bytes", f"at most {max_bytes}"))
    # Text that was decoded already is UTF-8 now, whatever its XML declaration says.
    parser = expat.ParserCreate("utf-8" if isinstance(text, str) else None)
    builder = _Builder(path, parser)
    parser.ordered_attributes = True
    parser.buffer_text = True
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = builder.doctype
    try:
        parser.Parse(content, True)
    except expat.ExpatError as error:
        problem = f"not XML: {expat.ErrorString(error.code)}"
        raise ConfigError(Finding(path, error.lineno, problem, "well-formed XML")) from error
    except (ValueError, LookupError) as error:  # an encoding that expat cannot read
        raise ConfigError(Finding(path, 1, f"not readable: {error}", "UTF-8")) from error
    assert builder.root is not None, "expat reports text without a root element"
    return builder.root


def serialise(element: Element, *, indent: int = 2) -> str:
    """Return the element as text that `parse` reads back as an equal one.

    Characters that XML cannot hold (an agent may have said anything) become U+FFFD.
    """
    lines: list[str] = []
    _write(element, lines, "", " " * indent)
    return "\n".join(lines) + "\n"


def fragment(element: Element, depth: int, *, indent: int = 2) -> str:
    """Return the lines of an element that stands so deep in a document, joined."""
    lines: list[str] = []
    _write(element, lines, " " * indent * depth, " " * indent)
    return "\n".join(lines)


def tags(element: Element, depth: int, *, indent: int = 2) -> tuple[str, tuple[str, ...]]:
    """Return an element's first line, and the last one if there are children between them."""
    margin = " " * indent * depth
    if not element.children:
        return fragment(element, depth, indent=indent), ()
    text = _escaped(element.text.strip(), _TEXT_ENTITIES)
    return f"{_head(element, margin)}>{text}", (f"{margin}</{element.tag}>",)


def _head(element: Element, margin: str) -> str:
    attributes = "".join(
        f' {name}="{_escaped(value, _ATTRIBUTE_ENTITIES)}"' for name, value in element.attributes
    )
    return f"{margin}<{element.tag}{attributes}"


def _write(element: Element, lines: list[str], margin: str, step: str) -> None:
    head = _head(element, margin)
    if not element.children and not element.text:
        lines.append(f"{head}/>")
    elif not element.children:
        lines.append(f"{head}>{_escaped(element.text, _TEXT_ENTITIES)}</{element.tag}>")
    else:
        text = element.text.strip()
        lines.append(f"{head}>{_escaped(text, _TEXT_ENTITIES)}" if text else f"{head}>")
        for child in element.children:
            _write(child, lines, margin + step, step)
        lines.append(f"{margin}</{element.tag}>")


def _escaped(text: str, entities: dict[str, str]) -> str:
    if _PLAIN.fullmatch(text):
        return text
    return escape(_NOT_XML.sub("\ufffd", text), entities)
