"""What the executor needs of the world: run one operation of a resource agent, or end it."""

from dataclasses import dataclass
from typing import Protocol

from standfest.model.operations import Operation

RunId = int
"""Identifies one run of an operation within one executor's life; never used twice."""


@dataclass(frozen=True, slots=True)
class RunEnded:
    """A run is over: the agent exited, was killed, or could not be started at all.

    exit_code: an OCF exit code, already translated from LSB's or systemd's; reason: what the agent
    said after `ocf-exit-reason:`, or why it could not be run; killed: ended by a signal.
    """

    run: RunId
    exit_code: int
    reason: str = ""
    killed: bool = False


class AgentRunner(Protocol):
    """Runs agents as processes of their own; never blocks the caller."""

    def start(self, run: RunId, operation: Operation) -> None:
        """Begin a run; exactly one `RunEnded` follows, also when it cannot start."""

    def kill(self, run: RunId) -> None:
        """End the run's whole process group at once; its `RunEnded` follows. Unknown: ignored."""
