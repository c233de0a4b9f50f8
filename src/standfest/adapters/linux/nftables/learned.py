"""Connections that the packet filter has learned (DR): what is new of them, and copies put there.

They are the elements of two maps, `flows` and `closing`. What the daemon has told is compared with
all of them; an element takes about a microsecond. Source: docs/adr/0022.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Final

from standfest.adapters.linux.nftables import image as im
from standfest.adapters.linux.nftables import ingress
from standfest.adapters.linux.nftables import plane as pl
from standfest.adapters.linux.nftables.image import Held, Image
from standfest.adapters.linux.nftables.kernel import ChangedError, NetfilterNetlink
from standfest.adapters.linux.nftables.plane import Path, Plane
from standfest.adapters.linux.nftables.rules import client_key
from standfest.model.errors import OperationError
from standfest.model.flows import Flow, FlowKey, FlowTuple
from standfest.model.forwarding import DestinationKey
from standfest.ports.flows import Changes
from standfest.wire import conntrack
from standfest.wire.nftables import Element, Learned, Message, joined, number, read_number

MAX_CHANGED = 20_000
"""Connections that one look tells of; the next one finds the others."""
LOOKS_A_SWEEP = 25
"""After so many looks those that have ended are looked for."""
MAX_PUT = 2000
"""Connections that one transaction takes in."""
ATTEMPTS = 5
FRESH_MS = 5000
"""What a packet has passed here within so long is ours, whatever the partner tells of it."""
SECOND_MS: Final = 1000
COPY_MS: Final = 500
"""A copy's timeout is whole seconds and this: no packet gives such a one."""
MAPS: Final = (pl.FLOWS, pl.CLOSING)
_OPENING_MS = ingress.OPENING_S * SECOND_MS

Reader = Callable[[], Image]


class Servers:
    """The servers of the backend's services by their marks, anew when the services are others."""

    def __init__(self, read: Reader) -> None:
        self._read = read
        self._services: object = None
        self._by_mark: dict[int, tuple[Held, DestinationKey]] = {}

    def of(self, mark: int) -> tuple[Held, DestinationKey] | None:
        """Return a server and its service as the tables have it."""
        return self._known().get(mark)

    def planes(self) -> list[Plane]:
        """Return the tables where connections are learned."""
        return sorted(
            (p for p in self._read().planes if p.path is Path.INGRESS), key=lambda p: p.family.value
        )

    def mark_of(self, flow: Flow) -> int:
        """Return the mark of the server that a connection has, by addresses; 0: there is none."""
        original, reply = flow.key.original, flow.reply
        for held in im.candidates(self._read(), flow.key.protocol, original):
            for destination, mark in held.servers.items():
                port = destination.port or original.destination_port
                if (destination.address.packed, port) == (reply.source, reply.source_port):
                    return mark
        return 0

    def _known(self) -> Mapping[int, tuple[Held, DestinationKey]]:
        services = self._read().services
        if services is not self._services:
            self._services = services
            self._by_mark = {
                mark: (held, destination)
                for held in services.values()
                for destination, mark in held.servers.items()
            }
        return self._by_mark


class LearnedFlows:
    """servers: as the backend knows them. committed: is told of a transaction's rule set."""

    def __init__(self, servers: Servers, committed: Callable[[int], None]) -> None:
        self._servers, self._committed = servers, committed
        self._netlink = NetfilterNetlink()
        self._told: dict[str, dict[bytes, bytes]] = {name: {} for name in MAPS}
        self._looks = 0

    # --- telling --------------------------------------------------------------------------------

    def begin(self) -> None:
        """Begin anew: everything is a change."""
        self.end()

    def end(self) -> None:
        """Forget what was told."""
        self._told = {name: {} for name in MAPS}
        self._looks = 0

    def changes(self) -> Changes:
        """Return connections that are new or close, and at times those that have ended."""
        self._looks += 1
        changed: list[Flow] = []
        copies: list[Flow] = []
        live: set[bytes] = set()
        for plane, name, entries in self._read():
            told = self._told[name]
            for key, data, timeout_ms, expiration_ms in entries:
                live.add(key)
                if told.get(key) == data:
                    continue
                if _is_opening(name, key, timeout_ms, expiration_ms):
                    continue
                flow = self._flow(plane, name, key, data)
                if flow is None or len(changed) >= MAX_CHANGED:
                    continue
                told[key] = data
                self._told[pl.FLOWS if name == pl.CLOSING else pl.CLOSING].pop(key, None)
                changed.append(flow)
                if _is_copy(timeout_ms, expiration_ms):
                    copies.append(flow)
        if copies:  # nobody has taken them over: the daemon that heard of them is no more
            self.put(copies, None)
        return Changes(changed, self._ended(live) if self._looks % LOOKS_A_SWEEP == 0 else [])

    def _read(self) -> Iterator[tuple[Plane, str, Sequence[Learned]]]:
        for plane in self._servers.planes():
            for name in MAPS:
                try:
                    yield (
                        plane,
                        name,
                        self._netlink.learned(plane.table, name, ingress.key_bytes(plane)),
                    )
                except ChangedError:  # the rule set, at the same time: the next look tells
                    told = self._told[name].keys()
                    unread = (key for key in told if len(key) == ingress.key_bytes(plane))
                    yield plane, name, [(key, self._told[name][key], 0, 0) for key in unread]

    def _ended(self, live: set[bytes]) -> list[FlowKey]:
        ended = []
        for told in self._told.values():
            for key in told.keys() - live:
                del told[key]
                ended.append(_decode(key))
        return ended

    def _flow(self, plane: Plane, name: str, key: bytes, data: bytes) -> Flow | None:
        """Return a connection as it is told; None if its server is gone."""
        mark = read_number(data)
        found = self._servers.of(mark)
        if found is None or found[0].plane != plane:
            return None
        flow, server = _decode(key), found[1]
        original = flow.original
        port = server.port or original.destination_port
        reply = FlowTuple(server.address.packed, original.source, port, original.source_port)
        state = conntrack.ESTABLISHED if name == pl.FLOWS else conntrack.FIN_WAIT
        return Flow(flow, reply, mark, _seconds(name), state if flow.protocol == pl.TCP else 0)

    # --- taking in ------------------------------------------------------------------------------

    def put(self, flows: Sequence[Flow], lease_s: int | None) -> int:
        """Take connections in; return how many were refused."""
        return sum(
            self._put(flows[at : at + MAX_PUT], lease_s) for at in range(0, len(flows), MAX_PUT)
        )

    def _put(self, flows: Sequence[Flow], lease_s: int | None) -> int:
        wanted: dict[Plane, dict[bytes, Flow]] = {}
        for flow in flows:
            found = self._servers.of(flow.mark)
            if found is not None:
                wanted.setdefault(found[0].plane, {})[_encode(flow.key)] = flow
        refused = len(flows) - sum(map(len, wanted.values()))
        for plane, some in wanted.items():
            if not self._commit(partial(self._put_steps, plane, some, lease_s)):
                refused += len(some)
        return refused

    def delete(self, keys: Sequence[FlowKey]) -> list[FlowKey]:
        """Forget copies; return the keys that are none of ours."""
        ours: set[FlowKey] = set()
        for plane in self._servers.planes():
            size = ingress.key_bytes(plane)
            some = {data: key for key in keys if len(data := _encode(key)) == size}
            if not some:
                continue
            for name in MAPS:
                ours |= {some[data] for data in self._there(plane, name, some)}
            self._commit(partial(self._delete_steps, plane, some))
        return [key for key in keys if key not in ours]

    def close(self) -> None:
        """Close the socket."""
        self._netlink.close()

    def _put_steps(
        self, plane: Plane, wanted: Mapping[bytes, Flow], lease_s: int | None
    ) -> list[Message]:
        there = {name: self._there(plane, name, wanted) for name in MAPS}
        stale = self._stale(there, {data: flow.mark for data, flow in wanted.items()})
        added: dict[str, list[Element]] = {name: [] for name in MAPS}
        for data, flow in wanted.items():
            if any(data in there[name] and data not in stale[name] for name in MAPS):
                continue  # packets have passed here since
            closes = flow.key.protocol == pl.TCP and flow.tcp_state != conntrack.ESTABLISHED
            name = pl.CLOSING if closes else pl.FLOWS
            added[name].append(Element(data, number(flow.mark), timeout_ms=_time(name, lease_s)))
        steps = _removed(plane, stale)
        for name, elements in added.items():
            steps += plane.table.add(name, elements)
        return steps + (self._clients(plane, wanted) if lease_s is None else [])

    def _delete_steps(self, plane: Plane, wanted: Mapping[bytes, FlowKey]) -> list[Message]:
        there = {name: self._there(plane, name, wanted) for name in MAPS}
        return _removed(plane, self._stale(there, {}))

    def _stale(
        self, there: Mapping[str, Mapping[bytes, Learned]], told: Mapping[bytes, int]
    ) -> dict[str, list[bytes]]:
        """Return those elements that may go, by map; told: the servers that connections have.

        Copies may, and what has no server any more. What a packet has renewed here is ours, unless
        the partner has said another server since.
        """
        stale: dict[str, list[bytes]] = {name: [] for name in there}
        for name, some in there.items():
            for key, (_, data, timeout_ms, left_ms) in some.items():
                mark = read_number(data)
                differs = told.get(key, mark) != mark and not _is_fresh(name, timeout_ms, left_ms)
                gone = self._servers.of(mark) is None
                if gone or differs or _is_copy(timeout_ms, left_ms):
                    stale[name].append(key)
        return stale

    def _clients(self, plane: Plane, flows: Mapping[bytes, Flow]) -> list[Message]:
        """Return what lets clients persist with the servers of connections that are taken over."""
        wanted: dict[str, dict[bytes, Element]] = {}
        for flow in flows.values():
            found = self._servers.of(flow.mark)
            if found is None or not found[0].options.timeout:
                continue
            options, name = found[0].options, pl.clients_of(found[0].number)
            client = client_key(options, flow.key.original.source)
            element = Element(client, number(flow.mark), timeout_ms=options.timeout * SECOND_MS)
            wanted.setdefault(name, {})[client] = element
        steps: list[Message] = []
        for name, elements in wanted.items():
            there = self._netlink.found(plane.table, name, elements.keys(), 4 * plane.words)
            steps += plane.table.add(name, [e for key, e in elements.items() if key not in there])
        return steps

    def _there(
        self, plane: Plane, name: str, wanted: Mapping[bytes, object]
    ) -> dict[bytes, Learned]:
        return self._netlink.found(plane.table, name, wanted.keys(), ingress.key_bytes(plane))

    def _commit(self, steps: Callable[[], list[Message]]) -> bool:
        """Make changes; what has come or gone since it was read is read again."""
        for _ in range(ATTEMPTS):
            generation = self._netlink.generation()
            try:
                messages = steps()
                if messages:
                    self._netlink.commit(generation, messages)
                    self._committed(generation)
            except OperationError:
                continue
            return True
        return False


def _encode(key: FlowKey) -> bytes:
    original = key.original
    ports = original.source_port.to_bytes(2), original.destination_port.to_bytes(2)
    return joined(original.source, original.destination, *ports, bytes((key.protocol,)))


def _decode(key: bytes) -> FlowKey:
    size = (len(key) - 12) // 2
    source, destination, rest = key[:size], key[size : 2 * size], key[2 * size :]
    ports = int.from_bytes(rest[:2]), int.from_bytes(rest[4:6])
    return FlowKey(rest[8], FlowTuple(source, destination, *ports))


def _seconds(name: str) -> int:
    return ingress.OPEN_S if name == pl.FLOWS else ingress.CLOSING_S


def _time(name: str, lease_s: int | None) -> int:
    own_s = _seconds(name)
    return own_s * SECOND_MS if lease_s is None else min(own_s, lease_s) * SECOND_MS + COPY_MS


def _is_copy(timeout_ms: int, left_ms: int) -> bool:
    """Return whether an element is as it was put; an older kernel renews without a new timeout."""
    return abs(timeout_ms % SECOND_MS - COPY_MS) < COPY_MS // 2 and left_ms <= timeout_ms


def _is_opening(name: str, key: bytes, timeout_ms: int, left_ms: int) -> bool:
    """Return whether there was no more than a first packet: a flood is not the partner's business.

    A datagram's connection is told at once: often there is no more.
    """
    if name != pl.FLOWS or ingress.protocol_of(key) == pl.UDP or _is_copy(timeout_ms, left_ms):
        return False
    return max(timeout_ms, left_ms) <= _OPENING_MS


def _is_fresh(name: str, timeout_ms: int, left_ms: int) -> bool:
    """Return whether a packet of this machine's has just renewed an element."""
    if _is_copy(timeout_ms, left_ms):
        return False
    whole = _seconds(name) * SECOND_MS
    if name == pl.FLOWS and left_ms <= _OPENING_MS and timeout_ms == _OPENING_MS:
        whole = _OPENING_MS
    return left_ms > whole - FRESH_MS


def _removed(plane: Plane, keys: Mapping[str, Sequence[bytes]]) -> list[Message]:
    return [step for name, some in keys.items() for step in plane.table.remove(name, some)]
