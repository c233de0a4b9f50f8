"""The scores at the moments at which Pacemaker's tools show them: while resources are placed.

A collection is shown with what is in it when its turn comes, a primitive when everything it goes
with has had its say. Source: facts/formats/TOOLS.md section 7, samples/outputs/*.crm_simulate.txt.
"""

from collections.abc import Iterator, Mapping

from standfest.core.scheduler import colocate
from standfest.core.scheduler.cluster import Cluster
from standfest.core.scheduler.entities import ABSENT, Kind, Resource
from standfest.core.scheduler.ledger import Cause, Ledger
from standfest.core.scheduler.outcome import leaves_of
from standfest.model.deeds import Score

_FUNCTIONS = {
    Kind.PRIMITIVE: "pcmk__primitive_assign",
    Kind.GROUP: "pcmk__group_assign",
    Kind.CLONE: "pcmk__clone_allocate",
    Kind.BUNDLE: "pcmk__bundle_allocate",
}
"""Whose turn it is -> what the line begins with."""
_Moment = tuple[Kind, Resource, list[int]]


class ScoreTrace(Ledger):
    """Keeps tables of scores, at the moments above, in the order of placement."""

    def __init__(self) -> None:
        super().__init__()
        self._moments: list[_Moment] = []
        self._groups: set[Resource] = set()
        self._heard: set[Resource] = set()
        self._mark = 0

    def note(
        self,
        resource: Resource,
        cause: Cause,
        by: object = None,
        values: Mapping[int, int] | None = None,
    ) -> None:
        """Keep what a resource's scores are now, if this is its moment."""
        del by, values
        if resource.kind is Kind.PRIMITIVE:
            self._primitive(resource, cause)
        elif resource.kind is Kind.CLONE and resource.assigning and resource not in self._groups:
            self._groups.add(resource)
            self._collection(resource)

    def _primitive(self, resource: Resource, cause: Cause) -> None:
        if cause is Cause.STOPPED or (cause is Cause.OTHER and resource in self._heard):
            # Whoever it goes with may bring its turn up more than once: the last one counts.
            this = (Kind.PRIMITIVE, resource)
            self._moments = [moment for moment in self._moments if moment[:2] != this]
            self._moments.append((*this, list(resource.allowed)))
        elif cause is Cause.OTHER:
            self._heard.add(resource)
            group = resource.parent
            if group is not None and group.kind is Kind.GROUP and group not in self._groups:
                self._groups.add(group)
                self._collection(group)

    def _collection(self, resource: Resource) -> None:
        for one in (resource, *resource.children):
            self._moments.append((resource.kind, one, list(one.allowed)))
            if resource.kind is Kind.CLONE and one.kind is Kind.GROUP:
                for member in one.children:
                    self._moments.append((resource.kind, member, list(member.allowed)))

    def marks(self, resource: Resource) -> list[tuple[Resource, int]]:
        """Remember where the trace stands before a trial."""
        self._mark = len(self._moments)
        return super().marks(resource)

    def rewind(self, marks: list[tuple[Resource, int]]) -> None:
        """Forget what a trial has shown."""
        tried = {resource for resource, _ in marks}
        self._groups -= tried
        self._heard -= tried
        del self._moments[self._mark :]
        super().rewind(marks)

    def scores(self, cluster: Cluster) -> Iterator[Score]:
        """Yield the lines; claims to be promoted after the last instance of their clone."""
        last: dict[Resource, int] = {}
        for at, (_, resource, _) in enumerate(self._moments):
            clone = resource.clone
            if clone is not None and clone.promotable:
                last[clone] = at
        for at, (kind, resource, table) in enumerate(self._moments):
            for node in sorted(cluster.nodes, key=lambda node: node.name):
                if table[node.index] != ABSENT:
                    yield Score(_FUNCTIONS[kind], resource.id, node.name, table[node.index])
            clone = resource.clone
            if clone is not None and last.get(clone) == at:
                yield from _claims(clone)


def _claims(clone: Resource) -> Iterator[Score]:
    for instance in sorted(clone.children, key=lambda one: one.instance):
        node = colocate.place_of(instance)
        if node is None:
            yield Score("", instance.id, "", 0)
        else:
            yield Score("", instance.id, node.name, instance.sort_index)


def capacities(cluster: Cluster) -> Iterator[tuple[str, dict[str, int], dict[str, int]]]:
    """Yield each node with what it has, and with what is left of it when all is placed.

    What a resource takes counts whatever the placement strategy is; a node has none of what it does
    not name, and keeps none of it.
    """
    counted = cluster.options.placement != "default"
    for node in cluster.nodes:
        used: dict[str, int] = {}
        for leaf in leaves_of(cluster):
            if leaf.assigned is node:
                for name, value in leaf.utilization.items():
                    used[name] = used.get(name, 0) + value
        known = node.capacity
        original = {k: v + (used.get(k, 0) if counted else 0) for k, v in known.items()}
        left = {k: original[k] - v if k in original else 0 for k, v in used.items()}
        yield node.name, original, {**original, **left}
