"""Allocate stage: capacities of nodes, and what resources use of them (placement-strategy).

Source: facts/formats/SCHEDULER-SPEC.md row 11.8; Pacemaker Explained, "Utilization and Placement".
"""

from functools import cmp_to_key

from standfest.core.scheduler import colocate, wishes
from standfest.core.scheduler.cluster import Cluster
from standfest.core.scheduler.entities import Kind, Node, Resource
from standfest.model.scores import INFINITY


def assignment_order(cluster: Cluster) -> list[Resource]:
    """Return the resources in the order in which they are assigned when capacity counts."""
    tables: dict[str, list[int]] = {}
    for resource in cluster.resources:
        tables[resource.id] = wishes.merged(
            cluster, resource, resource, None, None, 1.0, outward=True
        )

    nodes = list(cluster.nodes)
    if cluster.options.placement == "balanced":
        nodes.sort(key=cmp_to_key(lambda one, other: -_capacity(one, other)))
    nodes.sort(key=lambda node: not node.usable)

    def key(item: tuple[int, Resource]) -> tuple[int, int, list[int], int]:
        place, resource = item
        table = tables[resource.id]
        here = [table[n.index] for n in resource.running]
        on_current = here[0] if here else -INFINITY
        wishes = [-table[node.index] for node in nodes]
        return (-resource.priority, -on_current, wishes, place)

    return [resource for _, resource in sorted(enumerate(cluster.resources), key=key)]


def sorted_by_capacity(
    cluster: Cluster, resource: Resource, active: Node | None
) -> list[tuple[int, Node]]:
    """Return (score, node), best first; among equals those with more capacity left."""

    def compare(one: tuple[int, Node], other: tuple[int, Node]) -> int:
        if one[0] != other[0]:
            return -1 if one[0] > other[0] else 1
        result = _capacity(one[1], other[1])
        if result:
            return -result
        if one[1].count != other[1].count:
            return -1 if one[1].count < other[1].count else 1
        if (one[1] is active) != (other[1] is active):
            return -1 if one[1] is active else 1
        return one[1].index - other[1].index

    pairs = [
        (score if node.usable else -INFINITY, node)
        for score, node in zip(resource.allowed, cluster.nodes, strict=True)
    ]
    return sorted(pairs, key=cmp_to_key(compare))


def _capacity(one: Node, other: Node) -> int:
    """Return whether one node has more left (1) or less (-1), over all attributes together."""
    result = 0
    for name in {*one.capacity, *other.capacity}:
        mine, theirs = one.capacity.get(name, 0), other.capacity.get(name, 0)
        result += (mine > theirs) - (mine < theirs)
    return (result > 0) - (result < 0)


def needed(resource: Resource) -> dict[str, int]:
    """Return what a resource, all of a group, uses, as far as it is not assigned yet."""
    total: dict[str, int] = {}
    for leaf in resource.primitives():
        if not leaf.unassigned and leaf is not resource:
            continue
        for name, value in leaf.utilization.items():
            total[name] = total.get(name, 0) + value
    return total


def _together(resource: Resource) -> list[Resource]:
    """Return what must go with the resource, transitively, itself first."""
    found: list[Resource] = []
    waiting = [resource.parent if _in_group(resource) else resource]
    while waiting:
        one = waiting.pop()
        if one is None or one in found:
            continue
        found.append(one)
        if one.kind in (Kind.CLONE, Kind.BUNDLE):
            continue  # it is on several nodes: who goes with it need not be together
        waiting += [c.primary for c in colocate.colocations_of(one) if c.score >= INFINITY]
        waiting += [c.dependent for c in colocate.dependents_of(one) if c.score >= INFINITY]
    return found


def _in_group(resource: Resource) -> bool:
    return resource.parent is not None and resource.parent.kind is Kind.GROUP


def ban_insufficient(cluster: Cluster, resource: Resource) -> Node | None:
    """Forbid nodes without room: for all that belongs together where any node has that much.

    Where none has, returns the node that has most, which is preferred among equals.
    """
    own = needed(resource) if not _in_group(resource) else dict(resource.utilization)
    together: dict[str, int] = {}
    any_free = False
    parts = 0
    for one in _together(resource):
        if one.kind in (Kind.CLONE, Kind.BUNDLE):
            continue
        if one.kind is Kind.PRIMITIVE and not one.unassigned and one is not resource:
            continue
        for leaf in one.primitives():
            if leaf.unassigned or leaf is resource:
                any_free = True
                parts += 1
                for name, value in leaf.utilization.items():
                    together[name] = together.get(name, 0) + value
    table = resource.allowed
    usable = [node for node in cluster.nodes if node.usable and table[node.index] >= 0]
    fits_all = any(_fits(together, node) for node in usable)
    most: Node | None = None
    if not fits_all and parts > 1:
        for node in usable:
            most = node if most is None or _capacity(node, most) > 0 else most
    wanted = together if any_free and fits_all else own
    for node in usable:
        if not _fits(wanted, node):
            table[node.index] = -INFINITY
    return most


def _fits(use: dict[str, int], node: Node) -> bool:
    return all(node.capacity.get(name, 0) >= value for name, value in use.items())


def consume(resource: Resource, node: Node) -> None:
    """Take what a resource uses from a node."""
    for name, value in resource.utilization.items():
        if name in node.capacity:
            node.capacity[name] -= value


def give_back(resource: Resource, node: Node) -> None:
    """Undo `consume`."""
    for name, value in resource.utilization.items():
        if name in node.capacity:
            node.capacity[name] += value
