"""Two columns, `Datetime,Price (USD/MWh)`: hourly prices by local time without an offset.

The figures are of a day-ahead auction. They are given as both markets: a site that has only an hourly market settles
on it, so it is the price in force (real-time), and it is known the day before (day-ahead).

In the hour in which daylight saving time ends, clocks show one time twice. Where a file has that time once, its price
holds for both hours; where it has it twice, they are the first and the second. Where it has the time that clocks leave
out in spring, that row stands for the same hour as the one after it and has to have its price, or none.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from orchestrator.adapters.prices.cells import is_blank, price, repeated_by_clock, skipped_by_clock, wall_time
from orchestrator.adapters.prices.faults import Faults
from orchestrator.adapters.prices.intervals import Row, priced_intervals
from orchestrator.adapters.prices.table import Table
from orchestrator.domain.market import Market, Price

LAYOUT = "hourly"
COLUMNS = "Datetime,Price (USD/MWh) or Datetime,Price (EUR/MWh)"

_TIME = "Datetime"
_USD = "Price (USD/MWh)"
_EUR = "Price (EUR/MWh)"
_HOUR = timedelta(hours=1)


class _Hour(NamedTuple):
    """A row whose time could be read."""

    line: int
    shown: str
    wall: datetime
    """Naive or aware, as written."""
    value: float | None


def recognises(header: Sequence[str]) -> bool:
    return _TIME in header and (_USD in header or _EUR in header)


def read(table: Table, faults: Faults, local: ZoneInfo, usd_per_eur: float | None) -> list[Price]:
    column = _USD if _USD in table.header else _EUR
    usd_per_unit = 1.0 if column == _USD else usd_per_eur
    if usd_per_unit is None:
        allowed = "prices in USD/MWh, or a rate given as usd_per_eur"
        faults.add("is not in USD", allowed, column=column)
        return []
    time_index, price_index = table.index(_TIME), table.index(column)
    complete = table.complete
    hours: list[_Hour] = []
    for line, cells in table.rows:
        wall = wall_time(cells[time_index], line, _TIME, faults)
        if wall is not None and is_blank(cells[price_index]) and _skipped(wall, local):
            continue  # there is no such hour, and no price
        at = None if wall is None else _utc(wall, local)
        value = price(cells[price_index], line, column, faults, usd_per_unit, at=at)
        if wall is None:
            complete = False
        else:
            hours.append(_Hour(line, cells[time_index], wall, value))
    kept = list(_checked(hours, local, faults))
    rows = [
        Row(hour.line, start, (hour.value, hour.value), start + _HOUR, hour.shown)
        for hour, start in _instants(kept, local)
    ]
    return priced_intervals(rows, [Market.REAL_TIME, Market.DAY_AHEAD], _TIME, faults, complete=complete)


def has_naive_times(table: Table) -> bool:
    """Whether the table has a time without an offset: the reader takes it in the time zone that it is given."""
    index = table.index(_TIME)
    return any(_is_naive(cells[index]) for _, cells in table.rows)


def _is_naive(cell: str) -> bool:
    try:
        return datetime.fromisoformat(cell).tzinfo is None
    except ValueError:
        return False


def _checked(hours: Iterable[_Hour], local: ZoneInfo, faults: Faults) -> Iterator[_Hour]:
    """The rows without those of a time that clocks leave out, where the row of the hour after it is another price.

    Times of another zone, read as local ones, show here: their days have all 24 hours.
    """
    hours = list(hours)
    by_wall = {hour.wall: hour for hour in reversed(hours)}
    for hour in hours:
        shown = _utc(hour.wall, local).astimezone(local).replace(tzinfo=None)
        same = by_wall.get(shown) if _skipped(hour.wall, local) else None
        if same is None or same.value == hour.value:
            yield hour
            continue
        earlier, later = sorted((hour, same), key=lambda either: either.line)
        faults.add(
            f"is the same hour as {earlier.shown!r} on line {earlier.line}, with another price: clocks in {local.key} "
            f"skip from {hour.wall:%Y-%m-%d %H:%M} to {shown:%H:%M}",
            "one price for both, or these times in their own time zone, such as UTC (--timezone; `timezone` under "
            "`prices` in a site file)",
            line=later.line,
            column=_TIME,
            value=later.shown,
        )


def _skipped(wall: datetime, local: ZoneInfo) -> bool:
    return wall.tzinfo is None and skipped_by_clock(wall, local)


def _utc(wall: datetime, local: ZoneInfo, fold: int = 0) -> datetime:
    return (wall.replace(tzinfo=local, fold=fold) if wall.tzinfo is None else wall).astimezone(UTC)


def _instants(hours: Sequence[_Hour], local: ZoneInfo) -> Iterator[tuple[_Hour, datetime]]:
    times = Counter(hour.wall for hour in hours)
    seen: set[datetime] = set()
    for hour in hours:
        repeated = hour.wall.tzinfo is None and repeated_by_clock(hour.wall, local)
        yield hour, _utc(hour.wall, local, fold=int(repeated and hour.wall in seen))
        seen.add(hour.wall)
        if repeated and times[hour.wall] == 1:
            yield hour, _utc(hour.wall, local, fold=1)
