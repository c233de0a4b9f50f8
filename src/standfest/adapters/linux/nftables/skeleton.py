"""What every packet comes through: a table's chains before any service is in it."""

from collections.abc import Iterator, Sequence
from typing import Final

from standfest.adapters.linux.nftables import ingress
from standfest.adapters.linux.nftables.plane import (
    ANSWERS,
    CONNECTIONS,
    DELIVER,
    HOSTS,
    LAYOUT,
    MARKS,
    PROTOCOL_NUMBERS,
    PROTOCOLS,
    REFUSE,
    REQUESTS,
    SERVERS,
    TCP,
    Path,
    Plane,
    by_address,
    by_port,
    service_sets,
    sets,
)
from standfest.model.vrrp import Family
from standfest.wire import nftables as nft
from standfest.wire import nftexpressions as ex
from standfest.wire.nftables import Message

_RAW, _AFTER_MANGLE, _DNAT, _AFTER_DNAT = -300, -149, -100, -90
_ICMP_PORT, _ICMP6_PORT = 3, 4
HOOKS: Final = {"prerouting": nft.PREROUTING, "output": nft.OUTPUT}
COUNTS: Final = tuple(f"count-{name}" for name in HOOKS)


def skeleton(plane: Plane) -> list[Message]:
    """Return what makes a plane's table, without any service and any device."""
    table = plane.table
    made = [table.create(LAYOUT)]
    made += [table.set(described, number) for number, described in enumerate(sets(plane), 1)]
    if plane.path is Path.INGRESS:
        return [*made, *ingress.chains(plane)]
    numbers = (nft.Element(bytes((number,))) for number in PROTOCOL_NUMBERS.values())
    made += table.add(PROTOCOLS, numbers)
    made += [table.chain(REFUSE), *_refuse(plane)]
    made += _copying(plane) if plane.direct else _translating(plane)
    return made


Rules = Sequence[Sequence[bytes]]


def trial(plane: Plane, services: Sequence[tuple[Rules, Rules]]) -> list[Message]:
    """Return a transaction that makes such a table with these services and removes it again.

    services: the rules of both chains of each; they are numbered from 1.
    """
    tried = Plane(plane.family, plane.path, "standfest-trial")
    table = tried.table
    made = skeleton(tried)
    made += [] if tried.direct else counting(tried)
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
    tcp = [ex.transport_protocol(0), ex.equal(0, bytes((TCP,))), ex.reset()]
    yield plane.table.rule(REFUSE, tcp)
    yield plane.table.rule(REFUSE, [ex.unreachable(code)])


def _translating(plane: Plane) -> Iterator[Message]:
    """Yield the chains of translation: whoever connects, this machine's own clients."""
    table = plane.table
    yield table.chain(DELIVER)
    for expressions in _deliver(plane):
        yield table.rule(DELIVER, expressions)
    for name, hook in HOOKS.items():
        yield table.base_chain(name, "nat", hook, _DNAT)
        yield table.rule(name, _by_mark())
        yield table.rule(name, by_port(plane))
        yield table.rule(name, by_address(plane))


def counting(plane: Plane) -> Iterator[Message]:
    """Yield the chains that count, behind translation: a first packet's connection has its mark."""
    for hook, chain in zip(HOOKS.values(), COUNTS, strict=True):
        yield plane.table.base_chain(chain, "filter", hook, _AFTER_DNAT)
        for expressions in _count():
            yield plane.table.rule(chain, expressions)


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


def _copying(plane: Plane) -> Iterator[Message]:
    """Yield the chains of copying, before connection tracking where no mark is needed."""
    table = plane.table
    yield table.base_chain("prerouting", "filter", nft.PREROUTING, _RAW)
    yield table.rule("prerouting", by_port(plane))
    yield table.rule("prerouting", by_address(plane))
    yield table.base_chain("marked", "filter", nft.PREROUTING, _AFTER_MANGLE)
    yield table.rule("marked", _by_mark())


def _by_mark() -> list[bytes]:
    return [
        ex.transport_protocol(0),
        ex.member(PROTOCOLS, 0),
        ex.packet_mark(1),
        ex.dispatched(MARKS, 1),
    ]
