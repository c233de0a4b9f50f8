"""The tables of the nftables backend: which sets they have, and what every packet comes through.

Four tables at most, each made when it is first needed: IPv4 and IPv6, for translation (NAT) and for
direct routing (DR). Translation rests on connection tracking, which marks each connection with its
server's number. Direct routing does without: a learning map remembers who has whose packets, and
what it takes is copied to the server by way of the kernel's own routes and neighbours.
All that is configured stands in maps. Source: docs/adr/0022.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from standfest.model.vrrp import Family
from standfest.wire import nftables as nft
from standfest.wire import nftexpressions as ex
from standfest.wire.nftables import Message, Set, Type

LAYOUT: Final = "standfest layout 2"
"""The table's comment: a table of another layout is replaced, not adopted."""

SERVICES, ALL_PORTS, MARKS = "services", "all-ports", "marks"
SERVERS, HOSTS, TAKING, PROTOCOLS = "servers", "hosts", "taking", "protocols"
REQUESTS, ANSWERS, CONNECTIONS = "requests", "answers", "connections"
DELIVER, REFUSE = "deliver", "refuse"

MAX_LEARNED: Final = 1 << 20
"""Clients that persist, or connections of direct routing, that a service remembers at once."""

MAX_SERVERS: Final = 1 << 16
"""Of a table: maps by server have a fixed size, which are the quicker ones to look up in."""

_RAW, _AFTER_MANGLE, _DNAT, _AFTER_DNAT = -300, -149, -100, -90
_ICMP_PORT, _ICMP6_PORT = 3, 4
_TCP, _UDP, _SCTP = 6, 17, 132
PROTOCOL_NUMBERS: Final = {"TCP": _TCP, "UDP": _UDP, "SCTP": _SCTP}


@dataclass(frozen=True, slots=True)
class Plane:
    """One of the four tables."""

    family: Family
    direct: bool
    name: str = "standfest"

    @property
    def table(self) -> nft.Table:
        """Return the table's name and family."""
        family = nft.IP6 if self.family is Family.IPV6 else nft.IP
        return nft.Table(family, f"{self.name}-direct" if self.direct else self.name)

    @property
    def words(self) -> int:
        """Return how many registers an address takes."""
        return 4 if self.family is Family.IPV6 else 1

    def load_source(self, register: int) -> bytes:
        """Load the client's address."""
        return ex.load(ex.NETWORK, 8 if self.words == 4 else 12, 4 * self.words, register)

    def load_destination(self, register: int) -> bytes:
        """Load the virtual address."""
        return ex.load(ex.NETWORK, 24 if self.words == 4 else 16, 4 * self.words, register)


PLANES: Final = tuple(Plane(family, direct) for family in Family for direct in (False, True))


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
    address = _address(plane)
    yield Set(SERVICES, (address, Type.PROTOCOL, Type.PORT), None)
    yield Set(ALL_PORTS, (address, Type.PROTOCOL), None)
    yield Set(MARKS, (Type.MARK,), None)
    yield Set(PROTOCOLS, (Type.PROTOCOL,))
    server = (Type.MARK,)
    yield Set(HOSTS, server, (address,), size=MAX_SERVERS)  # where it is
    yield Set(TAKING, server, size=MAX_SERVERS)  # those that take new connections
    yield Set(CONNECTIONS, server, size=MAX_SERVERS)
    yield Set(REQUESTS, server, size=MAX_SERVERS)  # packets to it
    if not plane.direct:
        yield Set(ANSWERS, server, size=MAX_SERVERS)  # packets from it
        yield Set(SERVERS, server, (address, Type.PORT), size=MAX_SERVERS)


def service_sets(plane: Plane, number: int, *, persistent: bool) -> Iterator[Set]:
    """Yield the maps of one service."""
    address, server = _address(plane), (Type.MARK,)
    yield Set(slots_of(number), (Type.MARK,), server)
    if persistent:
        yield Set(clients_of(number), (address,), server, learning=True, size=MAX_LEARNED)
    if plane.direct:
        flow = (address, address, Type.PORT, Type.PORT)
        for name in (flows_of(number), closing_of(number)):
            yield Set(name, flow, server, learning=True, size=MAX_LEARNED)


def _address(plane: Plane) -> Type:
    return Type.IPV6 if plane.family is Family.IPV6 else Type.IPV4


def skeleton(plane: Plane) -> list[Message]:
    """Return what makes a plane's table, without any service."""
    table = plane.table
    made = [table.create(LAYOUT)]
    made += [table.set(described, number) for number, described in enumerate(sets(plane), 1)]
    numbers = (nft.Element(bytes((number,))) for number in (_TCP, _UDP, _SCTP))
    made += table.add(PROTOCOLS, numbers)
    made += [table.chain(REFUSE), *_refuse(plane)]
    made += _direct(plane) if plane.direct else _translating(plane)
    return made


Rules = Sequence[Sequence[bytes]]


def trial(plane: Plane, services: Sequence[tuple[Rules, Rules]]) -> list[Message]:
    """Return a transaction that makes such a table with these services and removes it again.

    services: the rules of both chains of each; they are numbered from 1.
    """
    tried = Plane(plane.family, plane.direct, "standfest-trial")
    table = tried.table
    made = skeleton(tried)
    for number, pair in enumerate(services, 1):
        for described in service_sets(tried, number, persistent=True):
            made.append(table.set(described, len(made)))
        names = f"service-{number}", f"choice-{number}"
        made += [table.chain(name) for name in names]
        for name, rules in zip(names, pair, strict=True):
            made += [table.rule(name, expressions) for expressions in rules]
    return [*made, table.delete()]


def _refuse(plane: Plane) -> Iterator[Message]:
    code = _ICMP6_PORT if plane.family is Family.IPV6 else _ICMP_PORT
    tcp = [ex.transport_protocol(0), ex.equal(0, bytes((_TCP,))), ex.reset()]
    yield plane.table.rule(REFUSE, tcp)
    yield plane.table.rule(REFUSE, [ex.unreachable(code)])


def _translating(plane: Plane) -> Iterator[Message]:
    """Yield the chains of translation: whoever connects, this machine's own clients, counting."""
    table = plane.table
    yield table.chain(DELIVER)
    for expressions in _deliver(plane):
        yield table.rule(DELIVER, expressions)
    for name, hook in (("prerouting", nft.PREROUTING), ("output", nft.OUTPUT)):
        yield table.base_chain(name, "nat", hook, _DNAT)
        yield table.rule(name, _by_mark())
        yield table.rule(name, _by_port(plane))
        yield table.rule(name, _by_address(plane))
        # Behind translation, where the first packet's connection has its mark, too.
        yield table.base_chain(f"count-{name}", "filter", hook, _AFTER_DNAT)
        for expressions in _count():
            yield table.rule(f"count-{name}", expressions)


def _count() -> Iterator[list[bytes]]:
    """Yield the rules that count a connection's packets, those of whoever connected first."""
    asks = [ex.connection_direction(0), ex.equal(0, b"\0")]
    yield [*asks, ex.connection_mark(0), ex.member(REQUESTS, 0), ex.decided(nft.ACCEPT)]
    yield [ex.connection_mark(0), ex.member(ANSWERS, 0)]


def _deliver(plane: Plane) -> Iterator[list[bytes]]:
    """Yield the rules for a new connection that has its server's mark."""
    yield [ex.connection_mark(0), ex.member(CONNECTIONS, 0)]
    family = plane.table.family
    yield [
        ex.connection_mark(0),
        ex.looked_up(SERVERS, 0, 1),
        ex.translated(family, 1, 1 + plane.words),
    ]
    yield [ex.connection_mark(0), ex.looked_up(HOSTS, 0, 1), ex.translated(family, 1, None)]
    yield [ex.decided(nft.DROP)]


def _direct(plane: Plane) -> Iterator[Message]:
    """Yield the chains of direct routing, before connection tracking where no mark is needed."""
    table = plane.table
    yield table.base_chain("prerouting", "filter", nft.PREROUTING, _RAW)
    yield table.rule("prerouting", _by_port(plane))
    yield table.rule("prerouting", _by_address(plane))
    yield table.base_chain("marked", "filter", nft.PREROUTING, _AFTER_MANGLE)
    yield table.rule("marked", _by_mark())


def _by_mark() -> list[bytes]:
    return [
        ex.transport_protocol(0),
        ex.member(PROTOCOLS, 0),
        ex.packet_mark(1),
        ex.dispatched(MARKS, 1),
    ]


def _by_port(plane: Plane) -> list[bytes]:
    words = plane.words
    return [
        plane.load_destination(0),
        ex.transport_protocol(words),
        ex.load(ex.TRANSPORT, 2, 2, words + 1),
        ex.dispatched(SERVICES, 0),
    ]


def _by_address(plane: Plane) -> list[bytes]:
    return [
        plane.load_destination(0),
        ex.transport_protocol(plane.words),
        ex.dispatched(ALL_PORTS, 0),
    ]
