"""The worker processes: started, told what to do, started again when they die.

A worker is a fork that has everything in its memory from the first moment. One that dies takes its
own connections with it and nothing else: its listening sockets are the front's, too, so that who
knocks meanwhile waits for the next.
"""

import contextlib
import gc
import os
import signal
import socket
import traceback
from collections.abc import Callable, Mapping
from functools import partial

from standfest.daemons.process import name_process
from standfest.daemons.proxy import line
from standfest.daemons.proxy.orders import Client, Clients, Drain, Drop, Orders
from standfest.daemons.proxy.plan import MAX_SERVICES
from standfest.daemons.proxy.tally import Common, Tally
from standfest.daemons.proxy.words import Say
from standfest.daemons.proxy.worker import Worker
from standfest.model.errors import OperationError
from standfest.model.time import Duration, Instant, earliest, milliseconds, seconds
from standfest.runtime.loop import Loop

RESTART_DELAY: Duration = milliseconds(50)
MAX_RESTART_DELAY: Duration = seconds(5)
HEALTHY_AFTER: Duration = seconds(30)
GARBAGE_THRESHOLD = 100_000
"""Allocations between two looks for cycles: what ends leaves none behind."""

Listeners = Mapping[int, list[socket.socket]]
"""A service's number -> its listening sockets, one for each worker."""


class Process:
    """One worker: which of a service's sockets is its own, its tally, its line."""

    def __init__(self, index: int, tally: Tally) -> None:
        self.index, self.tally = index, tally
        self.pid, self.pidfd = 0, -1
        self.line: socket.socket | None = None
        self.started: Instant = 0
        self.delay = RESTART_DELAY
        self.restart_at: Instant | None = None


class Crew:
    """All workers of one proxy.

    everything: what a new worker must know; unneeded: closes what only the front needs, in a fork;
    is_succeeded: whether another front listens where ours did.
    """

    def __init__(
        self,
        loop: Loop,
        everything: Callable[[], tuple[Orders, Listeners]],
        unneeded: Callable[[], None],
        *,
        say: Say,
        is_succeeded: Callable[[], bool],
    ) -> None:
        self.processes: list[Process] = []
        self.draining: list[Process] = []
        self.on_drained: Callable[[], None] = lambda: None
        self._loop, self._everything, self._unneeded = loop, everything, unneeded
        self._say, self._is_succeeded = say, is_succeeded
        self._tallies: list[Tally] = []
        self.common = Common(MAX_SERVICES)

    def start(self, tallies: list[Tally], own: list[Tally]) -> None:
        """Start a worker for each of its `own` tallies, which are among `tallies`."""
        self._tallies = tallies
        self.processes = [Process(index, tally) for index, tally in enumerate(own)]
        for process in self.processes:
            self._fork(process)

    def tell(self, orders: Orders | Drop | Clients, listeners: Listeners | None = None) -> None:
        """Let all workers obey; one that does not answer is replaced."""
        told = []
        for process in [*self.processes, *(self.draining if isinstance(orders, Drop) else ())]:
            if process.line is None:
                continue  # it will know when it starts
            try:
                for number, sockets in (listeners or {}).items():
                    line.send_listener(process.line, number, sockets[process.index])
                line.send(process.line, orders)
                told.append(process)
            except OSError:
                self._kill(process)
        for process in told:
            self._answer(process)

    def drain(self) -> list[Client]:
        """Let all accept nothing more and end with their last connection; return their clients."""
        clients: list[Client] = []
        for process in self.processes:
            process.restart_at = None
            if process.line is None:
                continue
            with contextlib.suppress(OSError):
                line.send(process.line, Drain())
            said = self._answer(process)
            if isinstance(said, Clients):
                clients += said.rows
            self.draining.append(process)
        self.processes = []
        return clients

    def end(self) -> None:
        """Kill all, with their connections."""
        for process in [*self.processes, *self.draining]:
            process.restart_at = None
            self._kill(process)

    def deadline(self) -> Instant | None:
        """Return when `on_time` is due."""
        return earliest(*(process.restart_at for process in self.processes))

    def on_time(self) -> None:
        """Start again who has died."""
        now = self._loop.now()
        for process in self.processes:
            if process.restart_at is not None and process.restart_at <= now:
                process.restart_at = None
                self._fork(process)

    def _answer(self, process: Process) -> object:
        if process.line is None:
            return None
        try:
            return line.receive(process.line)
        except OperationError:
            self._kill(process)
            return None

    def _kill(self, process: Process) -> None:
        if process.pid:
            os.kill(process.pid, signal.SIGKILL)

    def _fork(self, process: Process) -> None:
        orders, listeners = self._everything()
        ours, theirs = line.pair()
        process.pid = os.fork()
        if not process.pid:
            ours.close()
            self._become_worker(process, theirs, orders, listeners)
        theirs.close()
        process.line, process.started = ours, self._loop.now()
        process.pidfd = os.pidfd_open(process.pid)
        self._loop.watch(process.pidfd, partial(self._on_death, process))

    def _become_worker(
        self, process: Process, endpoint: socket.socket, orders: Orders, listeners: Listeners
    ) -> None:
        """Be a worker, in a fork; never returns."""
        status = 1
        try:
            name_process("sf-proxy-worker")
            self._loop.release()
            self._unneeded()
            # A copy of another's socket would keep it open when its owner has closed it.
            for other in [*self.processes, *self.draining]:
                if other.line is not None:
                    other.line.close()
                    os.close(other.pidfd)
            own = {}
            for number, sockets in listeners.items():
                own[number] = sockets[process.index]
                for listener in sockets[: process.index] + sockets[process.index + 1 :]:
                    listener.close()
            gc.collect()
            gc.freeze()
            gc.set_threshold(GARBAGE_THRESHOLD)
            worker = Worker(
                self._tallies,
                process.tally,
                self.common,
                endpoint,
                say=self._say,
                is_succeeded=self._is_succeeded,
            )
            worker.follow(orders, own)
            worker.run()
            status = 0
        except BaseException:
            for text in traceback.format_exc().splitlines()[-12:]:
                self._say(text)
        finally:
            os._exit(status)

    def _on_death(self, process: Process, _events: int) -> None:
        self._loop.forget(process.pidfd)
        os.close(process.pidfd)
        _, status = os.waitpid(process.pid, 0)
        process.pid = 0
        process.tally.abandon()
        if process.line is not None:
            process.line.close()
            process.line = None
        if process in self.draining:
            self.draining.remove(process)
            if not self.draining:
                self.on_drained()
            return
        self._say(f"worker ended with status {os.waitstatus_to_exitcode(status)}: starting another")
        now = self._loop.now()
        if now - process.started >= HEALTHY_AFTER:
            process.delay = RESTART_DELAY
        process.restart_at = now + process.delay
        process.delay = min(2 * process.delay, MAX_RESTART_DELAY)
