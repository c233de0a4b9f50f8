"""What a CIB says, as the scheduler's unpacking understands it, with the words that tools use.

Nothing here decides or changes anything. A CIB in Heartbeat 2's dialect is upgraded first.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from standfest.config import recorded as documents
from standfest.config.cib import legacy, legacy_defaults, older
from standfest.core.scheduler import engine
from standfest.core.scheduler.cluster import Cluster
from standfest.core.scheduler.entities import Kind, Node, Resource, Role
from standfest.core.scheduler.entries import in_order
from standfest.core.scheduler.values import boolean
from standfest.model import xml
from standfest.model.element import Element
from standfest.model.fencing import FencingRecord
from standfest.model.history import Entry

PENDING = -1  # op-status
_STARTING = {
    "start": "Starting",
    "stop": "Stopping",
    "migrate_to": "Migrating",
    "migrate_from": "Migrating",
    "promote": "Promoting",
    "demote": "Demoting",
}
_OLD_NAMES = {
    name: name.replace("_", "-")
    for name in (
        *("op_status", "rc_code", "call_id", "transition_key", "transition_magic", "op_digest"),
        *("op_restart_digest", "op_force_restart", "last_run", "last_rc_change", "exec_time"),
        "queue_time",
    )
}
_BUSY = {"monitor": "Monitoring"}
_ROLES = {
    Role.UNKNOWN: "Stopped",
    Role.STOPPED: "Stopped",
    Role.STARTED: "Started",
    Role.UNPROMOTED: "Unpromoted",
    Role.PROMOTED: "Promoted",
}


@dataclass(frozen=True, slots=True)
class Situation:
    """A whole <cib>, what the scheduler makes of it at `now` (seconds since 1970), and its history.

    operations: (node, resource, entry id) -> the <lrm_rsc_op>; resource empty: whatever it is.
    fencing: what was fenced, oldest first, where that is known (a CIB does not say it).
    """

    cib: Element
    configuration: Element
    cluster: Cluster
    now: int
    operations: Mapping[tuple[str, str, str], Element] = field(repr=False)
    fencing: tuple[FencingRecord, ...] = ()

    def said_of(self, node: Node, resource: Resource, entry: Entry) -> Element:
        """Return the <lrm_rsc_op> that an entry was read from; an empty one if there is none."""
        for name in (resource.history_id, resource.id, resource.base, ""):
            found = self.operations.get((node.name, name, entry.id))
            if found is not None:
                return found
        return Element("lrm_rsc_op")


def read(
    cib: Element, now: int | None = None, fencing: tuple[FencingRecord, ...] = ()
) -> Situation:
    """Return the view of a <cib>; now: seconds since 1970, the wall clock's when not given.

    Raises ConfigError for what is no CIB.
    """
    if legacy.is_legacy(cib):
        cib = _upgraded(cib)
    elif older.is_older(cib):
        cib = older.upgraded(cib)
    moment = int(time.time()) if now is None else now
    read_configuration, recorded = documents.read(xml.serialise(cib), "the CIB")
    return situation_of(cib, engine.unpack(read_configuration, recorded, moment), fencing)


def _upgraded(cib: Element) -> Element:
    """Return a document of Heartbeat 2 as today's: what its status says is renamed, too."""
    children = tuple(
        _today(child) if child.tag == "configuration" else _dashed(child) for child in cib.children
    )
    root = tuple((name.replace("_", "-"), value) for name, value in cib.attributes)
    named = tuple((n if n != "crm-feature-set" else "crm_feature_set", v) for n, v in root)
    return Element("cib", named, children, line=cib.line)


def _today(configuration: Element) -> Element:
    """Return a configuration of 2007 in today's words, what went without saying then stated."""
    return legacy_defaults.state(legacy.upgrade(configuration))


def _dashed(element: Element) -> Element:
    attributes = element.attributes
    if element.tag == "lrm_rsc_op":
        attributes = tuple((_OLD_NAMES.get(name, name), value) for name, value in attributes)
    inner = [_dashed(child) for child in element.children]
    # Sets of pairs had an element around the pairs.
    flat = [
        pair
        for child in inner
        for pair in (child.children if child.tag == "attributes" else (child,))
    ]
    return Element(element.tag, attributes, tuple(flat), element.text, element.line)


def situation_of(
    cib: Element, cluster: Cluster, fencing: tuple[FencingRecord, ...] = ()
) -> Situation:
    """Return the view of a cluster that is unpacked already; `cib` is what it was made of."""
    configuration = cib.child("configuration") or Element("configuration")
    return Situation(cib, configuration, cluster, cluster.now, dict(_operations(cib)), fencing)


def _operations(cib: Element) -> Iterator[tuple[tuple[str, str, str], Element]]:
    for state, resource in recorded_resources(cib):
        for entry in resource.all("lrm_rsc_op"):
            node = state.get("uname") or state.id
            yield (node, "", entry.id), entry
            yield (node, resource.id, entry.id), entry


def recorded_resources(cib: Element) -> Iterator[tuple[Element, Element]]:
    """Yield every (<node_state>, <lrm_resource>) of a document's status, in its order."""
    status = cib.child("status")
    for state in status.all("node_state") if status is not None else ():
        for lrm in state.all("lrm"):
            for resources in lrm.all("lrm_resources"):
                for resource in resources.all("lrm_resource"):
                    yield state, resource


# --- what resources are called and what they are -------------------------------------------------


def is_bundle(resource: Resource) -> bool:
    """Return whether it is a bundle (which the scheduler keeps as a collection)."""
    return resource.element.tag == "bundle"


def name_of(resource: Resource) -> str:
    """Return the id that is shown: instances of an anonymous clone share one."""
    if resource.clone is None or resource.is_clone:
        return resource.id
    if resource.clone.bundle is not None:
        several = resource.clone.bundle.clone_node_max > 1
        return resource.id if several else resource.base
    if resource.globally_unique or resource.kind is Kind.GROUP:
        return resource.id
    return resource.base


def agent_of(resource: Resource) -> str:
    """Return `class:provider:type`, or `class:type`."""
    return ":".join(part for part in resource.agent if part)


def is_promotable(resource: Resource) -> bool:
    """Return whether it is, or is within, a promotable clone."""
    whole = resource if resource.is_clone else resource.clone
    return whole is not None and whole.promotable


def target_role(resource: Resource) -> str:
    """Return the configured target-role, as it was written; empty: none."""
    said = resource.meta.get("target-role", "")
    if not said and resource.is_clone and not is_bundle(resource) and resource.children:
        # A clone has that of the primitive in it, if it has none of its own.
        inner = resource.children[0]
        said = inner.meta.get("target-role", "") if inner.kind is Kind.PRIMITIVE else ""
    container = resource.container
    if not said and resource.remote_node is not None and container is not None:
        said = container.meta.get("target-role", "") if container.parent is not None else ""
    return "" if said == "#default" else said


def is_disabled(resource: Resource) -> bool:
    """Return whether its target-role keeps it from what it could be."""
    word = target_role(resource).lower()
    return word == "stopped" or (word in ("unpromoted", "slave") and is_promotable(resource))


def is_maintained(resource: Resource) -> bool:
    """Return whether maintenance is of the resource or the cluster, not only of a node."""
    return boolean(resource.meta.get("maintenance"), False)


def is_removed(resource: Resource) -> bool:
    """Return whether it is not, or no longer, in the configuration."""
    return resource.removed or (
        resource.clone is not None
        and not is_bundle(resource.clone)
        and resource.clone.clone_max <= 0
    )


def pending_task(resource: Resource) -> str:
    """Return the operation that is under way, probes not counted; empty: none."""
    for record in resource.history.values():
        for entry in in_order(record.entries):
            if entry.status == PENDING and (entry.task != "monitor" or entry.interval):
                return entry.task
    return ""


def busy(resource: Resource) -> str:
    """Return what is done that does not change its state: `Monitoring`; empty: nothing."""
    return _BUSY.get(pending_task(resource), "")


def role_of(resource: Resource) -> Role:
    """Return its role; what a promotable clone has started is unpromoted."""
    if resource.role is Role.STARTED and is_promotable(resource):
        return Role.UNPROMOTED
    return resource.role


def state_of(resource: Resource, *, pending: bool = True) -> str:
    """Return `Starting` and the like while something is under way, else the role."""
    changing = _STARTING.get(pending_task(resource), "") if pending else ""
    return changing or _ROLES[role_of(resource)]


def role_name(role: Role) -> str:
    """Return the word for a role."""
    return _ROLES[role]


def is_active(resource: Resource, *, wholly: bool) -> bool:
    """Return whether it is active anywhere; wholly: all of its parts."""
    if resource.kind is Kind.PRIMITIVE:
        return any(node.unclean or node.online or not resource.managed for node in resource.running)
    parts = [is_active(child, wholly=wholly) for child in resource.children]
    return all(parts) if wholly else any(parts)


def tree(resource: Resource) -> Iterator[Resource]:
    """Yield a resource and all that is in it."""
    yield resource
    for child in resource.children:
        yield from tree(child)


def node_name(node: Node, *, detail: bool) -> str:
    """Return a node's name; detail: with a guest's host, and the id where it differs."""
    if not detail:
        return node.name
    shown = node.name
    if node.is_guest:
        connection = node.connection
        container = connection.container if connection is not None else None
        host = container.running[0].name if container is not None and container.running else ""
        shown = f"{shown}@{host}"
    return shown if node.id == node.name else f"{shown} ({node.id})"


def failed_probe(situation: Situation, resource: Resource, node: Node | None) -> Entry | None:
    """Return a probe that failed, of this resource, on this node (None: on any)."""
    for failed, where, entry in situation.cluster.failures:
        if entry.task != "monitor" or entry.interval or (node is not None and where is not node):
            continue
        same = failed.base == resource.base and not resource.globally_unique
        if failed is resource or same:
            return entry
    return None


def is_implied(resource: Resource) -> bool:
    """Return whether it is the connection to a guest node, which no element describes."""
    return resource.remote_node is not None and resource.container is not None


def bundle_parts(cluster: Cluster) -> set[int]:
    """Return the identities (`id()`) of resources that are shown within a bundle."""
    parts = {id(ip) for ip, _ in cluster.bundle_orders}
    for resource in cluster.resources:
        if resource.bundle is not None and not is_bundle(resource):
            parts.add(id(resource))
    for bundle in cluster.bundles:
        parts |= {id(replica.connection) for replica in bundle.replicas}
    return parts


def in_standby(situation: Situation, node: Node) -> bool:
    """Return whether a node is in standby; where nodes are fenced, one that is joining is, too."""
    if node.record is None and not node.is_remote and not node.is_guest:
        return False  # nothing is known of it
    return node.standby or (node.pending and situation.cluster.options.fencing)


def by_priority(situation: Situation) -> list[Resource]:
    """Return the outermost resources in the order in which tools show them: by priority."""
    known = situation.cluster.resources
    found = sorted((one for one in known if not one.removed), key=lambda one: -one.priority)
    return found + [one for one in known if one.removed]


def with_tags(situation: Situation, word: str) -> frozenset[str]:
    """Return what a name means: itself, or all that a tag of this name stands for."""
    return frozenset(situation.cluster.tags.get(word, ())) or frozenset((word,))
