"""Unpack stage: what the recorded operations say about each resource on each node.

Source: facts/formats/SCHEDULER-SPEC.md section 9, CIB-STATUS.md section 3.
"""

from typing import Final

from standfest.core.scheduler import failures, remotes, values
from standfest.core.scheduler.actions import find
from standfest.core.scheduler.cluster import Cluster
from standfest.core.scheduler.entities import Kind, Need, Node, OnFail, Resource, Role
from standfest.core.scheduler.entries import in_order, may_be_active, member_of
from standfest.core.scheduler.failures import Observation
from standfest.core.scheduler.migrations import Migrations
from standfest.core.scheduler.resources import Reader, target_role
from standfest.core.scheduler.running import add_running
from standfest.model.element import Element
from standfest.model.history import Entry, NodeRecord, ResourceRecord

DONE, CANCELLED, TIMEOUT, UNSUPPORTED, ERROR, HARD, FATAL, NOT_INSTALLED = 0, 1, 2, 3, 4, 5, 6, 7
PENDING: Final = -1
RUNNING = (0, 190)


class History:
    """Reads the history of all nodes into the resources."""

    def __init__(self, cluster: Cluster, reader: Reader) -> None:
        self.cluster = cluster
        self._reader = reader
        self._migrations = Migrations(cluster)

    def read(self) -> None:
        """Read every node whose history counts; connections before what runs behind them."""
        cluster = self.cluster
        assert cluster.recorded is not None, "unpack sets it"
        waiting = []
        for record in cluster.recorded.nodes:
            node = cluster.node_by_id.get(record.id) or cluster.node_by_name.get(record.name)
            if node is None:
                continue
            if node.is_remote or node.is_guest:
                waiting.append((node, record))
            elif node.online or node.away or cluster.options.fencing:
                self._node(node, record)
            else:
                node.unpacked = False
        remotes.refill(cluster)
        progress = True
        while waiting and progress:
            progress = False
            for pair in list(waiting):
                if self._remote_ready(pair[0]):
                    waiting.remove(pair)
                    self._node(*pair)
                    progress = True
        if cluster.options.fencing:
            for node, record in waiting:
                remotes.derive_state(node, heard=True)
                self._node(node, record)
        for container in cluster.stops_needed:
            # A bundle's connection can have failed before it was known where its container is.
            for host in container.running:
                failures.stop_now(cluster, container, host)
        for node in cluster.nodes:
            connection = node.connection
            if connection is not None and node.shutdown:
                connection.next_role = Role.STOPPED
            if node.is_remote and not node.unpacked:
                remotes.derive_state(node, heard=False)

    # --- remote nodes ---------------------------------------------------------------------------

    def _remote_ready(self, node: Node) -> bool:
        connection = node.connection
        if connection is None:
            return False
        if connection.container is not None:
            ready = connection.role >= Role.STARTED and connection.container.role >= Role.STARTED
        else:
            ready = connection.role >= Role.STARTED
        if ready:
            remotes.derive_state(node, heard=True)
        return ready

    # --- one node -------------------------------------------------------------------------------

    def _node(self, node: Node, record: NodeRecord) -> None:
        node.unpacked = True
        stopped: list[tuple[Resource, ResourceRecord]] = []
        for resource_record in record.history:
            if not resource_record.entries and not resource_record.lock:
                continue
            resource = self._resource(node, resource_record)
            if resource is None:
                continue
            known = resource.history.get(node.index)
            if known is None:
                resource.history[node.index] = resource_record
            elif may_be_active(resource_record) and not may_be_active(known):
                # Instances of an anonymous clone that were recorded by number.
                resource.history[node.index] = resource_record
            self._unpack(node, resource, resource_record)
            stopped.append((resource, resource_record))

    def _resource(self, node: Node, record: ResourceRecord) -> Resource | None:
        """Return the configured resource or instance that a record is about."""
        found = self.cluster.by_id.get(record.id)
        base = record.id
        if found is None and ":" in record.id:
            base = record.id.rpartition(":")[0]
            found = self.cluster.by_id.get(base)
        if found is None:
            return self._orphan(node, record, None)
        clone = found.clone
        if found.kind is not Kind.PRIMITIVE:
            return self._orphan(node, record, None)
        if clone is None or clone.kind is not Kind.CLONE:
            return found
        if clone.globally_unique:
            if found.id == record.id and found.instance < max(clone.clone_max, 0):
                return found
            return self._surplus(node, record, clone, found)
        return self._anonymous(node, record, clone, found.base)

    def _anonymous(
        self, node: Node, record: ResourceRecord, clone: Resource, base: str
    ) -> Resource | None:
        """Return the instance whose member `base` this node's record describes."""
        free: Resource | None = None
        if clone.bundle is not None:
            return next((inner for inner in clone.children if inner.home is node), None)
        for instance in clone.children:
            if instance.running:
                if instance.running[0] is node:
                    member = member_of(instance, base)
                    if member is not None:
                        return member
                continue
            if instance.pending_node is not None and instance.pending_node is not node:
                continue
            touched = [leaf for leaf in instance.primitives() if leaf.history]
            if any(node.index in leaf.history for leaf in touched):
                member = member_of(instance, base)
                if member is not None and node.index not in member.history:
                    return member
            if free is None:
                free = instance
        active = may_be_active(record)
        if free is not None and active and clone.needs < Need.FENCING and node.unclean:
            free = None
        if free is None:
            inner = next(c for c in clone.element.children if c.tag in ("primitive", "group"))
            if not active:
                # An inactive leftover tells only that the resource is known here.
                return None if not clone.children else self._known_only(node, record, clone, base)
            free = self._reader.instance(clone, inner, len(clone.children))
            for leaf in (free, *free.children):
                leaf.removed = True
                self.settle_orphan(leaf)
        return member_of(free, base)

    def _known_only(
        self, node: Node, record: ResourceRecord, clone: Resource, base: str
    ) -> Resource | None:
        """Let some instance remember that it was seen not to run here."""
        for instance in clone.children:
            member = member_of(instance, base)
            if member is not None and node.index not in member.history:
                return member
        return None

    def _surplus(
        self, node: Node, record: ResourceRecord, clone: Resource, found: Resource
    ) -> Resource | None:
        """Return an instance beyond clone-max, made to be stopped."""
        if found.id == record.id:
            return found
        inner = next(c for c in clone.element.children if c.tag in ("primitive", "group"))
        number = values.integer(record.id.rpartition(":")[2], len(clone.children))
        instance = self._reader.instance(clone, inner, number)
        for leaf in (instance, *instance.children):
            leaf.removed = True
            self.settle_orphan(leaf)
        return member_of(instance, found.base)

    def settle_orphan(self, resource: Resource) -> None:
        """Decide whether a removed resource is to be stopped."""
        resource.needs = Need.NOTHING if resource.needs is Need.NOTHING else resource.needs
        if not self.cluster.options.stop_removed_resources:
            resource.managed = False

    def _orphan(self, node: Node, record: ResourceRecord, _: None) -> Resource | None:
        standard, provider, type_ = record.agent
        element = Element(
            "primitive",
            (("id", record.id), ("class", standard), ("provider", provider), ("type", type_)),
        )
        resource = self._reader.resource(element, None)
        resource.removed = True
        self._reader._needs(resource)
        resource.base = record.id
        resource.history_id = record.id
        self.settle_orphan(resource)
        if resource.managed:
            failures.ban_everywhere(self.cluster, resource, "removed from the configuration")
        self.cluster.resources.append(resource)
        behind = self.cluster.node_by_name.get(record.id)
        if record.agent == ("ocf", "pacemaker", "remote") and behind is not None:
            # The node behind it has lost its connection, or is about to.
            resource.remote_node, behind.connection = behind, resource
            behind.shutdown = True
        return resource

    # --- one resource on one node ---------------------------------------------------------------

    def _unpack(self, node: Node, resource: Resource, record: ResourceRecord) -> None:
        if record.lock and self.cluster.options.shutdown_lock:
            failures.shutdown_lock(self.cluster, resource, node, record)
        if not record.entries:
            return
        seen = Observation(self.cluster, resource, node)
        saved, resource.role = resource.role, Role.UNKNOWN
        for entry in in_order(record.entries):
            self._entry(seen, entry)
        self._settle(seen)
        wanted = target_role(resource)
        if wanted is not Role.UNKNOWN and (
            resource.next_role is Role.UNKNOWN or wanted < resource.next_role
        ):
            resource.next_role = wanted
        resource.role = max(resource.role, saved)

    def _entry(self, seen: Observation, entry: Entry) -> None:
        if entry.status == CANCELLED or entry.status > 9 or entry.status < PENDING:
            return
        if entry.task == "notify":
            return  # whatever came of it changes nothing
        expired = failures.expired(seen, entry)
        status, code = self._remapped(seen, entry)
        if expired and status not in (DONE, PENDING):
            if entry.task == "monitor" and not entry.interval:
                seen.probe_pending = True  # so nothing is known here: it is asked again
            return
        if expired and status == DONE and entry.expected not in (-1, code) and entry.interval:
            return
        if status == PENDING:
            self._pending(seen, entry)
        elif status == DONE:
            self._succeeded(seen, entry, code)
        else:
            self._failed(seen, entry, status, code)

    def _remapped(self, seen: Observation, entry: Entry) -> tuple[int, int]:
        """Return what an entry really means: op-status and exit code."""
        resource = seen.resource
        code = {190: 0, 191: 8}.get(entry.exit_code, entry.exit_code)
        status = entry.status
        if status == PENDING:
            return status, code
        if code != entry.exit_code:
            self.cluster.failures.append((resource, seen.node, entry))  # to be shown, no more
        probe = entry.task == "monitor" and not entry.interval
        expected = entry.expected
        if expected < 0:
            expected = 7 if probe and code == 7 else 0
        if status in (TIMEOUT, UNSUPPORTED, ERROR, HARD, FATAL, NOT_INSTALLED) and not (
            status == ERROR or code == expected
        ):
            if status == TIMEOUT:
                return ERROR, code
            if status in (UNSUPPORTED, NOT_INSTALLED):
                return self._hard(seen, entry), code
        if probe and code == 5:
            return HARD, code
        if code == expected and status in (DONE, ERROR):
            return DONE, code  # of these two the exit code knows better
        if status == ERROR and code == 0:
            return ERROR, code
        if code == 0 and probe:
            return DONE, code
        if code == 7 and (probe or not resource.managed or entry.expected == 7):
            seen.on_fail = OnFail.IGNORE
            resource.next_role = Role.UNKNOWN
            return DONE, code
        if code == 8:
            if probe:
                return DONE, code
            return ERROR if status == DONE and code != expected else status, code
        if code == 9:
            resource.role = Role.PROMOTED
            return ERROR, code
        if code == 6:
            return FATAL, code
        if code == 3 and entry.interval:
            return UNSUPPORTED, code
        if code in (2, 3, 4, 5):
            return self._hard(seen, entry), code
        return (ERROR if status in (DONE, TIMEOUT) else status), code

    def _hard(self, seen: Observation, entry: Entry) -> int:
        if entry.task == "stop" and not failures.can_fence(self.cluster, seen.node):
            seen.resource.managed = False
            seen.resource.blocked = True
            return ERROR
        return HARD

    def _pending(self, seen: Observation, entry: Entry) -> None:
        resource, node = seen.resource, seen.node
        if entry.task == "start":
            resource.start_pending = True
            _activate(resource)
        elif entry.task == "promote":
            resource.role = Role.PROMOTED
        elif entry.task == "migrate_to" and node.unclean:
            target = self.cluster.node(entry.migrate_target)
            if target is not None:
                failures.stop_now(self.cluster, resource, target)
        if entry.task == "monitor" and not entry.interval:
            seen.probe_pending = True
        if not resource.pending_task:
            resource.pending_task = entry.task
            resource.pending_node = node

    def _succeeded(self, seen: Observation, entry: Entry, code: int) -> None:
        """Follow a result that is no failure (for reading an op as ignored, too)."""
        resource = seen.resource
        clear = False
        probe = entry.task == "monitor" and not entry.interval
        if code == 5 or (probe and code in (2, 4)):
            resource.role = Role.STOPPED
        elif code == 7:
            resource.role = Role.STOPPED
            clear = True
        elif code == 8 and entry.task == "monitor":
            resource.role = Role.PROMOTED
            clear = seen.last_failure is not None and seen.last_failure.key == entry.key
        elif entry.task == "monitor":
            clear = seen.last_failure is not None and seen.last_failure.key == entry.key
            _activate(resource)
        elif entry.task == "start":
            resource.role = Role.STARTED
            clear = True
        elif entry.task == "stop":
            resource.role = Role.STOPPED
            clear = True
        elif entry.task == "promote":
            resource.role = Role.PROMOTED
            clear = True
        elif entry.task == "demote":
            clear = seen.on_fail is OnFail.DEMOTE
            resource.role = Role.UNPROMOTED
        elif entry.task == "migrate_from":
            resource.role = Role.STARTED
            clear = True
        elif entry.task == "migrate_to":
            self._migrations.left(resource, seen.node, entry)
        elif entry.task not in ("notify", "delete", "meta-data"):
            _activate(resource)
        if not clear:
            return
        if seen.on_fail in (
            OnFail.DEMOTE,
            OnFail.RESTART,
            OnFail.RESTART_CONTAINER,
            OnFail.BLOCK,
            OnFail.IGNORE,
        ) or (seen.on_fail is OnFail.RESET_REMOTE and not resource.reconnect_interval):
            seen.on_fail = OnFail.IGNORE
            seen.last_failure = None
            resource.next_role = Role.UNKNOWN

    def _failed(self, seen: Observation, entry: Entry, status: int, code: int) -> None:
        resource, node = seen.resource, seen.node
        self.cluster.failures.append((resource, node, entry))
        reaction = failures.reaction(self.cluster, resource, entry)
        within = reaction is OnFail.RESTART_CONTAINER
        if reaction is OnFail.IGNORE or (within and entry.task == "stop"):
            resource.failure_ignored = True
            expected = entry.expected if entry.expected >= 0 else 0
            self._succeeded(seen, entry, expected)
            if within and seen.on_fail <= OnFail.RESTART:
                seen.on_fail = reaction  # its container's end is its end, too
            return
        self._failure(seen, entry, reaction, code)
        banned = resource.clone or resource
        if status == HARD:
            failures.ban(banned, node.index, f"{entry.key} failed hard")
        elif status == FATAL:
            failures.ban_everywhere(self.cluster, banned, f"{entry.key} failed fatally")

    def _failure(self, seen: Observation, entry: Entry, reaction: OnFail, code: int) -> None:
        resource, node = seen.resource, seen.node
        seen.last_failure = entry
        if entry.task == "stop":
            failures.ban(resource, node.index, f"{entry.key} failed")
        seen.on_fail = max(seen.on_fail, reaction)
        if entry.task == "migrate_to":
            self._migrations.failed_to_leave(resource, node, entry)
        elif entry.task == "migrate_from":
            self._migrations.failed_to_arrive(resource, node, entry)
        elif entry.task == "promote":
            resource.role = Role.PROMOTED
            resource.next_role = max(resource.next_role, Role.UNPROMOTED)
        elif entry.task == "demote":
            if reaction is OnFail.BLOCK:
                resource.role = Role.PROMOTED
                resource.next_role = Role.STOPPED
            elif code == 7:
                resource.role = Role.STOPPED
            else:
                resource.role = Role.UNPROMOTED
        probe = entry.task == "monitor" and not entry.interval
        if probe and code in (2, 5):
            resource.role = Role.STOPPED  # it could not even be asked, so it cannot be there
        elif resource.role < Role.STARTED:
            _activate(resource)
        later = reaction is OnFail.RESET_REMOTE and resource.reconnect_interval
        if reaction is OnFail.STOP or later:
            resource.next_role = Role.STOPPED
            # Instances of an anonymous clone are all the same thing: none may come up again.
            alike = resource.clone is not None and not resource.clone.globally_unique
            whole = resource.outermost if alike else resource
            failures.ban_everywhere(self.cluster, whole, f"{entry.key} failed: stop")

    # --- conclusion for one node ----------------------------------------------------------------

    def _settle(self, seen: Observation) -> None:
        cluster, resource, node = self.cluster, seen.resource, seen.node
        told = resource.role is not Role.UNKNOWN  # not by a stop that has not been confirmed
        if not told:
            resource.role = Role.STOPPED
        if told and not seen.probe_pending:
            level: Resource | None = resource
            while level is not None:
                level.known_on.add(node.index)
                level = level.parent
        if (
            resource.role > Role.STOPPED
            and not node.online
            and not node.maintenance
            and resource.managed
        ):
            if node.is_guest:
                resource.failed = True
                failures.mark_unclean(cluster, node, f"{resource.id} is active there")
            elif cluster.options.fencing:
                if node.connection is not None and not node.connection.failed:
                    # The connection may be established elsewhere: then nothing is amiss.
                    node.revocable = True
                failures.mark_unclean(cluster, node, f"{resource.id} is active there")
        reaction = seen.on_fail
        failed = reaction is not OnFail.IGNORE
        if node.unclean:
            reaction = OnFail.IGNORE
        failures.react(cluster, seen, reaction)
        behind = resource.remote_node
        if resource.failed and behind is not None and behind.unclean:
            behind.revocable = False  # fenced even if it could be connected again
        if resource.role > Role.STOPPED:
            add_running(cluster, resource, node, failed=failed)
            if reaction is not OnFail.IGNORE:
                resource.failed = True
                if reaction not in (OnFail.DEMOTE, OnFail.BLOCK):
                    resource.fresh = True
        else:
            # What reactions asked for is moot: it does not run here (any more).
            stop = find(resource, "stop", node)
            if stop is not None and stop.node is node:
                stop.optional = True


def _activate(resource: Resource) -> None:
    if resource.role < Role.STARTED:
        resource.role = Role.UNPROMOTED if resource.promotable else Role.STARTED
