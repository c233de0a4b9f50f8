"""When the counters are read, and what follows from them where the data plane only looks up.

They are read while a server is drained, has a threshold, or has a share that follows connections:
once for all three.
"""

from collections.abc import Iterable, Mapping

from standfest.model.forwarding import Service, ServiceKey, Shares, Table
from standfest.model.time import Duration, Instant, seconds
from standfest.runtime.balancer.following import Following
from standfest.runtime.balancer.places import Readings
from standfest.runtime.balancer.thresholds import Thresholds

COUNT_EVERY: Duration = seconds(1)
"""How often the counters are read, if that is quick."""
COUNT_SHARE = 20
"""How many times what a count takes the next one waits: thousands of counters take their time."""


class Counting:
    """The next count, at `at`; always: thresholds or shares need every one.

    counts: the data plane heeds thresholds and connections itself.
    """

    def __init__(self, *, counts: bool = True) -> None:
        self.at: Instant | None = None
        self._thresholds = Thresholds(counts=counts)
        self._following = Following(counts=counts)
        self._asked_at: Instant = 0
        self.always = False

    def begin(self, now: Instant, table: Table) -> None:
        """Count from now on, if anything in the table that is wanted asks for it."""
        self.always = self._thresholds.matter(table) or self._following.matter(table)
        if self.always:
            self.at = now

    def ask(self, now: Instant) -> bool:
        """Return whether a count is due, and take it for asked."""
        if self.at is None or self.at > now:
            return False
        self.at, self._asked_at = None, now
        return True

    def plan(self, now: Instant, *, waiting: bool) -> None:
        """Note when to count next; waiting: a drained server has connections."""
        if self.always or waiting:
            self.at = now + max(COUNT_EVERY, COUNT_SHARE * (now - self._asked_at))

    def full(self, wanted: Table, readings: Readings) -> frozenset[ServiceKey]:
        """Return the services of which a server is full now, or is so no longer."""
        return self._thresholds.read(wanted, readings)

    def weigh(self, part: Mapping[ServiceKey, Service]) -> dict[ServiceKey, Service]:
        """Return services with weight 0 for those of their servers that are full."""
        return self._thresholds.weigh(part)

    def shares(self, forwarded: Table, readings: Readings) -> dict[ServiceKey, Shares]:
        """Return the shares that the data plane is to be told."""
        return self._following.read(forwarded, readings)

    def forget(self, changed: Iterable[ServiceKey]) -> None:
        """These services have been changed: the data plane has no shares of them."""
        self._following.forget(changed)
