"""The balancer's maps: services, slots and servers, as the kernel has them and as they shall be.

Slots and server records are memory that the programs see at once, so a changed weight is a few
stores and no system call. The order of the steps keeps every packet on a way that is right before
or after. Source: docs/adr/0018-xdp-backend.md.
"""

import struct
from array import array
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from standfest.adapters.linux.xdp.arena import Arena
from standfest.adapters.linux.xdp.maps import Kind, Map, Shape, adopt
from standfest.adapters.linux.xdp.plan import weights
from standfest.model.errors import OperationError, WireError
from standfest.model.forwarding import (
    Counters,
    Destination,
    DestinationKey,
    IPAddress,
    Service,
    ServiceKey,
    ServiceOptions,
)
from standfest.model.slots import Slots
from standfest.model.vrrp import Family
from standfest.ports.balancer import Scheduling
from standfest.wire import xdp
from standfest.wire.xdp import ServerRecord, ServiceRecord

UNFINISHED = Shape("unfinished", Kind.ARRAY, 4, 4, 1)
"""1 while changes are being made: whoever finds it so after a crash makes all tables anew."""
_NUMBER = struct.Struct("=I")
_ZERO = _NUMBER.pack(0)


@dataclass(frozen=True, slots=True)
class Known:
    """A service in the kernel: its record, and the numbers of its servers."""

    record: ServiceRecord
    servers: dict[DestinationKey, int]


class Tables:
    """All maps of one balancer, pinned in a directory. Calls raise OperationError."""

    def __init__(self, directory: Path, shapes: tuple[Shape, ...], scheduling: Scheduling) -> None:
        self._scheduling = scheduling
        self.maps = {
            shape.name: adopt(shape, directory / shape.name) for shape in (*shapes, UNFINISHED)
        }
        self._capacity = self.maps["servers"].shape.entries
        self._servers = self.maps["servers"].view()
        self._slots = self.maps["slots"].view().cast("Q")
        self.known: dict[ServiceKey, Known] = {}
        self._arena = Arena(self.maps["slots"].shape.entries)
        self._free_ids: list[int] = []
        self._free_numbers: list[int] = []

    def load(self) -> dict[ServiceKey, Service]:
        """Read everything from the kernel, and go on from there."""
        records: dict[int, tuple[ServiceKey, ServiceRecord]] = {}
        for key, record in self._service_records():
            records[record.id] = key, record
        found = {key: Service(record.options, {}) for key, record in records.values()}
        self.known = {key: Known(record, {}) for key, record in records.values()}
        used = set()
        for number, server in self._server_records():
            if server.service not in records:
                self._free_server(number)  # a crash before its service was written
                continue
            key = records[server.service][0]
            found[key] = Service(
                found[key].options, {**found[key].destinations, server.key: server.destination}
            )
            self.known[key].servers[server.key] = number
            used.add(number)
        runs = [(record.first, record.size) for _, record in records.values() if record.size]
        self._arena = Arena(self.maps["slots"].shape.entries, runs)
        self._free_ids = _unused(self.maps["turns"].shape.entries, records.keys())
        self._free_numbers = _unused(self._capacity, used)
        return found

    @property
    def unfinished(self) -> bool:
        """Return whether somebody has begun to change the tables and not come to the end."""
        return self.maps[UNFINISHED.name].get(_ZERO) != _ZERO

    def begin(self) -> None:
        """Note that changes are being made."""
        self.maps[UNFINISHED.name].put(_ZERO, _NUMBER.pack(1))

    def end(self) -> None:
        """Note that all is done."""
        self.maps[UNFINISHED.name].put(_ZERO, _ZERO)

    def publish(
        self, key: ServiceKey, service: Service, source_of: Callable[[IPAddress], IPAddress]
    ) -> None:
        """Bring a service into the kernel, or what has changed of it.

        source_of: where packets to a server come from, if they are tunnelled.
        """
        known = self.known.get(key)
        number = known.record.id if known else self._take_id(key)
        servers = dict(known.servers) if known else {}
        for name, value in service.destinations.items():
            if name not in servers:
                servers[name] = self._take_number(name)
            self._write_server(servers[name], number, name, value, source_of(name.address))
        options = service.options
        table = self._scheduling(options.scheduler, options.flags, weights(service))
        record = self._write_table(key, number, options, table, servers)
        for name in servers.keys() - service.destinations.keys():
            self._give_number(servers.pop(name))
        self.known[key] = Known(record, servers)

    def share(self, key: ServiceKey, shares: Mapping[str, int]) -> None:
        """Let a service's servers take turns by these shares instead of their weights."""
        known = self.known[key]
        table = self._scheduling("wrr", (), shares)
        options = known.record.options
        record = self._write_table(key, known.record.id, options, table, known.servers)
        self.known[key] = Known(record, known.servers)

    def remove(self, key: ServiceKey) -> None:
        """Take a service out of the kernel, with its servers and their connections."""
        known = self.known.pop(key)
        self._services(key).delete(xdp.encode_service_key(key))
        for number in known.servers.values():
            self._give_number(number)
        self._arena.give(known.record.first, known.record.size)
        self._free_ids.append(known.record.id)

    def server(self, number: int) -> ServerRecord | None:
        """Return who has a number."""
        at = number * xdp.SERVER.size
        try:
            return xdp.decode_server(bytes(self._servers[at : at + xdp.SERVER.size]))
        except WireError as error:
            raise OperationError(f"xdp: server {number}: {error}") from error

    def generation(self, number: int) -> int:
        """Return which in turn the server is that has this number, or had it last."""
        at = number * xdp.SERVER.size + xdp.SERVER_GENERATION
        return int(_NUMBER.unpack_from(self._servers, at)[0])

    def remember_client(self, key: ServiceKey, client: bytes, value: bytes) -> None:
        """Let a client of a persistent service have its connection's server, if it has none."""
        record = self.known[key].record
        if record.options.timeout:
            clients = self.maps[f"clients{key.family.value}"]
            clients.add(xdp.encode_client_key(record, client), value)

    def carried(self, number: int) -> Counters:
        """Return what a server has carried."""
        return xdp.decode_carried(self.maps["carried"].get(_NUMBER.pack(number)) or b"")

    def connections(self, now_tick: int) -> dict[int, tuple[int, int]]:
        """Return server number -> connections that are open, and others that are remembered."""
        found: dict[int, tuple[int, int]] = {}
        for family in Family:
            for _, values in self.maps[f"flows{family.value}"].batches():
                for flow in xdp.FLOW.iter_unpack(values):
                    number, generation, seen, state, limit = flow
                    if now_tick - seen > limit:
                        continue
                    if generation != self.generation(number):
                        continue
                    active, inactive = found.get(number, (0, 0))
                    if state == xdp.ESTABLISHED:
                        found[number] = active + 1, inactive
                    else:
                        found[number] = active, inactive + 1
        return found

    def close(self) -> None:
        """Let go; what is pinned stays."""
        self._servers.release()
        self._slots.release()
        for one in self.maps.values():
            one.close()

    # --- services -------------------------------------------------------------------------------

    def _services(self, key: ServiceKey) -> Map:
        return self.maps[f"services{key.family.value}"]

    def _service_records(self) -> Iterator[tuple[ServiceKey, ServiceRecord]]:
        for family in Family:
            services = self.maps[f"services{family.value}"]
            key_bytes, value_bytes = services.shape.key_bytes, services.shape.value_bytes
            for keys, values in services.batches():
                for at in range(len(keys) // key_bytes):
                    key = keys[at * key_bytes : (at + 1) * key_bytes]
                    value = values[at * value_bytes : (at + 1) * value_bytes]
                    try:
                        yield xdp.decode_service_key(key), xdp.decode_service(value)
                    except WireError as error:
                        raise OperationError(f"xdp: services in the kernel: {error}") from error

    def _take_id(self, key: ServiceKey) -> int:
        if not self._free_ids:
            raise OperationError(f"xdp: no room for {key}; the limit is {self._capacity} services")
        return self._free_ids.pop()

    # --- slots ----------------------------------------------------------------------------------

    def _write_table(
        self,
        key: ServiceKey,
        number: int,
        options: ServiceOptions,
        table: Slots,
        servers: dict[DestinationKey, int],
    ) -> ServiceRecord:
        """Write a table, in place if it has as many slots as the one before."""
        numbers = {str(name): value for name, value in servers.items()}
        owners = array("Q", (numbers[owner] for owner in table.owners))
        known, size = self.known.get(key), len(owners)
        if known and known.record.size == size:
            first = known.record.first
            before = self._slots[first : first + size]
            for at, (old, new) in enumerate(zip(before, owners, strict=True)):
                if old != new:
                    self._slots[first + at] = new
        else:
            first = self._arena.take(size)
            self._slots[first : first + size] = memoryview(owners)
        record = ServiceRecord(number, first, size, table.choice, options)
        if known is None or record != known.record:
            value = xdp.encode_service(record, key.family)
            self._services(key).put(xdp.encode_service_key(key), value)
        if known and known.record.first != first:
            self._arena.give(known.record.first, known.record.size)
        return record

    # --- servers --------------------------------------------------------------------------------

    def _server_records(self) -> Iterator[tuple[int, ServerRecord]]:
        words = xdp.SERVER.size // 4
        services = self._servers.cast("I")[::words].tolist()
        for number, service in enumerate(services):
            if service and (record := self.server(number)):
                yield number, record

    def _write_server(
        self, number: int, service: int, name: DestinationKey, value: Destination, source: IPAddress
    ) -> None:
        record = ServerRecord(service, self.generation(number), name, value, source)
        at = number * xdp.SERVER.size
        self._servers[at : at + xdp.SERVER.size] = xdp.encode_server(record)

    def _take_number(self, name: DestinationKey) -> int:
        if not self._free_numbers:
            raise OperationError(f"xdp: no room for {name}; the limit is {self._capacity} servers")
        number = self._free_numbers.pop()
        self.maps["carried"].clear(_NUMBER.pack(number))
        return number

    def _give_number(self, number: int) -> None:
        self._free_server(number)
        self._free_numbers.append(number)

    def _free_server(self, number: int) -> None:
        """Let nobody have a number; with another generation its connections are nobody's."""
        generation = (self.generation(number) + 1) & 0xFFFFFFFF
        at = number * xdp.SERVER.size
        _NUMBER.pack_into(self._servers, at + xdp.SERVER_GENERATION, generation)
        _NUMBER.pack_into(self._servers, at + xdp.SERVER_SERVICE, 0)


def _unused(count: int, used: Collection[int]) -> list[int]:
    """Return the numbers that are free, the lowest last; 0 stands for nobody."""
    return [number for number in range(count - 1, 0, -1) if number not in used]
