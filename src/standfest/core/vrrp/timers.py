"""Many deadlines and the first of them, without a look at all of them.

A deadline that moves later leaves its old entry in the heap; the entry is corrected when it comes
to the top. A Backup that hears 100 advertisements a second so costs one heap operation in three
intervals, not one for each packet.
"""

import heapq
from collections.abc import Iterator

from standfest.model.time import Instant

Key = tuple[str, str]
"""Kind and name."""


class Timers:
    """Deadlines by key."""

    def __init__(self) -> None:
        self._heap: list[tuple[Instant, Key]] = []
        self._in_heap: dict[Key, Instant] = {}
        self._true: dict[Key, Instant] = {}

    def set(self, key: Key, at: Instant | None) -> None:
        """Set, move or (None) clear one deadline."""
        if at is None:
            self._true.pop(key, None)
            return
        self._true[key] = at
        armed = self._in_heap.get(key)
        if armed is None or at < armed:
            heapq.heappush(self._heap, (at, key))
            self._in_heap[key] = at

    def first(self) -> Instant | None:
        """Return the earliest deadline."""
        heap = self._heap
        while heap:
            at, key = heap[0]
            true = self._true.get(key)
            if self._in_heap.get(key) != at:
                heapq.heappop(heap)  # an earlier entry took its place, and is gone
            elif true is None:
                heapq.heappop(heap)
                del self._in_heap[key]
            elif true > at:
                heapq.heapreplace(heap, (true, key))
                self._in_heap[key] = true
            else:
                return at
        return None

    def due(self, now: Instant) -> Iterator[Key]:
        """Take out, one by one, the keys whose deadlines have passed, earliest first."""
        while (at := self.first()) is not None and at <= now:
            _, key = heapq.heappop(self._heap)
            del self._in_heap[key]
            del self._true[key]
            yield key
