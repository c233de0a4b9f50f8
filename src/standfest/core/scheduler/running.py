"""Unpack stage: noting where a resource is active."""

from standfest.core.scheduler import failures
from standfest.core.scheduler.cluster import Cluster
from standfest.core.scheduler.entities import Kind, Location, Node, Resource, Role
from standfest.model.scores import INFINITY

UNMANAGED = "unmanaged"


def add_running(cluster: Cluster, resource: Resource, node: Node, *, failed: bool) -> None:
    """Note that a resource is active on a node, and its parents with it."""
    if node in resource.running:
        return
    resource.running.append(node)
    if resource.kind is Kind.PRIMITIVE:
        node.running.append(resource)
        if node.maintenance:
            resource.managed = False
            resource.maintenance = True
        if cluster.options.priority_fencing_delay and not failed:
            bonus = 1 if resource.role is Role.PROMOTED else 0
            priority = resource.priority
            if resource.clone is not None and not priority:
                priority = resource.clone.priority
            if priority:
                node.priority += priority + bonus
    if resource.kind is Kind.PRIMITIVE and not resource.managed:
        # Rule 2.10: it stays, and who goes with it goes there.
        stay = Location(UNMANAGED, Role.UNKNOWN, {node.index: INFINITY}, resource.element)
        resource.locations.append(stay)
    elif resource.kind is Kind.PRIMITIVE and len(resource.running) > 1:
        _multiple(resource)
    if resource.parent is not None:
        add_running(cluster, resource.parent, node, failed=False)


def current_node(resource: Resource) -> Node | None:
    """Return the node that counts as the one where a resource is, of several perhaps.

    That is the source of a migration that is half way, else the first that is there and clean.
    """
    if resource.partial_source is not None and resource.partial_source in resource.running:
        return resource.partial_source
    clean = [node for node in resource.running if node.online and not node.unclean]
    return next(iter(clean or resource.running), None)


def _multiple(resource: Resource) -> None:
    if resource.multiple_active == "stop_only":
        resource.next_role = Role.STOPPED
        resource.stop_unexpected = False
        resource.locations.append(failures.nowhere(resource, "multiple-active=stop_only"))
    elif resource.multiple_active == "block":
        top = resource.parent if resource.parent is not None else resource
        if top.kind is not Kind.GROUP:
            top = resource
        for leaf in top.primitives():
            leaf.managed = False
            leaf.blocked = True
