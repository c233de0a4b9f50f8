"""Why a resource is where it is, or why it does not run at all.

Scores are taken apart into what contributed to them. Causes of not running are proven: each set of
causes that is named has been taken away, and the scheduler has started the resource without it.
"""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import combinations

from standfest.core.scheduler import colocate, failures
from standfest.core.scheduler.cluster import Cluster
from standfest.core.scheduler.engine import decide
from standfest.core.scheduler.entities import Location, Node, Resource
from standfest.core.scheduler.outcome import happens
from standfest.model.element import Element
from standfest.model.history import Recorded
from standfest.model.scores import INFINITY

MOST_CAUSES = 40
Situation = tuple[Element, Recorded]
Removal = Callable[[Situation], Situation]


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one constraint, option or failure adds to a score."""

    what: str
    score: int


@dataclass(frozen=True, slots=True)
class Place:
    """One node as a candidate: what adds up, the score in the end, and what keeps it from use."""

    node: str
    contributions: tuple[Contribution, ...]
    score: int
    unusable: str = ""
    chosen: bool = False


@dataclass(frozen=True, slots=True)
class Explanation:
    """The answer for one primitive."""

    resource: str
    places: tuple[Place, ...]
    decision: str
    causes: tuple[tuple[str, ...], ...] = ()


def explain(configuration: Element, recorded: Recorded, now: int, name: str) -> list[Explanation]:
    """Return an explanation for each primitive (instance) that `name` means; empty: unknown."""
    cluster = decide(configuration, copy.deepcopy(recorded), now)
    found = []
    for resource in _named(cluster, name):
        places = tuple(_place(cluster, resource, node) for node in cluster.nodes)
        causes: tuple[tuple[str, ...], ...] = ()
        if not _runs(resource):
            causes = tuple(_causes(configuration, recorded, now, resource.id))
        found.append(Explanation(resource.id, places, _decision(resource, places), causes))
    return found


def _named(cluster: Cluster, name: str) -> list[Resource]:
    leaves = [leaf for resource in cluster.resources for leaf in resource.primitives()]
    return [
        leaf
        for leaf in leaves
        if name in {leaf.id, leaf.base, leaf.outermost.id}
        or (leaf.parent is not None and name in {leaf.parent.id, leaf.parent.base})
    ]


def _runs(resource: Resource) -> bool:
    """Return whether a resource is active when the transition has run."""
    starts = [a for a in resource.actions if a.task == "start" and happens(a)]
    stops = {a.node for a in resource.actions if a.task == "stop" and happens(a)}
    return bool(starts) or any(node not in stops for node in resource.running)


# --- scores --------------------------------------------------------------------------------------


def _place(cluster: Cluster, resource: Resource, node: Node) -> Place:
    parts = list(_contributions(cluster, resource, node))
    score = resource.allowed[node.index]
    return Place(node.name, tuple(parts), score, _unusable(node), chosen=resource.assigned is node)


def _unusable(node: Node) -> str:
    for state, word in (
        (node.unclean, "unclean"),
        (not node.online, "offline"),
        (node.pending, "pending"),
        (node.shutdown, "shutting down"),
        (node.standby, "standby"),
        (node.maintenance, "maintenance"),
    ):
        if state:
            return word
    return ""


def _line(location: Location) -> str:
    line = location.element.line
    return f"{location.id} (line {line})" if line else location.id


def _contributions(cluster: Cluster, resource: Resource, node: Node) -> Iterator[Contribution]:
    around = {id(resource)}
    level = resource.parent
    while level is not None:
        around.add(id(level))
        level = level.parent
    for owner, location in cluster.locations:
        if id(owner) in around and node.index in location.scores:
            yield Contribution(f"location {_line(location)}", location.scores[node.index])
    sticky = resource.managed and len(resource.running) == 1 and resource.running[0] is node
    if sticky and resource.stickiness:
        yield Contribution("resource-stickiness", resource.stickiness)
    count = failures.banned_by_failures(cluster, resource, node)
    if count:
        yield Contribution(
            f"fail count {count} reached migration-threshold {resource.migration_threshold}",
            -INFINITY,
        )
    if node.health:
        yield Contribution("node health", node.health)
    if resource.lock_node is not None and resource.lock_node is not node:
        yield Contribution(f"shutdown lock on {resource.lock_node.name}", -INFINITY)
    for colocation in colocate.colocations_of(resource):
        place = colocate.place_of(colocation.primary)
        where = place.name if place is not None else "nowhere"
        here = place is not None and place.host is node
        what = f"colocation {colocation.id} with {colocation.primary.id}, which is {where}"
        score = colocation.score
        if place is None and score > 0:
            yield Contribution(what, -score)
        elif here and score < INFINITY:
            yield Contribution(what, score)
        elif not here and place is not None and score >= INFINITY:
            yield Contribution(what, -INFINITY)


def _decision(resource: Resource, places: tuple[Place, ...]) -> str:
    if not resource.managed:
        return "unmanaged: it is left as it is"
    chosen = next((place for place in places if place.chosen), None)
    usable = [place for place in places if not place.unusable and place.score >= 0]
    if chosen is None:
        if not usable:
            return "no node is left for it"
        return f"it may run on {', '.join(p.node for p in usable)}, but is not to be started"
    others = [place for place in usable if place is not chosen]
    if not others:
        return f"{chosen.node} is the only node left"
    best = max(others, key=lambda place: place.score)
    if best.score != chosen.score:
        return f"{chosen.node} has {chosen.score}, the next best, {best.node}, {best.score}"
    current = [node.name for node in resource.running]
    if chosen.node in current:
        return f"{chosen.node} and {best.node} are equal ({best.score}): it stays where it is"
    return (
        f"{chosen.node} and {best.node} are equal ({best.score}): the one with fewer resources, "
        "then the first by name"
    )


# --- causes --------------------------------------------------------------------------------------


def _causes(
    configuration: Element, recorded: Recorded, now: int, name: str
) -> Iterator[tuple[str, ...]]:
    """Yield the smallest sets of causes without which the resource would run."""
    candidates = list(_candidates(configuration, recorded, name))[:MOST_CAUSES]
    for size in (1, 2):
        found = False
        for chosen in combinations(candidates, size):
            situation = (configuration, copy.deepcopy(recorded))
            for _, remove in chosen:
                situation = remove(situation)
            cluster = decide(*situation, now)
            resource = cluster.by_id.get(name)
            if resource is not None and _runs(resource):
                found = True
                yield tuple(text for text, _ in chosen)
        if found:
            return


def _candidates(
    configuration: Element, recorded: Recorded, name: str
) -> Iterator[tuple[str, Removal]]:
    base = name.partition(":")[0]
    resources = configuration.child("resources")
    for element in resources.walk() if resources is not None else ():
        for pair in element.children if element.tag == "meta_attributes" else ():
            key = pair.get("name") or ""
            if key.replace("_", "-") in ("target-role", "is-managed", "maintenance"):
                text = f"{key}={pair.get('value')} ({pair.id}, line {pair.line})"
                yield text, _without(pair)
    for section in ("constraints", "crm_config"):
        found = configuration.child(section)
        for element in found.walk() if found is not None else ():
            if section == "constraints" and element.tag.startswith("rsc_"):
                yield f"{element.tag} {element.id} (line {element.line})", _without(element)
            elif (element.get("name") or "") in ("stop-all-resources", "no-quorum-policy"):
                text = f"{element.get('name')}={element.get('value')} (line {element.line})"
                yield text, _without(element)
    for record in recorded.nodes:
        counted = [
            key
            for key in record.transient
            if key.startswith((f"fail-count-{base}#", f"fail-count-{base}:"))
        ]
        if counted:
            yield f"failures of {base} on {record.name}", _cleaned(record.name, base)
        if record.transient.get("standby") in ("on", "true"):
            yield f"standby of {record.name}", _attribute(record.name, "standby")
    if recorded.attributes.get("have-quorum") in ("0", "false"):
        yield "no quorum", _quorate


def _without(gone: Element) -> Removal:
    def remove(situation: Situation) -> Situation:
        return _prune(situation[0], gone), situation[1]

    return remove


def _prune(element: Element, gone: Element) -> Element:
    kept = tuple(_prune(child, gone) for child in element.children if child is not gone)
    same = all(one is other for one, other in zip(kept, element.children, strict=False))
    return (
        element if same and len(kept) == len(element.children) else replace(element, children=kept)
    )


def _cleaned(node: str, resource: str) -> Removal:
    def remove(situation: Situation) -> Situation:
        for record in situation[1].nodes:
            if record.name == node:
                for key in [k for k in record.transient if f"-{resource}" in k]:
                    del record.transient[key]
                for known in record.history:
                    if known.id.partition(":")[0] == resource:
                        known.entries = [e for e in known.entries if not e.failed]
        return situation

    return remove


def _attribute(node: str, name: str) -> Removal:
    def remove(situation: Situation) -> Situation:
        for record in situation[1].nodes:
            if record.name == node:
                record.transient.pop(name, None)
        return situation

    return remove


def _quorate(situation: Situation) -> Situation:
    situation[1].attributes = dict(situation[1].attributes) | {"have-quorum": "1"}
    return situation
