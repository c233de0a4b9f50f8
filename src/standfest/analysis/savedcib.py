"""A situation written as a CIB again, so that what came out can be the next input.

What the scheduler reads is written: `decide` makes the same of it as of the situation itself.
"""

from collections.abc import Iterator

from standfest.model import xml
from standfest.model.element import Element
from standfest.model.history import Entry, NodeRecord, Recorded, ResourceRecord, Ticket

_UNKNOWN = "00000000-0000-0000-0000-000000000000"


def document(configuration: Element, recorded: Recorded, now: int) -> str:
    """Return a CIB; `now` becomes its execution-date."""
    attributes = dict(recorded.attributes) | {"execution-date": str(now)}
    status = Element("status", (), (*_tickets(recorded), *map(_node, recorded.nodes)))
    return xml.serialise(Element("cib", tuple(attributes.items()), (configuration, status))) + "\n"


def _tickets(recorded: Recorded) -> Iterator[Element]:
    if recorded.tickets:
        yield Element("tickets", (), tuple(map(_ticket, recorded.tickets)))


def _ticket(ticket: Ticket) -> Element:
    return Element(
        "ticket_state",
        (
            ("id", ticket.id),
            ("granted", "true" if ticket.granted else "false"),
            ("standby", "true" if ticket.standby else "false"),
            ("last-granted", str(ticket.last_granted)),
        ),
    )


def _pairs(owner: str, values: dict[str, str]) -> tuple[Element, ...]:
    return tuple(
        Element("nvpair", (("id", f"{owner}-{number}"), ("name", name), ("value", value)))
        for number, (name, value) in enumerate(values.items())
    )


def _node(record: NodeRecord) -> Element:
    inside = [
        Element(
            "instance_attributes",
            (("id", f"status-{record.id}"),),
            _pairs(f"status-{record.id}", record.transient),
        )
    ]
    if record.utilization:
        owner = f"utilization-{record.id}"
        inside.append(Element("utilization", (("id", owner),), _pairs(owner, record.utilization)))
    resources = Element("lrm_resources", (), tuple(map(_resource, record.history)))
    return Element(
        "node_state",
        tuple((dict(record.attributes) | {"id": record.id, "uname": record.name}).items()),
        (
            Element("transient_attributes", (("id", record.id),), tuple(inside)),
            Element("lrm", (("id", record.id),), (resources,)),
        ),
    )


def _resource(record: ResourceRecord) -> Element:
    standard, provider, kind = record.agent
    pairs = [("id", record.id), ("class", standard), ("provider", provider), ("type", kind)]
    pairs.append(("container", record.container))
    if record.lock:
        pairs.append(("shutdown-lock", str(record.lock)))
    given = tuple((name, value) for name, value in pairs if value)
    return Element("lrm_resource", given, tuple(map(_entry, record.entries)))


def _entry(entry: Entry) -> Element:
    key = entry.transition or f"0:0:{entry.expected}:{_UNKNOWN}"
    found = {
        "id": entry.id,
        "operation": entry.task,
        "operation_key": entry.key,
        "interval": str(entry.interval),
        "transition-key": key,
        "call-id": str(entry.call_id),
        "rc-code": str(entry.exit_code),
        "op-status": str(entry.status),
        "last-rc-change": str(entry.last_change) if entry.last_change else "",
        "exit-reason": entry.exit_reason,
        "op-digest": entry.digest,
        "op-restart-digest": entry.restart_digest,
        "op-secure-digest": entry.secure_digest,
        "migrate_source": entry.migrate_source,
        "migrate_target": entry.migrate_target,
    }
    pairs = [(name, value) for name, value in found.items() if value]
    if entry.force_restart is not None:
        pairs.append(("op-force-restart", entry.force_restart))
    if entry.secure is not None:
        pairs.append(("op-secure-params", entry.secure))
    return Element("lrm_rsc_op", tuple(pairs))
