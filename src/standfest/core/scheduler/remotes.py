"""Pacemaker Remote: connections, the nodes behind them, and resources inside containers.

A remote node is reached through a connection resource that runs on a cluster node; a guest node
lives in a container (a virtual machine), and its connection goes where the container goes.
Source: facts/formats/SCHEDULER-SPEC.md row 10.4 h; Pacemaker Remote, "Integrating resources".
"""

from standfest.core.scheduler.actions import order_actions, relate
from standfest.core.scheduler.cluster import Cluster, Relation
from standfest.core.scheduler.entities import (
    Colocation,
    Kind,
    Node,
    OperationConfig,
    Resource,
    Role,
)
from standfest.core.scheduler.ledger import Cause
from standfest.model.element import Element
from standfest.model.scores import INFINITY

R = Relation
_CONNECTION = (("class", "ocf"), ("provider", "pacemaker"), ("type", "remote"))
_NEEDED = R.ORDERED | R.FIRST_IMPLIES_THEN | R.UNRUNNABLE_FIRST_BLOCKS


def connect(cluster: Cluster) -> None:
    """Make the connections that `remote-node` implies, and tie `container` members."""
    for resource in list(cluster.resources):
        for leaf in resource.primitives():
            name = leaf.meta.get("remote-node")
            node = cluster.node_by_name.get(name or "")
            if node is not None and node.connection is None and leaf.remote_node is None:
                implied(cluster, leaf, node)
            container = cluster.by_id.get(leaf.meta.get("container", ""))
            if container is not None and container is not leaf and leaf.remote_node is None:
                _contained(leaf, container)


def implied(cluster: Cluster, container: Resource, node: Node) -> Resource:
    """Return a new connection to the guest node inside a container."""
    element = Element("primitive", (("id", node.name), *_CONNECTION))
    connection = Resource(node.name, Kind.PRIMITIVE, element, None)
    connection.agent = ("ocf", "pacemaker", "remote")
    connection.container = container
    connection.remote_node = node
    connection.managed = container.managed
    connection.maintenance = container.maintenance
    connection.needs = container.needs
    connection.allow_migrate = container.allow_migrate
    monitor = OperationConfig("monitor", 30_000)
    monitor.timeout = 30_000
    connection.operations.append(monitor)
    node.connection = connection
    node.is_guest = True
    container.is_guest_container = True
    container.fillers.append(connection)
    cluster.resources.append(connection)
    cluster.by_id.setdefault(connection.id, connection)
    _tie(connection, container)
    return connection


def _contained(leaf: Resource, container: Resource) -> None:
    leaf.container = container
    container.fillers.append(leaf)
    _tie(leaf, container)


def _tie(inner: Resource, container: Resource) -> None:
    tie = Colocation("#resource-with-container", inner, container, INFINITY)
    inner.this_with.append(tie)
    container.with_this.append(tie)


def keep_off(cluster: Cluster) -> None:
    """Keep connections, fence devices and containers of guests off remote nodes."""
    if not cluster.have_remote:
        return
    for resource in cluster.resources:
        for leaf in resource.primitives():
            if leaf.remote_node is None and not leaf.fence_device and not leaf.is_guest_container:
                continue
            for node in cluster.nodes:
                if node.is_guest or (node.is_remote and not leaf.is_guest_container):
                    leaf.allowed[node.index] = -INFINITY
            cluster.note(leaf, Cause.REMOTE)


def reach(connection: Resource) -> None:
    """Count the node behind a connection as there, or as leaving, when its place is decided."""
    node = connection.remote_node
    if node is None:
        return
    if connection.assigned is not None and connection.next_role is not Role.STOPPED:
        node.online = True
        if not node.unpacked:
            node.unclean = False
    else:
        node.shutdown = True


def order(cluster: Cluster) -> None:
    """Do nothing on a remote node before it is connected; stop everything before it is left."""
    if not cluster.have_remote:
        return
    for action in list(cluster.actions):
        node, resource = action.node, action.resource
        if node is None or resource is None or not (node.is_remote or node.is_guest):
            continue
        connection = node.connection
        if connection is None or resource is connection or action.task == "stonith":
            continue
        begun = connection.by_key.get(f"{connection.id}_start_0", ())
        ended = connection.by_key.get(f"{connection.id}_stop_0", ())
        if action.task in ("stop", "demote"):
            moves = connection.next_role > Role.STOPPED and not node.is_guest
            for stop in ended:
                if not moves and stop.node is not None:
                    order_actions(action, stop, int(R.ORDERED))
            continue
        flags = (
            _NEEDED
            if node.is_guest and not action.interval
            else (R.ORDERED | R.UNRUNNABLE_FIRST_BLOCKS)
        )
        if action.task == "monitor" and not action.interval:
            flags = R.ORDERED | R.UNRUNNABLE_FIRST_BLOCKS
        for start in begun:
            if start.node is not None:
                order_actions(start, action, int(flags))


def relate_container(cluster: Cluster, inner: Resource) -> None:
    """Order what is inside a container with the container."""
    container = inner.container
    if container is None:
        return
    relate(cluster, container, "start", inner, "start", _NEEDED)
    relate(cluster, inner, "stop", container, "stop", R.ORDERED)
