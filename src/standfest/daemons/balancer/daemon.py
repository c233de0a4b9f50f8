"""The balancer's daemon: probes, time and commands to the machine, its effects to the world.

It decides nothing: `runtime/balancer` does. What the kernel forwards outlives it; a successor
takes it over. One process, a fork of the director's supervisor; programs and mail are a helper's.
"""

import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from ipaddress import ip_address
from typing import TYPE_CHECKING

from standfest.adapters.linux import networkspace
from standfest.adapters.linux.addressevents import AddressEvents
from standfest.adapters.linux.rtnetlink import RouteNetlink
from standfest.core.health.effects import AbandonProbe, BeginProbe
from standfest.daemons.balancer import backends, errands, probing, syncing, tidings
from standfest.daemons.balancer.control import Control
from standfest.daemons.balancer.inheritance import REFUSED, TAKEN, Inheritance, load
from standfest.daemons.director.words import Words
from standfest.daemons.process import die_with_parent, name_process
from standfest.model.balancing import AUTO
from standfest.model.errors import OperationError
from standfest.model.forwarding import Table
from standfest.model.time import Duration, Instant, earliest, in_milliseconds, seconds
from standfest.ports.balancer import BalancerBackend, CountingOnDemand, Follower, Forgetful
from standfest.ports.probes import Outcome
from standfest.runtime.balancer import presence, report, suitability
from standfest.runtime.balancer.adoption import Ledger
from standfest.runtime.balancer.assignment import Assignment
from standfest.runtime.balancer.balancing import Balancing
from standfest.runtime.balancer.effects import (
    Apply,
    Count,
    Effects,
    Fifo,
    Mail,
    Run,
    Say,
    Share,
    Synchronise,
)
from standfest.runtime.loop import Loop

if TYPE_CHECKING:
    from standfest.daemons.director.helper import Line  # errands imports it where it is needed

EXIT_CONFIGURATION = 78  # EX_CONFIG, sysexits.h
LOOK_FOR_ADDRESSES: Duration = seconds(1)
"""How often our addresses are read where checks rest without them: leases come without a word."""
FOLLOW: Duration = seconds(1)
"""How often a backend looks whether the network is another."""


class Daemon:
    """One balancer, from its fork to its end."""

    def __init__(self, inheritance: Inheritance) -> None:
        """Choose a backend; raises backends.UnsuitableError."""
        self._inheritance = inheritance
        self.words = Words(inheritance.words, "balancer")
        self._assignment = load(inheritance.assignment)
        networkspace.enter(self._assignment.balancer.network_namespace)
        self.backend: BalancerBackend = backends.choose(
            inheritance.wanted, self._assignment.balancer, self.words
        )
        self._loop = Loop(self._deadline, self._on_timer)
        counts = self.backend.capabilities().counted
        self.machine = Balancing(self._assignment, counts=counts)
        self._prober = probing.make(self._loop, self._on_outcome, self._assignment)
        self._synchroniser = syncing.make(self.backend, self._loop, self.words)
        self._helper: Line | None = None
        self._known: dict[str, int] = {}
        self._ledger: Ledger | None = None
        self._addresses = RouteNetlink()
        self._events = AddressEvents()
        self._addresses_at: Instant | None = None
        self._follow_at: Instant | None = None
        self._control = Control(self._loop, inheritance.listener, self)

    def run(self) -> None:
        """Balance until the supervisor says that it is over."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            self._loop.on_signal(number, lambda: None)  # they mean the supervisor
        self._loop.watch(self._inheritance.news.fileno(), lambda _events: self._on_news())
        self._loop.watch(self._inheritance.states.fileno(), lambda _events: self._on_tidings())
        self._loop.watch(self._events.fileno(), lambda _events: self._on_addresses())
        self._start_helper()
        now = self._loop.now()
        actual = self.backend.read()
        self._set_timeouts()
        self._perform(self.machine.start(now, actual, self._inheritance.read_ledger()))
        self._look_for_addresses()
        self._follow()
        sync = self._assignment.balancer.sync_daemon
        if not self._inheritance.alone:
            self._inheritance.states.send(tidings.WHO)
        elif sync is not None:  # nobody is going to say that its instance is active
            self._perform(self.machine.on_router(sync.instance, active=False))
        took = in_milliseconds(self._loop.now() - now)
        count = len(self._assignment.balancer.services)
        self.words.say(f"Balancing {count} virtual servers by {self.backend.name} after {took} ms")
        self._loop.run()

    # --- what commands ask ----------------------------------------------------------------------

    def status(self) -> report.Status:
        """Return everything that there is to know."""
        try:
            if isinstance(self.backend, CountingOnDemand):
                self.backend.count_packets()
            readings = self.backend.counters()
        except OperationError as error:
            self.words.warn(str(error))
            readings = {}
        now = self._loop.now()
        return report.status(self.machine, self.backend.name, now, self._loop.wall(), readings)

    def command(self, verb: str, server: str, service: str, seconds_left: float) -> str:
        """Do something to servers; return what was done, one line each. Raises OperationError."""
        some = report.meant(self.machine, server, service)
        now = self._loop.now()
        match verb:
            case "drain":
                until = now + int(seconds_left * seconds(1)) if seconds_left > 0 else None
                self._perform(self.machine.drain(now, some, until))
            case "undrain":
                self._perform(self.machine.undrain(now, some))
            case "check":
                self.machine.look_now(now, some)
            case _:
                raise OperationError(f"unknown command {verb!r}")
        return "\n".join(report.title(self.machine, place) for place in some)

    def keep(self, *, on: bool) -> None:
        """Leave what is forwarded as it is at the end, or do not."""
        self.machine.keep = on
        self._note()

    # --- time and probes ------------------------------------------------------------------------

    def _deadline(self) -> Instant | None:
        return earliest(
            self.machine.deadline(),
            self._prober.deadline(),
            self._addresses_at,
            self._follow_at,
            self._synchroniser.deadline(),
        )  # fmt: skip

    def _on_timer(self) -> None:
        now = self._loop.now()
        at = self._prober.deadline()
        if at is not None and at <= now:
            self._prober.on_timer(now)
        at = self.machine.deadline()
        if at is not None and at <= now:
            self._perform(self.machine.on_timer(now))
        at = self._synchroniser.deadline()
        if at is not None and at <= now:
            self._synchroniser.on_timer(now)
        if self._addresses_at is not None and self._addresses_at <= now:
            self._look_for_addresses()
        if self._follow_at is not None and self._follow_at <= now:
            self._follow()

    def _follow(self) -> None:
        """Let a backend follow the network, if it has to."""
        if not isinstance(self.backend, Follower):
            return
        try:
            self.backend.follow()
        except OperationError as error:
            self.words.warn(str(error))
        self._follow_at = self._loop.now() + FOLLOW

    def _on_outcome(self, name: str, number: int, outcome: Outcome) -> None:
        self._perform(self.machine.on_outcome(self._loop.now(), name, number, outcome))

    # --- what others say ------------------------------------------------------------------------

    def _on_news(self) -> None:
        file, ends = self._inheritance.read_news()
        if ends:
            self._stop()
        elif file is not None:
            self._take_over(file)

    def _take_over(self, file: int) -> None:
        """Take over another assignment, unless the backend lacks something for it."""
        assignment = load(file)
        os.close(file)
        settings, before = assignment.balancer, self._assignment.balancer
        lines = suitability.lacks(self.backend.name, self.backend.capabilities(), settings)
        if lines:
            for line in lines:
                self.words.warn(line)
            self._inheritance.news.send(REFUSED)
            return
        self._inheritance.news.send(TAKEN)
        if settings.backend != before.backend and self._inheritance.wanted == AUTO:
            now = self.backend.name
            self.words.warn(f"another balancer_backend is taken at the next start, now it is {now}")
        self._reload(assignment)

    def _reload(self, assignment: Assignment) -> None:
        before, self._assignment = self._assignment, assignment
        alone = self._inheritance.alone
        if errands.settings_of(before, alone=alone) != errands.settings_of(assignment, alone=alone):
            self._stop_helper()
        self._start_helper()
        self._set_timeouts()
        probing.reload(self._prober, assignment)
        self._perform(self.machine.reload(self._loop.now(), assignment))
        self._look_for_addresses()
        self.words.say("Reload complete")

    def _on_tidings(self) -> None:
        for kind, name, value in self._inheritance.tidings():
            if kind == tidings.ROUTER:
                self._perform(self.machine.on_router(name, active=bool(value)))
                self._look_for_addresses()
            else:
                self._perform(self.machine.on_session(self._loop.now(), name, up=bool(value)))

    def _on_addresses(self) -> None:
        self._events.read()
        self._look_for_addresses()
        self._follow()

    def _look_for_addresses(self) -> None:
        """Read our addresses, where anybody wants to know them."""
        self._addresses_at = None
        if not presence.matters(self._assignment.balancer):
            return
        now = self._loop.now()
        self._addresses_at = now + LOOK_FOR_ADDRESSES
        try:
            here = frozenset(ip_address(one.ip) for one in self._addresses.addresses())
        except OperationError as error:
            self.words.warn(str(error))
            return
        self._perform(self.machine.on_addresses(now, here))

    def _on_reports(self) -> None:
        assert self._helper is not None
        for kind, name, value in self._helper.reports():
            self._known[f"{kind} {name}"] = value
            if kind == "file":
                self._perform(self.machine.on_file(self._loop.now(), name, value))
        if self._helper is not None and self._helper.has_ended:
            self.words.warn("the helper has ended: starting another")
            self._stop_helper()
            self._start_helper()

    def _start_helper(self) -> None:
        if self._helper is None and errands.is_needed(self._assignment):
            settings = errands.settings_of(self._assignment, alone=self._inheritance.alone)
            self._helper = errands.start(settings, self._inheritance.words, self._known)
            self._loop.watch(self._helper.fileno(), lambda _events: self._on_reports())

    def _stop_helper(self) -> None:
        if self._helper is not None:
            self._loop.forget(self._helper.fileno())
            self._helper.close()
            self._helper = None

    # --- effects --------------------------------------------------------------------------------

    def _perform(self, effects: Effects) -> None:
        for effect in effects:
            match effect:
                case BeginProbe(name, number):
                    self._prober.begin(name, number, self.machine.target(name))
                case AbandonProbe(name, number):
                    self._prober.abandon(name, number)
                case Apply(changes):
                    self._try(partial(self.backend.apply, changes))
                case Share(shares):
                    self._try(partial(self.backend.share, shares))
                case Count():
                    self._count()
                case Synchronise():
                    self._synchroniser.set(effect, self._assignment.balancer.sync_daemon)
                case Say(text, warning):
                    (self.words.warn if warning else self.words.say)(text)
                case Run(key, command) if self._helper is not None:
                    self._helper.run(key, command)
                case Fifo(line) if self._helper is not None:
                    self._helper.fifo(line)
                case Mail(subject, body) if self._helper is not None:
                    self._helper.mail(subject, body)
                case Run() | Fifo() | Mail():
                    pass  # nobody reads it: no helper is needed
        if effects:
            self._note()

    def _try(self, change: Callable[[], None]) -> None:
        try:
            change()
        except OperationError as error:
            self._perform(self.machine.refused(self._loop.now(), str(error), self._read()))

    def _read(self) -> Table:
        """Return what the kernel has now; nothing is known of it where it does not say."""
        try:
            return self.backend.read()
        except OperationError as error:
            self.words.warn(str(error))
            return {}

    def _count(self) -> None:
        readings = None
        try:
            readings = self.backend.counters()
        except OperationError as error:
            self.words.warn(str(error))
        self._perform(self.machine.counted(self._loop.now(), readings))

    def _note(self) -> None:
        """Leave a note for a successor, where something is new."""
        ledger = self.machine.ledger()
        if ledger != self._ledger:
            self._ledger = ledger
            self._inheritance.write_ledger(ledger)

    def _set_timeouts(self) -> None:
        settings = self._assignment.balancer
        wanted = [
            (value or 0) // seconds(1)
            for value in (settings.tcp_timeout, settings.tcp_fin_timeout, settings.udp_timeout)
        ]
        if any(wanted) and isinstance(self.backend, Forgetful):
            try:
                self.backend.set_timeouts(*wanted)
            except OperationError as error:
                self.words.warn(str(error))

    # --- the end --------------------------------------------------------------------------------

    def _stop(self) -> None:
        self.words.say("Stopping")
        self._prober.close()
        self._perform(self.machine.stop(self._loop.now()))
        self._stop_helper()
        self.backend.close(keep=self.machine.keep or bool(self._read()))
        self._loop.stop()


def balance(inheritance: Inheritance) -> None:
    """Be a balancer; ends the process where no backend can do what is wanted."""
    die_with_parent()
    name_process("sf-balancer")
    try:
        daemon = Daemon(inheritance)
    except backends.UnsuitableError as error:
        words = Words(inheritance.words, "balancer")
        for line in error.lines:
            words.warn(line)
        sys.exit(EXIT_CONFIGURATION)
    daemon.run()
