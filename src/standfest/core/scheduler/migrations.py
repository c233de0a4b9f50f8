"""Unpack stage: what interrupted or failed live migrations leave behind (rule 11.7)."""

from standfest.core.scheduler.cluster import Cluster
from standfest.core.scheduler.entities import Node, Resource, Role
from standfest.core.scheduler.running import add_running
from standfest.model.history import Entry

PENDING = -1


def entries_on(node: Node, resource: Resource) -> list[Entry]:
    """Return what is recorded of a resource on a node."""
    record = resource.history.get(node.index)
    return record.entries if record is not None else []


def active_since(node: Node, resource: Resource, after: Entry) -> bool:
    """Return whether something newer than `after` says what the resource is on a node."""
    return bool(after.last_change) and any(
        e.last_change > after.last_change and e.task in ("start", "stop", "monitor")
        for e in entries_on(node, resource)
    )


class Migrations:
    """Collects migrations, to be judged when both ends' histories have been read."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._pending: list[tuple[Resource, Node, Entry]] = []

    def note(self, resource: Resource, source: Node, entry: Entry) -> None:
        """Remember a migrate_to that was begun on `source`."""
        self._pending.append((resource, source, entry))

    def judge(self) -> None:
        """Judge live migrations, now that both ends' histories are read (rule 11.7)."""
        for resource, source, entry in self._pending:
            target = self._cluster.node(entry.migrate_target)
            if target is None:
                continue
            self._migrated(resource, source, target, entry)
        self._pending.clear()

    def _later_here(self, node: Node, resource: Resource, entry: Entry) -> bool:
        return any(
            e.call_id > entry.call_id
            and e.task in ("start", "stop", "migrate_from")
            and e.status != PENDING
            for e in entries_on(node, resource)
        )

    def _migrated(self, resource: Resource, source: Node, target: Node, entry: Entry) -> None:
        if self._later_here(source, resource, entry):
            return
        arrivals = [
            e
            for e in entries_on(target, resource)
            if e.task == "migrate_from" and e.migrate_source == source.name
        ]
        arrival = arrivals[-1] if arrivals else None
        known = [
            e
            for e in entries_on(target, resource)
            if e.task in ("start", "stop") and e.last_change > entry.last_change > 0
        ]
        if entry.status == PENDING:
            if arrival is None and not known:
                resource.partial_source, resource.partial_target = source, target
            return
        if arrival is not None and arrival.status != PENDING:
            if arrival.exit_code == 0:
                later = self._later_here(target, resource, arrival)
                if not later and target.online:
                    # Complete, except that the source has still to be told to stop.
                    resource.dangling.append(source)
                    resource.role = Role.STARTED
            return
        if known and arrival is None:
            return
        if source in resource.running or resource.role < Role.STARTED:
            pass
        if target.online:
            add_running(self._cluster, resource, target, failed=False)
            if source.online:
                resource.partial_source, resource.partial_target = source, target
                if source not in resource.running:
                    add_running(self._cluster, resource, source, failed=False)
        else:
            resource.failed = True
        resource.role = max(resource.role, Role.STARTED)

    def failed_to_leave(self, resource: Resource, source: Node, target: Node, entry: Entry) -> None:
        """Decide where a resource may be whose live migration failed at the source."""
        entries = entries_on(target, resource)
        stops = [e for e in entries if e.task == "stop" and e.exit_code == 0]
        newest = max((e.call_id for e in entries), default=-1)
        if stops and stops[-1].call_id == newest:
            return
        probes = [e for e in entries if e.exit_code == 7]
        if probes and probes[-1].last_change > entry.last_change:
            return
        if not any(e.task in ("migrate_from", "start") for e in entries):
            if target.online:
                add_running(self._cluster, resource, target, failed=True)
            return
        arrived = any(e.task == "migrate_from" for e in entries)
        if not arrived and target.online:
            resource.dangling.append(source)
