"""Act stage: the starts, stops, promotions and demotions that lead from one role to the next.

Source: facts/formats/SCHEDULER-SPEC.md sections 7 to 9 and 11.5 to 11.7.
"""

from standfest.core.scheduler import monitors, probes
from standfest.core.scheduler.actions import Action, find, make, order_actions, relate_actions
from standfest.core.scheduler.cluster import Cluster, Relation
from standfest.core.scheduler.entities import Kind, Need, Node, Resource, Role
from standfest.core.scheduler.relations import milestones

R = Relation
_DOWN = {Role.PROMOTED: Role.UNPROMOTED, Role.UNPROMOTED: Role.STOPPED, Role.STARTED: Role.STOPPED}


def act(cluster: Cluster) -> None:
    """Make the actions of every resource."""
    for resource in cluster.resources:
        _act(cluster, resource)


def _act(cluster: Cluster, resource: Resource) -> None:
    if resource.kind is not Kind.PRIMITIVE:
        for child in resource.children:
            _act(cluster, child)
        if resource.parent is None or resource.parent.kind is Kind.BUNDLE:
            milestones(cluster, resource)
        return
    probes.probe(cluster, resource)
    _steps(cluster, resource)


def _steps(cluster: Cluster, resource: Resource) -> None:
    if resource.next_role is Role.UNKNOWN:
        resource.next_role = Role.STARTED if resource.assigned is not None else Role.STOPPED
    elif resource.next_role is Role.STARTED and resource.assigned is None:
        resource.next_role = Role.STOPPED
    for left in resource.dangling:
        stop = make(cluster, resource, "stop", left, optional=False)
        stop.how = "dangling"
    current = _current(resource)
    moving = (
        current is not None
        and resource.assigned is not None
        and current is not resource.assigned
        and resource.next_role >= Role.STARTED
    )
    migrates = moving and current is not None and may_migrate(cluster, resource, current)
    need_stop = False
    active = len(resource.running)
    source, target = resource.partial_source, resource.partial_target
    if source is not None and target is not None:
        half_way = (
            active <= 2
            and resource.assigned is target
            and set(resource.running) <= {source, target}
        )
        if half_way and source in resource.running and source.online:
            current = source
            moving = migrates = True
            migrates = resource.allow_migrate and not resource.failed and resource.managed
        else:
            resource.partial_source = resource.partial_target = None
            need_stop = True
            migrates = False
    if active > 1 and resource.partial_source is None:
        active_clean = [n for n in resource.running if n not in resource.dangling]
        if resource.needs < Need.FENCING:
            active_clean = [n for n in active_clean if n.online and not n.unclean]
        if len(active_clean) > 1:
            migrates = False
            if resource.multiple_active in ("stop_start", "stop_only"):
                need_stop = True
            elif resource.multiple_active == "stop_unexpected":
                need_stop = True
                resource.stop_unexpected = True
    if resource.start_pending and resource.assigned is not None and resource.managed:
        start = make(cluster, resource, "start", resource.assigned, optional=True)
        start.print_always = True
    need_promote = False
    if moving:
        need_stop = True
    elif resource.failed:
        if resource.fresh or not any(
            a.task == "demote" and not a.optional for a in resource.actions
        ):
            need_stop = True
        if not need_stop and resource.next_role is Role.PROMOTED:
            need_promote = True
    elif resource.blocked:
        need_stop = True
    elif (
        resource.role > Role.STARTED
        and current is not None
        and resource.assigned is not None
        and resource.start_pending
    ):
        start = make(cluster, resource, "start", current, optional=True)
        if not start.optional:
            need_stop = True
    _restart(cluster, resource, current, need_stop, need_promote)
    _transition(cluster, resource)
    _reload(cluster, resource)
    monitors.recurring(cluster, resource)
    if migrates and current is not None:
        _migrate(cluster, resource, current)


def _current(resource: Resource) -> Node | None:
    for node in resource.running:
        if node.online and not node.unclean and node not in resource.dangling:
            return node
    for node in resource.running:
        if node not in resource.dangling:
            return node
    return resource.running[0] if resource.running else None


# --- roles ---------------------------------------------------------------------------------------


def _restart(
    cluster: Cluster, resource: Resource, current: Node | None, need_stop: bool, promote: bool
) -> None:
    """Make what takes the resource down, and back up to where it was; needed or not."""
    role = resource.role
    if role <= Role.STOPPED:
        return
    while role > Role.STOPPED:
        below = _DOWN[role]
        if role is Role.PROMOTED:
            promote = promote or need_stop
            _demote(cluster, resource, required=need_stop)
        elif below is Role.STOPPED:
            _stop(cluster, resource, required=need_stop)
        role = below
    if resource.blocked:
        return
    resource.restarting = True
    if resource.assigned is not None and resource.next_role > Role.STOPPED:
        required = need_stop or resource.changed
        _start(cluster, resource, resource.assigned, required=required)
        if resource.role is Role.PROMOTED and resource.next_role is Role.PROMOTED:
            _promote(cluster, resource, resource.assigned, required=required or promote)
    resource.restarting = False


def _transition(cluster: Cluster, resource: Resource) -> None:
    """Make what leads to the next role."""
    role, wanted, node = resource.role, resource.next_role, resource.assigned
    if role is Role.PROMOTED and wanted < Role.PROMOTED:
        _demote(cluster, resource, required=True)
        role = Role.UNPROMOTED
    if role > Role.STOPPED and wanted is Role.STOPPED:
        _stop(cluster, resource, required=True)
        return
    if role <= Role.STOPPED and wanted > Role.STOPPED and node is not None:
        _start(cluster, resource, node, required=True)
    if role is not Role.PROMOTED and wanted is Role.PROMOTED and node is not None:
        _promote(cluster, resource, node, required=True)


def _stop(cluster: Cluster, resource: Resource, *, required: bool) -> None:
    for node in resource.running:
        if resource.partial_target is node and resource.assigned is node:
            continue
        needed = required
        if resource.stop_unexpected and node is resource.assigned:
            continue
        action = make(cluster, resource, "stop", node, optional=not needed)
        if not resource.managed:
            action.runnable = False
            action.reason = "unmanaged"
        if needed and cluster.options.remove_after_stop:
            make(cluster, resource, "delete", node, optional=True)


def _start(cluster: Cluster, resource: Resource, node: Node, *, required: bool) -> None:
    start = make(cluster, resource, "start", node, optional=not required)
    if required and resource.stop_unexpected and node in resource.running:
        start.pseudo = True


def _promote(cluster: Cluster, resource: Resource, node: Node, *, required: bool) -> None:
    starts = resource.by_key.get(f"{resource.id}_start_0", [])
    make(cluster, resource, "promote", node, optional=not required)
    if any(not start.runnable and start.node is node for start in starts):
        for action in resource.by_key[f"{resource.id}_promote_0"]:
            action.runnable = False


def _demote(cluster: Cluster, resource: Resource, *, required: bool) -> None:
    for node in resource.running:
        make(cluster, resource, "demote", node, optional=not required)


def _reload(cluster: Cluster, resource: Resource) -> None:
    """Let the agent take over changed parameters in place, unless it stops anyway."""
    if not resource.reload or resource.failed or not resource.managed:
        return
    for node in resource.running:
        if resource.start_pending:
            make(cluster, resource, "stop", node, optional=False)
            continue
        reload = make(cluster, resource, "reload-agent", node, optional=False)
        for task in ("stop", "demote"):
            down = find(resource, task, node)
            if down is not None and down.node is node:
                order_actions(reload, down, int(R.ORDERED | R.THEN_CANCELS_FIRST))


# --- live migration ------------------------------------------------------------------------------


def may_migrate(cluster: Cluster, resource: Resource, current: Node) -> bool:
    """Return whether a resource may be moved while it runs (rule 11.5)."""
    return (
        resource.allow_migrate
        and resource.managed
        and not resource.failed
        and not resource.start_pending
        and current.online
        and not current.unclean
        and resource.assigned is not None
        and resource.assigned.usable
    )


def _migrate(cluster: Cluster, resource: Resource, current: Node) -> None:
    """Make a live migration: to and from around a start that nobody performs."""
    target = resource.assigned
    assert target is not None, "only what has a place is moved"
    start = make(cluster, resource, "start", target, optional=True)
    stop = make(cluster, resource, "stop", current, optional=True)
    if start.optional or not start.runnable:
        return
    start.migratable = start.pseudo = True
    stop.migratable = True
    half_way = resource.partial_target is not None
    flags = int(R.ORDERED | R.UNRUNNABLE_FIRST_BLOCKS)
    begun = int(R.ORDERED | R.FIRST_ELSE_THEN | R.UNMIGRATABLE_THEN_BLOCKS)
    arrive = make(cluster, resource, "migrate_from", target, optional=start.optional)
    arrive.migratable = True
    arrive.needs = start.needs
    _needed(arrive)
    arrive.meta = {"migrate_source": current.name, "migrate_target": target.name}
    if not half_way:
        leave = make(cluster, resource, "migrate_to", current, optional=start.optional)
        leave.migratable = True
        leave.meta = arrive.meta
        _needed(leave)
        _link_probes(resource, leave)
        order_actions(leave, arrive, flags | int(R.UNMIGRATABLE_THEN_BLOCKS))
    # Whatever else has to be stopped (the source of an earlier migration) rules this one out.
    for other in resource.by_key.get(f"{resource.id}_stop_0", []):
        order_actions(arrive, other, int(R.ORDERED | R.UNMIGRATABLE_THEN_BLOCKS))
    order_actions(arrive, start, begun)
    _unclean_source(cluster, current, stop)


def _needed(action: Action) -> None:
    action.optional = False


def _link_probes(resource: Resource, leave: Action) -> None:
    for probe in resource.by_key.get(f"{resource.id}_monitor_0", []):
        order_actions(probe, leave, int(R.ORDERED))


def _unclean_source(cluster: Cluster, current: Node, stop: Action) -> None:
    if current.unclean and cluster.fence_by_node.get(current.index) is not None:
        relate_actions(cluster, cluster.fence_by_node[current.index], stop, R.ORDERED)
