"""Why something happens to a resource, in a few words: the nearest reason that is known."""

from dataclasses import replace

from standfest.core.scheduler import outcome
from standfest.core.scheduler.actions import Action
from standfest.core.scheduler.cluster import Cluster
from standfest.core.scheduler.entities import Node, Resource, Role
from standfest.core.scheduler.outcome import Event

_LEAVING = ("stop", "move", "migrate", "restart", "recover", "demote")


def events(cluster: Cluster) -> list[Event]:
    """Return what happens, each with a reason where one is known."""
    leaves: dict[str, list[Resource]] = {}
    for leaf in outcome.leaves_of(cluster):
        leaves.setdefault(outcome.label(leaf), []).append(leaf)
    return [_with_reason(cluster, leaves, event) for event in outcome.events(cluster)]


def _with_reason(cluster: Cluster, leaves: dict[str, list[Resource]], event: Event) -> Event:
    if event.reason or not event.resource or event.op not in _LEAVING:
        return event
    node = cluster.node_by_name.get(event.source or event.node)
    if node is None:
        return event
    for leaf in leaves.get(event.resource, ()):
        if node in leaf.running:
            return replace(event, reason=_reason(cluster, leaf, node, event))
    return event


def _reason(cluster: Cluster, leaf: Resource, node: Node, event: Event) -> str:
    for state, word in (
        (node.unclean, "must be fenced"),
        (node.shutdown, "is shutting down"),
        (node.standby, "is in standby"),
        (not node.online, "is offline"),
    ):
        if state:
            return f"{node.name} {word}"
    if event.op == "recover":
        return "it has failed"
    if cluster.options.stop_all:
        return "stop-all-resources"
    if leaf.removed:
        return "it is no longer configured"
    if event.op in ("stop", "demote") and leaf.target_role in (Role.STOPPED, Role.UNPROMOTED):
        return "target-role"
    if len(leaf.running) > 1:
        return "it runs more than once"
    return _from_actions(leaf.actions, node) or _better(leaf, node, event)


def _from_actions(actions: list[Action], node: Node) -> str:
    tasks = ("stop", "demote")
    return next((a.reason for a in actions if a.task in tasks and a.node is node and a.reason), "")


def _better(leaf: Resource, node: Node, event: Event) -> str:
    if event.target and event.target != node.name and leaf.assigned is not None:
        here, there = leaf.allowed[node.index], leaf.allowed[leaf.assigned.index]
        if here < there:
            return f"{event.target} has the better score"
    if leaf.assigned is None and leaf.allowed[node.index] < 0:
        return "no node is left for it"
    return ""
