"""`python -m standfest.daemons.balancer.main FILE`: a balancer without virtual routers.

The supervisor reads the file in a process that ends, forks the balancer and keeps it alive.
"""

import contextlib
import gc
import os
import signal
import sys

from standfest.daemons.balancer import control
from standfest.daemons.balancer.keeper import Keeper
from standfest.daemons.director import reading, words
from standfest.daemons.process import name_process, tell_systemd
from standfest.model.time import Instant
from standfest.runtime.loop import Loop

EXIT_CONFIGURATION = 78  # EX_CONFIG, sysexits.h


class Supervisor:
    """Reads the file, keeps a balancer."""

    def __init__(self, path: str, *, wanted: str, name: str) -> None:
        self._path = path
        self._loop = Loop(self._deadline, self._on_timer)
        self._speakers, self._reader = words.pair()
        self._words = words.Words(self._speakers, "balancer")
        self._keeper = Keeper(
            self._loop,
            self._speakers,
            wanted=wanted,
            listen=lambda: control.listen(name),
            alone=True,
            on_refused=self._refuse,
        )
        self._reading: reading.Reading | None = None
        self._again = False
        self._has_read = False
        self.exit_status = 0

    def run(self) -> int:
        """Supervise until SIGTERM; return the exit status."""
        name_process("sf-supervisor")
        self._loop.watch(self._reader.fileno(), lambda _events: words.write_down(self._reader))
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.on_signal(number, self._end)
        self._loop.on_signal(signal.SIGHUP, self._reload)
        gc.collect()
        gc.freeze()
        self._read()
        try:
            self._loop.run()
        finally:
            words.write_down(self._reader)
        return self.exit_status

    def _read(self) -> None:
        self._reading = reading.start(self._path, words.Words(self._speakers, "reader"))
        self._loop.watch(self._reading.pidfd, lambda _events: self._on_read())

    def _reload(self) -> None:
        if self._reading is not None or self._keeper.is_deciding:
            self._again = True
            return
        self._words.say("Reloading ...")
        self._read()

    def _on_read(self) -> None:
        assert self._reading is not None
        self._loop.forget(self._reading.pidfd)
        settings, status = self._reading.result()
        assignment, self._reading = self._reading.assignment, None
        if settings >= 0:
            os.close(settings)
            if not self._has_read and not os.fstat(assignment).st_size:
                self._words.warn(f"{self._path}: no virtual_server; expected one or more")
                self._refuse()
                return
            self._has_read = True
            self._keeper.assign(assignment, self._on_assigned)
            tell_systemd("READY=1")
        elif not self._has_read:
            self.exit_status = status
            self._loop.stop()
        else:
            self._words.warn(f"{self._path} cannot be used: everything stays as it was")
        self._reload_again()

    def _on_assigned(self, taken: bool) -> None:
        if not taken:
            self._words.warn(f"{self._path} cannot be balanced: everything stays as it was")
        self._reload_again()

    def _reload_again(self) -> None:
        if self._again and self._reading is None and not self._keeper.is_deciding:
            self._again = False
            self._reload()

    def _refuse(self) -> None:
        self.exit_status = EXIT_CONFIGURATION
        self._loop.stop()

    def _deadline(self) -> Instant | None:
        return self._keeper.deadline()

    def _on_timer(self) -> None:
        self._keeper.on_timer(self._loop.now())

    def _end(self) -> None:
        tell_systemd("STOPPING=1")
        self._keeper.end(self._loop.stop)


def main() -> None:
    """Run until SIGTERM; arguments: FILE, --backend NAME, --name NAME, --pid-file PATH."""
    options = dict(zip(sys.argv[2::2], sys.argv[3::2], strict=True))
    pid_file = options.get("--pid-file", "")
    if pid_file:
        with open(pid_file, "w", encoding="ascii") as stream:
            stream.write(f"{os.getpid()}\n")
    try:
        supervisor = Supervisor(
            os.path.abspath(sys.argv[1]),
            wanted=options.get("--backend", "auto"),
            name=options.get("--name", ""),
        )
        status = supervisor.run()
    finally:
        if pid_file:
            with contextlib.suppress(OSError):
                os.unlink(pid_file)
    sys.exit(status)


if __name__ == "__main__":
    main()
