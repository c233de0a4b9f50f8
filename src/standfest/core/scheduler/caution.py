"""Caution stage: nothing is started that a node about which too little is known may be running.

Pacemaker takes a node whose controller is not there for empty where fencing is off. A node that is
heard again may have gone on alone, and a daemon may just be starting again: so the coordinator
marks such a node with the attribute AWAY until its daemon has joined and said what it runs. What
its history says it runs is then nobody's to touch; without any history it may run everything.
Without that attribute this stage does nothing; with fencing only for as long as the coordinator
waits for such a node: after that the node is fenced.
"""

from typing import Final

from standfest.core.scheduler.cluster import Cluster
from standfest.core.scheduler.entities import Node, Resource
from standfest.model.history import NodeRecord

AWAY: Final = "#away"
"""Transient attribute of a node that is heard, but whose cluster daemon does not take part."""

BRIEFLY: Final = "briefly"
"""Its value while the daemon may still come, so that the node need not be fenced; else `true`."""


def note_absence(cluster: Cluster) -> None:
    """Recognise the nodes that are marked; to be done when their states are read."""
    fencing = cluster.options.fencing
    # With fencing, who stays away for long is fenced before anything is recovered.
    marks = (BRIEFLY,) if fencing else (BRIEFLY, "true")
    for node in cluster.nodes:
        there = node.online and not fencing  # with fencing, `online` says only that it is heard
        if node.attributes.get(AWAY) in marks and not there:
            # As an administrator's maintenance: what runs there stays as it is, untouched.
            node.away = node.maintenance = node.online = True
            node.unclean, node.pending, node.reason = False, False, ""


def hold_back(cluster: Cluster) -> None:
    """Block starts that might make a second owner."""
    unknown = [node for node in cluster.nodes if node.away and not _history(node)]
    if unknown:
        for resource in cluster.resources:
            for leaf in resource.primitives():
                _hold(leaf, unknown)


def _history(node: Node) -> bool:
    return isinstance(node.record, NodeRecord) and bool(node.record.history)


def _hold(leaf: Resource, unknown: list[Node]) -> None:
    names = ", ".join(node.name for node in unknown)
    for action in leaf.actions:
        if action.task in _exclusive(leaf):
            action.block(f"it may run on {names}, which has not joined yet")


def _exclusive(leaf: Resource) -> tuple[str, ...]:
    """Return the tasks that would make an owner where there may be one already."""
    clone = leaf.clone
    if clone is not None and not clone.globally_unique:
        known = any(other.role > leaf.role for other in clone.primitives())
        return ("promote",) if clone.promotable and not known else ()
    return () if leaf.running else ("start", "migrate_to", "migrate_from")
