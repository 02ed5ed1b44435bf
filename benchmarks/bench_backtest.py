"""Backtests at scale: capture of the clairvoyant bound by month, with and without jobs, and how long a year takes.

Not a test: run it on a quiet machine. Each run is a process of its own, one at a time, so that seconds and peak memory
are those of one strategy on one core.

    python benchmarks/bench_backtest.py [--data FOLDER] [--year] [--months 5 8 11]
"""

import argparse
from datetime import UTC, datetime
from pathlib import Path

from orchestrator.backtest.clairvoyant import bound_of
from orchestrator.backtest.jobs.submitted import submitted_jobs
from orchestrator.backtest.play import Period, play
from orchestrator.backtest.strategies import named
from orchestrator.runtime.backtest.job_files import load_workload
from orchestrator.runtime.backtest.market_files import load_history
from orchestrator.runtime.backtest.processes import Work, run_all
from orchestrator.runtime.example import example_site
from orchestrator.settings import FilePrices, load_settings

STRATEGIES = "always-on,threshold=80,greedy,plan,perfect-prices"
JOBS_A_MONTH = 9_000.0


def period(data: Path, start: datetime, end: datetime, *, jobs: bool) -> Period:
    settings = load_settings(example_site(), {})
    prices = FilePrices((data / "prices" / "ercot_hubavg_2024_15min.csv",), None, "UTC", None)
    hashprice = data / "bitcoin" / "hashprice_daily_2023-05_2025-03.csv"
    history = load_history(settings, prices, hashprice=hashprice, start=start, end=end)
    submitted = submitted_jobs(settings.site, ())
    if jobs:
        trace = data / "jobs" / "philly_2017.csv"
        at = (history.at(history.begin), history.at(history.end))
        submitted = load_workload(settings, trace, *at, seed=1, jobs_a_month=JOBS_A_MONTH).jobs
    return Period(settings.site, history, submitted, 1, {})


def show(title: str, of: Period, strategies: str) -> None:
    works = [Work("bound", bound_of, (of,))]
    works += [Work(one.name, play, (of, one, None)) for one in named(strategies)]
    results = run_all(works, 1, lambda name, done: None)
    bound = results.pop("bound")
    print(f"{title}: bound {bound.usd:,.0f} USD ({bound.seconds:.1f} s, {bound.peak_mb:.0f} MiB)")
    for name, result in results.items():
        profit = float(result.series.profit_usd.sum())
        planner = (
            f", a plan {result.planner.mean_ms:.1f} ms, gap {result.planner.mean_gap:.2%}" if result.planner else ""
        )
        print(
            f"  {name:15s} {profit:14,.0f} USD  {profit / bound.usd:7.2%}  {result.seconds:6.1f} s "
            f"{result.peak_mb:5.0f} MiB{planner}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of real prices and traces")
    parser.add_argument("--months", type=int, nargs="*", default=[2, 5, 8, 11])
    parser.add_argument("--year", action="store_true", help="the whole of 2024 as well")
    asked = parser.parse_args()
    if not asked.data.is_dir():
        print(f"no backtests: there is no folder {asked.data}; --data names one")
        return
    for month in asked.months:
        start, end = datetime(2024, month, 1, tzinfo=UTC), datetime(2024 + month // 12, month % 12 + 1, 1, tzinfo=UTC)
        for jobs in (False, True):
            with_jobs = "hybrid" if jobs else "mining only"
            show(f"2024-{month:02d}, {with_jobs}", period(asked.data, start, end, jobs=jobs), STRATEGIES)
    if asked.year:
        year = period(asked.data, datetime(2024, 1, 1, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC), jobs=True)
        show("2024, hybrid", year, "greedy,plan")


if __name__ == "__main__":
    main()
