"""Tells the operator's alert agents of events: calls them, in order for each recipient.

An agent is a process group of its own, ended when it takes longer than its timeout; nothing here
waits for one. What each recipient may have waiting is bounded, and so is what runs at once.
Source: Pacemaker Explained, chapter "Alerts"; docs/guide/alerts.md.
"""

import os
import select
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from standfest.adapters.linux import alertagents
from standfest.config.cib.alerts import compile_alerts
from standfest.daemons.alertcall import variables
from standfest.model.alerts import AlertTarget
from standfest.model.element import Element
from standfest.model.errors import OperationError
from standfest.model.time import Duration, Instant, in_milliseconds, seconds
from standfest.runtime.cluster.effects import Alert, Level, Note, note
from standfest.runtime.loop import Loop

MOST_AT_ONCE = 8
"""Agents that run at the same time."""
MOST_WAITING = 100
"""Calls that wait for one recipient; the oldest is dropped when one more comes."""
FAREWELL: Duration = seconds(2)
"""How long the last calls may take when this node has left; then they are ended."""

_Who = tuple[str, str]
"""Alert and recipient, by their ids."""


@dataclass(slots=True)
class _Call:
    number: int
    target: AlertTarget
    environment: dict[str, str]


@dataclass(slots=True)
class _Running:
    call: _Call
    process: int
    pidfd: int
    kill_at: Instant | None


class Alerting:
    """All calls of one daemon. configuration: returns the present one; say: writes a note."""

    def __init__(
        self, loop: Loop, configuration: Callable[[], Element], say: Callable[[Note], None]
    ) -> None:
        self._loop, self._configuration, self._say = loop, configuration, say
        self._compiled: Element | None = None
        self._targets: tuple[AlertTarget, ...] = ()
        self._number = 0
        self._waiting: dict[_Who, deque[_Call]] = {}
        self._running: dict[_Who, _Running] = {}
        self._unusable: set[str] = set()

    # --- inputs ---------------------------------------------------------------------------------

    def tell(self, event: Alert) -> None:
        """Have everybody called who wants to know; nothing is started before `go_on`."""
        self._look()
        at, name = time.time_ns(), dict(event.fields).get("attribute_name", "")
        for target in self._targets:
            if target.wants(event.kind, name):
                self._number += 1
                environment = variables(target, event, self._number, at)
                self._add(_Call(self._number, target, environment))

    def go_on(self) -> None:
        """Start what waits, the oldest first, as far as it may be started now."""
        self._look()
        while len(self._running) < MOST_AT_ONCE:
            free = [who for who in self._waiting if who not in self._running]
            if not free:
                return
            who = min(free, key=lambda one: self._waiting[one][0].number)
            calls = self._waiting[who]
            call = calls.popleft()
            if not calls:
                del self._waiting[who]
            self._start(who, call)

    def deadline(self) -> Instant | None:
        """Return when `end_late` is due."""
        limits = (running.kill_at for running in self._running.values())
        return min((at for at in limits if at is not None), default=None)

    def end_late(self) -> None:
        """End what has taken too long, and all that it started."""
        now = self._loop.now()
        for running in self._running.values():
            if running.kill_at is not None and running.kill_at <= now:
                limit = in_milliseconds(running.call.target.timeout)
                self._complain("alert-timed-out", running.call, ms=limit)
                self._kill(running)

    def farewell(self) -> None:
        """Wait a little for the last calls, since nobody is left who would end them."""
        until = self._loop.now() + FAREWELL
        self.go_on()
        while self._running:
            left = until - self._loop.now()
            if left <= 0:
                break
            poll = select.poll()
            for running in self._running.values():
                poll.register(running.pidfd, select.POLLIN)
            ready = {descriptor for descriptor, _ in poll.poll(in_milliseconds(left) + 1)}
            for who, running in list(self._running.items()):
                if running.pidfd in ready:
                    self._ended(who)
            self.go_on()
        for running in self._running.values():
            self._complain("alert-abandoned", running.call)
            self._kill(running)
        for call in (call for calls in self._waiting.values() for call in calls):
            self._complain("alert-abandoned", call)

    # --- calls ----------------------------------------------------------------------------------

    def _look(self) -> None:
        """Read the configuration if it is another one; say once of each path that it cannot be."""
        configuration = self._configuration()
        if configuration is self._compiled:
            return
        self._compiled, self._targets = configuration, compile_alerts(configuration)
        for path in dict.fromkeys(target.path for target in self._targets):
            why = alertagents.problem_of(path)
            if why:
                self._unusable_path(path, why)

    def _unusable_path(self, path: str, why: str) -> None:
        if path not in self._unusable:
            self._unusable.add(path)
            self._say(note("alert-agent-unusable", Level.WARNING, path=path, why=why))

    def _add(self, call: _Call) -> None:
        waiting = self._waiting.setdefault((call.target.alert, call.target.recipient), deque())
        if len(waiting) >= MOST_WAITING:
            self._complain("alert-dropped", waiting.popleft(), waiting=MOST_WAITING)
        waiting.append(call)

    def _start(self, who: _Who, call: _Call) -> None:
        path = call.target.path
        try:
            process = alertagents.start(path, call.environment)
        except OperationError as error:
            self._unusable_path(path, str(error).removeprefix(f"{path}: "))
            return
        pidfd = os.pidfd_open(process)
        kill_at = self._loop.now() + call.target.timeout
        self._running[who] = _Running(call, process, pidfd, kill_at)
        self._loop.watch(pidfd, lambda _events: self._on_end(who))

    def _on_end(self, who: _Who) -> None:
        self._ended(who)
        self.go_on()

    def _ended(self, who: _Who) -> None:
        running = self._running.pop(who)
        status = os.waitstatus_to_exitcode(os.waitpid(running.process, 0)[1])
        self._loop.forget(running.pidfd)
        os.close(running.pidfd)
        if status and running.kill_at is not None:
            self._complain("alert-failed", running.call, rc=status)

    @staticmethod
    def _kill(running: _Running) -> None:
        """End a group. Its first process is reaped when it has ended: nobody waits for that."""
        running.kill_at = None
        alertagents.end(running.process)

    def _complain(self, event: str, call: _Call, **fields: object) -> None:
        """Note something of a call by its number; never what is in its environment."""
        target = call.target
        who = {"alert": target.alert, "recipient": target.recipient or "-"}
        self._say(note(event, Level.WARNING, number=call.number, **who, **fields))
