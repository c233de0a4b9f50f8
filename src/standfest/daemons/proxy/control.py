"""Answers the controller: who may reach the socket file, may do everything."""

import contextlib
import os
import socket
import struct
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from standfest import __version__
from standfest.daemons.proxy.front import Front
from standfest.model.errors import OperationError, WireError
from standfest.runtime.loop import Loop
from standfest.wire import proxytable
from standfest.wire.proxycontrol import (
    VERSION,
    Apply,
    Configure,
    Count,
    Describe,
    Description,
    Done,
    Frames,
    Read,
    Refused,
    Stop,
    TakeOver,
    frame,
)

TIMEOUT_S = 10.0
RECEIVE_BYTES = 256 * 1024
MAX_CONTROLLERS = 16

KNOCK_S = 0.2


def answers(path: Path) -> bool:
    """Return whether somebody listens at a socket file."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(KNOCK_S)
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


TakenOver = Callable[[socket.socket], None]


class Control:
    """The socket for controllers; on_take_over: somebody wants to succeed us."""

    def __init__(self, loop: Loop, front: Front, on_take_over: TakenOver) -> None:
        self._loop, self._front, self._on_take_over = loop, front, on_take_over
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._lines: dict[socket.socket, Frames] = {}

    def listen(self, path: Path) -> None:
        """Take over the socket file, for our own user only; raises OSError."""
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        temporary.unlink(missing_ok=True)
        umask = os.umask(0o177)
        try:
            self._listener.bind(str(temporary))
        finally:
            os.umask(umask)
        self._listener.listen(MAX_CONTROLLERS)
        self._listener.setblocking(False)
        os.replace(temporary, path)
        self._loop.watch(self._listener.fileno(), lambda _events: self._accept())

    def close(self) -> None:
        """Hear nobody any more; the file stays, it may be another's already."""
        for endpoint in [self._listener, *self._lines]:
            if endpoint.fileno() >= 0:
                self._loop.forget(endpoint.fileno())
                endpoint.close()
        self._lines = {}

    def unneeded(self) -> None:
        """Close everything in a fork that is no front."""
        for endpoint in [self._listener, *self._lines]:
            endpoint.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            endpoint, _ = self._listener.accept()
            credentials = endpoint.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
            ours = struct.unpack("iII", credentials)[1] in (0, os.geteuid())
            if not ours or len(self._lines) >= MAX_CONTROLLERS:
                endpoint.close()
                return
            endpoint.settimeout(TIMEOUT_S)
            self._lines[endpoint] = Frames()
            self._loop.watch(endpoint.fileno(), partial(self._on_data, endpoint))

    def _on_data(self, endpoint: socket.socket, _events: int) -> None:
        try:
            data = endpoint.recv(RECEIVE_BYTES)
            if not data:
                self._hang_up(endpoint)
                return
            for said in self._lines[endpoint].feed(data):
                if isinstance(said, TakeOver):
                    self._loop.forget(endpoint.fileno())
                    del self._lines[endpoint]
                    self._on_take_over(endpoint)
                    return
                endpoint.sendall(frame(self._answer(said)))
        except (OSError, WireError):
            self._hang_up(endpoint)

    def _answer(self, said: Any) -> object:
        try:
            match said:
                case Apply(edits):
                    self._front.apply(proxytable.changes(edits))
                case Configure():
                    self._front.limit(said)
                case Read():
                    return proxytable.show(self._front.plan.table)
                case Count():
                    return self._front.carriage()
                case Describe():
                    return self._describe()
                case Stop():
                    self._front.crew.end()
                    self._loop.stop()
                case _:
                    return Refused(f"{type(said).__name__} is no question; expected one")
        except (OperationError, WireError) as error:
            return Refused(str(error))
        return Done()

    def _describe(self) -> Description:
        crew = self._front.crew
        return Description(
            VERSION,
            __version__,
            os.getpid(),
            tuple(process.pid for process in crew.processes),
            len(crew.draining) + self._front.predecessors,
        )

    def _hang_up(self, endpoint: socket.socket) -> None:
        self._loop.forget(endpoint.fileno())
        self._lines.pop(endpoint, None)
        endpoint.close()
