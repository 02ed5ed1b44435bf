"""Times as people at the site read them."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo


def clock_text(at: datetime, now: datetime, zone: ZoneInfo) -> str:
    """`13:00`, `01:15 tomorrow`, `13:00 on 9 Sep`: the day is said where it is not that of `now`."""
    local = at.astimezone(zone)
    day = _day(at, now, zone)
    return f"{local:%H:%M} {day}" if day else f"{local:%H:%M}"


def range_text(start: datetime, end: datetime, now: datetime, zone: ZoneInfo) -> str:
    """`from 17:15 to 19:30`, `from 23:00 to 01:15 tomorrow`, `from 01:00 to 02:00 tomorrow`."""
    if _day(start, now, zone) == _day(end, now, zone):
        return f"from {start.astimezone(zone):%H:%M} to {clock_text(end, now, zone)}"
    return f"from {clock_text(start, now, zone)} to {clock_text(end, now, zone)}"


def span_text(span: timedelta) -> str:
    """`under a minute`, `47 min`, `2 h 10 min`, `3 h`, `2 days 5 h`; rounded down."""
    minutes = int(span.total_seconds() // 60)
    if minutes < 1:
        return "under a minute"
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    text = "1 day" if days == 1 else f"{days} days"
    return f"{text} {hours} h" if hours else text


def apart_text(earlier: datetime, later: datetime) -> str:
    """The span between two times as `clock_text` shows them, to the minute."""
    return span_text(timedelta(minutes=later.timestamp() // 60 - earlier.timestamp() // 60))


def _day(at: datetime, now: datetime, zone: ZoneInfo) -> str:
    """Empty for the day of `now`."""
    local = at.astimezone(zone)
    days = (local.date() - now.astimezone(zone).date()).days
    names = {0: "", 1: "tomorrow", -1: "yesterday"}
    return names.get(days, f"on {local.day} {local:%b}")
