"""The line between the front and a worker: packets; sockets come one by one before their orders.

A packet is one letter and a body: `L` a service's number with its listening socket, `D` a piece of
a value, `C` the value is complete. Answers are values in pieces, too.
"""

import socket
from typing import Any

from standfest.daemons.proxy.orders import TYPES
from standfest.model.errors import OperationError, WireError
from standfest.wire import values

PIECE_BYTES = 32 * 1024
PACKET_BYTES = PIECE_BYTES + 1
PACKETS = 64
"""Packets that a worker reads before its connections have their turn."""
ANSWER_S = 10.0


def pair() -> tuple[socket.socket, socket.socket]:
    """Return the front's end and the worker's."""
    front, worker = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    front.settimeout(ANSWER_S)
    worker.setblocking(False)
    return front, worker


def send(line: socket.socket, value: object) -> None:
    """Send a value; raises OSError."""
    data = values.encode(value)
    for start in range(0, len(data), PIECE_BYTES):
        line.send(b"D" + data[start : start + PIECE_BYTES])
    line.send(b"C")


def send_listener(line: socket.socket, service: int, listener: socket.socket) -> None:
    """Send a service's listening socket; raises OSError."""
    socket.send_fds(line, [b"L%d" % service], [listener.fileno()])


def receive(line: socket.socket) -> Any:
    """Return the next value from the other end; raises OperationError."""
    assembly = Assembly()
    try:
        while True:
            found = assembly.take(line)
            if found is not None:
                return found
    except (OSError, WireError) as error:
        raise OperationError(f"a worker does not answer: {error}") from error


class Assembly:
    """Puts packets together."""

    def __init__(self) -> None:
        self.listeners: dict[int, socket.socket] = {}
        self._data = bytearray()

    def take(self, line: socket.socket) -> Any:
        """Read a packet; return a value when one is complete, else None.

        Raises OSError (BlockingIOError when there is none), and WireError at the end of the line.
        """
        data, descriptors, _, _ = socket.recv_fds(line, PACKET_BYTES, 1)
        kind, body = data[:1], data[1:]
        if kind == b"L" and descriptors:
            self.listeners[int(body)] = socket.socket(fileno=descriptors[0])
        elif kind == b"D" and len(self._data) + len(body) <= values.MAX_BYTES:
            self._data += body
        elif kind == b"C":
            data = bytes(self._data)
            self._data.clear()
            return values.decode(data, TYPES)
        else:
            raise WireError("wrong-shape", "the line has ended")
        return None
