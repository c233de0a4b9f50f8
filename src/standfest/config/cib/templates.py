"""Templates: what a primitive takes from the template that it names.

Its own agent and operations come first, then the template's; an operation is the same if name and
interval are. The template's sets stand before its own: of the same score the last one counts.
Source: facts/formats/CIB-MODERN.md, "Reading rules"; the order of sets, Pacemaker 2.1.5.
"""

from collections.abc import Mapping

from standfest.config.cib.values import duration
from standfest.model.element import Element
from standfest.model.time import Duration


def merged(element: Element, templates: Mapping[str, Element]) -> Element:
    """Return a primitive with all that its template gives it; without one, the same object."""
    template = templates.get(element.get("template") or "")
    if template is None:
        return element
    attributes = dict(template.attributes) | dict(element.attributes)
    del attributes["template"]
    own, given = element.child("operations"), template.child("operations")
    operations: list[Element] = list(own.children) if own is not None else []
    taken = {_identity(operation) for operation in operations}
    if given is not None:
        operations += [op for op in given.children if _identity(op) not in taken]
    children = [
        child
        for owner in (template, element)
        for child in owner.children
        if child.tag != "operations"
    ]
    if operations:
        children.append(Element("operations", (), tuple(operations)))
    return Element("primitive", tuple(attributes.items()), tuple(children), line=element.line)


def _identity(operation: Element) -> tuple[str | None, str | Duration]:
    text = operation.get("interval") or "0"
    try:
        return operation.get("name"), duration(text)
    except ValueError:
        return operation.get("name"), text
