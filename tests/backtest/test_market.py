"""The market of a backtest: first and final prices, gaps by the stale policy, several files at once."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from orchestrator.adapters.series.csv_series import CsvSeries
from orchestrator.backtest.market import Basis, FilePriced, MarketError, MarketHistory, market_history
from orchestrator.backtest.series import Series
from orchestrator.domain.market import Market, Price, PriceBook, PricePolicy, current_price

START = datetime(2024, 5, 1, tzinfo=UTC)
QUARTER, HOUR, DAY = timedelta(minutes=15), timedelta(hours=1), timedelta(days=1)
POLICY = PricePolicy(max_age=QUARTER, fallback_usd_per_mwh=60.0)


def series(*points: tuple[timedelta, float], max_age: timedelta = 2 * DAY, assumed: float = 55.0) -> Series:
    return Series(
        at=np.array([(START + at).timestamp() for at, _ in points]),
        values=np.array([value for _, value in points]),
        max_age_s=max_age.total_seconds(),
        assumed=assumed,
    )


CONSTANT = Series(np.array([0.0]), np.array([20.0]), np.inf, 20.0)


def prices(
    values: Sequence[float | None],
    market: Market = Market.REAL_TIME,
    length: timedelta = QUARTER,
    start: datetime = START,
) -> list[Price]:
    return [
        Price(start + row * length, start + (row + 1) * length, value, market)
        for row, value in enumerate(values)
        if value is not None
    ]


def history(*files: FilePriced, start: datetime | None = None, end: datetime | None = None) -> MarketHistory:
    return market_history(files, POLICY, CONSTANT, CONSTANT, start=start, end=end)


def test_one_decides_on_the_first_file_and_settles_on_the_last() -> None:
    made = history(
        FilePriced("first.csv", prices([20.0, 900.0, 30.0])), FilePriced("corrected.csv", prices([20.0, 45.0, 30.0]))
    )
    assert made.price_usd_per_mwh.tolist() == [20.0, 900.0, 30.0]
    assert made.final_usd_per_mwh.tolist() == [20.0, 45.0, 30.0]
    assert made.notes == (
        "1 real-time prices of the period were corrected, by 855.00 USD/MWh on average: corrected.csv, given after it, "
        "has another price; decided on the first, settled on the last",
    )


def test_one_file_may_carry_first_and_final_prices() -> None:
    final = prices([45.0], start=START + QUARTER)
    made = history(FilePriced("both.csv", prices([20.0, 900.0, 30.0]), final))
    assert made.price_usd_per_mwh.tolist() == [20.0, 900.0, 30.0]
    assert made.final_usd_per_mwh.tolist() == [20.0, 45.0, 30.0]


def test_files_that_overlap_and_follow_each_other_are_one_history() -> None:
    made = history(
        FilePriced("b.csv", prices([3.0, 4.0], start=START + 2 * QUARTER)),
        FilePriced("a.csv", prices([1.0, 2.0, 3.0])),
        FilePriced("day-ahead.csv", prices([7.0, 8.0], Market.DAY_AHEAD, HOUR)),
    )
    assert made.price_usd_per_mwh[made.begin : made.end].tolist() == [1.0, 2.0, 3.0, 4.0]
    assert made.day_ahead_usd_per_mwh.tolist() == [7.0] * 4 + [8.0] * 4
    assert made.notes == ()


def test_day_ahead_prices_alone_are_what_is_paid() -> None:
    made = history(FilePriced("day-ahead.csv", prices([7.0, -8.0], Market.DAY_AHEAD, HOUR)))
    assert made.step == QUARTER
    assert made.price_usd_per_mwh.tolist() == [7.0] * 4 + [-8.0] * 4
    assert set(made.basis) == {Basis.DAY_AHEAD}
    assert made.real_time_usd_per_mwh.tolist() == made.price_usd_per_mwh.tolist()  # to forecast from
    assert made.notes == ("no real-time prices in these files: energy is bought at the day-ahead price",)


def test_an_hourly_auction_is_paid_where_nothing_else_is_and_is_day_ahead_elsewhere() -> None:
    auction = [*prices([7.0, 8.0], Market.REAL_TIME, HOUR), *prices([7.0, 8.0], Market.DAY_AHEAD, HOUR)]
    alone = history(FilePriced("auction.csv", auction, auction=True))
    assert alone.price_usd_per_mwh.tolist() == [7.0] * 4 + [8.0] * 4
    beside = history(FilePriced("auction.csv", auction, auction=True), FilePriced("rt.csv", prices([1.0, 2.0, 3.0])))
    assert beside.price_usd_per_mwh[beside.begin : beside.end].tolist() == [1.0, 2.0, 3.0]
    assert beside.notes == ()


def test_five_minute_prices_set_the_grid() -> None:
    five = timedelta(minutes=5)
    made = history(
        FilePriced("quarters.csv", prices([10.0, 20.0])),
        FilePriced("fives.csv", prices([1.0, 2.0, 3.0], length=five, start=START + 2 * QUARTER)),
    )
    assert made.step == five
    assert made.price_usd_per_mwh.tolist() == [10.0] * 3 + [20.0] * 3 + [1.0, 2.0, 3.0]


def test_gaps_are_filled_as_the_live_controller_fills_them() -> None:
    real_time: list[float | None] = [20.0, 21.0, *[None] * 10, 30.0, None, 31.0]
    day_ahead = [5.0, 6.0, None, 8.0]
    made = history(
        FilePriced("rt.csv", prices(real_time)), FilePriced("da.csv", prices(list(day_ahead), Market.DAY_AHEAD, HOUR))
    )
    book = PriceBook.of([*prices(real_time), *prices(list(day_ahead), Market.DAY_AHEAD, HOUR)])
    for row in range(made.begin, made.end):
        live = current_price(
            PriceBook(tuple(price for price in book.real_time if price.start <= made.at(row)), book.day_ahead),
            made.at(row),
            POLICY,
        )
        assert made.price_usd_per_mwh[row] == made.final_usd_per_mwh[row] == live.usd_per_mwh
        assert {"real_time": 0, "real_time_held": 1, "day_ahead": 2, "fallback": 3}[live.basis] == made.basis[row]
    assert [(gap.start, gap.end, gap.rows) for gap in made.gaps] == [
        (START + 2 * QUARTER, START + 12 * QUARTER, (1, 5, 4)),
        (START + 13 * QUARTER, START + 14 * QUARTER, (1, 0, 0)),
    ]
    assert made.notes[0] == (
        "no real-time price from 2024-05-01T00:30:00Z to 2024-05-01T03:00:00Z: 0.25 h at the last price, held, "
        "1.25 h at the day-ahead price, 1 h at the fallback of 60 USD/MWh"
    )


def test_a_missing_day_between_files_is_told_and_never_free() -> None:
    made = history(
        FilePriced("a.csv", prices([20.0] * 96)), FilePriced("b.csv", prices([30.0] * 96, start=START + 2 * DAY))
    )
    assert (made.final_usd_per_mwh[97:192] == 60.0).all()
    assert made.gaps[0].rows == (1, 0, 95)
    assert "23.75 h at the fallback of 60 USD/MWh" in made.notes[0]


def test_the_period_is_as_asked_with_what_is_known_before_and_after() -> None:
    made = history(
        FilePriced("a.csv", prices([float(row) for row in range(960)])), start=START + DAY, end=START + 2 * DAY
    )
    assert (made.at(made.begin), made.at(made.end)) == (START + DAY, START + 2 * DAY)
    assert made.price_usd_per_mwh[made.begin] == 96.0
    assert made.begin == 96
    assert len(made) == 96 * 4  # two days after the period, for who knows all prices
    assert made.row(START + DAY + timedelta(minutes=20)) == made.begin + 1


def test_a_period_beyond_the_prices_is_cut_and_told_and_one_outside_is_refused() -> None:
    file = FilePriced("a.csv", prices([1.0] * 96))
    made = history(file, start=START - DAY, end=START + HOUR)
    assert made.at(made.begin) == START
    assert made.notes == ("prices go from 2024-05-01T00:00:00Z to 2024-05-02T00:00:00Z: the period is cut to them",)
    with pytest.raises(
        MarketError, match=r"a\.csv: no prices from 2025.*there are prices from 2024-05-01T00:00:00Z to"
    ):
        history(file, start=START + 366 * DAY)
    with pytest.raises(MarketError, match="has to end after it begins"):
        history(file, start=START + HOUR, end=START)
    with pytest.raises(MarketError, match="no prices"):
        history(FilePriced("empty.csv", []))


def test_hashprice_is_decided_on_as_of_the_day_before_and_assumed_beyond_its_file() -> None:
    made = market_history(
        [FilePriced("a.csv", prices([1.0] * 96 * 6))], POLICY, series((timedelta(0), 50.0), (DAY, 52.0)), CONSTANT
    )
    assert made.hashprice_usd_per_ph_day[[0, 95, 96, 3 * 96, 3 * 96 + 1, 500]].tolist() == [50, 50, 52, 52, 55, 55]
    assert made.hashprice_known_usd_per_ph_day[[0, 95, 96, 192, 500]].tolist() == [50, 50, 50, 52, 55]
    assert "55 USD per PH/s per day assumed" in made.notes[0]


async def test_temperature_is_as_the_live_series_and_stale_policy_give_it() -> None:
    points = [(timedelta(0), 10.0), (HOUR, 14.0), (5 * HOUR, 20.0)]
    made = market_history(
        [FilePriced("a.csv", prices([1.0] * 40))], POLICY, CONSTANT, series(*points, max_age=2 * HOUR, assumed=38.0)
    )
    live = CsvSeries([(START + at, value) for at, value in points], "degC", between=2 * HOUR)
    for row in (0, 2, 4, 5, 7):
        reading = await live.read(made.at(row))
        assert made.outdoor_c[row] == pytest.approx(reading.value)
    # Held at 14 from 01:00 on, from half of its greatest age on going over into what is assumed.
    assert made.outdoor_c[8] == pytest.approx(14.0)
    assert made.outdoor_c[10] == pytest.approx((14.0 + 38.0) / 2.0)
    assert made.outdoor_c[15] == 38.0
    assert "temperature: no value for" in made.notes[0]
