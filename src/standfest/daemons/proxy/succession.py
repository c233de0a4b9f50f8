"""A new proxy takes over from a running one, and no connection notices.

The old one stops accepting, and hands over its listening sockets with whoever waits in them, its
table, its tallies and its persistent clients. When the new one has said that it accepts, the old
one closes its copies and carries what is open to the end; servers that are removed meanwhile are
told to it. If the new one fails before, the old one goes on as if nothing had happened.
"""

import contextlib
import socket
from typing import Any

from standfest.daemons.process import name_process
from standfest.daemons.proxy.front import Front
from standfest.daemons.proxy.orders import TYPES, Clients, Drop, Legacy
from standfest.daemons.proxy.tally import Tally
from standfest.model.errors import OperationError, WireError
from standfest.runtime.loop import Loop
from standfest.wire import values
from standfest.wire.proxycontrol import HEADER, MAX_FRAME, Done, Frames, TakeOver, frame

TIMEOUT_S = 15.0
FILES = 200
"""Descriptors in one message; the kernel takes 253 (unix(7))."""
MAX_FILES = 1_000_000
MAX_CLIENTS = 100_000
"""Persistent clients that are handed over."""


class Predecessor:
    """A proxy that we have taken over from: it still carries connections."""

    def __init__(self, loop: Loop, front: Front, endpoint: socket.socket) -> None:
        self._loop, self._front, self._endpoint = loop, front, endpoint
        self._tallies: list[Tally] = []
        self._clients = Clients(())

    def take(self, workers: int) -> None:
        """Receive everything and begin; raises OperationError."""
        try:
            self._endpoint.settimeout(TIMEOUT_S)
            self._endpoint.sendall(frame(TakeOver()))
            legacy = _read(self._endpoint)
            if not isinstance(legacy, Legacy):
                raise WireError("wrong-shape", f"{type(legacy).__name__}; expected a legacy")
            count = len(legacy.listeners) + legacy.idle_tallies + legacy.busy_tallies
            files = _receive_files(self._endpoint, count)
            self._tallies = self._front.inherit(legacy, files, workers)
            clients = _read(self._endpoint)
            self._front.start(workers)
            self._front.remember(clients)
        except (OSError, WireError, KeyError, ValueError) as error:
            raise OperationError(f"cannot take over from the running proxy: {error}") from error

    def dismiss(self) -> None:
        """Tell it that we accept; from now on it only hears which servers are gone."""
        self._endpoint.sendall(frame(Done()))
        self._front.predecessors += 1
        self._front.on_drop = self._say_drop
        self._loop.watch(self._endpoint.fileno(), lambda _events: self._on_end())

    def unneeded(self) -> None:
        """Close the line in a fork."""
        self._endpoint.close()

    def _say_drop(self, drop: Drop) -> None:
        with contextlib.suppress(OSError):
            self._endpoint.sendall(frame(drop))

    def _on_end(self) -> None:
        with contextlib.suppress(OSError):
            if self._endpoint.recv(1):
                return
        self._loop.forget(self._endpoint.fileno())
        self._endpoint.close()
        self._front.predecessors -= 1
        for tally in self._tallies:
            tally.abandon()
        self._front.idle += self._tallies
        self._front.look_quiet()


class Successor:
    """Whoever takes over from us."""

    def __init__(self, loop: Loop, front: Front, endpoint: socket.socket) -> None:
        self._loop, self._front, self._endpoint = loop, front, endpoint
        self._frames = Frames(TYPES)

    def bequeath(self, workers: int) -> bool:
        """Hand everything over; False: it failed, and we go on."""
        clients = self._front.crew.drain()
        legacy, files = self._front.legacy()
        try:
            self._endpoint.settimeout(TIMEOUT_S)
            self._endpoint.sendall(frame(legacy))
            for start in range(0, len(files), FILES):
                socket.send_fds(self._endpoint, [b"F"], files[start : start + FILES])
            self._endpoint.sendall(frame(Clients(tuple(clients[-MAX_CLIENTS:]))))
            accepted = isinstance(_read(self._endpoint), Done)
        except (OSError, WireError):
            accepted = False
        if not accepted:
            self._endpoint.close()
            self._front.start(workers)
            self._front.remember(Clients(tuple(clients)))
            return False
        self._front.let_go()
        name_process("sf-proxy-old")
        self._loop.watch(self._endpoint.fileno(), lambda _events: self._on_data())
        return True

    def unneeded(self) -> None:
        """Close the line in a fork."""
        self._endpoint.close()

    def _on_data(self) -> None:
        try:
            data = self._endpoint.recv(65536)
            if data:
                for said in self._frames.feed(data):
                    if isinstance(said, Drop):
                        self._front.drop(said)
                return
        except (OSError, WireError):
            pass
        self._loop.forget(self._endpoint.fileno())


def _read(endpoint: socket.socket) -> Any:
    """Return the next value and not a byte more: descriptors may follow."""
    (length,) = HEADER.unpack(_exactly(endpoint, HEADER.size))
    if length > MAX_FRAME:
        raise WireError("oversized", f"{length} bytes, at most {MAX_FRAME}")
    return values.decode(_exactly(endpoint, length), TYPES)


def _exactly(endpoint: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        piece = endpoint.recv(size - len(data))
        if not piece:
            raise WireError("wrong-shape", "the line has ended")
        data += piece
    return bytes(data)


def _receive_files(endpoint: socket.socket, count: int) -> list[int]:
    if count > MAX_FILES:
        raise WireError("oversized", f"{count} files, at most {MAX_FILES}")
    found: list[int] = []
    while len(found) < count:
        data, files, _, _ = socket.recv_fds(endpoint, 1, FILES)
        found += files
        if not data or not files:
            raise WireError("wrong-shape", f"{len(found)} files of {count}")
    return found
