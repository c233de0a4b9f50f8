"""The balancer's connections, for a director that copies them to its partner. Implements FlowTable.

Those of NAT are the kernel's connection tracking (`trackedflows`). Those of DR are elements of a
learning map, and nobody is told of what packets learn: so it is read from time to time. A copy has
a timeout of half a second more than any that a packet gives, by which it is known as one.
Connections by a firewall mark are not copied. Source: docs/adr/0022.
"""

import time
from collections.abc import Iterable, Sequence
from typing import Final

from standfest.adapters.linux.nftables.image import Held
from standfest.adapters.linux.nftables.learned import LearnedFlows, Servers
from standfest.adapters.linux.nftables.plane import Path
from standfest.adapters.linux.trackedflows import TrackedFlows
from standfest.model.flows import Flow, FlowKey
from standfest.model.time import Duration, milliseconds
from standfest.ports.flows import Changes

LOOK_EVERY: Final[Duration] = milliseconds(200)


class BalancedFlows:
    """Both kinds as one table; servers: whose connections, as the backend knows them now."""

    look_every: Duration | None = LOOK_EVERY

    def __init__(self, tracked: TrackedFlows, learned: LearnedFlows, servers: Servers) -> None:
        self._tracked, self._learned, self._servers = tracked, learned, servers
        self._looked_ns = 0

    def begin(self) -> Iterable[Flow]:
        """Begin anew with both; those of DR are told with the changes."""
        self._learned.begin()
        self._looked_ns = 0
        return self._tracked.begin()

    def fileno(self) -> int | None:
        """Return the descriptor of connection tracking's events."""
        return self._tracked.fileno()

    def changes(self) -> Changes:
        """Return what both have; an event of tracked ones is no reason to read the others again."""
        tracked, now = self._tracked.changes(), time.monotonic_ns()
        if now - self._looked_ns < LOOK_EVERY * 9 // 10:
            return tracked
        learned = self._learned.changes()
        self._looked_ns = now
        return Changes(
            [*tracked.changed, *learned.changed], [*tracked.ended, *learned.ended], tracked.complete
        )

    def end(self) -> None:
        """Note changes no more."""
        self._tracked.end()
        self._learned.end()

    def mark_of(self, flow: Flow) -> int:
        """Return our mark of a told connection's server; 0: we have none, or cannot take it in."""
        mark = self._servers.mark_of(flow)
        held = self._held(mark)
        return mark if held is not None and held.plane.path is not Path.COPIED else 0

    def put(self, flows: Sequence[Flow], lease_s: int | None) -> int:
        """Take connections in, each where its service is."""
        learned = [flow for flow in flows if self._is_learned(flow)]
        tracked = [flow for flow in flows if not self._is_learned(flow)]
        return self._learned.put(learned, lease_s) + self._tracked.put(tracked, lease_s)

    def delete(self, keys: Sequence[FlowKey]) -> None:
        """Forget copies."""
        self._tracked.delete(self._learned.delete(keys))

    def close(self) -> None:
        """Close all sockets."""
        self._tracked.close()
        self._learned.close()

    def _is_learned(self, flow: Flow) -> bool:
        held = self._held(flow.mark)
        return held is not None and held.plane.path is Path.INGRESS

    def _held(self, mark: int) -> Held | None:
        found = self._servers.of(mark)
        return found[0] if found is not None else None
