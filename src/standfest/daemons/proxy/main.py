"""`python -m standfest.daemons.proxy.main SOCKET`: the user-space balancer, for an ordinary user.

It goes into the background when it accepts and obeys, and prints one line if it cannot; then it
speaks to syslog. With --take-over it succeeds the proxy that listens on SOCKET; with --foreground
it stays and speaks on stderr (systemd).
"""

import argparse
import fcntl
import gc
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from standfest.daemons.process import name_process, tell_systemd
from standfest.daemons.proxy import control
from standfest.daemons.proxy.control import Control
from standfest.daemons.proxy.front import Front
from standfest.daemons.proxy.succession import Predecessor, Successor
from standfest.daemons.proxy.words import Say, to_stderr, to_syslog
from standfest.model.errors import OperationError
from standfest.model.time import Instant
from standfest.runtime.loop import Loop

MAX_WORKERS = 64
LOCK_S = 30.0
POLL_S = 0.02


class Proxy:
    """Front, control, and whoever was before and comes after.

    descriptors: further ones that no worker may keep open.
    """

    def __init__(self, path: Path, workers: int, say: Say) -> None:
        self._workers = workers
        self._loop = Loop(self._deadline, self._on_timer)
        self._front = Front(
            self._loop, self._unneeded, say=say, is_succeeded=partial(control.answers, path)
        )
        self._control = Control(self._loop, self._front, self._on_take_over)
        self._others: list[Predecessor | Successor] = []
        self.descriptors: list[int] = []

    def start(self, path: Path, running: socket.socket | None) -> None:
        """Serve what a running proxy serves, or nothing yet; raises OperationError, OSError."""
        if running is None:
            self._front.start(self._workers)
            self._control.listen(path)
            return
        predecessor = Predecessor(self._loop, self._front, running)
        self._others.append(predecessor)
        try:
            predecessor.take(self._workers)
            self._control.listen(path)
        except OperationError:
            self._front.crew.end()
            raise
        predecessor.dismiss()

    def run(self) -> None:
        """Serve until told to end, or until a successor has everything and nothing is open."""
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.on_signal(number, self._end)
        self._loop.on_signal(signal.SIGHUP, lambda: None)
        gc.collect()
        gc.freeze()
        self._loop.run()

    def _end(self) -> None:
        tell_systemd("STOPPING=1")
        self._front.crew.end()
        self._loop.stop()

    def _on_take_over(self, endpoint: socket.socket) -> None:
        successor = Successor(self._loop, self._front, endpoint)
        self._others.append(successor)
        if not successor.bequeath(self._workers):
            self._others.remove(successor)
            return
        self._control.close()
        self._front.on_quiet = self._loop.stop
        self._front.look_quiet()

    def _unneeded(self) -> None:
        self._control.unneeded()
        for other in self._others:
            other.unneeded()
        for descriptor in self.descriptors:
            os.close(descriptor)

    def _deadline(self) -> Instant | None:
        return self._front.crew.deadline()

    def _on_timer(self) -> None:
        self._front.crew.on_time()


def running_proxy(path: Path) -> socket.socket | None:
    """Return a connection to the proxy that listens there, or None."""
    endpoint = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        endpoint.connect(str(path))
    except OSError:
        endpoint.close()
        return None
    return endpoint


def locked(path: Path) -> int:
    """Return a descriptor that holds the right to start here; raises OperationError."""
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    until = time.monotonic() + LOCK_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return descriptor
        except BlockingIOError as error:
            if time.monotonic() > until:
                raise OperationError(
                    f"{path}: another proxy is starting for {LOCK_S:g} s"
                ) from error
        time.sleep(POLL_S)


def become(given: argparse.Namespace, path: Path, ready: Callable[[str], None], pipe: int) -> None:
    """Be the proxy; ready: told once, "" or why not, through `pipe` if that is not -1."""
    name_process("sf-proxy")
    proxy = Proxy(path, given.workers, to_stderr if given.foreground else to_syslog)
    try:
        lock = locked(path)
        proxy.descriptors = [lock] if pipe < 0 else [lock, pipe]
        running = running_proxy(path)
        if running is not None and not given.take_over:
            raise OperationError(f"{path}: a proxy listens there; expected --take-over or none")
        proxy.start(path, running)
        proxy.descriptors = []
        fcntl.flock(lock, fcntl.LOCK_UN)  # a fork may still have a copy of the descriptor
        os.close(lock)
    except (OSError, OperationError) as error:
        ready(str(error))
        return
    ready("")
    tell_systemd("READY=1")
    proxy.run()


def in_background(given: argparse.Namespace, path: Path) -> int:
    """Fork, and return when the fork is ready (0) or is not (1, with a line on stdout)."""
    receive, send = os.pipe()
    if os.fork():
        os.close(send)
        with os.fdopen(receive, encoding="utf-8") as stream:
            said = stream.read()
        if said == "\n":
            return 0
        print(said.strip() or "the proxy ended while it started", flush=True)
        return 1
    os.close(receive)
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    os.close(null)
    os.chdir("/")

    def ready(text: str) -> None:
        os.write(send, text.replace("\n", " ").encode() + b"\n")
        os.close(send)

    become(given, path, ready, send)
    return 0


def main() -> None:
    """Run."""
    parser = argparse.ArgumentParser(prog="standfest.daemons.proxy.main")
    parser.add_argument("socket", type=Path)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--take-over", action="store_true")
    parser.add_argument("--foreground", action="store_true")
    given = parser.parse_args()
    if not 1 <= given.workers <= MAX_WORKERS:
        parser.error(f"--workers is {given.workers}; expected 1..{MAX_WORKERS}")
    path = given.socket.absolute()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if given.foreground:

        def ready(text: str) -> None:
            if text:
                sys.exit(f"standfest proxy: {text}")

        become(given, path, ready, -1)
        return
    sys.exit(in_background(given, path))


if __name__ == "__main__":
    main()
