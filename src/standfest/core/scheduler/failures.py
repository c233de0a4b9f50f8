"""Failures: how they are counted, when they expire, and what they do to a resource or node.

Source: facts/formats/SCHEDULER-SPEC.md sections 3 and 9.
"""

from standfest.core.scheduler import digests, values
from standfest.core.scheduler.actions import make
from standfest.core.scheduler.cluster import Cluster
from standfest.core.scheduler.entities import (
    Kind,
    Location,
    Node,
    OnFail,
    OperationConfig,
    Resource,
    Role,
)
from standfest.model.history import Entry, ResourceRecord
from standfest.model.scores import INFINITY, add_scores

REACTIONS = {
    "ignore": OnFail.IGNORE,
    "nothing": OnFail.IGNORE,
    "demote": OnFail.DEMOTE,
    "restart": OnFail.RESTART,
    "restart-container": OnFail.RESTART_CONTAINER,
    "ban": OnFail.BAN,
    "migrate": OnFail.BAN,
    "block": OnFail.BLOCK,
    "stop": OnFail.STOP,
    "standby": OnFail.STANDBY,
    "fence": OnFail.FENCE,
    "suicide": OnFail.FENCE,
}

_NOT_INSTALLED = 7  # op-status


class Observation:
    """What the entries of one resource on one node have told so far."""

    __slots__ = ("cluster", "last_failure", "node", "on_fail", "probe_pending", "resource")

    def __init__(self, cluster: Cluster, resource: Resource, node: Node) -> None:
        self.cluster = cluster
        self.resource = resource
        self.node = node
        self.on_fail = OnFail.IGNORE
        self.last_failure: Entry | None = None
        self.probe_pending = False


def config_for(resource: Resource, task: str, interval: int) -> OperationConfig | None:
    """Return the configured operation; a probe is configured as a monitor of interval 0."""
    for config in resource.operations:
        if config.name == task and config.interval == interval and config.enabled:
            return config
    return None


def reaction(cluster: Cluster, resource: Resource, entry: Entry) -> OnFail:
    """Return what a failed operation asks for: its on-fail, or the default."""
    config = config_for(resource, entry.task, entry.interval)
    if config is None and entry.task == "monitor" and not entry.interval:
        config = None
    word = (config.meta.get("on-fail") if config is not None else None) or ""
    fencing = cluster.options.fencing
    connection = resource.remote_node is not None
    if entry.task == "demote" and not word:
        for other in resource.operations:
            if (
                other.name == "monitor"
                and other.interval
                and other.role.lower() in ("promoted", "master")
                and other.enabled
                and other.meta.get("on-fail")
                and other.meta["on-fail"] != "demote"
            ):
                word = other.meta["on-fail"]
    if word == "demote" and not (
        entry.task in ("promote",)
        or (
            entry.task == "monitor"
            and entry.interval
            and config is not None
            and config.role.lower() in ("promoted", "master")
        )
    ):
        word = ""
    found = REACTIONS.get(word.lower()) if word else None
    if entry.task == "stop" and found is OnFail.STOP:
        found = None
    if found is OnFail.FENCE and not fencing:
        found = OnFail.STOP
    if found is OnFail.RESTART_CONTAINER and resource.container is None:
        found = OnFail.RESTART
    if found is not None:
        return found
    if resource.container is not None:
        return OnFail.RESTART_CONTAINER
    probe = entry.task == "monitor" and not entry.interval
    if connection and not probe and entry.task != "start":
        # Whatever ends a connection leaves the node behind it alone with what it runs.
        return OnFail.RESET_REMOTE if resource.managed else OnFail.STOP
    if entry.task == "stop":
        return OnFail.FENCE if fencing else OnFail.BLOCK
    return OnFail.RESTART


def can_fence(cluster: Cluster, node: Node) -> bool:
    """Return whether a node may be fenced by us (rule 10.2 a)."""
    options = cluster.options
    if node.is_guest:
        connection = node.connection
        container = connection.container if connection is not None else None
        return container is not None and all(
            host.online or can_fence(cluster, host) for host in container.running
        )
    if not options.fencing:
        return False
    if not cluster.have_fence_device and not options.watchdog_timeout:
        return False
    if cluster.quorate or options.no_quorum_policy == "ignore":
        return True
    return node.online


def mark_unclean(cluster: Cluster, node: Node, reason: str) -> None:
    """Ask for a node to be fenced; a guest is fenced by recovering its container."""
    if node.is_guest:
        connection = node.connection
        container = connection.container if connection is not None else None
        if container is not None and not container.failed:
            if not container.managed:
                return
            node.remote_requires_reset = True
            container.failed = container.fresh = True
        return
    if node.is_remote:
        connection = node.connection
        if connection is not None and not connection.managed:
            return
        node.remote_requires_reset = True
    if not node.unclean:
        node.unclean = True
        node.reason = reason


def stop_now(cluster: Cluster, resource: Resource, node: Node) -> None:
    """Require a stop on a node."""
    make(cluster, resource, "stop", node, optional=False)


# --- scores --------------------------------------------------------------------------------------


def ban(resource: Resource, index: int, why: str) -> None:
    """Forbid one node; all children with it."""
    location = Location(why, Role.UNKNOWN, {index: -INFINITY}, resource.element)
    resource.locations.append(location)


def nowhere(resource: Resource, why: str) -> Location:
    """Return a ban from every node."""
    return Location(why, Role.UNKNOWN, {-1: -INFINITY}, resource.element)


def ban_everywhere(cluster: Cluster, resource: Resource, why: str) -> None:
    """Forbid all nodes."""
    every = {node.index: -INFINITY for node in cluster.nodes}
    resource.locations.append(Location(why, Role.UNKNOWN, every, resource.element))


# --- fail counts ---------------------------------------------------------------------------------


def _counted(node: Node, resource: Resource) -> tuple[int, int]:
    """Return the fail count of a resource on a node, and when it last failed."""
    count = last = 0
    names = {resource.history_id, resource.base}
    for attribute, value in node.attributes.items():
        if not attribute.startswith(("fail-count-", "last-failure-")):
            continue
        kind, _, rest = attribute.partition("-count-" if attribute[0] == "f" else "-failure-")
        name = rest.partition("#")[0]
        if name not in names and not (
            not resource.globally_unique
            and resource.clone is not None
            and name.rpartition(":")[0] == resource.base
        ):
            continue
        if kind == "fail":
            count = add_scores(count, values.score(value, 0))
        else:
            last = max(last, values.integer(value, 0))
    return count, last


def _blocking(cluster: Cluster, resource: Resource) -> bool:
    """Return whether a recorded failure blocks the resource: such failures never expire."""
    for config in resource.operations:
        if config.on_fail != "block":
            continue
        for record in resource.history.values():
            for entry in record.entries:
                if entry.task != config.name or entry.interval != config.interval:
                    continue
                if entry.expected not in (-1, entry.exit_code) and entry.status != -1:
                    return True
    return False


def fail_count(
    cluster: Cluster, resource: Resource, node: Node, *, effective: bool = True
) -> tuple[int, int]:
    """Return (count, last failure); effective: 0 when failure-timeout has passed."""
    count, last = _counted(node, resource)
    if effective and count and resource.failure_timeout and not _blocking(cluster, resource):
        if cluster.now > last + resource.failure_timeout:
            return 0, last
        cluster.recheck(last + resource.failure_timeout + 1)
    return count, last


def expired(seen: Observation, entry: Entry) -> bool:
    """Return whether a failed entry is to be forgotten; asks for its fail count to be cleared."""
    cluster, resource, node = seen.cluster, seen.resource, seen.node
    timeout = resource.failure_timeout
    stale = False
    if entry.status == _NOT_INSTALLED:
        return False  # that does not get better by itself
    if timeout and entry.last_change:
        ignored = _awaits_fencing(cluster, resource, entry)
        if cluster.now >= entry.last_change + timeout and not ignored:
            stale = not _blocking(cluster, resource)
        effective, last = fail_count(cluster, resource, node)
        if effective and last:
            cluster.recheck(last + timeout + 1)
        if stale:
            total, _ = fail_count(cluster, resource, node, effective=False)
            if total:
                if effective:
                    stale = False
                else:
                    resource.expired.add(node.index)
            elif entry.failed and resource.reconnect_interval:
                resource.expired.add(node.index)
    if not stale and entry.failed and _other_parameters(cluster, resource, node, entry):
        resource.expired.add(node.index)
    if stale and entry.task == "monitor" and not entry.interval:
        plain = {190: 0, 191: 8}.get(entry.exit_code, entry.exit_code)
        if plain in (0, 7, 8):
            return False
    return stale


def _awaits_fencing(cluster: Cluster, resource: Resource, entry: Entry) -> bool:
    """Return whether a lost connection counts as lost until the node behind it is fenced.

    Its monitor reports changes only, so the time of the entry does not tell when it failed last.
    """
    behind = resource.remote_node
    if not resource.reconnect_interval or not cluster.options.fencing or behind is None:
        return False
    return entry.task == "monitor" and bool(entry.interval) and not behind.remote_was_fenced


def _other_parameters(cluster: Cluster, resource: Resource, node: Node, entry: Entry) -> bool:
    """Return whether a failure was with parameters that have changed since (rule 3.8)."""
    if entry.task not in ("start", "monitor") or not entry.digest:
        return False
    found = digests.difference(cluster, resource, node, entry)
    return found is not None and found is not digests.Difference.NONE


def banned_by_failures(cluster: Cluster, resource: Resource, node: Node) -> int:
    """Return the fail count if it has reached migration-threshold on this node, else 0."""
    if not resource.migration_threshold or resource.failure_ignored:
        return 0
    count = 0
    leaves = resource.primitives() if resource.kind is not Kind.GROUP else [resource]
    # What a container holds fails on its account: it is the container that would have to move.
    for leaf in [*leaves, *resource.fillers]:
        if node.index in leaf.expired:
            continue  # its count is about to be cleared
        if leaf.kind is Kind.PRIMITIVE:
            count = add_scores(count, fail_count(cluster, leaf, node)[0])
    return count if count and count >= resource.migration_threshold else 0


# --- reactions -----------------------------------------------------------------------------------


def react(cluster: Cluster, seen: Observation, chosen: OnFail) -> None:
    """Do to resource and node what a failure asks for."""
    resource, node = seen.resource, seen.node
    match chosen:
        case OnFail.IGNORE:
            pass
        case OnFail.DEMOTE:
            resource.failed = True
            make(cluster, resource, "demote", node, optional=False)
        case OnFail.RESTART:
            if resource.role > Role.STOPPED:
                resource.failed = True
                resource.fresh = True
                stop_now(cluster, resource, node)
        case OnFail.RESET_REMOTE:
            resource.failed = True
            resource.fresh = True
            if cluster.options.fencing and resource.remote_node is not None:
                behind = resource.remote_node
                if not behind.is_guest and not behind.remote_was_fenced:
                    mark_unclean(cluster, behind, "remote connection is unrecoverable")
            if resource.role > Role.STOPPED:
                stop_now(cluster, resource, node)
            if resource.reconnect_interval:
                resource.next_role = Role.STOPPED
        case OnFail.RESTART_CONTAINER:
            resource.failed = True
            resource.fresh = True
            container = resource.container
            if container is not None and container.parent is not None and resource.remote_node:
                cluster.stops_needed.append(container)
            elif container is not None:
                stop_now(cluster, container, node)
            elif resource.role > Role.STOPPED:
                stop_now(cluster, resource, node)
        case OnFail.BAN:
            ban(resource, node.index, "on-fail=ban")
        case OnFail.BLOCK:
            resource.managed = False
            resource.blocked = True
        case OnFail.STOP:
            resource.next_role = Role.STOPPED
        case OnFail.STANDBY:
            node.standby = True
            node.standby_on_fail = True
        case OnFail.FENCE:
            failed = seen.last_failure
            mark_unclean(cluster, node, f"{failed.key if failed else resource.id} failed")


def shutdown_lock(cluster: Cluster, resource: Resource, node: Node, record: ResourceRecord) -> None:
    """Keep a resource for the node that was shut down with it (rule 10.4 b)."""
    limit = cluster.options.shutdown_lock_limit
    if limit and cluster.now > record.lock + limit:
        resource.expired.add(-1 - node.index)  # the lock itself is to be cleared
        return
    resource.lock_node = node
    resource.lock_time = record.lock
    if limit:
        cluster.recheck(record.lock + limit + 1)
