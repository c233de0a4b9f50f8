"""Effects of one machine as effects of the whole member."""

from standfest.core.cib.replica import Persist, Publish, ReplicaEffect
from standfest.core.executor.effects import ExecutorEffect, Report
from standfest.core.executor.effects import KillRun as ExecutorKill
from standfest.core.executor.effects import StartRun as ExecutorStart
from standfest.core.executor.machine import Executor
from standfest.core.fencing.hand import Begin, End, HandEffect, Tell
from standfest.model.operations import OperationResult
from standfest.model.time import Instant, in_milliseconds
from standfest.runtime.cluster import events, protocol
from standfest.runtime.cluster.effects import (
    FenceKill,
    FenceRun,
    KillRun,
    Level,
    MemberEffect,
    Note,
    Save,
    Send,
    StartRun,
    note,
)
from standfest.runtime.cluster.inventing import REASON


def executed(node: str, leader: str, wanted: list[ExecutorEffect]) -> list[MemberEffect]:
    """Return what the executor of `node` wants; results go to the coordinator, if there is one.

    Recurring operations begin unnoted: only their news matters.
    """
    effects: list[MemberEffect] = []
    for effect in wanted:
        match effect:
            case ExecutorStart(run, operation):
                if not operation.interval:
                    resource, task = operation.resource, operation.task
                    effects.append(note("operation-started", resource=resource, task=task))
                effects.append(StartRun(run, operation))
            case ExecutorKill(run):
                effects.append(KillRun(run))
            case Report(result, again):
                effects.append(_ended(result))
                if leader:
                    effects.append(Send(leader, protocol.Outcome(result)))
                if not again:
                    effects += events.operation(node, result)
    return effects


def handed(leader: str, wanted: list[HandEffect]) -> list[MemberEffect]:
    """Return what this node's fencing hand wants; how it ended goes to the coordinator."""
    effects: list[MemberEffect] = []
    for effect in wanted:
        match effect:
            case Begin(number, call):
                node, device, action = call.target, call.device, call.action
                started = note("fence-agent-started", node=node, device=device, action=action)
                effects += [started, FenceRun(number, call)]
            case End(number):
                effects.append(FenceKill(number))
            case Tell(term, run, succeeded, reason):
                effects.append(note("fence-agent-ended", succeeded=succeeded, reason=reason))
                if leader:
                    effects.append(Send(leader, protocol.Fenced(term, run, succeeded, reason)))
    return effects


def obeyed(  # noqa: PLR0917  whose executor, under whom, and when
    node: str,
    executor: Executor,
    leader: str,
    now: Instant,
    wall: int,
    order: protocol.Execute | protocol.Cancel | protocol.Forget | protocol.Fail,
) -> list[MemberEffect]:
    """Do what the coordinator orders of this node's executor."""
    match order:
        case protocol.Execute(operation=operation):
            level, name, task = Level.DEBUG, operation.resource, operation.task
            asked = note("operation-requested", level, resource=name, task=task)
            return [asked, *executed(node, leader, executor.execute(now, wall, operation))]
        case protocol.Cancel(resource=name, task=task, interval=interval):
            return executed(node, leader, executor.cancel(now, wall, name, task, interval))
        case protocol.Forget(resource=name):
            executor.forget(name)
            return []
        case protocol.Fail(resource=name):
            return executed(node, leader, executor.fail(wall, name, REASON))


def replicated(wanted: list[ReplicaEffect], promised: tuple[int, str]) -> list[MemberEffect]:
    """Return what a follower's replica wants."""
    effects: list[MemberEffect] = []
    for effect in wanted:
        match effect:
            case Persist(cib):
                effects.append(Save(cib, promised))
            case Publish(message, destination):
                effects.append(Send(destination or None, message))
            case _:
                continue
    return effects


def _ended(result: OperationResult) -> Note:
    return note(
        "operation-ended",
        resource=result.operation.resource,
        task=result.operation.task,
        interval=in_milliseconds(result.operation.interval),
        rc=result.exit_code,
        status=result.status.name.lower(),
        ms=in_milliseconds(result.run_time),
    )
