"""TCP_CHECK: thousands of connections that are opened and closed again.

Connections are begun as they are asked for and looked at together a moment later: on a local
network nearly all stand by then, and none of those was ever registered with epoll. `connect` called
again says how the first call went: connected, refused, or still on its way; only what is still on
its way is watched. Closing resets the connection: it carried nothing, and a director with 4,000
checks in 6 s would otherwise hold 40,000 sockets in TIME_WAIT. Source: connect(2), socket(7).
"""

import errno
import selectors
import socket
from collections.abc import Callable
from functools import partial
from typing import Final

from standfest.adapters.linux.probes import sockets
from standfest.model.balancing import TcpCheck
from standfest.model.time import Instant, milliseconds
from standfest.ports.probes import Outcome, Report, Target, Waiter

SETTLE: Final = milliseconds(1)
"""After the first connection of a batch, when the batch is looked at."""
CONNECTED: Final = Outcome(succeeded=True, reason="connects")

Opened = tuple[int, socket.socket, sockets.Address]
"""(number of the probe, its socket, where to)."""


class TcpProbes:
    """All TCP_CHECKs of a prober."""

    def __init__(
        self, waiter: Waiter, report: Report, later: Callable[[Callable[[], None]], None]
    ) -> None:
        self._waiter, self._report, self._later = waiter, report, later
        self._opened: dict[str, Opened] = {}
        self._batch: dict[str, None] = {}
        self._settle_at: Instant | None = None

    def begin(self, name: str, number: int, target: Target) -> None:
        """Begin to connect."""
        checker = target.checker
        assert isinstance(checker, TcpCheck), "whoever sorts probes has looked"
        connection = checker.connection
        if name in self._opened:
            self._close(name)
        try:
            ip = connection.ip or target.address
            address = sockets.sockaddr(ip, connection.port or target.port, connection)
            made = sockets.open_socket(socket.SOCK_STREAM, ip, connection)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, sockets.ABORT)
            result = made.connect_ex(address)
        except OSError as error:
            self._later(partial(self._report, name, number, _failure(target, error.errno)))
            return
        if result not in sockets.PROGRESS:
            made.close()
            self._later(partial(self._report, name, number, _failure(target, result)))
            return
        self._opened[name] = number, made, address
        self._batch[name] = None
        if self._settle_at is None:
            self._settle_at = self._waiter.now() + SETTLE

    def abandon(self, name: str, number: int) -> None:
        """Give a connection up."""
        opened = self._opened.get(name)
        if opened is not None and opened[0] == number:
            self._close(name)

    def deadline(self) -> Instant | None:
        """Return when the batch is to be looked at."""
        return self._settle_at

    def on_timer(self, now: Instant) -> None:
        """Look at the batch."""
        if self._settle_at is None or now < self._settle_at:
            return
        batch, self._batch, self._settle_at = self._batch, {}, None
        ended: list[tuple[str, int, Outcome]] = []
        for name in batch:
            opened = self._opened.get(name)
            if opened is None:
                continue
            number, made, address = opened
            result = made.connect_ex(address)
            if result == errno.EALREADY:
                ready = partial(self._on_ready, name)
                self._waiter.watch(made.fileno(), ready, selectors.EVENT_WRITE)
                continue
            made.close()
            del self._opened[name]
            ended.append((name, number, _outcome(address, result)))
        for name, number, outcome in ended:
            self._report(name, number, outcome)

    def close(self) -> None:
        """Give all up."""
        for name in list(self._opened):
            self._close(name)
        self._batch, self._settle_at = {}, None

    def _on_ready(self, name: str, _events: int) -> None:
        number, made, address = self._opened[name]
        result = made.connect_ex(address)
        if result == errno.EALREADY:
            return
        self._close(name)
        self._report(name, number, _outcome(address, result))

    def _close(self, name: str) -> None:
        _number, made, _address = self._opened.pop(name)
        self._waiter.forget(made.fileno())
        made.close()


def _outcome(address: sockets.Address, result: int) -> Outcome:
    if result in (0, errno.EISCONN):
        return CONNECTED
    host = f"[{address[0]}]" if ":" in address[0] else address[0]
    return Outcome(False, f"connecting to {host}:{address[1]}: {sockets.words(result)}")


def _failure(target: Target, number: int | None) -> Outcome:
    checker = target.checker
    assert isinstance(checker, TcpCheck), "whoever sorts probes has looked"
    where = sockets.Place.of(target, checker.connection)
    return Outcome(False, f"connecting to {where}: {sockets.words(number)}")
