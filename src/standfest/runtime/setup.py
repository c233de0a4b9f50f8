"""Does the steps of a plan, remembers how to undo them first, and undoes what was done half."""

from collections.abc import Callable, Sequence

from standfest.core.setup.ledger import (
    Done,
    Ledger,
    entered,
    forgotten,
    leaving,
    recorded,
    refuse_conflicts,
)
from standfest.model.errors import OperationError
from standfest.model.setup import LoadTable, OpenTunnel, SetDefault, SetSysctl, Step
from standfest.ports.machine import Machine

Save = Callable[[Ledger], None]


def up(
    machine: Machine, ledger: Ledger, name: str, steps: Sequence[Step], save: Save
) -> tuple[Step, ...]:
    """Do what is not so yet; return the steps that changed something.

    The ledger is saved before each of them, so that a `down` after a crash finds it. When a step
    fails, those of this call are undone and OperationError is raised.
    """
    refuse_conflicts(ledger, name, steps)
    before = ledger
    ledger = entered(ledger, name, steps)
    changed: list[Step] = []
    try:
        save(ledger)
        for step in steps:
            if machine.holds(step):
                continue
            ledger = recorded(ledger, step, machine.undo_of(step))
            save(ledger)
            machine.do(step)
            changed.append(step)
        # What an entry needed before, and nobody does now: a plan may have become shorter.
        ledger, gone = leaving(ledger, ())
        if gone:
            changed += _undo_all(machine, ledger, gone, save)[0]
    except OperationError as error:
        ours = [one for one in reversed(ledger.done) if not before.changed(one.step.key)]
        left = _undo_all(machine, ledger, ours, save)[1]
        save(before)
        more = f"; not put back: {'; '.join(left)}" if left else "; nothing is changed"
        raise OperationError(f"{error}{more}") from error
    return tuple(changed)


def down(
    machine: Machine, ledger: Ledger, names: Sequence[str], save: Save
) -> tuple[tuple[Step, ...], tuple[str, ...]]:
    """Undo what nobody needs without these entries; return the steps and what was left as it is."""
    ledger, gone = leaving(ledger, names)
    return _undo_all(machine, ledger, gone, save)


def _undo_all(
    machine: Machine, ledger: Ledger, gone: Sequence[Done], save: Save
) -> tuple[tuple[Step, ...], tuple[str, ...]]:
    steps: list[Step] = []
    left: list[str] = []
    for one in gone:
        try:
            if isinstance(one.step, LoadTable | OpenTunnel) or machine.holds(one.step):
                machine.do(one.undo)
                steps.append(one.undo)
            elif isinstance(one.step, SetSysctl | SetDefault) and not machine.holds(one.undo):
                # Somebody has changed it since: his wish is newer than what we remember.
                left.append(f"{one.step.key} is not what was set here any more: left as it is")
        except OperationError as error:
            left.append(str(error))
            continue  # it stays in the ledger: the next `down` tries again
        ledger = forgotten(ledger, one)
        save(ledger)
    if not gone:
        save(ledger)
    return tuple(steps), tuple(left)
