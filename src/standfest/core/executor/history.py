"""What one node remembers of its resources' operations.

Per resource: the last one-shot operation, the last result of each recurring one, the last failure.
"""

from collections.abc import Mapping, Sequence

from standfest.model.operations import ExitCode, Operation, OperationResult, OperationStatus
from standfest.model.time import Duration

Snapshot = tuple[tuple[str, tuple[OperationResult, ...]], ...]


class History:
    """Results by resource."""

    def __init__(self) -> None:
        self._last: dict[str, OperationResult] = {}
        self._recurring: dict[str, dict[tuple[str, Duration], OperationResult]] = {}
        self._failed: dict[str, OperationResult] = {}
        self._told: dict[str, OperationResult] = {}
        self._call = 0

    def next_call(self) -> int:
        """Return the next call id: they order a node's results."""
        self._call += 1
        return self._call

    def record(self, result: OperationResult) -> None:
        """Remember a result; a change of state ends what recurring ones said."""
        operation = result.operation
        name = operation.resource
        if operation.task == "notify":
            self._told[name] = result  # it says nothing about the resource
            return
        if operation.interval:
            recurring = self._recurring.setdefault(name, {})
            recurring[operation.task, operation.interval] = result
        else:
            self._last[name] = result
            if result.ends_recurring:
                self._recurring.pop(name, None)
        probe = operation.task == "monitor" and not operation.interval
        if not result.succeeded and not probe:
            self._failed[name] = result

    def last(self, name: str) -> Operation | None:
        """Return a resource's last one-shot operation, None without one."""
        last = self._last.get(name)
        return None if last is None else last.operation

    def begun_with(self, name: str) -> tuple[tuple[str, str], ...] | None:
        """Return the parameters of a resource's last one-shot operation, None without one."""
        last = self.last(name)
        return None if last is None else last.parameters

    def by_key(self, operation: Operation) -> OperationResult | None:
        """Return the result of the operation with this key, when it is still remembered."""
        if not operation.key:
            return None
        name = operation.resource
        entries = [*self._recurring.get(name, {}).values()]
        others = (self._last.get(name), self._failed.get(name), self._told.get(name))
        entries += [entry for entry in others if entry is not None]
        return next((e for e in entries if e.operation.key == operation.key), None)

    def drop_recurring(self, name: str, task: str, interval: Duration) -> None:
        """Forget what a cancelled operation said."""
        self._recurring.get(name, {}).pop((task, interval), None)

    def forget(self, name: str) -> None:
        """Forget a resource."""
        self._last.pop(name, None)
        self._recurring.pop(name, None)
        self._failed.pop(name, None)
        self._told.pop(name, None)

    def snapshot(self, pending: Mapping[str, Sequence[Operation]]) -> Snapshot:
        """Return all entries, each resource's oldest call first, pending ones last."""
        names = sorted({*self._last, *self._recurring, *self._failed, *pending})
        found: list[tuple[str, tuple[OperationResult, ...]]] = []
        for name in names:
            entries = {e.call_id: e for e in self._recurring.get(name, {}).values()}
            for entry in (self._last.get(name), self._failed.get(name)):
                if entry is not None:
                    entries[entry.call_id] = entry
            ordered = [entries[call] for call in sorted(entries)]
            ordered += [_pending(operation, self._call + 1) for operation in pending.get(name, ())]
            found.append((name, tuple(ordered)))
        return tuple(found)


def _pending(operation: Operation, call: int) -> OperationResult:
    return OperationResult(operation, OperationStatus.PENDING, ExitCode.NONE, call)
