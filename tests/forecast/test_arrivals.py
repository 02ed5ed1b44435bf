"""Jobs yet to come, told from those that came."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from orchestrator.domain.site.site import Site
from orchestrator.forecast.arrivals import (
    ArrivalPattern,
    PastJobs,
    arrival_pattern,
    arrivals_ahead,
    arrivals_by_pool,
    patterns_by_pool,
)

START = datetime(2024, 5, 1, tzinfo=UTC)
STEP = timedelta(minutes=15)


def ahead(submitted_h: list[float], gpus: list[int], run_h: list[float], now_h: float, steps: int = 96) -> np.ndarray:
    now = START + timedelta(hours=now_h)
    pattern = pattern_of(submitted_h, gpus, run_h, now_h, steps)
    return arrivals_ahead(pattern, now, UTC, step=STEP, steps=steps)


def pattern_of(
    submitted_h: list[float], gpus: list[int], run_h: list[float], now_h: float, steps: int = 96
) -> ArrivalPattern:
    return arrival_pattern(
        np.array(submitted_h) * 3600.0 + START.timestamp(),
        np.array(gpus),
        np.array(run_h) * 3600.0,
        START + timedelta(hours=now_h),
        START,
        UTC,
        step=STEP,
        steps=steps,
    )


def test_a_steady_stream_asks_for_its_rate_times_how_long_jobs_run() -> None:
    # One job of 4 GPUs every half hour, each for 3 h: 8 GPUs an hour, so 24 at a time once three hours have passed.
    jobs = 14 * 48
    told = ahead([number / 2.0 for number in range(jobs)], [4] * jobs, [3.0] * jobs, now_h=14 * 24.0)
    assert told[3] == pytest.approx(8.0, rel=0.15)  # an hour's arrivals
    assert told[40:] == pytest.approx(24.0, rel=0.05)


def test_large_jobs_that_run_long_count_by_their_gpus() -> None:
    jobs = 10 * 24
    told = ahead(list(range(jobs)), [1, 9] * (jobs // 2), [1.0, 8.0] * (jobs // 2), now_h=240.0)
    assert told[-1] == pytest.approx(0.5 * 1 * 1 + 0.5 * 9 * 8, rel=0.1)


def test_jobs_that_come_by_day_are_expected_by_day() -> None:
    submitted = [day * 24.0 + hour for day in range(21) for hour in (9, 10, 11, 12)]
    told = ahead(submitted, [10] * len(submitted), [1.0] * len(submitted), now_h=21 * 24.0)
    assert told[9 * 4 : 13 * 4].mean() > 7.0
    assert told[20 * 4 :].max() == 0.0


def test_jobs_that_come_later_change_nothing() -> None:
    submitted = [float(hour) for hour in range(400)]
    gpus, run_h = [2] * 400, [2.0] * 400
    before = ahead(submitted, gpus, run_h, now_h=200.5)
    gpus[201:], run_h[201:] = [500] * 199, [90.0] * 199
    np.testing.assert_array_equal(before, ahead(submitted, gpus, run_h, now_h=200.5))


@pytest.mark.parametrize("now_h", [0.0, 5.0, 48.0])
def test_where_nothing_was_seen_nothing_is_expected(now_h: float) -> None:
    assert (ahead([100.0], [8], [2.0], now_h) == 0.0).all()


def test_old_jobs_are_forgotten() -> None:
    submitted = [float(hour) for hour in range(24 * 7)]
    told = ahead(submitted, [5] * len(submitted), [2.0] * len(submitted), now_h=24 * 40.0)
    assert (told == 0.0).all()


def test_each_pool_has_its_own_arrivals(site: Site) -> None:
    site = replace(site, pools=(site.pools[0], replace(site.pools[0], name="other")))
    at = START.timestamp() + 3600.0 * np.arange(240, dtype=np.float64)
    now = START + timedelta(hours=240)
    past = PastJobs(START, np.arange(240) % 2, at, np.full(240, 6), np.full(240, 7200.0))
    patterns = patterns_by_pool(site, past, now, step=STEP, steps=96)
    told = arrivals_by_pool(patterns, now, UTC, step=STEP, steps=96)
    assert list(told) == ["h100", "other"]
    assert told["h100"][50] + told["other"][50] == pytest.approx(12.0, rel=0.1)
