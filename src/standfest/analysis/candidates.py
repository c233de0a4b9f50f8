"""What might keep a resource from running, from being promoted, or off a node.

Each candidate comes with the way to take it away. Nothing is claimed here: whether a candidate is a
cause is found out by scheduling without it (`causes`).
"""

from collections.abc import Iterator
from dataclasses import dataclass

from standfest.analysis import removals
from standfest.analysis.connected import Situation, Web, base_of, failed
from standfest.analysis.removals import Removal
from standfest.core.scheduler.cluster import Cluster
from standfest.core.scheduler.entities import Node, Resource
from standfest.model.element import Element
from standfest.model.history import Entry, NodeRecord, Ticket
from standfest.model.scores import INFINITY

_META = ("target-role", "is-managed", "maintenance", "promoted-max", "master-max")
_CODES = {
    1: "it failed",
    2: "a parameter is wrong",
    3: "not implemented",
    4: "not permitted",
    5: "not installed",
    6: "not configured",
    7: "not running",
    8: "running promoted",
    9: "failed while promoted",
}
_PROPERTIES = (
    ("stop-all-resources", "false"),
    ("maintenance-mode", "false"),
    ("symmetric-cluster", "true"),
    ("shutdown-lock", "false"),
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """One possible cause; `distance` in constraints from the resource in question."""

    what: str
    remove: Removal
    distance: int = 0


def candidates(
    situation: Situation, web: Web, cluster: Cluster, resource: Resource, *, elsewhere: bool
) -> list[Candidate]:
    """Return everything that may be a cause, what is nearest to the resource first.

    elsewhere: it runs, and the question is why it is not on another node.
    """
    near = web.distances(web.owner(resource.base) or web.owner(resource.outermost.id))
    found = [
        *_metas(situation, web, near),
        *_constraints(web, near),
        *_failures(situation, web, near),
        *_tickets(web, near, cluster),
        *_nodes(situation, cluster),
        *_cluster_wide(situation, cluster),
        *_room(web, near, cluster),
    ]
    if resource.outermost.promotable or resource.promotable:
        found += _promotion_scores(situation, cluster, resource)
    found += _limits(near, cluster, resource)
    if elsewhere and resource.stickiness > 0:
        unit = resource.outermost.id
        what = f"resource-stickiness={resource.stickiness} of {unit}"
        found.append(Candidate(what, removals.with_meta(unit, "resource-stickiness", "0")))
    return sorted(found, key=lambda candidate: candidate.distance)


def _line(element: Element) -> str:
    return f"{element.id}, line {element.line}" if element.line else element.id


def _metas(situation: Situation, web: Web, near: dict[str, int]) -> Iterator[Candidate]:
    for name, distance in near.items():
        for part in web.units[name].walk():
            if part.tag == "meta_attributes":
                yield from _pairs(part, distance)
    configuration = situation[0]
    resources = configuration.child("resources")
    templates = [c for c in resources.children if c.tag == "template"] if resources else []
    for section in (*templates, configuration.child("rsc_defaults")):
        for part in section.walk() if section is not None else ():
            if part.tag == "meta_attributes":
                yield from _pairs(part, 1)


def _pairs(attributes: Element, distance: int) -> Iterator[Candidate]:
    for pair in attributes.children:
        name = (pair.get("name") or "").replace("_", "-")
        if pair.tag == "nvpair" and name in _META:
            what = f"{name}={pair.get('value')} ({_line(pair)})"
            yield Candidate(what, removals.without(pair), distance)


def _constraints(web: Web, near: dict[str, int]) -> Iterator[Candidate]:
    for element in web.constraints():
        if element.tag not in ("rsc_location", "rsc_colocation", "rsc_order"):
            continue
        if element.get("rsc-pattern") is not None:
            distance = 0
        else:
            reached = [near[one] for one in web.named(element) if one in near]
            if not reached:
                continue
            distance = min(reached)
        what = f"{element.tag.removeprefix('rsc_')} {element.id}"
        what += f" (line {element.line})" if element.line else ""
        yield Candidate(what, removals.without(element), distance)


def _failures(situation: Situation, web: Web, near: dict[str, int]) -> Iterator[Candidate]:
    """Yield failures: of what is near, and of anything whose failure may cost the whole node."""
    for record in situation[1].nodes:
        bases: dict[str, list[Entry]] = {}
        for known in record.history:
            entries = [entry for entry in known.entries if failed(entry)]
            if entries:
                bases.setdefault(base_of(known.id), []).extend(entries)
        for name in record.transient:
            if name.startswith("fail-count-"):
                bases.setdefault(base_of(name[len("fail-count-") :].partition("#")[0]), [])
        for base, entries in bases.items():
            owner = web.owner(base)
            distance = near.get(owner, 3 if any(e.task == "stop" for e in entries) else 4)
            if owner:
                what = _failure(record, base, entries)
                yield Candidate(what, removals.cleaned(record.name, base), distance)


def _failure(record: NodeRecord, base: str, entries: list[Entry]) -> str:
    counted = [
        value for name, value in record.transient.items()
        if name in removals.counts(record.transient, base) and name.startswith("fail-count-")
    ]  # fmt: skip
    count = f", fail count {', '.join(counted)}" if counted else ""
    if not entries:
        return f"failures of {base} on {record.name}{count}"
    last = max(entries, key=lambda entry: (entry.last_change, entry.call_id))
    ended = "timed out" if last.status == 2 else _CODES.get(last.exit_code, "failed")
    told = f": {last.exit_reason}" if last.exit_reason else ""
    return (
        f"{last.task} of {base} failed on {record.name}: {ended} (exit code {last.exit_code})"
        f"{told}{count}"
    )


def _tickets(web: Web, near: dict[str, int], cluster: Cluster) -> Iterator[Candidate]:
    told = set()
    for element in web.constraints():
        ticket = element.get("ticket") if element.tag == "rsc_ticket" else None
        if ticket is None or ticket in told or not web.named(element) & near.keys():
            continue
        known = cluster.tickets.get(ticket)
        if isinstance(known, Ticket) and known.granted and not known.standby:
            continue
        told.add(ticket)
        state = "in standby" if isinstance(known, Ticket) and known.granted else "not granted"
        what = f"ticket {ticket} is {state} (constraint {_line(element)})"
        yield Candidate(what, removals.granted(ticket), 1)


def _nodes(situation: Situation, cluster: Cluster) -> Iterator[Candidate]:
    for node in cluster.nodes:
        if node.connection is not None or node.is_remote:
            continue
        if node.unclean:
            what = f"{node.name} must be fenced first ({node.reason or 'unclean'})"
            yield Candidate(what, removals.node_becomes(node.name, "down"), 2)
        if not node.online or node.pending or node.unclean:
            state = "pending" if node.pending else "unclean" if node.unclean else "offline"
            what = f"{node.name} is {state}"
            yield Candidate(what, removals.node_becomes(node.name, "up"), 2)
        yield from _wishes(situation, node)


def _wishes(situation: Situation, node: Node) -> Iterator[Candidate]:
    """Yield what an administrator, or an agent that watches its health, has said of a node."""
    record = node.record
    for name in ("standby", "maintenance", "shutdown", *_health(node)):
        value = node.attributes.get(name, "")
        if value in ("", "0", "false", "off", "no", "green"):
            continue
        if isinstance(record, NodeRecord) and name in record.transient:
            what = f"{name}={value} of {node.name}"
            remove = removals.attribute_off(node.name, name)
            if name == "shutdown":
                what, remove = f"{node.name} is shutting down", removals.node_stays(node.name)
            yield Candidate(what, remove, 2)
        for pair in _permanent(situation[0], node, name):
            what = f"{name}={value} of {node.name} ({_line(pair)})"
            yield Candidate(what, removals.without(pair), 2)


def _health(node: Node) -> list[str]:
    return [name for name in node.attributes if name.startswith("#health")] if node.health else []


def _permanent(configuration: Element, node: Node, name: str) -> Iterator[Element]:
    section = configuration.child("nodes")
    for element in section.children if section is not None else ():
        if element.get("uname") == node.name or element.id == node.id:
            for pair in element.walk():
                if pair.tag == "nvpair" and pair.get("name") == name:
                    yield pair


def _cluster_wide(situation: Situation, cluster: Cluster) -> Iterator[Candidate]:
    options = cluster.options
    if not cluster.quorate:
        what = f"there is no quorum (no-quorum-policy={options.no_quorum_policy})"
        yield Candidate(what, removals.quorate, 1)
    if options.fencing and not cluster.have_fence_device and not options.watchdog_timeout:
        what = "stonith-enabled is true, but there is no fence device"
        names = ("stonith-enabled", "fencing-enabled")
        yield Candidate(what, removals.with_property(names, "false"), 1)
    for name, harmless in _PROPERTIES:
        value = options.given.get(name)
        if value is not None and value != harmless:
            yield Candidate(f"{name}={value}", removals.with_property((name,), harmless), 1)


def _room(web: Web, near: dict[str, int], cluster: Cluster) -> Iterator[Candidate]:
    if cluster.options.placement == "default":
        return
    for name, distance in near.items():
        for part in web.units[name].walk():
            if part.tag == "primitive" and (use := part.child("utilization")) is not None:
                uses = ", ".join(f"{p.get('name')} {p.get('value')}" for p in use.children)
                what = f"utilization of {part.id}: {uses} (line {use.line})"
                yield Candidate(what, removals.without(use), distance)


def _limits(near: dict[str, int], cluster: Cluster, resource: Resource) -> Iterator[Candidate]:
    """Yield the limits of clones, each raised so far that it is none."""
    clone = resource.clone
    if clone is not None and clone.bundle is None:
        what = f"clone-node-max={clone.clone_node_max} of {clone.id}"
        enough = str(max(clone.clone_max, 1))
        yield Candidate(what, removals.with_meta(clone.id, "clone-node-max", enough), 1)
    for name, distance in near.items():
        other = cluster.by_id.get(name)
        if other is not None and other.is_clone and not other.clone_max:
            many = str(len(cluster.nodes))
            what = f"clone-max=0 of {name}"
            yield Candidate(what, removals.with_meta(name, "clone-max", many), distance)


def _promotion_scores(
    situation: Situation, cluster: Cluster, resource: Resource
) -> Iterator[Candidate]:
    for node in cluster.nodes:
        unique = resource.globally_unique
        name = f"master-{resource.history_id if unique else resource.base}"
        score = node.attributes.get(name)
        if node.usable and (score is None or score.startswith("-")):
            what = f"no promotion score ({name}) on {node.name}"
            if score is not None:
                what = f"promotion score {name}={score} on {node.name}"
            yield Candidate(what, removals.scored(node.name, name), 2)


def limit_of(score: int) -> str:
    """Return a score as it is written in a CIB."""
    if abs(score) >= INFINITY:
        return "INFINITY" if score > 0 else "-INFINITY"
    return str(score)
