"""Act stage: whether a resource's definition has changed since it was started.

Source: facts/formats/SCHEDULER-SPEC.md section 9, "Parameter changes"; CIB-STATUS.md (op-digest).
"""

from enum import Enum

from standfest.core.scheduler.actions import make
from standfest.core.scheduler.cluster import Cluster
from standfest.core.scheduler.entities import Kind, Node, OperationConfig, Resource, Role
from standfest.core.scheduler.resources import default_provider
from standfest.core.scheduler.rules import Facts, values_of
from standfest.model.digests import matches
from standfest.model.history import Entry

PENDING = -1
"""The status of an operation that is not over."""


def parameters_of(
    cluster: Cluster, resource: Resource, node: Node, config: OperationConfig | None
) -> dict[str, str]:
    """Return the instance attributes that an operation on a node is run with."""
    assert cluster.reader is not None, "unpack sets it"
    found = dict(cluster.reader.parameters_on(resource, node.index))
    if config is not None and config.element is not None:
        facts = Facts(cluster.now, node.attributes)
        found |= values_of(config.element, "instance_attributes", facts)
    for name in [n for n in found if n.startswith("CRM_meta_")]:
        del found[name]
    return found


def compare(cluster: Cluster) -> None:
    """Restart, reload or reschedule whatever runs with other parameters than are configured."""
    # The parts of bundles that nobody configured: their parameters are ours.
    implied = {replica.container.id for bundle in cluster.bundles for replica in bundle.replicas}
    implied |= cluster.hidden
    for resource in cluster.resources:
        for leaf in resource.primitives():
            if leaf.history and not leaf.removed and leaf.id not in implied:
                _compare(cluster, leaf)


def _compare(cluster: Cluster, resource: Resource) -> None:
    if resource.kind is not Kind.PRIMITIVE:
        return
    for index, record in resource.history.items():
        node = cluster.nodes[index]
        if node not in resource.running or resource.role < Role.STARTED:
            continue
        standard, provider, kind = record.agent
        recorded = (standard, provider or default_provider(standard), kind)
        if recorded != resource.agent and any(record.agent):
            _agent_changed(cluster, resource, node)
            continue
        started = max(
            (i for i, e in enumerate(record.entries) if e.task == "stop"),
            key=lambda i: record.entries[i].call_id,
            default=None,
        )
        stopped = record.entries[started].call_id if started is not None else -1
        for entry in record.entries:
            if entry.failed:
                continue
            relevant = entry.task in ("start", "promote", "migrate_from") or entry.interval
            probed = entry.task == "monitor" and not entry.interval and entry.exit_code in (0, 8)
            last = entry.call_id > stopped or entry.status == PENDING
            if (relevant or probed) and last:
                _entry(cluster, resource, node, entry)


def _agent_changed(cluster: Cluster, resource: Resource, node: Node) -> None:
    stop = make(cluster, resource, "stop", node, optional=False)
    stop.reason = "changed agent"
    resource.other_agent_on.add(node.index)
    resource.changed = True
    resource.fresh = True


class Difference(Enum):
    """How the parameters that an operation ran with differ from what is configured now."""

    NONE = 0
    RELOADABLE = 1  # or, for a recurring operation, schedulable anew
    RESTART = 2


def difference(cluster: Cluster, resource: Resource, node: Node, entry: Entry) -> Difference | None:
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
    full = parameters_of(cluster, resource, node, config)
    if "****" in full.values() and entry.secure_digest:
        return None  # what is masked cannot be compared
    if entry.interval and config is not None:
        full["CRM_meta_timeout"] = str(config.timeout)
    if entry.restart_digest:
        names = entry.force_restart.split() if entry.force_restart is not None else list(full)
        if not matches({n: v for n, v in full.items() if n in names}, entry.restart_digest):
            return Difference.RESTART
    if matches(full, entry.digest):
        return Difference.NONE
    if entry.restart_digest or entry.interval:
        return Difference.RELOADABLE
    return Difference.RESTART


def _entry(cluster: Cluster, resource: Resource, node: Node, entry: Entry) -> None:
    match difference(cluster, resource, node, entry):
        case Difference.RESTART:
            resource.changed = True
        case Difference.RELOADABLE if entry.interval:
            # Only its schedule changes; the start's digest tells about the resource.
            resource.changed_monitors.add((entry.task, entry.interval, node.index))
        case Difference.RELOADABLE:
            resource.reload = True
        case _:
            pass
