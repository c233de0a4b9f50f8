"""Allocate stage: the instances of a clone among its nodes.

Source: facts/formats/SCHEDULER-SPEC.md section 6.
"""

from functools import cmp_to_key

from standfest.core.scheduler import assign, colocate, promote, wishes
from standfest.core.scheduler.cluster import Cluster
from standfest.core.scheduler.entities import Node, Resource, Role
from standfest.core.scheduler.ledger import Cause
from standfest.model.scores import INFINITY


def assign_clone(cluster: Cluster, clone: Resource) -> None:
    """Assign all instances; promotable ones get their roles."""
    if not clone.unassigned or clone.assigning:
        return
    if clone.promotable:
        promote.add_scores_of_promotion(cluster, clone)
    clone.assigning = True
    cluster.note(clone, Cause.OTHER)
    for colocation in colocate.colocations_of(clone):
        assign.assign(cluster, colocation.primary, None)
    wishes.add_wishes(cluster, clone)
    clone.children = sorted(clone.children, key=cmp_to_key(_Order(cluster).compare))
    distribute(cluster, clone, clone.children, clone.clone_max, clone.clone_node_max)
    if clone.promotable:
        promote.set_roles(cluster, clone)
    clone.assigning = False
    clone.unassigned = False
    clone.next_role = max((c.next_role for c in clone.children), default=Role.STOPPED)


class _Order:
    """Compares instances (rule 6.3): the ones that should stay where they are come first."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def compare(self, one: Resource, other: Resource) -> int:
        many, few = len(one.running), len(other.running)
        if many and few and many != few:
            return -1 if many < few else 1
        here, there = self._allowed_node(one), self._allowed_node(other)
        at_home = (here is not None or not one.running, there is not None or not other.running)
        if at_home[0] != at_home[1]:
            return -1 if at_home[0] else 1
        if one.priority != other.priority:
            return -1 if one.priority > other.priority else 1
        if here is None and there is None:
            return one.instance - other.instance
        if here is None or there is None:
            return 1 if here is None else -1
        if here.usable != there.usable:
            return -1 if here.usable else 1
        crowd_here, crowd_there = self._crowd(one, here), self._crowd(other, there)
        if crowd_here != crowd_there:
            return -1 if crowd_here < crowd_there else 1
        bad, worse = _failed(one), _failed(other)
        if bad != worse:
            return 1 if bad else -1
        return self._by_colocation(one, other, here, there) or one.instance - other.instance

    def _allowed_node(self, instance: Resource) -> Node | None:
        if not instance.running:
            return None
        node = instance.running[0]
        return node if instance.allowed[node.index] >= 0 else None

    def _crowd(self, instance: Resource, node: Node) -> int:
        clone = instance.parent
        return clone.count_on.get(node.index, 0) if clone is not None else 0

    def _by_colocation(self, one: Resource, other: Resource, here: Node, there: Node) -> int:
        clone = one.parent
        if clone is None or not (clone.this_with or clone.with_this):
            return 0
        left, right = self._table(one), self._table(other)
        if left[here.index] != right[there.index]:
            return -1 if left[here.index] > right[there.index] else 1
        return 0

    def _table(self, instance: Resource) -> list[int]:
        table = [0] * len(self._cluster.nodes)
        if instance.running:
            table[instance.running[0].index] = instance.allowed[instance.running[0].index]
        return table


def _failed(instance: Resource) -> bool:
    return any(leaf.failed for leaf in instance.primitives())


def distribute(
    cluster: Cluster, clone: Resource, instances: list[Resource], most: int, most_per_node: int
) -> None:
    """Assign instances: first those that may stay, then the others (rule 6.2)."""
    clone.count_on = {}
    available = [n for n in cluster.nodes if n.usable and clone.allowed[n.index] >= 0]
    best = max(1, most // len(available)) if available else 1
    assigned = 0
    for instance in instances:
        if assigned >= most:
            break
        if not instance.unassigned:
            continue
        stay = _stays(clone, instance, best)
        if stay is not None and _early(
            cluster, clone, instance, stay, most_per_node, most - assigned
        ):
            assigned += 1
    for instance in instances:
        if not instance.unassigned:
            continue
        if assigned >= most:
            _ban_all(instance)
            cluster.note(instance, Cause.INSTANCES)
            assign.assign(cluster, instance, None)
            if instance.unassigned:
                assign.unplace(cluster, instance)
        elif _one(cluster, clone, instance, None, most_per_node):
            assigned += 1


def _ban_all(instance: Resource) -> None:
    instance.allowed = [-INFINITY] * len(instance.allowed)
    for child in instance.children:
        _ban_all(child)


def _stays(clone: Resource, instance: Resource, best: int) -> Node | None:
    """Return the node on which an instance should be kept."""
    if not instance.running or not instance.unassigned or _failed(instance):
        return None
    node = instance.running[0]
    if not node.usable or clone.allowed[node.index] < 0:
        return None
    return node if clone.count_on.get(node.index, 0) < best else None


def _early(  # noqa: PLR0917 (a leaf)
    cluster: Cluster,
    clone: Resource,
    instance: Resource,
    stay: Node,
    most_per_node: int,
    left: int,
) -> bool:
    """Try to keep an instance where it is.

    If it would rather be elsewhere, that place is left for another of the `left` instances that
    have no place yet, and it is tried again.
    """
    before = _tables(instance)
    marks = cluster.ledger.marks(instance) if cluster.ledger is not None else []
    reserved: list[int] = []
    kept = False
    while len(reserved) < left:
        chosen = _one(cluster, clone, instance, stay, most_per_node, trial=True)
        if chosen is stay:
            kept = True
            break
        _restore(instance, before)
        if cluster.ledger is not None:
            cluster.ledger.rewind(marks)
        if chosen is None:
            break
        clone.count_on[chosen.index] = clone.count_on.get(chosen.index, 0) + 1
        reserved.append(chosen.index)
    for index in reserved:
        clone.count_on[index] -= 1
    if not kept:
        _restore(instance, before)
        if cluster.ledger is not None:
            cluster.ledger.rewind(marks)
    return kept


def _tables(instance: Resource) -> list[tuple[Resource, list[int], Role]]:
    found = [(instance, list(instance.allowed), instance.next_role)]
    for child in instance.children:
        found += _tables(child)
    return found


def _restore(instance: Resource, tables: list[tuple[Resource, list[int], Role]]) -> None:
    for resource, table, role in tables:
        resource.allowed = list(table)
        resource.next_role = role


def _one(
    cluster: Cluster,
    clone: Resource,
    instance: Resource,
    prefer: Node | None,
    most_per_node: int,
    *,
    trial: bool = False,
) -> Node | None:
    """Assign one instance; on trial, undone when another node than `prefer` is better."""
    if not instance.unassigned or instance.assigning:
        return None
    for node in cluster.nodes:
        index = node.index
        if (
            not node.usable
            or clone.allowed[index] < 0
            or clone.count_on.get(index, 0) >= most_per_node
        ):
            instance.allowed[index] = -INFINITY
            for child in instance.children:
                child.allowed[index] = -INFINITY
    cluster.note(instance, Cause.INSTANCES)
    chosen = assign.assign(cluster, instance, prefer, stop_if_fail=not trial)
    if trial and chosen is not prefer:
        _undo(cluster, instance)
        return chosen
    if chosen is not None:
        clone.count_on[chosen.index] = clone.count_on.get(chosen.index, 0) + 1
    return chosen


def _undo(cluster: Cluster, instance: Resource) -> None:
    for leaf in instance.primitives():
        assign.release(cluster, leaf)
    if instance.children:
        instance.unassigned = True
        instance.assigned = None
