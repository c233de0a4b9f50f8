"""The one driver: waits for descriptors and one deadline, and calls whoever is due.

It knows nothing of clusters. A daemon registers its descriptors, says when it wants to be called
next, and performs effects in the order in which its machines returned them. Single-threaded, on
selectors rather than asyncio: 10 MB less in each daemon (docs/adr/0007).
"""

import os
import select
import selectors
import signal
import time
from collections.abc import Callable

from standfest.model.time import NANOSECONDS_PER_SECOND, Duration, Instant, milliseconds

IDLE_WAIT_S = 3600.0
"""How long to sleep when nothing is due; any descriptor ends it."""

MAX_CATCH_UP = 1000
"""Rounds of descriptors that may pass before a timer that is due."""
IN_TIME: Duration = milliseconds(1)
"""So late is every timer: nothing had arrived when the wait ended, and nothing is looked for."""

FEW = 32
"""So many descriptors are asked one by one in a single call: with few, epoll costs more."""
MAX_SELECTABLE = 1024  # FD_SETSIZE, select(2)
READ_WRITE = selectors.EVENT_READ | selectors.EVENT_WRITE


def since_boot() -> Instant:
    """Return nanoseconds that also pass while the machine is suspended. Source: clock_gettime(2).

    CLOCK_MONOTONIC stands still then: whoever must notice that it slept cannot use it.
    """
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class Loop:
    """Calls handlers of readable and writable descriptors, and one timer."""

    def __init__(
        self,
        deadline: Callable[[], Instant | None],
        on_timer: Callable[[], None],
        *,
        clock: Callable[[], Instant] = time.monotonic_ns,
        on_turn: Callable[[], None] | None = None,
    ) -> None:
        """Prepare; clock: nanoseconds that never go back, `now` to whoever asks the loop.

        on_turn: called after each wait, before anything that has come is looked at.
        """
        self.now = clock
        self._on_turn = on_turn
        self._selector = selectors.DefaultSelector()
        self._deadline = deadline
        self._on_timer = on_timer
        self._running = True
        self._signals: dict[int, Callable[[], None]] = {}
        self._handlers: dict[int, Callable[[int], None]] = {}
        self._readers: list[int] = []
        self._writers: list[int] = []
        self._few = self._stale = True

    @staticmethod
    def wall() -> int:
        """Return seconds since 1970."""
        return int(time.time())

    def watch(
        self, fileno: int, on_ready: Callable[[int], None], events: int = selectors.EVENT_READ
    ) -> None:
        """Call `on_ready(events)` whenever the descriptor is ready; again to change the events."""
        if fileno in self._selector.get_map():
            self._selector.modify(fileno, events, on_ready)
        else:
            self._selector.register(fileno, events, on_ready)
        self._stale = True

    def forget(self, fileno: int) -> None:
        """Watch the descriptor no longer; unknown ones are ignored."""
        if fileno in self._selector.get_map():
            self._selector.unregister(fileno)
            self._stale = True

    def _arrange(self) -> None:
        """Prepare what `select` is asked, where it can be asked."""
        self._stale = False
        keys = self._selector.get_map().values()
        self._few = len(keys) <= FEW and all(key.fd < MAX_SELECTABLE for key in keys)
        if self._few:
            self._handlers = {key.fd: key.data for key in keys}
            self._readers = [key.fd for key in keys if key.events & selectors.EVENT_READ]
            self._writers = [key.fd for key in keys if key.events & selectors.EVENT_WRITE]

    def on_signal(self, number: int, handler: Callable[[], None]) -> None:
        """Call `handler` from the loop, not from the signal, when the signal arrives."""
        if not self._signals:
            receive, send = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
            signal.set_wakeup_fd(send, warn_on_full_buffer=False)
            self.watch(receive, lambda _events: self._deliver(receive))
        self._signals[number] = handler
        signal.signal(number, lambda _number, _frame: None)

    def stop(self) -> None:
        """End `run` after the handler that is being called."""
        self._running = False

    def release(self) -> None:
        """Let go of everything, in a fork that will have a loop of its own."""
        self._selector.close()
        if self._signals:
            signal.set_wakeup_fd(-1)
        for number in self._signals:
            signal.signal(number, signal.SIG_DFL)

    def run(self) -> None:
        """Serve descriptors and the timer until `stop`."""
        while self._running:
            at = self._deadline()
            wait = IDLE_WAIT_S
            if at is not None:
                wait = max(0.0, (at - self.now()) / NANOSECONDS_PER_SECOND)
            served = self._serve(min(wait, IDLE_WAIT_S), self._on_turn)
            late = self.now() - at if at is not None else -1
            if late >= 0:
                # What has arrived while we slept too long counts before its absence is judged.
                rounds = MAX_CATCH_UP if served or late > IN_TIME else 0
                for _ in range(rounds):
                    if not self._serve(0):
                        break
                self._on_timer()

    def _serve(self, wait_s: float, on_turn: Callable[[], None] | None = None) -> bool:
        """Wait for descriptors, call their handlers; return whether any was ready."""
        if self._stale:
            self._arrange()
        if self._few:
            try:
                readable, writable, _ = select.select(self._readers, self._writers, (), wait_s)
            except OSError:
                self._few = False  # one was closed without a word: epoll forgets those
            else:
                if on_turn is not None:
                    on_turn()
                return self._call(readable, writable)
        # epoll counts milliseconds and rounds up: at an advert interval of 10 ms that is a lot.
        idle = wait_s > 0 and not select.select([self._selector], (), (), wait_s)[0]
        if on_turn is not None:
            on_turn()
        if idle:
            return False
        ready = self._selector.select(0)
        for key, events in ready:
            if not self._stale or self._is_same(key.fd, key.data):
                key.data(events)
        return bool(ready)

    def _call(self, readable: list[int], writable: list[int]) -> bool:
        handlers = self._handlers
        ready = readable + [fileno for fileno in writable if fileno not in readable]
        for fileno in ready:
            events = selectors.EVENT_READ if fileno in readable else 0
            events |= selectors.EVENT_WRITE if fileno in writable else 0
            if not self._stale or self._is_same(fileno, handlers[fileno]):
                handlers[fileno](events)
        return bool(ready)

    def _is_same(self, fileno: int, handler: Callable[[int], None]) -> bool:
        """Return whether a handler of this round has not forgotten the descriptor."""
        key = self._selector.get_map().get(fileno)
        return key is not None and key.data is handler

    def _deliver(self, receive: int) -> None:
        for number in os.read(receive, 4096):
            if number in self._signals:
                self._signals[number]()
