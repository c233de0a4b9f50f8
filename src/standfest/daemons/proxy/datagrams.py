"""UDP: a client's datagrams go to one server, and its answers back, as long as they keep coming.

A session is a socket that is connected to the server; the kernel hands us on it what answers and,
as an error, that the server's port is closed. What cannot be sent is lost, as datagrams are.
"""

import contextlib
import socket
from collections.abc import Callable
from functools import partial

from standfest.core.balancer.clients import Binding
from standfest.core.balancer.suspects import Suspects
from standfest.daemons.proxy.served import Served
from standfest.daemons.proxy.tally import ACTIVE, BYTES_IN, BYTES_OUT, CELLS, CONNECTIONS
from standfest.model.time import Duration, Instant, seconds

BUFFER_BYTES = 65_536
BATCH = 64
"""Datagrams of one socket before others have their turn."""
ONE_ANSWER: Duration = seconds(5)
"""How long the answer to a datagram of its own (one-packet scheduling) may take."""

Address = tuple[str, int]


class Session:
    """One client's datagrams to one server."""

    __slots__ = ("binding", "client", "listener", "number", "once", "served", "socket", "touched")

    def __init__(
        self, served: Served, listener: socket.socket, client: Address, endpoint: socket.socket
    ) -> None:
        self.served, self.listener, self.client, self.socket = served, listener, client, endpoint
        self.number = -1
        self.touched: Instant = 0
        self.once = served.one_packet
        self.binding: Binding | None = None


class Datagrams:
    """All sessions of a worker.

    watch, ignore: put a socket into the epoll set and take it out; lay_out: closes it when this
    round is over.
    """

    def __init__(
        self,
        cells: memoryview,
        count: Callable[[int], int],
        suspects: Suspects,
        *,
        watch: Callable[[socket.socket, Callable[[], None]], None],
        ignore: Callable[[socket.socket], None],
        lay_out: Callable[[socket.socket], None],
    ) -> None:
        self.now: Instant = 0
        self.timeout: Duration = seconds(300)
        self.sessions: set[Session] = set()
        self._known: dict[tuple[int, Address], Session] = {}
        self._cells, self._count, self._suspects = cells, count, suspects
        self._watch, self._ignore, self._lay_out = watch, ignore, lay_out
        self._view = memoryview(bytearray(BUFFER_BYTES))

    def on_clients(self, served: Served, listener: socket.socket) -> None:
        """Carry what clients sent."""
        for _ in range(BATCH):
            try:
                size, client = listener.recvfrom_into(self._view, BUFFER_BYTES, socket.MSG_DONTWAIT)
            except OSError:
                return
            session = self._known.get((served.number, client[:2])) or self._begin(
                served, listener, client
            )
            if session is None:
                continue
            session.touched = self.now
            self._cells[CELLS * session.number + BYTES_IN] += size
            self._send(session, size)

    def drop(self, servers: frozenset[int]) -> None:
        """Servers are gone."""
        for session in [s for s in self.sessions if s.number in servers]:
            self._end(session)

    def forget_old(self) -> None:
        """End sessions in which nothing was said for too long."""
        for session in list(self.sessions):
            timeout = min(self.timeout, ONE_ANSWER) if session.once else self.timeout
            if session.touched <= self.now - timeout:
                self._end(session)

    def _begin(self, served: Served, listener: socket.socket, client: Address) -> Session | None:
        """Find a server for a client that has none; None: there is none, or no socket for it."""
        choice = served.choose(self.now, client[:2], self._suspects.avoided, self._count)
        if choice is None:
            choice = served.choose(self.now, client[:2], (), self._count)
        if choice is None:
            return None
        number, binding = choice
        try:
            endpoint = socket.socket(served.families[number], socket.SOCK_DGRAM)
        except OSError:
            return None
        if endpoint.connect_ex(served.addresses[number]):
            self._lay_out(endpoint)
            return None
        session = Session(served, listener, client, endpoint)
        session.number, session.binding = number, binding
        if binding is not None and served.clients is not None:
            served.clients.opened(self.now, binding)
        self._cells[CELLS * number + ACTIVE] += 1
        self._cells[CELLS * number + CONNECTIONS] += 1
        self.sessions.add(session)
        if not session.once:
            self._known[served.number, client[:2]] = session
        self._watch(endpoint, partial(self._on_server, session))
        return session

    def _send(self, session: Session, size: int) -> None:
        try:
            session.socket.send(self._view[:size], socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:  # an earlier datagram met a closed port
            self._on_refusal(session)

    def _on_server(self, session: Session) -> None:
        """Carry a server's answers."""
        for _ in range(BATCH):
            try:
                size = session.socket.recv_into(self._view, BUFFER_BYTES, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except OSError:
                self._on_refusal(session)
                return
            session.touched = self.now
            self._cells[CELLS * session.number + BYTES_OUT] += size
            with contextlib.suppress(OSError):
                session.listener.sendto(self._view[:size], socket.MSG_DONTWAIT, session.client)
            if session.once:
                self._end(session)
                return

    def _on_refusal(self, session: Session) -> None:
        """The server's port is closed: its clients' next datagrams go to another one."""
        self._suspects.failed(self.now, session.number)
        self.drop(frozenset({session.number}))

    def _end(self, session: Session) -> None:
        if session not in self.sessions:
            return
        self.sessions.discard(session)
        if not session.once:
            self._known.pop((session.served.number, session.client[:2]), None)
        self._ignore(session.socket)
        self._lay_out(session.socket)
        self._cells[CELLS * session.number + ACTIVE] -= 1
        if session.binding is not None and session.served.clients is not None:
            session.served.clients.closed(self.now, session.binding)
