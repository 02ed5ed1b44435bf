"""Forecasts: nothing later is looked at, day-ahead prices count when published, clocks change, prices go negative."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.adapters.prices.file import read_price_file
from orchestrator.domain.market import BEHIND, Market, Price, PriceBook
from orchestrator.forecast.forecast import BesidePrices, knowing_prices, live_outlook, outlook_at
from orchestrator.forecast.outlook import Outlook
from orchestrator.forecast.price_history import Floats, Track, price_track
from orchestrator.forecast.price_model import PATHS, PriceModel, fit_model, prices_ahead
from orchestrator.forecast.skill import forecast_skill, pinball_loss

QUARTER = timedelta(minutes=15)
A_DAY = 96
CHICAGO = ZoneInfo("America/Chicago")
START = datetime(2024, 2, 1, 6, tzinfo=UTC)
"""Midnight in Chicago, 38 days before clocks change."""
NONE: Floats = np.full(0, np.nan)


def made_up(days: int, seed: int = 1) -> tuple[Floats, Floats, Floats]:
    """Real-time and day-ahead prices and temperatures with noise, a day's shape and spikes."""
    random = np.random.default_rng(seed)
    rows = days * A_DAY
    shape = 30.0 + 20.0 * np.sin(np.arange(rows) * 2.0 * np.pi / A_DAY)
    day_ahead = shape + np.repeat(random.normal(0.0, 8.0, rows // 4), 4)
    real_time = day_ahead + random.normal(0.0, 6.0, rows) + 300.0 * (random.random(rows) < 0.01)
    return real_time, day_ahead, 20.0 + 8.0 * np.sin(np.arange(rows) * 2.0 * np.pi / A_DAY) + random.normal(0, 1, rows)


def track_of(real_time: Floats, day_ahead: Floats, outdoor_c: Floats | None = None) -> Track:
    return price_track(START, QUARTER, real_time, day_ahead, CHICAGO, outdoor_c=outdoor_c)


def seen_from(track: Track, row: int, outdoor_c: float = 20.0) -> Outlook:
    return outlook_at(
        track,
        fit_model(track),
        row,
        A_DAY,
        BesidePrices(50.0, outdoor_c, 60.0),
    )


def test_a_forecast_does_not_change_with_what_is_published_later() -> None:
    real_time, day_ahead, outdoor_c = made_up(45)
    known = track_of(real_time, day_ahead, outdoor_c)
    random = np.random.default_rng(2)
    for row in (0, 1, 700, 40 * A_DAY, 38 * A_DAY + 10, 39 * A_DAY + 55, 44 * A_DAY + 95):
        later_real_time, later_day_ahead, later_c = real_time.copy(), day_ahead.copy(), outdoor_c.copy()
        later_real_time[row + 1 :] = random.normal(500.0, 400.0, len(real_time) - row - 1)
        unpublished = known.known_from[: len(day_ahead)] > row
        later_day_ahead[unpublished] = random.normal(-200.0, 90.0, int(unpublished.sum()))
        later_c[row + 1 :] = 55.0
        changed = track_of(later_real_time, later_day_ahead, later_c)
        before, after = seen_from(known, row), seen_from(changed, row)
        np.testing.assert_array_equal(before.price_usd_per_mwh, after.price_usd_per_mwh)
        np.testing.assert_array_equal(before.outdoor_c, after.outdoor_c)
        for probability, values in before.price_quantiles.items():
            np.testing.assert_array_equal(values, after.price_quantiles[probability])


def test_a_days_day_ahead_prices_are_known_from_half_past_one_of_the_day_before() -> None:
    day_ahead = np.repeat([10.0, 20.0, 30.0, 40.0], A_DAY)
    track = track_of(np.full(4 * A_DAY, np.nan), day_ahead)
    one_day_and = A_DAY + 13 * 4  # 13:00 local time of the second day
    assert track.known_from[2 * A_DAY] == one_day_and + 2
    # At 13:15 the third day's are not out: the profile (10 and 20 so far) stands in. At 13:30 they are.
    assert prices_ahead(track, fit_model(track), one_day_and + 1, A_DAY)[-1] == 15.0
    assert prices_ahead(track, fit_model(track), one_day_and + 2, A_DAY)[-1] == 30.0


def test_an_error_now_decays_to_the_day_ahead_price() -> None:
    day_ahead = np.full(2 * A_DAY, 30.0)
    real_time = np.full(2 * A_DAY, np.nan)
    real_time[:50] = 30.0
    real_time[49] = 110.0
    prices = prices_ahead(track_of(real_time, day_ahead), fit_model(track_of(real_time, day_ahead)), 49, A_DAY)
    assert prices[0] == 110.0
    assert prices[4] == pytest.approx(70.0)  # one half-life, an hour, until more was seen
    assert prices[40] == pytest.approx(30.0, abs=0.5)


def test_the_usual_premium_of_the_day_ahead_market_is_half_taken_off() -> None:
    day_ahead = np.full(32 * A_DAY, 40.0)
    track = track_of(day_ahead - 6.0, day_ahead)
    decay = np.zeros((1, 2 * A_DAY))
    model = PriceModel(decay=decay, yesterday_share=np.zeros(1), spread=np.zeros((1, 5, 2 * A_DAY)))
    assert prices_ahead(track, model, 30 * A_DAY, 40).tolist() == [34.0, *[37.0] * 39]


@pytest.mark.parametrize("clocks_change", [datetime(2024, 3, 10, 8, tzinfo=UTC), datetime(2024, 11, 3, 7, tzinfo=UTC)])
def test_the_profile_goes_by_local_time_when_clocks_change(clocks_change: datetime) -> None:
    start = clocks_change - timedelta(days=12, hours=3)
    local = [(start + row * QUARTER).astimezone(CHICAGO) for row in range(16 * A_DAY)]
    by_clock = np.array([at.hour * 4.0 + at.minute / 15.0 for at in local])
    track = price_track(start, QUARTER, by_clock, np.full(len(by_clock), np.nan), CHICAGO)
    model = fit_model(track)
    change = (clocks_change - start) // QUARTER
    for row in range(change - 100, change + 120):
        if track.profile[row] != by_clock[row]:
            continue  # the hour that clocks repeat or leave out has no like the day before, and so an error now
        told = prices_ahead(track, model, row, A_DAY)
        truth = by_clock[row : row + A_DAY]
        assert (np.abs(told - truth) < 1e-9).sum() >= A_DAY - 4, row


def test_gaps_are_bridged_and_where_nothing_is_known_the_fallback_stands() -> None:
    real_time, day_ahead, _ = made_up(40)
    real_time[20 * A_DAY : 21 * A_DAY + 30] = np.nan
    day_ahead[20 * A_DAY : 22 * A_DAY] = np.nan
    for row in (0, 20 * A_DAY - 5, 20 * A_DAY + 50, 21 * A_DAY):
        assert np.isfinite(seen_from(track_of(real_time, day_ahead), row).price_usd_per_mwh).all()
    nothing = track_of(np.full(200, np.nan), np.full(200, np.nan))
    outlook = seen_from(nothing, 100)
    assert (outlook.price_usd_per_mwh == 60.0).all()
    assert outlook.price_quantiles[0.9][20] > 60.0 > outlook.price_quantiles[0.1][20]


@settings(max_examples=15)
@given(shift=st.floats(-400.0, 100.0), seed=st.integers(0, 5), row=st.integers(0, 38 * A_DAY))
def test_negative_prices_are_prices_like_others(shift: float, seed: int, row: int) -> None:
    real_time, day_ahead, _ = made_up(40, seed)
    track, shifted = track_of(real_time, day_ahead), track_of(real_time + shift, day_ahead + shift)
    model = fit_model(track)
    told, moved = prices_ahead(track, model, row, A_DAY), prices_ahead(shifted, model, row, A_DAY)
    np.testing.assert_allclose(moved, told + shift, atol=1e-6)


def test_quantiles_cover_what_they_say() -> None:
    real_time, day_ahead, _ = made_up(120)
    skill = forecast_skill(track_of(real_time, day_ahead), fit_model(track_of(real_time, day_ahead)), 120 * A_DAY, (4,))
    coverage = skill["ours"].coverage
    assert coverage is not None
    assert coverage[0.1][0] == pytest.approx(0.1, abs=0.03)
    assert coverage[0.9][0] == pytest.approx(0.9, abs=0.03)


def test_one_who_knows_prices_is_certain_of_them_as_far_as_they_go() -> None:
    real_time, day_ahead, _ = made_up(40)
    track = track_of(real_time, day_ahead)
    row = len(real_time) - 50
    perfect = knowing_prices(seen_from(track, row), track.real_time[row : row + A_DAY])
    np.testing.assert_array_equal(perfect.price_usd_per_mwh[:50], real_time[row:])
    np.testing.assert_array_equal(perfect.price_quantiles[0.9][:50], real_time[row:])
    np.testing.assert_array_equal(perfect.price_usd_per_mwh[50:], seen_from(track, row).price_usd_per_mwh[50:])


def test_the_temperature_goes_over_into_yesterdays() -> None:
    outdoor_c = np.tile(np.linspace(10.0, 30.0, A_DAY), 3)
    track = track_of(np.full(3 * A_DAY, 20.0), np.full(3 * A_DAY, np.nan), outdoor_c)
    row = 2 * A_DAY + 10
    told = seen_from(track, row, outdoor_c=float(outdoor_c[row]) + 4.0).outdoor_c
    assert told[0] == pytest.approx(outdoor_c[row] + 4.0)
    assert told[48] == pytest.approx(outdoor_c[row - A_DAY + 48] + 2.0)  # 12 h: half of the difference
    first = seen_from(track, 10, outdoor_c=25.0).outdoor_c
    assert (first == 25.0).all()  # no day before


def test_no_forecast_goes_beyond_two_days() -> None:
    track = track_of(np.full(A_DAY, 20.0), np.full(A_DAY, np.nan))
    with pytest.raises(ValueError, match="as far as forecasts go"):
        outlook_at(
            track,
            fit_model(track),
            5,
            193,
            BesidePrices(50.0, 20.0, 60.0),
        )


def test_a_live_book_gives_the_same_prices_as_the_history_it_is_of() -> None:
    real_time, day_ahead, _ = made_up(34)
    track = track_of(real_time, day_ahead)
    row = 30 * A_DAY + 40
    now = START + row * QUARTER + timedelta(minutes=4)
    first = row - BEHIND // QUARTER
    book = PriceBook.of(
        [
            Price(START + at * QUARTER, START + (at + 1) * QUARTER, value, market)
            for market, values in ((Market.REAL_TIME, real_time), (Market.DAY_AHEAD, day_ahead))
            for at, value in enumerate(values.tolist())
            if at >= first and (track.known_from[at] <= row if market is Market.DAY_AHEAD else at <= row + 20)
        ]
    )
    outlook = live_outlook(
        book,
        now,
        CHICAGO,
        step=QUARTER,
        steps=A_DAY,
        beside=BesidePrices(51.0, 20.0, 60.0),
    )
    assert outlook.start == START + row * QUARTER
    assert outlook.price_usd_per_mwh[0] == real_time[row]
    # Far ahead in the published day the error now is gone: the day-ahead price, less half of its usual premium.
    gap = outlook.price_usd_per_mwh[30:50] - day_ahead[row + 30 : row + 50]
    assert np.abs(gap).max() < 12.0
    assert (outlook.hashprice_usd_per_ph_day == 51.0).all()
    paths, of_history = outlook.paths_usd_per_mwh, seen_from(track, row).paths_usd_per_mwh
    assert paths is not None
    assert of_history is not None
    assert len(paths) == len(of_history) == PATHS
    assert float(np.median(np.abs(paths - of_history))) < 2.0


@pytest.mark.parametrize("step", [timedelta(minutes=5), timedelta(minutes=15), timedelta(minutes=30)])
def test_a_live_outlook_is_on_any_grid(step: timedelta) -> None:
    now = START + timedelta(days=3, minutes=7)
    book = PriceBook.of(
        Price(START + at * QUARTER, START + (at + 1) * QUARTER, 40.0 + at % 4, Market.REAL_TIME) for at in range(289)
    )
    outlook = live_outlook(
        book,
        now,
        CHICAGO,
        step=step,
        steps=timedelta(days=1) // step,
        beside=BesidePrices(51.0, 20.0, 60.0),
        outdoor_past=[(now - timedelta(hours=hours), 15.0) for hours in range(72, 0, -1)],
    )
    assert outlook.start <= now < outlook.start + step
    assert outlook.price_usd_per_mwh[0] == 40.0
    assert ((outlook.price_usd_per_mwh >= 39.9) & (outlook.price_usd_per_mwh <= 43.1)).all()
    assert outlook.outdoor_c[0] == 20.0
    assert 15.0 < outlook.outdoor_c[-1] < 17.5


def test_pinball_loss_is_least_at_the_quantile() -> None:
    truth = np.arange(101.0)
    losses = [pinball_loss(truth, np.full(101, guess), 0.9).mean() for guess in (80.0, 90.0, 99.0)]
    assert losses[1] == min(losses)
    assert pinball_loss(np.array([10.0]), np.array([4.0]), 0.5)[0] == 3.0


def test_on_real_prices_ours_beats_the_naive_ones(shared_data: Path) -> None:
    file = read_price_file(shared_data / "prices" / "ercot_hubavg_2024_15min.csv")
    book = PriceBook.of(file.prices)
    rows = 150 * A_DAY
    real_time = np.array([price.usd_per_mwh for price in book.real_time[:rows]])
    day_ahead = np.array([price.usd_per_mwh for price in book.day_ahead[:rows]])
    track = price_track(book.real_time[0].start, QUARTER, real_time, day_ahead, CHICAGO)
    skill = forecast_skill(track, fit_model(track), rows, (1, 4, 12, 24))
    for name in ("yesterday", "day-ahead"):
        assert (skill["ours"].mae < skill[name].mae).all(), name
    assert (skill["ours"].mae[1:] < skill["persistence"].mae[1:]).all()


@pytest.fixture
def shared_data() -> Path:
    folder = Path(__file__).resolve().parents[3] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the folder of real data, ../shared/data beside the project, is not here")
    return folder


def test_after_an_hour_that_was_dear_yesterday_and_is_not_today_no_price_below_any_seen_is_expected() -> None:
    """Without day-ahead prices: 3,000 USD/MWh from 12:00 to 13:00 yesterday, 25 to 30 else; it is 12:15 now."""
    real_time = np.tile(np.linspace(25.0, 30.0, A_DAY), 2)
    real_time[12 * 4 : 13 * 4] = 3000.0
    row = A_DAY + 12 * 4 + 1
    real_time[row + 1 :] = np.nan
    track = track_of(real_time, np.full(2 * A_DAY, np.nan))
    ahead = prices_ahead(track, fit_model(track), row, A_DAY)
    assert ahead.min() >= 25.0
    assert ahead[3:].max() <= 3000.0
