"""When which node wants to be called: asked anew only of those to which something happened."""

from standfest.model.time import Instant
from standfest.sim.node import NEVER, SimNode


class Agenda:
    """What every node wants; whoever changes a node says so."""

    def __init__(self) -> None:
        self._due: dict[str, Instant] = {}
        self._touched: dict[str, SimNode] = {}
        self._first: Instant = NEVER

    def touch(self, node: SimNode) -> None:
        """Ask all of a node anew."""
        node.pulse_due = node.member_due = None
        self._touched[node.name] = node

    def touch_pulse(self, node: SimNode) -> None:
        """Ask its `pulse` anew."""
        node.pulse_due = None
        self._touched[node.name] = node

    def touch_member(self, node: SimNode) -> None:
        """Ask its cluster daemon anew."""
        node.member_due = None
        self._touched[node.name] = node

    def first(self) -> Instant:
        """Return when the first node wants to be called."""
        was_first = False
        for name, node in self._touched.items():
            due = node.due()
            was_first = was_first or self._due.get(name) == self._first
            self._due[name] = due
            if due < self._first:
                self._first, was_first = due, False
        self._touched.clear()
        if was_first:
            self._first = min(self._due.values())
        return self._first
