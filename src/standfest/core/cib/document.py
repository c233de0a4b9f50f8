"""The cluster information base as one value: version, configuration, status."""

from dataclasses import dataclass

from standfest.model.element import Element
from standfest.model.status import Status, Version

Rank = tuple[int, int, int]
"""(admin_epoch, written, epoch), compared from left to right."""

SECTIONS = ("crm_config", "nodes", "resources", "constraints")
"""The sections that every <configuration> has, in this order."""


@dataclass(frozen=True, slots=True)
class Author:
    """Who changed a configuration last: seconds since 1970, user, tool, node."""

    at: int
    user: str
    client: str
    origin: str


@dataclass(frozen=True, slots=True)
class Cib:
    """`configuration` is a <configuration> element in the current dialect.

    written: the coordinator's term in which the configuration was last changed, 0 for the
    operator's own files; author: whose change that was, None of those files.
    """

    version: Version
    configuration: Element
    status: Status
    written: int = 0
    author: Author | None = None

    @property
    def rank(self) -> Rank:
        """Return what decides which of two configurations is the newer one (docs/adr/0027)."""
        return rank(self.version, self.written)


def rank(version: Version, written: int) -> Rank:
    """Return how new a configuration is: of a later coordinator first, whatever its epoch."""
    return version.admin_epoch, written, version.epoch


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
