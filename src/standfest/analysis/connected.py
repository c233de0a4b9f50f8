"""The part of a situation that can matter to one resource.

A cluster of 1,000 resources is mostly pairs and groups that have nothing to do with each other. To
ask many times "and without this?", the scheduler is given only what hangs together with the
resource, and whatever can cost a node. What is found so is verified with all of it.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import replace

from standfest.model.element import Element
from standfest.model.history import Entry, NodeRecord, Recorded

Situation = tuple[Element, Recorded]

RESOURCE_TAGS = ("primitive", "group", "clone", "master", "bundle")
_REFERENCES = ("rsc", "with-rsc", "first", "then")
_CONNECTIONS = ("remote-node", "container", "remote-addr")


def base_of(name: str) -> str:
    """Return a resource's id without an instance number."""
    stem, colon, number = name.rpartition(":")
    return stem if colon and number.isdigit() else name


def failed(entry: Entry) -> bool:
    """Return whether an operation has ended otherwise than expected."""
    return entry.failed or entry.status > 0 or entry.expected not in (-1, entry.exit_code)


class Web:
    """Which resources (the outermost ones) hang together through constraints."""

    def __init__(self, configuration: Element) -> None:
        self._configuration = configuration
        resources = configuration.child("resources")
        self.units: dict[str, Element] = {}
        self._owner: dict[str, str] = {}
        self._bundles: list[str] = []
        self._uses: dict[str, list[str]] = {}
        for unit in resources.children if resources is not None else ():
            if unit.tag not in RESOURCE_TAGS:
                continue
            self.units[unit.id] = unit
            if unit.tag == "bundle":
                self._bundles.append(unit.id)
            for part in unit.walk():
                if part.tag in RESOURCE_TAGS:
                    self._owner[part.id] = unit.id
                    template = part.get("template")
                    if template is not None:
                        self._uses.setdefault(template, []).append(part.id)
        tags = configuration.child("tags")
        for tag in tags.children if tags is not None else ():
            self._uses.setdefault(tag.id, []).extend(member.id for member in tag.children)
        self._links: dict[str, set[str]] = {name: set() for name in self.units}
        self._needs: dict[str, set[str]] = {name: set() for name in self.units}
        self._tie()

    def owner(self, name: str) -> str:
        """Return the outermost resource around the one with this id; empty: unknown.

        What a bundle stands for has ids that begin with the bundle's.
        """
        base = base_of(name)
        known = self._owner.get(base)
        if known is None:
            known = next((one for one in self._bundles if base.startswith(f"{one}-")), "")
        return known

    def named(self, constraint: Element) -> set[str]:
        """Return the outermost resources that a constraint is about."""
        names = [constraint.get(key) for key in _REFERENCES]
        names += [part.id for part in constraint.walk() if part.tag == "resource_ref"]
        found: set[str] = set()
        for name in names:
            if name is not None:
                members = self._uses.get(name, ()) if not self.owner(name) else (name,)
                found.update(owner for one in members if (owner := self.owner(one)))
        return found

    def constraints(self) -> Iterator[Element]:
        """Yield all constraints."""
        section = self._configuration.child("constraints")
        yield from section.children if section is not None else ()

    def _tie(self) -> None:
        for constraint in self.constraints():
            if constraint.tag not in ("rsc_colocation", "rsc_order"):
                continue
            named = self.named(constraint)
            for one in named:
                self._links[one] |= named - {one}
            first, then = (self.owner(constraint.get(key) or "") for key in ("first", "then"))
            if constraint.tag == "rsc_order" and first and then:
                self._needs[then].add(first)
            else:
                for one in named:
                    self._needs[one] |= named - {one}
        for name, unit in self.units.items():
            for part in unit.walk():
                other = self.owner(part.get("value") or "") if part.tag == "nvpair" else ""
                if other and other != name and part.get("name") in _CONNECTIONS:
                    for links in (self._links, self._needs):
                        links[name].add(other)
                        links[other].add(name)

    def distances(self, start: str) -> dict[str, int]:
        """Return how many steps away everything is that may keep a resource from running."""
        return _reached(self._needs, [start])

    def together(self, starts: list[str]) -> set[str]:
        """Return all that hangs together with some resources."""
        return set(_reached(self._links, starts))


def _reached(links: dict[str, set[str]], starts: list[str]) -> dict[str, int]:
    found = {start: 0 for start in starts if start in links}
    waiting = deque(found)
    while waiting:
        one = waiting.popleft()
        for other in sorted(links[one]):
            if other not in found:
                found[other] = found[one] + 1
                waiting.append(other)
    return found


def part_of(situation: Situation, web: Web, start: str) -> Situation:
    """Return the situation without what has nothing to do with the resource `start`."""
    configuration, recorded = situation
    kept = web.together([start, *_loud(situation, web)])
    if len(kept) >= len(web.units):
        return situation
    children = []
    for section in configuration.children:
        if section.tag == "resources":
            inside = tuple(
                c for c in section.children if c.tag not in RESOURCE_TAGS or c.id in kept
            )
            children.append(section.with_children(inside))
        elif section.tag == "constraints":
            inside = tuple(
                c
                for c in section.children
                if c.get("rsc-pattern") is not None or web.named(c) & kept
            )
            children.append(section.with_children(inside))
        else:
            children.append(section)
    nodes = [_less(record, web, kept) for record in recorded.nodes]
    return configuration.with_children(tuple(children)), replace(recorded, nodes=nodes)


def _less(record: NodeRecord, web: Web, kept: set[str]) -> NodeRecord:
    found = copied(record)
    found.history = [
        one
        for one in record.history
        if (owner := web.owner(one.id)) in kept
        or (not owner and any(failed(entry) for entry in one.entries))
    ]
    return found


def copied(record: NodeRecord) -> NodeRecord:
    """Return a copy whose attributes and list of histories may be changed."""
    found = NodeRecord(record.id, record.name, record.attributes)
    found.transient = dict(record.transient)
    found.utilization = record.utilization
    found.history = list(record.history)
    return found


def _loud(situation: Situation, web: Web) -> Iterator[str]:
    """Yield what can cost a node: fence devices, failures, connections, users of capacity."""
    configuration, recorded = situation
    options = configuration.child("crm_config")
    placement = any(
        pair.get("name") == "placement-strategy" and pair.get("value") != "default"
        for pair in (options.walk() if options is not None else ())
    )
    for name, unit in web.units.items():
        if unit.tag == "bundle" or any(_matters(part, placement) for part in unit.walk()):
            yield name
    for record in recorded.nodes:
        for one in record.history:
            if any(failed(entry) for entry in one.entries):
                yield web.owner(one.id)


def _matters(part: Element, placement: bool) -> bool:
    if part.tag == "primitive":
        return part.get("class") == "stonith" or part.get("type") == "remote"
    if part.tag == "nvpair":
        return part.get("name") in _CONNECTIONS
    return placement and part.tag == "utilization"
