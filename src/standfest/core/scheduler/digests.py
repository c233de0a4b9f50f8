"""Act stage: whether a resource's definition has changed since it was started.

Source: facts/formats/SCHEDULER-SPEC.md section 9, "Parameter changes"; CIB-STATUS.md (op-digest).
"""

import hashlib
from collections.abc import Mapping
from enum import Enum

from standfest.core.scheduler.actions import make
from standfest.core.scheduler.cluster import Cluster
from standfest.core.scheduler.entities import Kind, Node, OperationConfig, Resource, Role
from standfest.model.history import Entry

_ESCAPES = (
    ("&", "&amp;"),
    ("<", "&lt;"),
    (">", "&gt;"),
    ('"', "&quot;"),
    ("\n", "&#xA;"),
    ("\t", "&#x9;"),
    ("\r", "&#xD;"),
)


def digest(parameters: Mapping[str, str]) -> str:
    """Return the op-digest: MD5 of a `<parameters>` element with sorted attributes."""
    inner = "".join(f' {name}="{_escaped(value)}"' for name, value in sorted(parameters.items()))
    text = f" <parameters{inner}/>\n"
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _escaped(text: str) -> str:
    """Return text as libxml2 writes it in an attribute."""
    for character, entity in _ESCAPES:
        if character in text:
            text = text.replace(character, entity)
    return text


def compare(cluster: Cluster) -> None:
    """Restart, reload or reschedule whatever runs with other parameters than are configured."""
    for resource in cluster.resources:
        for leaf in resource.primitives():
            implied = leaf.element.line == 0  # parts of bundles: their parameters are ours
            if leaf.history and not leaf.removed and not implied:
                _compare(cluster, leaf)


def _compare(cluster: Cluster, resource: Resource) -> None:
    if resource.kind is not Kind.PRIMITIVE:
        return
    for index, record in resource.history.items():
        node = cluster.nodes[index]
        if node not in resource.running or resource.role < Role.STARTED:
            continue
        if record.agent != resource.agent and any(record.agent):
            _agent_changed(cluster, resource, node, record.agent)
            continue
        started = max(
            (i for i, e in enumerate(record.entries) if e.task == "stop"),
            key=lambda i: record.entries[i].call_id,
            default=None,
        )
        stopped = record.entries[started].call_id if started is not None else -1
        for entry in record.entries:
            if entry.failed or entry.status == -1:
                continue
            relevant = entry.task in ("start", "migrate_from") or entry.interval
            probed = entry.task == "monitor" and not entry.interval and entry.exit_code in (0, 8)
            if (relevant or probed) and entry.call_id > stopped:
                _entry(cluster, resource, node, entry)


def _agent_changed(
    cluster: Cluster, resource: Resource, node: Node, _: tuple[str, str, str]
) -> None:
    stop = make(cluster, resource, "stop", node, optional=False)
    stop.reason = "changed agent"
    resource.fresh = True


class Difference(Enum):
    """How the parameters that an operation ran with differ from what is configured now."""

    NONE = 0
    RELOADABLE = 1  # or, for a recurring operation, schedulable anew
    RESTART = 2


def difference(resource: Resource, entry: Entry) -> Difference | None:
    """Compare what an operation ran with and the configuration; None: it cannot be told.

    A missing digest counts as another one: nothing says that the parameters are still the same.
    """
    if resource.remote_node is not None:
        return None
    config = next(
        (
            c
            for c in resource.operations
            if c.name == entry.task and c.interval == entry.interval and c.enabled
        ),
        None,
    )
    if entry.interval and config is None:
        return None
    full = _parameters(resource, config)
    if "****" in full.values() and entry.secure_digest:
        return None  # what is masked cannot be compared
    if entry.interval and config is not None:
        full["CRM_meta_timeout"] = str(config.timeout)
    if entry.restart_digest:
        names = entry.force_restart.split() if entry.force_restart is not None else list(full)
        if digest({n: v for n, v in full.items() if n in names}) != entry.restart_digest:
            return Difference.RESTART
    if digest(full) == entry.digest:
        return Difference.NONE
    if entry.restart_digest or entry.interval:
        return Difference.RELOADABLE
    return Difference.RESTART


def _parameters(resource: Resource, config: OperationConfig | None) -> dict[str, str]:
    """Return the parameters that an operation's agent is given."""
    full = dict(resource.parameters)
    if config is not None and config.element is not None:
        for part in config.element.children:
            if part.tag == "instance_attributes":
                for pair in part.children:
                    full[pair.get("name") or ""] = pair.get("value") or ""
    for name in [n for n in full if n.startswith("CRM_meta_")]:
        del full[name]
    return full


def _entry(cluster: Cluster, resource: Resource, node: Node, entry: Entry) -> None:
    match difference(resource, entry):
        case Difference.RESTART:
            resource.changed = True
        case Difference.RELOADABLE if entry.interval:
            # Only its schedule changes; the start's digest tells about the resource.
            resource.changed_monitors.add((entry.task, entry.interval, node.index))
        case Difference.RELOADABLE:
            resource.reload = True
        case _:
            pass
