"""Order stage: clones with notify=true tell their instances what is about to happen, and has.

Around every task: pre_notify, told to all active instances; the task; post_notify, told to all
that are active then. Source: facts/formats/SCHEDULER-SPEC.md row 6.14, RA-API.md section 4.
"""

from standfest.core.scheduler.actions import Action, find, order_actions, pseudo
from standfest.core.scheduler.cluster import Cluster, Relation
from standfest.core.scheduler.entities import Kind, Node, Resource, Role

_TASKS = (
    ("demote", "demoted"),
    ("stop", "stopped"),
    ("start", "running"),
    ("promote", "promoted"),
)
_ORDERED = int(Relation.ORDERED)


def notify(cluster: Cluster) -> None:
    """Make the notifications of all clones; done when it is settled what happens."""
    for resource in cluster.resources:
        if resource.kind is Kind.CLONE and resource.notify:
            for task, done in _TASKS:
                _around(cluster, resource, task, done)


def _happens(leaf: Resource, task: str) -> list[Node]:
    return [
        action.node
        for action in leaf.by_key.get(f"{leaf.id}_{task}_0", ())
        if not action.optional and action.runnable and action.node is not None
    ]


def _around(cluster: Cluster, clone: Resource, task: str, done: str) -> None:
    leaves = clone.primitives()
    if not any(_happens(leaf, task) for leaf in leaves):
        return
    begun, ended = find(clone, task), find(clone, done)
    if begun is None or ended is None:
        return
    before = pseudo(cluster, clone, f"pre_notify_{task}", optional=False)
    told = pseudo(cluster, clone, f"confirmed-pre_notify_{task}", optional=False)
    after = pseudo(cluster, clone, f"post_notify_{done}", optional=False)
    heard = pseudo(cluster, clone, f"confirmed-post_notify_{done}", optional=False)
    for first, then in (
        (before, told),
        (told, begun),
        (told, after),
        (ended, after),
        (after, heard),
    ):
        order_actions(first, then, _ORDERED)
    for leaf in leaves:
        stopping, starting = _happens(leaf, "stop"), _happens(leaf, "start")
        if leaf.role > Role.STOPPED:
            for node in leaf.running:
                if node.online and not node.unclean:
                    _tell(cluster, leaf, node, (f"pre_notify_{task}", before, told))
        later = [node for node in leaf.running if node not in stopping]
        for node in (*later, *starting):
            if node.online and not node.unclean:
                _tell(cluster, leaf, node, (f"post_notify_{task}", after, heard))
    for link in list(ended.after):
        other = link.action.resource
        if other is not clone and (other is None or other.clone is not clone):
            order_actions(heard, link.action, _ORDERED)


def _tell(cluster: Cluster, leaf: Resource, node: Node, what: tuple[str, Action, Action]) -> None:
    task, first, last = what
    key = f"{leaf.id}_{task}_0"
    action = cluster.keyed.get((key, node.name))
    if action is None:
        action = Action(len(cluster.actions), leaf, "notify", key, node)
        action.optional = False
        cluster.actions.append(action)
        cluster.keyed[key, node.name] = action
    order_actions(first, action, _ORDERED)
    order_actions(action, last, _ORDERED)
