"""ISO 8601 durations, `P1Y2M3DT4H5M6S`: when what begins now ends.

On the calendar: a month later is the same day of the next month, or its last.
Source: ISO 8601; crm_resource 2.1.5 by experiment.
"""

import re

from standfest.core.scheduler.calendar import date_of, days_of, month_length

DAY = 86_400
MOST = 100_000
"""The largest number of any unit: no end after the year 9999 can be written."""
_DURATION = re.compile(
    r"P(?:(-?\d+)Y)?(?:(-?\d+)M)?(?:(-?\d+)W)?(?:(-?\d+)D)?"
    r"(?:T?(?:(-?\d+)H)?(?:(-?\d+)M)?(?:(-?\d+)S)?)?",
    re.ASCII,
)


def end_of(duration: str, now: int) -> int | None:
    """Return when a duration that begins now ends; None if it is none. now: seconds since 1970."""
    match = _DURATION.fullmatch(duration)
    if match is None or not any(match.groups()) or duration.endswith("T"):
        return None
    years, months, weeks, days, hours, minutes, seconds = (int(n or 0) for n in match.groups())
    if max(abs(int(n or 0)) for n in match.groups()) > MOST * DAY:
        return None
    whole, clock = divmod(now, DAY)
    year, month, day = date_of(whole)
    count = year * 12 + month - 1 + years * 12 + months
    year, month = count // 12, count % 12 + 1
    start = days_of(year, month, min(day, month_length(year, month)))
    end = (start + weeks * 7 + days) * DAY + clock + hours * 3600 + minutes * 60 + seconds
    return end if 0 <= date_of(end // DAY)[0] <= 9999 else None
