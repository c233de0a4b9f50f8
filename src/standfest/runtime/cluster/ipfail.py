"""ipfail: every resource prefers the nodes that reach most ping nodes.

Derived at each decision from what the status says, never written to the CIB (docs/adr/0034).
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from standfest.core.cib.document import with_section
from standfest.model.configuration import Clone, Configuration, Primitive, Resource
from standfest.model.element import Element
from standfest.model.pinging import Pinging
from standfest.model.status import Status

PREFERENCE: Final = 100_000
"""Above what administrators give their favourite nodes, below INFINITY, so that bans and
`resource-stickiness=INFINITY` still mean what they say."""

_STANDBY: Final = frozenset({"on", "true", "yes", "y", "1"})


@dataclass(frozen=True, slots=True)
class Preference:
    """Nodes whose attribute is at least so high are preferred."""

    attribute: str
    least: int


def preference(
    settings: Pinging, configuration: Configuration, status: Status, joined: Collection[str]
) -> Preference | None:
    """Return whom resources prefer now; None when all members are alike, or nothing is known.

    joined: the members; those in standby, which can run nothing, are not compared. One whose number
    is not known counts as less than any.
    """
    if not settings.ipfail:
        return None
    resting = {
        entry.name
        for entry in configuration.nodes
        if dict(entry.attributes).get("standby", "") in _STANDBY
    }
    numbers = {
        _number(status, node, settings.attribute)
        for node in joined
        if node not in resting and not _rests(status, node)
    }
    return Preference(settings.attribute, max(numbers)) if len(numbers) > 1 else None


def with_preference(
    element: Element, configuration: Configuration, wanted: Preference | None
) -> Element:
    """Return the `<configuration>` plus one derived location rule for each resource.

    A promotable clone runs everywhere: there the promoted instance goes where the connection is.
    """
    tops = [top for top in configuration.resources if not _is_device(top)]
    if wanted is None or not tops:
        return element
    section = element.child("constraints") or Element("constraints")
    derived = tuple(_rule(top, wanted) for top in tops)
    return with_section(element, section.with_children((*section.children, *derived)))


def _rule(top: Resource, wanted: Preference) -> Element:
    name = f"standfest-ipfail-{top.id}"
    expression = Element(
        "expression",
        (
            ("id", f"{name}-most"),
            ("attribute", wanted.attribute),
            ("operation", "gte"),
            ("value", str(wanted.least)),
            ("type", "number"),
        ),
    )
    role = (("role", "Promoted"),) if isinstance(top, Clone) and top.promotable else ()
    stated = (("id", f"{name}-rule"), ("score", str(PREFERENCE)), *role)
    return Element(
        "rsc_location", (("id", name), ("rsc", top.id)), (Element("rule", stated, (expression,)),)
    )


def _is_device(top: Resource) -> bool:
    return isinstance(top, Primitive) and top.agent.standard == "stonith"


def _number(status: Status, node: str, attribute: str) -> int:
    state = status.node(node)
    value = state.attribute(attribute) if state is not None else None
    return int(value) if value is not None and value.isascii() and value.isdigit() else -1


def _rests(status: Status, node: str) -> bool:
    state = status.node(node)
    return state is not None and state.attribute("standby") in _STANDBY
