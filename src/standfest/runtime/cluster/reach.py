"""How many ping nodes each member reaches: a transient attribute of its node.

Each member tells its coordinator its number; the coordinator writes all of them together, after the
numbers have been left alone for the dampening, so that a ping node that dies for all of them is one
change and not a race (docs/adr/0034).
"""

from typing import Final

from standfest.core.cib.changes import SetTransientAttribute
from standfest.model.time import Instant
from standfest.runtime.cluster.effects import MemberEffect, note
from standfest.runtime.cluster.ledger import Ledger

PATIENCE: Final = 4
"""Numbers that never rest are written after so many dampenings all the same."""

Effects = list[MemberEffect]


class Reach:
    """The members' numbers in one term."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._settings = ledger.settings.pinging
        self._numbers: dict[str, int] = {}
        self._since: Instant | None = None
        self._due: Instant | None = None

    def report(self, now: Instant, node: str, number: int | None) -> Effects:
        """A member's number; None: it does not know yet, so what the status says of it stays."""
        if number is None:
            self._numbers.pop(node, None)
        elif self._numbers.get(node) != number:
            self._numbers[node] = number
            self._wait(now)
        return []

    def begin(self, now: Instant) -> Effects:
        """Members have joined: numbers of those that had none count at once."""
        found = {
            node: number
            for node, number in self._changed().items()
            if self._ledger.state(node).attribute(self._settings.attribute) is None
        }
        effects = self._write(found)
        self._wait(now)
        return effects

    def deadline(self) -> Instant | None:
        """Return when `on_timer` is due."""
        return self._due

    def on_timer(self, now: Instant) -> Effects:
        """Write what has changed and rests; nothing when it is as it was."""
        if self._due is None or self._due > now:
            return []
        self._due = self._since = None
        return self._write(self._changed())

    def _wait(self, now: Instant) -> None:
        if not self._ledger.serving or not self._changed():
            return
        if self._since is None:
            self._since = now
        dampen = self._settings.dampen
        self._due = min(now + dampen, self._since + PATIENCE * dampen)

    def _changed(self) -> dict[str, int]:
        """Return the numbers of members that differ from what the status says, by name."""
        return {
            node: number
            for node, number in sorted(self._numbers.items())
            if node in self._ledger.joined
            and self._ledger.state(node).attribute(self._settings.attribute) != str(number)
        }

    def _write(self, numbers: dict[str, int]) -> Effects:
        if not numbers:
            return []
        name = self._settings.attribute
        effects: Effects = [
            note("reach-changed", node=node, attribute=name, value=number)
            for node, number in numbers.items()
        ]
        changes = tuple(SetTransientAttribute(n, name, str(value)) for n, value in numbers.items())
        return effects + self._ledger.apply(changes)
