"""What if: a recorded situation changed as an administrator asks, before it is scheduled."""

from dataclasses import replace

from standfest.model.element import Element
from standfest.model.errors import OperationError
from standfest.model.history import Entry, NodeRecord, Recorded, ResourceRecord, Ticket

_UP = {"in_ccm": "true", "crmd": "online", "join": "member", "expected": "member"}
_DOWN = {"in_ccm": "false", "crmd": "offline", "join": "down", "expected": "down"}
_FAILED = {"in_ccm": "false", "crmd": "offline", "join": "down", "expected": "member"}
RESOURCE_TAGS = ("primitive", "group", "clone", "master", "bundle")
STATES = {"up": _UP, "down": _DOWN, "fail": _FAILED}


def node_is(configuration: Element, recorded: Recorded, name: str, state: str) -> None:
    """Make a node `up`, `down` (it left in order) or `fail` (it was lost)."""
    record = _node(configuration, recorded, name)
    record.attributes = dict(record.attributes) | STATES[state]
    if state == "down":
        record.history = []
        record.transient = {}


def _node(configuration: Element, recorded: Recorded, name: str) -> NodeRecord:
    for record in recorded.nodes:
        if record.name == name:
            return record
    nodes = configuration.child("nodes")
    for element in nodes.children if nodes is not None else ():
        if element.get("uname") == name:
            attributes = {"id": element.id, "uname": name}
            record = NodeRecord(element.id, name, attributes)
            recorded.nodes.append(record)
            return record
    known = ", ".join(element.get("uname") or "" for element in (nodes.children if nodes else ()))
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
    operation, at, rest = text.partition("@")
    node_name, equals, code = rest.partition("=")
    parts = operation.rsplit("_", 2)
    expected = "RESOURCE_TASK_INTERVAL@NODE=RC, e.g. ip_monitor_10000@node1=7"
    if not at or not equals or len(parts) != 3 or not parts[2].isdigit() or not code.isdigit():
        raise OperationError(f"operation {text}; expected {expected}")
    resource, task, interval = parts[0], parts[1], int(parts[2])
    if task == "migrate":  # migrate_to and migrate_from have a `_` of their own
        raise OperationError(f"operation {text}; expected {expected}")
    record = _node(configuration, recorded, node_name)
    history = next((r for r in record.history if r.id == resource), None)
    if history is None:
        agent = _agent(configuration, resource)
        history = ResourceRecord(resource, agent)
        record.history.append(history)
    calls = [e.call_id for n in recorded.nodes for r in n.history for e in r.entries]
    entry = Entry(task, interval, int(code), 0)
    entry.expected = 0 if interval or task != "monitor" else 7
    entry.status = 0 if int(code) == entry.expected else 4
    entry.call_id = max(calls, default=0) + 1
    entry.key = operation
    entry.id = f"{resource}_last_failure_0" if entry.status else operation
    entry.failed = bool(entry.status)
    entry.last_change = entry.last_run = now
    history.entries.append(entry)
    if entry.status:
        key = f"#{task}_{interval}"
        fatal = task in ("start", "stop")
        record.transient[f"fail-count-{resource}{key}"] = "INFINITY" if fatal else "1"
        record.transient[f"last-failure-{resource}{key}"] = str(now)


def _agent(configuration: Element, resource: str) -> tuple[str, str, str]:
    for element in configuration.walk():
        if element.tag == "primitive" and element.id == resource.partition(":")[0]:
            return (
                element.get("class") or "",
                element.get("provider") or "",
                element.get("type") or "",
            )
    raise OperationError(f"unknown resource {resource}; expected the id of a primitive")


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
