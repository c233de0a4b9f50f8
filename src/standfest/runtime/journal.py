"""Events on their way to the `log` process: one line each, never waiting for anybody.

A line is `2026-11-24T11:00:00.123456+00:00 node-1 cluster[12]: info: EVENT key=value ...`.
"""

import os
import socket
import sys
import time
from pathlib import Path

MAX_LINE_BYTES = 4096
LOG_SOCKET = "log.sock"
LEVELS = ("debug", "info", "warning", "error")


class Journal:
    """Formats events and hands them to `log`; while it is away, warnings go to stderr."""

    def __init__(self, run_dir: Path, node: str, process: str) -> None:
        self._path = str(run_dir / LOG_SOCKET)
        self._prefix = f"{node} {process}[{os.getpid()}]"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self.dropped = 0

    def write(self, level: str, event: str, fields: tuple[tuple[str, str], ...] = ()) -> None:
        """Send one event; counted as dropped when `log` does not take it at once."""
        words = [event, *(f"{name}={quote(value)}" for name, value in fields)]
        if self.dropped:
            words.append(f"dropped-before={self.dropped}")
        line = f"{timestamp()} {self._prefix}: {level}: {' '.join(words)}"
        try:
            self._socket.sendto(line.encode(errors="replace")[:MAX_LINE_BYTES], self._path)
            self.dropped = 0
        except OSError:
            self.dropped += 1
            if level in ("warning", "error"):
                print(line, file=sys.stderr, flush=True)


def timestamp() -> str:
    """Return the time as ISO 8601 with microseconds, in UTC."""
    now = time.time_ns()
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now // 1_000_000_000))
    return f"{whole}.{now // 1000 % 1_000_000:06d}+00:00"


def quote(value: str) -> str:
    """Return the value as one word: quoted where it is empty or holds blanks, always one line."""
    clean = " ".join(value.split()) if not value.isprintable() else value
    if clean and " " not in clean and '"' not in clean:
        return clean
    return '"' + clean.replace('"', "'") + '"'
