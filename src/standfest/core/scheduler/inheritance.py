"""Whether an instance that starts inherits from a node that was lost while it ran there.

Then nobody gave it up in good order, and an agent may have to clear up what the lost one held: a
shared address resets the connections of its new bucket, which nobody knows any more.
"""

from standfest.core.scheduler.cluster import Cluster
from standfest.core.scheduler.entities import Resource
from standfest.core.scheduler.entries import may_be_active
from standfest.model.history import ResourceRecord


def lost_on(cluster: Cluster, resource: Resource) -> str:
    """Return the node that was lost with it, if that was where it ran last; "" if there is none.

    What is only looked for on a node (a probe) says nothing about who had it.
    """
    recorded = cluster.recorded
    if recorded is None or any(node.online for node in resource.running):
        return ""
    last, lost = (0, 0), ""
    for record in recorded.nodes:
        node = cluster.node_by_id.get(record.id) or cluster.node_by_name.get(record.name)
        for history in record.history:
            changed = _changed(history) if history.id == resource.history_id else (0, 0)
            if node is not None and changed > last:
                gone = not node.online and not node.away and may_be_active(history)
                last, lost = changed, node.name if gone else ""
    return lost


def _changed(history: ResourceRecord) -> tuple[int, int]:
    """Return when it last ran or ceased to here, in seconds since 1970; 0: it never did.

    In one second, a stop comes before a start on another node.
    """
    tasks = ("stop", "start")
    times = [
        (entry.last_change, tasks.index(entry.task))
        for entry in history.entries
        if entry.task in tasks
    ]
    return max(times, default=(0, 0))
