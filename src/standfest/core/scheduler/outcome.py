"""What a scheduling run comes to: what happens to each resource, and where everything runs then.

Source: shared/suites/scheduler/FORMAT.md sections 3 to 5.
"""

from dataclasses import dataclass

from standfest.core.scheduler.actions import Action
from standfest.core.scheduler.cluster import Cluster, Relation
from standfest.core.scheduler.entities import Node, Resource, Role

ROLE_NAMES = {
    Role.UNKNOWN: "Stopped",
    Role.STOPPED: "Stopped",
    Role.STARTED: "Started",
    Role.UNPROMOTED: "Unpromoted",
    Role.PROMOTED: "Promoted",
}


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happens to a resource or node; `op` as in FORMAT.md section 4."""

    op: str
    resource: str = ""
    node: str = ""
    source: str = ""
    target: str = ""
    role_from: str = ""
    role_to: str = ""
    how: str = ""
    blocked: bool = False
    reason: str = ""


def label(resource: Resource) -> str:
    """Return a resource's name: instances of an anonymous clone share one."""
    return resource.id if resource.globally_unique else resource.base


def leaves_of(cluster: Cluster) -> list[Resource]:
    """Return all primitives."""
    return [leaf for resource in cluster.resources for leaf in resource.primitives()]


def happens(action: Action) -> bool:
    """Return whether an action is in the transition and can be executed."""
    return not action.optional and action.runnable and not action.looped


def events(cluster: Cluster) -> list[Event]:
    """Return everything that happens, in the order of resources, fencing last."""
    found: list[Event] = []
    for leaf in leaves_of(cluster):
        found += _events(leaf)
    for action in cluster.actions:
        if action.task == "stonith" and not action.optional:
            assert action.node is not None, "a node is fenced"
            found.append(
                Event(
                    "fence",
                    node=action.node.name,
                    how=action.how,
                    blocked=not action.runnable,
                    reason=action.reason,
                )
            )
    return found


class _Deeds:
    """The required actions of a resource, by task; ended: only those that will have happened."""

    def __init__(self, resource: Resource, *, ended: bool = False) -> None:
        self.stop: list[Node] = []
        self.start: list[Node] = []
        self.promote: list[Node] = []
        self.demote: list[Node] = []
        self.migrate: Action | None = None
        self.reload: list[Node] = []
        self.blocked: list[Action] = []
        for action in resource.actions:
            node = action.node
            if action.optional or node is None or (ended and action.looped):
                continue
            if not action.runnable:
                self.blocked.append(action)
                continue
            if action.task == "stop":
                if action.how == "dangling" and node not in resource.running:
                    continue  # the last step of a migration that is complete
                self.stop.append(node)
            elif action.task == "start":
                self.start.append(node)
            elif action.task == "promote":
                self.promote.append(node)
            elif action.task == "demote":
                self.demote.append(node)
            elif action.task == "reload-agent":
                self.reload.append(node)
            elif action.task == "migrate_from":
                start = next(
                    (a for a in resource.actions if a.task == "start" and a.node is node), None
                )
                if start is not None and start.pseudo and start.migratable:
                    self.migrate = action


def _events(leaf: Resource) -> list[Event]:
    deeds = _Deeds(leaf)
    name = label(leaf)
    before, after = ROLE_NAMES[leaf.role], ROLE_NAMES[leaf.next_role]
    found: list[Event] = []
    if deeds.migrate is not None:
        meta = deeds.migrate.meta
        return [
            Event(
                "migrate",
                name,
                source=meta["migrate_source"],
                target=meta["migrate_target"],
                role_from=before,
                role_to=after,
            )
        ]
    target = deeds.start[0] if deeds.start else None
    stops = deeds.stop
    if target is not None and (stops or target in leaf.running):
        if target in leaf.running or target in stops:
            op = "recover" if leaf.failed else "restart"
            found.append(Event(op, name, target.name, role_from=before, role_to=after))
        else:
            op = "recover" if leaf.failed else "move"
            source = stops[0]
            found.append(
                Event(
                    op,
                    name,
                    source=source.name,
                    target=target.name,
                    role_from=before,
                    role_to=after,
                )
            )
        return found
    if stops:
        found += [Event("stop", name, source=node.name, role_from=before) for node in stops]
    elif target is not None:
        if target in deeds.promote:
            found.append(
                Event("promote", name, target.name, role_from="Stopped", role_to="Promoted")
            )
        elif not any(a.task == "promote" and a.node is target for a in deeds.blocked):
            found.append(Event("start", name, target=target.name, role_to=after))
    elif deeds.promote and deeds.demote and set(deeds.promote) & set(deeds.demote):
        found.append(Event("repromote", name, deeds.promote[0].name))
    else:
        roles = ("Unpromoted", "Promoted")
        found += [
            Event("promote", name, node.name, role_from=roles[0], role_to=roles[1])
            for node in deeds.promote
        ]
        found += [
            Event("demote", name, node.name, role_from=roles[1], role_to=roles[0])
            for node in deeds.demote
        ]
        if not found:
            found += [Event("reload", name, node.name) for node in deeds.reload]
    for action in deeds.blocked:
        assert action.node is not None, "others are left out above"
        place = action.node.name
        if action.task == "start" and not stops:
            found.append(Event("start", name, target=place, blocked=True, reason=action.reason))
        elif action.task == "stop":
            found.append(Event("stop", name, source=place, blocked=True, reason=action.reason))
        elif action.task == "promote" and target is not None and not stops:
            # Shown as one thing that cannot be completed, though its start can.
            roles = ("Stopped", "Promoted")
            found.append(
                Event("promote", name, place, "", "", *roles, blocked=True, reason=action.reason)
            )
    return found


def node_state(node: Node) -> str:
    """Return a node's state in one word."""
    if node.unclean:
        if node.pending:
            return "unclean-pending"
        return "unclean-online" if node.online else "unclean-offline"
    if node.pending:
        return "pending"
    if not node.online:
        return "offline"
    if node.standby:
        return "standby"
    return "maintenance" if node.maintenance else "online"


def initial(cluster: Cluster) -> dict[str, list[tuple[str, str]]]:
    """Return (role, node) pairs of every resource as it is now."""
    found: dict[str, list[tuple[str, str]]] = {}
    for bundle in cluster.bundles:
        for replica in bundle.replicas:
            container, inner = replica.container, replica.inner
            running = {host.index: container.role for host in container.running}
            inside = {host.index: inner.role for host in inner.running} if inner else None
            found[replica.key] = _replica(cluster, inner, running, inside)
    for leaf in _shown(cluster):
        places = found.setdefault(label(leaf), [])
        for node in leaf.running:
            places.append((_role_name(leaf, leaf.role), node.name))
    return found


def _shown(cluster: Cluster) -> list[Resource]:
    """Return the primitives that are not parts of bundles."""
    parts = {r.container.id for b in cluster.bundles for r in b.replicas}
    return [
        leaf
        for leaf in leaves_of(cluster)
        if leaf.id not in parts and leaf.id not in cluster.hidden and leaf.home is None
    ]


def _replica(
    cluster: Cluster,
    inner: Resource | None,
    running: dict[int, Role],
    inside: dict[int, Role] | None,
) -> list[tuple[str, str]]:
    """Return where a replica is: its container's host, with the role of what runs inside."""
    hosts = [cluster.nodes[index].name for index in running]
    if inner is None or inside is None:
        return [("Started", host) for host in hosts]
    if not inside:
        return []
    role = max(inside.values())
    return [(_role_name(inner, role), host) for host in hosts]


def _role_name(leaf: Resource, role: Role) -> str:
    if leaf.promotable and role is Role.STARTED:
        return "Unpromoted"
    return ROLE_NAMES[role]


def final(cluster: Cluster) -> tuple[dict[str, str], dict[str, list[tuple[str, str]]]]:
    """Return node states and (role, node) pairs when everything executable has succeeded."""
    fenced = {
        action.node.index
        for action in cluster.actions
        if action.task == "stonith"
        and happens(action)
        and action.how in ("reboot", "off")
        and action.node is not None
    }
    nodes = {}
    for node in cluster.nodes:
        if node.index in fenced and not node.is_guest:
            nodes[node.name] = "offline"
        elif node.connection is None:
            nodes[node.name] = node.before
    places: dict[str, list[tuple[str, str]]] = {}
    for bundle in cluster.bundles:
        for replica in bundle.replicas:
            inner = replica.inner
            running = _after(cluster, replica.container, fenced)
            inside = _after(cluster, inner, fenced) if inner is not None else None
            places[replica.key] = _replica(cluster, inner, running, inside)
    for leaf in _shown(cluster):
        mine = places.setdefault(label(leaf), [])
        for index, role in _after(cluster, leaf, fenced).items():
            mine.append((_role_name(leaf, role), cluster.nodes[index].name))
    for node in cluster.nodes:
        if node.connection is not None:
            nodes[node.name] = _remote_after(cluster, node, fenced)
    return nodes, places


def _remote_after(cluster: Cluster, node: Node, fenced: set[int]) -> str:
    """Return a remote node's state: it is there when its connection is."""
    assert node.connection is not None, "checked by the caller"
    connection = node.connection
    active = _after(cluster, connection, fenced)
    if not active:
        # What ended a connection is remembered until it is to be tried again.
        waiting = connection.failed and connection.reconnect_interval and connection.running
        kept = waiting and cluster.options.fencing and not node.remote_was_fenced
        unseen = node.index not in fenced and node.before == "unclean-offline"
        return "unclean-offline" if kept or (unseen and not node.is_guest) else "offline"
    up = any(cluster.nodes[index].online for index in active)
    if not up or (connection.failed and not _Deeds(connection).start):
        return "offline"
    if node.standby:
        return "standby"
    return "maintenance" if node.maintenance else "online"


def _after(cluster: Cluster, leaf: Resource, fenced: set[int]) -> dict[int, Role]:
    active = {node.index: leaf.role for node in leaf.running if node.index not in fenced}
    deeds = _Deeds(leaf, ended=True)
    for node in deeds.demote:
        if node.index in active:
            active[node.index] = Role.UNPROMOTED
    for node in deeds.stop:
        active.pop(node.index, None)
    if deeds.migrate is not None:
        for node in leaf.running:
            active.pop(node.index, None)
        target = deeds.migrate.node
        assert target is not None, "a migration has a target"
        active[target.index] = Role.STARTED
    for node in deeds.start:
        active[node.index] = Role.UNPROMOTED if leaf.promotable else Role.STARTED
    for node in deeds.promote:
        active[node.index] = Role.PROMOTED
    return active


OPERATIONS = frozenset(
    ("start", "stop", "promote", "demote", "migrate_to", "migrate_from", "reload-agent")
)


def graph(cluster: Cluster) -> tuple[list[dict[str, object]], list[tuple[int, int]]]:
    """Return the agents' and the fencer's operations, and which must be complete before which.

    Milestones are left out; what they order stays ordered.
    """
    chosen = [a for a in cluster.actions if a.runnable and (not a.optional or a.print_always)]
    numbers: dict[int, int] = {}
    ops: list[dict[str, object]] = []
    for action in chosen:
        operation = _operation(action)
        if operation is not None:
            numbers[action.id] = len(ops)
            ops.append(operation)
    in_graph = {action.id for action in chosen}
    before: dict[int, frozenset[int]] = {}
    edges: list[tuple[int, int]] = []
    for action in chosen:
        if action.id in numbers:
            sources = sorted(_sources(action, in_graph, numbers, before))
            edges += [(number, numbers[action.id]) for number in sources]
    return ops, edges


def _sources(
    action: Action,
    in_graph: set[int],
    numbers: dict[int, int],
    known: dict[int, frozenset[int]],
) -> frozenset[int]:
    """Return the operations that come before an action, through any milestones."""
    found: set[int] = set()
    seen = {action.id}
    waiting = [action]
    while waiting:
        one = waiting.pop()
        for link in one.before:
            other = link.action
            if other.id in seen or other.id not in in_graph or not link.flags:
                continue
            apart = other.node is not None and one.node not in (None, other.node)
            if link.flags & Relation.IF_ON_SAME_NODE and apart:
                continue
            seen.add(other.id)
            if other.id in numbers:
                found.add(numbers[other.id])
            else:
                waiting.append(other)
    return frozenset(found)


def _operation(action: Action) -> dict[str, object] | None:
    node = action.node.name if action.node is not None else ""
    if action.task == "stonith":
        return {"op": "fence", "node": node, "how": action.how}
    if action.task == "do_shutdown":
        return {"op": "shutdown", "node": node}
    resource = action.resource
    if resource is None or action.pseudo:
        return None
    name = label(resource)
    if action.task in OPERATIONS:
        task = "reload" if action.task == "reload-agent" else action.task
        return {"op": task, "rsc": name, "node": node}
    if action.task == "monitor" and not action.interval:
        return {"op": "probe", "rsc": name, "node": node}
    if action.task in ("clear_failcount", "delete"):
        return {"op": action.task, "rsc": name, "node": node}
    if action.task == "cancel" or action.interval:
        op = "cancel" if action.task == "cancel" else "monitor"
        return {"op": op, "rsc": name, "node": node, "interval": action.interval}
    return None
