"""Hashprice by day and outdoor temperature by hour, from CSV files."""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from orchestrator.adapters.prices.cells import instant, number, repeated_by_clock, skipped_by_clock, wall_time, zone
from orchestrator.adapters.prices.faults import DataFileError, Faults
from orchestrator.adapters.prices.table import Table, read_table
from orchestrator.domain.observation import Quality, Reading, missing

HASHPRICE_UNIT = "USD per PH/s per day"
TEMPERATURE_UNIT = "degC"


class SeriesFileError(DataFileError):
    """A series file that cannot be used."""


@dataclass(frozen=True, slots=True)
class _Range:
    low: float
    high: float
    unit: str

    def __str__(self) -> str:
        return f"a number from {self.low:g} to {self.high:g} {self.unit}"


# Hashprice was some 400 USD in 2021 and 40 in 2025; temperatures beyond the records on Earth are sensor faults.
_HASHPRICE = _Range(0.0, 10_000.0, HASHPRICE_UNIT)
_TEMPERATURE = _Range(-90.0, 60.0, TEMPERATURE_UNIT)
_OUR_HASHPRICE = "hashprice_usd_per_ph_day"
_FULL_HASHPRICE = "hashprice_usd_per_PHs_day"
_SUBSIDY_HASHPRICE = "hashprice_subsidy_only_usd_per_PHs_day"


class CsvSeries:
    """A SeriesSource over values in order of time; the newest one by `now` holds, whatever its age.

    With `between`, values at most so far apart are points of a curve and the reading is on the line between them, as
    a gauge on the site would show it.
    """

    def __init__(self, points: Sequence[tuple[datetime, float]], unit: str, between: timedelta = timedelta(0)) -> None:
        self._between = between
        self._times = tuple(at for at, _ in points)
        self._values = tuple(value for _, value in points)
        self._readings = tuple(Reading(value=value, unit=unit, at=at, quality=Quality.FRESH) for at, value in points)
        self._missing = missing(unit)

    async def read(self, now: datetime) -> Reading:
        index = bisect_right(self._times, now)
        if index == 0:
            return self._missing
        last = self._readings[index - 1]
        if index == len(self._readings) or self._times[index] - self._times[index - 1] > self._between:
            return last
        share = (now - self._times[index - 1]) / (self._times[index] - self._times[index - 1])
        low, high = self._values[index - 1], self._values[index]
        return replace(last, value=low + (high - low) * share, at=now)

    @property
    def points(self) -> tuple[tuple[datetime, float], ...]:
        """All values in order of time."""
        return tuple(zip(self._times, self._values, strict=True))

    @property
    def span(self) -> tuple[datetime, datetime]:
        """Times of the first and the last value."""
        return self._times[0], self._times[-1]


def read_hashprice_file(path: str | Path) -> CsvSeries:
    """Daily hashprice, USD per PH/s per day, each value holding from 00:00 UTC of its day.

    Layouts: `date_utc,hashprice_usd_per_ph_day`, or `date_utc` with `hashprice_usd_per_PHs_day` and, for days whose
    fees are not known and it is blank, `hashprice_subsidy_only_usd_per_PHs_day`. Raises SeriesFileError.
    """
    layouts = f"date_utc,{_OUR_HASHPRICE} or date_utc,{_SUBSIDY_HASHPRICE},{_FULL_HASHPRICE}"

    def points(table: Table, faults: Faults) -> list[tuple[datetime, float]]:
        if "date_utc" not in table.header:
            return _unknown(table, faults, layouts)
        columns = [name for name in (_OUR_HASHPRICE, _FULL_HASHPRICE, _SUBSIDY_HASHPRICE) if name in table.header]
        if not columns:
            return _unknown(table, faults, layouts)

        def value(cells: list[str], line: int) -> float | None:
            column = next((name for name in columns if cells[table.index(name)]), columns[0])
            return _value(cells[table.index(column)], line, column, _HASHPRICE, faults)

        def day(cell: str, line: int) -> datetime | None:
            try:
                if len(cell) == len("2023-09-06"):
                    return datetime.fromisoformat(cell).replace(tzinfo=UTC)
            except ValueError:
                pass
            faults.add("is not a day", "YYYY-MM-DD", line=line, column="date_utc", value=cell)
            return None

        at = table.index("date_utc")
        return _in_order([(line, day(cells[at], line), value(cells, line)) for line, cells in table.rows], faults)

    return _read(path, points, HASHPRICE_UNIT)


def read_temperature_file(path: str | Path, timezone: str = "UTC") -> CsvSeries:
    """Outdoor temperature, degC, linear between values up to two hours apart, else each holding from its time on.

    Hourly values that hold for their hour would jump by some degrees at once, and a site's cooling with them.

    Layouts: `interval_start_utc,temperature_c`, or `time_local,temperature_c` in `timezone`; further columns are left
    out. Of local times, the hour that clocks leave out in spring is left out, and the one that they repeat in autumn
    is its first or, where the file has it twice, its first and second. Raises SeriesFileError.
    """

    def points(table: Table, faults: Faults) -> list[tuple[datetime, float]]:
        column = next((name for name in ("interval_start_utc", "time_local") if name in table.header), None)
        if column is None or "temperature_c" not in table.header:
            return _unknown(table, faults, "interval_start_utc,temperature_c or time_local,temperature_c")
        local = zone(timezone, faults)
        if local is None:
            return []
        at, what = table.index(column), table.index("temperature_c")
        rows: list[tuple[int, datetime | None, float | None]] = []
        seen: set[datetime] = set()
        for line, cells in table.rows:
            value = _value(cells[what], line, "temperature_c", _TEMPERATURE, faults)
            if column == "time_local":
                wall = wall_time(cells[at], line, column, faults)
                if wall is not None and wall.tzinfo is None and skipped_by_clock(wall, local):
                    continue
                start = None if wall is None else _placed(wall, local, seen)
            else:
                start = instant(cells[at], line, column, faults, assume=UTC)
            rows.append((line, start, value))
        return _in_order(rows, faults)

    return _read(path, points, TEMPERATURE_UNIT, between=timedelta(hours=2))


def _read(
    path: str | Path,
    points: Callable[[Table, Faults], list[tuple[datetime, float]]],
    unit: str,
    between: timedelta = timedelta(0),
) -> CsvSeries:
    faults = Faults(Path(path))
    table = read_table(Path(path), faults)
    found = [] if table is None else points(table, faults)
    faults.raise_any(SeriesFileError)
    return CsvSeries(found, unit, between)


def _unknown(table: Table, faults: Faults, layouts: str) -> list[tuple[datetime, float]]:
    faults.add("is not the header of this series", layouts, column="header", value=",".join(table.header))
    return []


def _value(cell: str, line: int, column: str, allowed: _Range, faults: Faults) -> float | None:
    value = number(cell)
    if value is not None and allowed.low <= value <= allowed.high:
        return value
    problem = "is blank" if not cell else "is not a number" if value is None else "is beyond reason"
    faults.add(problem, str(allowed), line=line, column=column, value=cell)
    return None


def _placed(wall: datetime, local: ZoneInfo, seen: set[datetime]) -> datetime:
    if wall.tzinfo is not None:
        return wall.astimezone(UTC)
    fold = int(wall in seen and repeated_by_clock(wall, local))
    seen.add(wall)
    return wall.replace(tzinfo=local, fold=fold).astimezone(UTC)


def _in_order(
    rows: Sequence[tuple[int, datetime | None, float | None]], faults: Faults
) -> list[tuple[datetime, float]]:
    """The points of rows that could be read; holes are no fault here, since the value before them holds and ages."""
    points: list[tuple[datetime, float]] = []
    for line, at, value in rows:
        if at is None or value is None:
            continue
        if not points or at > points[-1][0]:
            points.append((at, value))
        elif (at, value) != points[-1]:
            faults.add("is not after the row before", "rows in order of time, each time once", line=line, value=str(at))
    return points
