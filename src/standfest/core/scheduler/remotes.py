"""Pacemaker Remote: connections, the nodes behind them, and resources inside containers.

A remote node is reached through a connection resource that runs on a cluster node; a guest node
lives in a container (a virtual machine), and its connection goes where the container goes.
Source: facts/formats/SCHEDULER-SPEC.md row 10.4 h; Pacemaker Remote, "Integrating resources".
"""

from typing import TYPE_CHECKING

from standfest.core.scheduler import values
from standfest.core.scheduler.actions import relate
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
from standfest.core.scheduler.nodes import add_remote
from standfest.model.element import Element
from standfest.model.history import Recorded
from standfest.model.scores import INFINITY

if TYPE_CHECKING:
    from standfest.core.scheduler.resources import Reader

R = Relation
_PREFERRED = 10_000
_CONNECTION = (("class", "ocf"), ("provider", "pacemaker"), ("type", "remote"))
_NEEDED = R.ORDERED | R.FIRST_IMPLIES_THEN | R.UNRUNNABLE_FIRST_BLOCKS


def connect(reader: "Reader") -> None:
    """Make the connections that `remote-node` implies, and tie `container` members."""
    cluster = reader.cluster
    for resource in list(cluster.resources):
        for leaf in resource.primitives():
            name = leaf.meta.get("remote-node")
            node = cluster.node_by_name.get(name or "")
            if node is not None and node.connection is None and leaf.remote_node is None:
                cluster.resources.append(implied(reader, leaf, node))
            container = cluster.by_id.get(leaf.meta.get("container", ""))
            if container is not None and container is not leaf and leaf.remote_node is None:
                _contained(leaf, container)


def recall(cluster: Cluster, recorded: Recorded) -> None:
    """Make the nodes behind connections that are removed from the configuration, but recorded.

    What runs on them must be found, and the connections closed.
    """
    for record in recorded.nodes:
        for known in record.history:
            if known.agent != ("ocf", "pacemaker", "remote") or known.id in cluster.by_id:
                continue
            if known.entries and known.id not in cluster.node_by_name:
                node = add_remote(cluster, known.id)
                node.is_guest = bool(known.container)


def implied(reader: "Reader", container: Resource, node: Node) -> Resource:
    """Return a new connection to the guest node inside a container."""
    cluster = reader.cluster
    element = Element("primitive", (("id", node.name), *_CONNECTION))
    connection = Resource(node.name, Kind.PRIMITIVE, element, None)
    reader.read_options(connection)
    connection.container = container
    connection.remote_node = node
    connection.managed = container.managed
    connection.maintenance = container.maintenance
    connection.needs = container.needs
    migrates = container.meta.get("remote-allow-migrate")
    connection.allow_migrate = values.boolean(migrates, False)
    monitor = OperationConfig("monitor", 30_000)
    monitor.timeout = 30_000
    connection.operations.append(monitor)
    node.connection = connection
    node.is_guest = True
    container.is_guest_container = True
    container.fillers.append(connection)
    cluster.by_id.setdefault(connection.id, connection)
    _tie(connection, container)
    return connection


def _contained(leaf: Resource, container: Resource) -> None:
    leaf.container = container
    container.fillers.append(leaf)
    _tie(leaf, container)


def _tie(inner: Resource, container: Resource) -> None:
    # A bundle may run on a remote node, to which its connection cannot follow.
    follows = container.parent is None or inner.remote_node is None
    score = INFINITY if follows else _PREFERRED
    tie = Colocation("#resource-with-container", inner, container, score)
    inner.this_with.append(tie)
    container.with_this.append(tie)


def nested(connection: Resource) -> Colocation | None:
    """Return the tie of a connection whose container is on a remote node to that node's connection.

    A remote node can be reached over one connection only, so both must be on the same host.
    """
    container = connection.container
    host = container.assigned if container is not None else None
    if connection.remote_node is None or host is None or host.connection is None:
        return None
    return Colocation("#nested-connection", connection, host.connection, INFINITY)


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
        if node.revocable:
            node.unclean = False
    else:
        node.shutdown = True


def refill(cluster: Cluster) -> None:
    """Put removed resources back into the containers that they were recorded with."""
    assert cluster.recorded is not None, "unpack sets it"
    for node in cluster.recorded.nodes:
        for record in node.history:
            inner = cluster.by_id.get(record.id) if record.container else None
            container = cluster.by_id.get(record.container)
            if inner is not None and inner.removed and container not in (None, inner):
                inner.container = container


def derive_state(node: Node, *, heard: bool) -> None:
    """Derive the state of the node behind a connection from the connection's (rule 10.4 h).

    heard: whether the node's own record counts.
    """
    connection = node.connection
    node.pending = False
    if connection is None:
        return
    container = connection.container
    if heard and values.integer(node.attributes.get("shutdown"), 0) > 0:
        node.shutdown = True
    started = connection.role is Role.STARTED
    node.online = node.online or started
    node.shutdown = node.shutdown or (started and connection.next_role is Role.STOPPED)
    # A guest goes down with its host; to a remote node there may be another way.
    only = container is not None and len(connection.running) == 1
    host = connection.running[0] if only else None
    if container is not None and container.failed:
        node.online = False
        node.remote_requires_reset = True
    elif connection.failed:
        node.online = False
    elif not connection.running or (container is not None and not container.running):
        node.online = False
        node.remote_requires_reset = False
    elif host is not None and not host.online and host.unclean:
        node.online = False
        node.remote_requires_reset = True
    if heard and node.record is not None and not connection.managed:
        node.maintenance = True  # nobody would bring the connection back
    if node.remote_maintenance and "maintenance" not in node.attributes:
        node.maintenance = True


def relate_container(cluster: Cluster, inner: Resource) -> None:
    """Order what is inside a container with the container."""
    container = inner.container
    if container is None:
        return
    relate(cluster, container, "start", inner, "start", _NEEDED)
    relate(cluster, inner, "stop", container, "stop", R.ORDERED | R.THEN_IMPLIES_FIRST)
