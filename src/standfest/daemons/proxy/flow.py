"""One client's connection from accept to close, and its two ends."""

import socket
from typing import TYPE_CHECKING

from standfest.core.balancer.clients import Binding
from standfest.model.time import Instant

if TYPE_CHECKING:
    from standfest.daemons.proxy.served import Served


class Flow:
    """A connection through a server; `client` None: a trial of a server, nobody waits for it.

    touched: when something last happened; socket: the one to the server; tried: servers that did
    not take it; near, far: the client's end and the server's, while both are connected.
    """

    __slots__ = (
        *("address", "binding", "client", "far", "fd", "near", "number"),
        *("served", "socket", "touched", "tried"),
    )

    def __init__(
        self, served: "Served | None", client: socket.socket | None, address: tuple[str, int]
    ) -> None:
        self.served, self.client, self.address = served, client, address
        self.tried: tuple[int, ...] = ()
        self.binding: Binding | None = None
        self.number = self.fd = -1
        self.touched: Instant = 0
        self.socket: socket.socket | None = None
        self.near: End | None = None
        self.far: End | None = None

    def release(self, now: Instant) -> None:
        """Its client's stay begins to run out."""
        binding = self.binding
        if binding is not None:
            self.binding = None
            if self.served is not None and self.served.clients is not None:
                self.served.clients.closed(now, binding)


class End:
    """One side of a connection.

    cell: where its bytes are counted; waiting: what it could not take yet; ended: it has said all;
    stalled: it has more to say than its peer takes.
    """

    __slots__ = ("cell", "ended", "fd", "flow", "peer", "socket", "stalled", "waiting")

    def __init__(self, endpoint: socket.socket, fd: int, flow: Flow, cell: int) -> None:
        self.socket = endpoint
        self.fd = fd
        self.flow = flow
        self.cell = cell
        self.peer: End = self
        self.waiting = b""
        self.ended = False
        self.stalled = False
