"""Announcements of addresses, paced: which frames leave when, and out of which interface."""

import heapq
from collections.abc import Iterable
from itertools import count as counted
from pathlib import Path

from standfest.adapters.linux.neighbours import Announcer
from standfest.daemons.director.network import Network, Opened
from standfest.daemons.director.words import Words
from standfest.model.director import GarpGroup
from standfest.model.time import Duration, Instant, milliseconds
from standfest.model.vrrp import VirtualAddress
from standfest.wire import arp, ndp

AFTER_FIRST_ADVERT: Duration = milliseconds(2)
"""How long a new Active waits with its first announcement.

Whoever had the addresses hears the first advert and lets go of them in this time, so that nobody
answers for them when the neighbours look. keepalived's first one comes 1 to 5 ms after its advert.
"""
MAX_WAITING = 20_000
FORWARDING = Path("/proc/sys/net/ipv6/conf")

Waiting = tuple[Instant, int, str, bytes]


class Announcements:
    """Frames that wait for their turn."""

    def __init__(self, network: Network, words: Words, groups: Iterable[GarpGroup] = ()) -> None:
        self._network, self._words = network, words
        self._announcer = Announcer()
        self._waiting: list[Waiting] = []
        self._numbers = counted()
        self._next: dict[str, Instant] = {}
        self._paces = {name: group for group in groups for name in group.interfaces}

    def add(
        self, at: Instant, opened: Opened, addresses: Iterable[VirtualAddress], count: int
    ) -> None:
        """Announce each address `count` times, not before `at`."""
        garp = opened.settings.garp
        for _ in range(count):
            for address in addresses:
                device = address.interface or opened.device
                frame = self._frame(device, address)
                if frame is None:
                    continue
                pace = garp.interval if address.ip.version == 4 else garp.na_interval
                group = self._paces.get(opened.settings.interface)
                if group is not None:
                    pace = group.interval if address.ip.version == 4 else group.na_interval
                due = max(at, self._next.get(device, at))
                if pace:
                    self._next[device] = due + pace
                if len(self._waiting) < MAX_WAITING:
                    heapq.heappush(self._waiting, (due, next(self._numbers), device, frame))

    def forget(self) -> None:
        """Announce nothing that still waits."""
        self._waiting.clear()

    def deadline(self) -> Instant | None:
        """Return when the next frame is due."""
        return self._waiting[0][0] if self._waiting else None

    def on_timer(self, now: Instant) -> None:
        """Send what is due."""
        while self._waiting and self._waiting[0][0] <= now:
            _, _, device, frame = heapq.heappop(self._waiting)
            if not self._announcer.send(device, frame):
                self._words.warn(f"{device}: cannot announce now")
                self._waiting = [one for one in self._waiting if one[2] != device]
                heapq.heapify(self._waiting)

    def _frame(self, device: str, address: VirtualAddress) -> bytes | None:
        facts = self._network.facts.get(device)
        if facts is None or len(facts.mac) != 6:
            return None  # nobody to tell: loopback, tunnel
        if address.ip.version == 4:
            return arp.gratuitous_frame(facts.mac, address.ip.packed)
        return ndp.unsolicited_frame(facts.mac, address.ip.packed, router=_forwards(device))


def _forwards(device: str) -> bool:
    try:
        return (FORWARDING / device / "forwarding").read_text(encoding="ascii").strip() != "0"
    except OSError:
        return False
