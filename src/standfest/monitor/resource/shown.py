"""One resource as `crm_resource` shows it: its state with its XML, its options, its digests.

Source: what crm_resource 2.1.5 says of the same documents.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from standfest.core.scheduler import digests
from standfest.core.scheduler.entities import Kind, Node, Resource
from standfest.core.scheduler.running import current_node
from standfest.model import xml
from standfest.model.digests import digest_2_1
from standfest.model.element import Element
from standfest.monitor.crm.layout import Block, Item
from standfest.monitor.crm.resources import item_of
from standfest.monitor.crm.resources_xml import primitive_xml, resources_xml
from standfest.monitor.crm.show import Show
from standfest.monitor.crm.situation import Situation

KINDS = ("instance_attributes", "meta_attributes", "utilization")
_WORDS = {"all": "all parameters", "nonprivate": "non-private parameters"}


# --- state and XML -------------------------------------------------------------------------------


def config_text(situation: Situation, resource: Resource, *, raw: bool) -> str:
    """Return where a resource is, and its XML; raw: as it was written, not with its template."""
    lines = [line for item in item_of(situation, resource, Show()) for line in _plain(item)]
    return "\n".join([*lines, "Resource XML:", xml.serialise(described(situation, resource, raw))])


def _plain(item: Item) -> Iterator[str]:
    """Yield the lines of an item without any title."""
    if isinstance(item, Block):
        for inner in item.items:
            yield from _plain(inner)
    else:
        yield item.text


def config_xml(situation: Situation, resource: Resource, *, raw: bool) -> Element:
    """Return <resource_config>."""
    text = xml.serialise(described(situation, resource, raw))
    return Element("resource_config", (), (_shown(situation, resource), Element("xml", text=text)))


def _shown(situation: Situation, resource: Resource) -> Element:
    if resource.kind is Kind.PRIMITIVE:
        return primitive_xml(resource)
    everything = resources_xml(situation)
    found = (one for one in everything.walk() if one.id == resource.id)
    return next(found, Element("resource", (("id", resource.id),)))


def described(situation: Situation, resource: Resource, raw: bool) -> Element:
    """Return the element of a resource; that of an instance says which one it is."""
    element = _written(situation, resource) if raw else resource.element
    if resource.instance < 0 or resource.is_clone:
        return element
    return _numbered(element, str(resource.instance))


def _numbered(element: Element, number: str) -> Element:
    children = tuple(
        _numbered(child, number) if child.tag in ("primitive", "group") else child
        for child in element.children
    )
    return element.with_attribute("clone", number).with_children(children)


def _written(situation: Situation, resource: Resource) -> Element:
    section = situation.configuration.child("resources")
    for element in section.walk() if section is not None else ():
        if element.id == resource.base and element.tag == resource.element.tag:
            return element
    return resource.element


# --- options -------------------------------------------------------------------------------------


def option(situation: Situation, resource: Resource, kind: str, name: str) -> str | None:
    """Return the value of an option that counts for a resource; None if it is not set.

    kind: of KINDS; parameters are those for the node where it is.
    """
    if kind == "meta_attributes":
        whole: Resource | None = resource
        while whole is not None and name not in whole.meta:
            whole = whole.parent  # what is said of a clone is said of what it is made of
        return whole.meta[name] if whole is not None else None
    if kind == "utilization":
        return next(
            (
                pair.get("value")
                for holder in resource.element.all(kind)
                for pair in holder.children
                if pair.get("name") == name
            ),
            None,
        )
    return parameters(situation, resource, current_node(resource)).get(name)


def parameters(situation: Situation, resource: Resource, node: Node | None) -> Mapping[str, str]:
    """Return the parameters with which a resource would be run on a node."""
    if node is None:
        return resource.parameters
    return digests.parameters_of(situation.cluster, resource, node, None)


# --- digests -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Digests:
    """What a resource would be started with on a node, and the hash that tells when it changes."""

    resource: str
    node: str
    parameters: Mapping[str, str]

    @property
    def hashes(self) -> tuple[tuple[str, str], ...]:
        """Return (which parameters, hash); no agent here marks any as private."""
        one = digest_2_1(self.parameters)
        return ("all", one), ("nonprivate", one)


def digests_of(
    situation: Situation, resource: Resource, node: Node, instead: Mapping[str, str]
) -> Digests:
    """Return the digests; instead: values that replace those that are configured."""
    found = dict(parameters(situation, resource, node)) | dict(instead)
    return Digests(resource.base, node.name, found)


def digests_text(found: Digests) -> list[str]:
    """Return a line for each hash."""
    return [f"{value} ({_WORDS[which]})" for which, value in found.hashes]


def digests_xml(found: Digests) -> Element:
    """Return <digests>."""
    given = Element("parameters", tuple(found.parameters.items()))
    children = tuple(
        Element("digest", (("type", which), ("hash", value)), (given,))
        for which, value in found.hashes
    )
    attributes = (
        ("resource", found.resource),
        ("node", found.node),
        ("task", "start"),
        ("interval", "0ms"),
    )
    return Element("digests", attributes, children)
