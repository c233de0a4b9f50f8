"""Act stage: actions behind a connection to a remote or guest node wait for the connection.

Source: facts/formats/SCHEDULER-SPEC.md row 10.4 h; Pacemaker Remote; crm_simulate 2.1.5.
"""

from enum import Enum

from standfest.core.scheduler import failures
from standfest.core.scheduler.actions import Action, relate_actions
from standfest.core.scheduler.cluster import Cluster, Relation
from standfest.core.scheduler.entities import Node, Resource, Role

R = Relation


class Link(Enum):
    """What becomes of the connection to a remote node in this transition."""

    ALIVE = 1
    AWAKENING = 2  # its host is lost or it is in the middle of a move: it will be up elsewhere
    UNKNOWN = 3  # down, and to be tried
    CLOSED = 4  # not to be established again
    LOST = 5  # failed for good: only fencing tells what runs behind it


def link_of(node: Node, connection: Resource) -> Link:
    """Return what becomes of the connection to a remote node."""
    host = connection.running[0] if connection.running else None
    if connection.next_role is Role.STOPPED or connection.assigned is None:
        if host is not None and host.unclean:
            return Link.LOST
        if not connection.failed:
            return Link.CLOSED
        waiting = connection.next_role is Role.STOPPED and connection.reconnect_interval
        return Link.UNKNOWN if waiting and node.remote_was_fenced else Link.LOST
    if host is None:
        return Link.UNKNOWN
    half_way = connection.partial_source is not None and len(connection.running) > 1
    return Link.AWAKENING if host.unclean or not host.online or half_way else Link.ALIVE


def order(cluster: Cluster) -> None:
    """Do nothing on a remote node before it is connected; stop everything before it is left.

    Comes before the fencing stage: what cannot be stopped over a lost connection needs fencing.
    """
    if not cluster.have_remote:
        return
    if cluster.options.enable_startup_probes:
        _unrecoverable(cluster)
    for action in list(cluster.actions):
        node, resource = action.node, action.resource
        if node is None or resource is None or not node.is_remote:
            continue
        connection = node.connection
        if connection is None or resource is connection or action.task == "stonith":
            continue
        if action.task == "start":
            _keep_until_connected(cluster, resource, node, connection)
        if connection.container is not None:
            _in_guest(cluster, action, node, connection, connection.container)
        else:
            _over_link(cluster, action, node, connection)


def _unrecoverable(cluster: Cluster) -> None:
    """Fence remote nodes that would be asked what runs there, and cannot be any more."""
    for node in cluster.nodes:
        connection = node.connection
        if node.is_guest or connection is None or node.online:
            continue
        if link_of(node, connection) is Link.LOST:
            failures.mark_unclean(cluster, node, "the connection is unrecoverable")


def _keep_until_connected(
    cluster: Cluster, resource: Resource, node: Node, connection: Resource
) -> None:
    """Leave what moves to a remote node where it is until that node is known to be connected."""
    for stop in resource.by_key.get(f"{resource.id}_stop_0", ()):
        if stop.node is not None and stop.node is not node:
            relate_actions(cluster, connection, stop, R.ORDERED, first_task="start")


def _after_start(cluster: Cluster, first: Resource, then: Action, extra: Relation) -> None:
    flags = R.ORDERED | R.UNRUNNABLE_FIRST_BLOCKS | extra
    relate_actions(cluster, first, then, flags, first_task="start")


def _before_stop(cluster: Cluster, first: Action, then: Resource, extra: Relation) -> None:
    relate_actions(cluster, first, then, R.ORDERED | extra, then_task="stop")


def _in_guest(
    cluster: Cluster, action: Action, node: Node, connection: Resource, container: Resource
) -> None:
    """Order an action inside a guest: with its container, and with the connection to it."""
    if container.failed:
        failures.mark_unclean(cluster, node, "container failed")
        node.remote_requires_reset = True
    if action.task in ("start", "promote"):
        _after_start(cluster, container, action, R.FIRST_IMPLIES_THEN)
        _after_start(cluster, connection, action, R.NONE)
    elif action.task in ("stop", "demote"):
        if not container.failed:  # otherwise the container's stop does it
            _before_stop(cluster, action, connection, R.NONE)
    else:
        again = bool(action.interval) and action.task != "cancel"
        _after_start(cluster, connection, action, R.FIRST_IMPLIES_THEN if again else R.NONE)


def _over_link(cluster: Cluster, action: Action, node: Node, connection: Resource) -> None:
    """Order an action on a remote node with the connection to it."""
    state = link_of(node, connection)
    match action.task:
        case "start" | "promote":
            forced = R.FIRST_IMPLIES_THEN if state is Link.LOST else R.NONE
            _after_start(cluster, connection, action, forced)
        case "stop":
            if state is Link.LOST:
                reason = "resources are active but connection is unrecoverable"
                failures.mark_unclean(cluster, node, reason)
            elif state is Link.ALIVE or connection.next_role is Role.STOPPED:
                _before_stop(cluster, action, connection, R.THEN_IMPLIES_FIRST)
            else:
                _after_start(cluster, connection, action, R.NONE)
        case "demote":
            if state in (Link.AWAKENING, Link.UNKNOWN):
                _after_start(cluster, connection, action, R.NONE)
        case _:
            _other(cluster, action, node, connection, state)


def _other(cluster: Cluster, action: Action, node: Node, connection: Resource, state: Link) -> None:
    if action.interval and action.task != "cancel":
        _after_start(cluster, connection, action, R.FIRST_IMPLIES_THEN)
        return
    if state is Link.LOST and action.task == "monitor":
        reason = "resources are in unknown state and connection is unrecoverable"
        failures.mark_unclean(cluster, node, reason)
    if state is Link.CLOSED and connection.running:
        _before_stop(cluster, action, connection, R.UNRUNNABLE_FIRST_BLOCKS)
    else:
        _after_start(cluster, connection, action, R.NONE)
