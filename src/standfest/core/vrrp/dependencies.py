"""What each instance needs of this machine: interfaces, source addresses, what it tracks."""

from dataclasses import dataclass

from standfest.core.vrrp.tracking import Assessment, Tracked
from standfest.core.vrrp.units import Unit
from standfest.model.director import DirectorSettings
from standfest.model.vrrp import (
    Family,
    InstanceSettings,
    IPAddress,
    SyncGroup,
    Track,
    TrackKind,
)


@dataclass(frozen=True, slots=True)
class InterfaceReport:
    """What is known of an interface; addresses in the kernel's order, virtual ones included."""

    name: str
    up: bool
    addresses: tuple[IPAddress, ...] = ()


class Dependencies:
    """Answers what an instance lacks, and who depends on what."""

    def __init__(self) -> None:
        self.tracked = Tracked()
        self._reports: dict[str, InterfaceReport] = {}
        self._virtual: frozenset[IPAddress] = frozenset()
        self._users: dict[tuple[TrackKind, str], list[Unit]] = {}

    def arrange(self, settings: DirectorSettings, units: tuple[Unit, ...]) -> None:
        """Take new settings; what is known of the machine stays known."""
        self._virtual = frozenset(
            address.ip
            for instance in settings.instances
            for address in (*instance.addresses, *instance.excluded)
        )
        self._users = {}
        for unit in units:
            for kind, name in dict.fromkeys(_keys(unit)):
                self._users.setdefault((kind, name), []).append(unit)

    def users(self, kind: TrackKind, name: str) -> tuple[Unit, ...]:
        """Return the units that depend on something."""
        return tuple(self._users.get((kind, name), ()))

    def is_used(self, kind: TrackKind, name: str) -> bool:
        """Return whether anything depends on it."""
        return (kind, name) in self._users

    def report(self, report: InterfaceReport) -> None:
        """Note the addresses of an interface; whether it is up is noted by the director."""
        self._reports[report.name] = report

    def is_up(self, interface: str) -> bool:
        """Return whether an interface is there and up."""
        return self.tracked.is_up(TrackKind.INTERFACE, interface) is True

    def source(self, settings: InstanceSettings) -> bytes:
        """Return the packed address to send from, or b"" when there is none.

        IPv6 multicast comes from a link-local address (RFC 9568 section 5.1.2.1). Virtual addresses
        are nobody's own.
        """
        if settings.source is not None:
            return settings.source.packed
        report = self._reports.get(settings.interface)
        own = [
            address
            for address in (report.addresses if report else ())
            if address.version == settings.family and address not in self._virtual
        ]
        if settings.family is Family.IPV6:
            own.sort(key=lambda address: address.is_link_local is settings.unicast)
            if own and not own[0].is_link_local and not settings.unicast:
                return b""
        return own[0].packed if own else b""

    def assess(self, settings: InstanceSettings, group: SyncGroup | None) -> Assessment:
        """Return what an instance lacks, its group's dependencies included.

        A member's own weights count as 0 unless the group says otherwise: members whose priorities
        drift apart could never change together.
        """
        weighted = group is None or group.tracking_weight
        found = Assessment(self._own_faults(settings))
        found += self.tracked.assess(settings.tracks, weighted=weighted)
        if group is not None:
            found += self.tracked.assess(group.tracks, weighted=True)
        return found

    def _own_faults(self, settings: InstanceSettings) -> tuple[str, ...]:
        faults = []
        interface = settings.interface
        if interface and settings.track_primary and not self.is_up(interface):
            faults.append(f"interface {interface} is down")
        if interface and not self.source(settings):
            faults.append(f"interface {interface} has no IPv{settings.family.value} address")
        if settings.track_source and settings.source is not None:
            report = self._reports.get(interface)
            if report is None or settings.source not in report.addresses:
                faults.append(f"source address {settings.source} is not there")
        if settings.unicast and not settings.unicast_peers and settings.unicast_fault_no_peer:
            faults.append("there is no unicast peer")
        return tuple(faults)


def _keys(unit: Unit) -> list[tuple[TrackKind, str]]:
    tracks: list[Track] = [track for one in unit.members for track in one.settings.tracks]
    if unit.group is not None:
        tracks += unit.group.tracks
    keys = [(track.kind, track.name) for track in tracks]
    return keys + [(TrackKind.INTERFACE, one.settings.interface) for one in unit.members]
