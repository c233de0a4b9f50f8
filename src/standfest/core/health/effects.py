"""What the health machine wants done, and what it has found out."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BeginProbe:
    """Begin one probe; its result is reported with the same number."""

    checker: str
    number: int


@dataclass(frozen=True, slots=True)
class AbandonProbe:
    """Nobody waits for this probe any more: close its socket, end its program."""

    checker: str
    number: int


@dataclass(frozen=True, slots=True)
class CheckerChanged:
    """A checker's verdict is another one now; reason: what was found, in one line."""

    checker: str
    up: bool
    reason: str


@dataclass(frozen=True, slots=True)
class WeightFound:
    """A dynamic checker says which weight its server should have."""

    checker: str
    weight: int


@dataclass(frozen=True, slots=True)
class ProbeFailed:
    """A single probe failed; counted, and logged where the operator asked for all failures."""

    checker: str
    reason: str
    attempts_left: int


HealthEffect = BeginProbe | AbandonProbe | CheckerChanged | WeightFound | ProbeFailed
