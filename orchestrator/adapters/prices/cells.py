"""One cell as a number or an instant, or a fault that says why not."""

import math
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from orchestrator.adapters.prices.faults import Faults

LOWEST_USD_PER_MWH = -5_000.0
HIGHEST_USD_PER_MWH = 50_000.0
"""No market clears outside: ERCOT's cap was 9,000 USD/MWh until 2022 and is 5,000 since, with a floor of -251;
Europe's day-ahead auction allows -500 to some thousand EUR/MWh; Australia's cap is about 20,000 AUD/MWh. A figure
outside is a wrong unit or a wrong column."""

ALLOWED_PRICE = f"a number from {LOWEST_USD_PER_MWH:.0f} to {HIGHEST_USD_PER_MWH:.0f} USD/MWh"

_BLANK = ("", "nan")
"""How a price that is not known is written; pandas writes either."""

YEARS = range(1990, 2101)
"""Power markets have had prices by the hour or less since the 1990s."""

_ALLOWED_TIME = f"an ISO 8601 time from {YEARS[0]} to {YEARS[-1]} such as 2023-09-06T05:00:00Z"

INTERVALS = tuple(timedelta(minutes=minutes) for minutes in (5, 15, 30, 60))
ALLOWED_INTERVALS = "5, 15, 30 or 60 min"


def number(cell: str) -> float | None:
    """The finite number in `cell`, or None. Digits grouped by `,` or `_` are not taken for one."""
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) and "_" not in cell else None


def is_blank(cell: str) -> bool:
    """Whether the cell of a price says that there is none."""
    return cell.lower() in _BLANK


def price(
    cell: str, line: int, column: str, faults: Faults, usd_per_unit: float = 1.0, *, at: datetime | None
) -> float | None:
    """The price in `cell` in USD/MWh, or None with the fault (or the hole, where it is blank) added.

    `at` is the start of its interval, None where that could not be read.
    """
    value = number(cell)
    if value is None and is_blank(cell):
        problem = "is blank" if not cell else "is not a number"
        span = None if at is None else (at, at + INTERVALS[0])
        faults.add_hole(problem, ALLOWED_PRICE, line=line, column=column, value=cell, span=span)
        return None
    if value is None:
        faults.add("is not a number", ALLOWED_PRICE, line=line, column=column, value=cell)
        return None
    value *= usd_per_unit
    if not LOWEST_USD_PER_MWH <= value <= HIGHEST_USD_PER_MWH:
        faults.add("is beyond any market's cap or floor", ALLOWED_PRICE, line=line, column=column, value=cell)
        return None
    return value


def wall_time(cell: str, line: int, column: str, faults: Faults) -> datetime | None:
    """The ISO 8601 time in `cell`, naive or aware as written, or None with the fault added."""
    try:
        at = datetime.fromisoformat(cell)
    except ValueError:
        at = None
    # A date alone says no interval; and a year far off is a slip that time arithmetic may not even bear.
    if at is None or len(cell) < len("2023-09-06T00:00") or at.year not in YEARS:
        problem = "is not a time" if cell else "is blank"
        faults.add(problem, _ALLOWED_TIME, line=line, column=column, value=cell)
        return None
    return at


def instant(cell: str, line: int, column: str, faults: Faults, assume: tzinfo | None) -> datetime | None:
    """The instant in `cell` in UTC, or None with the fault added.

    A time without an offset is taken in zone `assume`; it is a fault where `assume` is None.
    """
    at = wall_time(cell, line, column, faults)
    if at is None:
        return None
    if at.tzinfo is None:
        if assume is None:
            allowed = "a time with its offset, such as 2023-09-06T00:00:00-05:00"
            faults.add("has no UTC offset", allowed, line=line, column=column, value=cell)
            return None
        at = at.replace(tzinfo=assume)
    return at.astimezone(UTC)


def zone(timezone: str, faults: Faults) -> ZoneInfo | None:
    """The IANA time zone of that name, or None with the fault added."""
    try:
        return ZoneInfo(timezone)
    except (KeyError, ValueError, OSError):  # unknown, malformed, or a folder of zones such as "America"
        faults.add("is not a time zone", "an IANA name such as America/Chicago", column="timezone", value=timezone)
        return None


def skipped_by_clock(wall: datetime, local: ZoneInfo) -> bool:
    """Whether the naive `wall` never shows on clocks in `local`: the hour that daylight saving time leaves out."""
    first, second = _offsets(wall, local)
    return first < second


def repeated_by_clock(wall: datetime, local: ZoneInfo) -> bool:
    """Whether the naive `wall` shows twice on clocks in `local`: the hour in which daylight saving time ends."""
    first, second = _offsets(wall, local)
    return first > second


def _offsets(wall: datetime, local: ZoneInfo) -> tuple[timedelta, timedelta]:
    first = local.utcoffset(wall.replace(fold=0))
    second = local.utcoffset(wall.replace(fold=1))
    assert first is not None, "a ZoneInfo has an offset at every time"
    assert second is not None, "a ZoneInfo has an offset at every time"
    return first, second
