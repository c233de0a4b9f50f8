"""Which resource a name means, and where it is: an instance by number, or a whole clone."""

from collections.abc import Iterator
from dataclasses import dataclass

from standfest.core.scheduler.cluster import Cluster
from standfest.core.scheduler.entities import Kind, Node, Resource, Role
from standfest.monitor.crm.bundles import address_of, replicas_of
from standfest.monitor.crm.situation import bundle_parts, is_bundle, role_of, tree


@dataclass(frozen=True, slots=True)
class Place:
    """A node where a resource is active, and whether it is promoted there."""

    node: Node
    promoted: bool


def found(cluster: Cluster, name: str, *, parts: bool = False) -> Resource | None:
    """Return the resource of this name; None if there is none.

    What an anonymous clone is made of means its first instance; parts: of a unique one, too.
    """
    exact = next((one for one in everything(cluster) if one.id == name), None)
    if exact is not None:
        return exact
    for one in everything(cluster):
        if one.base == name and one.clone is not None and (parts or not one.globally_unique):
            return one
    return None


def everything(cluster: Cluster) -> Iterator[Resource]:
    """Yield all resources with all in them, the outermost in document order."""
    for whole in cluster.resources:
        yield from tree(whole)


def is_instance(resource: Resource, name: str) -> bool:
    """Return whether the name is that of one instance of a clone, by its number."""
    return resource.clone is not None and resource is not resource.clone and name != resource.base


def places(resource: Resource, name: str) -> list[Place]:
    """Return where a resource is; by a name without a number, of all instances.

    The last first, as Pacemaker's tool says it.
    """
    seen: dict[int, Place] = {}
    for leaf in _meant(resource, name).primitives():
        for node in active_on(leaf):
            known = seen.get(node.index)
            promoted = role_of(leaf) is Role.PROMOTED or (known is not None and known.promoted)
            seen[node.index] = Place(node, promoted)
    return list(seen.values())[::-1]


def active_on(leaf: Resource) -> list[Node]:
    """Return where a primitive is active; where it is still being started it is not yet."""
    if not leaf.start_pending:
        return leaf.running
    return [node for node in leaf.running if node is not leaf.pending_node]


def _meant(resource: Resource, name: str) -> Resource:
    anonymous = resource.clone is not None and not resource.globally_unique
    primitive = resource.kind is Kind.PRIMITIVE
    if anonymous and primitive and name == resource.base and resource.id != name:
        assert resource.clone is not None, "an instance is one of a clone"
        return resource.clone
    return resource


def is_running(resource: Resource) -> bool:
    """Return whether any of it is active anywhere."""
    return any(active_on(leaf) for leaf in resource.primitives())


def outermost(cluster: Cluster) -> list[Resource]:
    """Return the outermost resources in the order in which tools name them: by priority.

    What a bundle is made of is in the bundle.
    """
    parts = bundle_parts(cluster)
    whole = [one for one in cluster.resources if id(one) not in parts]
    return sorted(whole, key=lambda one: -one.priority)


def primitives(cluster: Cluster) -> Iterator[Resource]:
    """Yield all primitives in that order, those within groups and clones in their place."""
    for whole in outermost(cluster):
        if is_bundle(whole):
            yield from _within(cluster, whole)
            continue
        for one in tree(whole):
            if one.kind is Kind.PRIMITIVE and not is_bundle(one):
                yield one


def _within(cluster: Cluster, bundle: Resource) -> Iterator[Resource]:
    """Yield the parts of a bundle: of each replica all around what runs inside, then that."""
    replicas = replicas_of(cluster, bundle)
    for replica in replicas:
        yield replica.container
        address = address_of(cluster, replica)
        if address is not None:
            yield address
        if replica.connection is not None:
            yield replica.connection
    for replica in replicas:
        if replica.inner is not None:
            yield replica.inner
