"""What setting a machine up needs of it. Every method raises OperationError with one line."""

from collections.abc import Sequence
from typing import Protocol

from standfest.model.setup import Situation, Step


class Machine(Protocol):
    """The machine that is set up."""

    def look(self, kinds: Sequence[str] = ()) -> Situation:
        """Return what there is, and which of these kinds of interfaces can be made."""

    def holds(self, step: Step) -> bool:
        """Return whether the machine is as the step would make it."""

    def undo_of(self, step: Step) -> Step:
        """Return the step that leads back from what `step` makes to what is there now."""

    def do(self, step: Step) -> None:
        """Do a step; doing it again is a success."""
