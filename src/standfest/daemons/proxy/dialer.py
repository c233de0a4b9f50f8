"""Connections to servers that are being made: for a client, or as a trial of a server that failed.

A server that refuses or does not answer is avoided from then on, and the client goes to the next
one, until every server has had its chance.
"""

import contextlib
import errno
import os
import select
import socket
from collections.abc import Callable

from standfest.core.balancer.suspects import Suspects
from standfest.daemons.proxy.flow import Flow
from standfest.daemons.proxy.relay import READABLE, RESET, TALKS, Relay
from standfest.daemons.proxy.served import Served
from standfest.daemons.proxy.tally import ACTIVE, CELLS, CONNECTIONS
from standfest.model.time import Duration, Instant, seconds
from standfest.wire import proxyheader

OURS = frozenset(
    {errno.EADDRNOTAVAIL, errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EPERM}
)
"""Errors of connect(2) that say nothing about the server."""
STREAM = socket.SOCK_STREAM | socket.SOCK_NONBLOCK
DATAGRAM = socket.SOCK_DGRAM | socket.SOCK_NONBLOCK
FAILED = select.EPOLLERR | select.EPOLLHUP


class Dialer:
    """All connections of a worker that are being made, oldest first.

    say: takes a line for the log; service_of: a server's number -> its service, None if it is gone.
    """

    def __init__(
        self,
        epoll: select.epoll,
        relay: Relay,
        cells: memoryview,
        count: Callable[[int], int],
        *,
        service_of: Callable[[int], Served | None],
        say: Callable[[str], None],
    ) -> None:
        self.now: Instant = 0
        self.timeout: Duration = seconds(5)
        self.flows: dict[int, Flow] = {}
        self.suspects = Suspects()
        self._epoll, self._relay, self._cells, self._count = epoll, relay, cells, count
        self._service_of, self._say = service_of, say

    def admit(self, served: Served, client: socket.socket, address: tuple[str, int]) -> None:
        """Find a server for a new client."""
        self._dial(served, client, Flow(served, client, address))

    def on_event(self, flow: Flow, events: int) -> None:
        """A connection was made, or was not."""
        assert flow.socket is not None
        del self.flows[flow.fd]
        if events & FAILED:
            self._on_failure(flow, flow.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
        else:
            self._on_success(flow, flow.socket, events)

    def on_time(self) -> None:
        """Give up what takes too long; try the servers that failed."""
        late = self.now - self.timeout
        while self.flows:
            flow = next(iter(self.flows.values()))
            if flow.touched > late:
                break
            del self.flows[flow.fd]
            if flow.client is None and flow.served is not None and flow.served.udp:
                self._on_answer(flow)  # no refusal has come: as much as a datagram can tell
            else:
                self._on_failure(flow, errno.ETIMEDOUT)
        for number in self.suspects.due(self.now):
            served = self._service_of(number)
            if served is None:
                self.suspects.works(number)
                continue
            trial = Flow(served, None, ("", 0))
            trial.number = number
            status = self._ask(served, trial) if served.udp else self._connect(served, trial)
            if status:
                self._on_failure(trial, status)

    @property
    def is_waiting(self) -> bool:
        """Return whether `on_time` may have something to do."""
        return bool(self.flows or self.suspects.avoided)

    def drop(self, numbers: frozenset[int]) -> None:
        """Servers are gone: whoever waits for one goes to another."""
        for number in numbers:
            self.suspects.works(number)
        for flow in [flow for flow in self.flows.values() if flow.number in numbers]:
            del self.flows[flow.fd]
            self._give_up(flow)
            self._dial_again(flow)

    def _dial(self, served: Served, client: socket.socket, flow: Flow) -> None:
        """Try servers until a connection to one is under way; else refuse the client."""
        while True:
            avoid = self.suspects.avoided
            if flow.tried:
                avoid = {*avoid, *flow.tried}
            choice = served.choose(self.now, flow.address, avoid, self._count)
            if choice is None and self.suspects.avoided:
                # Better a server that may have failed than none at all.
                choice = served.choose(self.now, flow.address, flow.tried, self._count)
            if choice is None:
                with contextlib.suppress(OSError):
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                self._relay.lay_out(client)
                return
            flow.number, flow.binding = choice
            self._cells[CELLS * flow.number + ACTIVE] += 1
            if flow.binding is not None and served.clients is not None:
                served.clients.opened(self.now, flow.binding)
            status = self._connect(served, flow)
            if not status:
                return
            self._give_up(flow)
            self._judge(flow, status)

    def _dial_again(self, flow: Flow) -> None:
        if flow.client is not None and flow.served is not None:
            self._dial(flow.served, flow.client, flow)

    def _connect(self, served: Served, flow: Flow) -> int:
        """Begin a connection; return 0, or the error if it failed at once."""
        try:
            upstream = socket.socket(served.families[flow.number], STREAM)
        except OSError as error:
            return error.errno or errno.EMFILE
        flow.socket, flow.fd = upstream, upstream.fileno()
        upstream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        status = upstream.connect_ex(served.addresses[flow.number])
        if status not in (0, errno.EINPROGRESS):
            return status
        flow.touched = self.now
        self.flows[flow.fd] = flow
        self._epoll.register(flow.fd, TALKS | select.EPOLLOUT)
        return 0

    def _ask(self, served: Served, flow: Flow) -> int:
        """Send a server an empty datagram, which a closed port answers with an error."""
        try:
            flow.socket = socket.socket(served.families[flow.number], DATAGRAM)
            flow.fd = flow.socket.fileno()
            flow.socket.connect(served.addresses[flow.number])
            flow.socket.send(b"")
        except OSError as error:
            return error.errno or errno.EIO
        flow.touched = self.now
        self.flows[flow.fd] = flow
        self._epoll.register(flow.fd, select.EPOLLIN | select.EPOLLET)
        return 0

    def _on_answer(self, flow: Flow) -> None:
        """A server was reached; if this was a trial, that is all."""
        if self.suspects.avoided and self.suspects.works(flow.number):
            self._say(f"server {self._name(flow)} answers again")
        if flow.client is None and flow.socket is not None:
            self._relay.lay_out(flow.socket)

    def _on_success(self, flow: Flow, upstream: socket.socket, events: int) -> None:
        self._on_answer(flow)
        client, header = flow.client, b""
        if client is None:
            return
        if flow.served is not None and flow.served.header:
            try:
                header = proxyheader.header(flow.address, client.getsockname()[:2])
            except OSError:  # the client is gone again
                self._give_up(flow)
                self._relay.lay_out(client)
                return
        self._cells[CELLS * flow.number + CONNECTIONS] += 1
        flow.client = None
        self._relay.begin(flow, client, header)
        if flow.far is not None and events & READABLE:
            self._relay.on_event(flow.far, events)

    def _on_failure(self, flow: Flow, status: int) -> None:
        if flow.client is not None:
            self._give_up(flow)
        elif flow.socket is not None:
            self._relay.lay_out(flow.socket)
        self._judge(flow, status)
        self._dial_again(flow)

    def _give_up(self, flow: Flow) -> None:
        """Undo a client's attempt."""
        self._cells[CELLS * flow.number + ACTIVE] -= 1
        if flow.socket is not None:
            self._relay.lay_out(flow.socket)
            flow.socket = None
        flow.release(self.now)

    def _judge(self, flow: Flow, status: int) -> None:
        flow.tried = (*flow.tried, flow.number)
        if status in OURS:
            self._say(f"cannot connect to {self._name(flow)}: {os.strerror(status)}")
        elif self.suspects.failed(self.now, flow.number):
            self._say(f"server {self._name(flow)} fails: {os.strerror(status)}")

    def _name(self, flow: Flow) -> str:
        host, port = (
            ("?", 0) if flow.served is None else flow.served.addresses.get(flow.number, ("?", 0))
        )
        return f"{host}:{port}"
