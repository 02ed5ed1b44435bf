"""Hashprice and temperature: the newest value by now, and bad files named."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orchestrator.adapters.series.constant import ConstantSeries
from orchestrator.adapters.series.csv_series import SeriesFileError, read_hashprice_file, read_temperature_file
from orchestrator.domain.observation import Quality, Reading, missing
from orchestrator.ports import SeriesSource

Write = Callable[[str | bytes], Path]

HOUR = timedelta(hours=1)
HASHPRICE = "date_utc,hashprice_usd_per_ph_day\n"
TEMPERATURE = "interval_start_utc,temperature_c\n"
START = datetime(2023, 9, 6, tzinfo=UTC)


async def test_a_constant_holds_at_any_time() -> None:
    source: SeriesSource = ConstantSeries(60.0, "USD per PH/s per day")
    assert await source.read(START) == Reading(60.0, "USD per PH/s per day", START, Quality.FRESH)
    with pytest.raises(ValueError, match="finite"):
        ConstantSeries(float("nan"), "degC")


async def test_the_newest_value_by_now_holds_with_the_time_of_its_row(write: Write) -> None:
    source: SeriesSource = read_hashprice_file(write(f"# named\n{HASHPRICE}2023-09-06,61.8\n2023-09-07,63.1\n"))
    assert await source.read(START - timedelta(seconds=1)) == missing("USD per PH/s per day")
    readings = (
        (START, 61.8, START),
        (START + 23 * HOUR, 61.8, START),
        (START + 24 * HOUR, 63.1, START + 24 * HOUR),
        (START + timedelta(days=400), 63.1, START + 24 * HOUR),
    )
    for now, value, at in (*readings, *reversed(readings)):  # the past may be asked for again
        assert await source.read(now) == Reading(value, "USD per PH/s per day", at, Quality.FRESH)


async def test_subsidy_only_hashprice_stands_in_where_fees_are_not_known(write: Write) -> None:
    header = "date_utc,hashprice_subsidy_only_usd_per_PHs_day,hashprice_usd_per_PHs_day,basis\n"
    source = read_hashprice_file(write(header + '2024-04-27,45.2,51.6,"a,b"\n2024-04-28,45.0,,"c"\n'))
    assert (await source.read(datetime(2024, 4, 27, tzinfo=UTC))).value == 51.6
    assert (await source.read(datetime(2024, 4, 28, tzinfo=UTC))).value == 45.0


async def test_local_times_across_both_changes_of_the_clock(write: Write) -> None:
    spring = "time_local,temperature_c\n2023-03-12T01:00,1\n2023-03-12T02:00,50\n2023-03-12T03:00,3\n"
    source = read_temperature_file(write(spring), "America/Chicago")
    eight = datetime(2023, 3, 12, 8, tzinfo=UTC)
    assert (await source.read(eight - HOUR)).value == 1.0
    assert (await source.read(eight)).value == 3.0
    autumn = "time_local,temperature_c\n2023-11-05T01:00,1\n2023-11-05T01:00,1.5\n2023-11-05T02:00,2\n"
    source = read_temperature_file(write(autumn), "America/Chicago")
    six = datetime(2023, 11, 5, 6, tzinfo=UTC)
    assert [(await source.read(six + n * HOUR)).value for n in range(3)] == [1.0, 1.5, 2.0]


async def test_a_hole_is_no_fault_and_shows_as_age(write: Write) -> None:
    source = read_temperature_file(write(TEMPERATURE + "2023-09-06T00:00:00Z,30\n2023-09-06T09:00:00Z,31\n"))
    reading = await source.read(START + 8 * HOUR)
    assert (reading.value, reading.at) == (30.0, START)


@pytest.mark.parametrize(
    ("row", "column", "problem"),
    [
        ("2023-09-06T01:00:00Z,", "temperature_c", "is blank"),
        ("2023-09-06T01:00:00Z,warm", "temperature_c", "is not a number"),
        ("2023-09-06T01:00:00Z,nan", "temperature_c", "is not a number"),
        ("2023-09-06T01:00:00Z,94", "temperature_c", "is beyond reason"),
        ("noon,30", "interval_start_utc", "is not a time"),
        ("2023-09-05T01:00:00Z,30", None, "not after the row before"),
        ("2023-09-06T00:00:00Z,31", None, "not after the row before"),
    ],
)
def test_bad_temperature_rows_are_named(write: Write, row: str, column: str | None, problem: str) -> None:
    path = write(f"{TEMPERATURE}2023-09-06T00:00:00Z,30\n{row}\n2023-09-06T02:00:00Z,30\n")
    with pytest.raises(SeriesFileError) as caught:
        read_temperature_file(path)
    (fault,) = caught.value.faults
    assert (fault.line, fault.column) == (3, column)
    assert problem in fault.problem


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (HASHPRICE + "2023-09-06T00:00,1\n", "is not a day"),
        (HASHPRICE + "2023-09-31,1\n", "is not a day"),
        (HASHPRICE + "2023-09-06,-1\n", "beyond reason"),
        (HASHPRICE, "no rows"),
        ("date_utc,usd\n2023-09-06,1\n", "not the header of this series"),
        (TEMPERATURE + "2023-09-06T00:00:00Z,30\n", "not the header of this series"),
    ],
)
def test_bad_hashprice_files_are_named(write: Write, content: str, problem: str) -> None:
    with pytest.raises(SeriesFileError, match=problem):
        read_hashprice_file(write(content))


def test_other_faults_of_series_files_are_named(write: Write, tmp_path: Path) -> None:
    with pytest.raises(SeriesFileError, match="does not exist"):
        read_hashprice_file(tmp_path / "absent.csv")
    with pytest.raises(SeriesFileError, match="not the header of this series"):
        read_temperature_file(write(HASHPRICE + "2023-09-06,60\n"))
    with pytest.raises(SeriesFileError, match="not a time zone"):
        read_temperature_file(write("time_local,temperature_c\n2023-09-06T00:00,30\n"), "Mars/Olympus")


async def test_temperature_lies_on_the_line_between_hourly_values_but_not_across_a_hole(write: Write) -> None:
    rows = "2023-09-06T00:00:00Z,30\n2023-09-06T01:00:00Z,34\n2023-09-06T09:00:00Z,20\n"
    source = read_temperature_file(write(TEMPERATURE + rows))
    half_past = datetime(2023, 9, 6, 0, 30, tzinfo=UTC)
    reading = await source.read(half_past)
    assert (reading.value, reading.at) == (32.0, half_past)
    assert (await source.read(datetime(2023, 9, 6, 5, tzinfo=UTC))).value == 34.0
