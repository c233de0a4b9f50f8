"""All virtual routers of this node: who hears what, what is tracked, groups, reload, one deadline.

A machine without I/O. The daemon reports interfaces before `start`, feeds inputs with the monotonic
time, and performs the effects in the order in which they come. `now` must go on while the machine
sleeps (CLOCK_BOOTTIME), or a node that was suspended cannot know that it was.
"""

from collections.abc import Iterable

from standfest.core.vrrp.dependencies import Dependencies, InterfaceReport
from standfest.core.vrrp.effects import (
    Dropped,
    Effects,
    Listen,
    Notify,
    Refusal,
    RunScript,
    StopListening,
    Subject,
    Told,
)
from standfest.core.vrrp.instance import Instance
from standfest.core.vrrp.reloading import compare
from standfest.core.vrrp.scripts import ScriptWatch
from standfest.core.vrrp.states import State
from standfest.core.vrrp.status import Guard, InstanceStatus, guard_of
from standfest.core.vrrp.timers import Timers
from standfest.core.vrrp.tracking import effective_priority
from standfest.core.vrrp.units import Unit
from standfest.model.advertisement import Arrival
from standfest.model.director import DirectorSettings
from standfest.model.time import Duration, Instant
from standfest.model.vrrp import InstanceSettings, IPAddress, TrackKind

Where = tuple[str, int, int, bool]
"""Interface, VRID, family, unicast."""


class Director:
    """All instances; every input returns effects."""

    def __init__(self, settings: DirectorSettings) -> None:
        self.settings = settings
        self._instances: dict[str, Instance] = {}
        self._units: dict[str, Unit] = {}
        self._where: dict[Where, list[Instance]] = {}
        self._needs = Dependencies()
        self._scripts: dict[str, ScriptWatch] = {}
        self._pending: dict[tuple[TrackKind, str], bool] = {}
        self._timers = Timers()
        self._since: dict[str, tuple[Told, Instant]] = {}
        self._running = False
        self._arrange(settings)

    # --- questions ------------------------------------------------------------------------------

    def deadline(self) -> Instant | None:
        """Return when `on_timer` wants to be called."""
        return self._timers.first()

    def status(self) -> tuple[InstanceStatus, ...]:
        """Return all instances in the order of the settings."""
        found = []
        for name, instance in self._instances.items():
            needs = self._needs.assess(instance.settings, self._units[name].group)
            _, since = self._since.get(name, (Told.STOP, 0))
            found.append(
                InstanceStatus(
                    name,
                    instance.state,
                    instance.told,
                    instance.priority,
                    instance.source,
                    needs.faults,
                    since,
                    instance.counters,
                )
            )
        return tuple(found)

    def guard(self) -> tuple[Guard, ...]:
        """Return what a guard must do for each Active instance; ask again after every Notify."""
        return tuple(guard_of(one) for one in self._instances.values() if one.is_active)

    # --- inputs: life ---------------------------------------------------------------------------

    def start(self, now: Instant) -> Effects:
        """Begin to listen; instances begin after the startup delay."""
        effects: Effects = [Listen(name) for name in self._instances]
        self._start_scripts(now)
        delay = self.settings.globals.startup_delay
        if delay:
            self._timers.set(("startup", ""), now + delay)
            return effects
        self._running = True
        return effects + self._apply(now, self._all_units())

    def stop(self, now: Instant) -> Effects:
        """Let go of everything, tell the peers, then the operators."""
        self._running = False
        effects: Effects = []
        told: Effects = []
        for name, instance in self._instances.items():
            effects += instance.stop(now)
            told.append(Notify(Subject.INSTANCE, name, Told.STOP, instance.priority))
            self._note(now, instance)
        for unit in self._all_units():
            if unit.group is not None:
                told.append(Notify(Subject.GROUP, unit.name, Told.STOP, 0))
        return [*effects, *told, *(StopListening(name) for name in self._instances)]

    def reload(self, now: Instant, settings: DirectorSettings) -> Effects:
        """Take new settings; an instance that did not change notices nothing.

        An Active whose addresses change stays Active; one that is another virtual router than
        before resigns and begins anew.
        """
        change = compare(self.settings, settings)
        effects: Effects = []
        for name in (*change.removed, *change.anew):
            effects += self._end(now, name, gone=name in change.removed)
        old = {name: one for name, one in self._instances.items() if name in change.changed}
        self._arrange(settings)
        for name, instance in old.items():
            new = next(one for one in settings.instances if one.name == name)
            effects += instance.change(new, grouped=self._units[name].group is not None)
            self._note(now, instance)
        self._index()
        effects += [Listen(name) for name in (*change.anew, *change.added)]
        self._start_scripts(now)
        return effects + self._apply(now, self._all_units())

    def on_timer(self, now: Instant) -> Effects:
        """Do everything that is due."""
        effects: Effects = []
        for kind, name in self._timers.due(now):
            match kind:
                case "instance":
                    instance = self._instances[name]
                    before = instance.state
                    effects += self._moved(now, instance, before, instance.on_timer(now))
                case "script":
                    run, again = self._scripts[name].start_run(now)
                    self._timers.set((kind, name), again)
                    effects += [RunScript(name)] if run else []
                case "startup":
                    self._running = True
                    effects += self._apply(now, self._all_units())
                case _:
                    tracked = TrackKind(kind)
                    up = self._pending.pop((tracked, name))
                    effects += self._set_up(now, tracked, name, up)
        return effects

    # --- inputs: the network --------------------------------------------------------------------

    def on_advertisement(self, now: Instant, arrival: Arrival) -> Effects:
        """Take an intact advertisement."""
        instance = self._find(arrival)
        if instance is None:
            return [Dropped("", Refusal.UNKNOWN_VRID, arrival.advertisement.vrid)]
        before = instance.state
        return self._moved(now, instance, before, instance.on_advertisement(now, arrival))

    def on_interface(self, now: Instant, report: InterfaceReport) -> Effects:
        """Take an interface's state; one that does not exist is down and has no addresses."""
        self._needs.report(report)
        wait: Duration = 0
        for delay in self.settings.interface_delays:
            if delay.interface == report.name:
                wait = delay.up if report.up else delay.down
        self._name_sources()
        effects = self._debounce(now, TrackKind.INTERFACE, report.name, report.up, wait)
        return effects + self._apply(now, self._needs.users(TrackKind.INTERFACE, report.name))

    def on_address_removed(self, now: Instant, ip: IPAddress) -> Effects:
        """Somebody removed an address from this machine."""
        effects: Effects = []
        for instance in self._instances.values():
            effects += instance.on_address_removed(now, ip)
            self._note(now, instance)
        return effects

    def on_claim(self, ip: IPAddress, mac: bytes) -> Effects:
        """A neighbour (not us: the adapter knows our MACs) says that an address is at its MAC."""
        return [one for instance in self._instances.values() for one in instance.on_claim(ip, mac)]

    # --- inputs: what is tracked ----------------------------------------------------------------

    def on_script(self, now: Instant, name: str, *, success: bool) -> Effects:
        """Take the result of a run; one of a script that a reload removed is ignored."""
        watch = self._scripts.get(name)
        if watch is None or not watch.result(success):
            return []
        return self._set_up(now, TrackKind.SCRIPT, name, watch.up is True)

    def on_process(self, now: Instant, name: str, count: int) -> Effects:
        """Take how many processes match."""
        for process in self.settings.processes:
            if process.name == name:
                most = count if process.quorum_max is None else process.quorum_max
                up = process.quorum <= count <= most
                wait = process.fork_delay if up else process.terminate_delay
                return self._debounce(now, TrackKind.PROCESS, name, up, wait)
        return []

    def on_file(self, now: Instant, name: str, value: int) -> Effects:
        """Take a tracked file's value; an unreadable one is 0."""
        self._needs.tracked.set_value(name, value)
        return self._apply(now, self._needs.users(TrackKind.FILE, name))

    def on_bfd(self, now: Instant, name: str, *, up: bool, silent: bool = False) -> Effects:
        """Take a BFD session's state; silent: it was up, and its neighbour said nothing any more.

        Whoever tracks it and obeys that neighbour need not wait for three of its adverts.
        """
        effects = self._set_up(now, TrackKind.BFD, name, up)
        neighbors = [one.neighbor.packed for one in self.settings.bfd if one.name == name]
        for neighbor in neighbors if silent and not up else ():
            for unit in self._needs.users(TrackKind.BFD, name):
                for member in unit.members:
                    effects += member.on_active_lost(now, neighbor)
                    self._note(now, member)
        return effects

    # --- within: dependencies -------------------------------------------------------------------

    def _debounce(
        self, now: Instant, kind: TrackKind, name: str, up: bool, wait: Duration
    ) -> Effects:
        """Let a change count after `wait`, unless it is taken back before; the first at once."""
        key = (kind.value, name)
        known = self._needs.tracked.is_up(kind, name)
        if wait == 0 or known is None or known is up:
            self._pending.pop((kind, name), None)
            self._timers.set(key, None)
            return [] if known is up else self._set_up(now, kind, name, up)
        if (kind, name) not in self._pending:
            self._pending[kind, name] = up
            self._timers.set(key, now + wait)
        return []

    def _set_up(self, now: Instant, kind: TrackKind, name: str, up: bool) -> Effects:
        self._needs.tracked.set_up(kind, name, up)
        return self._apply(now, self._needs.users(kind, name))

    def _name_sources(self) -> None:
        for instance in self._instances.values():
            instance.source = self._needs.source(instance.settings)

    def _start_scripts(self, now: Instant) -> None:
        """Watch each script that something tracks; one that changed is watched anew."""
        wanted = {
            script.name: script
            for script in self.settings.scripts
            if self._needs.is_used(TrackKind.SCRIPT, script.name)
        }
        for name, watch in list(self._scripts.items()):
            if wanted.get(name) != watch.settings:
                del self._scripts[name]
                self._timers.set(("script", name), None)
                self._needs.tracked.forget(TrackKind.SCRIPT, name)
        for name, script in wanted.items():
            if name not in self._scripts:
                self._scripts[name] = ScriptWatch(script)
                self._timers.set(("script", name), now)
                if script.init_fail:
                    self._needs.tracked.set_up(TrackKind.SCRIPT, name, False)

    # --- within: instances and units ------------------------------------------------------------

    def _arrange(self, settings: DirectorSettings) -> None:
        """Make instances that are missing, and units of all of them."""
        self.settings = settings
        before = {unit.name: unit.told for unit in self._all_units()}
        kept, self._instances, self._units = self._instances, {}, {}
        group_of = {name: group for group in settings.sync_groups for name in group.members}
        for one in settings.instances:
            grouped = one.name in group_of
            instance = kept.get(one.name) or Instance(one, grouped=grouped)
            instance.grouped = grouped
            self._instances[one.name] = instance
        for group in settings.sync_groups:
            members = tuple(self._instances[n] for n in group.members if n in self._instances)
            unit = Unit(members, group, before.get(group.name))
            self._units.update((name, unit) for name in group.members)
        for name, instance in self._instances.items():
            if name not in self._units:
                self._units[name] = Unit((instance,))
        self._index()

    def _index(self) -> None:
        self._where = {}
        for instance in self._instances.values():
            self._where.setdefault(_where(instance.settings), []).append(instance)
        self._needs.arrange(self.settings, self._all_units())
        self._name_sources()

    def _all_units(self) -> tuple[Unit, ...]:
        return tuple({id(unit): unit for unit in self._units.values()}.values())

    def _find(self, arrival: Arrival) -> Instance | None:
        told, destination = arrival.advertisement, arrival.destination
        unicast = destination[0] != 0xFF if len(destination) == 16 else destination[0] < 224
        for interface in (arrival.interface, ""):
            found = self._where.get((interface, told.vrid, told.family, unicast))
            if found:
                return found[0] if len(found) == 1 else _by_peer(found, arrival.source)
        return None

    def _end(self, now: Instant, name: str, *, gone: bool) -> Effects:
        """Stop an instance for good; gone: operators are told."""
        instance = self._instances.pop(name)
        effects = instance.stop(now)
        self._timers.set(("instance", name), None)
        if gone:
            notify = instance.settings.notify
            told = Told.DELETED if notify.deleted_state or notify.deleted else Told.FAULT
            effects.append(Notify(Subject.INSTANCE, name, told, instance.priority))
        return [*effects, StopListening(name)]

    def _moved(self, now: Instant, instance: Instance, before: State, effects: Effects) -> Effects:
        """Return the effects and those of the group, and note deadlines."""
        unit = self._units[instance.settings.name]
        if unit.group is None:
            self._note(now, instance)
            return effects
        effects = effects + unit.follow(now, instance, before)
        for member in unit.members:
            self._note(now, member)
        return effects

    def _note(self, now: Instant, instance: Instance) -> None:
        name = instance.settings.name
        self._timers.set(("instance", name), instance.deadline())
        told = instance.told
        if name not in self._since or self._since[name][0] is not told:
            self._since[name] = (told, now)

    def _apply(self, now: Instant, units: Iterable[Unit]) -> Effects:
        effects: Effects = []
        for unit in units if self._running else ():
            needs = {
                one.settings.name: self._needs.assess(one.settings, unit.group)
                for one in unit.members
            }
            for one in unit.members:
                base, adjustment = one.settings.priority, needs[one.settings.name].adjustment
                effects += one.set_priority(now, effective_priority(base, adjustment))
            effects += unit.apply(
                now,
                faulty=any(need.faults for need in needs.values()),
                waiting=any(need.waiting for need in needs.values()),
                can_send=lambda one: self._needs.is_up(one.settings.interface),
            )
            for member in unit.members:
                self._note(now, member)
        return effects


def _where(settings: InstanceSettings) -> Where:
    return (settings.interface, settings.vrid, settings.family, settings.unicast)


def _by_peer(instances: list[Instance], source: bytes) -> Instance:
    """Return the instance of one VRID whose peer sent this; else the first, which refuses it."""
    for instance in instances:
        if any(peer.address.packed == source for peer in instance.settings.unicast_peers):
            return instance
    return instances[0]
