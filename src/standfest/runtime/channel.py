"""Unix sockets between Standfest's processes: non-blocking, bounded, for root and haclient only."""

import contextlib
import grp
import os
import selectors
import signal
import socket
import struct
from collections.abc import Callable, Iterable
from pathlib import Path

from standfest.model.errors import OperationError, WireError
from standfest.runtime.frames import FrameReader, Payload, Value, write
from standfest.runtime.loop import Loop

GROUP = "haclient"
MAX_QUEUED_BYTES = 64 * 1024 * 1024
"""A peer that lets more pile up is cut off."""
RECEIVE_BYTES = 256 * 1024
BACKLOG = 32


class Channel:
    """One connection; `on_value` gets its frames, `on_close` is called once."""

    def __init__(
        self,
        loop: Loop,
        endpoint: socket.socket,
        on_value: "Callable[[Channel, Value | Payload], None]",
        on_close: "Callable[[Channel], None]",
    ) -> None:
        endpoint.setblocking(False)
        self._loop = loop
        self._socket = endpoint
        self._on_value = on_value
        self._on_close = on_close
        self._frames = FrameReader()
        self._queue = bytearray()
        self.closed = False
        loop.watch(endpoint.fileno(), self._ready)

    def send(self, value: Value | Payload) -> None:
        """Send a frame, or queue what does not fit the socket now."""
        if self.closed:
            return
        self._queue += write(value)
        if len(self._queue) > MAX_QUEUED_BYTES:
            self.close()
            return
        self._flush()

    def kill_peer(self) -> None:
        """End the process at the other end, which answers no more. Source: unix(7), SO_PEERCRED."""
        if not self.closed:
            credentials = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
            process, _, _ = struct.unpack("iII", credentials)
            with contextlib.suppress(OSError):
                os.kill(process, signal.SIGKILL)

    def user(self) -> tuple[str, tuple[str, ...]]:
        """Return who is at the other end: the user's name and groups; `root` for our own user."""
        credentials = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        _, user, group = struct.unpack("iII", credentials)
        if user in (0, os.geteuid()):
            return "root", ()
        import pwd  # noqa: PLC0415  only for the rare user who is not root

        try:
            name = pwd.getpwuid(user).pw_name
        except KeyError:
            return str(user), group_names([group])
        return name, group_names(os.getgrouplist(name, group))

    def close(self) -> None:
        """Close the connection; calls `on_close`."""
        if self.closed:
            return
        self.closed = True
        self._loop.forget(self._socket.fileno())
        self._socket.close()
        self._on_close(self)

    def _ready(self, events: int) -> None:
        if events & selectors.EVENT_WRITE:
            self._flush()
        if events & selectors.EVENT_READ and not self.closed:
            self._receive()

    def _receive(self) -> None:
        try:
            data = self._socket.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        try:
            for value in self._frames.feed(data):
                self._on_value(self, value)
                if self.closed:
                    return
        except WireError:
            self.close()

    def _flush(self) -> None:
        try:
            while self._queue:
                sent = self._socket.send(self._queue)
                del self._queue[:sent]
        except BlockingIOError:
            pass
        except OSError:
            self.close()
            return
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._queue else 0)
        self._loop.watch(self._socket.fileno(), self._ready, events)


class Listener:
    """Accepts connections of root, of our own user and of group haclient on a socket file."""

    def __init__(
        self,
        loop: Loop,
        path: Path,
        on_value: Callable[[Channel, Value | Payload], None],
        on_close: Callable[[Channel], None],
    ) -> None:
        path.unlink(missing_ok=True)
        self._loop = loop
        self._on_value = on_value
        self._on_close = on_close
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        umask = os.umask(0o177)
        try:
            self._socket.bind(str(path))
        finally:
            os.umask(umask)
        with contextlib.suppress(KeyError, OSError):  # no such group, or not ours to give
            os.chown(path, -1, grp.getgrnam(GROUP).gr_gid)
            os.chmod(path, 0o660)
        self._socket.listen(BACKLOG)
        self._socket.setblocking(False)
        loop.watch(self._socket.fileno(), lambda _events: self._accept())

    def _accept(self) -> None:
        with contextlib.suppress(BlockingIOError):
            endpoint, _ = self._socket.accept()
            if admitted(endpoint):
                Channel(self._loop, endpoint, self._on_value, self._on_close)
            else:
                endpoint.close()


def admitted(endpoint: socket.socket) -> bool:
    """Return whether the process at the other end may talk to a daemon."""
    credentials = endpoint.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    _, user, group = struct.unpack("iII", credentials)
    if user in (0, os.geteuid()):
        return True
    try:
        haclient = grp.getgrnam(GROUP)
    except KeyError:
        return False
    import pwd  # noqa: PLC0415  only for the rare user who is not root

    with contextlib.suppress(KeyError):
        member = pwd.getpwuid(user).pw_name in haclient.gr_mem
        return bool(group == haclient.gr_gid or member)
    return bool(group == haclient.gr_gid)


def group_names(numbers: Iterable[int]) -> tuple[str, ...]:
    """Return the names of groups, sorted; one that this machine has no name for is left out."""
    names = set()
    for number in numbers:
        with contextlib.suppress(KeyError):
            names.add(grp.getgrgid(number).gr_name)
    return tuple(sorted(names))


def connect(path: Path, timeout_s: float | None = None) -> socket.socket:
    """Return a blocking connection to a daemon; raises OperationError when there is none."""
    endpoint = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    endpoint.settimeout(timeout_s)
    try:
        endpoint.connect(str(path))
    except OSError as error:
        endpoint.close()
        raise OperationError(f"{path}: {error.strerror}; expected a running daemon") from error
    return endpoint


def request(path: Path, value: Value, timeout_s: float = 40.0) -> Value | Payload:
    """Send one value to a daemon and return its answer; raises OperationError."""
    frames = FrameReader()
    with connect(path, timeout_s) as endpoint:
        try:
            endpoint.sendall(write(value))
            while data := endpoint.recv(RECEIVE_BYTES):
                for answer in frames.feed(data):
                    return answer
        except OSError as error:
            raise OperationError(f"{path}: {error}; expected an answer") from error
        except WireError as error:
            raise OperationError(f"{path}: {error}; expected an answer") from error
    raise OperationError(f"{path}: closed; expected an answer")
