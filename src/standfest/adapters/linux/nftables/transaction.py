"""From changes to one transaction: only what differs is touched, and all of it at once."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from standfest.adapters.linux.nftables import image as im
from standfest.adapters.linux.nftables import ingress
from standfest.adapters.linux.nftables import plane as pl
from standfest.adapters.linux.nftables.image import Held, Image
from standfest.adapters.linux.nftables.ingress import Hop, Interface
from standfest.adapters.linux.nftables.plane import Path, Plane
from standfest.adapters.linux.nftables.rules import (
    Shape,
    chain_name,
    choice,
    choice_name,
    known,
)
from standfest.model.balancing import Forwarding
from standfest.model.errors import OperationError
from standfest.model.forwarding import (
    AddDestination,
    AddService,
    Change,
    DeleteDestination,
    DeleteService,
    Destination,
    DestinationKey,
    IPAddress,
    Service,
    ServiceKey,
    ServiceOptions,
    SetDestination,
    SetService,
    Shares,
)
from standfest.model.slots import Slots
from standfest.ports.balancer import Scheduling
from standfest.wire.nftables import Element, Message, encode_element, number


class Surroundings(Protocol):
    """The network as the machine knows it now."""

    def interfaces(self) -> frozenset[Interface]:
        """Return those by which a packet for a service may come in."""

    def hop(self, address: IPAddress) -> Hop:
        """Return where a server is."""


_Elements = list[tuple[str, Element]]


@dataclass(slots=True)
class _Steps:
    """What is to be done to one table."""

    made: list[Message] = field(default_factory=list)
    removed: dict[str, list[bytes]] = field(default_factory=dict)
    added: dict[str, list[bytes]] = field(default_factory=dict)
    dropped: list[Message] = field(default_factory=list)

    def remove(self, name: str, key: bytes) -> None:
        self.removed.setdefault(name, []).append(key)

    def add(self, name: str, element: Element) -> None:
        self.added.setdefault(name, []).append(encode_element(element))

    def messages(self, plane: Plane) -> list[Message]:
        found = list(self.made)
        for name, keys in self.removed.items():
            found += plane.table.remove(name, keys)
        for name, elements in self.added.items():
            found += plane.table.add_encoded(name, elements)
        return found + self.dropped


class Transaction:
    """Collects what turns an image into another one.

    surroundings: None where the kernel cannot take packets as they come in. released: connection
    marks of servers that get no packet any more.
    """

    def __init__(
        self, image: Image, scheduling: Scheduling, surroundings: Surroundings | None = None
    ) -> None:
        self._before, self._scheduling, self._surroundings = image, scheduling, surroundings
        self._hops: dict[IPAddress, Hop] = {}
        self._chains = dict(image.chains)
        self._services = dict(image.services)
        self._steps: dict[Plane, _Steps] = {}
        held = image.services.values()
        self._last_number = max((h.number for h in held), default=0)
        self._last_mark = image.last_number
        self._marks: set[int] | None = None
        self.released: list[int] = []

    def apply(self, changes: Sequence[Change]) -> None:
        """Take changes in; raises OperationError for what makes no sense or cannot be done."""
        for key, service in _wanted(self._services, changes).items():
            held = self._services.get(key)
            if service is None:
                if held is not None:
                    self._remove(key, held)
                continue
            plane = _plane(key, service, held, ingress=self._surroundings is not None)
            if held is not None and held.plane != plane:
                self._remove(key, held)
                held = None
            self._set(key, plane, held, service)

    def share(self, shares: Mapping[ServiceKey, Shares]) -> None:
        """Let servers take turns by these shares instead of their weights."""
        for key, parts in shares.items():
            held = self._services.get(key)
            if held is None or not parts.keys() <= held.servers.keys():
                raise OperationError(f"share {key}: another program has changed our tables")
            owners = {str(destination): mark for destination, mark in held.servers.items()}
            table = self._scheduling("wrr", (), {str(d): part for d, part in parts.items()})
            slots = tuple(owners[owner] for owner in table.owners)
            if slots != held.slots:
                self._set_table(key, held, held.options, slots)
                self._services[key] = replace(held, slots=slots)

    def surround(self) -> None:
        """Follow the network: interfaces that have come or gone, servers that are elsewhere."""
        for plane in self._before.planes:
            if plane.path is Path.INGRESS:
                self._watch(plane)
        for key, held in self._services.items():
            if held.plane.path is Path.INGRESS:
                self._set_hops(key, held)

    def messages(self) -> list[Message]:
        """Return the transaction's messages."""
        found: list[Message] = []
        for plane in self._steps:
            if plane.path is Path.INGRESS and plane not in self._before.planes:
                self._watch(plane)
        for plane, steps in self._steps.items():
            found += im.messages_of(plane, self._before) + steps.messages(plane)
        return found

    def image(self) -> Image:
        """Return what the tables hold after the transaction."""
        before = self._before
        touched = frozenset(self._steps)
        return Image(
            before.generation + 1,
            self._services,
            before.planes | touched,
            before.foreign - touched,
            self._chains,
            self._last_mark,
        )

    # --- services -------------------------------------------------------------------------------

    def _at(self, plane: Plane) -> _Steps:
        return self._steps.setdefault(plane, _Steps())

    def _remove(self, key: ServiceKey, held: Held) -> None:
        steps = self._at(held.plane)
        steps.remove(*im.key_of(key))
        for destination in held.destinations:
            self._remove_server(held, destination)
        for chain in (chain_name(held.number), choice_name(held.number)):
            steps.dropped.append(held.plane.table.delete_chain(chain))
        for described in pl.service_sets(
            held.plane, held.number, persistent=held.options.timeout > 0
        ):
            steps.dropped.append(held.plane.table.delete_set(described.name))
        del self._services[key]

    def _set(self, key: ServiceKey, plane: Plane, held: Held | None, service: Service) -> None:
        steps, name = self._at(plane), im.key_of(key)
        fresh = held is None
        if held is None:
            held = self._fresh(plane, service.options)
        elif held.options != service.options:
            steps.remove(*name)
            self._set_clients(held, service.options)
        if fresh or held.options != service.options:
            comment = im.options_comment(service.options)
            steps.add(name[0], Element(name[1], chain=chain_name(held.number), comment=comment))
        hops = self._hops_of(plane, held, service.destinations)
        servers = self._set_servers(held, service.destinations, hops)
        owners = {str(destination): mark for destination, mark in servers.items()}
        slots = tuple(owners[owner] for owner in self._slots(key, service).owners)
        self._set_table(key, held, service.options, slots, fresh=fresh)
        destinations = dict(service.destinations)
        self._services[key] = Held(
            plane, held.number, service.options, slots, servers, destinations, hops
        )

    def _set_table(
        self,
        key: ServiceKey,
        held: Held,
        options: ServiceOptions,
        slots: tuple[int, ...],
        *,
        fresh: bool = False,
    ) -> None:
        """Replace the slots that differ, and the rules that read otherwise."""
        self._set_slots(held, slots)
        before = None if fresh else self._shape(key, held.number, held.options, len(held.slots))
        after = self._shape(key, held.number, options, len(slots))
        if before is None or replace(before, slots=after.slots) != after:
            self._fill(held.plane, chain_name(held.number), known(held.plane, after), fresh)
        if before != after:
            self._fill(held.plane, choice_name(held.number), choice(held.plane, after), fresh)

    def _fill(
        self,
        plane: Plane,
        chain: str,
        rules: Iterable[list[bytes]],
        fresh: bool,
    ) -> None:
        steps = self._at(plane)
        if not fresh:
            steps.made.append(plane.table.clear(chain))
        steps.made += [plane.table.rule(chain, rule) for rule in rules]

    def _fresh(self, plane: Plane, options: ServiceOptions) -> Held:
        """Make the chain and the maps of a service that is new."""
        self._last_number += 1
        own, steps = self._last_number, self._at(plane)
        steps.made += [plane.table.chain(name(own)) for name in (chain_name, choice_name)]
        for described in pl.service_sets(plane, own, persistent=options.timeout > 0):
            steps.made.append(plane.table.set(described, len(steps.made)))
        return Held(plane, own, options)

    def _set_clients(self, held: Held, options: ServiceOptions) -> None:
        """Make or remove the map of clients where persistence begins or ends."""
        was, has = held.options.timeout > 0, options.timeout > 0
        steps, table = self._at(held.plane), held.plane.table
        if has and not was:
            wanted = pl.clients_of(held.number)
            described = next(
                s
                for s in pl.service_sets(held.plane, held.number, persistent=True)
                if s.name == wanted
            )
            steps.made.append(table.set(described, len(steps.made)))
        elif was and not has:
            steps.dropped.append(table.delete_set(pl.clients_of(held.number)))

    def _shape(self, key: ServiceKey, own: int, options: ServiceOptions, slots: int) -> Shape:
        choice = self._scheduling(options.scheduler, options.flags, {}).choice
        # How a chain reads does not depend on what only a comment or a map has.
        return Shape(own, key.protocol, replace(options, scheduler="", flags=()), choice, slots)

    def _slots(self, key: ServiceKey, service: Service) -> Slots:
        weights = {str(d): value.weight for d, value in service.destinations.items()}
        options = service.options
        try:
            return self._scheduling(options.scheduler, options.flags, weights)
        except ValueError as error:
            raise OperationError(f"{key}: {error}") from error

    def _set_slots(self, held: Held, slots: tuple[int, ...]) -> None:
        steps = self._at(held.plane)
        name, before = pl.slots_of(held.number), held.slots
        for slot in range(max(len(before), len(slots))):
            old = before[slot] if slot < len(before) else None
            new = slots[slot] if slot < len(slots) else None
            if old == new:
                continue
            if old is not None:
                steps.remove(name, number(slot))
            if new is not None:
                steps.add(name, Element(number(slot), number(new)))

    # --- the network ----------------------------------------------------------------------------

    def _watch(self, plane: Plane) -> None:
        """Let packets in by the interfaces that there are, and by no other."""
        assert self._surroundings is not None, "such a table has been asked for or found"
        steps, there = self._at(plane), self._chains.get(plane, frozenset())
        wanted = {ingress.chain_of(one): one for one in self._surroundings.interfaces()}
        for chain in sorted(there - wanted.keys()):
            steps.dropped.append(plane.table.delete_chain(chain))
        for chain in sorted(wanted.keys() - there):
            steps.made += ingress.watch(plane, wanted[chain])
        self._chains[plane] = frozenset(wanted)

    def _hops_of(
        self, plane: Plane, held: Held, wanted: Iterable[DestinationKey]
    ) -> dict[DestinationKey, Hop]:
        """Return where servers are: as it is held, if they are not new."""
        if plane.path is not Path.INGRESS:
            return {}
        return {key: held.hops.get(key) or self._hop(key.address) for key in wanted}

    def _hop(self, address: IPAddress) -> Hop:
        assert self._surroundings is not None, "such a table has been asked for or found"
        if address not in self._hops:
            self._hops[address] = self._surroundings.hop(address)
        return self._hops[address]

    def _set_hops(self, key: ServiceKey, held: Held) -> None:
        hops = {server: self._hop(server.address) for server in held.destinations}
        for server, hop in hops.items():
            before = held.hops.get(server)
            if hop != before:
                mark, value = held.servers[server], held.destinations[server]
                old = [] if before is None else _elements(held, server, mark, value, before)
                self._replace(held.plane, old, _elements(held, server, mark, value, hop))
        self._services[key] = replace(held, hops=hops)

    # --- servers --------------------------------------------------------------------------------

    def _set_servers(
        self,
        held: Held,
        wanted: Mapping[DestinationKey, Destination],
        hops: Mapping[DestinationKey, Hop],
    ) -> dict[DestinationKey, int]:
        steps, plane = self._at(held.plane), held.plane
        for destination in held.destinations.keys() - wanted.keys():
            self._remove_server(held, destination)
        marks: dict[DestinationKey, int] = {}
        for destination, value in wanted.items():
            before = held.destinations.get(destination)
            mark = held.servers.get(destination)
            if mark is None:
                mark = self._new_mark()
                for name in plane.counting:
                    steps.add(name, Element(number(mark), counted=True))
            marks[destination] = mark
            if before == value:
                continue
            hop = hops.get(destination)
            old = [] if before is None else _elements(held, destination, mark, before, hop)
            self._replace(plane, old, _elements(held, destination, mark, value, hop))
            took, takes = before is not None and before.weight > 0, value.weight > 0
            if takes and not took:
                steps.add(pl.TAKING, Element(number(mark)))
            elif took and not takes:
                steps.remove(pl.TAKING, number(mark))
        return marks

    def _replace(self, plane: Plane, old: _Elements, new: _Elements) -> None:
        """Remove elements and add others; what is in both is left alone."""
        steps = self._at(plane)
        for name, element in old:
            if (name, element) not in new:
                steps.remove(name, element.key)
        for name, element in new:
            if (name, element) not in old:
                steps.add(name, element)

    def _remove_server(self, held: Held, destination: DestinationKey) -> None:
        steps, mark = self._at(held.plane), held.servers[destination]
        value, hop = held.destinations[destination], held.hops.get(destination)
        self._replace(held.plane, _elements(held, destination, mark, value, hop), [])
        if value.weight > 0:
            steps.remove(pl.TAKING, number(mark))
        for name in held.plane.counting:
            steps.remove(name, number(mark))
        if not held.plane.direct:
            self.released.append(mark)

    def _new_mark(self) -> int:
        """Return a number that no server has, preferably one that none had lately."""
        if self._marks is None:
            held = self._services.values()
            self._marks = {mark for service in held for mark in service.servers.values()}
        if len(self._marks) >= pl.MAX_SERVERS:
            raise OperationError(f"more than {pl.MAX_SERVERS} servers of all services together")
        while True:
            serial = (self._last_mark & ~pl.SERVER_MASK) % im.MAX_SERIAL + 1
            self._last_mark = pl.SERVER_MARKS | serial
            if self._last_mark not in self._marks:
                self._marks.add(self._last_mark)
                return self._last_mark


def _elements(
    held: Held, key: DestinationKey, mark: int, value: Destination, hop: Hop | None
) -> _Elements:
    comment = im.server_comment(held.number, key, value)
    return im.server_elements(held.plane, key, mark, comment, hop)


def _plane(key: ServiceKey, service: Service, held: Held | None, *, ingress: bool) -> Plane:
    """Return where a service belongs; raises OperationError naming what else would do.

    ingress: whether packets can be taken as they come in, where no mark is to be waited for.
    """
    options = service.options
    methods = {value.method.forwarding for value in service.destinations.values()}
    if Forwarding.TUNNEL in methods:
        raise OperationError(
            f"{key}: nftables cannot forward by TUN; expected NAT or DR, or the ipvs or xdp backend"
        )
    if len(methods) > 1:
        raise OperationError(f"{key}: servers by NAT and by DR; expected one method per service")
    if options.engine:
        raise OperationError(
            f"{key}: persistence engine {options.engine} needs the ipvs backend; expected none"
        )
    for destination in service.destinations:
        if destination.address.version != key.family.value:
            raise OperationError(f"{key}: server {destination} is of the other address family")
    direct = held.plane.direct if held is not None else False
    if methods:
        direct = Forwarding.DIRECT in methods
    if options.one_packet and not direct and methods:
        raise OperationError(
            f"{key}: one-packet scheduling by NAT needs the ipvs backend; expected DR"
        )
    if held is not None and held.plane.direct == direct:
        return held.plane
    if not direct:
        return Plane(key.family)
    return Plane(key.family, Path.INGRESS if ingress and key.address is not None else Path.COPIED)


def _wanted(
    services: Mapping[ServiceKey, Held], changes: Iterable[Change]
) -> dict[ServiceKey, Service | None]:
    """Return what each service that changes comes to, None if it is removed."""
    found: dict[ServiceKey, Service | None] = {}

    def there(key: ServiceKey, what: str) -> Service:
        if key not in found and key in services:
            held = services[key]
            found[key] = Service(held.options, dict(held.destinations))
        service = found.get(key)
        if service is None:
            raise OperationError(f"{what}: no such service")
        return service

    for change in changes:
        match change:
            case AddService(key, options):
                if found.get(key) is not None or (key not in found and key in services):
                    raise OperationError(f"add {key}: it is there already")
                found[key] = Service(options, {})
            case SetService(key, options):
                found[key] = Service(options, there(key, f"change {key}").destinations)
            case DeleteService(key):
                there(key, f"remove {key}")
                found[key] = None
            case AddDestination(key, destination, value):
                what = f"add {destination} to {key}"
                service = there(key, what)
                if destination in service.destinations:
                    raise OperationError(f"{what}: it is there already")
                found[key] = _with(service, destination, value)
            case SetDestination(key, destination, value):
                what = f"change {destination} of {key}"
                service = there(key, what)
                if destination not in service.destinations:
                    raise OperationError(f"{what}: no such server")
                found[key] = _with(service, destination, value)
            case DeleteDestination(key, destination):
                what = f"remove {destination} from {key}"
                service = there(key, what)
                if destination not in service.destinations:
                    raise OperationError(f"{what}: no such server")
                kept = {d: v for d, v in service.destinations.items() if d != destination}
                found[key] = Service(service.options, kept)
    return found


def _with(service: Service, destination: DestinationKey, value: Destination) -> Service:
    return Service(service.options, {**service.destinations, destination: value})
