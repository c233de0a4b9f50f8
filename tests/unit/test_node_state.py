"""What a node's history says of a resource: whether it is active, and in which role."""

import pytest

from standfest.model.operations import Agent, Operation, OperationResult, OperationStatus
from standfest.model.status import NodeState
from standfest.model.time import seconds


def state(*entries: str) -> NodeState:
    """Return a node whose history of `db` is `TASK:CODE` each, `~` for pending."""
    results = []
    for call, entry in enumerate(entries, 1):
        task, _, code = entry.partition(":")
        every = seconds(5) if task == "monitor" else 0
        operation = Operation("db", Agent("ocf", "x"), task, every, seconds(20))
        pending = code == "~"
        status = OperationStatus.PENDING if pending else OperationStatus.DONE
        results.append(OperationResult(operation, status, 193 if pending else int(code), call))
    return NodeState("one", history=(("db", tuple(results)),))


@pytest.mark.parametrize(
    ("entries", "runs", "promoted"),
    [
        ((), False, False),
        (("start:0",), True, False),
        (("start:1",), True, False),  # parts may be running
        (("start:~",), True, False),
        (("start:0", "stop:1"), True, False),
        (("start:0", "stop:0"), False, False),
        (("monitor:1", "stop:1"), True, False),  # the stop has replaced the start as the last one
        (("stop:7",), False, False),
        (("start:0", "monitor:7"), False, False),
        (("promote:0",), True, True),  # it has replaced the start as the last operation
        (("promote:0", "monitor:8"), True, True),
        (("promote:0", "monitor:9"), True, True),  # failed, but promoted
        (("promote:0", "monitor:1"), True, True),  # nothing says that it was demoted
        (("promote:0", "monitor:0"), True, False),
        (("promote:0", "monitor:7"), False, False),
        (("promote:1",), True, False),
        (("promote:7",), False, False),
        (("monitor:8", "demote:0"), True, False),
        (("monitor:8", "demote:1"), True, True),
        (("monitor:8", "demote:~"), True, True),
        (("monitor:0", "migrate_to:0"), True, False),  # until it is stopped
        (("migrate_from:0",), True, False),
        (("monitor:191",), True, True),  # degraded
        (("asyncmon:1",), True, False),  # it has replaced the start as the last operation
        (("monitor:8", "asyncmon:1"), True, True),
        (("asyncmon:1", "stop:0"), False, False),
    ],
)
def test_what_runs_and_its_role_are_read_from_the_history(
    entries: tuple[str, ...], *, runs: bool, promoted: bool
) -> None:
    node = state(*entries)
    assert (node.runs("db"), node.promoted("db")) == (runs, promoted)
