"""What a member tells administrators: a plain structure for text, JSON and the lab alike."""

from collections.abc import Mapping
from typing import Any

from standfest.config.cib import compile_configuration
from standfest.model.configuration import Clone, Group, OnFail, Primitive, Resource
from standfest.model.fencing import FencingRecord, FencingState
from standfest.model.operations import OperationResult, OperationStatus
from standfest.model.status import Status
from standfest.runtime.cluster.member import ClusterMember

_TRUE = ("on", "true", "yes", "y", "1")


def report(member: ClusterMember, what: str) -> dict[str, Any]:
    """Return the cluster as this member sees it; `what`: status, cib, fencing, view."""
    if what == "fencing":
        return {
            "node": member.name,
            "history": [_fencing(record) for record in member.fenced or ()],
        }
    if what == "view":
        return {"node": member.name, **member.view()}
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
    stated = {entry.name: dict(entry.attributes) for entry in configuration.nodes}
    return {
        **base,
        "maintenance": configuration.options.maintenance_mode,
        "nodes": [
            _node(member, name, stated.get(name, {})) for name in member.partition.roster.nodes
        ],
        "ping_attribute": member.settings.pinging.attribute,
        "pings": [
            {"name": name, "type": "ping", "status": status}
            for name, status in member.conditions.pings()
        ],
        "resources": [_resource(cib.status, resource) for resource in configuration.resources],
        "failures": _failures(cib.status),
        "fencing": [
            _fencing(record)
            for record in member.fenced or ()
            if record.state is FencingState.UNDER_WAY
        ],
    }


def _node(member: ClusterMember, name: str, stated: Mapping[str, str]) -> dict[str, Any]:
    """Return one node; stated: its permanent attributes, which the transient ones override."""
    state = member.cib.status.node(name)
    attributes = dict(state.attributes) if state else {}
    known = {**stated, **attributes}
    if state is None or not state.in_membership:
        status = "offline"
    elif not state.online:
        status = "pending"
    else:
        wished = (word for word in ("maintenance", "standby") if known.get(word, "") in _TRUE)
        status = next(wished, "online")
    return {"name": name, "status": status, "attributes": attributes}


def _resource(status: Status, resource: Resource) -> dict[str, Any]:
    match resource:
        case Primitive():
            return _primitive(status, resource, "")
        case Group():
            return _group(status, resource, "")
        case Clone():
            return {
                "id": resource.id,
                "promotable": resource.promotable,
                "globally_unique": resource.globally_unique,
                "clone": [
                    _inner(status, resource.child, suffix) for suffix in _suffixes(status, resource)
                ],
            }


def _inner(status: Status, child: Primitive | Group, suffix: str) -> dict[str, Any]:
    if isinstance(child, Group):
        return _group(status, child, suffix)
    return _primitive(status, child, suffix)


def _suffixes(status: Status, clone: Clone) -> list[str]:
    """Return what tells the instances apart: nothing, or the numbers that any node has run."""
    if not clone.globally_unique:
        return [""]
    inner = clone.child.members if isinstance(clone.child, Group) else (clone.child,)
    ours = {primitive.id for primitive in inner}
    names = (name.rpartition(":") for state in status.nodes for name, _ in state.history)
    numbers = {number for base, _, number in names if base in ours}
    return [f":{n}" for n in sorted(numbers, key=lambda n: (len(n), n))] or [""]


def _group(status: Status, group: Group, suffix: str) -> dict[str, Any]:
    members = [_primitive(status, member, suffix) for member in group.members]
    return {"id": group.id + suffix, "group": members}


def _primitive(status: Status, primitive: Primitive, suffix: str) -> dict[str, Any]:
    """Return where it is active and promoted; anonymous instances are together under one name."""
    name, options = primitive.id + suffix, primitive.options
    there = [state for state in status.nodes if state.in_membership]
    active = [state for state in there if state.runs(name)]
    return {
        "id": name,
        "agent": str(primitive.agent),
        "nodes": [state.name for state in active],
        "promoted": [state.name for state in active if state.promoted(name)],
        "blocked": [state.name for state in there if _blocked(primitive, state.of(name))],
        "managed": options.is_managed,
        "maintenance": options.maintenance,
        "target_role": options.target_role.value,
    }


def _blocked(primitive: Primitive, history: tuple[OperationResult, ...]) -> bool:
    """Return whether a failure that nobody may repair but an administrator is on record."""
    stated = {(entry.name, entry.interval): entry.on_fail for entry in primitive.operations}
    for entry in history:
        operation = entry.operation
        # Without fencing a resource that did not stop can only be left alone.
        default = OnFail.BLOCK if operation.task == "stop" else None
        reaction = stated.get((operation.task, operation.interval)) or default
        if _failed(entry) and reaction is OnFail.BLOCK:
            return True
    return False


def _fencing(record: FencingRecord) -> dict[str, Any]:
    return {
        "id": record.id,
        "target": record.target,
        "action": record.action,
        "state": record.state.value,
        "origin": record.origin,
        "began": record.began,
        "ended": record.ended,
        "executor": record.executor,
        "devices": list(record.devices),
        "failed_attempts": record.attempts,
        "reason": record.reason,
    }


def _failed(entry: OperationResult) -> bool:
    probe = entry.operation.task == "monitor" and not entry.operation.interval
    return entry.status is not OperationStatus.PENDING and not entry.succeeded and not probe


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
        if _failed(entry)
    ]
