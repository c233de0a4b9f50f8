"""The tables of the nftables backend: their names, and which sets they have.

Six tables at most, each made when it is first needed: IPv4 and IPv6, by three paths. Translation
(NAT) rests on connection tracking, which marks each connection with its server's number. Direct
routing does without: a learning map remembers who has whose packets. What it takes is handed to the
server where it comes in (`ingress`), or, where a packet's mark decides, copied to the server by way
of the kernel's own routes. All that is configured stands in maps. Source: docs/adr/0022.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final

from standfest.model.vrrp import Family
from standfest.wire import nftables as nft
from standfest.wire import nftexpressions as ex
from standfest.wire.nftables import Set, Type

LAYOUT: Final = "standfest layout 2"
"""The table's comment: a table of another layout is replaced, not adopted."""

SERVICES, ALL_PORTS, MARKS = "services", "all-ports", "marks"
SERVERS, HOSTS, TAKING, PROTOCOLS = "servers", "hosts", "taking", "protocols"
DEVICES, FLOWS, CLOSING, FRAGMENTS = "devices", "flows", "closing", "fragments"
REQUESTS, ANSWERS, CONNECTIONS = "requests", "answers", "connections"
DELIVER, REFUSE = "deliver", "refuse"

MAX_LEARNED: Final = 1 << 20
"""Clients that persist, or connections of direct routing, that a service remembers at once."""

MAX_FLOWS: Final = 1 << 22
"""Connections that all services of an ingress table remember at once."""

MAX_FRAGMENTED: Final = 1 << 16
"""Packets in fragments that such a table remembers at once."""

MAX_SERVERS: Final = 1 << 16
"""Of a table: maps by server have a fixed size, which are the quicker ones to look up in."""

SERVER_MARKS: Final = 0x5F000000
SERVER_MASK: Final = 0xFF000000
"""Marks with this first byte are ours: each is a server's number."""

TCP, UDP, SCTP = 6, 17, 132
PROTOCOL_NUMBERS: Final = {"TCP": TCP, "UDP": UDP, "SCTP": SCTP}


class Path(Enum):
    """How packets go to servers; the value is part of the table's name."""

    TRANSLATED = ""
    COPIED = "-direct"
    INGRESS = "-ingress"


@dataclass(frozen=True, slots=True)
class Plane:
    """One of the six tables."""

    family: Family
    path: Path = Path.TRANSLATED
    name: str = "standfest"

    @property
    def direct(self) -> bool:
        """Return whether servers see the virtual address."""
        return self.path is not Path.TRANSLATED

    @property
    def table(self) -> nft.Table:
        """Return the table's name and family; a device's table is of no family, so its name is."""
        six = self.family is Family.IPV6
        if self.path is Path.INGRESS:
            return nft.Table(nft.NETDEV, f"{self.name}{self.path.value}{6 if six else 4}")
        return nft.Table(self.protocol, f"{self.name}{self.path.value}")

    @property
    def protocol(self) -> int:
        """Return the kernel's number of the address family."""
        return nft.IP6 if self.family is Family.IPV6 else nft.IP

    @property
    def leading(self) -> tuple[str, ...]:
        """Return the maps that lead to services."""
        return (SERVICES, ALL_PORTS) if self.path is Path.INGRESS else (SERVICES, ALL_PORTS, MARKS)

    @property
    def saying(self) -> tuple[str, ...]:
        """Return the maps whose comments say what servers there are."""
        match self.path:
            case Path.TRANSLATED:
                return (SERVERS, HOSTS)
            case Path.COPIED:
                return (HOSTS,)
            case Path.INGRESS:
                return (DEVICES,)

    @property
    def counting(self) -> tuple[str, ...]:
        """Return the sets that have nothing but a counter for each server."""
        match self.path:
            case Path.TRANSLATED:
                return (CONNECTIONS, REQUESTS, ANSWERS)
            case Path.COPIED:
                return (CONNECTIONS, REQUESTS)
            case Path.INGRESS:
                return (CONNECTIONS,)  # its packets are counted where its address is looked up

    @property
    def words(self) -> int:
        """Return how many registers an address takes."""
        return 4 if self.family is Family.IPV6 else 1

    @property
    def address(self) -> Type:
        """Return what an address is to the kernel."""
        return Type.IPV6 if self.family is Family.IPV6 else Type.IPV4

    def load_source(self, register: int) -> bytes:
        """Load the client's address."""
        return ex.load(ex.NETWORK, 8 if self.words == 4 else 12, 4 * self.words, register)

    def load_destination(self, register: int) -> bytes:
        """Load the virtual address."""
        return ex.load(ex.NETWORK, 24 if self.words == 4 else 16, 4 * self.words, register)


PLANES: Final = tuple(Plane(family, path) for family in Family for path in Path)


def slots_of(number: int) -> str:
    """Return the name of a service's map from slots to servers."""
    return f"slots-{number}"


def clients_of(number: int) -> str:
    """Return the name of a service's map from clients that persist to servers."""
    return f"clients-{number}"


def flows_of(number: int) -> str:
    """Return the name of a service's map from connections to servers, for direct routing."""
    return f"flows-{number}"


def closing_of(number: int) -> str:
    """Return the name of a service's map of connections that one side has ended."""
    return f"closing-{number}"


def sets(plane: Plane) -> Iterator[Set]:
    """Yield the sets and maps that all services of a plane share."""
    address, server = plane.address, (Type.MARK,)
    keys = {SERVICES: (address, Type.PROTOCOL, Type.PORT), ALL_PORTS: (address, Type.PROTOCOL)}
    for name in plane.leading:
        yield Set(name, keys.get(name, (Type.MARK,)), None)
    yield Set(HOSTS, server, (address,), size=MAX_SERVERS)  # where it is
    yield Set(TAKING, server, size=MAX_SERVERS)  # those that take new connections
    for name in plane.counting:
        yield Set(name, server, size=MAX_SERVERS)
    match plane.path:
        case Path.TRANSLATED:
            yield Set(SERVERS, server, (address, Type.PORT), size=MAX_SERVERS)
            yield Set(PROTOCOLS, (Type.PROTOCOL,))
        case Path.COPIED:
            yield Set(PROTOCOLS, (Type.PROTOCOL,))
        case Path.INGRESS:
            yield Set(DEVICES, server, (Type.INTERFACE,), size=MAX_SERVERS)
            flow = (address, address, Type.PORT, Type.PORT, Type.PROTOCOL)
            for name in (FLOWS, CLOSING):
                yield Set(name, flow, server, learning=True, size=MAX_FLOWS)
            packet = (address, address, Type.MARK if plane.words == 4 else Type.PORT)
            yield Set(FRAGMENTS, packet, server, learning=True, size=MAX_FRAGMENTED)


def service_sets(plane: Plane, number: int, *, persistent: bool) -> Iterator[Set]:
    """Yield the maps of one service."""
    address, server = plane.address, (Type.MARK,)
    yield Set(slots_of(number), (Type.MARK,), server)
    if persistent:
        yield Set(clients_of(number), (address,), server, learning=True, size=MAX_LEARNED)
    if plane.path is Path.COPIED:
        flow = (address, address, Type.PORT, Type.PORT)
        for name in (flows_of(number), closing_of(number)):
            yield Set(name, flow, server, learning=True, size=MAX_LEARNED)


def by_port(plane: Plane) -> list[bytes]:
    """Go to the service that has the packet's address, protocol and port."""
    words = plane.words
    return [
        plane.load_destination(0),
        ex.transport_protocol(words),
        ex.load(ex.TRANSPORT, 2, 2, words + 1),
        ex.dispatched(SERVICES, 0),
    ]


def by_address(plane: Plane) -> list[bytes]:
    """Go to the service that has all ports of the packet's address and protocol."""
    return [
        plane.load_destination(0),
        ex.transport_protocol(plane.words),
        ex.dispatched(ALL_PORTS, 0),
    ]
