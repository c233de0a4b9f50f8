"""Graph stage: what was decided as a transition graph that `core.transition` can run.

Only what happens is in it. What nobody can perform yet (on remote and guest nodes) is in it, too,
but marked as not runnable: whatever waits for it is never begun.
Source: facts/formats/SCHEDULER-SPEC.md section 12, RA-API.md section 4.
"""

from collections.abc import Iterable

from standfest.core.scheduler.actions import Action
from standfest.core.scheduler.cluster import Cluster, Relation
from standfest.core.scheduler.entities import Kind, Node, Resource, Role
from standfest.core.scheduler.flags import BEGUN, group_flags
from standfest.core.scheduler.inheritance import lost_on
from standfest.core.scheduler.operations import operation
from standfest.core.scheduler.outcome import happens
from standfest.core.scheduler.resources import Reader
from standfest.model.graph import Action as Vertex
from standfest.model.graph import ActionKind, Graph
from standfest.model.operations import Operation

CLUSTER_TASKS = {"delete": "lrm_delete", "clear_failcount": "clear_failcount"}
_TASKS = ("start", "stop", "promote", "demote")
_AWAY = "the node's cluster daemon does not take part"
_NO_REMOTE = "remote and guest nodes are not driven by this cluster yet"


def graph(cluster: Cluster, reader: Reader) -> Graph:
    """Return the transition; ids are the engine's and ascend, inputs are in the graph."""
    return _Builder(cluster, reader).build()


class _Builder:
    def __init__(self, cluster: Cluster, reader: Reader) -> None:
        self._cluster = cluster
        self._reader = reader
        # When a node may leave is the coordinator's to say: it looks again before it lets go.
        self._chosen = {
            action.id: action
            for action in cluster.actions
            if happens(action) and action.task != "do_shutdown"
        }

    def build(self) -> Graph:
        return Graph(tuple(self._vertex(action) for action in self._chosen.values()))

    def _vertex(self, action: Action) -> Vertex:
        name = action.resource.history_id if action.resource is not None else ""
        kind, why = self._kind(action)
        return Vertex(
            id=action.id,
            kind=kind,
            task=CLUSTER_TASKS.get(action.task, action.task),
            key=action.key,
            node=action.node.name if action.node is not None else "",
            resource=name,
            operation=self._operation(action) if kind is ActionKind.RESOURCE else None,
            inputs=self._inputs(action),
            runnable=not why,
            reason=why or action.reason,
            how=action.how if kind is ActionKind.FENCE else "",
        )

    def _kind(self, action: Action) -> tuple[ActionKind, str]:
        """Return who performs the action, and why nobody can."""
        if action.task == "stonith" and not action.pseudo:
            remote = action.node is not None and (action.node.is_remote or action.node.is_guest)
            return ActionKind.FENCE, _NO_REMOTE if remote else ""
        if action.pseudo or action.implied or action.node is None:
            return ActionKind.PSEUDO, _never_reached(action)
        if action.task in CLUSTER_TASKS:
            return ActionKind.CLUSTER, _AWAY if action.node.away else ""
        if action.resource is None:
            return ActionKind.PSEUDO, ""
        if action.node.away:
            return ActionKind.RESOURCE, _AWAY
        remote = action.node.is_remote or action.node.is_guest
        return ActionKind.RESOURCE, _NO_REMOTE if remote else ""

    def _inputs(self, action: Action) -> tuple[int, ...]:
        found = set()
        for link in action.before:
            other = link.action
            if other.id not in self._chosen or not link.flags:
                continue
            apart = other.node is not None and action.node not in (None, other.node)
            if link.flags & Relation.IF_ON_SAME_NODE and apart:
                continue
            found.add(other.id)
        return tuple(sorted(found))

    # --- operations -----------------------------------------------------------------------------

    def _operation(self, action: Action) -> Operation:
        told: dict[str, str] = {
            name: value for name, value in action.meta.items() if name.startswith("migrate_")
        }
        resource = action.resource
        assert resource is not None, "an agent's action is on a resource"
        if resource.clone is not None and resource.notify and action.task in ("notify", *_TASKS):
            told |= self._lists(resource)
        if action.task == "notify":
            told |= _occasion(action)
        if action.task == "start" and resource.globally_unique:
            lost = lost_on(self._cluster, resource)
            told |= {"lost_on": lost} if lost else {}
        return operation(self._reader, action, told)

    def _lists(self, resource: Resource) -> dict[str, str]:
        """Return who is what before this transition, and what happens to whom (RA-API 4)."""
        clone = resource.clone
        assert clone is not None, "only instances are told"
        peers = [leaf for leaf in clone.primitives() if leaf.base == resource.base]
        found: dict[str, str] = {}
        for task in _TASKS:
            pairs = [(leaf, node) for leaf in peers for node in self._doing(leaf, task)]
            _list(found, task, pairs)
        active = [(leaf, node) for leaf in peers for node in leaf.running]
        _list(found, "active", active)
        promoted = [pair for pair in active if pair[0].role is Role.PROMOTED]
        rest = [pair for pair in active if pair[0].role is not Role.PROMOTED]
        for name in ("promoted", "master"):
            _list(found, name, promoted)
        for name in ("unpromoted", "slave"):
            _list(found, name, rest)
        idle = " ".join(leaf.id for leaf in peers if not leaf.running)
        found["notify_inactive_resource"] = idle
        nodes = [node for node in self._cluster.nodes if not node.is_remote]
        found["notify_available_uname"] = " ".join(n.name for n in nodes if n.online)
        found["notify_all_uname"] = " ".join(n.name for n in nodes)
        return found

    def _doing(self, leaf: Resource, task: str) -> list[Node]:
        key = f"{leaf.id}_{task}_0"
        actions = [a for a in leaf.by_key.get(key, ()) if a.id in self._chosen]
        return [action.node for action in actions if action.node is not None]


def _never_reached(action: Action) -> str:
    """Return why a group's milestone does not come: what waits for it stays as it is."""
    group, begun = action.resource, BEGUN.get(action.task)
    if group is None or group.kind is not Kind.GROUP or begun is None:
        return ""
    _, runnable = group_flags(action, group, begun)
    return "" if runnable else f"a member cannot {begun}"


def _occasion(action: Action) -> dict[str, str]:
    """Return what a notification is about; its key ends in `_pre_notify_start_0` or the like."""
    words = action.key.rsplit("_", 4)
    return {"notify_type": words[1], "notify_operation": words[3], "notify_key_operation": words[3]}


def _list(found: dict[str, str], name: str, pairs: Iterable[tuple[Resource, Node]]) -> None:
    pairs = list(pairs)
    found[f"notify_{name}_resource"] = " ".join(leaf.id for leaf, _ in pairs)
    found[f"notify_{name}_uname"] = " ".join(node.name for _, node in pairs)
