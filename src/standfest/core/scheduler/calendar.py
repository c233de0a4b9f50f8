"""Date expressions: ISO 8601 times, ranges, durations and specifications, in UTC.

Own arithmetic on the proleptic Gregorian calendar, since the core has no clock and no datetime.
Source: Pacemaker Explained, "Date/Time Expressions"; ISO 8601.
"""

import re

from standfest.core.scheduler import values
from standfest.model.element import Element

_DATE = re.compile(
    r"(\d{4})(?:-?(?:W(\d{2})(?:-?(\d))?|(\d{3})(?!\d)|(\d{2})(?:-?(\d{2}))?))?", re.ASCII
)
_TIME = re.compile(r"(\d{2})(?::?(\d{2})(?::?(\d{2})(?:[.,]\d+)?)?)?", re.ASCII)
_ZONE = re.compile(r"\s*(Z|[+-]\d{2}(?::?\d{2})?)?\s*", re.ASCII)


def days_of(year: int, month: int, day: int) -> int:
    """Return days since 1970-01-01."""
    year -= month <= 2
    era = year // 400
    of_era = year - era * 400
    of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return era * 146097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719468


def date_of(days: int) -> tuple[int, int, int]:
    """Return (year, month, day) of days since 1970-01-01."""
    days += 719468
    era = days // 146097
    of_era = days - era * 146097
    year_of_era = (of_era - of_era // 1460 + of_era // 36524 - of_era // 146096) // 365
    of_year = of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted = (5 * of_year + 2) // 153
    day = of_year - (153 * shifted + 2) // 5 + 1
    month = shifted + (3 if shifted < 10 else -9)
    return year_of_era + era * 400 + (month <= 2), month, day


def month_length(year: int, month: int) -> int:
    """Return the number of days in a month."""
    after = (year + 1, 1) if month == 12 else (year, month + 1)
    return days_of(*after, 1) - days_of(year, month, 1)


def week_of(days: int) -> tuple[int, int, int]:
    """Return the ISO (year, week, weekday)."""
    weekday = (days + 3) % 7 + 1
    thursday = days - weekday + 4
    year = date_of(thursday)[0]
    return year, (thursday - days_of(year, 1, 1)) // 7 + 1, weekday


def parse(text: str) -> int | None:
    """Return seconds since 1970 of an ISO 8601 time; None if it is none."""
    text = text.strip()
    match = _DATE.match(text)
    if match is None:
        return None
    year, week, weekday, ordinal, month, day = match.groups()
    number = int(year)
    if week is not None:
        first = days_of(number, 1, 4)
        start = first - (first + 3) % 7
        days = start + (int(week) - 1) * 7 + int(weekday or 1) - 1
    elif ordinal is not None:
        days = days_of(number, 1, 1) + int(ordinal) - 1
    elif month is not None:
        if not 1 <= int(month) <= 12:
            return None
        days = days_of(number, int(month), int(day or 1))
    else:
        days = days_of(number, 1, 1)
    rest = text[match.end() :].lstrip("T ")
    seconds = 0
    clock = _TIME.match(rest)
    if clock is not None:
        seconds = int(clock[1]) * 3600 + int(clock[2] or 0) * 60 + int(clock[3] or 0)
        rest = rest[clock.end() :]
    zone = _ZONE.fullmatch(rest)
    if zone is None:
        return None
    offset = 0
    if zone[1] and zone[1] != "Z":
        digits = zone[1][1:].replace(":", "")
        offset = int(digits[:2]) * 3600 + int(digits[2:4] or 0) * 60
        offset = -offset if zone[1][0] == "-" else offset
    return days * 86400 + seconds - offset


def _plus(moment: int, duration: Element) -> int:
    """Return a moment plus a duration; months are those of the calendar."""
    count = {
        name: values.integer(duration.get(name), 0)
        for name in ("years", "months", "weeks", "days", "hours", "minutes", "seconds")
    }
    days, clock = divmod(moment, 86400)
    year, month, day = date_of(days)
    months = year * 12 + month - 1 + count["years"] * 12 + count["months"]
    year, month = divmod(months, 12)
    day = min(day, month_length(year, month + 1))
    days = days_of(year, month + 1, day) + count["weeks"] * 7 + count["days"]
    clock += count["hours"] * 3600 + count["minutes"] * 60 + count["seconds"]
    return days * 86400 + clock


def _range(part: Element) -> tuple[int | None, int | None]:
    start_text, end_text = part.get("start"), part.get("end")
    start = parse(start_text) if start_text else None
    end = parse(end_text) if end_text else None
    duration = part.child("duration")
    if start is not None and end is None and duration is not None:
        end = _plus(start, duration)
    return start, end


def holds(part: Element, now: int) -> bool:
    """Return whether a date expression holds."""
    start, end = _range(part)
    operation = part.get("operation") or "in_range"
    if operation == "date_spec":
        spec = part.child("date_spec")
        return spec is not None and _specified(spec, now)
    if operation == "gt":
        return start is not None and now > start
    if operation == "lt":
        return end is not None and now < end
    if start is None and end is None:
        return False
    return (start is None or now >= start) and (end is None or now <= end)


def next_edge(part: Element, now: int) -> int | None:
    """Return the next second at which a date expression may change."""
    operation = part.get("operation") or "in_range"
    if operation == "date_spec":
        return None
    start, end = _range(part)
    edges = []
    if start is not None:
        edges.append(start + 1 if operation == "gt" else start)
    if end is not None:
        edges.append(end if operation == "lt" else end + 1)
    return min((edge for edge in edges if edge > now), default=None)


def _specified(spec: Element, now: int) -> bool:
    days, clock = divmod(now, 86400)
    year, month, day = date_of(days)
    week_year, week, weekday = week_of(days)
    actual = {
        "seconds": clock % 60,
        "minutes": clock // 60 % 60,
        "hours": clock // 3600,
        "monthdays": day,
        "weekdays": weekday,
        "yeardays": days - days_of(year, 1, 1) + 1,
        "months": month,
        "weeks": week,
        "years": year,
        "weekyears": week_year,
    }
    for name, text in spec.attributes:
        if name in actual and not _within(actual[name], text):
            return False
    return True


def _within(value: int, text: str) -> bool:
    low, dash, high = text.partition("-")
    if not dash:
        return values.integer(low, -1) == value
    if low.strip() and value < values.integer(low, 0):
        return False
    return not high.strip() or value <= values.integer(high, 0)
