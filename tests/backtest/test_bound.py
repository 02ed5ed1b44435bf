"""The bound of a backtest: no strategy earns more, whatever the market and the jobs."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from orchestrator.backtest.clairvoyant import bound_of
from orchestrator.backtest.market import Basis, MarketHistory
from orchestrator.backtest.play import Period, play
from orchestrator.backtest.strategies import named
from orchestrator.domain.sla import SlaClass
from tests.backtest.test_engine import START, workload
from tests.sites import small_site

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


def test_it_says_what_it_keeps_to_and_more_can_be_earned_with_exact_meters() -> None:
    earned, bounds = {}, {}
    for uncertainty in (0.25, 0.0):
        site = small_site()
        site = replace(site, grid=replace(site.grid, limit_kw=2000.0, measurement_uncertainty=uncertainty))
        period = Period(site, history([30.0] * 8), workload(site, 0), 1, {})
        bounds[uncertainty] = bound_of(period)
        earned[uncertainty] = float(play(period, named("greedy")[0], None).series.profit_usd.sum())
    assert earned[0.0] > bounds[0.25].usd > earned[0.25]
    assert "keeps to the site's limits less 25 % for the uncertainty of its meters" in bounds[0.25].note
    assert "keeps to the site's limits in full: its meters are taken to be exact" in bounds[0.0].note
    assert all("only the margins for new starts and for planning are left out" in of.note for of in bounds.values())


def test_it_need_not_do_promised_work_that_costs_more_than_it_pays() -> None:
    """A strategy does it, and how much it cost is told."""
    site = small_site()
    jobs = workload(site, 20, 3, 8)
    jobs = jobs.at(jobs.sla == SlaClass.GUARANTEED.number)
    dear = history([9000.0] * 12)
    period, idle = Period(site, dear, jobs, 3, {}), Period(site, dear, workload(site, 0), 3, {})
    assert bound_of(period).usd == pytest.approx(bound_of(idle).usd, rel=1e-6)
    greedy = play(period, named("greedy")[0], None)
    without = play(idle, named("greedy")[0], None).series
    lost = sum(outcome.unpaid_power_usd for outcome in greedy.outcomes)
    assert lost > 0.0
    assert without.profit_usd.sum() - greedy.series.profit_usd.sum() == pytest.approx(lost)
    assert "It need not start any job, promised or not; one that it misses costs it the credit" in bound_of(period).note


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
