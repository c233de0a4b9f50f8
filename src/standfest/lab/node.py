"""A lab node: namespaces of its own, process 1, and the kernel's goodwill to end them together.

Nothing but the node's own processes holds its namespaces: killing process 1 takes every process,
every interface and every address of the node with it, as pulling the power would.
"""

import json
import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from standfest.lab import syscalls
from standfest.lab.rootfs import PYTHON_INSIDE, SOURCE_INSIDE
from standfest.model.errors import OperationError

NODE_FLAGS = (
    syscalls.CLONE_NEWNET
    | syscalls.CLONE_NEWNS
    | syscalls.CLONE_NEWUTS
    | syscalls.CLONE_NEWIPC
    | syscalls.CLONE_NEWPID
)
ANSWER_TIMEOUT_S = 60.0
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
LIBRARIES = str(PYTHON_INSIDE / "lib")
"""Where an interpreter that is not the system's finds its own libpython, not the system's."""


class Node:
    """One running node."""

    def __init__(self, name: str, python: str, python_path: str) -> None:
        self.name = name
        self._python = python
        self.environment = {
            "PATH": PATH,
            "HOME": "/root",
            "LANG": "C.UTF-8",
            "PYTHONPATH": python_path,
            "PYTHONDONTWRITEBYTECODE": "1",
            "LD_LIBRARY_PATH": LIBRARIES,
        }
        self.process = 0
        self._control: socket.socket | None = None
        self._next = 1
        self._buffer = b""

    def boot(self, plug: Callable[[int], None], build: Callable[[], None]) -> None:
        """Start the node: `plug` gets a process in its network, `build` runs inside."""
        ours, theirs = socket.socketpair()
        outer = os.fork()
        if outer == 0:
            ours.close()
            _outer(self.name, theirs, self._python, build)
        theirs.close()
        self._control = ours
        _expect(ours, b"N", self.name)
        plug(outer)
        ours.sendall(b"G")
        self.process = int(_line(ours, self.name))
        os.waitpid(outer, 0)
        _expect(ours, b"R", self.name)

    def run(self, *words: str, timeout_s: float = ANSWER_TIMEOUT_S) -> tuple[int, str]:
        """Run a command to its end; return its status and output."""
        answer = self._ask({"argv": list(words), "wait": True}, timeout_s)
        return answer["status"], answer["output"]

    def python(self, *words: str) -> list[str]:
        """Return the command line that runs our interpreter in the node."""
        return [self._python, *words]

    def spawn(self, *words: str, respawn: bool = False) -> int:
        """Start a command in the background; return its process id inside the node."""
        answer = self._ask({"argv": list(words), "respawn": respawn}, ANSWER_TIMEOUT_S)
        return int(answer["pid"])

    def kill(self) -> None:
        """Cut the power: every process of the node dies at once."""
        if self.process:
            os.kill(self.process, signal.SIGKILL)

    def bury(self) -> None:
        """Kill, and wait until the kernel has taken everything away."""
        if not self.process:
            return
        self.kill()
        os.waitpid(self.process, 0)
        self.process = 0
        if self._control is not None:
            self._control.close()

    def path(self, inside: str) -> Path:
        """Return where a file of a living node is, seen from the lab."""
        return Path(f"/proc/{self.process}/root") / inside.lstrip("/")

    def read(self, inside: str) -> str:
        """Return a file's text, or the empty string without the file."""
        try:
            return self.path(inside).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""

    def _ask(self, request: dict[str, object], timeout_s: float) -> dict[str, Any]:
        assert self._control is not None, "boot() comes first"
        number = self._next
        self._next += 1
        request = {"id": number, "env": self.environment, **request}
        self._control.sendall(json.dumps(request).encode() + b"\n")
        until = time.monotonic() + timeout_s
        while True:
            while b"\n" in self._buffer:
                line, self._buffer = self._buffer.split(b"\n", 1)
                answer: dict[str, Any] = json.loads(line)
                if answer["id"] == number:
                    return answer
            self._control.settimeout(max(0.01, until - time.monotonic()))
            try:
                data = self._control.recv(65536)
            except TimeoutError as error:
                raise OperationError(f"{self.name}: no answer within {timeout_s:g} s") from error
            if not data:
                raise OperationError(f"{self.name} is gone")
            self._buffer += data


def _outer(name: str, control: socket.socket, python: str, build: Callable[[], None]) -> None:
    """In the first child: new namespaces, then process 1 of the PID namespace."""
    try:
        syscalls.unshare(NODE_FLAGS)
        control.sendall(b"N")
        _expect(control, b"G", name)
        inner = os.fork()
        if inner == 0:
            _inner(name, control, python, build)
        control.sendall(f"{inner}\n".encode())
    finally:
        os._exit(0)


def _inner(name: str, control: socket.socket, python: str, build: Callable[[], None]) -> None:
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        syscalls.set_hostname(name)
        syscalls.mount("", "/", "", syscalls.MS_REC | syscalls.MS_PRIVATE)
        build()
        control.sendall(b"R")
        os.set_inheritable(control.fileno(), True)
        script = str(SOURCE_INSIDE / "standfest/lab/nodeinit.py")
        words: list[str] = [python, "-I", "-S", script, str(control.fileno())]
        os.execve(python, words, {"PATH": PATH, "LD_LIBRARY_PATH": LIBRARIES})
    except BaseException as error:
        control.sendall(f"!{type(error).__name__}: {error}\n".encode())
    finally:
        os._exit(1)


def _expect(control: socket.socket, wanted: bytes, name: str) -> None:
    got = control.recv(1)
    if got == wanted:
        return
    more = control.recv(4096).decode(errors="replace").strip() if got == b"!" else "it ended"
    raise OperationError(f"node {name} did not boot: {more}")


def _line(control: socket.socket, name: str) -> str:
    text = b""
    while not text.endswith(b"\n"):
        data = control.recv(1)
        if not data:
            raise OperationError(f"node {name} did not boot: it ended")
        text += data
    return text.decode().strip()
