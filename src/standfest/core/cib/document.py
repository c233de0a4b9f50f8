"""The cluster information base as one value: version, configuration, status."""

from dataclasses import dataclass

from standfest.model.element import Element
from standfest.model.status import Status, Version

SECTIONS = ("crm_config", "nodes", "resources", "constraints")
"""The sections that every <configuration> has, in this order."""


@dataclass(frozen=True, slots=True)
class Cib:
    """`configuration` is a <configuration> element in the current dialect."""

    version: Version
    configuration: Element
    status: Status


def with_section(configuration: Element, section: Element) -> Element:
    """Return the configuration with one section replaced, or added at its place."""
    children = list(configuration.children)
    for index, child in enumerate(children):
        if child.tag == section.tag:
            children[index] = section
            break
    else:
        order = [*SECTIONS, *(child.tag for child in children if child.tag not in SECTIONS)]
        children.append(section)
        children.sort(key=lambda c: order.index(c.tag) if c.tag in order else len(order))
    return configuration.with_children(tuple(children))
