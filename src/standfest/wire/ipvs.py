"""The kernel's IPVS as generic netlink: services, destinations, sync daemons, both ways.

Source: linux/ip_vs.h (uapi) as a list of names and numbers, ipvsadm(8);
facts/DATAPLANE.md section 3.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address
from typing import Final

from standfest.model.balancing import Forwarding, Method, TunnelType
from standfest.model.errors import WireError
from standfest.model.forwarding import (
    Counters,
    Destination,
    DestinationKey,
    IPAddress,
    ServiceKey,
    ServiceOptions,
)
from standfest.model.ipvstable import ListedConnection, Rates
from standfest.model.vrrp import Family
from standfest.wire import netlink as nl

AF_INET: Final = 2
AF_INET6: Final = 10
FAMILY_NAME: Final = "IPVS"
VERSION: Final = 1

NEW_SERVICE, SET_SERVICE, DEL_SERVICE, GET_SERVICE = 1, 2, 3, 4
NEW_DEST, SET_DEST, DEL_DEST, GET_DEST = 5, 6, 7, 8
NEW_DAEMON, DEL_DAEMON, GET_DAEMON = 9, 10, 11
SET_CONFIG, GET_CONFIG, SET_INFO, GET_INFO, ZERO, FLUSH = 12, 13, 14, 15, 16, 17

_CMD_SERVICE, _CMD_DEST, _CMD_DAEMON, _CMD_TCP, _CMD_FIN, _CMD_UDP = 1, 2, 3, 4, 5, 6

_AF, _PROTOCOL, _ADDR, _PORT, _FWMARK, _SCHED, _FLAGS, _TIMEOUT, _NETMASK = range(1, 10)
_PE = 11
_STATS, _STATS64 = 10, 12
_D_ADDR, _D_PORT, _D_FORWARD, _D_WEIGHT, _D_UPPER, _D_LOWER = range(1, 7)
_D_ACTIVE, _D_INACTIVE, _D_PERSISTENT, _D_STATS, _D_AF, _D_STATS64 = 7, 8, 9, 10, 11, 12
_D_TUN_TYPE, _D_TUN_PORT, _D_TUN_FLAGS = 13, 14, 15
_M_STATE, _M_IFN, _M_ID, _M_MAXLEN, _M_GROUP, _M_GROUP6, _M_PORT, _M_TTL = range(1, 9)
_S_CONNECTIONS, _S_IN, _S_OUT, _S_IN_BYTES, _S_OUT_BYTES = range(1, 6)
_S_RATES = range(6, 11)
_I_VERSION, _I_SIZE = 1, 2

_PERSISTENT, _HASHED, _ONE_PACKET, _FLAG_1, _FLAG_2, _FLAG_3 = 1, 2, 4, 8, 16, 32
_SCHEDULER_FLAGS = {
    "flag-1": _FLAG_1,
    "flag-2": _FLAG_2,
    "flag-3": _FLAG_3,
    "sh-fallback": _FLAG_1,
    "sh-port": _FLAG_2,
    "mh-fallback": _FLAG_1,
    "mh-port": _FLAG_2,
}
_FORWARD = {Forwarding.NAT: 0, Forwarding.TUNNEL: 2, Forwarding.DIRECT: 3}
_FORWARDING = {number: word for word, number in _FORWARD.items()}
_LOCAL = 1
_TUNNEL = {TunnelType.IPIP: 0, TunnelType.GUE: 1, TunnelType.GRE: 2}
_TUNNELS = {number: word for word, number in _TUNNEL.items()}
_CHECKSUM = {"": 0, "nocsum": 0, "csum": 1, "remcsum": 2}
_PROTOCOLS = {"TCP": 6, "UDP": 17, "SCTP": 132}
_PROTOCOL_NAMES = {number: word for word, number in _PROTOCOLS.items()}

MASTER, BACKUP = 1, 2
"""Sync daemon states: sends connections, receives them; both may run."""


@dataclass(frozen=True, slots=True)
class Daemon:
    """A running sync daemon."""

    state: int
    interface: str
    id: int
    max_length: int = 0
    group: IPAddress | None = None
    port: int = 0
    ttl: int = 0


# --- requests ------------------------------------------------------------------------------------


def service(key: ServiceKey, options: ServiceOptions | None = None) -> bytes:
    """Return a service, by its key alone or with how it chooses."""
    six = key.family is Family.IPV6
    parts = [nl.u16(_AF, AF_INET6 if six else AF_INET)]
    if key.address is None:
        parts.append(nl.u32(_FWMARK, key.mark))
    else:
        parts += [
            nl.u16(_PROTOCOL, _PROTOCOLS[key.protocol]),
            nl.attribute(_ADDR, _packed(key.address)),
            nl.be16(_PORT, key.port),
        ]
    if options is not None:
        parts += [
            nl.text(_SCHED, options.scheduler),
            nl.attribute(_FLAGS, struct.pack("=II", _flags(options), 0xFFFFFFFF)),
            nl.u32(_TIMEOUT, options.timeout),
            nl.attribute(_NETMASK, _mask(options, six)),
        ]
        if options.engine:
            parts.append(nl.text(_PE, options.engine))
    return nl.nested(_CMD_SERVICE, *parts)


def destination(key: DestinationKey, value: Destination | None = None) -> bytes:
    """Return a destination, by its key alone or with how it is reached."""
    six = key.address.version == 6
    parts = [
        nl.attribute(_D_ADDR, _packed(key.address)),
        nl.be16(_D_PORT, key.port),
        nl.u16(_D_AF, AF_INET6 if six else AF_INET),
    ]
    if value is not None:
        method = value.method
        parts += [
            nl.u32(_D_FORWARD, _FORWARD[method.forwarding]),
            nl.u32(_D_WEIGHT, value.weight),
            nl.u32(_D_UPPER, value.upper),
            nl.u32(_D_LOWER, value.lower),
        ]
        if method.forwarding is Forwarding.TUNNEL and method.tunnel is not TunnelType.IPIP:
            parts += [
                nl.u8(_D_TUN_TYPE, _TUNNEL[method.tunnel]),
                nl.be16(_D_TUN_PORT, method.port),
                nl.u16(_D_TUN_FLAGS, _CHECKSUM[method.checksum]),
            ]
    return nl.nested(_CMD_DEST, *parts)


def daemon(
    state: int,
    *,
    interface: str = "",
    id: int = 0,
    max_length: int = 0,
    port: int = 0,
    ttl: int = 0,
    group: IPAddress | None = None,
) -> bytes:
    """Return a sync daemon to start; with its state alone, the one to stop."""
    parts = [nl.u32(_M_STATE, state)]
    if interface:
        parts += [nl.text(_M_IFN, interface), nl.u32(_M_ID, id)]
    if max_length:
        parts.append(nl.u16(_M_MAXLEN, max_length))
    if group is not None:
        kind = _M_GROUP6 if group.version == 6 else _M_GROUP
        parts.append(nl.attribute(kind, group.packed))
    if port:
        parts.append(nl.u16(_M_PORT, port))
    if ttl:
        parts.append(nl.u8(_M_TTL, ttl))
    return nl.nested(_CMD_DAEMON, *parts)


def timeouts(tcp_s: int, tcp_fin_s: int, udp_s: int) -> bytes:
    """Return timeouts of idle connections in seconds, 0: as it is."""
    return nl.u32(_CMD_TCP, tcp_s) + nl.u32(_CMD_FIN, tcp_fin_s) + nl.u32(_CMD_UDP, udp_s)


def _flags(options: ServiceOptions) -> int:
    flags = _PERSISTENT if options.timeout else 0
    flags |= _ONE_PACKET if options.one_packet else 0
    for word in options.flags:
        flags |= _SCHEDULER_FLAGS.get(word, 0)
    return flags


def _mask(options: ServiceOptions, six: bool) -> bytes:
    if six:
        length = options.mask if isinstance(options.mask, int) else 128
        return struct.pack("=I", length)
    mask = options.mask if isinstance(options.mask, IPv4Address) else IPv4Address("255.255.255.255")
    return mask.packed


def _packed(address: IPAddress) -> bytes:
    return address.packed.ljust(16, b"\0")


# --- answers -------------------------------------------------------------------------------------


def read_service(body: bytes) -> tuple[ServiceKey, ServiceOptions]:
    """Return the service in an answer; raises WireError("ipvs-service")."""
    found = _inner(body, _CMD_SERVICE)
    family = _family(nl.number(found, _AF))
    mark = nl.number(found, _FWMARK)
    if mark:
        key = ServiceKey(family, "", None, 0, mark)
    else:
        protocol = _PROTOCOL_NAMES.get(nl.number(found, _PROTOCOL))
        if protocol is None:
            raise WireError("ipvs-service", "unknown protocol")
        key = ServiceKey(family, protocol, _address(found, _ADDR, family), _port(found, _PORT))
    flags = struct.unpack("=II", found.get(_FLAGS, bytes(8))[:8].ljust(8, b"\0"))[0]
    scheduler = nl.string(found, _SCHED)
    return key, ServiceOptions(
        scheduler=scheduler,
        flags=_words(scheduler, flags),
        timeout=nl.number(found, _TIMEOUT) if flags & _PERSISTENT else 0,
        mask=_read_mask(found, family) if flags & _PERSISTENT else None,
        engine=nl.string(found, _PE),
        one_packet=bool(flags & _ONE_PACKET),
    )


def read_destination(body: bytes) -> tuple[DestinationKey, Destination, Counters]:
    """Return the destination in an answer; raises WireError("ipvs-destination")."""
    found = _inner(body, _CMD_DEST)
    family = _family(nl.number(found, _D_AF, AF_INET))
    key = DestinationKey(_address(found, _D_ADDR, family), _port(found, _D_PORT))
    forward = nl.number(found, _D_FORWARD) & 0x7
    # A server on the director itself: the kernel says LOCAL whatever was asked for.
    forwarding = Forwarding.NAT if forward == _LOCAL else _FORWARDING.get(forward)
    if forwarding is None:
        raise WireError("ipvs-destination", "unknown forwarding")
    method = Method(forwarding)
    if forwarding is Forwarding.TUNNEL:
        kind = _TUNNELS.get(nl.number(found, _D_TUN_TYPE), TunnelType.IPIP)
        if kind is not TunnelType.IPIP:
            checksum = nl.number(found, _D_TUN_FLAGS)
            word = {1: "csum", 2: "remcsum"}.get(checksum, "nocsum")
            method = Method(forwarding, kind, _port(found, _D_TUN_PORT), word)
    value = Destination(
        method,
        nl.number(found, _D_WEIGHT),
        nl.number(found, _D_UPPER),
        nl.number(found, _D_LOWER),
    )
    return key, value, _counters(found)


def read_daemon(body: bytes) -> Daemon:
    """Return the sync daemon in an answer."""
    found = _inner(body, _CMD_DAEMON)
    state, number = nl.number(found, _M_STATE), nl.number(found, _M_ID)
    group: IPAddress | None = None
    for kind, size in ((_M_GROUP, 4), (_M_GROUP6, 16)):
        if len(found.get(kind, b"")) == size:
            group = ip_address(found[kind])
    return Daemon(
        state,
        nl.string(found, _M_IFN),
        number,
        nl.number(found, _M_MAXLEN),
        group,
        nl.number(found, _M_PORT),
        nl.number(found, _M_TTL),
    )


def read_service_counters(body: bytes) -> tuple[Counters, Rates]:
    """Return what a service has carried, and carries a second."""
    found = _inner(body, _CMD_SERVICE)
    stats = nl.values(found.get(_STATS64) or found.get(_STATS, b""))
    return _counters(found), _rates(stats)


def read_destination_rates(body: bytes) -> tuple[Rates, int]:
    """Return what a server carries a second, and how many clients are remembered for it."""
    found = _inner(body, _CMD_DEST)
    stats = nl.values(found.get(_D_STATS64) or found.get(_D_STATS, b""))
    return _rates(stats), nl.number(found, _D_PERSISTENT)


def read_info(body: bytes) -> tuple[int, int]:
    """Return IPVS's version (a byte for each of three numbers) and the size of its table."""
    found = nl.values(body)
    return nl.number(found, _I_VERSION), nl.number(found, _I_SIZE)


def read_timeouts(body: bytes) -> tuple[int, int, int]:
    """Return the timeouts of TCP, TCP after FIN, and UDP, in seconds."""
    found = nl.values(body)
    tcp, fin, udp = (nl.number(found, kind) for kind in (_CMD_TCP, _CMD_FIN, _CMD_UDP))
    return tcp, fin, udp


def read_connections(text: str, *, engines: bool = False) -> list[ListedConnection]:
    """Return the connections in the text of /proc/net/ip_vs_conn; engines: with their data.

    A line that is not understood raises WireError("ipvs-connection").
    """
    found = []
    for line in text.splitlines()[1:]:
        words = line.split()
        try:
            client, virtual, server = (
                DestinationKey(_hexadecimal(words[at]), int(words[at + 1], 16)) for at in (1, 3, 5)
            )
            state, expires = words[7], int(words[8])
        except (IndexError, ValueError):
            raise WireError("ipvs-connection", line[:100]) from None
        engine = " ".join(words[9:]) if engines else ""
        found.append(ListedConnection(words[0], client, virtual, server, state, expires, engine))
    return found


def _hexadecimal(text: str) -> IPAddress:
    """Return `7F000001`, or `[2001:...]` without compression, as an address."""
    if text.startswith("["):
        return ip_address(text.strip("[]"))
    return ip_address(int(text, 16)) if len(text) == 8 else ip_address(text)


def _inner(body: bytes, kind: int) -> dict[int, bytes]:
    found = nl.values(body).get(kind)
    if found is None:
        raise WireError("ipvs-answer", f"no attribute {kind}")
    return nl.values(found)


def _family(number: int) -> Family:
    if number == AF_INET6:
        return Family.IPV6
    return Family.IPV4


def _address(found: Mapping[int, bytes], kind: int, family: Family) -> IPAddress:
    size = 16 if family is Family.IPV6 else 4
    raw = found.get(kind, b"")[:size]
    if len(raw) != size:
        raise WireError("ipvs-answer", "address too short")
    return ip_address(raw)


def _port(found: Mapping[int, bytes], kind: int) -> int:
    return int.from_bytes(found.get(kind, b"\0\0")[:2], "big")


def _words(scheduler: str, flags: int) -> tuple[str, ...]:
    prefix = scheduler if scheduler in ("sh", "mh") else ""
    names = (f"{prefix}-fallback", f"{prefix}-port") if prefix else ("flag-1", "flag-2")
    pairs = zip((*names, "flag-3"), (_FLAG_1, _FLAG_2, _FLAG_3), strict=True)
    return tuple(name for name, bit in pairs if flags & bit)


def _read_mask(found: Mapping[int, bytes], family: Family) -> IPv4Address | int | None:
    raw = found.get(_NETMASK, b"")
    if len(raw) != 4:
        return None
    if family is Family.IPV6:
        length: int = struct.unpack("=I", raw)[0]
        return None if length == 128 else length
    return None if raw == b"\xff" * 4 else IPv4Address(raw)


def _rates(stats: dict[int, bytes]) -> Rates:
    return Rates(*(nl.number(stats, kind) for kind in _S_RATES))


def _counters(found: Mapping[int, bytes]) -> Counters:
    stats = nl.values(found.get(_D_STATS64) or found.get(_D_STATS, b""))
    numbers = dict(found)
    return Counters(
        connections=nl.number(stats, _S_CONNECTIONS),
        packets_in=nl.number(stats, _S_IN),
        packets_out=nl.number(stats, _S_OUT),
        bytes_in=nl.number(stats, _S_IN_BYTES),
        bytes_out=nl.number(stats, _S_OUT_BYTES),
        active=nl.number(numbers, _D_ACTIVE),
        inactive=nl.number(numbers, _D_INACTIVE),
    )
