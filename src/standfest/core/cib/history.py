"""Which results of a resource are kept: what the next scheduling must know, and no more.

The last one-shot operation, the last result of each recurring one, and the last failure.
Source: facts/formats/CIB-STATUS.md sections 3 and 5.
"""

from standfest.model.operations import OperationResult, OperationStatus
from standfest.model.time import Duration

History = tuple[tuple[str, tuple[OperationResult, ...]], ...]
"""Per resource, sorted by name, its entries with the oldest call first."""


def recorded(history: History, result: OperationResult) -> History:
    """Return the history after one more result; a change of state ends recurring operations."""
    name = result.operation.resource
    if result.operation.task == "notify":
        return history  # it says nothing about the resource
    entries = dict(history)
    entries[name] = _kept(entries.get(name, ()), result)
    return tuple(sorted(entries.items()))


def cancelled(history: History, name: str, task: str, interval: Duration) -> History:
    """Return the history without what a cancelled operation said last, unless it failed."""
    return tuple(
        (
            resource,
            tuple(
                entry
                for entry in entries
                if resource != name
                or (entry.operation.task, entry.operation.interval) != (task, interval)
                or _failed(entry)
            ),
        )
        for resource, entries in history
    )


def _kept(
    entries: tuple[OperationResult, ...], result: OperationResult
) -> tuple[OperationResult, ...]:
    new = result.operation
    last_failure = max(
        (entry for entry in (*entries, result) if _failed(entry)),
        key=lambda entry: entry.call_id,
        default=None,
    )
    kept: list[OperationResult] = []
    for entry in entries:
        old = entry.operation
        replaced = (
            (bool(old.interval) == bool(new.interval) and not new.interval)
            or (old.task, old.interval) == (new.task, new.interval)
            or (result.ends_recurring and bool(old.interval))
        )
        if not replaced or entry is last_failure:
            kept.append(entry)
    if result.status is not OperationStatus.CANCELLED:
        kept.append(result)
    return tuple(sorted(kept, key=lambda entry: entry.call_id))


def _failed(entry: OperationResult) -> bool:
    probe = entry.operation.task == "monitor" and not entry.operation.interval
    ended = entry.status not in (OperationStatus.PENDING, OperationStatus.CANCELLED)
    return ended and not entry.succeeded and not probe
