"""Runs operations on one node: one at a time for each resource, recurring ones by the clock.

A machine without I/O; agents are processes of somebody else. What it knows of every resource is
its history, which a new coordinator asks for. Source: facts/formats/RA-API.md, CIB-STATUS.md.
"""

from collections import deque
from dataclasses import dataclass, field, replace

from standfest.core.executor.effects import ExecutorEffect, KillRun, Report, StartRun
from standfest.core.executor.history import History
from standfest.model.operations import ExitCode, Operation, OperationResult, OperationStatus
from standfest.model.status import NodeState
from standfest.model.time import Duration, Instant, earliest, milliseconds

MAX_QUEUED = 100
"""Operations waiting for one resource; more is a coordinator gone wild, and is refused."""

FIRST_RECURRING_DELAY: Duration = milliseconds(200)
"""How long the first run of a monitor keeps out of the way of the starts that follow its own."""

INVENTED_KEY = "{call}:-1:0:xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx"
"""The transition-key of news that no transition has asked for, as Pacemaker writes it."""

Effects = list[ExecutorEffect]


@dataclass(slots=True)
class _Running:
    run: int
    operation: Operation
    since: Instant
    queued: Duration
    wall: int
    until: Instant


@dataclass(slots=True)
class _Waiting:
    operation: Operation
    since: Instant
    not_before: Instant


@dataclass(slots=True)
class _Recurring:
    operation: Operation
    due: Instant
    last: tuple[OperationStatus, int] | None = None


@dataclass(slots=True)
class _Resource:
    running: _Running | None = None
    queue: deque[_Waiting] = field(default_factory=deque)
    recurring: dict[tuple[str, Duration], _Recurring] = field(default_factory=dict)


class Executor:
    """All operations of one node; `now` is monotonic ns, `wall` seconds since 1970."""

    def __init__(self) -> None:
        self._resources: dict[str, _Resource] = {}
        self._runs: dict[int, str] = {}
        self._next_run = 1
        self._history = History()

    # --- inputs ---------------------------------------------------------------------------------

    def execute(self, now: Instant, wall: int, operation: Operation) -> Effects:
        """Run an operation after those of the same resource that wait already.

        One that is running, waiting or done under the same key is not run again, but reported.
        """
        resource = self._resources.setdefault(operation.resource, _Resource())
        done = self._history.by_key(operation)
        if done is not None:
            return [Report(done, again=True)]
        if self._known(resource, operation):
            return []
        if len(resource.queue) >= MAX_QUEUED:
            return [Report(self._refused(operation, wall))]
        if not operation.interval and operation.task != "monitor":
            self._pause_recurring(resource, operation)
        waiting = _Waiting(operation, now, now + operation.start_delay)
        if operation.interval:
            key = (operation.task, operation.interval)
            resource.recurring[key] = _Recurring(
                operation, waiting.not_before + FIRST_RECURRING_DELAY
            )
        else:
            resource.queue.append(waiting)
        return self._advance(now, wall, operation.resource)

    def cancel(self, now: Instant, wall: int, name: str, task: str, interval: Duration) -> Effects:
        """End a recurring operation; a run that is under way ends by itself, unreported."""
        del now, wall
        resource = self._resources.get(name)
        if resource is not None:
            resource.recurring.pop((task, interval), None)
        self._history.drop_recurring(name, task, interval)
        return []

    def drop_waiting(self) -> None:
        """Forget what has not begun: whoever asked for it may no longer be obeyed."""
        for resource in self._resources.values():
            resource.queue.clear()

    def on_run_ended(  # noqa: PLR0917  the fields of ports.agents.RunEnded, which core cannot import
        self, now: Instant, wall: int, run: int, exit_code: int, reason: str, killed: bool
    ) -> Effects:
        """A run's process has ended; one that was given up long ago is ignored."""
        name = self._runs.pop(run, None)
        if name is None:
            return []
        resource = self._resources.setdefault(name, _Resource())
        running = resource.running
        assert running is not None, "a run belongs to a running operation"
        assert running.run == run, "a resource has one run at a time"
        resource.running = None
        status = OperationStatus.DONE
        if killed:
            exit_code, reason = ExitCode.GENERIC, reason or "killed by a signal"
        effects = self._ended(now, wall, resource, running, status, exit_code, reason)
        return effects + self._advance(now, wall, name)

    def on_timer(self, now: Instant, wall: int) -> Effects:
        """Give up runs that took too long, start what is due."""
        effects: Effects = []
        for name, resource in list(self._resources.items()):
            running = resource.running
            if running is not None and running.until <= now:
                del self._runs[running.run]
                resource.running = None
                effects.append(KillRun(running.run))
                why = f"no answer within {running.operation.timeout // 1_000_000} ms"
                effects += self._ended(
                    now, wall, resource, running, OperationStatus.TIMEOUT, ExitCode.GENERIC, why
                )
            effects += self._advance(now, wall, name)
        return effects

    def fail(self, wall: int, name: str, reason: str) -> Effects:
        """Record that a resource has failed, as if a monitor had said so; only of what runs here.

        The operation is `asyncmon`, as with Pacemaker: news that nobody has asked an agent for.
        """
        last = self._history.last(name)
        if last is None or not NodeState("", history=self.history()).runs(name):
            return []
        call = self._history.next_call()
        operation = replace(
            last,
            task="asyncmon",
            interval=0,
            meta=(),
            key=INVENTED_KEY.format(call=call),
            expected=int(ExitCode.OK),
            start_delay=0,
        )
        result = OperationResult(
            operation,
            OperationStatus.DONE,
            int(ExitCode.GENERIC),
            call,
            exit_reason=reason,
            last_run=wall,
            last_change=wall,
        )
        self._history.record(result)
        return [Report(result)]

    def forget(self, name: str) -> None:
        """Drop all that is known of a resource; its recurring operations end."""
        resource = self._resources.get(name)
        if resource is not None:
            resource.recurring.clear()
        self._history.forget(name)

    def history(self) -> tuple[tuple[str, tuple[OperationResult, ...]], ...]:
        """Return every result worth knowing, and what runs or waits as pending entries."""
        pending: dict[str, list[Operation]] = {}
        for name, resource in self._resources.items():
            operations = [waiting.operation for waiting in resource.queue]
            if resource.running is not None and not resource.running.operation.interval:
                operations.insert(0, resource.running.operation)
            if operations:
                pending[name] = operations
        return self._history.snapshot(pending)

    def deadline(self) -> Instant | None:
        """Return when `on_timer` is due."""
        moments: list[Instant | None] = []
        for resource in self._resources.values():
            if resource.running is not None:
                moments.append(resource.running.until)
            elif resource.queue:
                moments.append(resource.queue[0].not_before)
            else:
                moments += [recurring.due for recurring in resource.recurring.values()]
        return earliest(*moments)

    # --- one resource ---------------------------------------------------------------------------

    def _advance(self, now: Instant, wall: int, name: str) -> Effects:
        """Start the resource's next operation, if it is time for one."""
        resource = self._resources[name]
        if resource.running is not None:
            return []
        if resource.queue:
            if resource.queue[0].not_before > now:
                return []
            waiting = resource.queue.popleft()
            return self._start(now, wall, name, waiting.operation, now - waiting.since)
        due = [r for r in resource.recurring.values() if r.due <= now]
        if not due:
            return []
        recurring = min(due, key=lambda r: r.due)
        # From start to start, skipping what was missed, so that a slow agent is not hurried.
        missed = (now - recurring.due) // recurring.operation.interval
        recurring.due += (missed + 1) * recurring.operation.interval
        return self._start(now, wall, name, recurring.operation, 0)

    def _start(
        self, now: Instant, wall: int, name: str, operation: Operation, queued: Duration
    ) -> Effects:
        if operation.task == "stop":
            # What runs was begun with those: the address that was, not the one that is to come.
            begun = self._history.begun_with(name)
            operation = operation if begun is None else replace(operation, parameters=begun)
        run = self._next_run
        self._next_run += 1
        until = now + operation.timeout
        self._resources[name].running = _Running(run, operation, now, queued, wall, until)
        self._runs[run] = name
        return [StartRun(run, operation)]

    def _ended(  # noqa: PLR0917
        self,
        now: Instant,
        wall: int,
        resource: _Resource,
        running: _Running,
        status: OperationStatus,
        exit_code: int,
        reason: str,
    ) -> Effects:
        operation = running.operation
        result = OperationResult(
            operation,
            status,
            int(exit_code),
            self._history.next_call(),
            exit_reason=reason,
            last_run=running.wall,
            last_change=wall,
            run_time=now - running.since,
            queue_time=running.queued,
        )
        if operation.interval:
            recurring = resource.recurring.get((operation.task, operation.interval))
            if recurring is None or recurring.operation is not operation:
                return []  # cancelled, or replaced, while it ran
            if recurring.last == (status, exit_code):
                return []  # the same news again
            recurring.last = (status, exit_code)
        if operation.task == "stop" and result.succeeded:
            resource.recurring.clear()
        self._history.record(result)
        return [Report(result)]

    def _pause_recurring(self, resource: _Resource, operation: Operation) -> None:
        """A change of state ends the recurring operations: they would see it half done."""
        if operation.task in ("start", "stop", "promote", "demote", "migrate_to", "migrate_from"):
            resource.recurring.clear()

    @staticmethod
    def _known(resource: _Resource, operation: Operation) -> bool:
        running = resource.running
        known = [running.operation] if running is not None else []
        known += [waiting.operation for waiting in resource.queue]
        known += [recurring.operation for recurring in resource.recurring.values()]
        return bool(operation.key) and any(other.key == operation.key for other in known)

    def _refused(self, operation: Operation, wall: int) -> OperationResult:
        return OperationResult(
            operation,
            OperationStatus.ERROR,
            ExitCode.GENERIC,
            self._history.next_call(),
            exit_reason=f"more than {MAX_QUEUED} operations wait",
            last_run=wall,
            last_change=wall,
        )
