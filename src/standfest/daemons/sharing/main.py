"""`python -m standfest.daemons.sharing.main FILE`: keeps one member of a shared address alive.

The supervisor reads the file, forks the member, starts it again when it dies, and reads the file
again at SIGHUP. It keeps no network and no clock of the members', so nothing can stop it.
"""

import contextlib
import fcntl
import os
import pickle
import signal
import socket
import sys
from pathlib import Path

from standfest.daemons import identity
from standfest.daemons.balancer.descriptors import close_all_but
from standfest.daemons.director import words
from standfest.daemons.places import DEFAULT_RUN_DIR, DEFAULT_STATE_DIR
from standfest.daemons.process import name_process, tell_systemd
from standfest.daemons.sharing import reading
from standfest.daemons.sharing.daemon import END, READY, Rooms, take_part
from standfest.model.errors import ConfigError
from standfest.model.time import Duration, Instant, earliest, milliseconds, seconds
from standfest.runtime.loop import Loop

EXIT_CONFIGURATION = 78  # EX_CONFIG, sysexits.h
EXIT_UNAVAILABLE = 69  # EX_UNAVAILABLE
RESTART_DELAY: Duration = milliseconds(50)
MAX_RESTART_DELAY: Duration = seconds(5)
HEALTHY_AFTER: Duration = seconds(30)
MAX_STARTS = 65_536
"""Generations between two that are kept on disk: a member starts again without waiting for one."""
END_TIMEOUT: Duration = seconds(10)
"""Beyond a deadtime: how long a member may take to leave before it is killed."""


class Supervisor:
    """Keeps a member."""

    def __init__(self, path: Path, name: str, state_dir: Path, run_dir: Path) -> None:
        self._path, self._name = path, name
        self._state_dir, self._run_dir = state_dir, run_dir
        self._loop = Loop(self._deadline, self._on_timer)
        self._speakers, self._reader = words.pair()
        self._words = words.Words(self._speakers, "share")
        self._news: socket.socket | None = None
        self._pid, self._pidfd = 0, -1
        self._started: Instant = 0
        self._delay = RESTART_DELAY
        self._restart_at: Instant | None = None
        self._kill_at: Instant | None = None
        self._ending = False
        self._was_ready = False
        self._exit_status = 0
        self._generation = 0
        self._task: reading.Task
        self._lock: int

    def run(self) -> int:
        """Supervise until SIGTERM; return the exit status."""
        try:
            self._task, warnings = reading.load(self._path, self._name)
        except ConfigError as error:
            print(error, file=sys.stderr)
            return EXIT_CONFIGURATION
        for finding in warnings:
            print(finding, file=sys.stderr)
        if not self._claim():
            return EXIT_UNAVAILABLE
        name_process("sf-supervisor")
        self._loop.watch(self._reader.fileno(), lambda _events: words.write_down(self._reader))
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.on_signal(number, self._end)
        self._loop.on_signal(signal.SIGHUP, self._reload)
        self._start()
        try:
            self._loop.run()
        finally:
            words.write_down(self._reader)
        return self._exit_status

    def _claim(self) -> bool:
        """Be the only one for this shared address and these directories; draw a generation."""
        name = self._task.file.shared.name
        lock = self._run_dir / f"share-{name}.lock"
        state = self._state_dir / f"share-{name}"
        try:
            state.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._run_dir.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._generation = identity.next_generation(state) * MAX_STARTS
        except BlockingIOError:
            print(f"{lock}: another standfest share has it; expected one", file=sys.stderr)
            return False
        except OSError as error:
            where = error.filename or lock
            print(f"{where}: {error.strerror}; expected to be root", file=sys.stderr)
            return False
        return True

    # --- the file -------------------------------------------------------------------------------

    def _reload(self) -> None:
        try:
            task, warnings = reading.load(self._path, self._name)
        except ConfigError as error:
            for finding in error.findings:
                self._words.warn(str(finding))
            self._words.warn("everything stays as it was")
            return
        for warning in warnings:
            self._words.warn(str(warning))
        if problem := reading.unfit(self._task, task):
            self._words.warn(f"{self._path}: {problem}; everything stays as it was")
            return
        self._task = task
        if self._news is not None:
            with contextlib.suppress(OSError):
                self._news.send(pickle.dumps(task))

    # --- the member -----------------------------------------------------------------------------

    def _start(self) -> None:
        self._restart_at = None
        self._started = self._loop.now()
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for endpoint in (ours, its):
            endpoint.setblocking(False)
        self._generation += 1
        rooms = Rooms(self._generation, self._run_dir, its, self._speakers)
        parent = os.getpid()
        self._pid = os.fork()
        if self._pid == 0:
            self._loop.release()
            _become(self._task, rooms, parent)
        its.close()
        self._news = ours
        self._loop.watch(ours.fileno(), lambda _events: self._on_word())
        self._pidfd = os.pidfd_open(self._pid)
        self._loop.watch(self._pidfd, lambda _events: self._on_death())

    def _on_word(self) -> None:
        if self._news is None:
            return
        try:
            word = self._news.recv(64)
        except BlockingIOError:
            return
        except OSError:
            word = b""
        if word == READY:
            self._was_ready = True
            tell_systemd("READY=1")
        else:
            self._close_news()  # it is dead, which its descriptor tells

    def _close_news(self) -> None:
        if self._news is not None:
            self._loop.forget(self._news.fileno())
            self._news.close()
            self._news = None

    def _on_death(self) -> None:
        self._loop.forget(self._pidfd)
        os.close(self._pidfd)
        self._close_news()
        _, status = os.waitpid(self._pid, 0)
        self._pid, self._kill_at = 0, None
        if self._ending:
            self._loop.stop()
            return
        code = os.waitstatus_to_exitcode(status)
        reason = signal.Signals(-code).name if code < 0 else f"status {code}"
        if not self._was_ready:
            self._words.warn(f"the member ended with {reason} before it took part")
            self._exit_status = EXIT_UNAVAILABLE
            self._loop.stop()
            return
        now = self._loop.now()
        if now - self._started >= HEALTHY_AFTER:
            self._delay = RESTART_DELAY
        self._words.warn(f"the member ended with {reason}: starting it again")
        self._restart_at = now + self._delay
        self._delay = min(2 * self._delay, MAX_RESTART_DELAY)

    def _deadline(self) -> Instant | None:
        return earliest(self._restart_at, self._kill_at)

    def _on_timer(self) -> None:
        now = self._loop.now()
        if self._kill_at is not None and self._kill_at <= now:
            self._kill_at = None
            self._words.warn("the member does not end: killing it; its lease ends by itself")
            os.kill(self._pid, signal.SIGKILL)
        if self._restart_at is not None and self._restart_at <= now:
            self._start()

    def _end(self) -> None:
        if self._ending:
            return
        tell_systemd("STOPPING=1")
        self._ending = True
        if self._restart_at is not None:
            self._start()  # rules and address are there still: somebody has to take them away
        if self._news is not None:
            with contextlib.suppress(OSError):
                self._news.send(END)
        self._kill_at = self._loop.now() + self._task.file.settings.deadtime + END_TIMEOUT


def _become(task: reading.Task, rooms: Rooms, parent: int) -> None:
    """Be the member, in a fork; never returns."""
    status = 1
    try:
        kept = {0, 1, 2, rooms.news.fileno(), rooms.words.fileno()}
        close_all_but(frozenset(kept))
        if os.getppid() == parent:
            status = take_part(task, rooms)
    except BaseException:
        import traceback  # noqa: PLC0415  only for a process that is about to die

        lines = words.Words(rooms.words, f"share-{task.file.shared.name}")
        for line in traceback.format_exc().splitlines()[-12:]:
            lines.warn(line)
    finally:
        sys.stderr.flush()
        os._exit(status)


def main() -> None:
    """Run until SIGTERM; arguments: FILE, --name NAME, --state-dir DIR, --run-dir DIR."""
    options = dict(zip(sys.argv[2::2], sys.argv[3::2], strict=True))
    supervisor = Supervisor(
        Path(sys.argv[1]).absolute(),
        options.get("--name", ""),
        Path(options.get("--state-dir", DEFAULT_STATE_DIR)),
        Path(options.get("--run-dir", DEFAULT_RUN_DIR)),
    )
    sys.exit(supervisor.run())


if __name__ == "__main__":
    main()
