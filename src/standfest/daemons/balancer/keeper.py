"""Keeps one balancer alive: a fork of a small process, started again when it dies, with back-off.

What is forwarded goes on meanwhile, and the successor adopts it. Used by the director's supervisor,
and by the one of `standfest balance run`.
"""

import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable

from standfest.daemons.balancer import tidings
from standfest.daemons.balancer.descriptors import close_all_but
from standfest.daemons.balancer.inheritance import END, TAKEN, Inheritance
from standfest.daemons.director.words import Words
from standfest.model.time import Duration, Instant, earliest, milliseconds, seconds
from standfest.runtime.loop import Loop

EXIT_CONFIGURATION = 78  # EX_CONFIG, sysexits.h
RESTART_DELAY: Duration = milliseconds(50)
MAX_RESTART_DELAY: Duration = seconds(10)
HEALTHY_AFTER: Duration = seconds(30)
END_TIMEOUT: Duration = seconds(10)
"""How long a balancer may take to remove what is its own: keepalived's 4,000 servers take 2 s."""


class Keeper:
    """The balancer of a supervisor, if there is anything to balance."""

    def __init__(
        self,
        loop: Loop,
        words: socket.socket,
        *,
        wanted: str,
        listen: Callable[[], socket.socket],
        alone: bool,
        on_refused: Callable[[], None],
    ) -> None:
        """Prepare; on_refused: the first balancer says that no backend can do what is wanted."""
        self._loop, self._words_socket, self._wanted = loop, words, wanted
        self._words = Words(words, "balancer")
        self._listen, self._alone, self._on_refused = listen, alone, on_refused
        self.states, self._states = tidings.pair()
        self._news, self._news_end = tidings.pair()
        loop.watch(self._news.fileno(), lambda _events: self._on_answer())
        self._offer: tuple[int, Callable[[bool], None]] | None = None
        self._listener: socket.socket | None = None
        self._ledger = os.memfd_create("standfest-ledger", os.MFD_CLOEXEC)
        self._assignment = -1
        self._pid, self._pidfd = 0, -1
        self._started: Instant = 0
        self._delay = RESTART_DELAY
        self._restart_at: Instant | None = None
        self._kill_at: Instant | None = None
        self._ran = False
        self._on_end: Callable[[], None] | None = None

    def assign(self, file: int, then: Callable[[bool], None]) -> None:
        """Offer a file with an assignment; one that is empty has nothing to balance.

        then: called with whether it was taken: a balancer that runs may lack something for it, and
        goes on with what it has. One that does not run yet says so when it starts (`on_refused`).
        """
        assert self._offer is None, "whoever offers waits for the answer"
        if self._on_end is not None:
            os.close(file)
            return
        if self._pid and os.fstat(file).st_size:
            self._offer = (file, then)
            socket.send_fds(self._news, [b"assignment"], [file])
            return
        self._take(file)
        if self._pid:
            self._news.send(END)  # nothing to balance any more
        elif self._has_work() and self._restart_at is None:
            self._start()
        then(True)

    @property
    def is_deciding(self) -> bool:
        """Return whether a balancer has been offered something, and has not answered."""
        return self._offer is not None

    def end(self, then: Callable[[], None]) -> None:
        """End the balancer in good order, then call `then`."""
        self._on_end = then
        self._restart_at = None
        if not self._pid:
            then()
            return
        with contextlib.suppress(OSError):
            self._news.send(END)
        self._kill_at = self._loop.now() + END_TIMEOUT

    def deadline(self) -> Instant | None:
        """Return when `on_timer` is due."""
        return earliest(self._restart_at, self._kill_at)

    def on_timer(self, now: Instant) -> None:
        """Start or kill what is due."""
        if self._kill_at is not None and self._kill_at <= now:
            self._kill_at = None
            os.kill(self._pid, signal.SIGKILL)
        if self._restart_at is not None and self._restart_at <= now:
            self._start()

    def _on_answer(self) -> None:
        with contextlib.suppress(OSError):
            self._settle(taken=self._news.recv(16) == TAKEN)

    def _settle(self, *, taken: bool) -> None:
        """Tell whoever has offered an assignment what became of it."""
        if self._offer is None:
            return
        (file, then), self._offer = self._offer, None
        if taken:
            self._take(file)
        else:
            os.close(file)
        then(taken)

    def _take(self, file: int) -> None:
        if self._assignment >= 0:
            os.close(self._assignment)
        self._assignment = file

    def _has_work(self) -> bool:
        return bool(os.fstat(self._assignment).st_size)

    # --- processes ------------------------------------------------------------------------------

    def _start(self) -> None:
        self._restart_at = None
        if self._listener is None:
            try:
                self._listener = self._listen()
            except OSError as error:
                self._words.warn(f"cannot listen for commands: {error.strerror}")
                self._words.warn("another balancer runs in this network namespace; expected none")
                self._on_refused()
                return
        self._started = self._loop.now()
        inheritance = Inheritance(
            self._assignment,
            self._ledger,
            self._news_end,
            self._states,
            self._listener,
            self._words_socket,
            self._wanted,
            self._alone,
        )
        parent = os.getpid()
        self._pid = os.fork()
        if self._pid == 0:
            self._loop.release()
            _become(inheritance, parent)
        self._pidfd = os.pidfd_open(self._pid)
        self._loop.watch(self._pidfd, lambda _events: self._on_death())

    def _on_death(self) -> None:
        self._loop.forget(self._pidfd)
        os.close(self._pidfd)
        _, status = os.waitpid(self._pid, 0)
        self._pid, self._kill_at = 0, None
        if self._on_end is not None:
            self._on_end()
            return
        self._forget_news()
        self._settle(taken=True)  # its successor will see
        if not self._has_work():
            return
        code = os.waitstatus_to_exitcode(status)
        if code == EXIT_CONFIGURATION and not self._ran:
            self._on_refused()
            return
        self._ran = True
        now = self._loop.now()
        if now - self._started >= HEALTHY_AFTER:
            self._delay = RESTART_DELAY
        reason = signal.Signals(-code).name if code < 0 else f"status {code}"
        self._words.warn(f"balancer ended with {reason}: what it forwards goes on")
        self._restart_at = now + self._delay
        self._delay = min(2 * self._delay, MAX_RESTART_DELAY)

    def _forget_news(self) -> None:
        """What a dead balancer has not read yet is in the newest assignment."""
        with contextlib.suppress(OSError):
            while self._news_end.recv(16):
                pass


def _become(inheritance: Inheritance, parent: int) -> None:
    """Be the balancer, in a fork; never returns."""
    status = 1
    try:
        close_all_but(inheritance.descriptors())
        if os.getppid() == parent:
            from standfest.daemons.balancer.daemon import balance  # noqa: PLC0415  not before

            balance(inheritance)
            status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except BaseException:
        import traceback  # noqa: PLC0415  only for a process that is about to die

        lines = Words(inheritance.words, "balancer")
        for line in traceback.format_exc().splitlines()[-12:]:
            lines.warn(line)
    finally:
        sys.stderr.flush()
        os._exit(status)
