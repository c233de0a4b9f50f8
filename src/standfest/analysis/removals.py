"""Taking one cause away from a situation. The situation given is never changed."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from standfest.analysis import whatif
from standfest.analysis.connected import Situation, base_of, copied, failed
from standfest.model.element import Element
from standfest.model.history import NodeRecord, Recorded, Ticket

Removal = Callable[[Situation], Situation]


def without(gone: Element) -> Removal:
    """Take an element of the configuration out."""
    return lambda situation: (_prune(situation[0], gone), situation[1])


def _prune(element: Element, gone: Element) -> Element:
    kept = tuple(_prune(child, gone) for child in element.children if child is not gone)
    if len(kept) == len(element.children) and all(
        one is other for one, other in zip(kept, element.children, strict=True)
    ):
        return element
    return replace(element, children=kept)


def with_property(names: tuple[str, ...], value: str) -> Removal:
    """Give a cluster property, under all its names, another value."""
    return lambda situation: (whatif.with_property(situation[0], names, value), situation[1])


def with_meta(resource: str, name: str, value: str) -> Removal:
    """Give a resource another meta attribute, before all others."""

    def remove(situation: Situation) -> Situation:
        configuration, recorded = situation
        changed, _ = whatif.put_first(configuration, resource, "meta_attributes", name, value)
        return changed, recorded

    return remove


def _records(situation: Situation) -> Recorded:
    recorded = situation[1]
    return replace(
        recorded,
        nodes=[copied(record) for record in recorded.nodes],
        tickets=[Ticket(t.id, t.granted, t.standby, t.last_granted) for t in recorded.tickets],
    )


def node_becomes(name: str, state: str) -> Removal:
    """Let a node be `up`, or `down` in order."""

    def remove(situation: Situation) -> Situation:
        recorded = _records(situation)
        whatif.node_is(situation[0], recorded, name, state)
        return situation[0], recorded

    return remove


def node_stays(name: str) -> Removal:
    """Take back a node's request to be shut down."""
    up, forget = node_becomes(name, "up"), attribute_off(name, "shutdown")
    return lambda situation: forget(up(situation))


def cleaned(node: str, resource: str) -> Removal:
    """Forget a resource's failures on a node, as `crm_resource --cleanup` does."""

    def remove(situation: Situation) -> Situation:
        recorded = _records(situation)
        for record in recorded.nodes:
            if record.name == node:
                _clean(record, resource)
        return situation[0], recorded

    return remove


def counts(transient: Mapping[str, str], resource: str) -> list[str]:
    """Return the names of the attributes in which a resource's failures are counted."""
    found = []
    for name in transient:
        for prefix in ("fail-count-", "last-failure-"):
            stem = name.removeprefix(prefix).partition("#")[0]
            if name.startswith(prefix) and base_of(stem) == resource:
                found.append(name)
    return found


def _clean(record: NodeRecord, resource: str) -> None:
    for name in counts(record.transient, resource):
        del record.transient[name]
    record.history = [
        known
        for known in record.history
        if base_of(known.id) != resource or not any(failed(entry) for entry in known.entries)
    ]


def attribute_off(node: str, name: str) -> Removal:
    """Take a transient attribute from a node."""

    def remove(situation: Situation) -> Situation:
        recorded = _records(situation)
        for record in recorded.nodes:
            if record.name == node:
                record.transient.pop(name, None)
        return situation[0], recorded

    return remove


def scored(node: str, attribute: str) -> Removal:
    """Give a node a promotion score of 1, as its administrator may (whoever has seen what)."""
    pair = Element("nvpair", (("id", f"what-if-{attribute}"), ("name", attribute), ("value", "1")))
    first = Element("instance_attributes", (("id", f"what-if-{node}"),), (pair,))

    def changed(element: Element) -> Element:
        if element.tag == "nodes":
            return element.with_children(tuple(changed(child) for child in element.children))
        if element.tag == "node" and element.get("uname") == node:
            return element.with_children((first, *element.children))
        return element

    def remove(situation: Situation) -> Situation:
        configuration, recorded = attribute_off(node, attribute)(situation)
        children = tuple(changed(child) for child in configuration.children)
        return configuration.with_children(children), recorded

    return remove


def quorate(situation: Situation) -> Situation:
    """Give the partition quorum."""
    recorded = _records(situation)
    whatif.quorum(recorded, present=True)
    return situation[0], recorded


def granted(ticket: str) -> Removal:
    """Grant a ticket and take it out of standby."""

    def remove(situation: Situation) -> Situation:
        recorded = _records(situation)
        for change in ("grant", "activate"):
            whatif.ticket(recorded, ticket, change)
        return situation[0], recorded

    return remove
