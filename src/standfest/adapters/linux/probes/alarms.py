"""Times at which something is done unless it has become unnecessary: a heap, emptied lazily."""

import heapq
from collections.abc import Callable

from standfest.model.time import Instant

MAX_STALE = 4096
"""Cancelled alarms that may lie about in the heap before it is cleaned."""


class Alarm:
    """One call at one instant; `cancel` and it is never made."""

    __slots__ = ("call",)

    def __init__(self, call: Callable[[], None]) -> None:
        self.call: Callable[[], None] | None = call

    def cancel(self) -> None:
        """Let it not happen."""
        self.call = None


class Alarms:
    """All alarms of a prober."""

    def __init__(self) -> None:
        self._heap: list[tuple[Instant, int, Alarm]] = []
        self._serial = 0
        self._clean_at = MAX_STALE

    def set(self, at: Instant, call: Callable[[], None]) -> Alarm:
        """Arrange a call; those of one instant are made in the order in which they were set."""
        alarm = Alarm(call)
        self._serial += 1
        heapq.heappush(self._heap, (at, self._serial, alarm))
        if len(self._heap) > self._clean_at:
            self._heap = [entry for entry in self._heap if entry[2].call is not None]
            heapq.heapify(self._heap)
            self._clean_at = 2 * len(self._heap) + MAX_STALE
        return alarm

    def deadline(self) -> Instant | None:
        """Return when the first of them is due."""
        heap = self._heap
        while heap and heap[0][2].call is None:
            heapq.heappop(heap)
        return heap[0][0] if heap else None

    def on_timer(self, now: Instant) -> None:
        """Make the calls that are due; what they arrange is left for the next time."""
        due: list[Alarm] = []
        while (at := self.deadline()) is not None and at <= now:
            due.append(heapq.heappop(self._heap)[2])
        for alarm in due:
            if (call := alarm.call) is not None:  # an earlier one may have cancelled it
                call()

    def clear(self) -> None:
        """Forget all."""
        self._heap.clear()
