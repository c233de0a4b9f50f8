"""Where commands ask a balancer: bounded requests, bounded answers, nobody is waited for.

The socket's name is abstract and belongs to the network namespace, as the services do. A user who
is not root balances under a name of his own.
"""

import contextlib
import json
import os
import selectors
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from standfest.model.errors import OperationError
from standfest.runtime.channel import admitted
from standfest.runtime.loop import Loop

if TYPE_CHECKING:
    from standfest.runtime.balancer.report import Status  # a supervisor that listens needs no more

NAME = "\0standfest/balancer"
MAX_REQUEST_BYTES = 1024
MAX_ANSWER_BYTES = 64 * 1024 * 1024
MAX_LINES = 16
"""Commands at one time; the oldest is sent away when one more comes."""
TIMEOUT_S = 10.0
CHUNK_BYTES = 64 * 1024


class Source(Protocol):
    """Whoever can be asked."""

    def status(self) -> "Status":
        """Return everything that there is to know."""

    def command(self, verb: str, server: str, service: str, seconds_left: float) -> str:
        """Do something to servers; raises OperationError."""

    def keep(self, *, on: bool) -> None:
        """Leave what is forwarded as it is at the end, or do not."""


def names(name: str = "") -> tuple[str, ...]:
    """Return where to look for a balancer: one's own, then root's."""
    tail = f"/{name}" if name else ""
    own = NAME + (f".{os.geteuid()}" if os.geteuid() else "") + tail
    return (own, NAME + tail) if os.geteuid() else (own,)


def listen(name: str = "") -> socket.socket:
    """Return the listening socket; raises OSError when another balancer has it."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(names(name)[0])
        listener.listen(MAX_LINES)
    except OSError:
        listener.close()
        raise
    listener.setblocking(False)
    return listener


def ask(question: dict[str, object], name: str = "") -> dict[str, object]:
    """Return a balancer's answer; raises OperationError, also for what the balancer refuses."""
    answer = json.loads(_exchange(json.dumps(question).encode() + b"\n", name))
    if "error" in answer:
        raise OperationError(str(answer["error"]))
    assert isinstance(answer, dict), "a balancer answers with an object"
    return answer


def _exchange(question: bytes, name: str) -> bytes:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        line.settimeout(TIMEOUT_S)
        try:
            _connect(line, name)
            line.sendall(question)
            parts = []
            while part := line.recv(CHUNK_BYTES):
                parts.append(part)
        except OSError as error:
            raise OperationError(
                f"no balancer in this network namespace answers ({error}); expected one to run"
            ) from error
    if not parts:
        raise OperationError(
            "the balancer did not answer; expected to be root, in haclient, or its owner"
        )
    return b"".join(parts)


def _connect(line: socket.socket, name: str) -> None:
    *others, last = names(name)
    for other in others:
        with contextlib.suppress(OSError):
            line.connect(other)
            return
    line.connect(last)


class Control:
    """Answers commands."""

    def __init__(self, loop: Loop, listener: socket.socket, source: Source) -> None:
        self._loop, self._listener, self._source = loop, listener, source
        self._lines: dict[int, socket.socket] = {}
        loop.watch(listener.fileno(), lambda _events: self._accept())

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            line, _ = self._listener.accept()
            if not admitted(line):
                line.close()
                return
            line.setblocking(False)
            if len(self._lines) >= MAX_LINES:
                self._close(next(iter(self._lines)))
            number = line.fileno()
            self._lines[number] = line
            self._loop.watch(number, lambda _events: self._on_question(number))

    def _on_question(self, number: int) -> None:
        try:
            question = self._lines[number].recv(MAX_REQUEST_BYTES)
        except OSError:
            question = b""
        if not question:
            self._close(number)
            return
        rest = [memoryview(answer(question, self._source)[:MAX_ANSWER_BYTES])]
        send = self._sender(number, rest)
        self._loop.watch(number, send, selectors.EVENT_WRITE)

    def _sender(self, number: int, rest: list[memoryview]) -> Callable[[int], None]:
        def send(_events: int) -> None:
            try:
                sent = self._lines[number].send(rest[0][:CHUNK_BYTES])
            except BlockingIOError:
                return
            except OSError:
                self._close(number)
                return
            rest[0] = rest[0][sent:]
            if not rest[0]:
                self._close(number)

        return send

    def _close(self, number: int) -> None:
        self._loop.forget(number)
        self._lines.pop(number).close()


def answer(question: bytes, source: Source) -> bytes:
    """Return what is answered to any bytes at all: JSON, with `error` for what is refused."""
    try:
        asked = json.loads(question)
        if not isinstance(asked, dict):
            raise OperationError("a question is an object")
        found = _answered(asked, source)
    except (ValueError, RecursionError):
        found = {"error": "this is not JSON"}
    except OperationError as error:
        found = {"error": str(error)}
    return json.dumps(found).encode()


def _answered(asked: dict[str, object], source: Source) -> object:
    verb = asked.get("verb")
    if verb == "status":
        return source.status()
    if verb == "keep":
        source.keep(on=asked.get("on") is True)
        return {"done": ""}
    left = asked.get("seconds", 0)
    if not isinstance(left, int | float) or not 0 <= left < 1e9:
        raise OperationError("seconds are a number from 0 to 999999999")
    server, service = str(asked.get("server", "")), str(asked.get("service", ""))
    return {"done": source.command(str(verb), server, service, left)}
