"""What an invariant is, what breaks one, and who tells them all."""

from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from standfest.model.configuration import Configuration
from standfest.model.time import NANOSECONDS_PER_SECOND, Instant
from standfest.sim.cluster import SimCluster
from standfest.sim.observer import Observer
from standfest.sim.scene import Scene


class ViolationError(Exception):
    """An invariant does not hold; name: of the invariant, at: simulated ns, what: one line."""

    def __init__(self, name: str, at: Instant, what: str) -> None:
        super().__init__(f"{name} at {at / NANOSECONDS_PER_SECOND:.3f} s: {what}")
        self.name = name
        self.at = at
        self.what = what


class Invariant(Observer):
    """One promise, checked as things happen.

    name: as it is printed; promise: what it says, in one sentence. `scene` says what this run
    promises; `sim` is set before anything happens.
    """

    name: ClassVar[str]
    promise: ClassVar[str]

    def __init__(self, scene: Scene, configuration: Configuration) -> None:
        self.scene = scene
        self.configuration = configuration
        self.sim: SimCluster

    def broken(self, what: str) -> ViolationError:
        """Return the violation to raise."""
        return ViolationError(self.name, self.sim.now, what)

    def settled(self) -> None:
        """Faults have ended, and the time in which everything must be well again has passed."""

    def rested(self) -> None:
        """A quiet while after `settled` has passed, too."""

    def bereaved(self) -> None:
        """Then one node died, and the time in which everything must be well has passed again."""


class Referee(Observer):
    """Hands everything to those invariants that want to hear of it."""

    replays = False

    def __init__(self, invariants: Iterable[Invariant]) -> None:
        self.invariants = tuple(invariants)
        for hook in vars(Observer):
            if hook.startswith("_") or hook == "replays":
                continue
            wanting = [
                getattr(invariant, hook)
                for invariant in self.invariants
                if getattr(type(invariant), hook) is not getattr(Observer, hook)
            ]
            setattr(self, hook, _together(wanting))

    def watch(self, sim: SimCluster) -> None:
        """Begin with this simulation."""
        for invariant in self.invariants:
            invariant.sim = sim


def _together(calls: list[Callable[..., None]]) -> Callable[..., None]:
    if len(calls) == 1:
        return calls[0]

    def all_of_them(*arguments: Any) -> None:
        for call in calls:
            call(*arguments)

    return all_of_them
