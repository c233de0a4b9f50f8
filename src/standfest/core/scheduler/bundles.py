"""Unpack stage: bundles, taken apart into the resources that they stand for.

Replica N of bundle B is an address `B-ip-ADDRESS`, a container `B-docker-N`, and where something
runs inside, a connection `B-N` to a guest node of that name and an instance of the primitive that
may only run there. The containers are spread over the nodes as the instances of a clone are.
Source: facts/formats/SCHEDULER-SPEC.md row 11.12; Pacemaker Explained, "Bundles".
"""

import ipaddress
from typing import TYPE_CHECKING

from standfest.core.scheduler import remotes, values
from standfest.core.scheduler.cluster import Bundle, Cluster, Relation, Replica
from standfest.core.scheduler.entities import Colocation, Kind, OperationConfig, Resource
from standfest.core.scheduler.ledger import Cause
from standfest.model.configuration import MAX_INSTANCES
from standfest.model.element import Element
from standfest.model.scores import INFINITY

if TYPE_CHECKING:
    from standfest.core.scheduler.resources import Reader

_ENGINES = ("docker", "podman", "rkt")


def guests_of(element: Element) -> list[str]:
    """Return the names of a bundle's guest nodes; needed before any table of nodes is made."""
    engine = _engine(element)
    if engine is None or not _networked(element) or element.child("primitive") is None:
        return []
    return [f"{element.id}-{number}" for number in range(_replicas(engine))]


def _engine(element: Element) -> Element | None:
    return next((child for child in element.children if child.tag in _ENGINES), None)


def _promoted(engine: Element) -> int:
    return values.integer(engine.get("promoted-max") or engine.get("masters"), 0)


def _replicas(engine: Element) -> int:
    count = values.integer(engine.get("replicas"), max(1, _promoted(engine)))
    return max(1, min(count, MAX_INSTANCES))


def _networked(element: Element) -> bool:
    network = element.child("network")
    return network is not None and bool(
        network.get("ip-range-start") or network.get("control-port")
    )


def read_bundle(reader: "Reader", bundle: Resource) -> None:
    """Make a bundle's resources; the bundle itself becomes the collection of its containers."""
    cluster, element = reader.cluster, bundle.element
    engine = _engine(element)
    if engine is None:
        return
    replicas = _replicas(engine)
    bundle.kind = Kind.CLONE
    bundle.globally_unique = True
    bundle.interleave = True
    bundle.ordered = False  # the containers; what runs inside is begun one after the other
    bundle.clone_max = replicas
    bundle.clone_node_max = max(1, values.integer(engine.get("replicas-per-host"), 1))
    found = Bundle(bundle.id)
    cluster.bundles.append(found)
    network = element.child("network")
    first = network.get("ip-range-start") if network is not None else None
    inner = _inner(reader, bundle, engine, replicas) if guests_of(element) else None
    for number in range(replicas):
        container = _primitive(
            reader, bundle, f"{bundle.id}-{engine.tag}-{number}", engine.tag, monitor=60_000
        )
        container.clone = bundle
        container.instance = number
        container.globally_unique = True
        container.parent = bundle
        container.is_guest_container = True
        bundle.children.append(container)
        replica = Replica(container.id, container)
        found.replicas.append(replica)
        if first:
            _address(reader, bundle, container, first, number)
        if inner is not None:
            replica.key = f"{bundle.id}-{number}"
            replica.inner = inner.children[number]
            replica.connection = _connection(reader, bundle, container, replica.key)
    if inner is not None:
        reader.parts.append(inner)  # the last to be assigned: its nodes are in the containers


def _primitive(
    reader: "Reader", bundle: Resource, id: str, type_: str, *, monitor: int
) -> Resource:
    attributes = (("id", id), ("class", "ocf"), ("provider", "heartbeat"), ("type", type_))
    found = Resource(id, Kind.PRIMITIVE, Element("primitive", attributes), None)
    found.agent = ("ocf", "heartbeat", type_)
    found.meta = bundle.meta
    reader.apply_options(found)
    found.stickiness = bundle.stickiness
    config = OperationConfig("monitor", monitor)
    found.operations.append(config)
    reader.cluster.by_id.setdefault(id, found)
    return found


def _address(
    reader: "Reader", bundle: Resource, container: Resource, first: str, number: int
) -> None:
    try:
        address = ipaddress.ip_address(first) + number
    except ValueError:
        return
    ip = _primitive(reader, bundle, f"{bundle.id}-ip-{address}", "IPaddr2", monitor=60_000)
    ip.parameters = {"ip": str(address)}
    _tie(ip, container)
    reader.parts.append(ip)
    reader.cluster.hidden.add(ip.id)
    reader.cluster.bundle_orders.append((ip, container))


def _connection(
    reader: "Reader", bundle: Resource, container: Resource, name: str
) -> Resource | None:
    node = reader.cluster.node_by_name.get(name)
    if node is None:
        return None
    made = remotes.implied(reader, container, node)
    reader.parts.append(made)
    reader.cluster.hidden.add(made.id)
    return made


def _inner(reader: "Reader", bundle: Resource, engine: Element, replicas: int) -> Resource:
    """Make the clone inside: one instance per replica."""
    inside = bundle.element.child("primitive")
    assert inside is not None, "checked by the caller"
    said = values.boolean(bundle.meta.get("promotable"), False)
    options = {
        "clone-max": str(replicas),
        "clone-node-max": "1",
        "globally-unique": "false",
        "ordered": "true",
        "promotable": "true" if _promoted(engine) or said else "false",
        "promoted-max": str(_promoted(engine) or 1),
    }
    pairs = tuple(
        Element("nvpair", (("id", f"{bundle.id}-{name}"), ("name", name), ("value", value)))
        for name, value in options.items()
    )
    own = tuple(child for child in bundle.element.children if child.tag == "meta_attributes")
    forced = Element(
        "meta_attributes", (("id", f"{bundle.id}-options"), ("score", "INFINITY")), pairs
    )
    element = Element("clone", (("id", f"{bundle.id}-clone"),), (forced, *own, inside))
    clone = reader.resource(element, None)
    clone.bundle = bundle
    bundle.bundle = clone
    clone.stickiness = values.score(bundle.meta.get("resource-stickiness"), 0)
    for instance in clone.children:
        node = reader.cluster.node_by_name.get(f"{bundle.id}-{instance.instance}")
        instance.home = node
        instance.stickiness = clone.stickiness
    reader.cluster.hidden.add(inside.id)
    return clone


def _tie(inner: Resource, container: Resource) -> None:
    tie = Colocation("#ip-with-container", inner, container, INFINITY)
    inner.this_with.append(tie)
    container.with_this.append(tie)


def stay_home(cluster: Cluster) -> None:
    """Let every instance inside a bundle run on its own guest node only."""
    guests = [
        replica.inner.home.index
        for bundle in cluster.bundles
        for replica in bundle.replicas
        if replica.inner is not None and replica.inner.home is not None
    ]
    for resource in cluster.resources if guests else ():
        if resource.bundle is None or not resource.children:
            for part in (resource, *resource.children, *resource.primitives()):
                for index in guests:
                    part.allowed[index] = -INFINITY
            cluster.note(resource, Cause.BUNDLE)
    for bundle in cluster.bundles:
        for replica in bundle.replicas:
            inner = replica.inner
            if inner is None or inner.home is None:
                continue
            index = inner.home.index
            for place in range(len(inner.allowed)):
                inner.allowed[place] = max(0, inner.allowed[place]) if place == index else -INFINITY
            cluster.note(inner, Cause.BUNDLE)
            if inner.parent is not None:
                table = inner.parent.allowed
                table[index] = max(0, table[index])
                cluster.note(inner.parent, Cause.BUNDLE)


def relate_addresses(cluster: Cluster) -> list[tuple[Resource, str, Resource, str, int]]:
    """Return the orderings between addresses and containers."""
    needed = Relation.ORDERED | Relation.FIRST_IMPLIES_THEN | Relation.UNRUNNABLE_FIRST_BLOCKS
    found: list[tuple[Resource, str, Resource, str, int]] = []
    for ip, container in cluster.bundle_orders:
        found.append((ip, "start", container, "start", int(needed)))
        found.append((container, "stop", ip, "stop", int(Relation.ORDERED)))
    return found
