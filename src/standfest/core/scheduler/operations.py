"""Graph stage: complete operations for actions: agent, timeout, parameters, what agents are told.

Source: facts/formats/RA-API.md sections 1 and 4, SCHEDULER-SPEC.md row 11.3.
"""

from collections.abc import Mapping

from standfest.core.scheduler import values
from standfest.core.scheduler.actions import Action
from standfest.core.scheduler.digests import parameters_of
from standfest.core.scheduler.entities import OperationConfig, Resource
from standfest.core.scheduler.resources import Reader
from standfest.model.operations import Agent, ExitCode, Operation
from standfest.model.time import milliseconds

DEFAULT_TIMEOUT_MS = 20_000


def operation(reader: Reader, action: Action, told: Mapping[str, str]) -> Operation:
    """Return what the action's node asks of the agent; `told`: meta for this action alone.

    The resource is named as its history is: instances of an anonymous clone without their number.
    """
    resource, node = action.resource, action.node
    assert resource is not None, "only resources have operations"
    assert node is not None, "an operation has a place"
    task = action.meta.get("task", action.task) if action.task == "cancel" else action.task
    config = _configured(resource, action, task)
    timeout = _timeout(reader, resource, task, config)
    standard, provider, kind = resource.agent
    meta = {
        "name": task,
        "interval": str(action.interval),
        "timeout": str(timeout),
        "on_node": node.name,
        "on_node_uuid": node.id,
        **_clone_meta(resource),
        **told,
    }
    delay = values.milliseconds(config.meta.get("start-delay"), 0) if config is not None else 0
    return Operation(
        resource=resource.history_id,
        agent=Agent(standard, kind, provider),
        task=task,
        interval=milliseconds(action.interval),
        timeout=milliseconds(timeout),
        parameters=tuple(sorted(parameters_of(reader.cluster, resource, node, config).items())),
        meta=tuple(sorted(meta.items())),
        expected=int(ExitCode.OK) if action.expected is None else action.expected,
        start_delay=milliseconds(delay),
    )


def _configured(resource: Resource, action: Action, task: str) -> OperationConfig | None:
    if action.config is not None:
        return action.config
    return next(
        (c for c in resource.operations if c.name == task and c.interval == action.interval), None
    )


def _timeout(reader: Reader, resource: Resource, task: str, config: OperationConfig | None) -> int:
    """Return how long an operation may take, in ms; a probe as long as the quickest monitor."""
    if config is not None:
        return config.timeout
    if task == "monitor":
        monitors = [c for c in resource.operations if c.name == task and c.interval]
        if monitors:
            return min(monitors, key=lambda c: c.interval).timeout
    stated = reader.default_operation(resource, task, 0).get("timeout")
    fallback = reader.cluster.options.given.get("default-action-timeout")
    return values.milliseconds(stated or fallback, DEFAULT_TIMEOUT_MS)


def _clone_meta(resource: Resource) -> dict[str, str]:
    """Return what an instance's agent is told about its clone."""
    clone = resource.clone
    if clone is None:
        return {}
    found = {
        "clone": str(resource.instance),
        "clone_max": str(clone.clone_max),
        "clone_node_max": str(clone.clone_node_max),
        "globally_unique": _word(clone.globally_unique),
        "notify": _word(clone.notify),
        "interleave": _word(clone.interleave),
        "ordered": _word(clone.ordered),
    }
    if clone.promotable:
        for name in ("promoted", "master"):
            found[f"{name}_max"] = str(clone.promoted_max)
            found[f"{name}_node_max"] = str(clone.promoted_node_max)
    return found


def _word(value: bool) -> str:
    return "true" if value else "false"
