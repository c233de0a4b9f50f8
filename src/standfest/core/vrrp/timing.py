"""How long a Backup waits: the formulas of RFC 3768 section 6.1 and RFC 9568 section 6.1, in ns."""

from standfest.model.time import Duration, seconds


def skew(version: int, priority: int, interval: Duration) -> Duration:
    """Return how much longer than three intervals a Backup of this priority waits.

    A higher priority waits less, so the best Backup promotes first. Version 2 skews in seconds,
    whatever the interval (measured: keepalived 2.2.7, 3 s, priority 100, takes over after 9.6 s);
    version 3 in parts of Active_Adver_Interval. Cut to whole ns: half of one at most is lost.
    Source: Skew_Time.
    """
    unit = seconds(1) if version == 2 else interval
    return (256 - priority) * unit // 256


def down_interval(version: int, priority: int, interval: Duration, adverts: int = 3) -> Duration:
    """Return how long the Active may be silent before a Backup takes over.

    adverts: 3; keepalived's `down_timer_adverts` is the one way to another number.
    Source: Master_Down_Interval, Active_Down_Interval.
    """
    return adverts * interval + skew(version, priority, interval)
