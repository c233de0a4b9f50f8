"""What a member tells administrators: a plain structure for text, JSON and the lab alike."""

from typing import Any

from standfest.config.cib import compile_configuration
from standfest.model.configuration import Clone, Group, Primitive, Resource
from standfest.model.operations import OperationStatus
from standfest.model.status import Status
from standfest.runtime.cluster.member import ClusterMember


def report(member: ClusterMember, what: str) -> dict[str, Any]:
    """Return the cluster as this member sees it; `what` is `status`, or `cib` for versions only."""
    cib = member.cib
    base: dict[str, Any] = {
        "node": member.name,
        "coordinator": member.leader,
        "synchronised": member.synchronised,
        "version": str(cib.version),
        "quorum": cib.status.have_quorum,
    }
    if what == "cib":
        return base
    configuration, _ = compile_configuration(cib.configuration)
    standby = {
        entry.name
        for entry in configuration.nodes
        if dict(entry.attributes).get("standby") in ("on", "true", "yes", "1")
    }
    return {
        **base,
        "nodes": [_node(member, name, standby) for name in member.settings.nodes],
        "resources": [_resource(cib.status, resource) for resource in configuration.resources],
        "failures": _failures(cib.status),
    }


def _node(member: ClusterMember, name: str, standby: set[str]) -> dict[str, Any]:
    state = member.cib.status.node(name)
    if state is None or not state.in_membership:
        status = "offline"
    elif not state.online:
        status = "pending"
    else:
        status = "standby" if name in standby else "online"
    attributes = dict(state.attributes) if state else {}
    return {"name": name, "status": status, "attributes": attributes}


def _resource(status: Status, resource: Resource) -> dict[str, Any]:
    match resource:
        case Primitive():
            return {
                "id": resource.id,
                "agent": str(resource.agent),
                "nodes": [state.name for state in status.nodes if state.runs(resource.id)],
                "managed": resource.options.is_managed,
                "target_role": resource.options.target_role.value,
            }
        case Group():
            members = [_resource(status, member) for member in resource.members]
            return {"id": resource.id, "group": members}
        case Clone():
            return {"id": resource.id, "clone": _resource(status, resource.child)}


def _failures(status: Status) -> list[dict[str, Any]]:
    return [
        {
            "node": state.name,
            "resource": name,
            "task": entry.operation.task,
            "interval_ms": entry.operation.interval // 1_000_000,
            "rc": entry.exit_code,
            "status": entry.status.name.lower(),
            "reason": entry.exit_reason,
            "at": entry.last_change,
        }
        for state in status.nodes
        for name, entries in state.history
        for entry in entries
        if entry.status is not OperationStatus.PENDING
        and not entry.succeeded
        and not (entry.operation.task == "monitor" and not entry.operation.interval)
    ]
