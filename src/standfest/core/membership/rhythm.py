"""How steadily a node's heartbeats come, and what deadtime this network needs.

Counts what came late or had to be asked for, keeps a histogram of bounded size, and names the
episodes in which something was wrong, so that each is reported once, not every heartbeat of it.
"""

from dataclasses import dataclass

from standfest.core.membership.effects import Unsteady
from standfest.model.time import Duration, Instant, milliseconds, seconds

CALM_AFTER: Duration = seconds(60)
"""An episode is over when nothing was late or lost for so long."""

MARGIN = 2
"""The advised deadtime is this many times the longest silence of a node that was alive."""

LEAST_BEATS = 4
"""The advised deadtime is never shorter than so many heartbeats."""

MAX_ADVISABLE = 4
"""A silence of more than so many deadtimes was no slowness: it does not count for the advice."""

BUCKETS = 128
MAX_SAMPLES = 10_000
"""The histogram is about the last so many heartbeats: when it is full all its counts are halved."""


@dataclass(frozen=True, slots=True)
class Steadiness:
    """Figures of one node; durations in ns, 0 where nothing has been measured.

    late: heartbeats after more than warntime; lost: messages that had to be asked for; usual and
    p99: half and 99 % of about the last 10,000 intervals were no longer (within 25 %); longest:
    since `pulse` was started; advised: the deadtime that this network needs.
    """

    heartbeats: int
    late: int
    lost: int
    usual: Duration
    p99: Duration
    longest: Duration
    advised: Duration


class Rhythm:
    """The heartbeats of one node."""

    def __init__(self, keepalive: Duration, warntime: Duration) -> None:
        self._keepalive = keepalive
        self._warntime = warntime
        self._buckets: dict[int, int] = {}  # few are ever used
        self._samples = 0
        self._heartbeats = self._late = self._lost = 0
        self._longest: Duration = 0
        self._worst: Duration = 0
        self._trouble_at: Instant | None = None
        self._before = (0, 0)  # late and lost when the last episode was over
        self._episode_worst: Duration = 0

    @property
    def advised(self) -> Duration:
        """Return twice the longest silence, at least four heartbeats, rounded up.

        To 100 ms below 2 s, to 500 ms below 10 s, above to whole seconds.
        """
        wanted = max(MARGIN * self._worst, LEAST_BEATS * self._keepalive)
        step = seconds(1)
        if wanted < seconds(10):
            step = milliseconds(500) if wanted >= seconds(2) else milliseconds(100)
        return -(-wanted // step) * step

    def figures(self) -> Steadiness:
        """Return what has been measured."""
        return Steadiness(
            self._heartbeats,
            self._late,
            self._lost,
            self._share(50),
            self._share(99),
            self._longest,
            self.advised,
        )

    def beat(
        self, now: Instant, node: str, silence: Duration, deadtime: Duration
    ) -> list[Unsteady]:
        """A heartbeat came `silence` after the one before; deadtime: the node's own."""
        self._heartbeats += 1
        self._longest = max(self._longest, silence)
        if silence <= MAX_ADVISABLE * deadtime:
            self._worst = max(self._worst, silence)
        self._count(silence)
        if silence > self._warntime:
            self._late += 1
            return self._trouble(now, node, silence)
        if self._trouble_at is not None and now - self._trouble_at >= CALM_AFTER:
            self._trouble_at = None
            return [self._report(node, over=True)]
        return []

    def lose(self, now: Instant, node: str, count: int) -> list[Unsteady]:
        """Messages are missing that have not come in time on their own."""
        self._lost += count
        return self._trouble(now, node, 0)

    def _trouble(self, now: Instant, node: str, silence: Duration) -> list[Unsteady]:
        begins = self._trouble_at is None
        self._trouble_at = now
        if not begins:
            self._episode_worst = max(self._episode_worst, silence)
            return []
        self._episode_worst = silence
        return [self._report(node, over=False)]

    def _report(self, node: str, *, over: bool) -> Unsteady:
        late, lost = self._late - self._before[0], self._lost - self._before[1]
        if over:
            self._before = (self._late, self._lost)
        return Unsteady(node, late, lost, self._episode_worst, self.advised, over)

    def _count(self, interval: Duration) -> None:
        index = _bucket(interval)
        self._buckets[index] = self._buckets.get(index, 0) + 1
        self._samples += 1
        if self._samples >= MAX_SAMPLES:
            halved = {index: count // 2 for index, count in self._buckets.items()}
            self._buckets = {index: count for index, count in halved.items() if count}
            self._samples = sum(self._buckets.values())

    def _share(self, percent: int) -> Duration:
        """Return what so many per cent of the intervals do not exceed, 0 without any."""
        left = -(-self._samples * percent // 100)
        for index in sorted(self._buckets):
            left -= self._buckets[index]
            if left <= 0:
                return min(_upper_edge(index), self._longest)
        return self._longest


def _bucket(interval: Duration) -> int:
    """Return the bucket of an interval: four for each power of two, in microseconds."""
    microseconds = interval // 1_000
    if microseconds < 4:
        return max(0, microseconds)
    shift = microseconds.bit_length() - 3
    return min(4 * shift + (microseconds >> shift), BUCKETS - 1)


def _upper_edge(index: int) -> Duration:
    """Return the first duration beyond a bucket."""
    if index < 4:
        return (index + 1) * 1_000
    shift, mantissa = index // 4 - 1, index % 4 + 4
    return ((mantissa + 1) << shift) * 1_000
