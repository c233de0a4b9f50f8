"""Unpack stage: what interrupted or failed live migrations leave behind (rule 11.7).

A migration is migrate_to on the source, migrate_from on the target, stop on the source. Whatever
happened later on one of the nodes says more about it than the migration does.
"""

from standfest.core.scheduler.cluster import Cluster
from standfest.core.scheduler.entities import Node, Resource, Role
from standfest.core.scheduler.running import add_running
from standfest.model.history import Entry

_MOVES = frozenset({"start", "stop", "migrate_to", "migrate_from"})
_UNKNOWN = 193  # exit code: the agent has not been asked
_PENDING = -1


class Migrations:
    """Judges migrations by the recorded history of both nodes."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._records: dict[str, dict[str, list[Entry]]] = {}

    def _entries(self, node: Node, resource: Resource) -> list[Entry]:
        """Return what is recorded of a resource on a node, read already or not."""
        if node.name not in self._records:
            found: dict[str, list[Entry]] = {}
            assert self._cluster.recorded is not None, "unpack sets it"
            for record in self._cluster.recorded.nodes:
                if record.id == node.id or record.name == node.name:
                    found = {known.id: known.entries for known in record.history}
            self._records[node.name] = found
        known = self._records[node.name]
        return known.get(resource.history_id) or known.get(resource.base) or []

    def _moved_since(self, node: Node, resource: Resource, event: Entry, *, same: bool) -> bool:
        """Return whether something but a monitor was done on a node after an event.

        same: the event is of that node, too, so that call ids can be compared.
        """
        return any(
            entry.task in _MOVES and entry is not event and _newer(entry, event, same)
            for entry in self._entries(node, resource)
        )

    def _changed_since(self, node: Node, resource: Resource, event: Entry, *, same: bool) -> bool:
        """Return whether something newer tells what the resource is on a node."""
        gone = any(
            entry.task == "monitor" and entry.exit_code == 7 and _newer(entry, event, same)
            for entry in self._entries(node, resource)
        )
        return gone or self._moved_since(node, resource, event, same=same)

    def _known(self, node: Node, resource: Resource) -> bool:
        """Return whether anything is recorded there; if not, it will be looked for."""
        return any(entry.exit_code != _UNKNOWN for entry in self._entries(node, resource))

    def _arrival(self, target: Node, source: Node, resource: Resource) -> Entry | None:
        for entry in self._entries(target, resource):
            if entry.task == "migrate_from" and entry.migrate_source in {source.name, ""}:
                return entry
        return None

    def _departure(self, source: Node, target: Node, resource: Resource) -> Entry | None:
        for entry in self._entries(source, resource):
            if entry.task == "migrate_to" and entry.migrate_target in {target.name, ""}:
                return entry
        return None

    def left(self, resource: Resource, source: Node, departure: Entry) -> None:
        """Judge a migrate_to that succeeded on its source.

        Either node's history may have been cleared, and a stop on the source alone does not end it:
        it may have been in vain, with the resource still on the target.
        """
        target = self._cluster.node(departure.migrate_target)
        if target is None:
            return
        moved_here = self._moved_since(source, resource, departure, same=True)
        arrival = self._arrival(target, source, resource)
        if arrival is not None and moved_here:
            return
        event = arrival or departure
        newer_there = self._changed_since(target, resource, event, same=arrival is not None)
        if moved_here and newer_there:
            return
        if arrival is not None and _good(arrival):
            # Complete, except that the source has still to be told to stop.
            resource.role = Role.STOPPED
            resource.dangling.append(source)
            return
        resource.role = Role.STARTED
        there = not newer_there and target.online
        if arrival is not None and arrival.status != _PENDING:
            if there:
                add_running(self._cluster, resource, target, failed=True)
            else:
                _recover(resource)
        elif target.online and not self._known(target, resource):
            return
        elif there:
            add_running(self._cluster, resource, target, failed=False)
            if source.online:
                # It may still arrive, if the target is chosen again.
                resource.partial_source, resource.partial_target = source, target
        elif not moved_here:
            _recover(resource)

    def failed_to_leave(self, resource: Resource, source: Node, departure: Entry) -> None:
        """Judge a migrate_to that failed on its source: it may be on both nodes."""
        resource.role = Role.STARTED
        target = self._cluster.node(departure.migrate_target)
        if target is None:
            return
        arrival = self._arrival(target, source, resource)
        if arrival is not None and not _good(arrival):
            arrival = None
        event = arrival or departure
        newer = self._changed_since(target, resource, event, same=arrival is not None)
        if self._known(target, resource) and not newer:
            if target.online:
                add_running(self._cluster, resource, target, failed=False)
        elif not self._moved_since(source, resource, departure, same=True):
            resource.dangling.append(source)

    def failed_to_arrive(self, resource: Resource, target: Node, arrival: Entry) -> None:
        """Judge a migrate_from that failed on its target: it may be on both nodes."""
        resource.role = Role.STARTED
        source = self._cluster.node(arrival.migrate_source)
        if source is None:
            return
        departure = self._departure(source, target, resource)
        if departure is not None and not _good(departure):
            departure = None
        event = departure or arrival
        newer = self._changed_since(source, resource, event, same=departure is not None)
        if self._known(source, resource) and not newer and source.online:
            add_running(self._cluster, resource, source, failed=True)


def _good(entry: Entry) -> bool:
    return entry.status == 0 and entry.exit_code == 0


def _recover(resource: Resource) -> None:
    """Have it stopped and started, not moved live once more."""
    resource.failed = True
    resource.fresh = True
    resource.allow_migrate = False


def _newer(entry: Entry, event: Entry, same: bool) -> bool:
    """Return whether an entry is newer than an event, of the same node or another one."""
    if same and entry.call_id >= 0 and event.call_id >= 0 and entry.call_id != event.call_id:
        return entry.call_id > event.call_id
    known = bool(entry.last_change and event.last_change)
    return known and entry.last_change > event.last_change
