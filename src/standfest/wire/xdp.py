"""The records that the XDP balancer's program and its daemon share: values to bytes and back.

Numbers are in this machine's order, as a program loads them; addresses and ports are in the
network's, as packets have them. Offsets that the program uses stand beside each record. A record
says all that a daemon that starts again has to know. Source: docs/adr/0018-xdp-backend.md.
"""

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from standfest.model.balancing import Forwarding, Method
from standfest.model.errors import WireError
from standfest.model.flows import FlowKey, FlowTuple
from standfest.model.forwarding import (
    Counters,
    Destination,
    DestinationKey,
    IPAddress,
    ServiceKey,
    ServiceOptions,
)
from standfest.model.slots import Choice
from standfest.model.vrrp import Family

PROTOCOLS = {"TCP": 6, "UDP": 17, "SCTP": 132}
NAMES = {number: name for name, number in PROTOCOLS.items()}
TICK_SHIFT = 28
"""The program's time goes in steps of 2**28 ns (0.27 s): a shift makes them from a clock."""

# --- what is balanced: key (address, port, protocol, 0) -> service -------------------------------

SERVICE = struct.Struct("=IIIIII16sIBBH16s64s")
SERVICE_ID, SERVICE_FIRST, SERVICE_SIZE, SERVICE_CHOICE = 0, 4, 8, 12
SERVICE_STICKY, SERVICE_FLAGS, SERVICE_MASK = 16, 20, 24
ONE_PACKET = 1
CHOICES = (Choice.TURN, Choice.RANDOM, Choice.SOURCE, Choice.SOURCE_PORT, Choice.DESTINATION)
MAX_SCHEDULER_BYTES, MAX_FLAGS_BYTES = 16, 64
_NO_MASK, _NETMASK, _PREFIX = 0, 1, 2


@dataclass(frozen=True, slots=True)
class ServiceRecord:
    """One service: its slots are `first` to `first + size - 1`; size 0: nobody answers."""

    id: int
    first: int
    size: int
    choice: Choice
    options: ServiceOptions


def ticks(duration_s: int) -> int:
    """Return seconds in the program's steps: what has waited for more of them is too late."""
    return -((-duration_s * 10**9) >> TICK_SHIFT)


def encode_service_key(key: ServiceKey) -> bytes:
    """Return the key of a service by address: 8 bytes for IPv4, 20 for IPv6."""
    assert key.address is not None, "services by mark are refused before"
    return key.address.packed + struct.pack(">HBB", key.port, PROTOCOLS[key.protocol], 0)


def decode_service_key(data: bytes) -> ServiceKey:
    """Return the service; raises WireError: key."""
    if len(data) not in (8, 20):
        raise WireError("key", f"{len(data)} bytes; expected 8 or 20")
    port, number, _ = struct.unpack(">HBB", data[-4:])
    if number not in NAMES:
        raise WireError("key", f"protocol {number}")
    address: IPAddress = IPv4Address(data[:4]) if len(data) == 8 else IPv6Address(data[:16])
    return ServiceKey(Family(address.version), NAMES[number], address, port)


def encode_service(record: ServiceRecord, family: Family) -> bytes:
    """Return a service's record."""
    options = record.options
    kind, prefix = _NO_MASK, 0
    if isinstance(options.mask, int):
        kind, prefix = _PREFIX, options.mask
    elif options.mask is not None:
        kind = _NETMASK
    scheduler, flags = options.scheduler.encode(), ",".join(options.flags).encode()
    assert len(scheduler) <= MAX_SCHEDULER_BYTES, "whoever supports a scheduler knows its name"
    assert len(flags) <= MAX_FLAGS_BYTES, "flags that do not fit are refused before"
    return SERVICE.pack(
        record.id, record.first, record.size, CHOICES.index(record.choice),
        ticks(options.timeout),
        ONE_PACKET if options.one_packet else 0, _client_bits(options.mask, family),
        options.timeout, kind, prefix, 0, scheduler, flags,
    )  # fmt: skip


def decode_service(data: bytes) -> ServiceRecord:
    """Return a service; raises WireError: size, choice, mask."""
    if len(data) != SERVICE.size:
        raise WireError("size", f"service: {len(data)} bytes; expected {SERVICE.size}")
    number, first, size, choice, _, bits, mask, timeout, kind, prefix, _, scheduler, flags = (
        SERVICE.unpack(data)
    )
    if choice >= len(CHOICES):
        raise WireError("choice", str(choice))
    if kind > _PREFIX:
        raise WireError("mask", str(kind))
    told = flags.rstrip(b"\0").decode(errors="replace")
    options = ServiceOptions(
        scheduler=scheduler.rstrip(b"\0").decode(errors="replace"),
        flags=tuple(told.split(",")) if told else (),
        timeout=timeout,
        mask={_NO_MASK: None, _NETMASK: IPv4Address(mask[:4]), _PREFIX: prefix}[kind],
        one_packet=bool(bits & ONE_PACKET),
    )
    return ServiceRecord(number, first, size, CHOICES[choice], options)


def _client_bits(mask: IPv4Address | int | None, family: Family) -> bytes:
    """Return 16 bytes with the bits that tell clients apart; of IPv4 the first four count."""
    if isinstance(mask, IPv4Address):
        return mask.packed + bytes(12)
    if isinstance(mask, int):
        width = 32 if family is Family.IPV4 else 128
        bits = ((1 << mask) - 1) << (width - mask)
        return bits.to_bytes(width // 8) + bytes(16 - width // 8)
    return b"\xff" * 16


# --- who answers: number -> server of one service ------------------------------------------------

SERVER = struct.Struct("=IIIH2s16s16sIIII")
SERVER_SERVICE, SERVER_GENERATION, SERVER_WEIGHT, SERVER_METHOD = 0, 4, 8, 12
SERVER_ADDRESS, SERVER_SOURCE, SERVER_OUTER_SUM = 16, 32, 48
DIRECT, TUNNEL = 1, 2
OUTER_TTL = 64
_METHODS = {Forwarding.DIRECT: DIRECT, Forwarding.TUNNEL: TUNNEL}
_FORWARDINGS = {DIRECT: Forwarding.DIRECT, TUNNEL: Forwarding.TUNNEL}


@dataclass(frozen=True, slots=True)
class ServerRecord:
    """One server of one service; source: where tunnelled packets come from.

    generation: changes when the number is given back, so that old connections do not follow.
    """

    service: int
    generation: int
    key: DestinationKey
    destination: Destination
    source: IPAddress


def encode_server(record: ServerRecord) -> bytes:
    """Return a server's record; its method is DR or TUN."""
    address, source = record.key.address.packed, record.source.packed
    return SERVER.pack(
        record.service, record.generation, record.destination.weight,
        _METHODS[record.destination.method.forwarding], record.key.port.to_bytes(2),
        address.ljust(16, b"\0"), source.ljust(16, b"\0"), _outer_sum(source, address),
        record.key.address.version, record.destination.upper, record.destination.lower,
    )  # fmt: skip


def decode_server(data: bytes) -> ServerRecord | None:
    """Return a server, None of a number that nobody has; raises WireError: size, method, family."""
    if len(data) != SERVER.size:
        raise WireError("size", f"server: {len(data)} bytes; expected {SERVER.size}")
    service, generation, weight, method, port, address, source, _, version, upper, lower = (
        SERVER.unpack(data)
    )
    if not service:
        return None
    if method not in _FORWARDINGS:
        raise WireError("method", str(method))
    if version not in (4, 6):
        raise WireError("family", str(version))
    kind: type[IPv4Address] | type[IPv6Address] = IPv4Address if version == 4 else IPv6Address
    length = 4 if version == 4 else 16
    return ServerRecord(
        service,
        generation,
        DestinationKey(kind(address[:length]), int.from_bytes(port)),
        Destination(Method(_FORWARDINGS[method]), weight, upper, lower),
        kind(source[:length]),
    )


def _outer_sum(source: bytes, destination: bytes) -> int:
    """Return the sum of those words of an outer IPv4 header that never change.

    What the program adds is the first word (version, length, class) and the total length.
    """
    if len(source) != 4:
        return 0
    words = struct.pack(">HHHBB", 0, 0, 0x4000, OUTER_TTL, 4) + source + destination
    return sum(struct.unpack("=8H", words))


# --- connections and clients: -> server that they are with ---------------------------------------

FLOW = struct.Struct("=IIIHH")
FLOW_SERVER, FLOW_GENERATION, FLOW_SEEN, FLOW_STATE, FLOW_LIMIT = 0, 4, 8, 12, 14
FLOW_KEY_BYTES = {Family.IPV4: 16, Family.IPV6: 40}
STICKY_KEY_BYTES = {Family.IPV4: 8, Family.IPV6: 20}
MAX_LIMIT = 0xFFFF
"""Steps that a connection may be silent at most: 4.9 hours."""
OPENING, ESTABLISHED, CLOSING, DATAGRAMS = 0, 1, 2, 3


def limit(duration_s: int) -> int:
    """Return seconds as the limit of an entry."""
    return min(MAX_LIMIT, ticks(duration_s))


def encode_flow_key(key: FlowKey) -> bytes:
    """Return the key of a connection: 16 bytes for IPv4, 40 for IPv6."""
    way = key.original
    ports = struct.pack(">HH", way.source_port, way.destination_port)
    return way.source + way.destination + ports + struct.pack("=I", key.protocol)


def decode_flow_key(data: bytes) -> FlowKey:
    """Return the connection; raises WireError: key."""
    if len(data) not in FLOW_KEY_BYTES.values():
        raise WireError("key", f"connection: {len(data)} bytes; expected 16 or 40")
    size = (len(data) - 8) // 2
    ports = struct.unpack_from(">HH", data, 2 * size)
    (protocol,) = struct.unpack_from("=I", data, 2 * size + 4)
    return FlowKey(protocol, FlowTuple(data[:size], data[size : 2 * size], *ports))


def encode_client_key(record: ServiceRecord, client: bytes) -> bytes:
    """Return the key of a persistent client of a service; client: its address."""
    family = Family.IPV4 if len(client) == 4 else Family.IPV6
    mask = _client_bits(record.options.mask, family)[: len(client)]
    masked = bytes(a & b for a, b in zip(client, mask, strict=True))
    return struct.pack("=I", record.id) + masked


def address(packed: bytes) -> IPAddress:
    """Return an address of 4 or 16 bytes."""
    return IPv4Address(packed) if len(packed) == 4 else IPv6Address(packed)


# --- what has been carried, on each CPU, and the way to the server -------------------------------

CARRIED = struct.Struct("=QQQQII6s6sI")
CARRIED_CONNECTIONS, CARRIED_PACKETS, CARRIED_BYTES = 0, 8, 16
CARRIED_ASKED, CARRIED_INTERFACE, CARRIED_ACTION, CARRIED_MACS, CARRIED_MTU = 24, 32, 36, 40, 52


def decode_carried(data: bytes) -> Counters:
    """Return the sum of all CPUs' records, which stand one after another."""
    connections = packets = octets = 0
    for one in CARRIED.iter_unpack(data[: len(data) // CARRIED.size * CARRIED.size]):
        connections, packets, octets = connections + one[0], packets + one[1], octets + one[2]
    return Counters(connections=connections, packets_in=packets, bytes_in=octets)
