"""What if: a recorded situation changed as an administrator asks, before it is scheduled."""

from dataclasses import replace

from standfest.analysis import injection
from standfest.analysis.connected import RESOURCE_TAGS
from standfest.model.element import Element
from standfest.model.errors import OperationError
from standfest.model.history import NodeRecord, Recorded, Ticket

_UP = {"in_ccm": "true", "crmd": "online", "join": "member", "expected": "member"}
_DOWN = {"in_ccm": "false", "crmd": "offline", "join": "down", "expected": "down"}
_FAILED = {"in_ccm": "false", "crmd": "offline", "join": "down", "expected": "member"}
STATES = {"up": _UP, "down": _DOWN, "fail": _FAILED}


def node_is(configuration: Element, recorded: Recorded, name: str, state: str) -> None:
    """Make a node `up`, `down` (it left in order) or `fail` (it was lost)."""
    record = node_record(configuration, recorded, name)
    if record.attributes.get("remote_node") == "true" or _is_remote(configuration, name):
        problem = f"{name} is a remote node, which is there when its connection is"
        raise OperationError(f"{problem}; expected a cluster node")
    record.attributes = dict(record.attributes) | STATES[state]
    if state == "down":
        record.history = []
        record.transient = {}


def _is_remote(configuration: Element, name: str) -> bool:
    nodes = configuration.child("nodes")
    return any(
        element.get("uname") == name and element.get("type") == "remote"
        for element in (nodes.children if nodes is not None else ())
    )


def node_record(configuration: Element, recorded: Recorded, name: str) -> NodeRecord:
    """Return what is recorded of a node, made if nothing is; raises OperationError if unknown."""
    section = configuration.child("nodes")
    nodes = section.children if section is not None else ()
    element = next((node for node in nodes if node.get("uname") == name), None)
    for record in recorded.nodes:
        if record.name == name or (element is not None and record.id == element.id):
            return record
    if element is not None:
        record = NodeRecord(element.id, name, {"id": element.id, "uname": name})
        recorded.nodes.append(record)
        return record
    known = ", ".join(node.get("uname") or "" for node in nodes)
    raise OperationError(f"unknown node {name}; expected one of: {known}")


def quorum(recorded: Recorded, *, present: bool) -> None:
    """Give the partition quorum, or take it away."""
    recorded.attributes = dict(recorded.attributes) | {"have-quorum": "1" if present else "0"}


def ticket(recorded: Recorded, name: str, change: str) -> None:
    """Grant, revoke, or put a ticket into or out of standby (`activate`)."""
    found = next((known for known in recorded.tickets if known.id == name), None)
    if found is None:
        found = Ticket(name)
        recorded.tickets.append(found)
    if change in ("grant", "revoke"):
        found.granted = change == "grant"
    else:
        found.standby = change == "standby"


def inject(configuration: Element, recorded: Recorded, text: str, now: int) -> None:
    """Add an operation's result: `RESOURCE_TASK_INTERVAL@NODE=RC`, interval in ms."""
    given = injection.parse(text)
    record = node_record(configuration, recorded, given.node)
    injection.record(configuration, recorded, record, given, now)


def watchdog(configuration: Element, *, present: bool) -> Element:
    """Return the configuration with a watchdog device, or without one."""
    return with_property(configuration, ("have-watchdog",), "true" if present else "false")


def with_property(configuration: Element, names: tuple[str, ...], value: str) -> Element:
    """Return the configuration with a cluster property, under all its names, set to a value."""
    pairs = tuple(
        Element("nvpair", (("id", f"what-if-{name}"), ("name", name), ("value", value)))
        for name in names
    )
    first = Element("cluster_property_set", (("id", "cib-bootstrap-options"),), pairs)
    known = configuration.child("crm_config") or Element("crm_config")
    kept = _renamed_out(known, names).children
    others = tuple(child for child in configuration.children if child.tag != "crm_config")
    return configuration.with_children((known.with_children((first, *kept)), *others))


def _renamed_out(section: Element, names: tuple[str, ...]) -> Element:
    kept = tuple(
        _renamed_out(child, names)
        for child in section.children
        if child.tag != "nvpair" or (child.get("name") or "").replace("_", "-") not in names
    )
    return section.with_children(kept)


def parameter(configuration: Element, text: str) -> Element:
    """Return the configuration with `RESOURCE:NAME=VALUE`, an instance attribute, changed."""
    name, equals, value = text.partition("=")
    resource, colon, key = name.partition(":")
    if not equals or not colon:
        raise OperationError(f"parameter {text}; expected RESOURCE:NAME=VALUE")
    changed, found = put_first(configuration, resource, "instance_attributes", key, value)
    if not found:
        raise OperationError(f"unknown resource {resource}; expected the id of a primitive")
    return changed


def put_first(
    element: Element, resource: str, kind: str, name: str, value: str
) -> tuple[Element, bool]:
    """Return `element` with an attribute of a resource put before all others, and if it is there.

    kind: `instance_attributes` or `meta_attributes`.
    """
    if element.id == resource and element.tag in RESOURCE_TAGS:
        pair = Element("nvpair", (("id", f"{resource}-{name}"), ("name", name), ("value", value)))
        first = Element(kind, (("id", f"{resource}-what-if"), ("score", "INFINITY")), (pair,))
        return element.with_children((first, *element.children)), True
    found = False
    children = []
    for child in element.children:
        changed, here = put_first(child, resource, kind, name, value)
        found = found or here
        children.append(changed)
    return (replace(element, children=tuple(children)), True) if found else (element, False)
