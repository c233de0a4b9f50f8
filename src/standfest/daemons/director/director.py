"""The director's daemon: packets, time and reports to the machine, its effects to the world.

It decides nothing: `core/vrrp` does. Nothing here waits, neither for a disk nor for a program of
the operator's: the helper does that. The clock goes on while the machine is suspended, so that
whoever slept too long knows it.
"""

import signal
import time
from functools import partial
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING

from standfest.adapters.linux import networkspace
from standfest.adapters.linux.addressevents import AddressEvents
from standfest.core.vrrp.dependencies import InterfaceReport
from standfest.core.vrrp.director import Director
from standfest.core.vrrp.effects import (
    AddAddresses,
    AddRoutes,
    AddRules,
    Alert,
    Announce,
    Dropped,
    Effects,
    Listen,
    Notify,
    RemoveAddresses,
    RemoveRoutes,
    RemoveRules,
    RunScript,
    SendAdvertisement,
    StopListening,
    Subject,
    Told,
    VrrpEffect,
)
from standfest.daemons.balancer import tidings
from standfest.daemons.director import firewall, helper, reading, reports
from standfest.daemons.director.announcing import AFTER_FIRST_ADVERT, Announcements
from standfest.daemons.director.control import Control
from standfest.daemons.director.farewell import Farewell
from standfest.daemons.director.inheritance import FORWARDED, Inheritance
from standfest.daemons.director.network import Network
from standfest.daemons.director.notifying import Notifier
from standfest.daemons.director.possession import Possession
from standfest.daemons.director.priority import prioritise
from standfest.daemons.director.sensors import Sensors
from standfest.daemons.director.upkeep import Upkeep
from standfest.daemons.director.words import Words
from standfest.daemons.process import die_with_parent, name_process
from standfest.model.advertisement import Arrival
from standfest.model.director import DirectorSettings
from standfest.model.errors import OperationError, WireError
from standfest.model.time import Duration, Instant, earliest, seconds
from standfest.model.vrrp import Command, IPAddress, TrackKind
from standfest.runtime.loop import Loop

if TYPE_CHECKING:
    from standfest.daemons.director.bfd import BfdSessions

LOOK_AGAIN: Duration = seconds(1)
"""How often a missing address or interface is looked for, besides the kernel's events."""
STATES = (Told.MASTER, Told.BACKUP, Told.FAULT, Told.STOP)


def boot_time() -> Instant:
    """Return nanoseconds since the machine started, those that it was suspended for included."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class Daemon:
    """One director, from its fork to its end."""

    def __init__(self, inheritance: Inheritance) -> None:
        self._inheritance = inheritance
        self.settings = reading.load(inheritance.settings)
        networkspace.enter(self.settings.globals.network_namespace)
        self.words = Words(inheritance.words, "director")
        self._loop = Loop(self._deadline, self._on_timer, clock=boot_time)
        self.machine = Director(self.settings)
        self.network = Network(self._loop, self._on_arrival, self._on_refusal)
        self.refused: dict[str, int] = {}
        self._possession = Possession(
            self.network, inheritance.signs, inheritance.guard, self.words
        )
        self._announcements = Announcements(self.network, self.words, self.settings.garp_groups)
        self._sensors = Sensors(self._loop, self._on_claim, self.words)
        self._events = AddressEvents()
        self._notifier = self._new_notifier()
        self._balancer = tidings.Teller(inheritance.balancer)
        self._sessions: dict[str, bool] = {}  # of BFD, those that have changed since our start
        self._helper: helper.Line | None = None
        self._known: dict[str, int] = {}
        self._baseline: dict[str, dict[str, int]] = {}
        self._reported: dict[str, InterfaceReport] = {}
        self._unopened: set[str] = set()
        self._look_again_at: Instant | None = None
        self._farewell: Farewell | None = None
        self._bfd: BfdSessions | None = None
        self._upkeep = Upkeep(self._loop, self.network, self._run, self.words)
        self._has_firewall = False
        self._instances = {one.name: one for one in self.settings.instances}
        self.control = Control(self._loop, inheritance.listener, self)

    def run(self) -> None:
        """Direct until SIGTERM, and until whoever takes over has done so."""
        self._loop.on_signal(signal.SIGTERM, self._stop)
        self._loop.on_signal(signal.SIGINT, lambda: None)
        self._loop.on_signal(signal.SIGHUP, lambda: None)
        for number in FORWARDED:
            kind = reports.KINDS[number]
            self._loop.on_signal(number, partial(self.control.dump, kind))
        self._loop.watch(self._events.fileno(), lambda _events: self._on_link_events())
        self._loop.watch(self._inheritance.news.fileno(), lambda _events: self._on_news())
        self._loop.watch(self._inheritance.guard.fileno(), lambda _events: self._on_guard())
        self._loop.watch(self._balancer.fileno(), lambda _events: self._on_balancer())
        self._poll_links()
        now = self._loop.now()
        self._report_interfaces(now)
        self._start_helper()
        self._sensors.watch(self.settings, self.network)
        self._arrange_firewall()
        self._upkeep.arrange(self.settings)
        self._perform(now, self.machine.start(now))
        self._arrange_bfd(now)
        for trouble in prioritise(self.settings.globals.process):
            self.words.say(f"without {trouble}")
        self._loop.run()

    def view(self) -> reports.View:
        """Return everything that reports are made of."""
        return reports.View(
            settings=self.settings,
            status=self.machine.status(),
            facts=self.network.facts,
            held={name: self._possession.addresses(name) for name in self._instances},
            refused=self.refused,
            baseline=self._baseline,
            now=self._loop.now(),
            wall=time.time(),
            sessions=self._bfd.status() if self._bfd is not None else (),
        )

    def clear_statistics(self) -> None:
        """Begin to count anew: what was counted so far is taken off."""
        self._baseline = {one.name: reports.figures(one.counters) for one in self.machine.status()}

    # --- packets and time -----------------------------------------------------------------------

    def _on_arrival(self, arrival: Arrival) -> None:
        now = self._loop.now()
        if self._farewell is not None:
            self._perform(now, self._farewell.on_arrival(arrival))
            self._end_if_done()
            return
        self._perform(now, self.machine.on_advertisement(now, arrival))

    def _on_refusal(self, interface: str, error: WireError) -> None:
        self.refused[error.reason] = self.refused.get(error.reason, 0) + 1
        if self.refused[error.reason] in (1, 10, 100):
            count = self.refused[error.reason]
            self.words.warn(f"{interface}: packet refused ({count} so far): {error}")

    def _deadline(self) -> Instant | None:
        if self._farewell is not None:
            return self._farewell.deadline()
        bfd = self._bfd.deadline() if self._bfd is not None else None
        return earliest(
            self.machine.deadline(),
            self._announcements.deadline(),
            self._look_again_at,
            self._upkeep.deadline(),
            bfd,
        )

    def _on_timer(self) -> None:
        now = self._loop.now()
        if self._farewell is not None:
            self._perform(now, self._farewell.on_timer(now))
            self._end_if_done()
            return
        self._perform(now, self.machine.on_timer(now))
        if self._bfd is not None:
            self._bfd.on_timer(now)
        if self._announcements.deadline() is not None:
            self._announcements.on_timer(now)
        if self._look_again_at is not None and self._look_again_at <= now:
            self._look_again_at = None
            self._on_links()
        self._upkeep.on_timer(now)

    # --- what the kernel says -------------------------------------------------------------------

    def _on_link_events(self) -> None:
        removed, links = self._events.read()
        if removed:
            self.network.refresh()
            now = self._loop.now()
            for ip in removed:
                if self._is_gone(ip):
                    self._perform(now, self.machine.on_address_removed(now, ip))
        if links or removed:
            self._on_links()

    def _is_gone(self, ip: IPAddress) -> bool:
        """Return whether an address is really away: we may have removed and added it since."""
        return not any(ip in facts.addresses for facts in self.network.facts.values())

    def _on_links(self) -> None:
        """Interfaces or addresses have changed: open what is missing, then tell the machine."""
        if self._farewell is not None:
            return
        self.network.refresh()
        for name, settings in self._instances.items():
            opened = self.network.opened(name)
            source = self.network.source(settings)
            facts = self.network.facts.get(settings.interface)
            if opened is None or not opened.suits(source, facts):
                self._open(name)
        self._report_interfaces(self._loop.now())
        self._upkeep.on_changes()
        if self._unopened or self.network.polled:
            self._look_again_at = self._loop.now() + LOOK_AGAIN

    def _poll_links(self) -> None:
        self.network.poll(self.settings)
        self.network.refresh()
        if self.network.polled:
            self._look_again_at = self._loop.now() + LOOK_AGAIN

    def _report_interfaces(self, now: Instant) -> None:
        names = {one.interface for one in self.settings.instances}
        tracks = [track for one in self.settings.instances for track in one.tracks]
        tracks += [track for group in self.settings.sync_groups for track in group.tracks]
        names |= {track.name for track in tracks if track.kind is TrackKind.INTERFACE}
        for name in sorted(names):
            facts = self.network.facts.get(name)
            report = InterfaceReport(
                name, facts is not None and facts.running, facts.addresses if facts else ()
            )
            if self._reported.get(name) != report:
                before = self._reported.get(name)
                if before is not None and before.up != report.up:
                    self.words.say(f"Netlink reports {name} {'up' if report.up else 'down'}")
                self._reported[name] = report
                self._perform(now, self.machine.on_interface(now, report))

    def _on_claim(self, ip: IPv4Address | IPv6Address, mac: bytes) -> None:
        if any(facts.mac == mac for facts in self.network.facts.values()):
            return
        now = self._loop.now()
        self._perform(now, self.machine.on_claim(ip, mac))

    # --- BFD -----------------------------------------------------------------------------------

    def _arrange_bfd(self, now: Instant) -> None:
        """Begin with sessions, or take new settings."""
        wanted = self.settings.bfd
        if self._bfd is not None:
            self._bfd.reload(now, wanted)
        elif wanted:
            from standfest.daemons.director.bfd import BfdSessions  # noqa: PLC0415  1 MB for few

            self._bfd = BfdSessions(self._loop, wanted, self._on_session, self.words)
            self._bfd.start(now)

    def _on_session(self, now: Instant, name: str, up: bool, silent: bool) -> None:
        for session in self.settings.bfd:
            if session.name == name and session.checker:
                self._sessions[name] = up
                self._balancer.tell(tidings.SESSION, name, value=up)
        if self._farewell is None:
            self._perform(now, self.machine.on_bfd(now, name, up=up, silent=silent))

    # --- what the others say --------------------------------------------------------------------

    def _on_news(self) -> None:
        settings = self._inheritance.read_news()
        if settings is None or self._farewell is not None:
            return
        self._reload(reading.load(settings))

    def _reload(self, settings: DirectorSettings) -> None:
        now = self._loop.now()
        old, self.settings = self.settings, settings
        if old.globals.network_namespace != settings.globals.network_namespace:
            self.words.warn("another net_namespace needs a new start: staying here")
        self._instances |= {one.name: one for one in settings.instances}
        self._notifier = self._new_notifier(old)
        if self._helper is not None and helper.concerns(old) != helper.concerns(settings):
            self._stop_helper()
        self._start_helper()
        self._arrange_firewall()
        self._upkeep.arrange(settings)
        self._perform(now, self.machine.reload(now, settings))
        self._arrange_bfd(now)
        self._instances = {one.name: one for one in settings.instances}
        self._poll_links()
        self._report_interfaces(now)
        self._sensors.watch(settings, self.network)
        self.words.say("Reload complete")

    def _arrange_firewall(self) -> None:
        """Let nobody reach addresses that are not to be answered for."""
        if firewall.is_needed(self.settings):
            self._run(firewall.KEY, firewall.setting(self.settings))
            self._has_firewall = True
        elif self._has_firewall:
            self._run(firewall.KEY, firewall.removing(self.settings))
            self._has_firewall = False

    def _on_guard(self) -> None:
        if self._inheritance.guard_asks():
            self._possession.tell_guard_everything()

    def _on_balancer(self) -> None:
        """A balancer that has just been born wants to know who is active, and who is heard."""
        if self._balancer.is_asked():
            for one in self.machine.status():
                self._balancer.tell(tidings.ROUTER, one.name, value=one.told is Told.MASTER)
            for name, up in self._sessions.items():
                self._balancer.tell(tidings.SESSION, name, value=up)

    def _tell_balancer(self, told: Notify) -> None:
        if told.subject is Subject.INSTANCE and told.state in STATES:
            self._balancer.tell(tidings.ROUTER, told.name, value=told.state is Told.MASTER)

    def _on_reports(self) -> None:
        assert self._helper is not None
        for kind, name, value in self._helper.reports():
            now = self._loop.now()
            if self._farewell is not None:
                return
            match kind:
                case "script":
                    self._perform(now, self.machine.on_script(now, name, success=value == 1))
                case "file":
                    self._known[f"{kind} {name}"] = value
                    self._perform(now, self.machine.on_file(now, name, value))
                case _:
                    self._known[f"{kind} {name}"] = value
                    self._perform(now, self.machine.on_process(now, name, value))
        if self._helper.has_ended:
            self.words.warn("the helper has ended: starting another")
            self._stop_helper()
            self._start_helper()

    def _start_helper(self) -> None:
        if self._helper is None and helper.is_needed(self.settings):
            self._helper = helper.start(self.settings, self._inheritance.words, self._known)
            self._loop.watch(self._helper.fileno(), lambda _events: self._on_reports())

    def _stop_helper(self) -> None:
        if self._helper is not None:
            self._loop.forget(self._helper.fileno())
            self._helper.close()
            self._helper = None

    def _new_notifier(self, before: DirectorSettings | None = None) -> Notifier:
        return Notifier(
            self.settings,
            self.words,
            run=self._run,
            fifo=self._fifo,
            mail=self._mail,
            before=before,
        )

    def _run(self, key: str, command: Command) -> None:
        if self._helper is not None:
            self._helper.run(key, command)

    def _fifo(self, line: str) -> None:
        if self._helper is not None:
            self._helper.fifo(line)

    def _mail(self, subject: str, body: str) -> None:
        if self._helper is not None:
            self._helper.mail(subject, body)

    # --- effects --------------------------------------------------------------------------------

    def _perform(self, now: Instant, effects: Effects) -> None:
        for effect in effects:
            self._perform_one(now, effect)

    def _perform_one(self, now: Instant, effect: VrrpEffect) -> None:
        match effect:
            case SendAdvertisement():
                self._send(now, effect)
            case AddAddresses(name, addresses, _):
                opened = self.network.opened(name)
                if opened is not None:
                    self.words.say(f"({name}) setting VIPs.")
                    self._possession.add(now, opened, addresses)
            case RemoveAddresses(name, addresses):
                self.words.say(f"({name}) removing VIPs.")
                self._possession.remove(name, addresses)
            case Announce(name, addresses, count):
                opened = self.network.opened(name)
                if opened is not None:
                    at = now + AFTER_FIRST_ADVERT if opened.fresh else now
                    opened.fresh = False
                    self._announcements.add(at, opened, addresses, count)
            case AddRoutes() | RemoveRoutes() | AddRules() | RemoveRules():
                self._upkeep.perform(effect)
            case Listen(name):
                self._open(name)
            case StopListening(name):
                self.network.close(name)
                self._unopened.discard(name)
            case Notify():
                self._notifier.tell(effect)
                self._tell_balancer(effect)
            case RunScript(name):
                if self._helper is not None:
                    self._helper.script(name)
            case Alert():
                self._notifier.alert(effect, reports.alert_line(effect))
            case Dropped():
                reports.count_dropped(self.refused, effect)

    def _send(self, now: Instant, effect: SendAdvertisement) -> None:
        name = effect.instance
        opened = self.network.opened(name)
        if opened is None:
            return
        path = opened.path
        new = path.is_new(effect.advertisement)
        try:
            path.send(effect.advertisement)
        except OSError as error:
            if opened.trouble != str(error):
                self.words.warn(f"({name}) cannot send: {error.strerror}")
            opened.trouble = str(error)
            return
        opened.trouble = ""
        opened.fresh = opened.fresh or not self._possession.holds(name)
        self._possession.advertised(now, name)
        if new and effect.advertisement.priority:
            self._possession.tell_guard(name)

    def _open(self, name: str) -> None:
        settings = self._instances[name]
        held = self._possession.addresses(name)
        try:
            self.network.open(settings)
        except OperationError as error:
            if name not in self._unopened:
                self.words.warn(f"({name}) cannot listen: {error}")
            self._unopened.add(name)
            self._look_again_at = self._loop.now() + LOOK_AGAIN
            return
        self._unopened.discard(name)
        opened = self.network.opened(name)
        if opened is not None and not held:
            self._possession.clear(opened)
            self._upkeep.clear(settings)

    # --- the end --------------------------------------------------------------------------------

    def _stop(self) -> None:
        """Say goodbye, keep the addresses until the successor's first advert; twice: at once."""
        now = self._loop.now()
        if self._farewell is not None:
            self._perform(now, self._farewell.everything())
            self._end_if_done()
            return
        self.words.say("Stopping")
        self._announcements.forget()
        if self._bfd is not None:
            self._bfd.stop(now)
        effects = self.machine.stop(now)
        self._farewell = Farewell(now, self._instances, effects)
        self._perform(now, self._farewell.first)
        self._end_if_done()

    def _end_if_done(self) -> None:
        if self._farewell is None or not self._farewell.is_done:
            return
        self._upkeep.end()
        if self._has_firewall:
            self._run(firewall.KEY, firewall.removing(self.settings))
        self._stop_helper()
        self.network.close_all()
        self._loop.stop()


def direct(inheritance: Inheritance) -> None:
    """Be a director; returns when it has ended in good order."""
    die_with_parent()
    name_process("sf-director")
    Daemon(inheritance).run()
