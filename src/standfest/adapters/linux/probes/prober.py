"""All probes of a director: each kind has its module, this one knows them and their ends.

A kind's module is imported when the first of its checkers looks: TLS alone costs 4 MB that a
director without it does not pay.
"""

# ruff: noqa: PLC0415

import socket
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Protocol

from standfest.adapters.linux.probes import sockets
from standfest.adapters.linux.probes.alarms import Alarms
from standfest.adapters.linux.probes.tcp import TcpProbes
from standfest.model.balancing import (
    BfdCheck,
    DnsCheck,
    FileCheck,
    HttpCheck,
    MailboxCheck,
    MiscCheck,
    PingCheck,
    SmtpCheck,
    TcpCheck,
    TlsSettings,
    UdpCheck,
)
from standfest.model.errors import OperationError
from standfest.model.time import Instant, earliest
from standfest.ports.probes import Outcome, Report, Target, Waiter

if TYPE_CHECKING:
    from standfest.adapters.linux.probes.program import ProgramProbe
    from standfest.adapters.linux.probes.tls import Secure
    from standfest.adapters.linux.probes.web import Demands


class _Probe(Protocol):
    def give_up(self) -> None: ...


class Probes:
    """The `Prober` of Linux.

    tls: what SSL_GET shows; own_name: for EHLO, "" the host's; secure_scripts:
    `enable_script_security`. Files and BFD sessions are not probed: others tell of them.
    """

    def __init__(
        self,
        waiter: Waiter,
        report: Report,
        *,
        tls: TlsSettings | None = None,
        own_name: str = "",
        secure_scripts: bool = False,
    ) -> None:
        self._waiter, self._report = waiter, report
        self._tls, self._own_name = tls, own_name or socket.gethostname()
        self._secure_scripts = secure_scripts
        self._alarms = Alarms()
        self._tcp = TcpProbes(waiter, report, self._later)
        self._running: dict[str, tuple[int, _Probe]] = {}
        self._programs: set[ProgramProbe] = set()
        self._contexts: dict[Demands, Secure] = {}
        sockets.allow_many()

    def reload(self, *, tls: TlsSettings | None) -> None:
        """Take other settings for the probes that begin from now on; certificates are read anew."""
        self._tls = tls
        self._contexts.clear()

    def begin(self, name: str, number: int, target: Target) -> None:
        """Begin a probe; its end is reported with `name` and `number`."""
        if isinstance(target.checker, TcpCheck):
            self._tcp.begin(name, number, target)
            return
        running = self._running.pop(name, None)
        if running is not None:
            running[1].give_up()
        try:
            self._start(name, number, target)
        except OSError as error:
            self._running.pop(name, None)
            where = sockets.place(target.address, target.port)
            outcome = Outcome(False, f"{where}: {sockets.words(error.errno)}")
            self._answer(name, number, outcome)
        except OperationError as error:
            self._running.pop(name, None)
            self._answer(name, number, Outcome(False, str(error)))

    def abandon(self, name: str, number: int) -> None:
        """End a probe without a report; one that has ended is ignored."""
        running = self._running.get(name)
        if running is not None and running[0] == number:
            del self._running[name]
            running[1].give_up()
        else:
            self._tcp.abandon(name, number)

    def deadline(self) -> Instant | None:
        """Return when `on_timer` is due."""
        return earliest(self._tcp.deadline(), self._alarms.deadline())

    def on_timer(self, now: Instant) -> None:
        """Report what has ended meanwhile, end what took too long."""
        self._tcp.on_timer(now)
        self._alarms.on_timer(now)

    def close(self) -> None:
        """End all probes; programs are ended at once."""
        self._tcp.close()
        for _number, probe in self._running.values():
            probe.give_up()
        for program in list(self._programs):
            program.kill()
        self._running.clear()
        self._alarms.clear()

    # --- one probe ------------------------------------------------------------------------------

    def _start(self, name: str, number: int, target: Target) -> None:
        """Start a probe of any other kind; raises OSError, OperationError."""
        on_end = partial(self._on_end, name, number)
        match target.checker:
            case TcpCheck():
                raise AssertionError("begin has sent it elsewhere")
            case HttpCheck() as checker:
                from standfest.adapters.linux.probes.web import WebProbe

                secure = self._secure(checker)
                web = WebProbe(self._waiter, self._alarms, target, secure, on_end)
                self._running[name] = number, web
                web.begin()
            case SmtpCheck() | MailboxCheck():
                from standfest.adapters.linux.probes.mail import MailProbe

                mail = MailProbe(self._waiter, self._alarms, target, self._own_name, on_end)
                self._running[name] = number, mail
                mail.begin(self._secure(target.checker))
            case MiscCheck() as checker:
                self._running[name] = number, self._program(checker, on_end)
            case UdpCheck() | DnsCheck() | PingCheck():
                from standfest.adapters.linux.probes.datagram import DatagramProbe

                datagram = DatagramProbe(self._waiter, self._alarms, on_end)
                self._running[name] = number, datagram
                datagram.begin(target, number)
            case FileCheck() | BfdCheck():
                raise AssertionError("others tell of files and BFD sessions")

    def _program(self, checker: MiscCheck, on_end: Callable[[Outcome], None]) -> "ProgramProbe":
        """Return a program that runs; raises OperationError."""
        from standfest.adapters.linux.probes.program import ProgramProbe

        program = ProgramProbe(self._waiter, self._alarms, checker, on_end)
        program.begin(secure=self._secure_scripts)
        # Those that were given up are kept until they have ended.
        self._programs = {one for one in self._programs if one.is_running} | {program}
        return program

    def _answer(self, name: str, number: int, outcome: Outcome) -> None:
        """Report what is known already, from the loop."""
        self._later(partial(self._report, name, number, _in_one_line(outcome)))

    def _on_end(self, name: str, number: int, outcome: Outcome) -> None:
        running = self._running.get(name)
        if running is not None and running[0] == number:
            del self._running[name]
            self._report(name, number, _in_one_line(outcome))

    def _secure(self, checker: HttpCheck | SmtpCheck | MailboxCheck) -> "Secure | None":
        """Return what makes TLS clients for a checker; those that ask alike share one."""
        if isinstance(checker, SmtpCheck) or not checker.tls:
            return None
        from standfest.adapters.linux.probes.tls import Secure
        from standfest.adapters.linux.probes.web import Demands, demands_of

        demands = demands_of(checker) if isinstance(checker, HttpCheck) else Demands()
        if demands not in self._contexts:
            self._contexts[demands] = Secure(demands, self._tls)
        return self._contexts[demands]

    def _later(self, call: Callable[[], None]) -> None:
        self._alarms.set(self._waiter.now(), call)


def _in_one_line(outcome: Outcome) -> Outcome:
    """Return the outcome with a reason that can stand in a log: settings may hold anything."""
    if outcome.reason.isprintable():
        return outcome
    clean = "".join(char if char.isprintable() else "?" for char in outcome.reason)
    return replace(outcome, reason=clean)
