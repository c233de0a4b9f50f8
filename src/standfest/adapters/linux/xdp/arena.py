"""Room in one large array: runs of slots are taken and given back."""

from bisect import bisect_left
from collections.abc import Iterable

from standfest.model.errors import OperationError


class Arena:
    """Slots 0 to `size - 1`; the first run that fits is taken.

    taken: (first, count) of the runs that are in use already; they must not overlap.
    """

    def __init__(self, size: int, taken: Iterable[tuple[int, int]] = ()) -> None:
        self._free: list[tuple[int, int]] = []
        begin = 0
        for first, count in sorted(taken):
            assert begin <= first <= size - count, "runs lie in the array, one by one"
            if first > begin:
                self._free.append((begin, first - begin))
            begin = first + count
        if begin < size:
            self._free.append((begin, size - begin))

    def take(self, count: int) -> int:
        """Return the first of `count` slots; raises OperationError when no run is long enough."""
        if count == 0:
            return 0
        for at, (first, room) in enumerate(self._free):
            if room < count:
                continue
            if room == count:
                del self._free[at]
            else:
                self._free[at] = first + count, room - count
            return first
        longest = max((room for _, room in self._free), default=0)
        raise OperationError(f"xdp: no room for {count} slots; the longest run has {longest}")

    def give(self, first: int, count: int) -> None:
        """Give a run back."""
        if count == 0:
            return
        at = bisect_left(self._free, (first, 0))
        if at < len(self._free) and self._free[at][0] == first + count:
            count += self._free.pop(at)[1]
        if at and sum(self._free[at - 1]) == first:
            first = self._free[at - 1][0]
            count += self._free.pop(at - 1)[1]
            at -= 1
        self._free.insert(at, (first, count))
