"""A node's clocks in virtual time: its monotonic one may run fast or slow, its wall clock jump."""

from standfest.model.time import NANOSECONDS_PER_SECOND, Instant

MILLION = 1_000_000
EPOCH_S = 1_700_000_000
"""The simulated wall clock's beginning; only differences count."""


class SimClock:
    """Simulated time -> a node's own; ppm: how much too fast it runs, in millionths."""

    def __init__(self) -> None:
        self.ppm = 0
        self._since: Instant = 0
        self._then: Instant = 0
        self.jump_s = 0

    def drift(self, now: Instant, ppm: int) -> None:
        """From now on, run so much too fast."""
        self._then, self._since, self.ppm = self.local(now), now, ppm

    def local(self, now: Instant) -> Instant:
        """Return what this node's monotonic clock says at simulated time `now`."""
        if not self.ppm and self._then == self._since:
            return now
        return self._then + (now - self._since) * (MILLION + self.ppm) // MILLION

    def simulated(self, local: Instant) -> Instant:
        """Return the first simulated time at which the node's clock says `local` or later."""
        if not self.ppm and self._then == self._since:
            return local
        return self._since - (-(local - self._then) * MILLION // (MILLION + self.ppm))

    def wall(self, now: Instant) -> int:
        """Return what this node takes for seconds since 1970."""
        return EPOCH_S + self.jump_s + now // NANOSECONDS_PER_SECOND
