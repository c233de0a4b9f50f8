"""The process `log`: takes lines from a datagram socket and appends them to files.

It stands between the daemons and the disk, so that a full or slow disk never delays a heartbeat:
writers send without waiting, and what this process cannot take is counted by them.
Source: ha_logd(8) for file names, mode and SIGHUP.
"""

import signal
import socket
import sys
from pathlib import Path
from typing import BinaryIO

from standfest.daemons import places, reading
from standfest.model.settings import LogSettings
from standfest.runtime.journal import LOG_SOCKET, MAX_LINE_BYTES
from standfest.runtime.loop import Loop

RECEIVE_BUFFER_BYTES = 4 * 1024 * 1024
MAX_LINES_PER_WAKEUP = 1000


class LogDaemon:
    """Writes info and above to `logfile`, everything to `debugfile`."""

    def __init__(self, settings: LogSettings, run_dir: Path) -> None:
        self._settings = settings
        self._log: BinaryIO | None = None
        self._debug: BinaryIO | None = None
        self.reopen()
        path = run_dir / LOG_SOCKET
        path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        self._socket.bind(str(path))
        path.chmod(0o600)
        self._socket.setblocking(False)

    def fileno(self) -> int:
        """Return the socket's descriptor."""
        return self._socket.fileno()

    def reopen(self) -> None:
        """Open the files again, after log rotation."""
        for old in (self._log, self._debug):
            if old is not None:
                old.close()
        self._log = self._open(self._settings.logfile)
        self._debug = self._open(self._settings.debugfile)

    def drain(self) -> None:
        """Append what waits; a disk that refuses loses lines, never this process."""
        lines: list[bytes] = []
        try:
            while len(lines) < MAX_LINES_PER_WAKEUP:
                lines.append(self._socket.recv(MAX_LINE_BYTES).replace(b"\n", b" ") + b"\n")
        except BlockingIOError:
            pass
        important = [line for line in lines if b": debug: " not in line[:120]]
        self._append(self._log, important)
        self._append(self._debug, lines)

    def _open(self, name: str) -> BinaryIO | None:
        if not name or name == "none":
            return None
        path = Path(name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            stream = path.open("ab", buffering=0)
            path.chmod(self._settings.logmode)
        except OSError as error:
            print(f"{name}: {error.strerror}; expected a writable log file", file=sys.stderr)
            return None
        return stream

    @staticmethod
    def _append(stream: BinaryIO | None, lines: list[bytes]) -> None:
        if stream is None or not lines:
            return
        try:
            stream.write(b"".join(lines))
        except OSError as error:
            print(f"{stream.name}: {error.strerror}", file=sys.stderr)


def main() -> None:
    """Run until SIGTERM."""
    where = places.from_arguments(sys.argv[1:])
    daemon = LogDaemon(reading.events_of(where), where.run_dir)
    loop = Loop(lambda: None, lambda: None)
    loop.watch(daemon.fileno(), lambda _events: daemon.drain())
    loop.on_signal(signal.SIGHUP, daemon.reopen)
    loop.on_signal(signal.SIGTERM, loop.stop)
    loop.on_signal(signal.SIGINT, lambda: None)
    loop.run()
    daemon.drain()


if __name__ == "__main__":
    main()
