"""Direct routing where packets come in: the chains that all services of such a table share.

A packet of a known connection is looked up once, before its service is, and handed to its server's
neighbour without seeing the kernel's routes, its other tables or connection tracking. Whatever is
not ours goes on as if we were not there. Numbers pass through the packet's mark (`nft list` 1.0.6
aborts at a lookup by what a lookup found); what was there before is lost with packets of ours.
Source: docs/adr/0022; facts/DATAPLANE.md section 1.1.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from standfest.adapters.linux.nftables.plane import (
    CLOSING,
    DEVICES,
    FLOWS,
    FRAGMENTS,
    HOSTS,
    REFUSE,
    SERVER_MARKS,
    SERVER_MASK,
    TCP,
    Plane,
    by_address,
    by_port,
)
from standfest.model.forwarding import IPAddress
from standfest.model.vrrp import Family
from standfest.wire import nftables as nft
from standfest.wire import nftexpressions as ex
from standfest.wire.nftables import Message

OPENING_S, OPEN_S, CLOSING_S = 60, 900, 120
"""How long direct routing remembers a connection after its last packet; as IPVS by default."""

FIN_OR_RST, SYN = b"\x05", b"\x02"
KNOWN, ENDING, DISPATCH = "known", "ending", "dispatch"
BROKEN, BEGUN = "broken", "begun"
PRIORITY = 0
_PREFIX = "from-"
_DEVICE = 0
"""The register that has the server's interface at last, when the key there is not needed more."""
_FRAGMENT_S = 30
"""As long as Linux waits for a packet's fragments."""
_ICMP, _ICMP6, _FRAGMENT_HEADER = 1, 58, 44
_ETHERNET_TYPES = {Family.IPV4: b"\x08\x00", Family.IPV6: b"\x86\xdd"}
_TO_US = b"\0"


@dataclass(frozen=True, slots=True)
class Interface:
    """One by which packets may come; ethernet: they have a MAC header, and maybe a VLAN's."""

    name: str
    ethernet: bool


@dataclass(frozen=True, slots=True)
class Hop:
    """Where a server is: the neighbour on an interface, 0 if there is no way to it now."""

    interface: int
    neighbour: IPAddress


def chain_of(interface: Interface) -> str:
    """Return the name of the chain that an interface's packets come through first."""
    return f"{_PREFIX}{interface.name}"


def is_of_interface(chain: str) -> bool:
    """Return whether a chain is one of those."""
    return chain.startswith(_PREFIX)


def watch(plane: Plane, interface: Interface) -> Iterator[Message]:
    """Yield what lets an interface's packets in.

    Frames for other machines are theirs, and those with a VLAN's tag come again by its interface.
    """
    kind = _ETHERNET_TYPES[plane.family]
    loaded = ex.load(ex.LINK, 12, 2, 0) if interface.ethernet else ex.link_protocol(0)
    ours = [loaded, ex.equal(0, kind), ex.packet_kind(0), ex.equal(0, _TO_US)]
    name = chain_of(interface)
    yield plane.table.base_chain(name, "filter", nft.INGRESS, PRIORITY, interface.name)
    whole = _is_fragment(plane, ex.equal)
    yield plane.table.rule(name, [*ours, *whole, ex.decided(nft.GOTO, KNOWN)])
    yield plane.table.rule(name, [*ours, ex.decided(nft.GOTO, BROKEN)])


def chains(plane: Plane) -> Iterator[Message]:
    """Yield the chains that every packet comes through behind its interface's own."""
    table = plane.table
    for name in (REFUSE, DISPATCH, ENDING, BEGUN, BROKEN, KNOWN):
        yield table.chain(name)
    for name, rules in (
        (REFUSE, _refuse()),
        (DISPATCH, _dispatch(plane)),
        (ENDING, _ending(plane)),
        (BEGUN, _begun(plane)),
        (BROKEN, _broken(plane)),
        (KNOWN, _known(plane)),
    ):
        for rule in rules:
            yield table.rule(name, rule)


def server_register(plane: Plane) -> int:
    """Return the register behind a connection's key."""
    return 2 * plane.words + 3


def flow(plane: Plane) -> list[bytes]:
    """Load what tells connections apart, from register 0 on."""
    words = plane.words
    return [
        plane.load_source(0),
        plane.load_destination(words),
        ex.load(ex.TRANSPORT, 0, 2, 2 * words),
        ex.load(ex.TRANSPORT, 2, 2, 2 * words + 1),
        ex.transport_protocol(2 * words + 2),
    ]


def key_bytes(plane: Plane) -> int:
    """Return how long a connection's key is."""
    return 4 * server_register(plane)


def protocol_of(key: bytes) -> int:
    """Return the transport protocol's number in a connection's key."""
    return key[-4] if len(key) >= 4 else 0


def numbered(found: bytes, server: int) -> list[bytes]:
    """Look a server's number up and let it be the packet's mark, by which more can be looked up."""
    return [found, ex.set_packet_mark(server), ex.packet_mark(server)]


def found_host(plane: Plane) -> bytes:
    """Find the server's address, and count the packet; ends the rule if the server is no more."""
    server = server_register(plane)
    return ex.looked_up(HOSTS, server, server + 1)


def hand_over(plane: Plane) -> list[bytes]:
    """Send the packet to the server that was found."""
    server = server_register(plane)
    return [
        ex.looked_up(DEVICES, server, _DEVICE),
        ex.handed_over(plane.protocol, server + 1, _DEVICE),
    ]


def flags(wanted: bytes, compared: Callable[[int, bytes], bytes]) -> list[bytes]:
    """Compare some of a TCP segment's flags with zero."""
    return [ex.load(ex.TRANSPORT, 13, 1, 0), ex.masked(0, wanted), compared(0, b"\0")]


def is_tcp() -> list[bytes]:
    """End the rule unless it is TCP."""
    return [ex.transport_protocol(0), ex.equal(0, bytes((TCP,)))]


def _known(plane: Plane) -> Iterator[list[bytes]]:
    yield [*is_tcp(), *flags(FIN_OR_RST, ex.different), ex.decided(nft.GOTO, ENDING)]
    yield _going_on(plane, FLOWS, OPEN_S)
    # What begins anew from the same port is another connection.
    yield [*is_tcp(), *flags(SYN, ex.equal), *_going_on(plane, CLOSING, CLOSING_S)]
    yield _error(plane)
    yield [ex.decided(nft.GOTO, DISPATCH)]


def _going_on(plane: Plane, name: str, seconds: int) -> list[bytes]:
    server = server_register(plane)
    return [
        *_found_in(plane, name),
        ex.remembered(name, 0, server, seconds),
        *hand_over(plane),
    ]


def _found_in(plane: Plane, name: str, key: list[bytes] | None = None) -> list[bytes]:
    server = server_register(plane)
    key = flow(plane) if key is None else key
    return [*key, *numbered(ex.looked_up(name, 0, server), server), found_host(plane)]


def _ending(plane: Plane) -> Iterator[list[bytes]]:
    """Yield the rules for connections that end: what comes after does not renew them for long."""
    server = server_register(plane)
    yield [
        *_found_in(plane, FLOWS),
        ex.remembered(CLOSING, 0, server, CLOSING_S),
        ex.forgotten(FLOWS, 0, server),
        *hand_over(plane),
    ]
    yield _going_on(plane, CLOSING, CLOSING_S)
    yield [ex.decided(nft.GOTO, DISPATCH)]


def _error(plane: Plane) -> list[bytes]:
    """Send what a router says of a connection's answers where they come from.

    That is the server; the packet that it quotes is to the client, from the virtual address.
    """
    words, six = plane.words, plane.words == 4
    kind = ex.load(ex.TRANSPORT, 0, 1, 0)
    if six:  # errors have numbers below 128
        asks = [kind, ex.masked(0, b"\x80"), ex.equal(0, b"\0")]
        source, destination, ports, protocol = 16, 32, 48, 14
    else:  # unreachable (3) and time exceeded (11), quoting a header without options
        asks = [kind, ex.masked(0, b"\xf7"), ex.equal(0, b"\x03")]
        asks += [ex.load(ex.TRANSPORT, 8, 1, 0), ex.equal(0, b"\x45")]
        source, destination, ports, protocol = 20, 24, 28, 17
    key = [
        ex.load(ex.TRANSPORT, destination, 4 * words, 0),
        ex.load(ex.TRANSPORT, source, 4 * words, words),
        ex.load(ex.TRANSPORT, ports + 2, 2, 2 * words),
        ex.load(ex.TRANSPORT, ports, 2, 2 * words + 1),
        ex.load(ex.TRANSPORT, protocol, 1, 2 * words + 2),
    ]
    number = bytes((_ICMP6 if six else _ICMP,))
    return [
        *(ex.transport_protocol(0), ex.equal(0, number), *asks),
        *_found_in(plane, FLOWS, key),
        *hand_over(plane),
    ]


def _is_fragment(plane: Plane, compared: Callable[[int, bytes], bytes]) -> list[bytes]:
    """Compare what says that more fragments belong to a packet with nothing."""
    if plane.words == 4:
        header = bytes((_FRAGMENT_HEADER,))
        negated = ex.different if compared is ex.equal else ex.equal
        return [ex.load(ex.NETWORK, 6, 1, 0), negated(0, header)]
    return [ex.load(ex.NETWORK, 6, 2, 0), ex.masked(0, b"\x3f\xff"), compared(0, b"\0\0")]


def _is_behind_the_first(plane: Plane) -> list[bytes]:
    at, mask = (42, b"\xff\xf8") if plane.words == 4 else (6, b"\x1f\xff")
    return [ex.load(ex.NETWORK, at, 2, 0), ex.masked(0, mask), ex.different(0, b"\0\0")]


def _packet(plane: Plane) -> list[bytes]:
    """Load what tells a packet's fragments from another's."""
    words = plane.words
    at, size = (44, 4) if words == 4 else (4, 2)
    return [
        plane.load_source(0),
        plane.load_destination(words),
        ex.load(ex.NETWORK, at, size, 2 * words),
    ]


def _first(plane: Plane) -> list[bytes]:
    """Remember who gets a packet's first fragment, so that the others follow it."""
    server = server_register(plane)
    return [
        *_found_in(plane, FLOWS),
        *_packet(plane),
        ex.remembered(FRAGMENTS, 0, server, _FRAGMENT_S),
        *hand_over(plane),
    ]


def _broken(plane: Plane) -> Iterator[list[bytes]]:
    """Yield the rules for fragments; only the first has ports."""
    behind = _is_behind_the_first(plane)
    yield [*behind, *_found_in(plane, FRAGMENTS, _packet(plane)), *hand_over(plane)]
    yield [*behind, ex.decided(nft.ACCEPT)]
    yield _first(plane)
    yield [ex.decided(nft.GOTO, DISPATCH)]


def _begun(plane: Plane) -> Iterator[list[bytes]]:
    """Yield the rules for the first packet of a connection that has just been remembered."""
    yield [*_is_fragment(plane, ex.different), *_first(plane)]
    yield [*_found_in(plane, FLOWS), *hand_over(plane)]


def _dispatch(plane: Plane) -> Iterator[list[bytes]]:
    yield by_port(plane)
    yield by_address(plane)
    # A connection that is known to nobody but our memory, whose service is gone: not ours.
    yield [
        ex.packet_mark(0),
        ex.masked(0, nft.number(SERVER_MASK)),
        ex.equal(0, nft.number(SERVER_MARKS)),
        ex.constant(nft.number(0), 0),
        ex.set_packet_mark(0),
    ]


def _refuse() -> Iterator[list[bytes]]:
    yield [*is_tcp(), ex.reset()]
    yield [ex.port_unreachable()]
