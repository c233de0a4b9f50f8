"""Bundles: their replicas as lines; in detail, all that each replica consists of."""

from collections.abc import Iterator

from standfest.core.scheduler.cluster import Bundle, Cluster, Replica
from standfest.core.scheduler.entities import Resource
from standfest.core.scheduler.running import current_node
from standfest.core.scheduler.values import boolean
from standfest.monitor.crm.layout import Block, Item, Line
from standfest.monitor.crm.primitives import line_of
from standfest.monitor.crm.show import Show
from standfest.monitor.crm.situation import Situation

ENGINES = ("docker", "podman", "rkt")


def engine_of(bundle: Resource) -> tuple[str, str]:
    """Return a bundle's container engine and its image."""
    for child in bundle.element.children:
        if child.tag in ENGINES:
            return child.tag, child.get("image") or ""
    return "", ""


def is_unique(bundle: Resource) -> bool:
    """Return whether a host may have several replicas."""
    return bundle.clone_node_max > 1


def replicas_of(cluster: Cluster, bundle: Resource) -> list[Replica]:
    """Return a bundle's replicas."""
    found: Bundle | None = next((b for b in cluster.bundles if b.id == bundle.id), None)
    return found.replicas if found is not None else []


def parts_of(cluster: Cluster, replica: Replica) -> Iterator[Resource]:
    """Yield address, what runs inside, container, and connection of a replica."""
    address = address_of(cluster, replica)
    if address is not None:
        yield address
    if replica.inner is not None:
        yield replica.inner
    yield replica.container
    if replica.connection is not None:
        yield replica.connection


def address_of(cluster: Cluster, replica: Replica) -> Resource | None:
    """Return a replica's address, if it has one."""
    return next((ip for ip, c in cluster.bundle_orders if c is replica.container), None)


def bundle_block(situation: Situation, bundle: Resource, show: Show) -> Block:
    """Return a bundle as a list."""
    cluster = situation.cluster
    replicas = replicas_of(cluster, bundle)
    set_ = " set" if len(replicas) > 1 else ""
    title = f"Container bundle{set_}: {bundle.id} [{engine_of(bundle)[1]}]"
    if is_unique(bundle):
        title += " (unique)"
    if not boolean(bundle.meta.get("is-managed"), True) or not bundle.managed:
        title += " (unmanaged)"
    items: list[Item] = []
    for number, replica in enumerate(replicas):
        if show.detail:
            parts = tuple(line_of(situation, p, show) for p in parts_of(cluster, replica))
            title_of = f"Replica[{number}]" if len(replicas) > 1 else ""
            items.append(Block(title_of, parts, plain=True))
        else:
            items.append(_replica(situation, replica, show))
    return Block(title, tuple(items))


def _replica(situation: Situation, replica: Replica, show: Show) -> Line:
    address = address_of(situation.cluster, replica)
    name = replica.key
    if address is not None:
        name += f" ({address.parameters.get('ip', '')})"
    shown = replica.inner if replica.inner is not None else replica.container
    return line_of(situation, shown, show, name, current_node(replica.container))
