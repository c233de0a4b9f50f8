"""The director's sockets and interfaces: opened when an instance listens, shared where they can be.

Nothing here is fatal: an interface that is not there now may come later, and an instance on it is
at fault until then.
"""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from ipaddress import ip_address

from standfest.adapters.linux import virtualmac
from standfest.adapters.linux.linkbeat import Linkbeat
from standfest.adapters.linux.rtnetlink import RouteNetlink
from standfest.adapters.linux.virtualmac import BaseSysctls, VirtualLink
from standfest.adapters.linux.vrrplink import PROTOCOL_AUTHENTICATION, PROTOCOL_VRRP, Ear, Mouth
from standfest.adapters.linux.vrrppath import Hearing, Path, decode_sealed
from standfest.model.advertisement import Arrival
from standfest.model.director import DirectorSettings
from standfest.model.errors import OperationError, WireError
from standfest.model.vrrp import AuthenticationType, Family, InstanceSettings, IPAddress, TrackKind
from standfest.ports.host import Link
from standfest.runtime.loop import Loop
from standfest.wire.vrrp import virtual_mac

EarKey = tuple[str, int, int]
"""Interface, IP version, protocol."""

MAX_PACKETS = 128
"""Packets that one wake-up reads from one socket; the loop comes back for more."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the kernel says of an interface now; addresses in the kernel's order."""

    index: int
    running: bool
    mac: bytes
    addresses: tuple[IPAddress, ...] = ()


@dataclass(slots=True)
class Opened:
    """What one instance has open.

    index: of its interface when this was opened. device: what carries its addresses. fresh: it has
    said that it is Active and has not announced its addresses yet.
    """

    settings: InstanceSettings
    path: Path
    index: int
    device: str
    made: VirtualLink | None = None
    ears: tuple[EarKey, ...] = ()
    fresh: bool = False
    trouble: str = ""

    def suits(self, source: IPAddress | None, facts: Facts | None) -> bool:
        """Return whether this still fits the interface and our address on it."""
        return (
            source is not None
            and facts is not None
            and ((self.path.source, self.index) == (source, facts.index))
        )


@dataclass(slots=True)
class _SharedEar:
    ear: Ear
    vrids: set[int] = field(default_factory=set)
    users: set[str] = field(default_factory=set)
    keys: dict[int, bytes] = field(default_factory=dict)
    hearing: Hearing = field(default_factory=Hearing)


class Network:
    """All sockets of one director. on_arrival: an advert; on_refusal: bytes that are none."""

    def __init__(
        self,
        loop: Loop,
        on_arrival: Callable[[Arrival], None],
        on_refusal: Callable[[str, WireError], None],
    ) -> None:
        self._loop, self._on_arrival, self._on_refusal = loop, on_arrival, on_refusal
        self.netlink = RouteNetlink()
        self._sysctls = BaseSysctls()
        self._opened: dict[str, Opened] = {}
        self._ears: dict[EarKey, _SharedEar] = {}
        self._mouths: dict[tuple[str, int], Mouth] = {}
        self.facts: dict[str, Facts] = {}
        self.polled: frozenset[str] = frozenset()
        self._linkbeat: Linkbeat | None = None

    # --- interfaces -----------------------------------------------------------------------------

    def poll(self, settings: DirectorSettings) -> None:
        """Ask the interfaces that the settings say about their link (`linkbeat_use_polling`)."""
        polled = {one.interface for one in settings.instances if one.linkbeat_polling}
        polled |= set(settings.linkbeat_interfaces)
        if settings.globals.linkbeat_polling:
            tracks = (track for one in settings.instances for track in one.tracks)
            polled |= {track.name for track in tracks if track.kind is TrackKind.INTERFACE}
        self.polled = frozenset(polled - {""})
        if self.polled and self._linkbeat is None:
            self._linkbeat = Linkbeat()

    def refresh(self) -> None:
        """Read all interfaces and addresses anew; raises OperationError."""
        addresses: dict[str, list[IPAddress]] = {}
        for found in self.netlink.addresses():
            addresses.setdefault(found.device, []).append(ip_address(found.ip))
        self.facts = {
            link.name: Facts(
                link.index, self._runs(link), link.mac, tuple(addresses.get(link.name, ()))
            )
            for link in self.netlink.links()
        }

    def _runs(self, link: Link) -> bool:
        if not (link.up and link.carrier):
            return False
        if self._linkbeat is None or link.name not in self.polled:
            return True
        return self._linkbeat.is_up(link.name)

    def source(self, settings: InstanceSettings) -> IPAddress | None:
        """Return the address that an instance's packets have, or None while there is none."""
        if settings.source is not None:
            return settings.source
        facts = self.facts.get(settings.interface)
        own = {address.ip for address in (*settings.addresses, *settings.excluded)}
        for ip in facts.addresses if facts else ():
            if ip.version != settings.family or ip in own:
                continue
            if ip.version == 6 and ip.is_link_local == settings.unicast:
                continue
            return ip
        return None

    # --- instances ------------------------------------------------------------------------------

    def open(self, settings: InstanceSettings) -> None:
        """Open what an instance needs; raises OperationError."""
        self.close(settings.name)
        source = self.source(settings)
        if source is None:
            raise OperationError(f"{settings.interface}: no IPv{settings.family.value} address")
        made = self._virtual_link(settings)
        try:
            if made is not None:
                self._sysctls.protect(settings.interface)
                virtualmac.make(self.netlink, made)
                self.refresh()
            device = made.name if made else settings.interface
            on_base = settings.unicast or (settings.vmac and settings.vmac.transmit_base)
            mouth = self._mouth(settings.interface if on_base else device, settings.family)
            facts = self.facts.get(settings.interface)
            index = facts.index if facts else 0
            opened = Opened(settings, Path(settings, mouth, source), index, device, made)
            self._opened[settings.name] = opened
            self._listen(opened)
        except OSError as error:
            self.close(settings.name)
            raise OperationError(f"{settings.interface}: {error.strerror}") from error

    def close(self, name: str) -> None:
        """Close what only this instance uses."""
        opened = self._opened.pop(name, None)
        if opened is None:
            return
        for key in opened.ears:
            shared = self._ears[key]
            shared.users.discard(name)
            self._tune(key)
        if opened.made is not None:
            with contextlib.suppress(OperationError):
                virtualmac.remove(self.netlink, opened.made.name)
        used = {(o.path.mouth.interface, o.settings.family.value) for o in self._opened.values()}
        for way in [way for way in self._mouths if way not in used]:
            self._mouths.pop(way).close()

    def close_all(self) -> None:
        """Close everything, and put the sysctls back."""
        for name in list(self._opened):
            self.close(name)
        self._sysctls.restore()

    def opened(self, name: str) -> Opened | None:
        """Return what an instance has open."""
        return self._opened.get(name)

    def device(self, settings: InstanceSettings) -> str:
        """Return the interface that carries an instance's addresses."""
        made = self._virtual_link(settings)
        return made.name if made is not None else settings.interface

    def _virtual_link(self, settings: InstanceSettings) -> VirtualLink | None:
        six = settings.family is Family.IPV6
        base = settings.interface
        if settings.vmac is not None:
            mac = settings.vmac.mac or virtual_mac(settings.family, settings.vrid)
            name = settings.vmac.name or f"vrrp{'6' if six else ''}.{settings.vrid}"
            return VirtualLink(name[:15], base, mac, six)
        if settings.ipvlan is not None:
            name = settings.ipvlan.name or f"ipvlan.{settings.vrid}"
            return VirtualLink(name[:15], base, None, six, settings.ipvlan.mode)
        return None

    def _mouth(self, interface: str, family: Family) -> Mouth:
        way = (interface, family.value)
        if way not in self._mouths:
            self._mouths[way] = Mouth(*way)
        return self._mouths[way]

    def _listen(self, opened: Opened) -> None:
        settings = opened.settings
        sealed = settings.authentication.type is AuthenticationType.AH
        key = (settings.interface, settings.family.value, opened.path.protocol)
        shared = self._ears.get(key)
        if shared is None:
            shared = self._ears[key] = _SharedEar(Ear(*key))
            self._loop.watch(shared.ear.fileno(), partial(self._on_packets, key))
        opened.ears = (key,)
        shared.users.add(settings.name)
        if sealed:
            shared.keys[settings.vrid] = settings.authentication.password
        if not settings.unicast:
            shared.ear.join(str(settings.multicast_group))
        self._tune(key)

    def _tune(self, key: EarKey) -> None:
        """Hear exactly the virtual routers that listen, or close the socket when there is none."""
        shared = self._ears[key]
        if not shared.users:
            self._loop.forget(shared.ear.fileno())
            shared.ear.close()
            del self._ears[key]
            return
        vrids = {self._opened[name].settings.vrid for name in shared.users}
        if vrids != shared.vrids:
            shared.vrids = vrids
            shared.ear.listen(vrids)

    # --- packets --------------------------------------------------------------------------------

    def _on_packets(self, key: EarKey, _events: int) -> None:
        for _ in range(MAX_PACKETS):
            shared = self._ears.get(key)
            packet = shared.ear.receive() if shared is not None else None
            if packet is None or shared is None:
                return
            try:
                arrival = self._decode(key, shared, packet)
            except WireError as error:
                self._on_refusal(key[0], error)
                continue
            self._on_arrival(arrival)
            if len(shared.vrids) == 1:
                return  # hardly ever a second one: the loop comes back for it

    @staticmethod
    def _decode(key: EarKey, shared: _SharedEar, packet: bytes) -> Arrival:
        interface, version, protocol = key
        if protocol == PROTOCOL_VRRP:
            return shared.hearing.decode(packet, interface, version)
        assert protocol == PROTOCOL_AUTHENTICATION
        failure = WireError("authentication-header", "no instance here has one")
        for password in shared.keys.values():
            try:
                return decode_sealed(packet, interface, password)
            except WireError as error:
                failure = error
        raise failure
