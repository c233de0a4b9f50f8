"""What a data plane must offer for its connections to be copied to the partner, and taken from it.

The active director's half says what it has and what changes; the partner's half takes in what it is
told. A backend that can do this has a method `flow_table()` that returns it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from standfest.model.flows import Flow, FlowKey
from standfest.model.time import Duration


@dataclass(frozen=True, slots=True)
class Changes:
    """What has begun or changed, and what has ended, since the last question.

    complete: False when some of it was lost, so that all has to be read anew.
    """

    changed: Sequence[Flow]
    ended: Sequence[FlowKey]
    complete: bool = True


class FlowTable(Protocol):
    """The balanced connections of one data plane. Every call may raise OperationError.

    look_every: how often `changes` is worth a call without anything to wait for; None: never.
    """

    look_every: Duration | None

    def begin(self) -> Iterable[Flow]:
        """Begin to note changes; return all connections that are there."""

    def fileno(self) -> int | None:
        """Return what becomes readable when something has changed; None: nothing does."""

    def changes(self) -> Changes:
        """Return what has changed since the last call, or since `begin`."""

    def end(self) -> None:
        """Note changes no more."""

    def mark_of(self, flow: Flow) -> int:
        """Return our mark of the server of a connection that the partner told of; 0: none."""

    def put(self, flows: Sequence[Flow], lease_s: int | None) -> int:
        """Take connections in, or renew them; return how many were refused.

        lease_s: after how long they end unless they are told again; None: they are ours now.
        What this machine has seen itself of a connection meanwhile counts for more.
        """

    def delete(self, keys: Sequence[FlowKey]) -> None:
        """Forget copies; those that are gone or have become ours are left alone."""

    def close(self) -> None:
        """Let go of the kernel; what was taken in stays."""


@runtime_checkable
class Shower(Protocol):
    """A backend that shows its connections."""

    def flow_table(self) -> FlowTable:
        """Return them, open until it is closed."""
