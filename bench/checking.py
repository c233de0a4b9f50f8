"""Our side of `./dev bench checks`: health, pools and prober; the data plane keeps a log."""

import signal
from collections.abc import Callable, Sequence
from pathlib import Path

from standfest.adapters.linux.probes.prober import Probes
from standfest.core.health.effects import AbandonProbe, BeginProbe
from standfest.model.balancing import BalancerSettings
from standfest.model.forwarding import AddDestination, Change, DeleteDestination
from standfest.model.time import Instant, earliest
from standfest.ports.probes import Outcome
from standfest.runtime.balancer.adoption import Ledger
from standfest.runtime.balancer.assignment import Assignment
from standfest.runtime.balancer.balancing import Balancing
from standfest.runtime.balancer.effects import Apply, Effects
from standfest.runtime.loop import Loop

COME, GONE = 5, 7
"""What the rig looks for: IPVS's commands for a new destination and one that is removed."""


class Checking:
    """What the daemon does between its machine and its prober, and nothing else."""

    def __init__(self, settings: BalancerSettings, log: Path, clock: Callable[[], float]) -> None:
        self._machine = Balancing(Assignment(settings))
        self._loop = Loop(self._deadline, self._on_timer)
        self._prober = Probes(self._loop, self._on_outcome)
        self._log, self._clock = log.open("a", buffering=1), clock

    def run(self) -> None:
        """Check until SIGTERM."""
        self._loop.on_signal(signal.SIGTERM, self._loop.stop)
        self._perform(self._machine.start(self._loop.now(), {}, Ledger()))
        self._loop.run()
        self._prober.close()

    def _deadline(self) -> Instant | None:
        return earliest(self._machine.deadline(), self._prober.deadline())

    def _on_timer(self) -> None:
        now = self._loop.now()
        self._prober.on_timer(now)
        self._perform(self._machine.on_timer(now))

    def _on_outcome(self, name: str, number: int, outcome: Outcome) -> None:
        self._perform(self._machine.on_outcome(self._loop.now(), name, number, outcome))

    def _perform(self, effects: Effects) -> None:
        for effect in effects:
            match effect:
                case BeginProbe(name, number):
                    self._prober.begin(name, number, self._machine.target(name))
                case AbandonProbe(name, number):
                    self._prober.abandon(name, number)
                case Apply(changes):
                    self._apply(changes)
                case _:
                    pass  # nobody reads what is said here

    def _apply(self, changes: Sequence[Change]) -> None:
        now = self._clock()
        lines = []
        for change in changes:
            if isinstance(change, AddDestination):
                lines.append(f"{now:.6f} {COME}\n")
            elif isinstance(change, DeleteDestination):
                lines.append(f"{now:.6f} {GONE}\n")
        self._log.write("".join(lines))
