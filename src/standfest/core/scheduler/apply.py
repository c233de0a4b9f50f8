"""Runs a transition on paper: every executable action succeeds, and the status records it.

So a transition can be followed to its end, and a second run must find nothing left to do.
"""

from collections.abc import Container

from standfest.core.scheduler import digests, outcome
from standfest.core.scheduler.actions import Action
from standfest.core.scheduler.cluster import Cluster
from standfest.core.scheduler.entities import Node, Resource
from standfest.model.digests import digest
from standfest.model.history import Entry, NodeRecord, Recorded, ResourceRecord

_LATER = {"probe": 0, "stop": 1, "start": 2, "promote": 3, "monitor": 4}


def execute(cluster: Cluster, left_out: Container[int] = ()) -> None:
    """Write the results of all executable actions into `cluster.recorded`.

    left_out: ids of actions that are not reached, because something before them fails.
    """
    recorded = cluster.recorded
    assert recorded is not None, "unpack sets it"
    happening = [
        action
        for action in cluster.actions
        if outcome.happens(action) and action.id not in left_out
    ]
    calls = max(
        (e.call_id for n in recorded.nodes for r in n.history for e in r.entries), default=0
    )
    for action in happening:
        if action.task == "stonith" and action.node is not None and action.how in ("reboot", "off"):
            _fenced(recorded, action.node)
        elif action.task == "stonith" and action.node is not None:
            _record(recorded, action.node).transient["#node-unfenced"] = str(cluster.now)
    for action in sorted(happening, key=_turn):
        resource, node = action.resource, action.node
        if resource is None or node is None or action.pseudo or action.task == "stonith":
            continue
        record = _record(recorded, node)
        if action.task == "clear_failcount":
            _clear(record, resource)
        elif action.task == "delete":
            names = _names(resource, node)
            record.history = [r for r in record.history if r.id not in names]
        else:
            calls += 1
            _result(cluster, action, _resource(record, resource, node), calls)


def _turn(action: Action) -> tuple[int, int]:
    if action.task == "monitor":
        return (_LATER["monitor" if action.interval else "probe"], action.id)
    return (_LATER.get(action.task, 1), action.id)


def _record(recorded: Recorded, node: Node) -> NodeRecord:
    for record in recorded.nodes:
        if record.id == node.id or record.name == node.name:
            return record
    record = NodeRecord(node.id, node.name, {"id": node.id, "uname": node.name})
    recorded.nodes.append(record)
    return record


def _names(resource: Resource, node: Node) -> tuple[str, ...]:
    """Return the ids under which a resource's history on a node may stand, the likeliest first.

    An instance of an anonymous clone is the one that was found there, whatever its number was.
    """
    here = resource.history.get(node.index)
    own = (resource.history_id, resource.id)
    return (here.id, *own) if here is not None else own


def _resource(record: NodeRecord, resource: Resource, node: Node) -> ResourceRecord:
    for name in _names(resource, node):
        for known in record.history:
            if known.id == name:
                return known
    made = ResourceRecord(resource.history_id, resource.agent)
    record.history.append(made)
    return made


def _fenced(recorded: Recorded, node: Node) -> None:
    record = _record(recorded, node)
    gone = {"in_ccm": "false", "crmd": "offline", "join": "down", "expected": "down"}
    if node.is_remote:
        gone = {"node_fenced": "1"}
    record.attributes = {"id": node.id, "uname": node.name} | gone
    record.history = []
    record.transient = {}


def _clear(record: NodeRecord, resource: Resource) -> None:
    for name in [n for n in record.transient if n.startswith(("fail-count-", "last-failure-"))]:
        if _means(resource, name.split("-", 2)[2].partition("#")[0]):
            del record.transient[name]
    for known in record.history:
        if _means(resource, known.id):
            known.entries = [e for e in known.entries if not e.failed]


def _means(resource: Resource, name: str) -> bool:
    """Return whether an id is the resource's; numbers do not count in an anonymous clone."""
    if name in (resource.history_id, resource.base):
        return True
    anonymous = resource.clone is not None and not resource.globally_unique
    return anonymous and name.rpartition(":")[0] == resource.base


def _result(cluster: Cluster, action: Action, record: ResourceRecord, call: int) -> None:
    resource = action.resource
    assert resource is not None, "checked by the caller"
    task = action.meta.get("task", "monitor") if action.task == "cancel" else action.task
    if task == "reload-agent":
        task = "start"  # what runs now runs with these parameters, as if started with them
    same = {(e.task, e.interval) for e in record.entries}
    record.entries = [e for e in record.entries if (e.task, e.interval) != (task, action.interval)]
    if action.task == "cancel":
        return
    if task == "stop":
        record.entries = []
    elif task in ("start", "promote", "demote") and same:
        record.entries = [e for e in record.entries if e.task != "stop" and not e.failed]
    expected = action.expected if action.expected is not None else 0
    entry = Entry(task, action.interval, expected, 0)
    entry.expected = expected
    entry.call_id = call
    entry.id = action.key
    entry.key = action.key
    entry.last_change = entry.last_run = cluster.now
    entry.migrate_source = action.meta.get("migrate_source", "")
    entry.migrate_target = action.meta.get("migrate_target", "")
    assert action.node is not None, "checked by the caller"
    parameters = digests.parameters_of(cluster, resource, action.node, action.config)
    if action.interval and action.config is not None:
        parameters["CRM_meta_timeout"] = str(action.config.timeout)
    entry.digest = digest(parameters)
    record.entries.append(entry)
    record.agent = resource.agent
