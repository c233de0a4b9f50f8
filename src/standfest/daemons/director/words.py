"""What the director's processes say, on its way to the supervisor, which writes it down.

Nobody waits: a line that does not fit the socket now is counted, and the next one says how many
were lost. keepalived's users search their logs for its phrases, so the phrases are kept.
"""

import contextlib
import os
import socket
import sys

from standfest.runtime.journal import timestamp

MAX_LINE_BYTES = 2048
MAX_LINES = 256
"""Lines that the supervisor writes in one go."""


def pair() -> tuple[socket.socket, socket.socket]:
    """Return (everybody's end, the supervisor's end)."""
    speakers, reader = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    speakers.setblocking(False)
    reader.setblocking(False)
    return speakers, reader


class Words:
    """One process's lines."""

    def __init__(self, endpoint: socket.socket, process: str) -> None:
        self._socket, self._process = endpoint, process
        self._lost = 0

    def say(self, text: str) -> None:
        """Say what happened."""
        self._line("", text)

    def warn(self, text: str) -> None:
        """Say what somebody should look at."""
        self._line("warning: ", text)

    def _line(self, mark: str, text: str) -> None:
        lost = f" ({self._lost} lines lost before)" if self._lost else ""
        clean = text if text.isprintable() else " ".join(text.split())
        line = f"{timestamp()} {self._process}[{os.getpid()}]: {mark}{clean}{lost}"
        try:
            self._socket.send(line.encode(errors="replace")[:MAX_LINE_BYTES])
            self._lost = 0
        except OSError:
            self._lost += 1


def write_down(reader: socket.socket) -> None:
    """Write the lines that have arrived to standard error."""
    lines: list[bytes] = []
    with contextlib.suppress(OSError):
        while len(lines) < MAX_LINES:
            lines.append(reader.recv(MAX_LINE_BYTES))
    if lines:
        with contextlib.suppress(OSError):
            sys.stderr.buffer.write(b"\n".join(lines) + b"\n")
            sys.stderr.buffer.flush()
