"""Complete operations for actions: agent, timeout, parameters, what agents are told besides.

Source: facts/formats/RA-API.md section 1, SCHEDULER-SPEC.md row 11.3.
"""

from standfest.model.configuration import OperationEntry, Primitive
from standfest.model.operations import ExitCode, Operation
from standfest.model.time import Duration, in_milliseconds


def one_shot(primitive: Primitive, task: str, node: str) -> Operation:
    """Return a start, a stop or a probe."""
    entry = next((e for e in primitive.operations if e.name == task and not e.interval), None)
    timeout = entry.timeout if entry else primitive.default_timeout
    if task == "monitor" and entry is None:  # a probe may take what the quickest monitor may
        recurring = [e for e in primitive.operations if e.name == task and e.interval]
        timeout = min(recurring, key=lambda e: e.interval).timeout if recurring else timeout
    expected = ExitCode.NOT_RUNNING if task == "monitor" else ExitCode.OK
    extra = entry.parameters if entry else ()
    delay = entry.start_delay if entry else 0
    return _operation(primitive, task, 0, timeout, node, expected, extra, delay)


def recurring(primitive: Primitive, entry: OperationEntry, node: str) -> Operation:
    """Return a recurring operation."""
    return _operation(
        primitive,
        entry.name,
        entry.interval,
        entry.timeout,
        node,
        ExitCode.OK,
        entry.parameters,
        entry.start_delay,
    )


def _operation(  # noqa: PLR0917 (a leaf: the fields of one value)
    primitive: Primitive,
    task: str,
    interval: Duration,
    timeout: Duration,
    node: str,
    expected: ExitCode,
    extra: tuple[tuple[str, str], ...],
    start_delay: Duration,
) -> Operation:
    meta = {
        "name": task,
        "interval": str(in_milliseconds(interval)),
        "timeout": str(in_milliseconds(timeout)),
        "on_node": node,
        "on_node_uuid": node,
    }
    return Operation(
        resource=primitive.id,
        agent=primitive.agent,
        task=task,
        interval=interval,
        timeout=timeout,
        parameters=tuple(sorted({**dict(primitive.parameters), **dict(extra)}.items())),
        meta=tuple(sorted(meta.items())),
        expected=int(expected),
        start_delay=start_delay,
    )
