"""What fencing needs of the world: call one fence agent, or end it."""

from dataclasses import dataclass
from typing import Protocol

from standfest.model.fencing import FenceCall


@dataclass(frozen=True, slots=True)
class FenceEnded:
    """A call is over. reason: what the agent said last, without secrets."""

    number: int
    succeeded: bool
    reason: str = ""


class FenceRunner(Protocol):
    """Calls fence agents as processes of their own; never blocks the caller."""

    def start(self, number: int, call: FenceCall) -> None:
        """Begin a call; exactly one `FenceEnded` follows, also when it cannot start."""

    def kill(self, number: int) -> None:
        """End the call's whole process group; its `FenceEnded` follows. Unknown: ignored."""
