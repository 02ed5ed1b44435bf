"""ERCOT's settlement point price reports, real-time (15 min) and day-ahead (hourly), in Central prevailing time.

Hours are counted 1 to 24 by their end. When daylight saving time ends, the hour from 01:00 to 02:00 comes twice and
the second one carries the repeated-hour flag Y; when it begins, hour 3 is left out. Load zones come with a second,
energy-weighted price (types LZEW and LZ_DCEW); as in gridstatus it is the point's name with `_EW` after it.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from orchestrator.adapters.prices.cells import YEARS, price, repeated_by_clock, skipped_by_clock
from orchestrator.adapters.prices.faults import Faults
from orchestrator.adapters.prices.intervals import Row, priced_intervals
from orchestrator.adapters.prices.points import chosen_point
from orchestrator.adapters.prices.table import Table
from orchestrator.domain.market import Market, Price

LAYOUT = "ercot"
COLUMNS = (
    "Delivery Date,Delivery Hour,Delivery Interval,Repeated Hour Flag,Settlement Point Name,Settlement Point Type,"
    "Settlement Point Price or Delivery Date,Hour Ending,Repeated Hour Flag,Settlement Point,Settlement Point Price"
)

_CENTRAL = ZoneInfo("America/Chicago")
_QUARTER = timedelta(minutes=15)
_HOUR = timedelta(hours=1)
# The yearly and the live reports differ in blanks (`Delivery Date`, `DeliveryDate`) and in some names.
_NEEDED = (
    ("deliverydate",),
    ("deliveryhour", "hourending"),
    ("repeatedhourflag", "dstflag"),
    ("settlementpointname", "settlementpoint"),
    ("settlementpointprice",),
)


def recognises(header: Sequence[str]) -> bool:
    plain = {_plain(name) for name in header}
    real_time = {"deliveryhour", "deliveryinterval"} <= plain
    return (real_time or "hourending" in plain) and all(plain & set(names) for names in _NEEDED)


def read(table: Table, faults: Faults, point: str | None) -> list[Price]:
    where = {_plain(name): index for index, name in enumerate(table.header)}
    date, hour, flag, name, usd = (next(where[key] for key in keys if key in where) for keys in _NEEDED)
    interval = where.get("deliveryinterval")
    kind = where.get("settlementpointtype")

    def point_of(cells: Sequence[str]) -> str:
        weighted = kind is not None and cells[kind].endswith("EW")
        return f"{cells[name]}_EW" if weighted else cells[name]

    chosen = chosen_point({point_of(cells) for _, cells in table.rows}, point, table.header[name], faults)
    if chosen is None:
        return []
    starts = _HourStarts(faults, table.header[date], table.header[hour], table.header[flag])
    rows: list[Row] = []
    complete = table.complete
    for line, cells in table.rows:
        if point_of(cells) != chosen:
            continue
        start = starts.of(line, cells[date], cells[hour], cells[flag])
        length = _HOUR
        if interval is not None and start is not None:
            length = _QUARTER
            if cells[interval] in ("1", "2", "3", "4"):
                start += (int(cells[interval]) - 1) * _QUARTER
            else:
                column = table.header[interval]
                faults.add("is not a quarter hour", "1 to 4", line=line, column=column, value=cells[interval])
                start = None
        value = price(cells[usd], line, table.header[usd], faults, at=start)
        if start is None:
            complete = False
        else:
            rows.append(Row(line, start, (value,), start + length, shown=_shown(cells, date, hour, interval, flag)))
    # The reports list the repeated hour quarter by quarter beside the first one, so rows are put in order here.
    rows.sort(key=lambda row: row.start)
    market = Market.DAY_AHEAD if interval is None else Market.REAL_TIME
    return priced_intervals(rows, [market], table.header[date], faults, complete=complete)


def _shown(cells: Sequence[str], date: int, hour: int, interval: int | None, flag: int) -> str:
    quarter = "" if interval is None else f" interval {cells[interval]}"
    return f"{cells[date]} hour {cells[hour]}{quarter}{' repeated' if cells[flag] == 'Y' else ''}"


class _HourStarts:
    """Starts of delivery hours in UTC, worked out once each."""

    def __init__(self, faults: Faults, date_column: str, hour_column: str, flag_column: str) -> None:
        self._faults = faults
        self._columns = (date_column, hour_column, flag_column)
        self._known: dict[tuple[str, str, str], datetime] = {}

    def of(self, line: int, date: str, hour: str, flag: str) -> datetime | None:
        known = self._known.get((date, hour, flag))
        if known is None:
            known = self._work_out(line, date, hour, flag)
            if known is not None:
                self._known[date, hour, flag] = known
        return known

    def _work_out(self, line: int, date: str, hour: str, flag: str) -> datetime | None:
        add = self._faults.add
        date_column, hour_column, flag_column = self._columns
        day = _day(date)
        ending = re.fullmatch(r"(\d{1,2})(:00)?", hour)
        if day is None:
            add("is not a date", "MM/DD/YYYY, from 1990 to 2100", line=line, column=date_column, value=date)
        elif ending is None or not 1 <= int(ending[1]) <= 24:
            add("is not an hour of delivery", "1 to 24", line=line, column=hour_column, value=hour)
        elif flag not in ("Y", "N"):
            add("is not a flag", "Y or N", line=line, column=flag_column, value=flag)
        else:
            wall = day + timedelta(hours=int(ending[1]) - 1)
            if skipped_by_clock(wall, _CENTRAL):
                allowed = "hours that clocks show: daylight saving time begins and leaves this one out"
                add(f"does not exist on {date}", allowed, line=line, column=hour_column, value=hour)
            elif flag == "Y" and not repeated_by_clock(wall, _CENTRAL):
                allowed = "N, or Y in the hour in which daylight saving time ends"
                add(f"marks hour {hour} of {date} as repeated", allowed, line=line, column=flag_column, value=flag)
            else:
                return wall.replace(tzinfo=_CENTRAL, fold=int(flag == "Y")).astimezone(UTC)
        return None


def _day(cell: str) -> datetime | None:
    found = re.fullmatch(r"(\d{1,2})/(\d{1,2})/(\d{4})", cell)
    if found is None or int(found[3]) not in YEARS:
        return None
    try:
        return datetime(int(found[3]), int(found[1]), int(found[2]))  # noqa: DTZ001 a local day, its zone comes later
    except ValueError:
        return None


def _plain(name: str) -> str:
    return name.replace(" ", "").lower()
