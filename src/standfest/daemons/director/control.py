"""Where commands ask a director, and where its dumps go.

The socket's name is abstract and belongs to the network namespace, as the addresses do: a second
director of the same namespace finds it taken. Answers are made in a fork, which has everything as
it was at that moment and takes as long as it likes.
"""

import contextlib
import json
import os
import signal
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from standfest.daemons.director import reports
from standfest.daemons.director.reports import View
from standfest.model.errors import OperationError
from standfest.runtime.loop import Loop

NAME = "\0standfest/director"
ALIVE = "alive"
MAX_REQUEST_BYTES = 256
MAX_ANSWER_BYTES = 16 * 1024 * 1024
TIMEOUT_S = 10.0
DUMPS = Path("/tmp")  # noqa: S108  where keepalived's users look; written safely, see _replace


class Source(Protocol):
    """Whoever can be asked."""

    def view(self) -> View:
        """Return everything that reports are made of."""

    def clear_statistics(self) -> None:
        """Begin to count anew."""


def listen(name: str = "") -> socket.socket:
    """Return the listening socket; raises OSError when another director has it."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        listener.bind(NAME + (f"/{name}" if name else ""))
        listener.listen(16)
    except OSError:
        listener.close()
        raise
    listener.setblocking(False)
    return listener


def ask(question: str, name: str = "") -> str:
    """Return a director's answer; raises OperationError."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as line:
        line.settimeout(TIMEOUT_S)
        try:
            line.connect(NAME + (f"/{name}" if name else ""))
            line.send(question.encode())
            parts = []
            while part := line.recv(64 * 1024):
                parts.append(part)
        except OSError as error:
            raise OperationError(
                f"no director in this network namespace answers ({error}); expected one to run"
            ) from error
    return b"".join(parts).decode()


class Control:
    """Answers questions and makes dumps."""

    def __init__(self, loop: Loop, listener: socket.socket, source: Source) -> None:
        self._loop, self._listener, self._source = loop, listener, source
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for our forks
        loop.watch(listener.fileno(), lambda _events: self._accept())

    def dump(self, kind: str) -> None:
        """Write a dump, or clear the statistics."""
        if kind == reports.CLEAR:
            self._source.clear_statistics()
            return
        path = DUMPS / reports.FILES[kind]
        _in_child(lambda: _replace(path, reports.render(kind, self._source.view())))

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            line, _ = self._listener.accept()
            if not _admitted(line):
                line.close()
                return
            line.setblocking(False)
            self._loop.watch(line.fileno(), lambda _events: self._on_question(line))

    def _on_question(self, line: socket.socket) -> None:
        self._loop.forget(line.fileno())
        with line, contextlib.suppress(OSError):
            question = line.recv(MAX_REQUEST_BYTES).decode(errors="replace")
            if question == ALIVE:
                line.send(b"yes")
                return
            if question == reports.CLEAR:
                self._source.clear_statistics()
                return
            _in_child(lambda: _answer(line, question, self._source.view()))


def _in_child(work: Callable[[], None]) -> None:
    """Do something in a fork that ends afterwards."""
    if os.fork():
        return
    try:
        work()
    finally:
        os._exit(0)


def _admitted(line: socket.socket) -> bool:
    """Return whether root, or whoever runs this director, is at the other end."""
    credentials = line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return struct.unpack("iII", credentials)[1] in (0, os.geteuid())


def _answer(line: socket.socket, question: str, view: View) -> None:
    if question not in reports.FILES and question not in (reports.STATUS, reports.METRICS):
        text = json.dumps({"error": f"unknown question {question!r}"})
    else:
        text = reports.render(question, view)
    line.settimeout(TIMEOUT_S)
    data = text.encode()[:MAX_ANSWER_BYTES]
    for start in range(0, len(data), 32 * 1024):
        line.send(data[start : start + 32 * 1024])


def _replace(path: Path, text: str) -> None:
    """Write a file that replaces what is there; a link that somebody put there is not followed."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(
        temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
    )
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)
    os.replace(temporary, path)
