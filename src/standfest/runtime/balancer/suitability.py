"""Which data plane suits a configuration: what it needs, what a backend lacks, whom to ask first.

Source: facts/DATAPLANE.md section 6, "Order of choice".
"""

from collections.abc import Iterator, Mapping

from standfest.core.balancer.slots import INSTEAD
from standfest.model.balancing import (
    AddressService,
    BalancerSettings,
    Forwarding,
    GroupService,
    MarkService,
    VirtualService,
)
from standfest.model.forwarding import CLIENT_HEADER
from standfest.ports.balancer import Capabilities

MAX_TOLD = 20
"""Shortcomings that are listed; more of them say the same."""


def order(settings: BalancerSettings) -> tuple[str, ...]:
    """Return the backends that `auto` tries, the first that suits is taken.

    xdp is not among them: it takes packets before the machine's own filter sees them, which its
    owner has to want. proxy cannot show a server the client's address unless the server joins in,
    so it comes last.
    """
    sync = settings.sync_daemon
    if sync is not None and not sync.key_file:
        return ("ipvs", "nftables", "proxy")
    return ("nftables", "ipvs", "proxy")


def lacks(name: str, able: Capabilities, settings: BalancerSettings) -> tuple[str, ...]:
    """Return what a backend cannot do of a configuration, one line each, with the alternative."""
    found: list[str] = []
    sync = settings.sync_daemon
    if able.sync and sync is not None and sync.key_file:
        found.append(
            f"lvs_sync_key_file: {name}'s own daemon signs nothing; expected none, "
            "or --backend nftables"
        )
    for service in settings.services:
        for line in _service(name, able, service, settings):
            found.append(f"virtual_server {title(service)}: {line}")
            if len(found) >= MAX_TOLD:
                return tuple(found)
    return tuple(found)


def title(service: VirtualService) -> str:
    """Return how an operator knows a service, as keepalived.conf names it."""
    match service.service:
        case AddressService(ip, port):
            return f"{ip} {port}"
        case MarkService(mark):
            return f"fwmark {mark}"
        case GroupService(name):
            return f"group {name}"


def _service(
    name: str, able: Capabilities, service: VirtualService, settings: BalancerSettings
) -> Iterator[str]:
    if service.scheduler not in able.schedulers:
        nearest = INSTEAD.get(service.scheduler, "wrr")
        instead = nearest if nearest in able.schedulers else min(able.schedulers, default="none")
        yield f"{name} has no scheduler {service.scheduler}; expected {_or(instead, name)}"
    for method in sorted({m.value for m in _methods(service)} - able.methods):
        has = " or ".join(sorted(able.methods))
        yield f"{name} cannot forward by {method}; expected {_or(has, name)}"
    if service.persistence is not None and not able.persistence:
        yield f"{name} has no persistence; expected {_or('scheduler sh', name)}"
    if 6 in _versions(service, settings) and not able.ipv6:
        yield f"{name} has no IPv6; expected {_or('IPv4 addresses', name)}"
    yield from _reached(name, able, service, settings)
    if CLIENT_HEADER in service.flags and not able.client_header:
        yield f"{name} adds nothing to connections; expected no {CLIENT_HEADER}, or --backend proxy"


def _reached(
    name: str, able: Capabilities, service: VirtualService, settings: BalancerSettings
) -> Iterator[str]:
    """Yield what a backend lacks of how a service is reached."""
    ports, marks = [], False
    match service.service:
        case AddressService(_, port):
            ports = [port]
        case MarkService():
            marks = True
        case GroupService(title):
            group = next((group for group in settings.groups if group.name == title), None)
            if group is not None:
                ports = [part.port for part in group.ranges]
                marks = bool(group.marks)
    if marks and not able.marks:
        yield f"{name} sees no packet marks; expected {_or('an address', name)}"
    if 0 in ports and not able.all_ports:
        yield f"{name} has no service for all ports; expected {_or('a port', name)}"
    if ports and service.protocol.value not in able.protocols:
        has = " or ".join(sorted(able.protocols))
        yield f"{name} has no {service.protocol.value}; expected {_or(has, name)}"


def _or(first: str, name: str) -> str:
    """Return an alternative with another backend; ipvs has none that could do more."""
    return first if name == "ipvs" else f"{first}, or --backend ipvs"


def _methods(service: VirtualService) -> Iterator[Forwarding]:
    for server in service.servers:
        yield server.method.forwarding
    if service.sorry_server is not None:
        yield service.sorry_server.method.forwarding


def _versions(service: VirtualService, settings: BalancerSettings) -> set[int]:
    found: set[int] = {server.ip.version for server in service.servers}
    match service.service:
        case AddressService(ip):
            found.add(ip.version)
        case GroupService(name):
            groups: Mapping[str, tuple[int, ...]] = {
                group.name: tuple(part.first.version for part in group.ranges)
                for group in settings.groups
            }
            found.update(groups.get(name, ()))
        case MarkService():
            pass
    return found
