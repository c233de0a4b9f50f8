"""Process 1 of a lab node: runs what the lab asks for, collects orphans, ends when the lab does.

Run as `python -I -S nodeinit.py FD`: standard library only, few imports, little memory. Requests
and answers are lines of JSON on the socket FD:
  {"id": N, "argv": [...], "env": {...}, "respawn": bool}  start; answered {"id": N, "pid": P}
  {"id": N, "argv": [...], "env": {...}, "wait": true}     run; {"id": N, "status": S, "output": T}
"""

import json
import os
import select
import signal
import socket
import sys
from typing import Any

MAX_OUTPUT = 65536

Request = dict[str, Any]


class Init:
    """The node's children by process id."""

    def __init__(self, control: socket.socket) -> None:
        self.control = control
        self.buffer = b""
        self.waiting: dict[int, tuple[int, int]] = {}
        self.respawn: dict[int, Request] = {}

    def spawn(self, argv: list[str], env: dict[str, str], output: int) -> int:
        """Fork and execute; the child is a session of its own."""
        pid = os.fork()
        if pid:
            return pid
        try:
            os.setsid()
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
            null = os.open("/dev/null", os.O_RDWR)
            os.dup2(null, 0)
            os.dup2(output, 1)
            os.dup2(output, 2)
            os.execve(argv[0], argv, env)
        finally:
            os._exit(127)

    def start(self, request: Request) -> None:
        """Serve one request."""
        env = request.get("env", {})
        if request.get("wait"):
            output = os.memfd_create("output")
            pid = self.spawn(request["argv"], env, output)
            self.waiting[pid] = (request["id"], output)
            return
        log = os.open("/var/log/console", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        pid = self.spawn(request["argv"], env, log)
        os.close(log)
        if request.get("respawn"):
            self.respawn[pid] = request
        self.answer({"id": request["id"], "pid": pid})

    def answer(self, value: Request) -> None:
        """Send one answer."""
        self.control.sendall(json.dumps(value).encode() + b"\n")

    def reap(self) -> None:
        """Collect every child that has ended; ours and orphans."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid in self.waiting:
                number, output = self.waiting.pop(pid)
                text = os.pread(output, MAX_OUTPUT, 0).decode(errors="replace")
                os.close(output)
                code = os.waitstatus_to_exitcode(status)
                self.answer({"id": number, "status": code, "output": text})
            elif pid in self.respawn:
                request = self.respawn.pop(pid)
                if os.waitstatus_to_exitcode(status) != 0:
                    self.start(dict(request, id=-1))

    def run(self) -> None:
        """Serve until the lab closes its end."""
        receive, send = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(send, warn_on_full_buffer=False)
        while True:
            ready, _, _ = select.select([self.control.fileno(), receive], [], [])
            if receive in ready:
                os.read(receive, 4096)
                self.reap()
            if self.control.fileno() in ready:
                data = self.control.recv(65536)
                if not data:
                    return
                self.buffer += data
                while b"\n" in self.buffer:
                    line, self.buffer = self.buffer.split(b"\n", 1)
                    self.start(json.loads(line))


if __name__ == "__main__":
    Init(socket.socket(fileno=int(sys.argv[1]))).run()
