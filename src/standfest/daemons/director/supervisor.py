"""The supervisor of a director: reads the file, starts guard and director, restarts what dies.

All are forks of this one small process, so that they share its memory. The file is read in a
process that ends afterwards: parsing neither delays an advert nor stays in memory. A director that
has died is started again when the guard has given up its addresses; it begins as a Backup.
"""

import contextlib
import fcntl
import gc
import os
import signal
import socket
from collections.abc import Callable
from functools import partial

from standfest.adapters.linux import networkspace
from standfest.adapters.linux.signs import SignsOfLife
from standfest.daemons.balancer import control
from standfest.daemons.balancer.keeper import Keeper
from standfest.daemons.director import guard, holding, reading, words
from standfest.daemons.director.ceremonies import Ceremonies
from standfest.daemons.director.inheritance import FORWARDED, SENTINEL, Inheritance
from standfest.daemons.process import name_process, tell_systemd
from standfest.model.time import Duration, Instant, earliest, milliseconds, seconds
from standfest.runtime.loop import Loop

RESTART_DELAY: Duration = milliseconds(50)
MAX_RESTART_DELAY: Duration = seconds(10)
HEALTHY_AFTER: Duration = seconds(30)
END_TIMEOUT: Duration = seconds(5)


class Supervisor:
    """Keeps guard and director alive until told to end."""

    def __init__(
        self,
        path: str,
        listener: socket.socket,
        direct: Callable[[Inheritance], None],
        *,
        backend: str = "auto",
        name: str = "",
    ) -> None:
        self._path, self._listener, self._direct = path, listener, direct
        self._signs = SignsOfLife()
        self._loop = Loop(self._deadline, self._on_timer)
        self._speakers, self._reader = words.pair()
        self._words = words.Words(self._speakers, "director")
        self._to_guard_from_director, self._guard_end = holding.pair()
        self._guard_line, self._guard_supervisor_end = holding.pair()
        self._news, self._news_end = holding.pair()
        self._balancer = Keeper(
            self._loop,
            self._speakers,
            wanted=backend,
            listen=lambda: control.listen(name),
            alone=False,
            on_refused=self._on_refused,
        )
        self._reading: reading.Reading | None = None
        self._again = False
        self._settings = -1
        self._guard_pid, self._pid, self._pidfd = 0, 0, -1
        self._dead, self._released, self._alive = -1, 0, -1
        self._started: Instant = 0
        self._delay = RESTART_DELAY
        self._restart_at: Instant | None = None
        self._kill_at: Instant | None = None
        self._ceremonies = Ceremonies(self._loop, self._words)
        self._begun = self._ending = False
        self.exit_status = 0

    def run(self) -> int:
        """Supervise until SIGTERM; return the exit status."""
        name_process("sf-supervisor")
        self._loop.watch(self._reader.fileno(), lambda _events: words.write_down(self._reader))
        self._loop.watch(self._guard_line.fileno(), lambda _events: self._on_guard())
        self._loop.on_signal(signal.SIGTERM, self._end)
        self._loop.on_signal(signal.SIGINT, self._end)
        self._loop.on_signal(signal.SIGHUP, self._reload)
        for number in FORWARDED:
            self._loop.on_signal(number, partial(self._forward, number))
        gc.collect()
        gc.freeze()
        self._read()
        try:
            self._loop.run()
        finally:
            words.write_down(self._reader)
        return self.exit_status

    # --- the file -------------------------------------------------------------------------------

    def _read(self) -> None:
        self._reading = reading.start(self._path, words.Words(self._speakers, "reader"))
        self._loop.watch(self._reading.pidfd, lambda _events: self._on_read())

    def _reload(self) -> None:
        """SIGHUP: read the file anew; a second one meanwhile is one more reading afterwards."""
        if self._ending:
            return
        if self._reading is not None or self._balancer.is_deciding:
            self._again = True
            return
        self._words.say("Reloading ...")
        self._read()

    def _on_read(self) -> None:
        assert self._reading is not None
        self._loop.forget(self._reading.pidfd)
        settings, status = self._reading.result()
        assignment, self._reading = self._reading.assignment, None
        if settings >= 0:
            self._balancer.assign(assignment, partial(self._on_assigned, settings))
        elif self._settings < 0:
            self.exit_status = status
            self._loop.stop()
        else:
            self._words.warn(f"{self._path} cannot be used: everything stays as it was")
        self._reload_again()

    def _on_assigned(self, settings: int, taken: bool) -> None:
        """The balancer has taken its part of the file, or cannot: then nobody takes any of it."""
        if not taken:
            os.close(settings)
            self._words.warn(f"{self._path} cannot be balanced: everything stays as it was")
            self._reload_again()
            return
        if self._settings >= 0:
            os.close(self._settings)
        self._settings = settings
        if self._pid:
            socket.send_fds(self._news, [b"settings"], [settings])
        elif not self._begun and not self._ending:
            self._begun = True
            self._ceremonies.startup(reading.load(settings).globals, self._begin)
        self._reload_again()

    def _reload_again(self) -> None:
        """A SIGHUP that came while another was being answered is one more reading."""
        if self._again and self._reading is None and not self._balancer.is_deciding:
            self._again = False
            self._reload()

    # --- processes ------------------------------------------------------------------------------

    def _begin(self) -> None:
        if not self._guard_pid:
            self._start_guard()
        self._start()
        tell_systemd("READY=1")

    def _start_guard(self) -> None:
        supervisor_pidfd = os.pidfd_open(os.getpid())

        def make() -> guard.Guard:
            name_process("sf-guard")
            self._news.close()
            networkspace.enter(reading.load(self._settings).globals.network_namespace)
            return guard.Guard(
                self._signs,
                self._guard_end,
                self._guard_supervisor_end,
                supervisor_pidfd,
                words.Words(self._speakers, "guard"),
            )

        self._guard_pid = guard.start(make)
        os.close(supervisor_pidfd)
        pidfd = os.pidfd_open(self._guard_pid)
        self._loop.watch(pidfd, lambda _events: self._on_guard_death(pidfd))

    def _on_guard_death(self, pidfd: int) -> None:
        self._loop.forget(pidfd)
        os.close(pidfd)
        _, status = os.waitpid(self._guard_pid, 0)
        self._guard_pid = 0
        if self._ending:
            return
        self._words.warn(f"guard ended with status {os.waitstatus_to_exitcode(status)}")
        self._start_guard()
        if self._pid:
            self._tell_guard()
        else:  # what the dead director held goes by itself: its lease ends
            self._released = self._dead
            self._restart_if_released()

    def _start(self) -> None:
        self._restart_at = None
        self._started = self._loop.now()
        parent = os.getpid()
        inheritance = Inheritance(
            self._settings,
            self._signs,
            self._to_guard_from_director,
            self._news_end,
            self._listener,
            self._speakers,
            self._path,
            self._balancer.states,
        )
        alive, sentinel = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            os.close(alive)
            fcntl.fcntl(sentinel, fcntl.F_DUPFD_CLOEXEC, SENTINEL)
            os.close(sentinel)
            self._loop.release()
            _become(self._direct, inheritance, parent)
        os.close(sentinel)
        if self._alive >= 0:
            os.close(self._alive)
        self._alive = alive
        self._pidfd = os.pidfd_open(self._pid)
        self._loop.watch(self._pidfd, lambda _events: self._on_death())
        self._tell_guard()

    def _tell_guard(self) -> None:
        """Hand the director's process and its sentinel to the guard."""
        files = [self._pidfd, self._alive]
        socket.send_fds(self._guard_line, [str(self._pid).encode()], files)

    def _on_death(self) -> None:
        self._loop.forget(self._pidfd)
        os.close(self._pidfd)
        self._pidfd = -1
        _, status = os.waitpid(self._pid, 0)
        self._dead, self._pid, self._kill_at = self._pid, 0, None
        if self._ending:
            self._balancer.end(self._finish)  # until now, what arrived here was forwarded
            return
        code = os.waitstatus_to_exitcode(status)
        reason = signal.Signals(-code).name if code < 0 else f"status {code}"
        self._words.warn(f"director ended with {reason}")
        with contextlib.suppress(OSError):  # what it had not read yet is in the newest settings
            while self._news_end.recv(16):
                pass
        self._restart_if_released()

    def _on_guard(self) -> None:
        with contextlib.suppress(OSError):
            while datagram := self._guard_line.recv(64):
                self._released = int(datagram)
        self._restart_if_released()

    def _restart_if_released(self) -> None:
        """Start the next director when the guard has given up all that the dead one held."""
        if self._pid or self._ending or self._restart_at is not None:
            return
        if self._released != self._dead:
            return
        now = self._loop.now()
        if now - self._started >= HEALTHY_AFTER:
            self._delay = RESTART_DELAY
        self._restart_at = now + self._delay
        self._delay = min(2 * self._delay, MAX_RESTART_DELAY)

    def _forward(self, number: int) -> None:
        if self._pid:
            os.kill(self._pid, number)

    def _on_refused(self) -> None:
        """No backend can do what is wanted: an address here would lead nowhere."""
        self.exit_status = reading.EXIT_CONFIGURATION
        self._end()

    # --- the end --------------------------------------------------------------------------------

    def _end(self) -> None:
        if self._ending:
            return
        self._ending = True
        self._restart_at = None
        tell_systemd("STOPPING=1")
        if not self._pid:
            self._balancer.end(self._finish)
            return
        os.kill(self._pid, signal.SIGTERM)
        self._kill_at = self._loop.now() + END_TIMEOUT

    def _finish(self) -> None:
        """Director and balancer have ended."""
        if self._begun:
            self._ceremonies.shutdown(reading.load(self._settings).globals, self._loop.stop)
        else:
            self._loop.stop()

    def _deadline(self) -> Instant | None:
        ceremony = self._ceremonies.deadline()
        return earliest(self._restart_at, self._kill_at, self._balancer.deadline(), ceremony)

    def _on_timer(self) -> None:
        now = self._loop.now()
        self._balancer.on_timer(now)
        self._ceremonies.on_timer(now)
        if self._kill_at is not None and self._kill_at <= now:
            self._kill_at = None
            os.kill(self._pid, signal.SIGKILL)  # what it still holds is the guard's matter
        if self._restart_at is not None and self._restart_at <= now:
            self._start()


def _become(direct: Callable[[Inheritance], None], inheritance: Inheritance, parent: int) -> None:
    """Be the director, in a fork; never returns."""
    status = 1
    try:
        if os.getppid() == parent:
            direct(inheritance)
            status = 0
    except BaseException:
        import traceback  # noqa: PLC0415  only for a process that is about to die

        lines = words.Words(inheritance.words, "director")
        for line in traceback.format_exc().splitlines()[-12:]:
            lines.warn(line)
    finally:
        os._exit(status)
