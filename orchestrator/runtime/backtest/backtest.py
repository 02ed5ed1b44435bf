"""`wattshift backtest`: reads the inputs, plays each strategy in a process of its own, puts the results together."""

import hashlib
import json
import platform
import shutil
import tempfile
import time
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from rich.console import Console

from orchestrator import __version__
from orchestrator.backtest.clairvoyant import bound_of
from orchestrator.backtest.forecasts import skill_of
from orchestrator.backtest.jobs.shortage import shortages
from orchestrator.backtest.play import Period, peak_mb, play
from orchestrator.backtest.records.parquet import join_records
from orchestrator.backtest.report.page import write_report
from orchestrator.backtest.result import BacktestResult, Source
from orchestrator.backtest.summary import document, shown_in
from orchestrator.domain.site.site import Site
from orchestrator.runtime.backtest.backtest_inputs import Request
from orchestrator.runtime.backtest.job_files import Workload, load_workload
from orchestrator.runtime.backtest.market_files import load_history
from orchestrator.runtime.backtest.processes import Work, run_all
from orchestrator.runtime.demo.devices import progress_bar
from orchestrator.settings import Settings
from orchestrator.settings import values as setting

BOUND = "bound"
SKILL = "forecasts"
ASSUMPTIONS = (
    "devices are simulated: racks and GPUs draw their nameplate, and what is asked of them happens at the start of an "
    "interval; meters, networks and agents never fail",
    "jobs come in at the start of the first interval after they are submitted; what a job lacks to its end is done "
    "within an interval, to the second",
    "no curtailment orders, no ancillary services, no demand charges",
)


def backtest(settings: Settings, asked: Request, console: Console) -> BacktestResult:
    """Run it. Raises DataFileError, MarketError, ScalingError, RecordsError and ProcessError."""
    began = time.perf_counter()
    history = load_history(settings, asked.feed, hashprice=asked.hashprice, start=asked.start, end=asked.end)
    loaded = load_workload(
        settings,
        asked.trace,
        history.at(history.begin),
        history.at(history.end),
        seed=asked.seed,
        jobs_a_month=asked.jobs_a_month,
    )
    period = Period(settings.site, history, loaded.jobs, asked.seed, _versions())
    folder = Path(tempfile.mkdtemp(prefix="wattshift-backtest-", dir=asked.records.parent if asked.records else None))
    try:
        parts = {strategy.name: folder / f"{number}.parquet" for number, strategy in enumerate(asked.strategies)}
        works = [
            Work(strategy.name, play, (period, strategy, parts[strategy.name] if asked.records else None))
            for strategy in sorted(asked.strategies, key=lambda strategy: not strategy.plans)  # the slow ones first
        ]
        works.insert(0, Work(BOUND, bound_of, (period,)))
        if any(strategy.plans for strategy in asked.strategies):
            works.append(Work(SKILL, skill_of, (period,)))
        intervals = history.end - history.begin
        with progress_bar(console) as bar:
            tasks = {work.name: bar.add_task(work.name, total=intervals) for work in works}
            results = run_all(works, asked.cores, lambda name, done: bar.update(tasks[name], completed=done))
        result = _result(settings, asked, period, loaded, results, time.perf_counter() - began)
        if asked.records is not None:
            join_records([parts[strategy.name] for strategy in asked.strategies], asked.records, document(result))
    finally:
        shutil.rmtree(folder)
    return result


def _result(
    settings: Settings,
    asked: Request,
    period: Period,
    loaded: Workload,
    results: Mapping[str, Any],
    seconds: float,
) -> BacktestResult:
    bound, history = results[BOUND], period.history
    strategies = tuple(results[strategy.name] for strategy in asked.strategies)
    return BacktestResult(
        site=settings.site,
        start=history.at(history.begin),
        end=history.at(history.end),
        market=period.market,
        strategies=strategies,
        bound_usd=bound.usd,
        skill=results.get(SKILL, ()),
        bound_note=bound.note,
        prices=tuple(_source(path) for path in asked.feed.paths),
        hashprice=_series_source(asked.hashprice, settings.hashprice, "USD per PH/s per day"),
        weather=_series_source(None, settings.weather, "degC"),
        trace=_source(asked.trace) if asked.trace is not None else None,
        seed=asked.seed,
        warnings=(*shortages(period), *history.notes, *loaded.notes),
        assumptions=(*ASSUMPTIONS, *_charged(settings.site)),
        versions=period.versions,
        seconds=seconds,
        peak_mb=max([peak_mb(), bound.peak_mb, *(strategy.peak_mb for strategy in strategies)]),
        command=asked.command,
    )


def _charged(site: Site) -> tuple[str, ...]:
    """Of each charge, a sentence."""
    return tuple(
        f"{charge.assumption}; it is in the energy cost of all strategies and in the bound; always-on and threshold go "
        "by the market price alone"
        for charge in site.grid.charges
    )


def write_results(result: BacktestResult, json_file: Path | None, report: Path | None, console: Console) -> None:
    """Print the figures, and write the files that were asked for."""
    figures = document(result)
    console.print(shown_in(figures, console.width, result.site.grid.charges))
    for warning in result.warnings:
        console.print(f"note: {warning}", style="yellow", markup=False, soft_wrap=True)
    if json_file is not None:
        json_file.write_text(json.dumps(figures, indent=2, allow_nan=False) + "\n")
    if report is not None:
        write_report(report, result)


def _source(path: Path) -> Source:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Source(name=path.name, sha256=digest)


def _series_source(asked: Path | None, feed: setting.CsvSeries | setting.ConstantSeries, unit: str) -> Source:
    if asked is not None:
        return _source(asked)
    if isinstance(feed, setting.CsvSeries):
        return _source(feed.path)
    return Source(name=f"{feed.value:g} {unit}", detail="a constant of the site file")


def _versions() -> dict[str, str]:
    return {
        "wattshift": __version__,
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in ("numpy", "numba")},
    }
