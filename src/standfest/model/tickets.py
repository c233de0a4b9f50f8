"""Tickets as the status has them: what this cluster, as one site of several, was let run.

Part of the status, so volatile as it is: replicated, not persisted, gone when all nodes restart.
Source: facts/formats/CIB-STATUS.md section 2; crm_ticket on a Pacemaker 2.1.5 cluster.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

LAST_GRANTED = "last-granted"
TRUE = frozenset({"true", "on", "yes", "y", "1"})
"""What counts as yes, in any case."""


@dataclass(frozen=True, slots=True)
class TicketState:
    """One `<ticket_state>`; attributes: all but its id, in the order in which they came."""

    id: str
    attributes: tuple[tuple[str, str], ...] = ()

    def get(self, name: str) -> str | None:
        """Return an attribute."""
        return dict(self.attributes).get(name)

    def says(self, name: str) -> bool:
        """Return whether an attribute says yes."""
        return is_true(self.get(name))

    def changed(self, changes: Mapping[str, str | None], now_s: int) -> "TicketState":
        """Return the state with attributes set, or removed for None.

        One that comes to be granted is dated: now_s, seconds since 1970.
        """
        kept = dict(self.attributes)
        for name, value in changes.items():
            if value is None:
                kept.pop(name, None)
            else:
                kept[name] = value
        if is_true(kept.get("granted")) and not self.says("granted"):
            kept[LAST_GRANTED] = str(now_s)
        return replace(self, attributes=tuple(kept.items()))


@dataclass(frozen=True, slots=True)
class Tickets:
    """All that there are, in the order in which they came.

    dated: the coordinator's term in which they were changed last, and which change that was: of two
    members that kept them, the one with the greater one knows better.
    """

    states: tuple[TicketState, ...] = ()
    dated: tuple[int, int] = (0, 0)

    def state(self, ticket: str) -> TicketState | None:
        """Return one ticket's state."""
        return next((one for one in self.states if one.id == ticket), None)


def is_true(text: str | None) -> bool:
    """Return whether Pacemaker's tools take a text for yes."""
    return text is not None and text.lower() in TRUE
