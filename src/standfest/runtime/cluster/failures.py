"""How failures are counted: transient attributes that the scheduler reads.

Source: facts/formats/CIB-STATUS.md section 2, SCHEDULER-SPEC.md section 3.
"""

from standfest.core.cib.changes import SetTransientAttribute
from standfest.model.operations import ExitCode, OperationResult, OperationStatus
from standfest.model.scores import INFINITY, clamp
from standfest.model.status import NodeState
from standfest.model.time import in_milliseconds

_FINDINGS = frozenset(
    {
        ExitCode.OK,
        ExitCode.NOT_RUNNING,
        ExitCode.RUNNING_PROMOTED,
        ExitCode.DEGRADED,
        ExitCode.DEGRADED_PROMOTED,
    }
)
"""What a probe may find without anything being wrong."""


def forget_failures(state: NodeState, resource: str) -> tuple[SetTransientAttribute, ...]:
    """Return the changes after which a node counts no failure of a resource."""
    prefixes = (f"fail-count-{resource}#", f"last-failure-{resource}#")
    return tuple(
        SetTransientAttribute(state.name, name, None)
        for name, _ in state.attributes
        if name.startswith(prefixes)
    )


def has_failed(state: NodeState, resource: str) -> bool:
    """Return whether a node has a failure of a resource on record, counted or in its history."""
    return bool(forget_failures(state, resource)) or any(map(_is_failure, state.of(resource)))


def _is_failure(entry: OperationResult) -> bool:
    if entry.succeeded or entry.status in (OperationStatus.PENDING, OperationStatus.CANCELLED):
        return False
    probe = entry.operation.task == "monitor" and not entry.operation.interval
    return not (probe and entry.status is OperationStatus.DONE and entry.exit_code in _FINDINGS)


def failure_changes(
    state: NodeState, result: OperationResult, wall: int, *, start_failure_is_fatal: bool
) -> tuple[SetTransientAttribute, ...]:
    """Return the changes that count this result as a failure; none when it is not one.

    A probe counts nothing: what it finds is recorded. Nor does a notification. A failed stop, and a
    failed start where that is fatal, count INFINITY. wall: seconds since 1970.
    """
    operation = result.operation
    ended = result.status not in (OperationStatus.PENDING, OperationStatus.CANCELLED)
    probe = operation.task == "monitor" and not operation.interval
    if result.succeeded or probe or not ended or operation.task == "notify":
        return ()
    suffix = f"{operation.resource}#{operation.task}_{in_milliseconds(operation.interval)}"
    fatal = operation.task == "stop" or (operation.task == "start" and start_failure_is_fatal)
    before = state.attribute(f"fail-count-{suffix}") or "0"
    count = INFINITY if fatal or before == "INFINITY" else clamp(int(before) + 1)
    text = "INFINITY" if count >= INFINITY else str(count)
    return (
        SetTransientAttribute(state.name, f"fail-count-{suffix}", text),
        SetTransientAttribute(state.name, f"last-failure-{suffix}", str(wall)),
    )
