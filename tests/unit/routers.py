"""What the tests of virtual routers share: settings, arrivals, and short names for effects."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from standfest.core.vrrp.dependencies import InterfaceReport
from standfest.core.vrrp.director import Director
from standfest.core.vrrp.effects import (
    AddAddresses,
    Alert,
    Announce,
    Dropped,
    Effects,
    Notify,
    RemoveAddresses,
    SendAdvertisement,
)
from standfest.core.vrrp.instance import Instance
from standfest.model.advertisement import Advertisement, Arrival
from standfest.model.director import DirectorSettings
from standfest.model.time import Duration, Instant, seconds
from standfest.model.vrrp import (
    MULTICAST_IPV4,
    MULTICAST_IPV6,
    Family,
    InstanceSettings,
    VirtualAddress,
)

OWN, BOB, CAROL = IPv4Address("10.77.0.5"), IPv4Address("10.77.0.9"), IPv4Address("10.77.0.2")
"""Ours; a higher address; a lower address."""

VIP = VirtualAddress(IPv4Address("10.77.0.100"), 24)
VIP2 = VirtualAddress(IPv4Address("10.77.0.101"), 24)
ALIEN = VirtualAddress(IPv4Address("10.99.0.1"), 24)
SECOND = seconds(1)
MAC = bytes.fromhex("020000000009")


def settings(**change: Any) -> InstanceSettings:
    """Return version 3, VRID 51, priority 100, 1 s, 10.77.0.100, changed."""
    return replace(
        InstanceSettings("gw", "eth0", 51, (VIP,), version=3, priority=100, source=OWN), **change
    )


def backup(now: Instant = 0, **change: Any) -> Instance:
    """Return an instance that has started at `now` and is Backup."""
    instance = Instance(settings(**change))
    instance.start(now)
    return instance


def active(now: Instant = 0, **change: Any) -> Instance:
    """Return an instance that has become Active at `now`."""
    instance = backup(now, **change)
    instance.promote(now)
    return instance


def heard(
    priority: int,
    *,
    source: IPv4Address | IPv6Address = BOB,
    interval: Duration = SECOND,
    vips: tuple[VirtualAddress, ...] = (VIP,),
    version: int = 3,
    ttl: int = 255,
    destination: str = "",
    vrid: int = 51,
    interface: str = "eth0",
    **more: Any,
) -> Arrival:
    """Return an advertisement as it arrives."""
    family = Family(source.version)
    group = MULTICAST_IPV4 if family is Family.IPV4 else MULTICAST_IPV6
    block = b"".join(vip.ip.packed for vip in vips)
    told = Advertisement(family, version, vrid, priority, interval, block, **more)
    to = ip_address(destination) if destination else group
    return Arrival(interface, source.packed, to.packed, ttl, told)


def sent(effects: Effects) -> list[int]:
    """Return the priorities that were sent."""
    return [e.advertisement.priority for e in effects if isinstance(e, SendAdvertisement)]


def told(effects: Effects) -> list[str]:
    """Return what operators are told, `NAME STATE`."""
    return [f"{e.name} {e.state}" for e in effects if isinstance(e, Notify)]


def kinds(effects: Effects) -> list[str]:
    """Return the names of the effects in their order."""
    return [type(effect).__name__ for effect in effects]


def alerts(effects: Effects) -> list[str]:
    """Return the kinds of the alerts."""
    return [e.kind.value for e in effects if isinstance(e, Alert)]


def dropped(effects: Effects) -> list[str]:
    """Return the reasons of refusals."""
    return [e.reason.value for e in effects if isinstance(e, Dropped)]


def added(effects: Effects) -> list[str]:
    """Return the addresses that are added."""
    return [str(a.ip) for e in effects if isinstance(e, AddAddresses) for a in e.addresses]


def removed(effects: Effects) -> list[str]:
    """Return the addresses that are removed."""
    return [str(a.ip) for e in effects if isinstance(e, RemoveAddresses) for a in e.addresses]


def announced(effects: Effects) -> list[int]:
    """Return how often addresses are announced."""
    return [e.count for e in effects if isinstance(e, Announce)]


def director(*instances: InstanceSettings, now: Instant = 0, **change: Any) -> Director:
    """Return a director of these instances, interfaces up, not started."""
    made = Director(DirectorSettings(instances=instances, **change))
    for interface in sorted({one.interface for one in instances}):
        made.on_interface(now, InterfaceReport(interface, True, (OWN, IPv6Address("fe80::5"))))
    return made


def until(made: Director | Instance, end: Instant) -> list[tuple[Instant, Effects]]:
    """Run the timer up to and including `end`; return what happened when."""
    found: list[tuple[Instant, Effects]] = []
    for _ in range(100_000):
        at = made.deadline()
        if at is None or at > end:
            return found
        found.append((at, made.on_timer(at)))
    raise AssertionError("the timer never rests")
