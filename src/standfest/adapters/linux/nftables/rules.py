"""The rules of one service: a chain of its own, because the turn of round robin is a rule's.

A rule that finds what it looks for decides; one that does not is passed over. So a chain reads:
whoever is known goes on as before, else a server is chosen, else the packet is refused.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Final

from standfest.adapters.linux.nftables import ingress
from standfest.adapters.linux.nftables.ingress import (
    CLOSING_S,
    FIN_OR_RST,
    OPEN_S,
    OPENING_S,
    SYN,
    flags,
    is_tcp,
)
from standfest.adapters.linux.nftables.plane import (
    CLOSING,
    CONNECTIONS,
    DELIVER,
    FLOWS,
    HOSTS,
    REFUSE,
    REQUESTS,
    TAKING,
    Path,
    Plane,
    clients_of,
    closing_of,
    flows_of,
    slots_of,
)
from standfest.model.forwarding import ServiceOptions
from standfest.model.slots import Choice
from standfest.wire import nftables as nft
from standfest.wire import nftexpressions as ex

SEED: Final = 0x53464C42
"""Of all hashes: two directors choose alike without a word."""

_KEPT = 15
"""The register that has the packet's own mark meanwhile."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What a service's rules depend on: nothing that a weight changes while the slots are as many.

    number: the service's. slots: how many there are.
    """

    number: int
    protocol: str
    options: ServiceOptions
    choice: Choice
    slots: int


def chain_name(number: int) -> str:
    """Return the name of a service's chain."""
    return f"service-{number}"


def choice_name(number: int) -> str:
    """Return the name of the chain that chooses a server; weights replace this one only."""
    return f"choice-{number}"


def known(plane: Plane, shape: Shape) -> Iterator[list[bytes]]:
    """Yield the rules of a service's chain: who is known, whatever the slots are."""
    yield from _maker(plane, shape).known()
    yield [ex.decided(nft.GOTO, choice_name(shape.number))]


def choice(plane: Plane, shape: Shape) -> Iterator[list[bytes]]:
    """Yield the rules that choose a server, or refuse."""
    if shape.slots:
        yield _maker(plane, shape).choice()
    yield [ex.decided(nft.GOTO, REFUSE)]


def _maker(plane: Plane, shape: Shape) -> "_Translating | _Copying | _Ingress":
    match plane.path:
        case Path.TRANSLATED:
            return _Translating(plane, shape)
        case Path.COPIED:
            return _Copying(plane, shape)
        case Path.INGRESS:
            return _Ingress(plane, shape)


class _Translating:
    """Registers: what is looked up by from 0 on, the server behind it, then room for the choice."""

    def __init__(self, plane: Plane, shape: Shape) -> None:
        self.plane, self.shape = plane, shape
        self.server = plane.words
        self.persistent = shape.options.timeout > 0

    def known(self) -> Iterator[list[bytes]]:
        yield from _strays(self.shape)
        if self.persistent:
            renew = _renew_client(self.shape, self.server)
            yield [*_known_client(self.plane, self.shape, self.server), renew, *self._deliver()]

    def choice(self) -> list[bytes]:
        learn = _learn_client(self.plane, self.shape, self.server) if self.persistent else []
        chosen = _chosen(self.plane, self.shape, self.server + 1, self.server)
        return [*chosen, *learn, *self._deliver()]

    def _deliver(self) -> list[bytes]:
        return [ex.decided(nft.GOTO, DELIVER)]


class _Copying:
    """Registers: what is looked up by from 0 on; the server, and behind it its address."""

    def __init__(self, plane: Plane, shape: Shape) -> None:
        self.plane, self.shape = plane, shape
        self.server = 2 * plane.words + 2
        self.persistent = shape.options.timeout > 0
        self.remembers = not shape.options.one_packet

    def known(self) -> Iterator[list[bytes]]:
        own, tcp = self.shape.number, self.shape.protocol == "TCP"
        if self.remembers and tcp:
            yield [*flags(FIN_OR_RST, ex.different), *self._ending()]
        if self.remembers:
            yield self._known_flow(flows_of(own), OPEN_S)
        if self.remembers and tcp:
            # What begins anew from the same port is another connection.
            yield [*flags(SYN, ex.equal), *self._known_flow(closing_of(own), CLOSING_S)]
        yield from _strays(self.shape)
        if self.persistent:
            client = _known_client(self.plane, self.shape, self.server)
            yield [*client, _renew_client(self.shape, self.server), *self._begin()]

    def choice(self) -> list[bytes]:
        chosen = _chosen(self.plane, self.shape, 0, self.server)
        learn = _learn_client(self.plane, self.shape, self.server) if self.persistent else []
        return [*chosen, *learn, *self._begin()]

    def _begin(self) -> list[bytes]:
        learn = self._learn_flow() if self.remembers else []
        return [*learn, ex.member(CONNECTIONS, self.server), *self._count(), *self._deliver()]

    def _flow(self) -> list[bytes]:
        words = self.plane.words
        return [
            self.plane.load_source(0),
            self.plane.load_destination(words),
            ex.load(ex.TRANSPORT, 0, 2, 2 * words),
            ex.load(ex.TRANSPORT, 2, 2, 2 * words + 1),
        ]

    def _known_flow(self, name: str, seconds: int) -> list[bytes]:
        """Send on to the server that has it, unless that is there no more."""
        renewed = ex.remembered(name, 0, self.server, seconds)
        return [*self._found_in(name), renewed, *self._deliver()]

    def _ending(self) -> list[bytes]:
        """Let a connection be one that ends: what comes after does not renew it for long."""
        open_in, closing_in = flows_of(self.shape.number), closing_of(self.shape.number)
        return [
            *self._found_in(open_in),
            ex.remembered(closing_in, 0, self.server, CLOSING_S),
            ex.forgotten(open_in, 0, self.server),
            *self._deliver(),
        ]

    def _found_in(self, name: str) -> list[bytes]:
        return [*self._flow(), *_server_of(self.plane, name, 0, self.server), *self._count()]

    def _learn_flow(self) -> list[bytes]:
        open_in, closing_in = flows_of(self.shape.number), closing_of(self.shape.number)
        return [
            *self._flow(),
            ex.forgotten(closing_in, 0, self.server),
            ex.forgotten(open_in, 0, self.server),
            ex.remembered(open_in, 0, self.server, OPENING_S),
        ]

    def _count(self) -> list[bytes]:
        return [ex.member(REQUESTS, self.server)]

    def _deliver(self) -> list[bytes]:
        address = self.server + 1
        return [
            ex.looked_up(HOSTS, self.server, address),
            ex.set_packet_mark(_KEPT),
            ex.copied_to(address),
            ex.decided(nft.DROP),
        ]


class _Ingress:
    """Connections that go on have been found before a service is; here they begin."""

    def __init__(self, plane: Plane, shape: Shape) -> None:
        self.plane, self.shape = plane, shape
        self.server = ingress.server_register(plane)
        self.persistent = shape.options.timeout > 0
        self.remembers = not shape.options.one_packet

    def known(self) -> Iterator[list[bytes]]:
        yield from _strays(self.shape)
        if self.persistent:
            client = _known_client(self.plane, self.shape, self.server)
            yield [*client, _renew_client(self.shape, self.server), *self._begin()]

    def choice(self) -> list[bytes]:
        chosen = _chosen(self.plane, self.shape, 0, self.server)
        learn = _learn_client(self.plane, self.shape, self.server) if self.persistent else []
        return [*chosen, *learn, *self._begin()]

    def _begin(self) -> list[bytes]:
        if self.remembers and self.shape.protocol != "TCP":  # it may come in fragments
            begun = ex.decided(nft.GOTO, ingress.BEGUN)
            return [*self._learn_flow(), ex.member(CONNECTIONS, self.server), begun]
        return [
            *(self._learn_flow() if self.remembers else []),
            ex.member(CONNECTIONS, self.server),
            ingress.found_host(self.plane),
            *ingress.hand_over(self.plane),
        ]

    def _learn_flow(self) -> list[bytes]:
        return [
            *ingress.flow(self.plane),
            ex.forgotten(CLOSING, 0, self.server),
            ex.forgotten(FLOWS, 0, self.server),
            ex.remembered(FLOWS, 0, self.server, OPENING_S),
        ]


def _strays(shape: Shape) -> Iterator[list[bytes]]:
    """Refuse the middle of a TCP connection that nobody knows: it is no turn's, nor a client's.

    A hash finds the server that has it all the same, though another director began it.
    """
    if shape.choice not in (Choice.TURN, Choice.RANDOM) or shape.protocol not in ("TCP", ""):
        return
    tcp = [] if shape.protocol else is_tcp()
    yield [*tcp, *flags(SYN, ex.equal), ex.decided(nft.GOTO, REFUSE)]


def _server_of(plane: Plane, name: str, key: int, server: int) -> list[bytes]:
    """Look a server's number up, and let it be a mark: connections keep it, packets for a while.

    Nothing may be looked up by what a lookup found, though the kernel could: `nft list` 1.0.6
    aborts at such a rule.
    """
    found = ex.looked_up(name, key, server)
    if plane.path is Path.INGRESS:
        return ingress.numbered(found, server)
    if plane.path is Path.COPIED:
        kept = ex.packet_mark(_KEPT)
        return [found, kept, ex.set_packet_mark(server), ex.packet_mark(server)]
    return [found, ex.set_connection_mark(server), ex.connection_mark(server)]


def _known_client(plane: Plane, shape: Shape, server: int) -> list[bytes]:
    """Find the server that a client has, if it still takes connections."""
    return [
        *_client(plane, shape),
        *_server_of(plane, clients_of(shape.number), 0, server),
        ex.member(TAKING, server),
    ]


def _renew_client(shape: Shape, server: int) -> bytes:
    return ex.remembered(clients_of(shape.number), 0, server, shape.options.timeout)


def _learn_client(plane: Plane, shape: Shape, server: int) -> list[bytes]:
    """Remember a client's server, in place of any other."""
    return [
        *_client(plane, shape),
        ex.forgotten(clients_of(shape.number), 0, server),
        _renew_client(shape, server),
    ]


def _client(plane: Plane, shape: Shape) -> list[bytes]:
    mask = shape.options.mask
    cut = [] if mask is None else [ex.masked(0, _mask_bytes(mask))]
    return [plane.load_source(0), *cut]


def client_key(options: ServiceOptions, source: bytes) -> bytes:
    """Return the key by which a client persists."""
    if options.mask is None:
        return source
    return bytes(a & b for a, b in zip(source, _mask_bytes(options.mask), strict=True))


def _mask_bytes(mask: IPv4Address | int) -> bytes:
    if isinstance(mask, IPv4Address):
        return mask.packed
    return ((1 << 128) - (1 << (128 - mask))).to_bytes(16)


def _chosen(plane: Plane, shape: Shape, room: int, server: int) -> list[bytes]:
    """Choose a slot and find its server; room: registers that are free from there on."""
    slot, source = room, room + 1
    size = 4 * plane.words

    def by_hash(*loads: bytes, more: int = 0) -> list[bytes]:
        return [*loads, ex.hashed(source, size + more, shape.slots, SEED, slot)]

    match shape.choice:
        case Choice.TURN:
            found = [ex.by_turn(shape.slots, slot)]
        case Choice.RANDOM:
            found = [ex.at_random(shape.slots, slot)]
        case Choice.SOURCE:
            found = by_hash(plane.load_source(source))
        case Choice.SOURCE_PORT:
            port = ex.load(ex.TRANSPORT, 0, 2, source + plane.words)
            found = by_hash(plane.load_source(source), port, more=4)
        case _:
            assert shape.choice is Choice.DESTINATION
            found = by_hash(plane.load_destination(source))
    return [*found, *_server_of(plane, slots_of(shape.number), slot, server)]
