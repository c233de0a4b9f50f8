"""Who is to answer a bucket: a list of members for each, of which the first who can has it.

Loss of a member therefore moves its buckets only, to all others by their weights, and its return
moves these back. The lists are not kept: only as much of them is worked out as members are missing.
"""

from bisect import bisect
from collections.abc import Mapping, Sequence
from itertools import accumulate, count, groupby

from standfest.core.sharing.hashing import jhash
from standfest.model.sharing import Buckets, Member

Prefix = tuple[int, ...]
_MASK = (1 << 64) - 1


class Preference:
    """The lists for one set of members and one number of buckets, the same on every node."""

    def __init__(self, members: Sequence[Member], buckets: int) -> None:
        self._weights = tuple(member.weight for member in members)
        self._buckets = buckets
        self._ends = tuple(accumulate(self._weights))
        self._first = self._shared(range(buckets), ())
        self._last: tuple[frozenset[int], dict[int, Buckets]] | None = None

    def owners(self, present: frozenset[int]) -> Mapping[int, Buckets]:
        """Return the buckets of each member that is present; members by their positions.

        Nobody has any if nobody with a weight is present.
        """
        if self._last is None or self._last[0] != present:
            self._last = (present, self._owners(present))
        return self._last[1]

    def _owners(self, present: frozenset[int]) -> dict[int, Buckets]:
        found = dict.fromkeys(present, 0)
        able = [member for member in present if self._weights[member]]
        if len(able) == 1:
            found[able[0]] = (1 << self._buckets) - 1
        elif able:
            for member, some in self._first.items():
                self._give(found, some, (member,))
        return found

    def _give(self, found: dict[int, Buckets], some: Sequence[int], prefix: Prefix) -> None:
        """Give some buckets to the last of a prefix, or to whoever follows it on their lists."""
        last = prefix[-1]
        if last in found:
            found[last] |= _bits(some)
            return
        if len(some) < len(self._weights) - len(prefix):
            for bucket in some:  # too few for everybody to get one
                found[self._drawn(bucket, found)] |= 1 << bucket
            return
        for member, part in self._shared(some, prefix).items():
            self._give(found, part, (*prefix, member))

    def _drawn(self, bucket: int, found: Mapping[int, Buckets]) -> int:
        """Return the first member present of a bucket's list, drawn by weight from its number.

        Whoever is present with a weight is drawn sooner or later; most often within a few times.
        """
        for draw in count():
            member = bisect(self._ends, _mixed(bucket, draw) * self._ends[-1] >> 32)
            if member in found:
                return member
        raise AssertionError("somebody is drawn")

    def _shared(self, some: Sequence[int], prefix: Prefix) -> dict[int, Sequence[int]]:
        """Share buckets by weight among all who are not in a prefix, the largest remainders up.

        Equal remainders are taken in an order that differs from prefix to prefix.
        """
        rest = [m for m, weight in enumerate(self._weights) if weight and m not in prefix]
        total = sum(self._weights[member] for member in rest)
        if not total:
            return {}
        quotas = {member: divmod(len(some) * self._weights[member], total) for member in rest}
        left = len(some) - sum(whole for whole, _ in quotas.values())
        turn = jhash(bytes(prefix), 0) % len(rest)
        order = rest[turn:] + rest[:turn]
        order.sort(key=lambda member: -quotas[member][1])
        more = set(order[:left])
        found: dict[int, Sequence[int]] = {}
        begin = 0
        for member in rest:
            end = begin + quotas[member][0] + (member in more)
            if end > begin:
                found[member] = some[begin:end]
            begin = end
        return found


def _mixed(bucket: int, draw: int) -> int:
    """Return 32 bits that depend on both numbers (a round of splitmix64's mixing)."""
    state = (bucket * 0x9E3779B97F4A7C15 + (draw + 1) * 0xD1B54A32D192ED03) & _MASK
    state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    return (state ^ state >> 27) * 0x94D049BB133111EB >> 32 & 0xFFFFFFFF


def _bits(some: Sequence[int]) -> Buckets:
    """Return ascending bucket numbers as a set."""
    found = 0
    for _, group in groupby(enumerate(some), key=lambda pair: pair[1] - pair[0]):
        run = [number for _, number in group]
        found |= ((1 << len(run)) - 1) << run[0]
    return found
