"""Fence stage: nodes to be fenced or shut down, and what that means for actions there.

Source: facts/formats/SCHEDULER-SPEC.md sections 10.2 to 10.4.
"""

import itertools

from standfest.core.scheduler import failures, values
from standfest.core.scheduler.actions import Action, order_actions
from standfest.core.scheduler.cluster import Cluster, Relation
from standfest.core.scheduler.entities import Kind, Need, Node, Resource, Role

R = Relation


def decide(cluster: Cluster) -> None:
    """Mark the nodes that must be fenced for a reason of the whole cluster."""
    options = cluster.options
    if (
        not cluster.quorate
        and options.fencing
        and options.no_quorum_policy in ("suicide", "fence")
        and cluster.no_quorum_panic
    ):
        for node in cluster.nodes:
            if node.online and not node.is_remote and not node.is_guest:
                failures.mark_unclean(cluster, node, "cluster does not have quorum")


def fence(cluster: Cluster) -> None:
    """Make fencing and shutdown actions, ordered among each other and with everything else."""
    fences: list[Action] = []
    leaves = [leaf for resource in cluster.resources for leaf in resource.primitives()]
    for node in cluster.nodes:
        if node.is_guest:
            if node.unclean:
                _guest(cluster, node, leaves)
            continue
        if node.unclean and _fencible(cluster, node):
            action = _fencing(cluster, node)
            fences.append(action)
    for action in fences:
        assert action.node is not None, "a node is fenced"
        _imply(cluster, leaves, action.node, action)
    for action in fences:
        _before_starts(leaves, action)
    if cluster.have_unfencing:
        _unfence(cluster, leaves)
    _last(cluster, fences, leaves)
    for node in cluster.nodes:
        member = not node.is_remote and not node.is_guest
        if member and node.online and node.shutdown and not node.unclean:
            _shutdown(cluster, node, leaves, fences)


def _unfence(cluster: Cluster, leaves: list[Resource]) -> None:
    """Open the way for nodes that a device has to let in first (rule 10.2 g)."""
    for node in cluster.nodes:
        done = values.integer(node.attributes.get("#node-unfenced"), 0)
        if not node.usable or node.is_guest or node.is_remote or done:
            continue
        action = Action(len(cluster.actions), None, "stonith", f"stonith-{node.name}-on", node)
        action.how = "on"
        action.optional = False
        cluster.actions.append(action)
        for leaf in leaves:
            if leaf.fence_device or leaf.needs is not Need.UNFENCING:
                continue
            for other in leaf.actions:
                if other.node is node and other.task in ("start", "migrate_from"):
                    order_actions(action, other, int(R.ORDERED | R.UNRUNNABLE_FIRST_BLOCKS))


def _fencible(cluster: Cluster, node: Node) -> bool:
    reset = node.connection is not None and node.remote_requires_reset
    if node.is_remote and not reset and not (node.unclean and node.unpacked):
        return False
    return failures.can_fence(cluster, node)


def _fencing(cluster: Cluster, node: Node, how: str = "") -> Action:
    how = how or cluster.options.fencing_action
    action = Action(len(cluster.actions), None, "stonith", f"stonith-{node.name}-{how}", node)
    action.how = how
    action.optional = False
    action.reason = node.reason
    cluster.actions.append(action)
    cluster.fence_by_node[node.index] = action
    return action


def _imply(cluster: Cluster, leaves: list[Resource], node: Node, action: Action) -> None:
    """Let fencing stop and demote what is on a node: nobody else can, or needs to."""
    for leaf in leaves:
        if node not in leaf.running:
            continue
        for other in leaf.actions:
            if other.node is not node or other.task not in ("stop", "demote"):
                continue
            if other.optional and other.task == "stop" and (node.online or not leaf.managed):
                continue
            if not leaf.managed and other.optional:
                continue
            other.pseudo = True
            other.runnable = True
            other.implied = True
            other.reason = f"{node.name} is fenced"
            if leaf.needs >= Need.FENCING or other.task == "stop":
                order_actions(action, other, int(R.ORDERED | R.UNRUNNABLE_FIRST_BLOCKS))


def _before_starts(leaves: list[Resource], action: Action) -> None:
    """Start what requires fencing only when all of it is done (rule 10.2 c)."""
    node = action.node
    assert node is not None, "a node is fenced"
    for leaf in leaves:
        for other in leaf.actions:
            if other.needs is Need.NOTHING or other.node is None:
                continue
            if other.task not in ("start", "promote"):
                continue
            if other.needs >= Need.FENCING or (
                node.index not in leaf.known_on and other.task == "start" and node.unclean
            ):
                order_actions(action, other, int(R.ORDERED | R.UNRUNNABLE_FIRST_BLOCKS))


def _guest(cluster: Cluster, node: Node, leaves: list[Resource]) -> None:
    """Fence a guest: a milestone, since stopping its container does it."""
    connection = node.connection
    container = connection.container if connection is not None else None
    action = _fencing(cluster, node)
    action.pseudo = True
    if container is not None:
        for stop in container.by_key.get(f"{container.id}_stop_0", ()):
            order_actions(stop, action, int(R.ORDERED | R.UNRUNNABLE_FIRST_BLOCKS))
    _imply(cluster, leaves, node, action)


def _last(cluster: Cluster, fences: list[Action], leaves: list[Resource]) -> None:
    """Fence the coordinator after all others; one after the other if so configured."""
    dc = cluster.dc
    if dc is not None and dc.index in cluster.fence_by_node:
        last = cluster.fence_by_node[dc.index]
        for other in fences:
            if other is not last:
                order_actions(other, last, int(R.ORDERED))
        fences = [f for f in fences if f is not last] + [last]
    if not cluster.options.concurrent_fencing:
        for earlier, later in itertools.pairwise(fences):
            order_actions(earlier, later, int(R.ORDERED))


def _shutdown(cluster: Cluster, node: Node, leaves: list[Resource], fences: list[Action]) -> None:
    action = Action(len(cluster.actions), None, "do_shutdown", f"do_shutdown-{node.name}", node)
    action.optional = False
    cluster.actions.append(action)
    for leaf in leaves:
        for other in leaf.actions:
            wanted = other.task == "stop" and other.node is node and not other.optional
            if wanted and leaf.managed and not leaf.blocked:
                order_actions(other, action, int(R.ORDERED | R.UNRUNNABLE_FIRST_BLOCKS))
    if node is cluster.dc:
        for other in cluster.actions:
            if other.task == "do_shutdown" and other is not action:
                order_actions(other, action, int(R.ORDERED))
        for other in fences:
            order_actions(other, action, int(R.ORDERED))


def settle_unfenced(cluster: Cluster) -> None:
    """Block everything on unclean nodes that cannot be fenced."""
    for action in cluster.actions:
        node = action.node
        if node is None or action.pseudo or action.resource is None:
            continue
        if action.resource.kind is not Kind.PRIMITIVE:
            continue
        if node.unclean and not node.online and action.task in ("stop", "demote"):
            action.runnable = False
        elif node.unclean and action.task in ("start", "promote", "migrate_to", "migrate_from"):
            action.runnable = action.runnable and action.resource.role is not Role.UNKNOWN
