"""Addresses need their cables: carrier per device as node attributes, and what follows from them.

The report's CIB configures no monitor on its addresses, so a cut public cable would go unnoticed.
Every node reports the devices without carrier; the coordinator publishes `#link-DEV=down` for a
node as long as another one could do better, and every resource with that device has a location rule
that keeps it off such nodes (docs/adr/0006). These rules are derived, never written to the CIB.
"""

from collections.abc import Collection, Iterator, Mapping

from standfest.core.cib.changes import Change, SetTransientAttribute
from standfest.core.cib.document import with_section
from standfest.model.configuration import Clone, Configuration, Group, Primitive
from standfest.model.element import Element
from standfest.model.status import Status

ADDRESS_TYPES = frozenset({"ipaddr", "ipaddr2"})
ATTRIBUTE_PREFIX = "#link-"
DOWN = "down"


def device_of(primitive: Primitive) -> str | None:
    """Return the network device that an address resource names, or None."""
    if primitive.agent.type.lower() not in ADDRESS_TYPES:
        return None
    device = dict(primitive.parameters).get("nic", "").partition(":")[0]  # eth0:0 is on eth0
    return device or None


def devices(configuration: Configuration) -> tuple[str, ...]:
    """Return the devices that carry cluster addresses, sorted."""
    named = (device_of(primitive) for primitive in configuration.primitives())
    return tuple(sorted({device for device in named if device is not None}))


def with_link_rules(element: Element, configuration: Configuration) -> Element:
    """Return the `<configuration>` plus one derived location rule for each address resource."""
    derived = tuple(
        _rule(primitive.id, constrained, device)
        for primitive, constrained in _addresses(configuration)
        if (device := device_of(primitive)) is not None
    )
    if not derived:
        return element
    section = element.child("constraints") or Element("constraints")
    return with_section(element, section.with_children((*section.children, *derived)))


def _addresses(configuration: Configuration) -> Iterator[tuple[Primitive, str]]:
    """Yield every primitive, and the id that a constraint on it names: a clone goes as a whole."""
    for top in configuration.resources:
        inner = top.child if isinstance(top, Clone) else top
        members = inner.members if isinstance(inner, Group) else (inner,)
        for member in members:
            yield member, top.id if isinstance(top, Clone) else member.id


def _rule(primitive: str, constrained: str, device: str) -> Element:
    name = f"standfest-link-{primitive}"
    expression = Element(
        "expression",
        (
            ("id", f"{name}-down"),
            ("attribute", ATTRIBUTE_PREFIX + device),
            ("operation", "eq"),
            ("value", DOWN),
        ),
    )
    rule = Element("rule", (("id", f"{name}-rule"), ("score", "-INFINITY")), (expression,))
    return Element("rsc_location", (("id", name), ("rsc", constrained)), (rule,))


def published(
    down: Mapping[str, Collection[str]], eligible: Collection[str], watched: Collection[str]
) -> dict[tuple[str, str], str | None]:
    """Return (node, attribute) -> value for every node in `down`.

    down: node -> its devices without carrier; eligible: nodes that could take over. A device that
    is down on every eligible node bans nobody: moving could not help, stopping would only harm.
    """
    return {
        (node, ATTRIBUTE_PREFIX + device): (
            DOWN
            if device in without and any(device not in down.get(n, ()) for n in eligible)
            else None
        )
        for node, without in down.items()
        for device in watched
    }


def changes(
    configuration: Configuration,
    status: Status,
    down: Mapping[str, Collection[str]],
    joined: Collection[str],
) -> tuple[Change, ...]:
    """Return what is to change in the status; down: node -> its devices without carrier."""
    standby = {
        entry.name
        for entry in configuration.nodes
        if dict(entry.attributes).get("standby") in ("on", "true", "yes", "1")
    }
    wanted = published(down, sorted(set(joined) - standby), devices(configuration))
    found: list[Change] = []
    for (node, attribute), value in sorted(wanted.items()):
        state = status.node(node)
        if (state.attribute(attribute) if state else None) != value:
            found.append(SetTransientAttribute(node, attribute, value))
    return tuple(found)
