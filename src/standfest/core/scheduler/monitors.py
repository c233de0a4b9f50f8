"""Act stage: recurring operations, begun and cancelled with the role that they belong to.

Source: facts/formats/SCHEDULER-SPEC.md rows 7.9, 10.4 d, 11.4.
"""

from standfest.core.scheduler import values
from standfest.core.scheduler.actions import Action, find, make, order_actions
from standfest.core.scheduler.cluster import Cluster, Relation
from standfest.core.scheduler.entities import Node, OperationConfig, Resource, Role
from standfest.core.scheduler.resources import ROLES

R = Relation
_EXPECTED = {Role.PROMOTED: 8, Role.STOPPED: 7}


def recurring(cluster: Cluster, resource: Resource) -> None:
    """Make the recurring operations of a primitive, and cancel those that are no longer wanted."""
    if resource.blocked or resource.maintenance:
        _maintained(cluster, resource)
        return
    seen: set[tuple[str, int]] = set()
    node = resource.assigned
    active = resource.next_role > Role.STOPPED and node is not None
    for config in resource.operations:
        if not config.interval or config.name in ("start", "stop", "promote", "demote"):
            continue
        if (config.name, config.interval) in seen:
            continue
        seen.add((config.name, config.interval))
        if not config.enabled:
            continue
        role = ROLES.get(config.role.lower(), Role.UNKNOWN)
        if role is Role.STOPPED and resource.clone is not None and not resource.globally_unique:
            continue  # instances are alike: none can be missed on a node where another may run
        if role is Role.STOPPED:
            _stopped(cluster, resource, config)
        elif active:
            assert node is not None, "active has a place"
            _active(cluster, resource, config, role, node)
    _cancel_unknown(cluster, resource)


def _maintained(cluster: Cluster, resource: Resource) -> None:
    """Cancel recurring operations on what an administrator works on.

    Not those of a removed resource: nothing says any more how it would be watched again.
    """
    if resource.maintenance and not resource.removed:
        for index, record in resource.history.items():
            node = cluster.nodes[index]
            if node not in resource.running:
                continue  # the failed monitor that told so has ended by itself
            if not (node.maintenance or (node.usable and _set_aside(cluster, resource))):
                continue  # standby and leaving nodes: it will be decided when they are back
            for entry in record.entries:
                if entry.interval and entry.exit_code != 193 and not entry.failed:
                    _cancel(cluster, resource, entry.task, entry.interval, node)


def _set_aside(cluster: Cluster, resource: Resource) -> bool:
    """Return whether a resource is in maintenance on every node, not only on some."""
    asked = values.boolean(resource.meta.get("maintenance"), False)
    return asked or cluster.options.maintenance_mode


def _active(
    cluster: Cluster, resource: Resource, config: OperationConfig, role: Role, node: Node
) -> None:
    wanted = role
    if role in (Role.UNKNOWN, Role.STARTED):
        wanted = Role.UNPROMOTED if resource.promotable else Role.STARTED
    key = (config.name, config.interval)
    recorded = _recorded(resource, *key)
    if wanted != resource.next_role and not (
        wanted is Role.STARTED and resource.next_role is Role.UNPROMOTED
    ):
        start = find(resource, "start", node)
        renewed = start is not None and not start.optional and start.runnable
        if node.index in recorded and not (renewed and wanted is Role.UNPROMOTED):
            # Otherwise it restarts before it is promoted, and the stop ends what recurs.
            change = find(resource, "promote" if wanted is Role.UNPROMOTED else "demote", node)
            cancel = _cancel(cluster, resource, *key, node)
            if change is not None and cancel is not None:
                order_actions(cancel, change, int(R.ORDERED))
        return
    if node.unclean:
        return  # it is about to be fenced
    start = find(resource, "start", node)
    fresh = (start is not None and not start.optional) or node.index not in recorded
    fresh = fresh or (*key, node.index) in resource.changed_monitors
    action = make(
        cluster,
        resource,
        config.name,
        node,
        optional=not fresh,
        interval=config.interval,
        config=config,
    )
    action.expected = _EXPECTED.get(resource.next_role) if wanted is Role.PROMOTED else None
    if start is not None:
        flags = R.ORDERED | R.FIRST_IMPLIES_THEN
        if resource.managed or not start.optional:
            flags |= R.UNRUNNABLE_FIRST_BLOCKS  # what runs and is left alone is watched anyway
        order_actions(start, action, int(flags))
    if wanted is Role.PROMOTED or resource.promotable:
        for task in ("promote", "demote"):
            change = find(resource, task, node)
            if change is not None:
                flags = R.ORDERED | R.UNRUNNABLE_FIRST_BLOCKS
                if (task == "promote") == (wanted is Role.PROMOTED):
                    order_actions(change, action, int(flags))
    arrive = find(resource, "migrate_from", node)
    if arrive is not None:
        order_actions(arrive, action, int(R.ORDERED))


def _recorded(resource: Resource, name: str, interval: int) -> set[int]:
    """Return the nodes on which an operation recurs already."""
    found = set()
    for index, record in resource.history.items():
        for entry in record.entries:
            if entry.failed or entry.status == 1:
                continue
            if entry.interval == interval and entry.task == name:
                found.add(index)
    return found


def _stopped(cluster: Cluster, resource: Resource, config: OperationConfig) -> None:
    """Watch that a resource is not active anywhere else."""
    recorded = _recorded(resource, config.name, config.interval)
    for node in cluster.nodes:
        if node is resource.assigned and resource.next_role > Role.STOPPED:
            if node.index in recorded:
                _cancel(cluster, resource, config.name, config.interval, node)
            continue
        if not node.online or node.unclean or node.is_guest:
            continue
        if node in resource.running and not resource.managed:
            continue  # nobody stops it there
        action = make(
            cluster,
            resource,
            config.name,
            node,
            optional=node.index in recorded,
            interval=config.interval,
            config=config,
        )
        action.expected = 7
        stop = find(resource, "stop", node)
        if stop is not None and stop.node is node:
            order_actions(stop, action, int(R.ORDERED | R.FIRST_IMPLIES_THEN))


def _cancel_unknown(cluster: Cluster, resource: Resource) -> None:
    """Cancel what recurs although it is no longer configured."""
    if not cluster.options.stop_removed_actions or resource.removed:
        return
    for index, record in resource.history.items():
        node = cluster.nodes[index]
        if node is not resource.assigned or resource.next_role <= Role.STOPPED:
            continue
        for entry in record.entries:
            if not entry.interval:
                continue
            known = any(
                config.name == entry.task and config.interval == entry.interval and config.enabled
                for config in resource.operations
            )
            if not known:
                _cancel(cluster, resource, entry.task, entry.interval, node)


def _cancel(
    cluster: Cluster, resource: Resource, task: str, interval: int, node: Node
) -> Action | None:
    if not node.online or node.unclean:
        return None
    key = f"{resource.id}_{task}_{interval}"
    known = cluster.keyed.get((f"cancel {key}", node.name))
    if known is not None:
        return known
    action = Action(len(cluster.actions), resource, "cancel", key, node)
    action.meta = {"task": task}
    action.interval = interval
    action.optional = False
    cluster.actions.append(action)
    cluster.keyed[f"cancel {key}", node.name] = action
    return action
