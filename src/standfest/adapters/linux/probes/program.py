"""MISC_CHECK: a program of the operator's, without a shell, whose exit status is the verdict.

Source: keepalived.conf(5), "MISC healthchecker"; pidfd_open(2).
"""

import os
import signal
from collections.abc import Callable
from subprocess import Popen
from typing import Final

from standfest.adapters.linux import commands
from standfest.adapters.linux.probes.alarms import Alarm, Alarms
from standfest.model.balancing import MiscCheck
from standfest.model.time import Duration, seconds
from standfest.ports.probes import Outcome, Waiter

GRACE: Final[Duration] = seconds(2)
"""Between the request to end and the end of a program that nobody waits for."""
GOOD, BAD = 0, 1
WEIGHT_OFFSET: Final = 2


class ProgramProbe:
    """One run of a program, and of all that it starts."""

    def __init__(
        self,
        waiter: Waiter,
        alarms: Alarms,
        checker: MiscCheck,
        on_end: Callable[[Outcome], None],
    ) -> None:
        self._waiter, self._alarms, self._checker = waiter, alarms, checker
        self._on_end: Callable[[Outcome], None] | None = on_end
        self._process: Popen[bytes] | None = None
        self._pidfd = -1
        self._alarm: Alarm | None = None

    def begin(self, *, secure: bool) -> None:
        """Start it; raises OperationError."""
        self._process = commands.start(self._checker.command, secure=secure)
        self._pidfd = os.pidfd_open(self._process.pid)
        self._waiter.watch(self._pidfd, lambda _events: self._on_exit())

    @property
    def is_running(self) -> bool:
        """Return whether it has not ended yet."""
        return self._process is not None

    def give_up(self) -> None:
        """Ask it to end, and make it end when it does not; nothing is reported."""
        self._on_end = None
        if self._process is not None and self._alarm is None:
            commands.end(self._process, signal.SIGTERM)
            self._alarm = self._alarms.set(self._waiter.now() + GRACE, self._kill)

    def kill(self) -> None:
        """End it at once, and wait for that."""
        self._on_end = None
        if self._process is not None:
            commands.end(self._process)
            self._on_exit()

    def _kill(self) -> None:
        assert self._process is not None, "else no alarm is set"
        commands.end(self._process)

    def _on_exit(self) -> None:
        assert self._process is not None, "it was watched"
        on_end, process = self._on_end, self._process
        if on_end is None:
            commands.end(process)  # what it started may live on: nobody waits for that either
        status = process.wait()
        self._waiter.forget(self._pidfd)
        os.close(self._pidfd)
        self._process = None
        if self._alarm is not None:
            self._alarm.cancel()
        if on_end is not None:
            on_end(verdict(self._checker, status))


def verdict(checker: MiscCheck, status: int) -> Outcome:
    """Return what an exit status means; below 0 it is the signal that ended the program."""
    program = checker.command.words[0]
    if status < 0:
        return Outcome(False, f"{program}: ended by {_signal(-status)}")
    if status == GOOD:
        return Outcome(True, f"{program}: exit status 0")
    if checker.dynamic and status != BAD:
        weight = status - WEIGHT_OFFSET
        return Outcome(True, f"{program}: exit status {status}, so weight {weight}", weight)
    return Outcome(False, f"{program}: exit status {status}; expected 0")


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
