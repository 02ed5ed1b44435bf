"""One strategy over the whole period, in a process of its own: what it came to, and its rows on record."""

import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from orchestrator.backtest.engine import Strategy, run
from orchestrator.backtest.jobs.submitted import SubmittedJobs
from orchestrator.backtest.market import MarketHistory
from orchestrator.backtest.planning import Planning
from orchestrator.backtest.records.batch import RowBatch
from orchestrator.backtest.records.parquet import RecordsWriter
from orchestrator.backtest.result import MarketSeries, PlannerFacts, StrategyResult
from orchestrator.backtest.strategies import Greedy, Named, Rule, Threshold, site_of
from orchestrator.backtest.tally import Tally
from orchestrator.domain.site.site import Site

ASSUMPTIONS = {
    Rule.ALWAYS_ON: "every fleet in its default mode, every job as soon as there are GPUs and power",
    Rule.THRESHOLD: "fleets in their default modes, asleep while power is dearer than the threshold; jobs always run",
    Rule.GREEDY: "the price now, taken to last as long as the site file says; no forecast",
    Rule.PLAN: "a plan for the next 24 h on forecasts alone, every 15 min and when jobs come or go, and the price now",
    Rule.PERFECT_PRICES: "as plan, but knowing the prices of the next 24 h; jobs yet to come stay unknown",
}


@dataclass(frozen=True, slots=True)
class Period:
    """What is the same for all strategies."""

    site: Site
    history: MarketHistory
    workload: SubmittedJobs
    seed: int
    versions: dict[str, str]

    @property
    def market(self) -> MarketSeries:
        return market_series(self.site, self.history)


def market_series(site: Site, history: MarketHistory) -> MarketSeries:
    """The rows of the period to replay."""
    rows = slice(history.begin, history.end)
    start_s = int(history.start.timestamp()) + int(history.step.total_seconds()) * np.arange(history.begin, history.end)
    return MarketSeries(
        start_s=start_s,
        step=history.step,
        decided_usd_per_mwh=history.price_usd_per_mwh[rows],
        settled_usd_per_mwh=history.final_usd_per_mwh[rows],
        pue=np.array([site.cooling.pue(float(outdoor_c)) for outdoor_c in history.outdoor_c[rows]]),
        hashprice_usd_per_ph_day=history.hashprice_usd_per_ph_day[rows],
    )


def play(
    period: Period, strategy: Named, records: Path | None, progress: Callable[[int], None] = lambda done: None
) -> StrategyResult:
    """Run it from the start of the period to its end; rows go to the file `records` if there is one."""
    began = time.perf_counter()
    site, market = site_of(strategy, period.site), period.market
    policy, planner = _policy(strategy, site, period)
    tally = Tally(period.site, market)
    writer = None
    if records is not None:
        writer = RecordsWriter(
            records, period.site, market, period.workload, seed=period.seed, versions=period.versions
        )
    levels: list[str] = []

    def emit(batch: RowBatch) -> None:
        tally.add(batch)
        if writer is not None:
            writer.write(strategy.name, batch, levels=levels)

    try:
        rows = slice(period.history.begin, period.history.end)
        kept = run(
            site,
            market,
            period.workload,
            policy,
            hashprice_known_usd_per_ph_day=period.history.hashprice_known_usd_per_ph_day[rows],
            levels=levels,
            emit=emit,
            progress=progress,
        )
    except BaseException:
        if writer is not None:
            writer.discard()
        raise
    if writer is not None:
        writer.close()
    return StrategyResult(
        name=strategy.name,
        series=tally.series(),
        starts=tally.starts(),
        job_starts=tally.job_starts(),
        outcomes=tally.outcomes(),
        seconds_above_cap=kept.seconds_above_cap,
        highest_grid_kw=kept.highest_grid_kw,
        planner=planner(),
        seconds=time.perf_counter() - began,
        peak_mb=peak_mb(),
        assumptions=(ASSUMPTIONS[strategy.rule],),
    )


def _policy(strategy: Named, site: Site, period: Period) -> tuple[Strategy, Callable[[], PlannerFacts | None]]:
    match strategy.rule:
        case Rule.ALWAYS_ON | Rule.THRESHOLD:
            return Threshold(site, strategy.threshold_usd_per_mwh), lambda: None
        case Rule.GREEDY:
            return Greedy(site), lambda: None
        case Rule.PLAN | Rule.PERFECT_PRICES:
            planning = Planning(
                site, period.history, period.workload, perfect_prices=strategy.rule is Rule.PERFECT_PRICES
            )
            return planning, planning.facts


def peak_mb() -> float:
    """The most memory this process has held so far, MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024.0**2 if sys.platform == "darwin" else 1024.0)
