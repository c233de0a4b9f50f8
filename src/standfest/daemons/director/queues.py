"""Commands in order: one at a time for each key, the next when the one before has ended."""

import os
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from subprocess import Popen

from standfest.adapters.linux import commands
from standfest.daemons.director.words import Words
from standfest.model.errors import OperationError
from standfest.model.time import Duration, Instant, in_seconds
from standfest.model.vrrp import Command
from standfest.runtime.loop import Loop

MAX_WAITING = 1000
"""Jobs of one key; the oldest goes when one more comes."""

FAILED_TO_START = 127
TIMED_OUT = -1


@dataclass(slots=True)
class Job:
    """A command, how long it may take, and who is told its exit status."""

    command: Command
    timeout: Duration
    on_end: Callable[[int], None] | None = None


@dataclass(slots=True)
class _Running:
    job: Job
    process: "Popen[bytes]"
    pidfd: int
    kill_at: Instant


class Queues:
    """All commands that run or wait."""

    def __init__(self, loop: Loop, words: Words, *, secure: bool) -> None:
        self._loop, self._words, self._secure = loop, words, secure
        self._waiting: dict[str, deque[Job]] = {}
        self._running: dict[str, _Running] = {}

    def add(self, key: str, job: Job) -> None:
        """Run a command after all others of its key."""
        waiting = self._waiting.setdefault(key, deque())
        if len(waiting) >= MAX_WAITING:
            self._words.warn(f"{key}: {MAX_WAITING} commands wait: forgot the oldest")
            waiting.popleft()
        waiting.append(job)
        if key not in self._running:
            self._next(key)

    def is_idle(self) -> bool:
        """Return whether nothing runs or waits."""
        return not self._running and not any(self._waiting.values())

    def deadline(self) -> Instant | None:
        """Return when the first running command has taken too long."""
        return min((running.kill_at for running in self._running.values()), default=None)

    def on_timer(self, now: Instant) -> None:
        """Kill what has taken too long, and all that it started."""
        for key, running in list(self._running.items()):
            if running.kill_at <= now:
                program = running.job.command.words[0]
                limit = in_seconds(running.job.timeout)
                self._words.warn(f"{key}: {program} has not ended within {limit:g} s: killed")
                commands.end(running.process)
                running.process.wait()
                self._ended(key, TIMED_OUT)

    def kill_all(self) -> None:
        """End everything at once."""
        self._waiting.clear()
        for running in self._running.values():
            commands.end(running.process)

    def _next(self, key: str) -> None:
        waiting = self._waiting[key]
        while waiting and key not in self._running:
            job = waiting.popleft()
            try:
                process = commands.start(job.command, secure=self._secure)
            except OperationError as error:
                self._words.warn(f"{key}: {error}")
                if job.on_end is not None:
                    job.on_end(FAILED_TO_START)
                continue
            pidfd = os.pidfd_open(process.pid)
            kill_at = self._loop.now() + job.timeout
            self._running[key] = _Running(job, process, pidfd, kill_at)
            self._loop.watch(pidfd, lambda _events: self._on_exit(key))

    def _on_exit(self, key: str) -> None:
        self._ended(key, self._running[key].process.wait())

    def _ended(self, key: str, status: int) -> None:
        running = self._running.pop(key)
        self._loop.forget(running.pidfd)
        os.close(running.pidfd)
        if running.job.on_end is not None:
            running.job.on_end(status)
        self._next(key)
