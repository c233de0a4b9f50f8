"""What the executor wants done."""

from dataclasses import dataclass

from standfest.model.operations import Operation, OperationResult


@dataclass(frozen=True, slots=True)
class StartRun:
    """Run the operation's agent; `run` is never used twice."""

    run: int
    operation: Operation


@dataclass(frozen=True, slots=True)
class KillRun:
    """End the run's process group: it took longer than its timeout."""

    run: int


@dataclass(frozen=True, slots=True)
class Report:
    """Tell the coordinator how an operation ended; again: it was told so before."""

    result: OperationResult
    again: bool = False


ExecutorEffect = StartRun | KillRun | Report
