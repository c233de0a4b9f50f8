"""The director's end: it tells the balancer which of its virtual routers are active.

Imported by the director, so nothing here imports what only a balancer needs.
"""

import contextlib
import marshal
import socket

ROUTER, SESSION = "router", "bfd"
WHO = b"who"
"""A balancer that has just been born asks for all states."""
MAX_BYTES = 4096

Tiding = tuple[str, str, int]
"""(kind, name, value): a router is active or not, a BFD session up or not, 1 or 0."""


def pair() -> tuple[socket.socket, socket.socket]:
    """Return (the director's end, the balancer's end)."""
    director, balancer = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for endpoint in (director, balancer):
        endpoint.setblocking(False)
    return director, balancer


class Teller:
    """Tells, without ever waiting; who does not listen asks again when it does."""

    def __init__(self, endpoint: socket.socket | None) -> None:
        self._socket = endpoint

    def fileno(self) -> int:
        """Return the descriptor that is readable when a balancer asks; -1: there is none."""
        return self._socket.fileno() if self._socket is not None else -1

    def tell(self, kind: str, name: str, *, value: bool) -> None:
        """Tell of one router or session."""
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.send(marshal.dumps((kind, name, int(value))))

    def is_asked(self) -> bool:
        """Return whether a balancer wants to hear everything."""
        asked = False
        if self._socket is not None:
            with contextlib.suppress(OSError):
                while self._socket.recv(MAX_BYTES):
                    asked = True
        return asked
