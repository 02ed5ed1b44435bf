"""The real files beside the project: those that fit a layout are read, the others refused with a reason."""

import csv
import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orchestrator.adapters.prices.faults import PriceFileError
from orchestrator.adapters.prices.file import read_price_file
from orchestrator.adapters.series.csv_series import read_hashprice_file, read_temperature_file
from orchestrator.domain.market import Market, PriceBook

HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("name", "parameters", "real_time", "day_ahead"),
    [
        ("ercot_hubavg_2024_15min.csv", {}, 35_136, 35_136),
        ("ercot_2023-09-06_08_day_ahead.csv", {}, 0, 72),
        ("ercot_hubavg_day_ahead_2020.csv", {}, 0, 8_784),
        ("ercot_hubavg_day_ahead_2022.csv", {}, 0, 8_760),
        ("ercot_hubavg_day_ahead_2024.csv", {}, 0, 8_784),
        ("ercot_report_june_2024.csv", {"point": "HB_SOUTH"}, 2_880, 0),
        ("ercot_report_july_2024.csv", {"point": "HB_NORTH"}, 2_976, 0),
        ("ercot_report_august_2024.csv", {"point": "HB_WEST"}, 2_976, 0),
        ("ercot_report_december_2024.csv", {"point": "HB_HOUSTON"}, 2_976, 0),
        ("other_us-cal-ciso_electricity_prices_2022.csv", {}, 8_784, 8_784),
        ("other_us-cal-ciso_electricity_prices_2023.csv", {}, 8_784, 8_784),
        ("other_us-cal-ciso_electricity_prices_2024.csv", {}, 8_808, 8_808),
        (
            "other_de-lu_electricity_prices_2023.csv",
            {"timezone": "Europe/Berlin", "usd_per_eur": 1.08},
            8_760,
            8_760,
        ),
    ],
)
def test_files_that_fit_are_read_whole(
    shared_data: Path, name: str, parameters: dict[str, object], real_time: int, day_ahead: int
) -> None:
    file = read_price_file(shared_data / "prices" / name, **parameters)  # type: ignore[arg-type]  # per row above
    book = PriceBook.of(file.prices)
    assert (len(book.real_time), len(book.day_ahead)) == (real_time, day_ahead)
    for prices in (book.real_time, book.day_ahead):
        assert all(later.start == earlier.end for earlier, later in itertools.pairwise(prices))


@pytest.mark.parametrize(
    ("name", "line", "hole"),
    [
        ("ercot_hb_south_2024h2_15min.csv", 14_886, "from 2024-11-03T06:00:00Z to 2024-11-03T07:00:00Z"),
        ("other_de-lu_electricity_prices_2022.csv", 5_882, "from 2022-09-02T22:00:00Z to 2022-09-03T22:00:00Z"),
        ("other_de-lu_electricity_prices_2024.csv", 722, "from 2024-01-30T23:00:00Z to 2024-01-31T23:00:00Z"),
    ],
)
def test_files_with_a_hole_are_refused_with_its_place(shared_data: Path, name: str, line: int, hole: str) -> None:
    with pytest.raises(PriceFileError) as caught:
        read_price_file(shared_data / "prices" / name, timezone="Europe/Berlin", usd_per_eur=1.08)
    (fault,) = caught.value.faults
    assert fault.line == line
    assert hole in fault.problem


@pytest.mark.parametrize(
    "name",
    [
        "epf_forecasts_de_2016_2017.csv",
        "ercot_2023-09-06_08_real_time.csv",
        "ercot_hourly_ancillary_2024_hb_west.csv",
    ],
)
def test_files_of_other_layouts_are_refused_by_their_header(shared_data: Path, name: str) -> None:
    with pytest.raises(PriceFileError, match="is not the header of a price file"):
        read_price_file(shared_data / "prices" / name)


def test_overlapping_years_can_be_joined_in_one_file(shared_data: Path, tmp_path: Path) -> None:
    years = [
        (shared_data / "prices" / f"other_us-cal-ciso_electricity_prices_{year}.csv").read_text()
        for year in (2022, 2023)
    ]
    joined = tmp_path / "joined.csv"
    joined.write_text(years[0] + years[1].split("\n", 1)[1])
    file = read_price_file(joined)
    assert file.span(Market.REAL_TIME) == (
        datetime(2021, 12, 31, 8, tzinfo=UTC),
        datetime(2024, 1, 1, 8, tzinfo=UTC),
    )


def test_the_hub_report_agrees_with_our_own_layout(shared_data: Path) -> None:
    report = read_price_file(shared_data / "prices" / "ercot_report_june_2024.csv", point="HB_SOUTH")
    with (shared_data / "prices" / "ercot_hb_south_2024h2_15min.csv").open() as file:
        own = {
            datetime.fromisoformat(row["interval_start_utc"]): float(row["real_time_usd_per_mwh"])
            for row in csv.DictReader(file)
        }
    assert all(own[price.start] == price.usd_per_mwh for price in report.prices)


def test_the_example_day_is_the_real_one(shared_data: Path, examples: Path) -> None:
    file = read_price_file(examples / "ercot-2023-09-06.csv")
    book = PriceBook.of(file.prices)
    with (shared_data / "prices" / "ercot_2023-09-06_08_real_time.csv").open() as source:
        real = [
            (datetime.fromisoformat(row["interval_start_ct"]).astimezone(UTC), float(row["LZ_WEST"]))
            for row in csv.DictReader(source)
            if row["interval_start_ct"].startswith("2023-09-06")
        ]
    assert [(price.start, price.usd_per_mwh) for price in book.real_time] == real
    assert len(real) == 96
    ahead = read_price_file(shared_data / "prices" / "ercot_2023-09-06_08_day_ahead.csv").prices
    hours = {price.start: price.usd_per_mwh for price in ahead}
    assert [price.usd_per_mwh for price in book.day_ahead] == [hours[p.start.replace(minute=0)] for p in book.day_ahead]
    assert file.span(Market.DAY_AHEAD) == file.span(Market.REAL_TIME)


async def test_the_example_temperature_and_hashprice_are_the_real_ones(shared_data: Path, examples: Path) -> None:
    ours = read_temperature_file(examples / "dallas-2023-09-06-weather.csv")
    real = read_temperature_file(shared_data / "weather" / "dallas_2023_hourly.csv", "America/Chicago")
    start = datetime(2023, 9, 6, 5, tzinfo=UTC)
    assert ours.span == (start, start + 23 * HOUR)
    for hour in range(24):
        assert await ours.read(start + hour * HOUR) == await real.read(start + hour * HOUR)
    hashprice = read_hashprice_file(examples / "hashprice-2023-09.csv")
    published = read_hashprice_file(shared_data / "bitcoin" / "hashprice_daily_2023-05_2025-03.csv")
    assert hashprice.span == (datetime(2023, 9, 1, tzinfo=UTC), datetime(2023, 9, 10, tzinfo=UTC))
    for day in range(1, 11):
        noon = datetime(2023, 9, day, 12, tzinfo=UTC)
        assert await hashprice.read(noon) == await published.read(noon)


async def test_real_series_files_are_read(shared_data: Path) -> None:
    hashprice = read_hashprice_file(shared_data / "bitcoin" / "hashprice_daily_2023-05_2025-03.csv")
    halving = await hashprice.read(datetime(2024, 4, 20, 12, tzinfo=UTC))
    assert halving.value == 179.336
    fees_unknown = await hashprice.read(datetime(2024, 4, 28, 12, tzinfo=UTC))
    assert fees_unknown.value == 45.037
    for year in (2023, 2024):
        series = read_temperature_file(shared_data / "weather" / f"dallas_{year}_hourly.csv", "America/Chicago")
        assert series.span == (datetime(year, 1, 1, 6, tzinfo=UTC), datetime(year + 1, 1, 1, 5, tzinfo=UTC))
