"""The supervisor: starts `log`, `pulse`, `cluster`, restarts what dies, ends all in order.

Where a tiebreaker has to be asked `arbiter` runs beside them.

Where the stack is corosync `ring` stands in the place of `pulse`.

With `--keepalived FILE` a director runs beside them, and is told what keepalived would be told.

It decides nothing about the cluster and imports none of it, so that it outlives the trouble of the
others. Each process is a fresh interpreter: a crash in one leaves nothing behind in another.
"""

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from standfest.daemons.places import COROSYNC, Places, from_arguments
from standfest.daemons.process import hurry, tell_systemd
from standfest.model.time import Duration, Instant, earliest, milliseconds, seconds
from standfest.runtime.journal import Journal
from standfest.runtime.loop import Loop

PROCESSES = ("log", "pulse", "cluster")
"""In the order in which they start; they end in the opposite order."""
ON_COROSYNC = ("log", "ring", "cluster")

ARBITER = "arbiter"
"""Before `cluster`, which may need the tiebreaker's vote for handing over. A disk that hangs may
hold it for ever, also when it is killed: nobody waits for it then."""

RESTART_DELAY: Duration = milliseconds(50)
MAX_RESTART_DELAY: Duration = seconds(10)
DIRECTOR = "director"
"""Started after the others and ended before them: its addresses need none of them."""
DUMPS = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGRTMAX - 1, signal.SIGRTMIN + 2)
"""What a director's users send it: to write its data, statistics, to clear these, JSON."""
HEALTHY_AFTER: Duration = seconds(30)
"""A process that ran this long starts again at once, and its delay begins anew."""
END_TIMEOUT: Duration = seconds(5)
"""How long `pulse` and `log` may take to end; `cluster` takes as long as handing over does."""
DIRECTOR_END_TIMEOUT: Duration = seconds(10)
"""A director waits for its successor; if it has to be killed, its guard does what is left."""


@dataclass(slots=True)
class Child:
    """One supervised process."""

    name: str
    process: subprocess.Popen[bytes] | None = None
    started: Instant = 0
    delay: Duration = RESTART_DELAY
    restart_at: Instant | None = None
    pidfd: int = -1


class Supervisor:
    """Keeps the children alive until told to end."""

    def __init__(self, places: Places, node: str) -> None:
        self._places = places
        names: tuple[str, ...] = ON_COROSYNC if places.stack == COROSYNC else PROCESSES
        if places.arbiter:
            names = (*names[:-1], ARBITER, names[-1])
        self._names = names if places.keepalived is None else (*names, DIRECTOR)
        self._children = {name: Child(name) for name in self._names}
        self._ending: list[str] | None = None
        self._kill_at: Instant | None = None
        self._loop = Loop(self._deadline, self._on_timer)
        self._journal = Journal(places.run_dir, node, "supervisor")
        self.exit_status = 0

    def run(self) -> int:
        """Start everything, supervise, and return the exit status after an orderly end."""
        self._places.pid_file.write_text(f"{os.getpid()}\n", encoding="ascii")
        self._loop.on_signal(signal.SIGTERM, self._end)
        self._loop.on_signal(signal.SIGINT, self._end)
        self._loop.on_signal(signal.SIGHUP, self._reload)
        for number in DUMPS if DIRECTOR in self._names else ():
            self._loop.on_signal(number, partial(self._forward, DIRECTOR, number))
        for child in self._children.values():
            self._start(child)
        tell_systemd("READY=1")
        try:
            self._loop.run()
        finally:
            self._kill_all()
            self._places.pid_file.unlink(missing_ok=True)
        return self.exit_status

    def _start(self, child: Child) -> None:
        child.restart_at = None
        child.started = self._loop.now()
        words = [sys.executable, "-m", f"standfest.daemons.{child.name}", *self._places.arguments()]
        environment = None
        if child.name == DIRECTOR:
            words = [sys.executable, "-m", "standfest.daemons.director.main"]
            words += [str(self._places.keepalived), "--parent", str(os.getpid())]
            environment = {k: v for k, v in os.environ.items() if k != "NOTIFY_SOCKET"}
        child.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, env=environment)
        if child.name == "pulse":
            hurry(child.process.pid)
        child.pidfd = os.pidfd_open(child.process.pid)
        self._loop.watch(child.pidfd, lambda _events: self._ended(child))
        self._journal.write("info", "started", (("process", child.name),))

    def _ended(self, child: Child) -> None:
        assert child.process is not None
        status = child.process.wait()
        self._loop.forget(child.pidfd)
        os.close(child.pidfd)
        child.process = None
        if self._ending is not None:
            self._end_next()
            return
        now = self._loop.now()
        if child.name == "cluster" and status == 0:
            self._end()  # it has handed over and left: this node is done
            return
        if now - child.started >= HEALTHY_AFTER:
            child.delay = RESTART_DELAY
        fields = (("process", child.name), ("status", str(status)))
        self._journal.write("error", "died", fields)
        child.restart_at = now + child.delay
        child.delay = min(2 * child.delay, MAX_RESTART_DELAY)

    def _end(self) -> None:
        """Begin the orderly end: `cluster` hands over first."""
        if self._ending is not None:
            return
        tell_systemd("STOPPING=1")
        self._ending = list(reversed(self._names))
        for child in self._children.values():
            child.restart_at = None
        self._end_next()

    def _end_next(self) -> None:
        assert self._ending is not None
        while self._ending:
            child = self._children[self._ending[0]]
            if child.process is None:
                self._ending.pop(0)
                continue
            child.process.send_signal(signal.SIGTERM)
            if child.name != "cluster":
                limit = DIRECTOR_END_TIMEOUT if child.name == DIRECTOR else END_TIMEOUT
                self._kill_at = self._loop.now() + limit
            return
        self._loop.stop()

    def _reload(self) -> None:
        """SIGHUP: log files are opened anew; authkeys, names, a director's file are read again."""
        self._forward("log", signal.SIGHUP)
        self._forward("pulse", signal.SIGHUP)
        self._forward("ring", signal.SIGHUP)
        self._forward(DIRECTOR, signal.SIGHUP)

    def _forward(self, name: str, number: int) -> None:
        process = self._children[name].process if name in self._children else None
        if process is not None:
            process.send_signal(number)

    def _deadline(self) -> Instant | None:
        return earliest(self._kill_at, *(child.restart_at for child in self._children.values()))

    def _on_timer(self) -> None:
        now = self._loop.now()
        if self._kill_at is not None and self._kill_at <= now:
            self._kill_at = None
            if self._ending:
                process = self._children[self._ending[0]].process
                if process is not None:
                    process.kill()
                if self._ending[0] == ARBITER:
                    self._ending.pop(0)
                    self._end_next()
        for child in self._children.values():
            if child.restart_at is not None and child.restart_at <= now:
                self._start(child)

    def _kill_all(self) -> None:
        for child in self._children.values():
            if child.process is not None:
                child.process.kill()
                if child.name != ARBITER:
                    child.process.wait()


def prepare(places: Places) -> None:
    """Make the directories that the daemons need."""
    for directory in (places.run_dir, places.state_dir):
        directory.mkdir(parents=True, exist_ok=True, mode=0o755)
    Path("/run/resource-agents").mkdir(parents=True, exist_ok=True)


def main() -> None:
    """Run until SIGTERM; arguments as Places.arguments() writes them."""
    places = from_arguments(sys.argv[1:])
    prepare(places)
    sys.exit(Supervisor(places, os.uname().nodename.lower()).run())


if __name__ == "__main__":
    main()
