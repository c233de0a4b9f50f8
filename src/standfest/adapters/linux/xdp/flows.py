"""The balancer's connections, for a director that copies them to its partner. Implements FlowTable.

The program tells nobody of a connection: that would cost packets time. So its table is read from
time to time, and only what has been seen since is looked at closely. Connections that have not got
beyond their first packet are not told. Source: docs/adr/0018-xdp-backend.md.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from standfest.adapters.linux.xdp.choosing import TCP, Limits
from standfest.adapters.linux.xdp.maps import Map
from standfest.adapters.linux.xdp.tables import Tables
from standfest.model.flows import Flow, FlowKey, FlowTuple
from standfest.model.forwarding import DestinationKey, ServiceKey
from standfest.model.time import Duration, milliseconds
from standfest.model.vrrp import Family
from standfest.ports.flows import Changes
from standfest.wire import conntrack, xdp

MAX_CHANGED = 20_000
"""Connections that one look tells of; the next one finds the others."""
LOOKS_A_SWEEP, TICKS_A_SWEEP = 100, xdp.ticks(20)
MAX_GROWTH = 100_000
"""After so many looks, so long, or told connections more, those that have ended are looked for."""
FRESH = xdp.ticks(5)
"""A connection whose packets passed here within so long has the server that we say."""
MAX_COPIES = 400_000
"""As many as the tables have room for."""
_SEEN = xdp.FLOW_SEEN // 4
_STATES = {
    xdp.OPENING: conntrack.SYN_SENT,
    xdp.ESTABLISHED: conntrack.ESTABLISHED,
    xdp.CLOSING: conntrack.FIN_WAIT,
    xdp.DATAGRAMS: 0,
}

Name = tuple[int, int, int]
"""What the partner knows of a connection: its server's number and generation, its state."""


class XdpFlows:
    """limits: how long silent connections are remembered now."""

    look_every: Duration | None = milliseconds(200)

    def __init__(self, tables: Tables, limits: Callable[[], Limits]) -> None:
        self._tables, self._limits = tables, limits
        self._told: dict[bytes, Name] = {}
        self._copies: dict[bytes, int] = {}
        self._since = self._looks = self._swept = self._swept_at = 0

    # --- telling --------------------------------------------------------------------------------

    def begin(self) -> Iterable[Flow]:
        """Begin anew; what is there is told with the changes."""
        self._told = {}
        self._since = self._looks = self._swept = 0
        self._swept_at = _tick()
        return ()

    def fileno(self) -> int | None:
        """Return None: the program wakes nobody."""
        return None

    def changes(self) -> Changes:
        """Return connections that are new or in another state, and at times those that ended."""
        self._looks += 1
        now = _tick()
        due = self._looks >= LOOKS_A_SWEEP or now - self._swept_at >= TICKS_A_SWEEP
        due = due or len(self._told) > self._swept + MAX_GROWTH
        ended = self._sweep(now) if due else []
        changed: list[Flow] = []
        for map_, key, name, limit in self._seen_since(self._since):
            flow = self._flow(key, name)
            if flow is None:
                continue
            if len(changed) == MAX_CHANGED:
                return Changes(changed, ended)
            self._told[key] = name
            changed.append(flow)
            value = map_.get(key) if limit < xdp.limit(self._limits().of(name[2])) else None
            if value is not None:
                self._have_whole_time(map_, key, value)
        self._since = now - 2  # a clock of the kernel's is behind ours, by less than a step
        return Changes(changed, ended)

    def end(self) -> None:
        """Forget what was told."""
        self._told = {}

    def _seen_since(self, since: int) -> Iterator[tuple[Map, bytes, Name, int]]:
        """Yield connections with a packet since then of which something is new."""
        for map_ in self._maps():
            width = map_.shape.key_bytes
            for keys, values in map_.batches():
                column = memoryview(values).cast("I")[_SEEN :: xdp.FLOW.size // 4].tolist()
                for at in [at for at, seen in enumerate(column) if seen >= since]:
                    entry = xdp.FLOW.unpack_from(values, at * xdp.FLOW.size)
                    name, limit = (entry[0], entry[1], entry[3]), entry[4]
                    key = keys[at * width : (at + 1) * width]
                    if name[2] != xdp.OPENING and self._told.get(key) != name:
                        yield map_, key, name, limit

    def _sweep(self, now: int) -> list[FlowKey]:
        """Return told connections that are no more: silent for too long, pushed out, orphaned."""
        generations: dict[int, int] = {}
        live = set()
        for map_ in self._maps():
            width = map_.shape.key_bytes
            for keys, values in map_.batches():
                for at, entry in enumerate(xdp.FLOW.iter_unpack(values)):
                    number, generation, seen, _, limit = entry
                    if number not in generations:
                        generations[number] = self._tables.generation(number)
                    if now - seen <= limit and generations[number] == generation:
                        live.add(keys[at * width : (at + 1) * width])
        gone = [key for key in self._told if key not in live]
        for key in gone:
            del self._told[key]
        self._swept, self._swept_at, self._looks = len(self._told), now, 0
        return [xdp.decode_flow_key(key) for key in gone]

    def _flow(self, data: bytes, name: Name) -> Flow | None:
        """Return a connection as it is told; None if its server is gone."""
        number, generation, state = name
        server = self._tables.server(number)
        if server is None or server.generation != generation:
            return None
        key = xdp.decode_flow_key(data)
        original = key.original
        port = server.key.port or original.destination_port
        reply = FlowTuple(server.key.address.packed, original.source, port, original.source_port)
        return Flow(key, reply, number, self._limits().of(state), _STATES[state])

    # --- taking in ------------------------------------------------------------------------------

    def mark_of(self, flow: Flow) -> int:
        """Return the number of the server here, 0 if the service or server is not there."""
        found = self._find(flow)
        return found[1] if found else 0

    def put(self, flows: Sequence[Flow], lease_s: int | None) -> int:
        """Take connections in, but for those whose packets pass here now."""
        now = _tick()
        if len(self._copies) > MAX_COPIES:
            self._copies.clear()
        return sum(not self._put(flow, lease_s, now) for flow in flows)

    def delete(self, keys: Sequence[FlowKey]) -> None:
        """Forget copies that no packet has passed by since."""
        for key in keys:
            map_, data = self._map(key), xdp.encode_flow_key(key)
            copied, there = self._copies.pop(data, None), map_.get(data)
            if there is not None and xdp.FLOW.unpack(there)[2] == copied:
                map_.delete(data)

    def close(self) -> None:
        """Do nothing: the maps are the backend's."""

    def _put(self, flow: Flow, lease_s: int | None, now: int) -> bool:
        found = self._find(flow)
        if found is None:
            return False
        key, number = found
        state = _state(flow)
        own_s = self._limits().of(state)
        seen, limit = now, xdp.limit(own_s)
        if lease_s is not None:  # seen just not freshly, so that the next word of it counts
            seen, limit = now - FRESH - 1, xdp.limit(min(own_s, lease_s)) + FRESH + 1
        value = xdp.FLOW.pack(
            number, self._tables.generation(number), seen, state, min(limit, xdp.MAX_LIMIT)
        )
        map_, data = self._map(flow.key), xdp.encode_flow_key(flow.key)
        there = None if map_.add(data, value) else map_.get(data)
        if there is not None and self._is_ours(data, there, number, now):
            self._have_whole_time(map_, data, there)
        else:
            if there is not None:
                map_.put(data, value)
            self._copies[data] = seen
        if lease_s is None:
            self._copies.pop(data, None)
            self._tables.remember_client(key, flow.key.original.source, value)
        return True

    def _is_ours(self, data: bytes, value: bytes, told: int, now: int) -> bool:
        """Return whether a packet has passed here that we know better by: lately, or as told."""
        number, generation, seen, _, limit = (int(one) for one in xdp.FLOW.unpack(value))
        if now - seen > limit or self._tables.generation(number) != generation:
            return False
        return self._copies.get(data) != seen and (number == told or now - seen <= FRESH)

    def _have_whole_time(self, map_: Map, data: bytes, value: bytes) -> None:
        """Let a connection that came as a copy, and has become ours, live as long as any."""
        number, generation, seen, state, limit = xdp.FLOW.unpack(value)
        own = xdp.limit(self._limits().of(state))
        if limit < own:
            map_.put(data, xdp.FLOW.pack(number, generation, seen, state, own))

    def _find(self, flow: Flow) -> tuple[ServiceKey, int] | None:
        """Return the service here and its server's number."""
        original, reply = flow.key.original, flow.reply
        protocol = xdp.NAMES.get(flow.key.protocol)
        if protocol is None:
            return None
        vip, address = xdp.address(original.destination), xdp.address(reply.source)
        for port in (original.destination_port, 0):
            key = ServiceKey(Family(vip.version), protocol, vip, port)
            known = self._tables.known.get(key)
            if known is None:
                continue
            for at in (reply.source_port, 0):
                number = known.servers.get(DestinationKey(address, at))
                if number is not None:
                    return key, number
            return None
        return None

    def _map(self, key: FlowKey) -> Map:
        family = Family.IPV4 if len(key.original.source) == 4 else Family.IPV6
        return self._tables.maps[f"flows{family.value}"]

    def _maps(self) -> list[Map]:
        return [self._tables.maps[f"flows{family.value}"] for family in Family]


def _tick() -> int:
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC) >> xdp.TICK_SHIFT


def _state(flow: Flow) -> int:
    """Return the program's number for what the partner says in conntrack's."""
    if flow.key.protocol != TCP:
        return xdp.DATAGRAMS
    return xdp.ESTABLISHED if flow.tcp_state == conntrack.ESTABLISHED else xdp.CLOSING
