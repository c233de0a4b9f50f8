"""What the kernel's tables hold, as values: read once, then followed through every transaction.

Everything is in the elements of maps: a service's options are the comment of the element that leads
to its chain, a server's weight and thresholds the comment of the one that has its address. So a
daemon that starts again needs no file, and `nft list` shows what is wanted.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, ip_address
from typing import Final

from standfest.adapters.linux.nftables import plane as pl
from standfest.adapters.linux.nftables import skeleton
from standfest.adapters.linux.nftables.ingress import Hop
from standfest.adapters.linux.nftables.plane import Path, Plane
from standfest.model.balancing import Forwarding, Method
from standfest.model.errors import OperationError
from standfest.model.flows import FlowTuple
from standfest.model.forwarding import (
    Destination,
    DestinationKey,
    Service,
    ServiceKey,
    ServiceOptions,
)
from standfest.model.vrrp import Family
from standfest.wire import nftables as nft
from standfest.wire.nftables import Element, joined, number, read_number

Elements = Callable[[Plane, str], list[Element]]

MAX_SERIAL: Final = 0xFFFFFF
_PROTOCOL_NAMES = {number: name for name, number in pl.PROTOCOL_NUMBERS.items()}
_CHAIN_PREFIX = "service-"


@dataclass(frozen=True, slots=True)
class Held:
    """One service as a table has it.

    slots: the server's number of each. hops: where servers are, if packets are handed to them.
    """

    plane: Plane
    number: int
    options: ServiceOptions
    slots: tuple[int, ...] = ()
    servers: Mapping[DestinationKey, int] = field(default_factory=dict)
    destinations: Mapping[DestinationKey, Destination] = field(default_factory=dict)
    hops: Mapping[DestinationKey, Hop] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Image:
    """All that the tables hold.

    planes: those whose table is there. foreign: those whose table is of another layout.
    chains: of interfaces, in the tables where packets are taken as they come in. last_number: that
    a server was given; connections may be remembered whose server is gone.
    """

    generation: int
    services: Mapping[ServiceKey, Held]
    planes: frozenset[Plane]
    foreign: frozenset[Plane]
    chains: Mapping[Plane, frozenset[str]] = field(default_factory=dict)
    last_number: int = 0

    def table(self) -> dict[ServiceKey, Service]:
        """Return it as the balancer knows it."""
        return {
            key: Service(held.options, dict(held.destinations))
            for key, held in self.services.items()
        }


def read(
    generation: int,
    comments: Mapping[Plane, str | None],
    elements: Elements,
    chains: Mapping[Plane, frozenset[str]],
    last_number: int,
) -> Image:
    """Return what is there; comments: of the planes' tables, None: no table."""
    there = frozenset(plane for plane, comment in comments.items() if comment == pl.LAYOUT)
    foreign = frozenset(
        plane for plane, comment in comments.items() if comment not in (None, pl.LAYOUT)
    )
    services: dict[ServiceKey, Held] = {}
    for plane in sorted(there, key=str):
        services.update(_services(plane, elements))
    return Image(generation, services, there, foreign, chains, last_number)


def _services(plane: Plane, elements: Elements) -> Iterator[tuple[ServiceKey, Held]]:
    servers: dict[int, dict[DestinationKey, tuple[int, Destination]]] = {}
    for name in plane.saying:
        for element in elements(plane, name):
            service, key, value = read_server(element.comment)
            servers.setdefault(service, {})[key] = read_number(element.key), value
    hops = _hops(plane, elements) if plane.path is Path.INGRESS else {}
    for name in plane.leading:
        for element in elements(plane, name):
            own = int(element.chain.removeprefix(_CHAIN_PREFIX))
            known = servers.get(own, {})
            owners = {
                read_number(e.key): read_number(e.data) for e in elements(plane, pl.slots_of(own))
            }
            yield (
                read_key(plane, name, element.key),
                Held(
                    plane,
                    own,
                    read_options(element.comment),
                    tuple(owners[slot] for slot in sorted(owners)),
                    {key: server for key, (server, _) in known.items()},
                    {key: value for key, (_, value) in known.items()},
                    {
                        key: hops.get(mark, Hop(0, key.address))
                        for key, (mark, _) in known.items()
                        if plane.path is Path.INGRESS
                    },
                ),
            )


def _hops(plane: Plane, elements: Elements) -> dict[int, Hop]:
    neighbours = {read_number(e.key): ip_address(e.data) for e in elements(plane, pl.HOSTS)}
    return {
        mark: Hop(read_number(element.data), neighbours[mark])
        for element in elements(plane, pl.DEVICES)
        if (mark := read_number(element.key)) in neighbours
    }


def candidates(image: Image, protocol: int, original: FlowTuple) -> Iterator[Held]:
    """Yield the services that a connection may belong to; which mark it had is not known."""
    name, address = _PROTOCOL_NAMES.get(protocol, ""), ip_address(original.destination)
    family = Family(address.version)
    for port in (original.destination_port, 0):
        held = image.services.get(ServiceKey(family, name, address, port))
        if held is not None:
            yield held
    for key, held in image.services.items():
        if key.address is None and key.family is family:
            yield held


# --- keys and comments ---------------------------------------------------------------------------


def key_of(key: ServiceKey) -> tuple[str, bytes]:
    """Return the map that leads to a service, and the service's key in it."""
    if key.address is None:
        return pl.MARKS, number(key.mark)
    protocol = bytes((pl.PROTOCOL_NUMBERS[key.protocol],))
    if not key.port:
        return pl.ALL_PORTS, joined(key.address.packed, protocol)
    return pl.SERVICES, joined(key.address.packed, protocol, key.port.to_bytes(2))


def read_key(plane: Plane, name: str, key: bytes) -> ServiceKey:
    """Return the service that a key in one of the three maps means."""
    if name == pl.MARKS:
        return ServiceKey(plane.family, "", None, 0, read_number(key))
    size = 4 * plane.words
    protocol = _PROTOCOL_NAMES.get(key[size], "")
    port = int.from_bytes(key[size + 4 : size + 6]) if name == pl.SERVICES else 0
    return ServiceKey(plane.family, protocol, ip_address(key[:size]), port)


def options_comment(options: ServiceOptions) -> str:
    """Return a service's options in words, such as `wrr timeout=300 mask=255.255.255.0`."""
    words = [options.scheduler]
    if options.flags:
        words.append(f"flags={','.join(options.flags)}")
    if options.timeout:
        words.append(f"timeout={options.timeout}")
    if options.mask is not None:
        words.append(f"mask={options.mask}")
    if options.one_packet:
        words.append("one-packet")
    return " ".join(words)


def read_options(comment: str) -> ServiceOptions:
    """Return the options that a comment has."""
    try:
        scheduler, *words = comment.split()
        said = dict(word.partition("=")[::2] for word in words)
        mask = said.get("mask")
        return ServiceOptions(
            scheduler,
            tuple(said["flags"].split(",")) if "flags" in said else (),
            int(said.get("timeout", "0")),
            None if mask is None else IPv4Address(mask) if "." in mask else int(mask),
            one_packet="one-packet" in said,
        )
    except ValueError as error:
        raise _not_ours(comment) from error


def server_comment(service: int, key: DestinationKey, value: Destination) -> str:
    """Return what is said of a server: service, method, weight, thresholds, address, port."""
    method = value.method.forwarding.value
    limits = f"{value.upper} {value.lower}"
    return f"{service} {method} {value.weight} {limits} {key.address} {key.port}"


def read_server(comment: str) -> tuple[int, DestinationKey, Destination]:
    """Return the service's number and the server that a comment says."""
    try:
        service, method, weight, upper, lower, address, port = comment.split()
        key = DestinationKey(ip_address(address), int(port))
        forwarding = Method(Forwarding(method))
        return int(service), key, Destination(forwarding, int(weight), int(upper), int(lower))
    except ValueError as error:
        raise _not_ours(comment) from error


def _not_ours(comment: str) -> OperationError:
    return OperationError(
        f"an element of our tables has the comment {comment!r}: changed by another program?"
    )


def server_elements(
    plane: Plane, key: DestinationKey, mark: int, comment: str, hop: Hop | None
) -> list[tuple[str, Element]]:
    """Return the elements that say where a server is, each with its map."""
    if plane.path is Path.INGRESS:
        assert hop is not None, "whoever makes such an element has asked for the way"
        return [
            (pl.HOSTS, Element(number(mark), hop.neighbour.packed, counted=True)),
            (pl.DEVICES, Element(number(mark), number(hop.interface), comment=comment)),
        ]
    if plane.direct or not key.port:
        return [(pl.HOSTS, Element(number(mark), key.address.packed, comment=comment))]
    data = joined(key.address.packed, key.port.to_bytes(2))
    return [(pl.SERVERS, Element(number(mark), data, comment=comment))]


def messages_of(plane: Plane, image: Image) -> list[nft.Message]:
    """Return what makes a plane's table where it is not there yet."""
    if plane in image.planes:
        return []
    replaced = [plane.table.delete()] if plane in image.foreign else []
    return [*replaced, *skeleton.skeleton(plane)]
