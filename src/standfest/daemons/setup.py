"""Setting this machine up, and taking it back: the ledger on disk, the machine, and the plan."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from standfest.adapters.linux import setupfile
from standfest.adapters.linux.setup import LinuxMachine
from standfest.core.setup.ledger import Done, Ledger
from standfest.model.errors import OperationError
from standfest.model.setup import Situation, Step
from standfest.runtime import setup

Plan = Callable[[Situation], Mapping[str, tuple[Step, ...]]]


@dataclass(slots=True)
class Keeper:
    """The machine and what we have changed of it; held under a lock."""

    machine: LinuxMachine
    path: Path

    def ledger(self) -> Ledger:
        """Return what is remembered; raises OperationError."""
        entries, done = setupfile.load(self.path)
        return Ledger(dict(entries), tuple(Done(step, undo) for step, undo in done))

    def up(self, plans: Mapping[str, tuple[Step, ...]]) -> tuple[Step, ...]:
        """Do all plans; return what was changed. One that fails takes back those before it."""
        changed: list[Step] = []
        there = self.ledger().entries
        for name, steps in plans.items():
            try:
                changed += setup.up(self.machine, self.ledger(), name, steps, self._save)
            except OperationError:
                self.down([one for one in plans if one not in there])
                raise
        return tuple(changed)

    def down(self, names: Sequence[str]) -> tuple[tuple[Step, ...], tuple[str, ...]]:
        """Undo what only these entries need; return what was done, and what was left and why."""
        return setup.down(self.machine, self.ledger(), names, self._save)

    def _save(self, ledger: Ledger) -> None:
        done = tuple((one.step, one.undo) for one in ledger.done)
        setupfile.save(self.path, (ledger.entries, done))


@contextmanager
def keeper(run_dir: Path) -> Iterator[Keeper]:
    """Give the machine, and nobody else, for as long as something is changed."""
    path = setupfile.path_in(run_dir)
    machine = LinuxMachine()
    try:
        with setupfile.locked(path):
            yield Keeper(machine, path)
    finally:
        machine.close()
