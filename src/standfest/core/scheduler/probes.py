"""Act stage: what is asked once of nodes about which nothing is known; clean-ups.

Source: facts/formats/SCHEDULER-SPEC.md rows 11.1 to 11.3, 3.6 and section 9 (removed resources).
"""

from standfest.core.scheduler import failures
from standfest.core.scheduler.actions import Action, make, order_actions, relate, relate_actions
from standfest.core.scheduler.cluster import Cluster, Relation
from standfest.core.scheduler.entities import Node, Resource, Role

R = Relation


def probe(cluster: Cluster, resource: Resource) -> None:
    """Make the probes of a primitive, and the clean-ups of what is known no longer to matter."""
    if resource.removed:
        _forget(cluster, resource)
    _clear(cluster, resource)
    if resource.removed:
        return
    _forget_other_agent(cluster, resource)
    if not cluster.options.enable_startup_probes:
        return
    for node in cluster.nodes:
        if node.index in resource.known_on or not node.online or node.unclean:
            continue
        if node in resource.running or not _wanted(cluster, resource, node):
            continue
        made = make(cluster, resource, "monitor", node, optional=False)
        made.optional = False
        made.expected = 7
        if node.pending:
            made.runnable = False


def _wanted(cluster: Cluster, resource: Resource, node: Node) -> bool:
    if (resource.home is not None or node.in_bundle) and resource.home is not node:
        return False  # nothing else is inside a bundle, and its inside is nowhere else
    if node.is_guest or node.is_remote:
        if resource.fence_device or resource.remote_node is not None:
            return False
        if resource.container is not None:
            return False
        if node.is_guest:
            connection = node.connection
            container = connection.container if connection is not None else None
            if container is None or container is resource or container.role < Role.STARTED:
                return False
            if _restarts(container, node):
                # What runs there ends with the guest: nothing to ask, only to wait for.
                relate(cluster, container, "stop", resource.top, "start", R.ORDERED)
                return False
    if node.shutdown and node.pending:
        return False
    if resource.discovery is not None and resource.discovery.get(node.index) == "never":
        return False
    if resource.exclusive and (
        resource.discovery is None or resource.discovery.get(node.index) != "exclusive"
    ):
        return False
    if not node.discovery:
        return False
    if resource.clone is not None and not resource.clone.globally_unique:
        return _first_of_its_kind(resource, node)
    return resource.lock_node is None


def _restarts(container: Resource, node: Node) -> bool:
    """Return whether a guest goes down, to come back or not."""
    return (
        container.failed
        or node.remote_requires_reset
        or node.unclean
        or container.next_role is Role.STOPPED
        or (container.assigned is not None and container.assigned not in container.running)
    )


def _first_of_its_kind(resource: Resource, node: Node) -> bool:
    """Return whether this instance is the one to ask on this node: one will do for all."""
    clone = resource.clone
    assert clone is not None, "checked by the caller"
    alike = [
        leaf
        for instance in clone.children
        for leaf in instance.primitives()
        if leaf.base == resource.base
    ]
    if any(node.index in leaf.known_on for leaf in alike):
        return False  # whichever instance it was: anonymous ones are alike
    placed = next((leaf for leaf in alike if leaf.assigned is node), alike[0])
    return placed is resource


def _clear(cluster: Cluster, resource: Resource) -> None:
    """Clear fail counts that have expired."""
    for index in sorted(resource.expired if resource.managed else ()):
        if index < 0 or not cluster.nodes[index].online or cluster.nodes[index].unclean:
            continue
        node = cluster.nodes[index]
        made = make(cluster, resource, "clear_failcount", node, optional=False)
        made.optional = False


def _forget(cluster: Cluster, resource: Resource) -> None:
    """Delete what is recorded of a removed resource, when it has been stopped."""
    if not resource.managed or resource.clone is not None:
        return
    for index in sorted(resource.history):
        node = cluster.nodes[index]
        if failures.fail_count(cluster, resource, node)[0]:
            resource.expired.add(index)  # it would count for another resource of that name
        if resource.failed or not node.usable:
            # What has failed is stopped first; a node that leaves forgets by itself.
            continue
        delete = make(cluster, resource, "delete", node, optional=False)
        delete.optional = False
        relate_actions(
            cluster, resource, delete, R.ORDERED | R.UNRUNNABLE_FIRST_BLOCKS, first_task="stop"
        )


def _forget_other_agent(cluster: Cluster, resource: Resource) -> None:
    """Delete what is recorded of another agent, after its stop and before the new one starts."""
    for index in sorted(resource.other_agent_on if resource.managed else ()):
        node = cluster.nodes[index]
        if not node.usable or (resource.failed and resource.clone is None):
            continue
        delete = make(cluster, resource, "delete", node, optional=False)
        delete.optional = False
        after = R.ORDERED | R.UNRUNNABLE_FIRST_BLOCKS
        relate_actions(cluster, resource, delete, after, first_task="stop")
        relate_actions(cluster, delete, resource, R.ORDERED, then_task="start")


def order_probes(cluster: Cluster) -> None:
    """Start nothing anywhere before all is known about where it runs (rule 11.1)."""
    groups: dict[str, list[Action]] = {}
    for action in cluster.actions:
        if action.task == "monitor" and action.expected == 7 and not action.interval:
            assert action.resource is not None, "probes are of resources"
            groups.setdefault(_family(action.resource), []).append(action)
    if not groups:
        return
    for resource in cluster.resources:
        for leaf in resource.primitives():
            probes = groups.get(_family(leaf))
            if not probes:
                continue
            for task in ("start", "migrate_to"):
                for then in leaf.by_key.get(f"{leaf.id}_{task}_0", ()):
                    if (then.optional and not then.print_always) or then.node is None:
                        continue
                    for first in probes:
                        # One that cannot be made now will be; it is not known to run meanwhile.
                        waits = not first.runnable and not leaf.top.running
                        blocks = R.UNRUNNABLE_FIRST_BLOCKS if waits else R.NONE
                        order_actions(first, then, int(R.ORDERED | blocks))


def _family(resource: Resource) -> str:
    """Return one name for all instances of an anonymous clone."""
    return resource.base if not resource.globally_unique else resource.id
