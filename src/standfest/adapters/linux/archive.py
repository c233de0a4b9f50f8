"""The last inputs of the scheduler on disk: `pe-input-N.bz2`, which Pacemaker's tools read, too.

And the last configurations, `cib-N.bz2`, in the same way.

Written by a forked child of low priority, one at a time: serialising and compressing the CIB of a
large cluster takes longer than a failover may. Not synced: they are to look back, not a promise.
"""

import bz2
import contextlib
import os
import re
import select
from collections import deque
from collections.abc import Callable
from pathlib import Path

MAX_WAITING = 16
"""Inputs that wait for the child; when decisions come faster, the oldest is left out."""

INPUT, CONFIGURATION = "pe-input", "cib"
_NAME = r"{}-(\d{{1,9}})\.bz2"


class InputArchive:
    """Keeps the last `most` inputs in `directory`; watch `fileno()` and call `poll()`."""

    def __init__(self, directory: Path, most: int, kind: str = INPUT) -> None:
        self._directory = directory
        self._kind = kind
        self._most = most
        self._epoll = select.epoll()
        self._child: tuple[int, int] | None = None  # process id, pidfd
        self._waiting: deque[tuple[int, Callable[[], str]]] = deque()
        self._next = max(numbers(directory, kind), default=0) + 1
        self.failed = 0

    def fileno(self) -> int:
        """Return a descriptor that is readable when a child has ended."""
        return self._epoll.fileno()

    def keep(self, produce: Callable[[], str]) -> None:
        """Write one more input; `produce` makes its text, in the child."""
        if self._most <= 0:
            return
        if len(self._waiting) >= MAX_WAITING:
            self._waiting.popleft()
        self._waiting.append((self._next, produce))
        self._next += 1
        self._advance()

    def poll(self) -> None:
        """Collect a child that has ended, and begin what waits."""
        if self._child is not None and self._epoll.poll(0):
            process, pidfd = self._child
            _, status = os.waitpid(process, 0)
            self.failed += os.waitstatus_to_exitcode(status) != 0
            self._epoll.unregister(pidfd)
            os.close(pidfd)
            self._child = None
        self._advance()

    def _advance(self) -> None:
        if self._child is not None or not self._waiting:
            return
        number, produce = self._waiting.popleft()
        process = os.fork()
        if process == 0:
            code = 1
            try:
                self._write(number, produce)
                code = 0
            finally:
                os._exit(code)
        pidfd = os.pidfd_open(process)
        self._epoll.register(pidfd, select.EPOLLIN)
        self._child = (process, pidfd)

    def _write(self, number: int, produce: Callable[[], str]) -> None:
        os.nice(10)
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._directory / f"{self._kind}-{number}.bz2"
        temporary = path.with_suffix(".new")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(bz2.compress(produce().encode()))
        temporary.rename(path)
        for old in numbers(self._directory, self._kind):
            if old <= number - self._most:
                with contextlib.suppress(FileNotFoundError):
                    (self._directory / f"{self._kind}-{old}.bz2").unlink()


def numbers(directory: Path, kind: str = INPUT) -> list[int]:
    """Return the numbers of what is kept in a directory, ascending; empty when there is none."""
    form = re.compile(_NAME.format(kind))
    try:
        names = os.listdir(directory)
    except OSError:
        return []
    return sorted(int(found[1]) for name in names if (found := form.fullmatch(name)))
