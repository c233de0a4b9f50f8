"""A cluster daemon's socket with canned answers behind it: for tools that ask a running cluster.

It speaks the daemons' frames on a real socket, keeps what it was asked, and changes its CIB by the
patches that it is given, as the cluster does. What a change brings about is the test's to say.
"""

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from standfest.core.cib.patch import applied
from standfest.model import xml
from standfest.model.element import Element
from standfest.runtime import frames
from standfest.runtime.cluster import protocol

ACCEPTED = frames.Reply(True, "done")


class CannedDaemon:
    """One CIB and the fencing history; commands and requests: what it was asked to do, in order.

    nodes: of the installation, whether the CIB names them or not; answer: says what a command comes
    to, None for `done`; after_change: makes the next CIB of one that was changed.
    """

    def __init__(self, run_dir: Path, cib: str) -> None:
        self.cib = xml.parse(cib, "canned")
        self.nodes = ("n1", "n2")
        self.history: list[dict[str, Any]] = []
        self.commands: list[frames.Command] = []
        self.requests: list[protocol.CibRequest] = []
        self.answer: Callable[[frames.Command], frames.Reply | None] = lambda _command: None
        self.after_change: Callable[[Element], Element] = lambda cib: cib
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.bind(str(run_dir / "cluster.sock"))
        self._socket.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop answering."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(timeout=5)

    def _serve(self) -> None:
        while True:
            try:
                endpoint, _ = self._socket.accept()
            except OSError:
                return
            with endpoint:
                reader = frames.FrameReader()
                while data := endpoint.recv(65536):
                    for value in reader.feed(data):
                        assert not isinstance(value, frames.Payload)
                        endpoint.sendall(frames.write(self._reply(value)))

    def _reply(self, value: frames.Value) -> frames.Reply:
        match value:
            case frames.Query("cib-xml"):
                return frames.Reply(True, xml.serialise(self.cib))
            case frames.Query("status"):
                nodes = [{"name": name, "status": "online"} for name in self.nodes]
                return frames.Reply(True, json.dumps({"nodes": nodes}))
            case frames.Query("fencing"):
                return frames.Reply(True, json.dumps({"history": self.history}))
            case frames.Command():
                self.commands.append(value)
                told = self.answer(value)
                if told is None and value.verb == "cib":
                    self._change(protocol.decode_request(value.how.encode()))
                return told or ACCEPTED
            case _:
                return frames.Reply(False, f"no answer to {value}")

    def _change(self, request: protocol.Request) -> None:
        assert isinstance(request, protocol.CibRequest)
        self.requests.append(request)
        if isinstance(request, protocol.ChangeConfiguration) and request.patch is not None:
            old = self.cib.child("configuration")
            assert old is not None
            new = applied(request.patch, old)
            children = tuple(new if child is old else child for child in self.cib.children)
            self.cib = self.after_change(self.cib.with_children(children))


@contextlib.contextmanager
def serving(run_dir: Path, cib: str) -> Iterator[CannedDaemon]:
    """Answer on the socket of `run_dir` meanwhile."""
    daemon = CannedDaemon(run_dir, cib)
    try:
        yield daemon
    finally:
        daemon.close()
