"""Which server gets a connection, where the balancer counts connections (the proxy backend).

Schedulers by ipvsadm(8): rr, wrr, lc, wlc, sed, nq, fo, ovf exactly, sh, dh and mh by the slot
tables that other backends use. A server that is full, avoided or has no weight is passed over.
"""

import zlib
from collections.abc import Callable, Collection, MutableMapping, Sequence
from dataclasses import dataclass

from standfest.core.balancer.slots import slots
from standfest.model.slots import Choice

SCHEDULERS = frozenset(
    ["rr", "wrr", "lc", "wlc", "sed", "nq", "sh", "dh", "mh", "fo", "ovf"]
)  # fmt: skip

Count = Callable[[int], int]
"""A server's number -> its open connections."""

Flags = MutableMapping[int, int] | memoryview
"""A server's number -> 0 or 1."""

Turn = Callable[[], int]
"""Returns the next number."""


@dataclass(frozen=True, slots=True)
class Server:
    """One that may be chosen; name: the same on every director; thresholds are connections."""

    number: int
    name: str
    weight: int
    upper: int = 0
    lower: int = 0


class Chooser:
    """One service's scheduler.

    turn: numbers each choice; full: a server's number -> whether it is, by its thresholds. Several
    who balance one service together share both, and they outlive a change of the service.
    """

    def __init__(
        self,
        scheduler: str,
        flags: Sequence[str],
        servers: Sequence[Server],
        *,
        turn: Turn,
        full: Flags,
    ) -> None:
        """Raise ValueError for a scheduler that is none of SCHEDULERS."""
        if scheduler not in SCHEDULERS:
            raise ValueError(
                f"scheduler {scheduler}; expected one of {' '.join(sorted(SCHEDULERS))}"
            )
        self._by = _PICKS[scheduler]
        self._servers = [server for server in servers if server.weight > 0]
        self._limited = any(server.upper for server in self._servers)
        self._full = full
        self._turn = turn
        self._order: list[Server] = []
        self._choice = Choice.TURN
        if self._by is _by_turn or self._by is _by_slot:
            known = {server.name: server for server in self._servers}
            table = slots(scheduler, flags, {s.name: s.weight for s in self._servers})
            self._order = [known[name] for name in table.owners]
            self._choice = table.choice

    def choose(
        self, count: Count, avoid: Collection[int], client: bytes, destination: bytes
    ) -> int | None:
        """Return a server's number, or None when none may be chosen.

        avoid: numbers that must not be. client: packed address with the port's two bytes behind.
        """
        if self._limited:
            full = self._notice_full(count)
            if full:
                avoid = full.union(avoid)
        found = self._by(self, count, avoid, client, destination)
        return None if found is None else found.number

    def _notice_full(self, count: Count) -> set[int]:
        """Return who is full: from its upper threshold on until a server is below its lower one.

        Without a lower threshold that is three fourths of the upper one (ipvsadm(8)).
        """
        full = set()
        for server in self._servers:
            connections = count(server.number)
            below = server.lower * 4 if server.lower else server.upper * 3
            if not server.upper or connections * 4 < below:
                self._full[server.number] = 0
            elif connections >= server.upper:
                self._full[server.number] = 1
            if self._full[server.number]:
                full.add(server.number)
        return full

    def _rotated(self, avoid: Collection[int]) -> list[Server]:
        """Return all that may be chosen; of equals the first wins, and each is first in turn."""
        start = self._turn() % len(self._servers) if self._servers else 0
        ring = self._servers[start:] + self._servers[:start]
        return [server for server in ring if server.number not in avoid] if avoid else ring


def _by_turn(
    chooser: Chooser, _count: Count, avoid: Collection[int], _client: bytes, _destination: bytes
) -> Server | None:
    order = chooser._order
    for _ in range(len(order)):
        # Who is passed over has had its turn: else its neighbour would get all of its share.
        server = order[chooser._turn() % len(order)]
        if server.number not in avoid:
            return server
    return None


def _by_slot(
    chooser: Chooser, _count: Count, avoid: Collection[int], client: bytes, destination: bytes
) -> Server | None:
    """A hash finds the slot; whoever may not be chosen leaves it to the next slot's owner."""
    order = chooser._order
    if chooser._choice is Choice.DESTINATION:
        key = destination
    elif chooser._choice is Choice.SOURCE_PORT:
        key = client
    else:
        key = client[:-2]
    at = zlib.crc32(key)
    for step in range(len(order)):
        server = order[(at + step) % len(order)]
        if server.number not in avoid:
            return server
    return None


def _by_least(
    chooser: Chooser, count: Count, avoid: Collection[int], _client: bytes, _destination: bytes
) -> Server | None:
    return min(chooser._rotated(avoid), key=lambda server: count(server.number), default=None)


def _by_weighted_least(
    chooser: Chooser, count: Count, avoid: Collection[int], _client: bytes, _destination: bytes
) -> Server | None:
    return min(
        chooser._rotated(avoid),
        key=lambda server: count(server.number) / server.weight,
        default=None,
    )


def _by_expected_delay(
    chooser: Chooser, count: Count, avoid: Collection[int], _client: bytes, _destination: bytes
) -> Server | None:
    return min(
        chooser._rotated(avoid),
        key=lambda server: (count(server.number) + 1) / server.weight,
        default=None,
    )


def _by_never_queue(
    chooser: Chooser, count: Count, avoid: Collection[int], client: bytes, destination: bytes
) -> Server | None:
    """An idle server at once, instead of waiting for a faster one that is busy."""
    for server in chooser._rotated(avoid):
        if not count(server.number):
            return server
    return _by_expected_delay(chooser, count, avoid, client, destination)


def _by_failover(
    chooser: Chooser, _count: Count, avoid: Collection[int], _client: bytes, _destination: bytes
) -> Server | None:
    allowed = [server for server in chooser._servers if server.number not in avoid]
    return max(allowed, key=lambda server: server.weight, default=None)


def _by_overflow(
    chooser: Chooser, count: Count, avoid: Collection[int], client: bytes, destination: bytes
) -> Server | None:
    """The heaviest, until its connections exceed its weight: then the next one (ipvsadm(8))."""
    over = {s.number for s in chooser._servers if count(s.number) > s.weight}
    return _by_failover(chooser, count, over.union(avoid), client, destination)


_PICKS = {
    "rr": _by_turn,
    "wrr": _by_turn,
    "lc": _by_least,
    "wlc": _by_weighted_least,
    "sed": _by_expected_delay,
    "nq": _by_never_queue,
    "sh": _by_slot,
    "dh": _by_slot,
    "mh": _by_slot,
    "fo": _by_failover,
    "ovf": _by_overflow,
}
