"""Tickets in a whole <cib>: what this site was granted, and the constraints that ask for it.

Source: facts/formats/CIB-STATUS.md section 2; crm_ticket 2.1.5 by experiment.
"""

import re
from dataclasses import replace

from standfest.core.cib.objects import ChangeError, Refusal
from standfest.core.cib.places import element_at, put_at, section_path, with_section
from standfest.model.element import Element
from standfest.model.tickets import TicketState, is_true

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.\-]*")


def states(cib: Element) -> tuple[Element, ...]:
    """Return the <ticket_state> elements, in document order."""
    tickets = section(cib)
    return tuple(tickets.all("ticket_state")) if tickets is not None else ()


def section(cib: Element) -> Element | None:
    """Return <tickets>."""
    status = cib.child("status")
    return status.child("tickets") if status is not None else None


def state(cib: Element, ticket: str) -> Element | None:
    """Return one ticket's state."""
    return next((one for one in states(cib) if one.id == ticket), None)


def constraints(cib: Element, ticket: str | None) -> tuple[Element, ...]:
    """Return the <rsc_ticket> of a ticket, or of all."""
    path = section_path(cib, "constraints")
    listed = element_at(cib, path).all("rsc_ticket") if path is not None else ()
    return tuple(one for one in listed if ticket in (None, one.get("ticket")))


def known(cib: Element) -> tuple[str, ...]:
    """Return all tickets that have a state, in document order."""
    return tuple(one.id for one in states(cib))


def is_set(one: Element | None, name: str) -> bool:
    """Return whether a state says yes to something."""
    return one is not None and is_true(one.get(name))


def wrong_name(name: str) -> str:
    """Return why no attribute of a ticket can be called so; nothing where one can.

    Less than what XML allows: ASCII, and nothing that means something in XML itself.
    """
    if name == "id":
        return "a ticket's id stays; expected another attribute"
    if _NAME.fullmatch(name) and not name.lower().startswith("xml"):
        return ""
    return f"attribute {name[:80]!r}; expected a letter, then letters, digits and . _ -"


def with_attributes(
    cib: Element, ticket: str, changes: dict[str, str | None], now_s: int
) -> Element:
    """Return the CIB with attributes of a ticket set, or removed for None.

    A ticket that comes to be granted gets `last-granted`, epoch seconds.
    """
    old = state(cib, ticket)
    if old is None and all(value is None for value in changes.values()):
        return cib
    kept = old or Element("ticket_state", (("id", ticket),))
    known = TicketState(ticket, tuple(pair for pair in kept.attributes if pair[0] != "id"))
    after = known.changed(changes, now_s)
    return _put(cib, ticket, replace(kept, attributes=(("id", ticket), *after.attributes)))


def without(cib: Element, ticket: str) -> Element:
    """Return the CIB without a ticket's state; raises ChangeError when it has none."""
    if state(cib, ticket) is None:
        raise ChangeError(Refusal.NO_SUCH, f"no ticket {ticket}")
    return _put(cib, ticket, None)


def _put(cib: Element, ticket: str, new: Element | None) -> Element:
    cib, path = with_section(cib, "status")
    status = element_at(cib, path)
    tickets = status.child("tickets") or Element("tickets")
    made = (new,) if new is not None else ()
    children: list[Element] = []
    for child in tickets.children:
        if child.tag == "ticket_state" and child.id == ticket:
            children.extend(made)
            made = ()
        else:
            children.append(child)
    changed = tickets.with_children((*children, *made))
    others = [changed if child is tickets else child for child in status.children]
    if status.child("tickets") is None:
        others.append(changed)
    return put_at(cib, path, status.with_children(tuple(others)))
