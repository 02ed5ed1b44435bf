"""Ways that prices may go: the errors that forecasts have had, from what is known alone."""

from datetime import UTC, datetime, timedelta

import numpy as np

from orchestrator.forecast.forecast import BesidePrices, outlook_at
from orchestrator.forecast.price_history import Track, price_track
from orchestrator.forecast.price_model import LEAST_PATHS, PATHS, fit_model

START = datetime(2024, 5, 1, tzinfo=UTC)
A_DAY = 96


def track(days: int, changed_from: int | None = None) -> Track:
    """Prices with a daily shape and noise; from a row on they are others."""
    rows = np.arange(days * A_DAY)
    prices = 40.0 + 20.0 * np.sin(rows / A_DAY * 2.0 * np.pi) + np.random.default_rng(1).normal(0.0, 10.0, len(rows))
    if changed_from is not None:
        prices[changed_from:] += 500.0
    return price_track(START, timedelta(minutes=15), prices, np.full(len(rows), np.nan), UTC)


def paths(of: Track, row: int) -> "np.ndarray[tuple[int, int], np.dtype[np.float64]] | None":
    outlook = outlook_at(
        of,
        fit_model(of),
        row,
        A_DAY,
        BesidePrices(60.0, 20.0, 50.0),
    )
    return outlook.paths_usd_per_mwh


def test_each_path_begins_at_the_price_now_and_varies_as_prices_do() -> None:
    of = track(30)
    found = paths(of, 20 * A_DAY)
    assert found is not None
    assert found.shape == (PATHS, A_DAY)
    assert np.allclose(found[:, 0], of.real_time[20 * A_DAY])
    assert 5.0 < found[:, 1:].std(axis=0).mean() < 25.0


def test_nothing_to_come_is_looked_at() -> None:
    row = 20 * A_DAY
    known, other = paths(track(30), row), paths(track(30, changed_from=row + 1), row)
    assert known is not None
    assert other is not None
    assert np.array_equal(known, other)


def test_with_few_days_behind_there_are_none() -> None:
    assert paths(track(30), (LEAST_PATHS - 1) * A_DAY) is None
    assert paths(track(30), (LEAST_PATHS + 8) * A_DAY) is not None
