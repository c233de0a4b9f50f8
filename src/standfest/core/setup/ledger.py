"""Who needs which step on this machine, and how each is undone when nobody needs it any more.

Several entries (addresses of a real server, say) need the same step; its undo is what was there
before the first of them came. Pure: the daemon's part keeps it on disk, before the step is done.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from standfest.model.errors import OperationError
from standfest.model.setup import SetDefault, SetMtu, Step


@dataclass(frozen=True, slots=True)
class Done:
    """A step of ours that changed something, and the step that puts it back."""

    step: Step
    undo: Step


@dataclass(frozen=True, slots=True)
class Ledger:
    """All entries with the steps they need, and what was changed, oldest first."""

    entries: dict[str, tuple[Step, ...]] = field(default_factory=dict)
    done: tuple[Done, ...] = ()

    def changed(self, key: str) -> bool:
        """Return whether this thing of the machine is ours now."""
        return any(one.step.key == key for one in self.done)


def refuse_conflicts(ledger: Ledger, name: str, steps: Sequence[Step]) -> None:
    """Raise OperationError when another entry needs one of these things to be different."""
    for other, needs in ledger.entries.items():
        theirs = {step.key: step for step in needs}
        for step in steps:
            if other == name or not isinstance(step, SetDefault | SetMtu):
                continue  # what several need of a sysctl differs in degree at most
            found = theirs.get(step.key)
            if found is not None and str(found) != str(step):
                raise OperationError(
                    f"cannot {step}: {other} needs this machine to {found}; take that down first"
                )


def entered(ledger: Ledger, name: str, steps: Sequence[Step]) -> Ledger:
    """Return the ledger with an entry, before any of its steps is done."""
    return replace(ledger, entries={**ledger.entries, name: tuple(steps)})


def recorded(ledger: Ledger, step: Step, undo: Step) -> Ledger:
    """Return the ledger that knows how to undo a step that will be done now.

    For a thing that is ours already the first undo stays: it is what was there before us.
    """
    if not ledger.changed(step.key):
        return replace(ledger, done=(*ledger.done, Done(step, undo)))
    done = (Done(step, one.undo) if one.step.key == step.key else one for one in ledger.done)
    return replace(ledger, done=tuple(done))


def leaving(ledger: Ledger, names: Sequence[str]) -> tuple[Ledger, tuple[Done, ...]]:
    """Return the ledger without these entries, and what nobody needs then, newest first.

    What is to be undone stays in the ledger until `forgotten`.
    """
    entries = {name: steps for name, steps in ledger.entries.items() if name not in names}
    needed = {step.key for steps in entries.values() for step in steps}
    gone = tuple(one for one in reversed(ledger.done) if one.step.key not in needed)
    return replace(ledger, entries=entries), gone


def forgotten(ledger: Ledger, one: Done) -> Ledger:
    """Return the ledger without a step that has been undone."""
    return replace(ledger, done=tuple(other for other in ledger.done if other is not one))
