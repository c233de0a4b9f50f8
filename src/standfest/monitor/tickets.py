"""Tickets as crm_ticket shows them. Source: samples/outputs/commands/more-commands.txt."""

import time

from standfest.core.cib.printed import formatted
from standfest.core.cib.tickets import is_set
from standfest.model.element import Element

_FIRST = ("granted", "standby")
_LAST = "last-granted"


def info(state: Element) -> str:
    """Return one ticket's line: name, whether it is granted, since when."""
    return _line(state, _granted_at(state, bare=True))


def details(state: Element) -> str:
    """Return one ticket's line with all its attributes."""
    names = [name for name, _ in state.attributes if name not in ("id", *_FIRST, _LAST)]
    shown = [f"{name}={state.get(name)}" for name in (*_FIRST, *names) if state.get(name)]
    when = _granted_at(state, bare=False)
    return _line(state, f"({', '.join([*shown, *([when] if when else [])])})")


def state_xml(element: Element) -> str:
    """Return a ticket's state, or all of them, as XML."""
    return f"State XML:\n\n{formatted(element)}"


def constraints_xml(constraints: tuple[Element, ...]) -> str:
    """Return constraints as XML."""
    return f"Constraints XML:\n\n{''.join(formatted(one) for one in constraints)}"


def grant_refused(ticket: str) -> str:
    """Return why a ticket is not granted without --force."""
    return (
        f"This command cannot help you verify whether '{ticket}' has been already granted "
        f"elsewhere.\nIf you really want to grant '{ticket}' to this site now, and you know what "
        "you are doing,\nplease specify --force."
    )


def revoke_refused(ticket: str) -> str:
    """Return why a ticket is not revoked without --force."""
    return (
        f"Revoking '{ticket}' can trigger the specified 'loss-policy'(s) relating to "
        f"'{ticket}'.\n\n"
        f"You can check that with:\ncrm_ticket --ticket {ticket} --constraints\n\n"
        f"Otherwise before revoking '{ticket}', you may want to make '{ticket}' standby with:\n"
        f"crm_ticket --ticket {ticket} --standby\n\n"
        f"If you really want to revoke '{ticket}' from this site now, and you know what you are "
        "doing,\nplease specify --force."
    )


def _line(state: Element, tail: str) -> str:
    granted = "granted" if is_set(state, "granted") else "revoked"
    standby = "[standby]" if is_set(state, "standby") else " " * 9
    return f"{state.id}\t{granted} {standby}{f' {tail}' if tail else ''}"


def _granted_at(state: Element, *, bare: bool) -> str:
    """Return `last-granted='...'`, in this machine's time; nothing when it is not known."""
    text = state.get(_LAST) or ""
    if not (text.isascii() and text.isdigit() and len(text) < 12):
        return "" if bare or not text else f"{_LAST}={text}"
    return f"{_LAST}='{time.ctime(int(text))}'"
