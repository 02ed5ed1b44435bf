"""Two columns, `Datetime,Price (USD/MWh)`: hourly prices by local time without an offset.

The figures are of a day-ahead auction. They are given as both markets: a site that has only an hourly market settles
on it, so it is the price in force (real-time), and it is known the day before (day-ahead).

In the hour in which daylight saving time ends, clocks show one time twice. Where a file has that time once, its price
holds for both hours; where it has it twice, they are the first and the second. Where it has the time that clocks leave
out in spring, that row stands for the same hour as the one after it and has to have its price.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from orchestrator.adapters.prices.cells import price, repeated_by_clock, wall_time, zone
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


def recognises(header: Sequence[str]) -> bool:
    return _TIME in header and (_USD in header or _EUR in header)


def read(table: Table, faults: Faults, timezone: str, usd_per_eur: float | None) -> list[Price]:
    local = zone(timezone, faults)
    column = _USD if _USD in table.header else _EUR
    usd_per_unit = 1.0 if column == _USD else usd_per_eur
    if usd_per_unit is None:
        allowed = "prices in USD/MWh, or a rate given as usd_per_eur"
        faults.add("is not in USD", allowed, column=column)
    if local is None or usd_per_unit is None:
        return []
    time_index, price_index = table.index(_TIME), table.index(column)
    walls: list[tuple[int, datetime, float | None]] = []
    for line, cells in table.rows:
        value = price(cells[price_index], line, column, faults, usd_per_unit)
        wall = wall_time(cells[time_index], line, _TIME, faults)
        if wall is not None:
            walls.append((line, wall, value))
    complete = table.complete and len(walls) == len(table.rows)
    rows = [Row(line, start, (value, value), start + _HOUR) for line, start, value in _instants(walls, local)]
    return priced_intervals(rows, [Market.REAL_TIME, Market.DAY_AHEAD], _TIME, faults, complete=complete)


def _instants(
    walls: Iterable[tuple[int, datetime, float | None]], local: ZoneInfo
) -> Iterator[tuple[int, datetime, float | None]]:
    walls = list(walls)
    times = Counter(wall for _, wall, _ in walls)
    seen: set[datetime] = set()
    for line, wall, value in walls:
        if wall.tzinfo is not None:
            yield line, wall.astimezone(UTC), value
            continue
        repeated = repeated_by_clock(wall, local)
        fold = int(repeated and wall in seen)
        seen.add(wall)
        yield line, wall.replace(tzinfo=local, fold=fold).astimezone(UTC), value
        if repeated and times[wall] == 1:
            yield line, wall.replace(tzinfo=local, fold=1).astimezone(UTC), value
