"""Tables of IPVS as ipvsadm 1.31 prints them, column by column."""

import errno
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from standfest.model.balancing import Forwarding, Method, TunnelType
from standfest.model.forwarding import (
    AddDestination,
    AddService,
    Change,
    Counters,
    DeleteDestination,
    DeleteService,
    Destination,
    DestinationKey,
    IPAddress,
    ServiceKey,
    ServiceOptions,
    SetDestination,
    SetService,
)
from standfest.model.ipvstable import (
    Columns,
    ListedConnection,
    ListedServer,
    ListedService,
    Rates,
)
from standfest.model.vrrp import Family

T = TypeVar("T")
ROUNDED_FROM = 100_000_000
_NUMBERS = {"TCP": 6, "UDP": 17, "SCTP": 132}
_FORWARD = {Forwarding.NAT: "Masq", Forwarding.DIRECT: "Route", Forwarding.TUNNEL: "Tunnel"}
_WAY = {Forwarding.NAT: "-m", Forwarding.DIRECT: "-g", Forwarding.TUNNEL: "-i"}
_OPTION = {"TCP": "-t", "UDP": "-u", "SCTP": "--sctp-service"}
_EXISTS, _NO_PROCESS, _NO_ENTRY = (
    os.strerror(number) for number in (errno.EEXIST, errno.ESRCH, errno.ENOENT)
)
_HEADS = {
    Columns.STATE: (
        "Prot LocalAddress:Port Scheduler Flags",
        "  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn",
    ),
    Columns.TUNNELS: (
        "Prot LocalAddress:Port Scheduler Flags",
        "  -> RemoteAddress:Port           Forward TunnelInfo    Weight ActiveConn InActConn",
    ),
    Columns.THRESHOLDS: (
        "Prot LocalAddress:Port            Uthreshold Lthreshold ActiveConn InActConn ",
        "  -> RemoteAddress:Port",
    ),
    Columns.PERSISTENT: (
        "Prot LocalAddress:Port            Weight    PersistConn ActiveConn InActConn ",
        "  -> RemoteAddress:Port",
    ),
    Columns.STATISTICS: (
        "Prot LocalAddress:Port               Conns   InPkts  OutPkts  InBytes OutBytes",
        "  -> RemoteAddress:Port",
    ),
    Columns.RATES: (
        "Prot LocalAddress:Port                 CPS    InPPS   OutPPS    InBPS   OutBPS",
        "  -> RemoteAddress:Port",
    ),
}


@dataclass(frozen=True, slots=True)
class Naming:
    """How addresses and ports are written: as numbers, or by name."""

    host: Callable[[IPAddress], str]
    port: Callable[[int, str], str]

    def endpoint(self, address: IPAddress, port: int, protocol: str) -> str:
        """Return `192.0.2.1:80`, `[2001:db8::1]:80`, `web1:http`."""
        host = self.host(address)
        return f"{host}:{self.port(port, protocol)}"


def plain_host(address: IPAddress) -> str:
    """Return an address as a number."""
    return f"[{address}]" if address.version == 6 else str(address)


def plain_port(port: int, _protocol: str) -> str:
    """Return a port as a number."""
    return str(port)


NUMERIC = Naming(plain_host, plain_port)


def first_line(version: int, size: int) -> str:
    """Return the line with IPVS's version."""
    numbers = ".".join(str(version >> shift & 0xFF) for shift in (16, 8, 0))
    return f"IP Virtual Server version {numbers} (size={size})"


def in_order(listed: Iterable[ListedService]) -> list[ListedService]:
    """Return services as ipvsadm sorts them; the servers of each, too."""
    return [
        replace(one, servers=tuple(merged(list(one.servers), _servers)))
        for one in merged(list(listed), _services)
    ]


def merged(items: list[T], compare: Callable[[T, T], int]) -> list[T]:
    """Sort by halves, as ipvsadm's C library does.

    IPv4 addresses compare in a circle, so that the result depends on the way: only the same way
    from the kernel's order gives the same lines.
    """
    if len(items) < 2:
        return items
    middle = len(items) // 2
    left, right = merged(items[:middle], compare), merged(items[middle:], compare)
    found: list[T] = []
    at, beside = 0, 0
    while at < len(left) and beside < len(right):
        if compare(left[at], right[beside]) <= 0:
            found.append(left[at])
            at += 1
        else:
            found.append(right[beside])
            beside += 1
    return found + left[at:] + right[beside:]


def _services(one: ListedService, other: ListedService) -> int:
    first, second = one.key, other.key
    if first.address is None or second.address is None:
        return first.mark - second.mark
    return (
        first.family - second.family
        or _NUMBERS.get(first.protocol, 0) - _NUMBERS.get(second.protocol, 0)
        or _addresses(first.address, second.address)
        or first.port - second.port
    )


def _servers(one: ListedServer, other: ListedServer) -> int:
    first, second = one.key, other.key
    versions = first.address.version - second.address.version
    addresses = 0 if versions else _addresses(first.address, second.address)
    return versions or addresses or first.port - second.port


def _addresses(one: IPAddress, other: IPAddress) -> int:
    """Compare two addresses: IPv4 as ipvsadm does, by their difference in 32 bits with a sign.

    So 10.0.0.1 comes before 100.0.0.1, that before 200.0.0.1, and that before 10.0.0.1.
    """
    if one.version == 6:
        return (int(one) > int(other)) - (int(one) < int(other))
    wrapped = (int(one) - int(other)) & 0xFFFFFFFF
    return wrapped - (1 << 32) if wrapped >> 31 else wrapped


def table(
    listed: Sequence[ListedService], columns: Columns, naming: Naming, *, exact: bool
) -> Iterator[str]:
    """Yield the lines of a listing, without the first."""
    yield from _HEADS[columns]
    for service in listed:
        yield _service(service, columns, naming, exact=exact)
        for server in service.servers:
            yield _server(service.key, server, columns, naming, exact=exact)


def _service(one: ListedService, columns: Columns, naming: Naming, *, exact: bool) -> str:
    name = _name(one.key, naming)
    if columns is Columns.STATISTICS:
        return f"{name:<33}" + _counted(one.counters, exact=exact)
    if columns is Columns.RATES:
        return f"{name:<33}" + _rated(one.rates, exact=exact)
    return f"{name} {_chooses(one.key, one.options)}"


def _name(key: ServiceKey, naming: Naming) -> str:
    if key.address is None:
        return f"FWM  {key.mark}" + (" IPv6" if key.family is Family.IPV6 else "")
    return f"{key.protocol:<4} {naming.endpoint(key.address, key.port, key.protocol)}"


def _chooses(key: ServiceKey, options: ServiceOptions) -> str:
    words = [options.scheduler]
    if options.flags:
        words.append(f"({','.join(options.flags)})")
    if options.timeout:
        words.append(f"persistent {options.timeout}")
        if options.mask is not None:
            words.append(f"mask {options.mask}")
        if options.engine:
            words.append(f"pe {options.engine}")
    if options.one_packet:
        words.append("ops")
    return " ".join(words)


def _server(
    service: ServiceKey, one: ListedServer, columns: Columns, naming: Naming, *, exact: bool
) -> str:
    name = naming.endpoint(one.key.address, one.key.port, service.protocol or "TCP")
    begin = f"  -> {name:<28}"
    if columns is Columns.STATISTICS:
        return begin + _counted(one.counters, exact=exact)
    if columns is Columns.RATES:
        return begin + _rated(one.rates, exact=exact)
    to, now = one.destination, f"{one.counters.active:<10} {one.counters.inactive:<10}"
    forward = _FORWARD[to.method.forwarding]
    match columns:
        case Columns.THRESHOLDS:
            return f"{begin} {to.upper:<10} {to.lower:<10} {now}"
        case Columns.PERSISTENT:
            return f"{begin} {to.weight:<9} {one.persistent:<11} {now}"
        case Columns.TUNNELS:
            return f"{begin} {forward:<7} {_tunnel(to.method):<13} {to.weight:<6} {now}"
        case _:
            return f"{begin} {forward:<7} {to.weight:<6} {now}"


def _tunnel(method: Method) -> str:
    if method.forwarding is not Forwarding.TUNNEL:
        return "n/a"
    words = [method.tunnel.value]
    if method.tunnel is TunnelType.GUE:
        words.append(str(method.port))
    if method.tunnel is not TunnelType.IPIP:
        words.append({"csum": "+c", "remcsum": "r+c"}.get(method.checksum, "-c"))
    return ":".join(words)


def _counted(counters: Counters, *, exact: bool) -> str:
    numbers = (
        *(counters.connections, counters.packets_in, counters.packets_out),
        *(counters.bytes_in, counters.bytes_out),
    )
    return "".join(_large(number, exact=exact) for number in numbers)


def _rated(rates: Rates, *, exact: bool) -> str:
    numbers = (
        *(rates.connections, rates.packets_in, rates.packets_out),
        *(rates.bytes_in, rates.bytes_out),
    )
    return "".join(_large(number, exact=exact) for number in numbers)


def _large(number: int, *, exact: bool) -> str:
    if exact or number < ROUNDED_FROM:
        return f" {number:>8}"
    for unit in "KMG":
        number //= 1000
        if number < ROUNDED_FROM:
            return f" {number:>7}{unit}"
    return f" {number // 1000:>7}T"


# --- commands that make the table again ----------------------------------------------------------


def saved(listed: Iterable[ListedService], naming: Naming) -> Iterator[str]:
    """Yield commands for `-R`; unlike ipvsadm's own, with thresholds."""
    for one in listed:
        service = _option(one.key, naming)
        yield f"-A {service} {_options(one.options)}"
        for server in one.servers:
            name = naming.endpoint(server.key.address, server.key.port, one.key.protocol or "TCP")
            yield f"-a {service} -r {name} {_reached(server.destination)}"


def _option(key: ServiceKey, naming: Naming) -> str:
    if key.address is None:
        return f"-f {key.mark}" + (" -6" if key.family is Family.IPV6 else "")
    endpoint = naming.endpoint(key.address, key.port, key.protocol)
    return f"{_OPTION[key.protocol]} {endpoint}"


def _options(options: ServiceOptions) -> str:
    words = [f"-s {options.scheduler}"]
    if options.timeout:
        words.append(f"-p {options.timeout}")
        if options.mask is not None:
            words.append(f"-M {options.mask}")
        if options.engine:
            words.append(f"--pe {options.engine}")
    if options.one_packet:
        words.append("-o")
    if options.flags:
        words.append(f"-b {','.join(options.flags)}")
    return " ".join(words)


def _reached(to: Destination) -> str:
    words = [_WAY[to.method.forwarding], f"-w {to.weight}"]
    if to.method.forwarding is Forwarding.TUNNEL:
        words.append(f"--tun-type {to.method.tunnel.value}")
        if to.method.tunnel is TunnelType.GUE:
            words.append(f"--tun-port {to.method.port}")
        if to.method.tunnel is not TunnelType.IPIP:
            words.append(f"--tun-{to.method.checksum or 'nocsum'}")
    if to.upper:
        words.append(f"-x {to.upper}")
    if to.lower:
        words.append(f"-y {to.lower}")
    return " ".join(words)


# --- connections ---------------------------------------------------------------------------------


def connections(found: Iterable[ListedConnection], naming: Naming) -> Iterator[str]:
    """Yield the lines of `-Lc`."""
    yield "IPVS connection entries"
    yield "pro expire state       source             virtual            destination"
    for one in found:

        def named(key: DestinationKey, protocol: str = one.protocol) -> str:
            return naming.endpoint(key.address, key.port, protocol)

        minutes, seconds = divmod(one.expires, 60)
        places = f"{named(one.client):<18} {named(one.virtual):<18} {named(one.server)}"
        engine = f" {one.engine}" if one.engine else ""
        yield f"{one.protocol:<3} {minutes:02d}:{seconds:02d}  {one.state:<11} {places}{engine}"


def refusal(change: Change, said: str) -> str:
    """Return in a sentence why the kernel refuses a change; said: what the backend has told."""
    reason = said.rpartition(": ")[2]
    match change:
        case AddService(key) if reason == _EXISTS:
            return f"there is a service {key} already"
        case AddService(_, options) | SetService(_, options) if reason == _NO_ENTRY:
            engine = f" or no persistence engine {options.engine}" if options.engine else ""
            return f"this kernel has no scheduler {options.scheduler}{engine}"
        case SetService(key) | DeleteService(key) if reason == _NO_PROCESS:
            return f"there is no service {key}"
        case AddDestination(service, key) if reason == _EXISTS:
            return f"{service} has the server {key} already"
        case SetDestination(service, key) | DeleteDestination(service, key) if reason == _NO_ENTRY:
            return f"{service} has no server {key}"
        case AddDestination(service) | SetDestination(service) | DeleteDestination(service) if (
            reason == _NO_PROCESS
        ):
            return f"there is no service {service}"
        case _:
            return said
