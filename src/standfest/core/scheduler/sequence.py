"""Order stage: orderings that can only be made when it is settled what happens.

Source: facts/formats/SCHEDULER-SPEC.md rows 6.11, 11.5, 11.6 and 11.8.
"""

from standfest.core.scheduler.actions import Action, find, order_actions
from standfest.core.scheduler.cluster import Cluster, Relation
from standfest.core.scheduler.entities import Node, Resource
from standfest.core.scheduler.flags import within

_ORDERED = int(Relation.ORDERED)
_ENDS = ("stop", "stopped", "demote", "demoted")
_APART = int(Relation.IF_ON_SAME_NODE)
_RELAXED = int(Relation.IF_FIRST_UNMIGRATABLE)


def sequence(cluster: Cluster) -> None:
    """Complete the order of what happens."""
    leaves = [leaf for resource in cluster.resources for leaf in resource.primitives()]
    moving = {id(leaf) for leaf in leaves if _migrates(leaf) is not None}
    if moving:
        _relax(cluster)
    for leaf in leaves:
        start = _migrates(leaf)
        if start is not None:
            _migration(leaf, start, moving)
    if cluster.options.placement != "default":
        for node in cluster.nodes:
            _load(cluster, leaves, node)
    for action in cluster.actions:
        if action.min_runnable and any(not link.action.optional for link in action.before):
            action.optional = False


def _migrates(leaf: Resource) -> Action | None:
    """Return the milestone that stands for the start of a resource that is migrated live."""
    if not leaf.allow_migrate:
        return None
    for action in leaf.by_key.get(f"{leaf.id}_start_0", ()):
        if action.pseudo and action.migratable and not action.optional:
            return action
    return None


def _relax(cluster: Cluster) -> None:
    """Drop the order of stops that matters only if what stops first is down in between."""
    for action in cluster.actions:
        for link in action.before:
            if link.flags & _RELAXED and link.action.migratable and link.action.task == "stop":
                link.flags = 0


def _migration(leaf: Resource, start: Action, moving: set[int]) -> None:
    """Let a migration wait for all that its start waits for, and for dependents that stop."""
    first = next(
        (
            action
            for task in ("migrate_to", "migrate_from")
            for action in leaf.by_key.get(f"{leaf.id}_{task}_0", ())
            if not action.optional
        ),
        None,
    )
    if first is None:
        return
    for link in first.before:
        if link.action.migratable and link.action.pseudo:
            link.flags = 0  # a connection that moves while it is up is there all the time
    for link in list(start.before):
        other = link.action
        if other.resource is leaf or not link.flags or other.task == "monitor":
            continue
        if link.flags & _APART:
            continue  # it is about the node that the start is on, and a migration leaves another
        if other.resource is not None and within(leaf, other.resource):
            continue  # a collection's milestones are about starts and stops, of which there is none
        if other.resource is not None and id(other.resource) in moving and other.migratable:
            # It is there once it has arrived, not once its source has stopped.
            for arrival in other.resource.by_key.get(f"{other.resource.id}_migrate_from_0", ()):
                order_actions(arrival, first, _ORDERED)
        else:
            order_actions(other, first, _ORDERED)
    for stop in leaf.by_key.get(f"{leaf.id}_stop_0", ()):
        for link in list(stop.before):
            other = link.action
            if other.resource is leaf or not link.flags or other.task not in _ENDS:
                continue
            if other.resource is not None and id(other.resource) not in moving:
                order_actions(other, first, _ORDERED)


def _load(cluster: Cluster, leaves: list[Resource], node: Node) -> None:
    """Let resources start on a node only when all stops there have made room."""
    leaving = [
        stop
        for leaf in leaves
        if leaf.utilization and (stop := find(leaf, "stop", node)) is not None
        if stop.node is node and not stop.optional
    ]
    if not leaving:
        return
    room = Action(len(cluster.actions), None, "load_stopped", f"load_stopped_{node.name}", None)
    room.pseudo = True
    room.optional = False
    cluster.actions.append(room)
    for stop in leaving:
        order_actions(stop, room, _ORDERED)
    for leaf in leaves:
        if not leaf.utilization or leaf.assigned is not node:
            continue
        for task in ("migrate_to", "start"):
            for action in leaf.by_key.get(f"{leaf.id}_{task}_0", ()):
                if not action.optional and not action.pseudo:
                    order_actions(room, action, _ORDERED)
