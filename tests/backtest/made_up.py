"""Markets, rows and results by hand: what an engine would find, without one."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from orchestrator.backtest.jobs.submitted import SubmittedJobs, withdrawn_at
from orchestrator.backtest.records.batch import NONE, JobEnd, Kind, RowBatch
from orchestrator.backtest.result import (
    BacktestResult,
    MarketSeries,
    PlannerFacts,
    Source,
    StrategyResult,
    StrategySeries,
)
from orchestrator.backtest.tally import Tally
from orchestrator.domain.site.site import Site

STEP = timedelta(minutes=15)
LEVELS = ["all asleep", "8 normal, 2 eco", "10 turbo"]


def a_market(start: datetime, count: int, seed: int = 7) -> MarketSeries:
    """Prices that swing by day, with two spikes; the first was settled lower than it was published."""
    chance = np.random.default_rng(seed)
    hour = np.arange(count) / 4.0
    settled = 35.0 + 20.0 * np.sin(hour / 24.0 * 2.0 * np.pi) + chance.normal(0.0, 8.0, count)
    settled[count // 2 : count // 2 + 6] = 1800.0
    settled[count * 5 // 6 : count * 5 // 6 + 4] = 900.0
    settled[count // 4] = -12.5
    decided = settled.copy()
    decided[count // 2] = 5000.0
    return MarketSeries(
        start_s=int(start.timestamp()) + 900 * np.arange(count),
        step=STEP,
        decided_usd_per_mwh=decided,
        settled_usd_per_mwh=settled,
        pue=1.05 + 0.03 * np.sin(hour / 24.0 * 2.0 * np.pi),
        hashprice_usd_per_ph_day=np.full(count, 52.0),
    )


def made_up_jobs(site: Site, market: MarketSeries) -> SubmittedJobs:
    """As many as `made_up_batches` may need: tenants in turn, due a day later or, of the third, never."""
    number = np.arange(len(market))
    tenant = number % len(site.tenants)
    submitted_at = market.start_s.astype(np.float64) - 30.0
    deadline = np.where(tenant == 2, np.inf, submitted_at + 86_400.0)
    return SubmittedJobs(
        pool=number % len(site.pools),
        tenant=tenant,
        sla=np.array([of.sla.number for of in site.tenants], dtype=np.int64)[tenant],
        gpus=np.full(len(market), 8),
        work_gpu_seconds=(7200 * (1 + number % 30)).astype(np.float64),
        submitted_at=submitted_at,
        deadline=deadline,
        until=withdrawn_at(submitted_at, deadline),
        restart_s=np.zeros(len(market)),
        checkpoint_every_s=np.full(len(market), 1800.0),
    )


def made_up_batches(site: Site, market: MarketSeries, stop_above: float, seed: int = 11) -> Iterator[RowBatch]:
    """A batch for each interval, of some of `made_up_jobs`. Each has its outcome by the end."""
    chance = np.random.default_rng(seed)
    running: dict[int, int] = {}
    jobs = 0
    for interval in range(len(market)):
        price = market.settled_usd_per_mwh[interval]
        if chance.random() < 0.5:
            running[jobs] = int(chance.integers(1, 30))
            jobs += 1
        ends = [job for job, left in running.items() if left == 0]
        last = interval == len(market) - 1
        rows = [
            _row(site, market, interval, Kind.FLEET, row, asleep=price > stop_above, chance=chance)
            for row in range(len(site.fleets))
        ]
        rows += [
            _row(site, market, interval, Kind.POOL, row, asleep=False, chance=chance) for row in range(len(site.pools))
        ]
        for job in running:
            ended = job in ends
            outcome = int(chance.choice(4, p=(0.8, 0.1, 0.05, 0.05))) if ended else JobEnd.OPEN if last else NONE
            rows.append(_row(site, market, interval, Kind.JOB, job, asleep=False, chance=chance, outcome=int(outcome)))
        running = {job: left - 1 for job, left in running.items() if job not in ends}
        columns = (np.array(column) for column in zip(*rows, strict=True))
        yield RowBatch(*columns)


def _row(
    site: Site,
    market: MarketSeries,
    interval: int,
    kind: Kind,
    subject: int,
    *,
    asleep: bool,
    chance: np.random.Generator,
    outcome: int = NONE,
) -> tuple[float, ...]:
    """In the order of RowBatch."""
    nothing = float("nan")
    it_kw, hash_ph_days, gpus, gpu_hours = float(chance.uniform(300.0, 900.0)), nothing, nothing, nothing
    revenue_usd, level, tenant = 0.0, NONE, NONE
    if kind is Kind.FLEET:
        level = 0 if asleep else int(chance.integers(1, 3))
        it_kw = 100.0 if asleep else 20_000.0 + it_kw
        hash_ph_days = 0.0 if asleep else it_kw / 20.0 / 96.0
        revenue_usd = hash_ph_days * market.hashprice_usd_per_ph_day[interval]
    elif kind is Kind.JOB:
        tenant = subject % len(site.tenants)
        gpus, it_kw = 8.0, 8 * 0.63
        gpu_hours = gpus * market.step_h
        revenue_usd = gpu_hours * site.tenants[tenant].usd_per_gpu_h
    else:
        gpus = 64.0
    energy_mwh = it_kw * market.pue[interval] * market.step_h / 1000.0
    return (
        interval,
        int(kind),
        subject,
        tenant,
        level,
        gpus,
        it_kw,
        hash_ph_days,
        gpu_hours,
        revenue_usd,
        energy_mwh * market.settled_usd_per_mwh[interval],
        1.25 if outcome == JobEnd.LATE else 0.0,
        int(chance.integers(0, 3)) if kind is not Kind.POOL else 0,
        int(chance.random() < 0.02) if kind is Kind.JOB else 0,
        outcome,
    )


def a_strategy(name: str, tally: Tally) -> StrategyResult:
    return StrategyResult(
        name=name,
        series=tally.series(),
        starts=tally.starts(),
        job_starts=tally.job_starts(),
        outcomes=tally.outcomes(),
        seconds_above_cap=0.0,
        highest_grid_kw=float(tally.series().grid_kw.max()),
        planner=PlannerFacts(plans=480, late_plans=1, mean_gap=0.0112, worst_age_s=1800.0, mean_ms=41.5, p99_ms=97.25)
        if name == "plan"
        else None,
        seconds=12.5,
        peak_mb=140.0,
        assumptions=("knows all prices of the next 24 h",) if name == "perfect-prices" else (),
    )


def a_result(site: Site, market: MarketSeries, strategies: Sequence[StrategyResult]) -> BacktestResult:
    best = max((float(strategy.series.profit_usd.sum()) for strategy in strategies), default=0.0)
    return BacktestResult(
        site=site,
        start=datetime.fromtimestamp(int(market.start_s[0]), UTC),
        end=datetime.fromtimestamp(int(market.start_s[-1]), UTC) + market.step,
        market=market,
        strategies=tuple(strategies),
        bound_usd=best * 1.02 if best > 0 else best,
        prices=(Source("prices.csv", "real-time, 15 min", "ab" * 32),),
        hashprice=Source("52 USD per PH/s per day"),
        weather=Source("weather.csv"),
        trace=Source("jobs.csv", "jobs scaled to the site's GPUs by 0.25"),
        seed=7,
        warnings=("prices.csv: 4 intervals of 2024-03-10 were missing; the interval before holds",),
        assumptions=(
            "Devices are simulated and time is virtual; prices, temperatures and hashprice are the real ones.",
        ),
        versions={"wattshift": "0.4.0", "python": "3.11.9"},
        seconds=80.25,
        peak_mb=310.0,
        command="wattshift backtest --site site.yaml --prices prices.csv",
    )


def with_series(strategy: StrategyResult, **columns: Any) -> StrategyResult:
    """The same strategy with other columns in its series."""
    series: StrategySeries = replace(strategy.series, **columns)
    return replace(strategy, series=series)
