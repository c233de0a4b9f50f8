"""Why a resource is where it is, not elsewhere, not promoted, or not running at all.

Scores are taken apart into what the scheduler wrote down while it added them up. Causes are
proven: each set that is named has been taken away, and the scheduler did what was asked for.
"""

from collections import Counter
from dataclasses import dataclass

from standfest.analysis import causes, connected
from standfest.analysis.candidates import candidates, limit_of
from standfest.analysis.connected import base_of
from standfest.analysis.contributions import Contribution, of_promotion, of_score
from standfest.core.scheduler import colocate, outcome
from standfest.core.scheduler.cluster import Cluster
from standfest.core.scheduler.engine import decide
from standfest.core.scheduler.entities import Node, Resource, Role
from standfest.core.scheduler.ledger import Ledger
from standfest.model.element import Element
from standfest.model.errors import OperationError
from standfest.model.history import Recorded

Places = dict[str, Counter[tuple[str, str]]]
MOST_SEARCHES = 3
"""For how many resources causes are looked for when a group or clone is asked about."""


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
    """The answer for one primitive (instance).

    goal: what is not the case and was looked into (`run`, `run on NODE`, `be promoted`); causes:
    the smallest sets without which it would be; note: what limits that answer.
    """

    resource: str
    places: tuple[Place, ...]
    decision: str
    goal: str = ""
    causes: tuple[tuple[str, ...], ...] = ()
    note: str = ""
    promotion: tuple[Contribution, ...] = ()
    promotion_score: int | None = None
    promotion_decision: str = ""


def explain(
    configuration: Element, recorded: Recorded, now: int, name: str, node: str = ""
) -> list[Explanation]:
    """Return an explanation for each primitive (instance) that `name` means; empty: unknown.

    node: ask why it is not there, if it is not. Raises OperationError for an unknown node.
    """
    ledger = Ledger()
    situation = (configuration, recorded)
    cluster = decide(configuration, recorded, now, ledger)
    if node and node not in cluster.node_by_name:
        known = ", ".join(one.name for one in cluster.nodes)
        raise OperationError(f"unknown node {node}; expected one of: {known}")
    asked = _Asked(situation, cluster, ledger, now, node)
    return [asked.about(resource) for resource in _named(cluster, name)]


def _named(cluster: Cluster, name: str) -> list[Resource]:
    leaves = outcome.leaves_of(cluster)
    return [
        leaf
        for leaf in leaves
        if name in {leaf.id, leaf.base, leaf.outermost.id}
        or (leaf.parent is not None and name in {leaf.parent.id, leaf.parent.base})
    ]


class _Asked:
    """One question about a situation, and what has been found out for its answer."""

    def __init__(
        self,
        situation: connected.Situation,
        cluster: Cluster,
        ledger: Ledger,
        now: int,
        node: str,
    ) -> None:
        self._situation = situation
        self._cluster = cluster
        self._ledger = ledger
        self._now = now
        self._node = node
        self._final = places_of(cluster)
        self._searched: dict[str, tuple[str, causes.Found]] = {}

    def about(self, resource: Resource) -> Explanation:
        """Return the explanation for one primitive."""
        cluster, ledger = self._cluster, self._ledger
        places = tuple(
            Place(
                node.name,
                tuple(of_score(cluster, ledger, resource, node)),
                resource.allowed[node.index],
                _unusable(node),
                chosen=resource.assigned is node,
            )
            for node in cluster.nodes
        )
        goal, found = self._causes(resource)
        instance = _instance(resource)
        promotable = instance is not None
        return Explanation(
            resource.id,
            places,
            _decision(resource, places),
            goal,
            found.sets,
            found.note,
            tuple(of_promotion(cluster, ledger, instance)) if instance is not None else (),
            instance.sort_index if instance is not None else None,
            _promotion(instance) if promotable and instance is not None else "",
        )

    def _causes(self, resource: Resource) -> tuple[str, causes.Found]:
        label = outcome.label(resource)
        if label not in self._searched:
            if len(self._searched) >= MOST_SEARCHES:
                return "", causes.Found()
            self._searched[label] = self._search(resource, label)
        return self._searched[label]

    def _search(self, resource: Resource, label: str) -> tuple[str, causes.Found]:
        goal = self._goal(resource, label)
        if goal is None:
            return "", causes.Found()
        said, reached = goal
        web = connected.Web(self._situation[0])
        owner = web.owner(resource.base) or web.owner(resource.outermost.id)
        elsewhere = said.startswith("run on")
        pool = candidates(self._situation, web, self._cluster, resource, elsewhere=elsewhere)
        part = connected.part_of(self._situation, web, owner) if owner else self._situation
        return said, causes.find(part, self._situation, self._now, reached, pool)

    def _goal(self, resource: Resource, label: str) -> tuple[str, causes.Goal] | None:
        """Return what is not the case, in words and as a test of another run's outcome."""
        if resource.removed:
            return None
        here = _places(self._final, label)
        wanted = self._node
        if wanted and wanted not in {node for _, node in here}:
            return f"run on {wanted}", lambda other: any(
                node == wanted for _, node in _places(places_of(other), label)
            )
        most, count = _most(self._cluster, resource), len(here)
        if count < most:
            goal = "run" if not count else f"run with more than {count} of {most} instances"
            return goal, lambda other: len(_places(places_of(other), label)) > count
        if _instance(resource) is not None and all(role != "Promoted" for role, _ in here):
            return "be promoted", lambda other: any(
                role == "Promoted" for role, _ in _places(places_of(other), label)
            )
        return None


def _most(cluster: Cluster, resource: Resource) -> int:
    """Return in how many places a resource, all instances of an anonymous clone, may be."""
    clone = resource.clone
    if clone is None or clone.globally_unique:
        return 1
    return min(clone.clone_max, clone.clone_node_max * len(cluster.nodes)) or 1


def _places(final: Places, label: str) -> list[tuple[str, str]]:
    """Return (role, node) of a resource; also when its instances have numbers in another run."""
    return [
        pair
        for name, pairs in final.items()
        if name == label or base_of(name) == label
        for pair in pairs.elements()
    ]


def places_of(cluster: Cluster) -> Places:
    """Return (role, node) of everything after the transition; parts of bundles included."""
    found = {name: Counter(pairs) for name, pairs in outcome.final(cluster)[1].items()}
    for bundle in cluster.bundles:
        for replica in bundle.replicas:
            inside = found.get(replica.key, Counter())
            for part in (replica.container, replica.connection, replica.inner):
                if part is not None:
                    found.setdefault(outcome.label(part), Counter()).update(inside)
    for address, container in cluster.bundle_orders:
        found.setdefault(address.id, Counter()).update(found.get(container.id, Counter()))
    return found


def _instance(resource: Resource) -> Resource | None:
    """Return the instance of a promotable clone that a primitive is, or is in."""
    level: Resource | None = resource
    while level is not None and level.parent is not None:
        if level.parent.promotable and level.parent.is_clone:
            return level
        level = level.parent
    return None


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


def _decision(resource: Resource, places: tuple[Place, ...]) -> str:
    if resource.removed:
        return "removed from the configuration"
    if resource.blocked:
        return "blocked by a failure: it is left as it is"
    if not resource.managed:
        return "unmanaged: it is left as it is"
    chosen = next((place for place in places if place.chosen), None)
    usable = [place for place in places if not place.unusable and place.score >= 0]
    if chosen is None:
        if not usable:
            return "no node is left for it"
        return f"it may run on {', '.join(p.node for p in usable)}, but is not to be started"
    waiting = _waiting(resource)
    if waiting:
        return f"{chosen.node} is its place, but it cannot be started: {waiting}"
    others = [place for place in usable if place is not chosen]
    if not others:
        return f"{chosen.node} is the only node left"
    best = max(others, key=lambda place: place.score)
    if best.score != chosen.score:
        comparison = f"{chosen.node} has {limit_of(chosen.score)}"
        return f"{comparison}, the next best, {best.node}, {limit_of(best.score)}"
    current = [node.name for node in resource.running]
    equal = f"{chosen.node} and {best.node} are equal ({limit_of(best.score)})"
    if chosen.node in current:
        return f"{equal}: it stays where it is"
    return f"{equal}: the one with fewer resources, then the first by name"


def _waiting(resource: Resource) -> str:
    """Return what a start that cannot happen waits for; empty if it can."""
    for action in resource.actions:
        if action.task == "start" and not action.optional and not outcome.happens(action):
            return action.reason or "something that it needs is not there"
    return ""


def _promotion(instance: Resource) -> str:
    """Return why an instance of a promotable clone is promoted, or not."""
    clone = instance.parent
    assert clone is not None, "an instance is part of a clone"
    role, place = colocate.role_of(instance), colocate.place_of(instance)
    where = f" on {place.name}" if place is not None else ""
    score = limit_of(instance.sort_index)
    if role is Role.PROMOTED:
        return f"promoted{where} with {score}"
    promoted = [one for one in clone.children if colocate.role_of(one) is Role.PROMOTED]
    if place is None:
        return "not promoted: it does not run"
    if instance.sort_index < 0:
        return f"not promoted{where}: {score} is below 0"
    if len(promoted) >= clone.promoted_max:
        best = ", ".join(f"{one.id} has {limit_of(one.sort_index)}" for one in promoted)
        limit = f"promoted-max is {clone.promoted_max}"
        return f"not promoted{where}: it has {score}, and {best} ({limit})"
    return f"not promoted{where}, though it has {score}: the node, quorum or limits forbid it"
