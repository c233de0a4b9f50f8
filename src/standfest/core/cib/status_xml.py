"""The CIB as a document that today's tools read: Debian's crm_mon, crm_simulate, crm_verify.

Source: facts/formats/CIB-STATUS.md (which attributes those tools need, ids, digests).
"""

from collections.abc import Callable

from standfest.core.cib.document import Author, Cib
from standfest.model.digests import digest_2_1
from standfest.model.element import Element
from standfest.model.operations import OperationResult, OperationStatus
from standfest.model.status import NodeState, Status
from standfest.model.tickets import Tickets
from standfest.model.time import in_milliseconds

FEATURE_SET = "3.16.1"
SCHEMA = "pacemaker-3.9"
History = Callable[[str, tuple[OperationResult, ...]], Element]
UNKNOWN_KEY = "0:0:{expected}:00000000-0000-0000-0000-000000000000"


def cib_element(
    cib: Cib, *, history: History | None = None, clock: Callable[[int], str] | None = None
) -> Element:
    """Return the whole <cib>.

    history: makes a resource's <lrm_resource> in place of ours; clock: writes seconds since 1970
    for people; without it no time is written.
    """
    version, status = cib.version, cib.status
    ids = node_ids(cib.configuration)
    attributes = [
        ("crm_feature_set", FEATURE_SET),
        ("validate-with", SCHEMA),
        ("admin_epoch", str(version.admin_epoch)),
        ("epoch", str(version.epoch)),
        ("num_updates", str(version.num_updates)),
        ("have-quorum", "1" if status.have_quorum else "0"),
    ]
    if status.coordinator:
        attributes.append(("dc-uuid", ids.get(status.coordinator, status.coordinator)))
    if cib.author is not None:
        attributes += _signature(cib.author, clock)
    children = (cib.configuration, status_element(status, cib.configuration, history))
    return Element("cib", tuple(attributes), children)


def _signature(author: Author, clock: Callable[[int], str] | None) -> list[tuple[str, str]]:
    """Return who wrote it last, as Pacemaker's tools read it."""
    return [
        *([("cib-last-written", clock(author.at))] if clock is not None else []),
        ("update-origin", author.origin),
        ("update-client", author.client),
        ("update-user", author.user),
    ]


def node_ids(configuration: Element) -> dict[str, str]:
    """Return uname -> id of the configured nodes."""
    section = configuration.child("nodes")
    nodes = section.all("node") if section else ()
    return {node.get("uname") or node.id: node.id for node in nodes}


def status_element(
    status: Status, configuration: Element, history: History | None = None
) -> Element:
    """Return the <status> section."""
    ids, made = node_ids(configuration), history or lrm_resource
    states = tuple(
        _node_state(state, ids.get(state.name, state.name), made) for state in status.nodes
    )
    return Element("status", (), (*states, *tickets_elements(status.tickets)))


def tickets_elements(tickets: Tickets) -> tuple[Element, ...]:
    """Return <tickets>; nothing where there are none."""
    states = tuple(
        Element("ticket_state", (("id", state.id), *state.attributes)) for state in tickets.states
    )
    return (Element("tickets", (), states),) if states else ()


def _node_state(state: NodeState, identifier: str, history: History) -> Element:
    attributes = (
        ("id", identifier),
        ("uname", state.name),
        ("in_ccm", _boolean(state.in_membership)),
        ("crmd", "online" if state.online else "offline"),
        ("crm-debug-origin", "standfest"),
        ("join", state.join.value),
        ("expected", "member" if state.expected else "down"),
    )
    children: list[Element] = []
    if state.attributes:
        prefix = f"status-{identifier}"
        pairs = tuple(
            Element("nvpair", (("id", f"{prefix}-{name}"), ("name", name), ("value", value)))
            for name, value in state.attributes
        )
        inner = Element("instance_attributes", (("id", prefix),), pairs)
        children.append(Element("transient_attributes", (("id", identifier),), (inner,)))
    if state.history:
        resources = tuple(history(name, entries) for name, entries in state.history)
        listed = Element("lrm_resources", (), resources)
        children.append(Element("lrm", (("id", identifier),), (listed,)))
    return Element("node_state", attributes, tuple(children))


def lrm_resource(name: str, entries: tuple[OperationResult, ...]) -> Element:
    """Return what a node's results of one resource are as XML."""
    agent = entries[-1].operation.agent if entries else None
    attributes = [("id", name)]
    if agent is not None:
        attributes += [("class", agent.standard), ("type", agent.type)]
        if agent.provider:
            attributes.append(("provider", agent.provider))
    written = resource_entries(name, entries)
    operations = tuple(_lrm_rsc_op(identifier, entry) for identifier, entry in written.items())
    return Element("lrm_resource", tuple(attributes), operations)


def resource_entries(name: str, entries: tuple[OperationResult, ...]) -> dict[str, OperationResult]:
    """Return id -> result: which `lrm_rsc_op` a resource's history amounts to."""
    begun = max((e.call_id for e in entries if e.ends_recurring), default=-1)
    latest: dict[str, OperationResult] = {}
    for entry in entries:
        for identifier in _entry_ids(name, entry):
            over = entry.operation.interval and entry.call_id < begun
            if over and identifier != f"{name}_last_failure_0":
                continue  # it does not run any more
            latest[identifier] = entry
    return latest


def _entry_ids(name: str, entry: OperationResult) -> tuple[str, ...]:
    """Return under which ids an entry stands: as the last of its kind, and as the last failure."""
    operation = entry.operation
    recurring = f"{name}_{operation.task}_{in_milliseconds(operation.interval)}"
    last = recurring if operation.interval else f"{name}_last_0"
    ended = entry.status not in (OperationStatus.PENDING, OperationStatus.CANCELLED)
    probe = operation.task == "monitor" and not operation.interval
    if ended and not entry.succeeded and not probe:
        return last, f"{name}_last_failure_0"
    return (last,)


def _lrm_rsc_op(identifier: str, entry: OperationResult) -> Element:
    operation = entry.operation
    interval = in_milliseconds(operation.interval)
    key = operation.key or UNKNOWN_KEY.format(expected=operation.expected)
    pending = entry.status is OperationStatus.PENDING
    attributes = [
        ("id", identifier),
        ("operation_key", f"{operation.resource}_{operation.task}_{interval}"),
        ("operation", operation.task),
        ("crm_feature_set", FEATURE_SET),
        ("transition-key", key),
        ("transition-magic", f"{int(entry.status)}:{entry.exit_code};{key}"),
        ("call-id", "-1" if pending else str(entry.call_id)),
        ("rc-code", str(int(entry.exit_code))),
        ("op-status", str(int(entry.status))),
        ("interval", str(interval)),
        ("last-rc-change", str(entry.last_change)),
        ("exec-time", str(in_milliseconds(entry.run_time))),
        ("queue-time", str(in_milliseconds(entry.queue_time))),
        ("op-digest", digest(entry)),
    ]
    if entry.exit_reason:
        attributes.append(("exit-reason", entry.exit_reason))
    meta = dict(operation.meta)
    ends = ("migrate_source", "migrate_target")
    attributes += [(end, meta[end]) for end in ends if end in meta]
    return Element("lrm_rsc_op", tuple(attributes))


def digest(entry: OperationResult) -> str:
    """Return the op-digest: which parameters the operation ran with."""
    operation = entry.operation
    parameters = dict(operation.parameters)
    if operation.interval:
        parameters["CRM_meta_timeout"] = str(in_milliseconds(operation.timeout))
    return digest_2_1(parameters)


def _boolean(value: bool) -> str:
    return "true" if value else "false"
