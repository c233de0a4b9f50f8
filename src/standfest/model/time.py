"""Instants and durations: whole nanoseconds, so that arithmetic is exact.

An `Instant` is a reading of some monotonic clock; only differences between readings of the same
clock mean anything. Nothing here reads a clock.
"""

Instant = int
"""Nanoseconds on a monotonic clock."""

Duration = int
"""Nanoseconds."""

NANOSECONDS_PER_MICROSECOND = 1_000
NANOSECONDS_PER_MILLISECOND = 1_000_000
NANOSECONDS_PER_SECOND = 1_000_000_000


def microseconds(count: int) -> Duration:
    """Return `count` microseconds as a duration."""
    return count * NANOSECONDS_PER_MICROSECOND


def milliseconds(count: int) -> Duration:
    """Return `count` milliseconds as a duration."""
    return count * NANOSECONDS_PER_MILLISECOND


def seconds(count: int) -> Duration:
    """Return `count` seconds as a duration."""
    return count * NANOSECONDS_PER_SECOND


def in_milliseconds(duration: Duration) -> int:
    """Return `duration` in whole milliseconds, cut towards zero."""
    return int(duration / NANOSECONDS_PER_MILLISECOND)


def in_seconds(duration: Duration) -> float:
    """Return `duration` in seconds."""
    return duration / NANOSECONDS_PER_SECOND


def earliest(*deadlines: Instant | None) -> Instant | None:
    """Return the first of the deadlines that exist, or None when none does."""
    first: Instant | None = None
    for at in deadlines:  # min() of a generator takes four times as long, and this is asked often
        if at is not None and (first is None or at < first):
            first = at
    return first
