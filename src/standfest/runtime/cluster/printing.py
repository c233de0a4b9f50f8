"""The CIB as text for tools, time after time: what has not changed is not written out again.

Elements are immutable, and a change makes new ones only on the way to it: text is kept by identity.
"""

import time

from standfest.core.cib.document import Cib
from standfest.core.cib.status_xml import cib_element, lrm_resource
from standfest.model import xml
from standfest.model.element import Element
from standfest.model.operations import OperationResult

Entries = tuple[OperationResult, ...]
KEPT = 3
"""How deep in a <cib> resources, constraints and nodes are: cib, configuration, section."""


class Printer:
    """Keeps the text of each resource, constraint, node and history, as of the last time."""

    def __init__(self) -> None:
        self._histories: dict[int, tuple[Entries, Element]] = {}
        self._texts: dict[int, tuple[Element, str]] = {}

    def print(self, cib: Cib) -> str:
        """Return the whole document, as `xml.serialise(cib_element(cib))` does; with local time."""
        old = self._histories
        histories: dict[int, tuple[Entries, Element]] = {}

        def history(name: str, entries: Entries) -> Element:
            known = old.get(id(entries))
            if known is None or known[1].id != name:
                known = entries, lrm_resource(name, entries)
            histories[id(entries)] = known
            return known[1]

        root = cib_element(cib, history=history, clock=time.ctime)
        self._histories = histories
        return self.text(root)

    def text(self, root: Element) -> str:
        """Return a whole <cib> as `xml.serialise` does."""
        old = self._texts
        texts: dict[int, tuple[Element, str]] = {}
        lines: list[str] = []

        def write(element: Element, depth: int) -> None:
            if element.tag == "lrm_resource" or (depth == KEPT and element.tag != "lrm"):
                known = old.get(id(element)) or (element, xml.fragment(element, depth))
                texts[id(element)] = known
                lines.append(known[1])
                return
            first, last = xml.tags(element, depth)
            lines.append(first)
            for child in element.children:
                write(child, depth + 1)
            lines.extend(last)

        write(root, 0)
        self._texts = texts
        return "\n".join(lines) + "\n"
