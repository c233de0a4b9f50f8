"""Signs of life in memory that two processes share: one writes, the other judges.

A slot belongs to one virtual router that is Active: when its last advert left, and how long the
other routers bear silence. Writing one costs half a microsecond and wakes nobody.
"""

import mmap

from standfest.model.time import Duration, Instant

SLOTS = 4096
"""More virtual routers than one machine can have (255 VRIDs on a dozen interfaces)."""
SENT, PATIENCE, WORDS = 0, 1, 2


class SignsOfLife:
    """Made before the processes are forked; every slot begins empty."""

    def __init__(self) -> None:
        self._words = memoryview(mmap.mmap(-1, SLOTS * WORDS * 8)).cast("q")

    def hold(self, slot: int, now: Instant, patience: Duration) -> None:
        """Be Active from now on: silence for `patience` means that this process is in trouble."""
        assert patience > 0, "an empty slot has no patience"
        self._words[slot * WORDS + SENT] = now
        self._words[slot * WORDS + PATIENCE] = patience

    def beat(self, slot: int, now: Instant) -> None:
        """An advert has left."""
        self._words[slot * WORDS + SENT] = now

    def release(self, slot: int) -> None:
        """Be Active no longer."""
        self._words[slot * WORDS + PATIENCE] = 0

    def is_held(self, slot: int) -> bool:
        """Return whether the slot's router is Active."""
        return self._words[slot * WORDS + PATIENCE] != 0

    def patience_ends(self, slots: "range | list[int]") -> Instant | None:
        """Return the earliest instant at which one of the slots has been silent for too long."""
        words = self._words
        ends = [
            words[slot * WORDS + SENT] + words[slot * WORDS + PATIENCE]
            for slot in slots
            if words[slot * WORDS + PATIENCE]
        ]
        return min(ends, default=None)
