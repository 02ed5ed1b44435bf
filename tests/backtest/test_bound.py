"""The bound of a backtest: no strategy earns more, whatever the market and the jobs."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from orchestrator.backtest.clairvoyant import bound_of
from orchestrator.backtest.market import Basis, MarketHistory
from orchestrator.backtest.play import Period, play
from orchestrator.backtest.strategies import named
from tests.backtest.test_engine import START, workload
from tests.planning.conftest import small_site

QUARTER = timedelta(minutes=15)


def history(prices: list[float]) -> MarketHistory:
    values = np.array(prices)
    count = len(prices)
    return MarketHistory(
        start=START,
        step=QUARTER,
        begin=0,
        end=count,
        price_usd_per_mwh=values,
        final_usd_per_mwh=values,
        basis=np.full(count, Basis.REAL_TIME, dtype=np.int8),
        real_time_usd_per_mwh=values,
        day_ahead_usd_per_mwh=np.full(count, np.nan),
        hashprice_usd_per_ph_day=np.full(count, 60.0),
        hashprice_known_usd_per_ph_day=np.full(count, 60.0),
        outdoor_c=np.full(count, 20.0),
        gaps=(),
        notes=(),
    )


@given(
    prices=st.lists(st.floats(-200, 3000), min_size=8, max_size=24),
    count=st.integers(0, 25),
    seed=st.integers(0, 1000),
    limit_kw=st.floats(1000, 4500),
)
@examples(max_examples=25)
def test_no_strategy_earns_more_than_the_bound(prices: list[float], count: int, seed: int, limit_kw: float) -> None:
    site = small_site()
    site = replace(site, grid=replace(site.grid, limit_kw=limit_kw))
    period = Period(site, history(prices), workload(site, count, seed, len(prices)), seed, {})
    bound = bound_of(period)
    for strategy in named("always-on,threshold=80,greedy,plan,perfect-prices"):
        result = play(period, strategy, None)
        assert result.series.profit_usd.sum() <= bound.usd + 1e-6 * max(abs(bound.usd), 1.0)
        assert result.seconds_above_cap == 0.0


def test_knowing_prices_helps_where_they_go_to_and_fro() -> None:
    site = small_site()
    prices = [40.0, 40.0, 250.0, 40.0] * 24
    period = Period(site, history(prices), workload(site, 0), 1, {})
    profits = {
        strategy.name: float(play(period, strategy, None).series.profit_usd.sum())
        for strategy in named("always-on,greedy,perfect-prices")
    }
    assert profits["perfect-prices"] > profits["greedy"] > profits["always-on"]
    assert datetime.fromtimestamp(period.market.start_s[0], UTC) == START
