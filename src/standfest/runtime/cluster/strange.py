"""Operations that run on members although the transition that counts has not begun them.

Another coordinator did, or this one before messages were lost. Their ends change what is so: a
decision that does not wait for them starts one thing beside another that is just being stopped.
"""

from collections.abc import Iterable

from standfest.model.operations import Operation, OperationResult, OperationStatus
from standfest.model.time import Duration, Instant, earliest


class Strange:
    """What is waited for, by node and key; true while there is anything."""

    def __init__(self) -> None:
        self._until: dict[tuple[str, str], Instant] = {}

    def __bool__(self) -> bool:
        return bool(self._until)

    def begin(
        self, now: Instant, node: str, operations: Iterable[Operation], delay: Duration
    ) -> None:
        """Wait for these, and for nothing else on this node.

        Those of one resource run one after the other, each for its timeout at most; delay: what
        messages may take beyond.
        """
        self.lost(node)
        until: dict[str, Instant] = {}
        for operation in operations:
            begins = until.get(operation.resource, now)
            ends = begins + operation.start_delay + operation.timeout
            until[operation.resource] = ends
            self._until[node, operation.key] = ends + delay

    def ended(self, node: str, result: OperationResult) -> None:
        """One has ended, if the result is final."""
        if result.status is not OperationStatus.PENDING:
            self._until.pop((node, result.operation.key), None)

    def lost(self, node: str) -> None:
        """Wait for nothing on this node any longer."""
        self._until = {known: at for known, at in self._until.items() if known[0] != node}

    def deadline(self) -> Instant | None:
        """Return when `on_timer` is due."""
        return earliest(*self._until.values())

    def on_timer(self, now: Instant) -> bool:
        """Give up what takes too long; return whether it was the last that was waited for."""
        waited = bool(self._until)
        self._until = {known: at for known, at in self._until.items() if at > now}
        return waited and not self._until
