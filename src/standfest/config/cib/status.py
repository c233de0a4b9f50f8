"""A <status> section -> values: what ran where with which result.

Standfest never begins with a status from a file; this reads recorded ones, for planning and tests.
Source: facts/formats/CIB-STATUS.md sections 1 to 3.
"""

import re

from standfest.config.cib.values import boolean
from standfest.model.configuration import Configuration
from standfest.model.element import Element
from standfest.model.operations import Agent, ExitCode, Operation, OperationResult, OperationStatus
from standfest.model.status import Join, NodeState, Status
from standfest.model.tickets import Tickets, TicketState
from standfest.model.time import milliseconds

_NUMBER = re.compile(r"-?\d{1,15}", re.ASCII)
_JOINS = {join.value: join for join in Join}
_STATUSES = {int(status): status for status in OperationStatus}


def read_status(
    status: Element,
    configuration: Configuration,
    *,
    have_quorum: bool = False,
    coordinator: str = "",
) -> Status:
    """Return the status section's nodes and tickets.

    What cannot be read is taken as absent, never raised.

    have_quorum, coordinator: from the attributes of the <cib> around it.
    Parameters of past operations are not recorded (only their digest is), so they stay empty.
    """
    names = {entry.id: entry.name for entry in configuration.nodes}
    states = {}
    for element in status.all("node_state"):
        name = element.get("uname") or names.get(element.id, element.id)
        states[name] = _node(element, name)
    nodes = tuple(states[name] for name in sorted(states))
    return Status(nodes, have_quorum, coordinator, _tickets(status.child("tickets")))


def _tickets(element: Element | None) -> Tickets:
    found = {}
    for one in element.all("ticket_state") if element is not None else ():
        found[one.id] = TicketState(one.id, tuple(p for p in one.attributes if p[0] != "id"))
    return Tickets(tuple(found.values()))


def _node(element: Element, name: str) -> NodeState:
    attributes = {
        pair.get("name") or "": pair.get("value") or ""
        for transient in element.all("transient_attributes")
        for pair in transient.walk()
        if pair.tag == "nvpair"
    }
    history = {
        resource.id: _history(resource)
        for resource in element.walk()
        if resource.tag == "lrm_resource"
    }
    expected = element.get("expected")
    return NodeState(
        name=name,
        in_membership=_present(element.get("in_ccm")),
        online=element.get("crmd") == "online",
        join=_JOINS.get(element.get("join") or "", Join.DOWN),
        expected=expected == "member",
        history=tuple(sorted(history.items())),
        attributes=tuple(sorted(attributes.items())),
    )


def _present(text: str | None) -> bool:
    """Return whether the node is a member: a boolean, or since 3.18 the time it became one."""
    if text is None:
        return False
    try:
        return boolean(text)
    except ValueError:
        return _integer(text, 0) > 0


def _history(resource: Element) -> tuple[OperationResult, ...]:
    """Return the entries, oldest call first; pending ones are the newest."""
    agent = Agent(
        resource.get("class") or "", resource.get("type") or "", resource.get("provider") or ""
    )
    found: dict[tuple[str, int, int], OperationResult] = {}
    for element in resource.all("lrm_rsc_op"):
        entry = _entry(element, resource.id, agent)
        if entry is not None:
            # The last failure is written twice: as the last of its kind, and as the failure.
            found[entry.operation.task, entry.operation.interval, entry.call_id] = entry
    return tuple(sorted(found.values(), key=lambda entry: (entry.call_id < 0, entry.call_id)))


def _entry(element: Element, resource: str, agent: Agent) -> OperationResult | None:
    task = element.get("operation") or ""
    key = element.get("transition-key") or ""
    status = _STATUSES.get(_integer(element.get("op-status"), 0), OperationStatus.ERROR)
    if not task:
        return None
    parts = key.split(":")
    operation = Operation(
        resource=resource,
        agent=agent,
        task=task,
        interval=milliseconds(_integer(element.get("interval"), 0)),
        timeout=0,
        key=key,
        expected=_integer(parts[2], 0) if len(parts) == 4 else int(ExitCode.OK),
    )
    return OperationResult(
        operation=operation,
        status=status,
        exit_code=_integer(element.get("rc-code"), 0),
        call_id=_integer(element.get("call-id"), 0),
        exit_reason=element.get("exit-reason") or "",
        last_run=_integer(element.get("last-run"), 0),
        last_change=_integer(element.get("last-rc-change"), 0),
        run_time=milliseconds(_integer(element.get("exec-time"), 0)),
        queue_time=milliseconds(_integer(element.get("queue-time"), 0)),
    )


def _integer(text: str | None, fallback: int) -> int:
    return int(text) if text is not None and _NUMBER.fullmatch(text) else fallback
