"""The roster: who is a node of the cluster, as the configuration itself says it.

Until nodes come or go while the cluster runs there is none, and the installation's files count.
From then on it is the electorate, kept and replicated as everything else in the configuration
(docs/adr/0035): a property set of our own, and the entries of <nodes>.
"""

from collections.abc import Collection
from dataclasses import dataclass

from standfest.core.cib.document import with_section
from standfest.model.element import Element

SET_ID = "standfest-roster"
STATED = "standfest-stated"
"""The property set in which a cluster says what it is."""
NODES, REMOVED, MARK = "standfest-nodes", "standfest-nodes-removed", "standfest-nodes-mark"


@dataclass(frozen=True, slots=True)
class Roster:
    """nodes: who has a vote, sorted; removed: who was removed, and is not to come back by itself.

    mark: another one for each step, so that a step changes the configuration in any case.
    """

    nodes: tuple[str, ...]
    removed: tuple[str, ...] = ()
    mark: str = ""

    @property
    def step(self) -> tuple[int, int]:
        """Return which of two rosters is the later one: term, step in it; zeros for the files'."""
        term, _, number = self.mark.partition(".")
        plain = term.isascii() and term.isdigit() and number.isascii() and number.isdigit()
        return (int(term[:18]), int(number[:18])) if plain else (0, 0)

    def adding(self, node: str) -> "Roster":
        """Return the roster with one more node."""
        kept = tuple(name for name in self.removed if name != node)
        return Roster(tuple(sorted({*self.nodes, node})), kept, self.mark)

    def removing(self, node: str) -> "Roster":
        """Return the roster with one node less."""
        kept = tuple(name for name in self.nodes if name != node)
        return Roster(kept, tuple(sorted({*self.removed, node})), self.mark)


def read(configuration: Element) -> Roster | None:
    """Return the roster, or None where the installation's files count."""
    section = configuration.child("crm_config")
    found = next((s for s in section.children if s.id == SET_ID), None) if section else None
    if found is None:
        return None
    values = {pair.get("name"): pair.get("value") or "" for pair in found.children}
    nodes, removed = (tuple((values.get(name) or "").split()) for name in (NODES, REMOVED))
    return Roster(nodes, removed, values.get(MARK) or "")


def written(configuration: Element, roster: Roster) -> Element:
    """Return the configuration with this roster; who was removed has no entry there any more."""
    pairs = ((NODES, " ".join(roster.nodes)), (REMOVED, " ".join(roster.removed)))
    children = tuple(
        Element("nvpair", (("id", f"{SET_ID}-{name}"), ("name", name), ("value", value)))
        for name, value in (*pairs, (MARK, roster.mark))
    )
    made = Element("cluster_property_set", (("id", SET_ID),), children)
    section = configuration.child("crm_config") or Element("crm_config")
    others = tuple(child for child in section.children if child.id != SET_ID)
    configuration = with_section(configuration, section.with_children((*others, made)))
    return with_section(configuration, _entries(configuration, roster))


def with_entries(configuration: Element, nodes: Collection[str]) -> Element:
    """Return the configuration with an entry in <nodes> for each of these; tools look for them."""
    section = configuration.child("nodes") or Element("nodes")
    missing = set(nodes) - {entry.get("uname") for entry in section.children}
    if missing:
        missing -= {element.id for element in configuration.walk() if element.id}
    if not missing:
        return configuration
    added = (Element("node", (("id", name), ("uname", name))) for name in sorted(missing))
    return with_section(configuration, section.with_children((*section.children, *added)))


def _entries(configuration: Element, roster: Roster) -> Element:
    section = configuration.child("nodes") or Element("nodes")
    kept = tuple(e for e in section.children if e.get("uname") not in roster.removed)
    named = {entry.get("uname") for entry in kept}
    added = tuple(
        Element("node", (("id", name), ("uname", name)))
        for name in roster.nodes
        if name not in named
    )
    return section.with_children((*kept, *added))
