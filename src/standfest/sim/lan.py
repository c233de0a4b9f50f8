"""Directors on one simulated LAN in virtual time: loss, delay, cuts, pauses, crashes.

The production machines and the production wire format; only sockets and addresses are simulated.
Each router's addresses are a set, so that two owners are seen at the very instant.
"""

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Address

from standfest.core.vrrp.dependencies import InterfaceReport
from standfest.core.vrrp.director import Director
from standfest.core.vrrp.effects import (
    AddAddresses,
    Effects,
    Notify,
    RemoveAddresses,
    SendAdvertisement,
)
from standfest.model.advertisement import Arrival
from standfest.model.director import DirectorSettings
from standfest.model.errors import WireError
from standfest.model.time import Duration, Instant, microseconds, milliseconds
from standfest.model.vrrp import MULTICAST_IPV4, InstanceSettings, IPAddress
from standfest.wire import vrrp

MAX_STEPS = 2_000_000
"""Events of one run: a simulation that never ends is a bug, not a wait."""


@dataclass(frozen=True, slots=True)
class Weather:
    """How bad the network is: loss 0..1, delay in ns."""

    loss: float = 0.0
    min_delay: Duration = milliseconds(1)
    max_delay: Duration = milliseconds(5)


@dataclass(slots=True)
class Router:
    """One node: its machine and what it would have on its interfaces."""

    name: str
    director: Director
    address: IPv4Address
    owned: dict[str, set[IPAddress]] = field(default_factory=dict)
    paused: bool = False
    crashed: bool = False
    inbox: list[Arrival] = field(default_factory=list)
    told: list[tuple[Instant, Notify]] = field(default_factory=list)
    sent: list[tuple[Instant, str, int]] = field(default_factory=list)


@dataclass(frozen=True, slots=True, order=True)
class Packet:
    """One copy of an advertisement on its way to one router."""

    at: Instant
    number: int
    receiver: str
    interface: str
    source: bytes
    message: bytes


class Lan:
    """Routers that hear each other; interfaces of one name are one segment."""

    def __init__(self, source: random.Random, weather: Weather | None = None) -> None:
        self._source = source
        self.weather = weather or Weather()
        self.now: Instant = 0
        self.routers: dict[str, Router] = {}
        self.cut: set[tuple[str, str]] = set()
        self._way: list[Packet] = []
        self._number = 0
        self._watchers: list[Callable[[], None]] = []

    # --- building -------------------------------------------------------------------------------

    def router(self, name: str, settings: DirectorSettings, *, start: bool = True) -> Router:
        """Add a router; its address on every interface is 10.0.0.N, N counting from 1."""
        address = IPv4Address("10.0.0.0") + len(self.routers) + 1
        router = Router(name, Director(settings), address)
        self.routers[name] = router
        if start:
            self.boot(name)
        return router

    def boot(self, name: str) -> None:
        """Start a router's machine, its interfaces up."""
        router = self.routers[name]
        for interface in sorted({one.interface for one in router.director.settings.instances}):
            report = InterfaceReport(interface, True, (router.address,))
            self._perform(router, router.director.on_interface(self.now, report))
        self._perform(router, router.director.start(self.now))

    def watch(self, check: Callable[[], None]) -> None:
        """Call `check` after every event."""
        self._watchers.append(check)

    # --- faults ---------------------------------------------------------------------------------

    def crash(self, name: str) -> None:
        """Cut the power: machine and addresses are gone."""
        router = self.routers[name]
        router.crashed = True
        router.owned.clear()
        router.inbox.clear()

    def restart(self, name: str) -> None:
        """Start a crashed router again, with the settings that it had."""
        router = self.routers[name]
        router.crashed = router.paused = False
        router.director = Director(router.director.settings)
        self.boot(name)

    def pause(self, name: str) -> None:
        """Stop a machine; packets wait for it, its addresses stay where they are."""
        self.routers[name].paused = True

    def resume(self, name: str, *, keep_packets: bool = True) -> None:
        """Let it go on: it reads what has arrived, then looks at its timers, as the loop does."""
        router = self.routers[name]
        router.paused = False
        waiting, router.inbox = router.inbox, []
        for arrival in waiting if keep_packets else []:
            self._perform(router, router.director.on_advertisement(self.now, arrival))

    def link(self, name: str, interface: str, *, up: bool) -> None:
        """Report an interface up or down, and cut or mend its packets."""
        router = self.routers[name]
        (self.cut.discard if up else self.cut.add)((name, interface))
        report = InterfaceReport(interface, up, (router.address,))
        self._perform(router, router.director.on_interface(self.now, report))

    def call(self, name: str, do: Callable[[Director, Instant], Effects]) -> None:
        """Give a router's machine an input."""
        router = self.routers[name]
        self._perform(router, do(router.director, self.now))

    # --- time -----------------------------------------------------------------------------------

    def run_for(self, duration: Duration) -> None:
        """Let time pass."""
        self._run(self.now + duration, lambda: False)

    def run_until(self, holds: Callable[[], bool], *, at_most: Duration) -> Duration:
        """Let time pass until something holds; return how long that took."""
        start = self.now
        self._run(start + at_most, holds)
        assert holds(), f"not after {at_most} ns"
        return self.now - start

    def _run(self, end: Instant, holds: Callable[[], bool]) -> None:
        for _ in range(MAX_STEPS):
            if holds():
                return
            at = self._next()
            if at is None or at > end:
                self.now = end
                return
            self.now = max(self.now, at)
            self._step()
            for check in self._watchers:
                check()
        raise AssertionError(f"more than {MAX_STEPS} events")

    def _next(self) -> Instant | None:
        times = [self._way[0].at] if self._way else []
        for router in self.routers.values():
            deadline = None if router.paused or router.crashed else router.director.deadline()
            if deadline is not None:
                times.append(deadline)
        return min(times, default=None)

    def _step(self) -> None:
        while self._way and self._way[0].at <= self.now:
            self._deliver(heapq.heappop(self._way))
        for router in self.routers.values():
            if router.paused or router.crashed:
                continue
            deadline = router.director.deadline()
            if deadline is not None and deadline <= self.now:
                self._perform(router, router.director.on_timer(self.now))

    # --- packets and addresses ------------------------------------------------------------------

    def _deliver(self, packet: Packet) -> None:
        router = self.routers[packet.receiver]
        if router.crashed or (router.name, packet.interface) in self.cut:
            return
        group = MULTICAST_IPV4.packed
        try:
            told = vrrp.decode(packet.message, source=packet.source, destination=group, ttl=255)
        except WireError:
            return
        arrival = Arrival(packet.interface, packet.source, group, 255, told)
        if router.paused:
            router.inbox.append(arrival)
            return
        self._perform(router, router.director.on_advertisement(self.now, arrival))

    def _perform(self, router: Router, effects: Effects) -> None:
        for effect in effects:
            match effect:
                case SendAdvertisement():
                    priority = effect.advertisement.priority
                    router.sent.append((self.now, effect.instance, priority))
                    self._send(router, effect)
                case AddAddresses():
                    owned = router.owned.setdefault(effect.instance, set())
                    owned.update(address.ip for address in effect.addresses)
                case RemoveAddresses():
                    owned = router.owned.setdefault(effect.instance, set())
                    owned.difference_update(address.ip for address in effect.addresses)
                case Notify():
                    router.told.append((self.now, effect))
                case _:
                    pass

    def _send(self, router: Router, effect: SendAdvertisement) -> None:
        interface = self._settings(router, effect.instance).interface
        if (router.name, interface) in self.cut:
            return
        group = MULTICAST_IPV4.packed
        source = router.address.packed
        message = vrrp.encode(effect.advertisement, source=source, destination=group)
        for name in self.routers:
            if name == router.name or self._source.random() < self.weather.loss:
                continue
            delay = self._source.randint(self.weather.min_delay, self.weather.max_delay)
            self._number += 1
            at = self.now + max(delay, microseconds(1))
            packet = Packet(at, self._number, name, interface, source, message)
            heapq.heappush(self._way, packet)

    def _settings(self, router: Router, instance: str) -> InstanceSettings:
        return next(one for one in router.director.settings.instances if one.name == instance)

    # --- looking --------------------------------------------------------------------------------

    def active(self, instance: str = "gw") -> list[str]:
        """Return the routers that own an instance's addresses, paused ones included."""
        return [name for name, router in self.routers.items() if router.owned.get(instance)]
