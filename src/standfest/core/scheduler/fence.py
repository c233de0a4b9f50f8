"""Fence stage: nodes to be fenced or shut down, and what that means for actions there.

Source: facts/formats/SCHEDULER-SPEC.md sections 10.2 to 10.4.
"""

import itertools

from standfest.core.scheduler import failures, unfence
from standfest.core.scheduler.actions import Action, find, order_actions
from standfest.core.scheduler.cluster import Cluster, Relation
from standfest.core.scheduler.entities import Need, Node, Resource

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
    leaves = [leaf for resource in cluster.resources for leaf in resource.primitives()]
    # With nothing to be recovered nothing is gained by fencing; nodes may leave all the same.
    unclean = cluster.nodes if any(leaf.managed for leaf in leaves) else []
    fences = [
        _fencing(cluster, node)
        for node in unclean
        if node.unclean and not node.is_guest and failures.can_fence(cluster, node)
    ]
    for action in fences:
        assert action.node is not None, "a node is fenced"
        _imply(cluster, leaves, action.node, action)
    guests = []
    for node in unclean:
        if node.is_guest and node.remote_requires_reset and failures.can_fence(cluster, node):
            made = _guest(cluster, node)
            if made is not None:
                guests.append(made)
                _imply(cluster, leaves, node, made)
    for action in (*fences, *guests):
        _before_starts(leaves, action)
    _clear_later(cluster, leaves)
    if cluster.have_unfencing and cluster.options.fencing:
        unfence.unfence(cluster, leaves)
    _last(cluster, fences, leaves)
    for node in cluster.nodes:
        member = not node.is_remote and not node.is_guest
        if member and node.online and node.shutdown and not (node.unclean and unclean):
            _shutdown(cluster, node, leaves, fences)


def _clear_later(cluster: Cluster, leaves: list[Resource]) -> None:
    """Forget that a connection failed only when the node behind it is fenced."""
    for leaf in leaves:
        behind = leaf.remote_node
        action = cluster.fence_by_node.get(behind.index) if behind is not None else None
        if action is not None and leaf.reconnect_interval:
            for clearing in leaf.by_key.get(f"{leaf.id}_clear_failcount_0", ()):
                order_actions(action, clearing, int(R.ORDERED))


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
            if other.task == "demote" and node.online and not node.unclean and not leaf.failed:
                continue
            other.pseudo = True
            other.runnable = True
            other.implied = True
            other.reason = f"{node.name} is fenced"
            _after_fencing(leaf, other, action, node)


def _after_fencing(leaf: Resource, implied: Action, action: Action, node: Node) -> None:
    """Count as stopped only when the node is fenced; a guest's end is its container's stop."""
    if leaf.needs < Need.FENCING and not node.is_guest:
        return
    if leaf.home is None:
        order_actions(action, implied, int(R.ORDERED | R.UNRUNNABLE_FIRST_BLOCKS))
    if leaf.parent is not None and implied.task == "stop":
        # What is inside a bundle has the stop of the whole ordered instead: no loop that way.
        above = find(leaf.top, "stop")
        if above is not None:
            order_actions(action, above, int(R.ORDERED))


def _before_starts(leaves: list[Resource], action: Action) -> None:
    """Start what requires fencing only when all of it is done (rule 10.2 c)."""
    node = action.node
    assert node is not None, "a node is fenced"
    # What is in a bundle starts with its containers, which fencing its guests waits for.
    lost = node.unclean or (node.is_guest and not node.in_bundle)
    for leaf in leaves:
        for other in leaf.actions:
            if other.needs is Need.NOTHING or other.node is None:
                continue
            if other.task not in ("start", "promote"):
                continue
            if other.needs >= Need.FENCING or (
                node.index not in leaf.known_on and other.task == "start" and lost
            ):
                order_actions(action, other, int(R.ORDERED | R.UNRUNNABLE_FIRST_BLOCKS))


def _guest(cluster: Cluster, node: Node) -> Action | None:
    """Fence a guest: a milestone, since stopping its container does it."""
    connection = node.connection
    container = connection.container if connection is not None else None
    if connection is None or container is None:
        return None
    starts = container.by_key.get(f"{container.id}_start_0", ())
    stop = find(container, "stop")
    action = _fencing(cluster, node, "reboot" if starts else "off")
    action.pseudo = True
    flags = int(R.ORDERED | R.UNRUNNABLE_FIRST_BLOCKS | R.FIRST_IMPLIES_THEN)
    if stop is not None and stop.pseudo and stop.node is not None:
        # Its host is fenced, and the guest with it.
        host = cluster.fence_by_node.get(stop.node.index)
        if host is not None:
            order_actions(host, action, flags)
    elif stop is not None:
        order_actions(stop, action, flags)
    else:
        # Known to be down; what is known may have been cleaned, so look first.
        for ending in connection.by_key.get(f"{connection.id}_stop_0", ()):
            order_actions(ending, action, int(R.ORDERED))
    return action


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
