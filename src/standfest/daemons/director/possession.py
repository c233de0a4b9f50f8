"""The virtual addresses that this node has, each a lease, each known to the guard beforehand.

The order is the promise: the signs of life and the guard first, then the address; and the other
way round when it goes. Addresses are renewed with the adverts, which costs no wake-up of its own.
"""

import contextlib
import socket
from collections.abc import Iterable
from dataclasses import dataclass, field

from standfest.adapters.linux import leases
from standfest.adapters.linux.leases import Lease, LeaseSocket
from standfest.adapters.linux.signs import SLOTS, SignsOfLife
from standfest.daemons.director import holding
from standfest.daemons.director.holding import Goodbye, Holding
from standfest.daemons.director.network import Network, Opened
from standfest.daemons.director.words import Words
from standfest.model.errors import OperationError
from standfest.model.time import NANOSECONDS_PER_SECOND, Duration, Instant, milliseconds, seconds
from standfest.model.vrrp import InstanceSettings, VirtualAddress

QUICKEST_PRIORITY = 254
SHORTEST_LEASE_S = 3
"""The kernel counts seconds, and a loaded machine may be late by one."""
RENEWALS = 5
"""Renewals in a lease. A lease lasts 3 adverts or longer, rounded up to seconds: a fifth is less
than the time between two adverts, so that it is at least 3 adverts away at each of them."""
SUCCESSOR_SLACK: Duration = milliseconds(100)


@dataclass(slots=True)
class _Held:
    slot: int
    lease_s: int
    leases: dict[VirtualAddress, Lease] = field(default_factory=dict)
    renew_at: Instant = 0


class Possession:
    """What is held, by instance."""

    def __init__(
        self, network: Network, signs: SignsOfLife, guard: socket.socket, words: Words
    ) -> None:
        self._network, self._signs, self._guard, self._words = network, signs, guard, words
        self._socket = LeaseSocket()
        self._held: dict[str, _Held] = {}
        self._free = list(range(SLOTS - 1, -1, -1))
        for slot in range(SLOTS):
            signs.release(slot)

    def addresses(self, name: str) -> tuple[VirtualAddress, ...]:
        """Return what an instance holds now."""
        held = self._held.get(name)
        return tuple(held.leases) if held else ()

    def holds(self, name: str) -> bool:
        """Return whether an instance holds anything."""
        return name in self._held

    def add(self, now: Instant, opened: Opened, addresses: Iterable[VirtualAddress]) -> None:
        """Take addresses, after an advert has said so."""
        settings = opened.settings
        held = self._held.get(settings.name)
        if held is None:
            held = self._held[settings.name] = _Held(self._free.pop(), lease_seconds(settings))
        new = {address: self._lease(opened, address, held.lease_s) for address in addresses}
        held.leases |= new
        self._signs.hold(held.slot, now, patience(settings))
        self._tell_guard(opened, held)
        try:
            self._socket.add(list(new.values()))
        except OperationError as error:
            self._words.warn(f"({settings.name}) {error}")
        held.renew_at = now + held.lease_s * NANOSECONDS_PER_SECOND // RENEWALS

    def remove(self, name: str, addresses: Iterable[VirtualAddress]) -> None:
        """Let go of addresses."""
        held = self._held.get(name)
        if held is None:
            return
        gone = [held.leases.pop(address) for address in addresses if address in held.leases]
        try:
            self._socket.delete(gone)
        except OperationError as error:
            self._words.warn(f"({name}) {error}")
        if not held.leases:
            del self._held[name]
            self._signs.release(held.slot)
            self._free.append(held.slot)

    def clear(self, opened: Opened) -> None:
        """Remove what an earlier director may have left behind."""
        settings = opened.settings
        everything = [
            self._lease(opened, address, SHORTEST_LEASE_S)
            for address in (*settings.addresses, *settings.excluded)
        ]
        with contextlib.suppress(OperationError):
            self._socket.delete(everything)

    def advertised(self, now: Instant, name: str) -> None:
        """An advert has left: that is a sign of life, and the time to renew."""
        held = self._held.get(name)
        if held is None:
            return
        self._signs.beat(held.slot, now)
        if now >= held.renew_at:
            held.renew_at = now + held.lease_s * NANOSECONDS_PER_SECOND // RENEWALS
            self._socket.renew(list(held.leases.values()))

    def tell_guard(self, name: str) -> None:
        """Say anew what an instance holds: its adverts, or something else, have changed."""
        held, opened = self._held.get(name), self._network.opened(name)
        if held is not None and opened is not None:
            self._tell_guard(opened, held)

    def tell_guard_everything(self) -> None:
        """Say everything anew, to a guard that has just been born."""
        for name in self._held:
            self.tell_guard(name)

    def _lease(self, opened: Opened, address: VirtualAddress, lease_s: int) -> Lease:
        device = address.interface or opened.device
        facts = self._network.facts.get(device)
        return leases.encode(address, device, facts.index if facts else 0, lease_s)

    def _tell_guard(self, opened: Opened, held: _Held) -> None:
        settings, path = opened.settings, opened.path
        version = settings.family.value
        described = Holding(
            held.slot,
            settings.name,
            settings.vrid,
            settings.interface,
            version,
            path.protocol,
            () if settings.unicast else (str(settings.multicast_group),),
            tuple(
                Goodbye(path.mouth.interface, version, packet, destination)
                for packet, destination in path.goodbyes()
            ),
            tuple((lease.what, lease.delete) for lease in held.leases.values()),
            successor_wait(settings),
        )
        try:
            self._guard.send(holding.to_bytes(described))
        except OSError as error:
            self._words.warn(f"({settings.name}) the guard does not listen: {error}")


def patience(settings: InstanceSettings) -> Duration:
    """Return how long the most impatient Backup there can be (priority 254) bears silence."""
    unit = seconds(1) if settings.version == 2 else settings.advert_interval
    skew = (256 - QUICKEST_PRIORITY) * unit // 256
    return settings.down_timer_adverts * settings.advert_interval + skew


def successor_wait(settings: InstanceSettings) -> Duration:
    """Return how long the most patient Backup (priority 1) takes to follow a goodbye."""
    unit = seconds(1) if settings.version == 2 else settings.advert_interval
    return unit + min(unit // 2, SUCCESSOR_SLACK)


def lease_seconds(settings: InstanceSettings) -> int:
    """Return the lifetime of addresses: as long as the others wait, in whole seconds.

    Rounded up, so that the guard comes before the kernel: it leaves no client without an answer.
    """
    return max(SHORTEST_LEASE_S, -(-patience(settings) // NANOSECONDS_PER_SECOND))
