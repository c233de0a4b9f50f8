"""Packets by NAT are counted only while somebody asks: for each it costs about a twelfth of NAT.

The chains that count are the only ones that packets of known connections come through. Whoever
begins to ask finds zero, and from then on what has passed; a while after the last question the
chains go, what was counted stays. Source: docs/adr/0022.
"""

from collections.abc import Callable
from typing import Final

from standfest.adapters.linux.nftables import skeleton
from standfest.adapters.linux.nftables.kernel import ChangedError, NetfilterNetlink
from standfest.adapters.linux.nftables.plane import Path, Plane
from standfest.model.time import Duration, Instant, seconds
from standfest.wire.nftables import Message

PATIENCE: Final[Duration] = seconds(600)
"""How long after the last question packets are counted."""
ATTEMPTS = 5


class PacketCounting:
    """planes: the tables that are there. committed: is told of a transaction's rule set."""

    def __init__(
        self,
        netlink: NetfilterNetlink,
        planes: Callable[[], frozenset[Plane]],
        committed: Callable[[int], None],
    ) -> None:
        self._netlink, self._planes, self._committed = netlink, planes, committed
        self._until: Instant | None = None
        self._adopted = False

    def ask(self, now: Instant) -> None:
        """Count from now on, and for a while."""
        self._adopted = True
        self._until = now + PATIENCE
        self._set(wanted=True)

    def on_time(self, now: Instant) -> None:
        """Stop counting when nobody has asked for long; whoever asked a daemon before has time."""
        if not self._adopted:
            self._adopted, self._until = True, now + PATIENCE
        if self._until is not None and self._until <= now:
            self._set(wanted=False)
            self._until = None

    def _set(self, *, wanted: bool) -> None:
        for _ in range(ATTEMPTS):
            generation = self._netlink.generation()
            messages: list[Message] = []
            for plane in self._planes():
                if plane.path is not Path.TRANSLATED:
                    continue
                has = (plane.table.name, skeleton.COUNTS[0]) in self._netlink.chains(plane.protocol)
                if wanted and not has:
                    messages += skeleton.counting(plane)
                elif has and not wanted:
                    messages += map(plane.table.delete_chain, skeleton.COUNTS)
            if not messages:
                return
            try:
                self._netlink.commit(generation, messages)
            except ChangedError:
                continue
            self._committed(generation)
            return
