"""What stands besides virtual addresses: static addresses, routes and rules, and virtual routes.

They are set, and put back when somebody else removes them, at most once in a second. Static ones
stay from the director's start to its orderly end; routes and rules of virtual routers while these
are Active.
"""

from collections.abc import Callable, Iterable

from standfest.adapters.linux import leases
from standfest.adapters.linux.addressevents import RouteEvents
from standfest.adapters.linux.leases import LeaseSocket
from standfest.core.vrrp.effects import AddRoutes, AddRules, RemoveRoutes, RemoveRules
from standfest.daemons.director import routing
from standfest.daemons.director.network import Network
from standfest.daemons.director.routing import Routing
from standfest.daemons.director.words import Words
from standfest.model.director import DirectorSettings
from standfest.model.errors import OperationError
from standfest.model.time import Duration, Instant, milliseconds, seconds
from standfest.model.vrrp import Command, InstanceSettings, VirtualAddress
from standfest.runtime.loop import Loop

RESTORE_EVERY: Duration = seconds(1)
SETTLE: Duration = milliseconds(50)
"""A moment for more news: who takes an interface down removes many things at once."""
KEY = "routes"

RoutingEffect = AddRoutes | AddRules | RemoveRoutes | RemoveRules


class Upkeep:
    """Everything of one director that is set in the kernel and is no virtual address."""

    def __init__(
        self, loop: Loop, network: Network, run: Callable[[str, Command], None], words: Words
    ) -> None:
        self._loop, self._network, self._run, self._words = loop, network, run, words
        self._socket: LeaseSocket | None = None
        self._events: RouteEvents | None = None
        self._addresses: tuple[VirtualAddress, ...] = ()
        self._static: tuple[Routing, ...] = ()
        self._virtual: dict[str, tuple[Routing, ...]] = {}
        self._preferences = routing.Preferences()
        self._restore_at: Instant | None = None
        self._restored_at: Instant = 0

    def arrange(self, settings: DirectorSettings) -> None:
        """Set what is new of the static things, remove what is gone."""
        self._listen(settings)
        self._preferences.number(settings.static_rules)
        for instance in settings.instances:
            self._preferences.number(instance.rules)
        addresses = settings.static_addresses
        gone = [one for one in self._addresses if one not in addresses]
        self._delete(gone)
        self._addresses = addresses
        self._add(addresses)
        static: tuple[Routing, ...] = (*settings.static_routes, *settings.static_rules)
        self._remove([one for one in self._static if one not in static])
        self._set([one for one in static if one not in self._static])
        self._static = static

    def perform(self, effect: RoutingEffect) -> None:
        """Set or remove what a virtual router has."""
        items: tuple[Routing, ...]
        match effect:
            case AddRoutes(name, items) | AddRules(name, items):
                have = self._virtual.get(name, ())
                self._virtual[name] = (*have, *(one for one in items if one not in have))
                self._set(items)
            case RemoveRoutes(name, items) | RemoveRules(name, items):
                have = self._virtual.get(name, ())
                self._virtual[name] = tuple(one for one in have if one not in items)
                self._remove(items)

    def clear(self, instance: InstanceSettings) -> None:
        """Remove what an earlier director may have left behind."""
        if not self._virtual.get(instance.name):
            self._remove((*instance.routes, *instance.rules))

    def on_changes(self) -> None:
        """Interfaces or addresses have changed: what we set may be gone."""
        if self._restore_at is None and (self._addresses or self._tracked()):
            soon = self._loop.now() + SETTLE
            self._restore_at = max(soon, self._restored_at + RESTORE_EVERY)

    def deadline(self) -> Instant | None:
        """Return when `on_timer` wants to be called."""
        return self._restore_at

    def on_timer(self, now: Instant) -> None:
        """Put back what is due."""
        if self._restore_at is not None and self._restore_at <= now:
            self._restore_at, self._restored_at = None, now
            here = {ip for facts in self._network.facts.values() for ip in facts.addresses}
            self._add([one for one in self._addresses if one.ip not in here])
            self._set(self._tracked())

    def end(self) -> None:
        """Remove the static things."""
        self._restore_at = None
        self._remove(self._static)
        self._delete(self._addresses)
        self._static, self._addresses = (), ()

    def _tracked(self) -> list[Routing]:
        everything = (*self._static, *(one for some in self._virtual.values() for one in some))
        return [one for one in everything if one.track]

    def _listen(self, settings: DirectorSettings) -> None:
        routes = settings.static_routes or settings.static_rules
        if self._events is None and (
            routes or any(one.routes or one.rules for one in settings.instances)
        ):
            self._events = RouteEvents()
            self._loop.watch(self._events.fileno(), lambda _events: self._on_events())

    def _on_events(self) -> None:
        assert self._events is not None
        self._events.read()
        self.on_changes()

    def _set(self, items: Iterable[Routing]) -> None:
        for command in routing.adding(map(self._preferences.numbered, items)):
            self._run(KEY, command)

    def _remove(self, items: Iterable[Routing]) -> None:
        for command in routing.removing(map(self._preferences.numbered, items)):
            self._run(KEY, command)

    def _add(self, addresses: Iterable[VirtualAddress]) -> None:
        """Add addresses whose interfaces are there; the others when these come."""
        for one in addresses:
            facts = self._network.facts.get(one.interface)
            if facts is None:
                continue
            try:
                self._leases().add([leases.encode(one, one.interface, facts.index, 0)])
            except OperationError as error:
                self._words.warn(f"static address {error}")

    def _delete(self, addresses: Iterable[VirtualAddress]) -> None:
        for one in addresses:
            facts = self._network.facts.get(one.interface)
            if facts is not None:
                try:
                    self._leases().delete([leases.encode(one, one.interface, facts.index, 0)])
                except OperationError as error:
                    self._words.warn(f"static address {error}")

    def _leases(self) -> LeaseSocket:
        if self._socket is None:
            self._socket = LeaseSocket()
        return self._socket
