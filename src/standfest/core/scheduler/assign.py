"""Allocate stage: where each resource goes.

Source: facts/formats/SCHEDULER-SPEC.md sections 2, 4, 5 and 11.8.
"""

from standfest.core.scheduler import colocate, instances, remotes, utilization, wishes
from standfest.core.scheduler.cluster import Cluster
from standfest.core.scheduler.entities import Kind, Node, Resource, Role
from standfest.core.scheduler.ledger import Cause
from standfest.core.scheduler.running import current_node
from standfest.model.scores import INFINITY


def allocate(cluster: Cluster) -> None:
    """Assign every resource to a node, or to none: connections first, then by priority."""
    order = sorted(cluster.resources, key=lambda resource: -resource.priority)
    if cluster.options.placement != "default":
        order = utilization.assignment_order(cluster)
    cluster.assignment_order = order
    if cluster.have_remote:
        for resource in order:
            own = resource.remote_node is not None and resource.kind is Kind.PRIMITIVE
            if own and resource.id not in cluster.hidden:
                assign(cluster, resource, resource.partial_target)
    for resource in order:
        assign(cluster, resource, None)


def assign(
    cluster: Cluster, resource: Resource, prefer: Node | None, *, stop_if_fail: bool = True
) -> Node | None:
    """Return the node that a resource is assigned to; decides it if it has not been decided."""
    match resource.kind:
        case Kind.PRIMITIVE:
            return _primitive(cluster, resource, prefer, stop_if_fail)
        case Kind.GROUP:
            return _group(cluster, resource, prefer, stop_if_fail)
        case Kind.CLONE | Kind.BUNDLE:
            instances.assign_clone(cluster, resource)
            return None


def _group(
    cluster: Cluster, group: Resource, prefer: Node | None, stop_if_fail: bool
) -> Node | None:
    if not group.unassigned or group.assigning:
        return group.assigned
    if group.parent is not None and not group.parent.assigning:
        assign(cluster, group.parent, None)
        return group.assigned
    group.assigning = True
    first: Node | None = None
    if group.collocated:
        _heed_members(cluster, group)
    for member in group.children:
        node = assign(cluster, member, prefer, stop_if_fail=stop_if_fail)
        first = first or node
    group.next_role = max((m.next_role for m in group.children), default=Role.STOPPED)
    group.assigning = False
    group.unassigned = False
    group.assigned = first
    return first


def _heed_members(cluster: Cluster, group: Resource) -> None:
    """Let the first member know where later ones must be: where their primaries are."""
    for member in group.children[1:]:
        for colocation in member.this_with:
            if colocation.score < INFINITY or colocation.primary.parent is group:
                continue
            assign(cluster, colocation.primary, None)
            colocate.apply(cluster, colocation, member, colocation.primary)


def _primitive(
    cluster: Cluster, resource: Resource, prefer: Node | None, stop_if_fail: bool
) -> Node | None:
    parent = resource.parent
    if parent is not None and not parent.assigning and parent.unassigned:
        assign(cluster, parent, prefer, stop_if_fail=stop_if_fail)
        if not resource.unassigned:
            return resource.assigned
    if not resource.unassigned or resource.assigning:
        return resource.assigned
    resource.assigning = True
    cluster.note(resource, Cause.OTHER)
    _colocated(cluster, resource)
    cluster.note(resource, Cause.OTHER)
    if resource.next_role is Role.STOPPED:
        resource.allowed = [-INFINITY] * len(resource.allowed)
        cluster.note(resource, Cause.STOPPED)
    elif (
        resource.next_role > resource.role
        and not cluster.quorate
        and cluster.options.no_quorum_policy == "freeze"
    ):
        resource.next_role = resource.role
    if (
        cluster.options.fencing
        and not cluster.have_fence_device
        and not cluster.options.watchdog_timeout
    ):
        resource.managed = False
    if not resource.managed:
        current = resource.running[0] if resource.running else None
        resource.next_role = resource.role
        place(cluster, resource, current, force=True, stop_if_fail=True)
    elif cluster.options.stop_all:
        place(cluster, resource, None, force=True, stop_if_fail=True)
    else:
        _best(cluster, resource, prefer, stop_if_fail)
    remotes.reach(resource)
    resource.assigning = False
    return resource.assigned


def _colocated(cluster: Cluster, resource: Resource) -> None:
    """Assign what the resource goes with, and hear who goes with it: mandatory ones first.

    So what is only wished for is judged by the nodes that are really left (rule 4.5).
    """
    with_others = colocate.colocations_of(resource)
    tie = remotes.nested(resource) if resource.container is not None else None
    heard = bool(resource.with_this) or resource.parent is not None
    for mandatory in (True, False):
        for colocation in with_others:
            if (abs(colocation.score) >= INFINITY) == mandatory:
                primary = colocation.primary
                assign(cluster, primary, None)
                colocate.apply(cluster, colocation, resource, primary)
        if tie is not None and mandatory:
            colocate.apply(cluster, tie, resource, tie.primary)
        if heard:
            wishes.add_wishes(cluster, resource, mandatory=mandatory)


def sorted_nodes(cluster: Cluster, resource: Resource) -> list[tuple[int, Node]]:
    """Return (score, node), best first (rule 2.7); unusable nodes count as -INFINITY."""
    strategy = cluster.options.placement
    active = current_node(resource)
    if strategy == "balanced":
        return utilization.sorted_by_capacity(cluster, resource, active)
    counted = strategy != "minimal"
    found = []
    for score, node in zip(resource.allowed, cluster.nodes, strict=True):
        weight = score if node.usable else -INFINITY
        # Packing heeds neither how full a node is nor where the resource is.
        fullness, elsewhere = (node.count, node is not active) if counted else (0, False)
        key = (-weight, fullness, elsewhere, node.index)
        found.append((key, weight, node))
    found.sort(key=_key)
    return [(weight, node) for _, weight, node in found]


def _key(item: tuple[tuple[int, int, bool, int], int, Node]) -> tuple[int, int, bool, int]:
    return item[0]


def _best(cluster: Cluster, resource: Resource, prefer: Node | None, stop_if_fail: bool) -> None:
    if cluster.options.placement != "default":
        prefer = utilization.ban_insufficient(cluster, resource) or prefer
        cluster.note(resource, Cause.CAPACITY)
    if cluster.options.placement == "default" and prefer is None:
        score, chosen = _quick(cluster, resource)
        if chosen is None:
            place(cluster, resource, None, force=False, stop_if_fail=stop_if_fail)
            return
    else:
        order = sorted_nodes(cluster, resource)
        if not order:
            place(cluster, resource, None, force=False, stop_if_fail=stop_if_fail)
            return
        score, chosen = order[0]
        if prefer is not None:
            wanted = resource.allowed[prefer.index]
            if wanted >= score and wanted >= 0 and prefer.usable:
                place(cluster, resource, prefer, force=False, stop_if_fail=stop_if_fail)
                return
    unique = resource.clone is not None and resource.clone.globally_unique
    if score > 0 and not unique and resource.running and chosen.usable:
        current = current_node(resource) or chosen
        if current is not chosen and current.usable and resource.allowed[current.index] == score:
            chosen = current
    place(cluster, resource, chosen, force=False, stop_if_fail=stop_if_fail)


def _quick(cluster: Cluster, resource: Resource) -> tuple[int, Node | None]:
    """Return the best score and node without sorting all of them."""
    active = current_node(resource)
    best: Node | None = None
    weight = 0
    for score, node in zip(resource.allowed, cluster.nodes, strict=True):
        if score < 0 or (best is not None and score < weight) or not node.usable:
            continue
        if (
            best is None
            or score > weight
            or node.count < best.count
            or (node.count == best.count and node is active)
        ):
            best, weight = node, score
    return weight, best


def place(
    cluster: Cluster,
    resource: Resource,
    node: Node | None,
    *,
    force: bool,
    stop_if_fail: bool,
) -> bool:
    """Assign a primitive to a node, or to none; a node that will not do counts as none."""
    if node is not None and not force and (resource.allowed[node.index] < 0 or not node.usable):
        node = None
        if stop_if_fail:
            resource.next_role = Role.STOPPED
    before = resource.assigned
    release(cluster, resource)
    resource.unassigned = False
    if node is None:
        if not stop_if_fail:
            resource.unassigned = True
            return before is not None
        resource.next_role = Role.STOPPED
        for action in resource.actions:
            if action.task == "stop":
                action.optional = False
            elif action.task in ("start", "promote") or (
                action.task == "monitor" and action.interval and action.expected != 7
            ):
                action.runnable = False
        return before is not None
    resource.assigned = node
    node.count += 1
    utilization.consume(resource, node)
    return before is not node


def release(cluster: Cluster, resource: Resource) -> None:
    """Undo an assignment."""
    node = resource.assigned
    resource.unassigned = True
    if node is None:
        return
    resource.assigned = None
    node.count -= 1
    utilization.give_back(resource, node)


def unplace(cluster: Cluster, resource: Resource) -> None:
    """Leave a resource, all of a group, without a node for good."""
    if resource.children:
        for child in resource.children:
            unplace(cluster, child)
        resource.unassigned = False
        resource.assigned = None
        resource.next_role = Role.STOPPED
        return
    place(cluster, resource, None, force=True, stop_if_fail=True)
