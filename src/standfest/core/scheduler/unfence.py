"""Fence stage: nodes that a device has to let in before resources may use what it guards.

Source: facts/formats/SCHEDULER-SPEC.md row 10.2 g; crm_simulate 2.1.5.
"""

from standfest.core.scheduler import values
from standfest.core.scheduler.actions import Action, order_actions
from standfest.core.scheduler.cluster import Cluster, Relation
from standfest.core.scheduler.entities import Need, Node, Resource

R = Relation


def unfence(cluster: Cluster, leaves: list[Resource]) -> None:
    """Open the way for nodes, once each, and again when a device is not what it was."""
    openings: dict[int, Action] = {}
    for leaf in leaves:
        if not (leaf.fence_device or leaf.needs is Need.UNFENCING):
            continue
        for action in list(leaf.actions):
            node = action.node
            if node is None:
                continue
            probe = action.task == "monitor" and not action.interval
            if action.task == "start" or probe:
                opening = _opening(cluster, openings, node)
                flags = R.ORDERED if probe else R.ORDERED | R.FIRST_IMPLIES_THEN
                order_actions(opening, action, int(flags))
                if not _is_open(node):
                    _require(opening, node, f"required by {leaf.id} {action.task}")
            elif action.task == "stop" and leaf.needs is Need.UNFENCING:
                # What runs meanwhile would lose its access.
                opening = _opening(cluster, openings, node)
                order_actions(action, opening, int(R.ORDERED | R.THEN_IMPLIES_FIRST))
    for leaf in leaves:
        for node in leaf.running if leaf.fence_device and leaf.changed else ():
            opening = _opening(cluster, openings, node)
            _require(opening, node, f"definition of {leaf.id} changed")


def _is_open(node: Node) -> bool:
    return values.integer(node.attributes.get("#node-unfenced"), 0) > 0


def _opening(cluster: Cluster, openings: dict[int, Action], node: Node) -> Action:
    """Return the action that lets a node in; nothing needs it so far if it has just been made."""
    action = openings.get(node.index)
    if action is None:
        action = Action(len(cluster.actions), None, "stonith", f"stonith-{node.name}-on", node)
        action.how = "on"
        cluster.actions.append(action)
        openings[node.index] = action
    return action


def _require(opening: Action, node: Node, reason: str) -> None:
    if node.online and not node.unclean and not node.shutdown:
        opening.optional = False
        opening.reason = opening.reason or reason
