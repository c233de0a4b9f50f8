"""Which services are elsewhere: `ha_suspend` checks servers only where the address is."""

from collections.abc import Set as AbstractSet
from ipaddress import IPv4Address, IPv6Address

from standfest.model.balancing import AddressService, BalancerSettings, GroupService, MarkService


def absent(
    settings: BalancerSettings, here: AbstractSet[IPv4Address | IPv6Address]
) -> frozenset[int]:
    """Return the positions of the services that want it and none of whose addresses is here.

    A service by mark has no address: it is never elsewhere.
    """
    return frozenset(
        number
        for number, service in enumerate(settings.services)
        if service.suspend and not _is_here(service.service, settings, here)
    )


def matters(settings: BalancerSettings) -> bool:
    """Return whether anybody asks where addresses are."""
    return any(service.suspend for service in settings.services)


def _is_here(
    service: AddressService | MarkService | GroupService,
    settings: BalancerSettings,
    here: AbstractSet[IPv4Address | IPv6Address],
) -> bool:
    match service:
        case AddressService(ip):
            return ip in here
        case MarkService():
            return True
        case GroupService(name):
            ranges = [part for g in settings.groups if g.name == name for part in g.ranges]
            marks = [mark for g in settings.groups if g.name == name for mark in g.marks]
            return bool(marks) or any(
                ip.version == part.first.version and int(part.first) <= int(ip) <= int(part.last)
                for part in ranges
                for ip in here
            )
