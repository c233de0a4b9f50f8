"""Tickets in a running cluster: asked for by administrators, kept by the members that last.

Source: facts/formats/CIB-STATUS.md section 2; crm_ticket on a Pacemaker 2.1.5 cluster.
"""

from collections.abc import Iterable
from dataclasses import replace

from standfest.core.cib.changes import SetTicket
from standfest.core.cib.tickets import wrong_name
from standfest.model.errors import Ground, OperationError, RefusedError
from standfest.model.status import Status
from standfest.model.tickets import TicketState
from standfest.runtime.cluster import protocol

MAX_TICKETS = 256
MAX_ATTRIBUTES = 64
MAX_TEXT = 1024
"""Characters of a ticket's id, of an attribute's name, and of its value."""


def ticket_changes(
    request: protocol.ChangeTicket | protocol.ForgetTicket, status: Status, wall: int
) -> tuple[tuple[SetTicket, ...], str]:
    """Return what a request makes of a ticket, and the sentence for the administrator.

    One that comes to be granted is dated: wall, seconds since 1970. Raises OperationError.
    """
    ticket, known = request.ticket, status.tickets.state(request.ticket)
    if isinstance(request, protocol.ForgetTicket):
        if known is None:
            text = f"no ticket {ticket}; expected one of: {_known(status)}"
            raise RefusedError(Ground.NO_SUCH, text)
        return (SetTicket(ticket, None),), f"ticket {ticket} is forgotten"
    if known is None and len(status.tickets.states) >= MAX_TICKETS:
        raise OperationError(f"{MAX_TICKETS} tickets are known; expected that one is forgotten")
    for name, _ in request.changes:
        if wrong := wrong_name(name):
            raise OperationError(wrong)
    after = (known or TicketState(ticket)).changed(dict(request.changes), wall)
    _check(after)
    if known is None and not after.attributes:
        return (), f"there is no ticket {ticket}: nothing to change"
    said = " ".join(f"{name}={value}" for name, value in after.attributes)
    return (SetTicket(ticket, after.attributes),), f"ticket {ticket}: {said}"


def latest(status: Status, joins: Iterable[protocol.Join]) -> Status:
    """Return the status with the tickets of whoever knows best: us, or a member that joined."""
    kept = (status.tickets, *(join.tickets for join in joins))
    return replace(status, tickets=max(kept, key=lambda tickets: tickets.dated))


def _check(state: TicketState) -> None:
    """Refuse what is too much for a status that all members hold."""
    texts = [state.id, *(text for pair in state.attributes for text in pair)]
    number = len(state.attributes)
    if not state.id or number > MAX_ATTRIBUTES or max(map(len, texts)) > MAX_TEXT:
        raise OperationError(
            f"ticket {state.id[:80]!r} with {number} attributes; expected an id, at most "
            f"{MAX_ATTRIBUTES} attributes, and texts of at most {MAX_TEXT} characters"
        )


def _known(status: Status) -> str:
    return ", ".join(state.id for state in status.tickets.states) or "none"
