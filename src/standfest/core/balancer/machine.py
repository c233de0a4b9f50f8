"""All virtual services of a director: from what checkers find to the table that is wanted.

Source: keepalived.conf(5), "Virtual server"; DESIGN.md section 3, "Balancer".
"""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address

from standfest.core.balancer.pool import Pool
from standfest.model.balancing import (
    AddressService,
    BalancerSettings,
    GroupService,
    MarkService,
    ServiceGroup,
    VirtualService,
)
from standfest.model.forwarding import Service, ServiceKey, ServiceOptions, service_key
from standfest.model.time import NANOSECONDS_PER_SECOND, Instant, earliest
from standfest.model.vrrp import Family

MAX_KEYS = 65_536
"""Addresses that all groups together may list; a /16 is a slip, not a plan."""


class Balancer:
    """The pools of a configuration, by position, and the table that they come to."""

    def __init__(self, settings: BalancerSettings) -> None:
        self.settings = settings
        self.pools = [
            Pool(number, service, slow_start=settings.slow_start)
            for number, service in enumerate(settings.services)
        ]
        self._keys = [tuple(keys_of(service, settings)) for service in settings.services]

    def table(self) -> dict[ServiceKey, Service]:
        """Return everything that should be forwarded now."""
        found: dict[ServiceKey, Service] = {}
        for number in range(len(self.pools)):
            found.update(self.part(number))
        return found

    def part(self, number: int) -> dict[ServiceKey, Service]:
        """Return what should be forwarded for one pool."""
        pool = self.pools[number]
        service = Service(options_of(pool.settings), pool.destinations())
        return dict.fromkeys(self._keys[number], service)

    def keys_of(self, number: int) -> tuple[ServiceKey, ...]:
        """Return everything that one pool is reached at."""
        return self._keys[number]

    def keys(self) -> frozenset[ServiceKey]:
        """Return the services that are ours: what is removed when it is no longer wanted."""
        return frozenset(key for keys in self._keys for key in keys)

    def reload(self, settings: BalancerSettings) -> "Balancer":
        """Return the balancer of another configuration; servers in both keep what is known of them.

        A service is the same when it is reached alike, a server when address and port are.
        """
        fresh = Balancer(settings)
        known = {identity(pool.settings): pool for pool in self.pools}
        for pool in fresh.pools:
            before = known.get(identity(pool.settings))
            if before is not None:
                pool.inherit(before)
        return fresh

    def deadline(self) -> Instant | None:
        """Return when `on_timer` is due."""
        return earliest(*(pool.deadline() for pool in self.pools))

    def on_timer(self, now: Instant) -> None:
        """Let what rises rise."""
        for pool in self.pools:
            pool.on_timer(now)


def identity(service: VirtualService) -> tuple[object, str]:
    """Return what makes two services of two configurations the same one."""
    return service.service, service.protocol.value


def options_of(service: VirtualService) -> ServiceOptions:
    """Return how a service chooses."""
    persistence = service.persistence
    return ServiceOptions(
        scheduler=service.scheduler,
        flags=service.flags,
        timeout=persistence.timeout // NANOSECONDS_PER_SECOND if persistence else 0,
        mask=persistence.mask if persistence else None,
        engine=persistence.engine if persistence else "",
        one_packet=service.one_packet,
    )


def keys_of(service: VirtualService, settings: BalancerSettings) -> Iterator[ServiceKey]:
    """Yield every address or mark that a service is reached at."""
    match service.service:
        case AddressService(ip, port):
            yield service_key(service.protocol, ip, port)
        case MarkService(mark, family):
            yield service_key(
                service.protocol, None, mark=mark, family=family or _family_of(service)
            )
        case GroupService(name):
            group = next((g for g in settings.groups if g.name == name), None)
            assert group is not None, "whoever compiled the configuration has found it"
            yield from _group_keys(service, group)


def _group_keys(service: VirtualService, group: ServiceGroup) -> Iterator[ServiceKey]:
    for part in group.ranges:
        count = int(part.last) - int(part.first) + 1
        assert count <= MAX_KEYS, "whoever compiled the configuration has counted"
        kind: type[IPv4Address] | type[IPv6Address] = type(part.first)
        for offset in range(count):
            yield service_key(service.protocol, kind(int(part.first) + offset), part.port)
    for mark in group.marks:
        family = mark.family or _family_of(service)
        yield service_key(service.protocol, None, mark=mark.mark, family=family)


def _family_of(service: VirtualService) -> Family | None:
    if service.family is not None:
        return service.family
    return next((Family(server.ip.version) for server in service.servers), None)
