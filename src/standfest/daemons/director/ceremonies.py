"""A program before a director's first start and one after its end, each with a time limit.

`startup_script` and `shutdown_script`. Nothing else waits in the supervisor meanwhile.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from subprocess import Popen

from standfest.adapters.linux import commands
from standfest.daemons.director.words import Words
from standfest.model.director import GlobalSettings
from standfest.model.errors import OperationError
from standfest.model.time import Duration, Instant, in_seconds
from standfest.model.vrrp import Command
from standfest.runtime.loop import Loop


@dataclass(slots=True)
class _Running:
    process: "Popen[bytes]"
    pidfd: int
    title: str
    kill_at: Instant
    then: Callable[[], None]


class Ceremonies:
    """Runs at most one program, and calls what comes after it."""

    def __init__(self, loop: Loop, words: Words) -> None:
        self._loop, self._words = loop, words
        self._running: _Running | None = None

    def startup(self, settings: GlobalSettings, then: Callable[[], None]) -> None:
        """Run the startup script, if there is one, then go on."""
        limit = settings.startup_script_timeout
        self._run("startup script", settings, settings.startup_script, limit, then)

    def shutdown(self, settings: GlobalSettings, then: Callable[[], None]) -> None:
        """Run the shutdown script, if there is one, then go on; a startup script ends at once."""
        running, self._running = self._running, None
        if running is not None:
            self._clear(running)
        limit = settings.shutdown_script_timeout
        self._run("shutdown script", settings, settings.shutdown_script, limit, then)

    def deadline(self) -> Instant | None:
        """Return when the program has taken too long."""
        return self._running.kill_at if self._running is not None else None

    def on_timer(self, now: Instant) -> None:
        """Kill what has taken too long, and go on."""
        running = self._running
        if running is not None and running.kill_at <= now:
            self._words.warn(f"{running.title} has not ended in time: killed")
            self._running = None
            self._clear(running)
            running.then()

    def _run(
        self,
        title: str,
        settings: GlobalSettings,
        command: Command | None,
        limit: Duration,
        then: Callable[[], None],
    ) -> None:
        if command is None:
            then()
            return
        user, group = command.user, command.group
        if not user:
            user, group = settings.script_user, settings.script_group
        try:
            process = commands.start(
                Command(command.words, user, group), secure=settings.script_security
            )
        except OperationError as error:
            self._words.warn(f"{title}: {error}")
            then()
            return
        self._words.say(f"Running {title} {command.words[0]} for at most {in_seconds(limit):g} s")
        pidfd = os.pidfd_open(process.pid)
        self._running = _Running(process, pidfd, title, self._loop.now() + limit, then)
        self._loop.watch(pidfd, lambda _events: self._on_exit())

    def _on_exit(self) -> None:
        running = self._running
        assert running is not None
        self._running = None
        status = running.process.wait()
        self._loop.forget(running.pidfd)
        os.close(running.pidfd)
        if status:
            self._words.warn(f"{running.title} ended with status {status}")
        running.then()

    def _clear(self, running: _Running) -> None:
        commands.end(running.process)
        running.process.wait()
        self._loop.forget(running.pidfd)
        os.close(running.pidfd)
