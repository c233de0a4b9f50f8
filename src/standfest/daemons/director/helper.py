"""The helper: hands and eyes of the director, so that the director only waits for packets.

It runs the operator's commands in order, writes the FIFOs, runs tracking scripts, watches tracked
files and processes, and reports changes only. It is a fork of the director with an ordinary
priority, made when the settings need one, and ends when the director closes the line and all is
done that was asked for.
"""

import contextlib
import marshal
import os
import signal
import socket
import sys
from dataclasses import dataclass
from functools import partial
from subprocess import Popen

from standfest.adapters.linux import commands
from standfest.adapters.linux.fifo import Fifo
from standfest.daemons.director import firewall, holding, letters
from standfest.daemons.director.inheritance import SENTINEL
from standfest.daemons.director.queues import Job, Queues
from standfest.daemons.director.trackers import Trackers
from standfest.daemons.director.words import Words
from standfest.daemons.process import name_process
from standfest.model.director import DirectorSettings, NotifyFifo, TrackScript
from standfest.model.errors import OperationError
from standfest.model.time import Duration, Instant, earliest, seconds
from standfest.model.vrrp import Command, InstanceSettings, SyncGroup
from standfest.runtime.loop import Loop

NOTIFY_TIMEOUT: Duration = seconds(60)
FAREWELL: Duration = seconds(10)
"""How long commands may go on when the director has ended."""
MAX_BYTES = 64 * 1024

Report = tuple[str, str, int]
"""(kind, name, value): script, 1 for success; process, how many; file, its number."""


class Line:
    """The director's end: asks without waiting."""

    def __init__(self, endpoint: socket.socket, words: Words, settings: DirectorSettings) -> None:
        self._socket, self._words, self.settings = endpoint, words, settings
        self.has_ended = False

    def fileno(self) -> int:
        """Return the descriptor that is readable when something is reported."""
        return self._socket.fileno()

    def run(self, key: str, command: Command) -> None:
        """Run a command after all others of its key."""
        self._send(("run", key, command.words, command.user, command.group))

    def script(self, name: str) -> None:
        """Run a tracked script once; its result is reported."""
        self._send(("script", name))

    def fifo(self, line: str) -> None:
        """Write a line to all FIFOs."""
        self._send(("fifo", line))

    def mail(self, subject: str, body: str) -> None:
        """Send a mail."""
        self._send(("mail", subject, body))

    def reports(self) -> list[Report]:
        """Return what has been reported; `has_ended` afterwards says whether more can come."""
        found: list[Report] = []
        with contextlib.suppress(BlockingIOError):
            while datagram := self._socket.recv(MAX_BYTES):
                found.append(marshal.loads(datagram))  # noqa: S302  from our own fork
            self.has_ended = True
        return found

    def close(self) -> None:
        """Tell the helper to finish and end."""
        self._socket.close()

    def _send(self, value: tuple[str | tuple[str, ...], ...]) -> None:
        try:
            self._socket.send(marshal.dumps(value))
        except OSError as error:
            self._words.warn(f"cannot {value[0]} {value[1]}: the helper does not listen: {error}")


def is_needed(settings: DirectorSettings) -> bool:
    """Return whether anything in the settings is the helper's work."""
    everybody: list[InstanceSettings | SyncGroup] = [*settings.instances, *settings.sync_groups]
    notify = (one.notify for one in everybody)
    programs = any(
        (n.master, n.backup, n.fault, n.stop, n.deleted, n.any, n.master_rx_lower_priority)
        != (None,) * 7
        for n in notify
    )
    mails = bool(settings.globals.mail.recipients) and any(one.smtp_alert for one in everybody)
    fifos = settings.globals.notify_fifo or settings.globals.vrrp_notify_fifo
    tracked = settings.scripts or settings.files or settings.processes
    routes = settings.static_routes or settings.static_rules
    moving = any(one.routes or one.rules for one in settings.instances)
    tools = bool(routes) or moving or firewall.is_needed(settings)
    return bool(programs or mails or fifos or tracked or tools)


def concerns(settings: DirectorSettings) -> tuple[object, ...]:
    """Return the part of the settings that a helper has to be started anew for."""
    return settings.globals, settings.scripts, settings.files, settings.processes


def start(settings: DirectorSettings, words_socket: socket.socket, known: dict[str, int]) -> Line:
    """Fork a helper; known: the newest values, by kind and name, which are not reported again."""
    ours, its = holding.pair()
    director = os.getpid()
    if os.fork() == 0:
        status = 1
        try:
            ours.close()
            os.closerange(SENTINEL, SENTINEL + 1)  # or nobody would notice the director's death
            name_process("sf-helper")
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # we wait for our commands
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)  # the line's end is our end
            Helper(settings, its, Words(words_socket, "helper"), known, director).run()
            status = 0
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(status)
    its.close()
    return Line(ours, Words(words_socket, "director"), settings)


@dataclass(slots=True)
class _End:
    at: Instant | None = None


class Helper:
    """Serves one director."""

    def __init__(
        self,
        settings: DirectorSettings,
        line: socket.socket,
        words: Words,
        known: dict[str, int],
        director: int,
    ) -> None:
        self._settings, self._line, self._words = settings, line, words
        self._end = _End()
        self._loop = Loop(self._deadline, self._on_timer)
        secure = settings.globals.script_security
        self._queues = Queues(self._loop, words, secure=secure)
        self._trackers = Trackers(settings, self._loop, words, report=self._report, known=known)
        self._statuses: dict[str, int] = {}
        self._scripts = {script.name: script for script in settings.scripts}
        self._fifos: list[Fifo] = []
        self._readers: list[Popen[bytes]] = []
        for wanted in _fifos(settings):
            try:
                self._open(wanted)
            except OperationError as error:
                words.warn(str(error))
        self._loop.watch(line.fileno(), lambda _events: self._on_line())

    def run(self) -> None:
        """Serve until the director has closed the line and all is done."""
        self._trackers.start(self._loop.now())
        self._loop.run()
        self._queues.kill_all()
        for fifo in self._fifos:
            fifo.close()
        for reader in self._readers:
            commands.end(reader, signal.SIGTERM)

    def _on_line(self) -> None:
        try:
            datagram = self._line.recv(MAX_BYTES)
        except BlockingIOError:
            return
        except OSError:
            datagram = b""
        if not datagram:
            self._loop.forget(self._line.fileno())
            self._trackers.stop()
            self._end.at = self._loop.now() + FAREWELL
            self._stop_when_idle()
            return
        self._serve(marshal.loads(datagram))  # noqa: S302  from our own director

    def _serve(self, value: tuple[str, ...]) -> None:
        match value:
            case ("run", key, words, user, group):
                command = Command(tuple(words), *self._as_whom(user, group))
                self._queues.add(key, Job(command, NOTIFY_TIMEOUT, partial(self._on_run, key)))
            case ("script", name) if name in self._scripts:
                self._run_script(self._scripts[name])
            case ("fifo", text):
                for fifo in self._fifos:
                    if not fifo.write(text):
                        self._words.warn(f"{fifo.path}: full: lost {text}")
            case ("mail", subject, body):
                message = letters.command(self._settings.globals, subject, body)
                self._queues.add("mail", Job(message, NOTIFY_TIMEOUT, self._on_mailed))
            case _:
                self._words.warn(f"the director asks for {value[:1]}: not understood")

    def _run_script(self, script: TrackScript) -> None:
        user, group = self._as_whom(script.command.user, script.command.group)
        command = Command(script.command.words, user, group)
        timeout = script.timeout or script.interval
        job = Job(command, timeout, partial(self._on_script, script.name))
        self._queues.add(f"vrrp_script {script.name}", job)

    def _on_script(self, name: str, status: int) -> None:
        """Report every result: how many of them count is the director's matter."""
        self._report("script", name, int(status == 0))
        if status != self._statuses.get(name, 0):
            self._words.say(f"Script `{name}` now returning {status}")
        self._statuses[name] = status
        self._stop_when_idle()

    def _as_whom(self, user: str, group: str) -> tuple[str, str]:
        globals_ = self._settings.globals
        return (user, group) if user else (globals_.script_user, globals_.script_group)

    def _open(self, wanted: NotifyFifo) -> None:
        """Open a FIFO, and start the program that reads it; raises OperationError."""
        self._fifos.append(Fifo(wanted.path, wanted.user, wanted.group))
        if wanted.script is not None:
            words = (*wanted.script.words, wanted.path)
            command = Command(words, *self._as_whom(wanted.script.user, wanted.script.group))
            secure = self._settings.globals.script_security
            self._readers.append(commands.start(command, secure=secure))

    def _on_run(self, key: str, status: int) -> None:
        if status and key == firewall.KEY:
            self._words.warn(f"no_accept is not in force: {firewall.NFT} says {status}")
        self._stop_when_idle()

    def _on_mailed(self, status: int) -> None:
        if status:
            self._words.warn(f"mail not sent: status {status}")
        self._stop_when_idle()

    def _report(self, kind: str, name: str, value: int) -> None:
        with contextlib.suppress(OSError):
            self._line.send(marshal.dumps((kind, name, value)))

    def _stop_when_idle(self) -> None:
        if self._end.at is not None and self._queues.is_idle():
            self._loop.stop()

    def _deadline(self) -> Instant | None:
        return earliest(self._end.at, self._queues.deadline(), self._trackers.deadline())

    def _on_timer(self) -> None:
        now = self._loop.now()
        if self._end.at is not None and self._end.at <= now:
            self._loop.stop()
        self._queues.on_timer(now)
        self._trackers.on_timer(now)
        self._stop_when_idle()


def _fifos(settings: DirectorSettings) -> list[NotifyFifo]:
    both = (settings.globals.notify_fifo, settings.globals.vrrp_notify_fifo)
    return [fifo for fifo in both if fifo is not None]
