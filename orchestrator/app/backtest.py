"""`wattshift backtest`: reads the inputs, plays each strategy in a process of its own, puts the results together."""

import hashlib
import platform
import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from importlib import metadata
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from rich.console import Console

from orchestrator import __version__
from orchestrator.app.devices import progress_bar
from orchestrator.app.history import load_history
from orchestrator.app.processes import Work, run_all
from orchestrator.app.workload import LoadedWorkload, load_workload
from orchestrator.backtest.clairvoyant import bound_of
from orchestrator.backtest.play import Period, peak_mb, play
from orchestrator.backtest.records import join_records
from orchestrator.backtest.result import BacktestResult, Source
from orchestrator.backtest.strategies import Named
from orchestrator.backtest.summary import document
from orchestrator.settings import FilePrices, Settings
from orchestrator.settings import values as setting

BOUND = "bound"
ASSUMPTIONS = (
    "devices are simulated: racks and GPUs draw their nameplate, and what is asked of them happens at the start of an "
    "interval; meters, networks and agents never fail",
    "jobs come in at the start of the first interval after they are submitted; what a job lacks to its end is done "
    "within an interval, to the second",
    "no curtailment orders, no ancillary services, no demand charges",
)


class BacktestError(Exception):
    """A backtest that can't be run as asked; the text says why and what is allowed."""


@dataclass(frozen=True, slots=True)
class Request:
    """What `wattshift backtest` was asked for."""

    prices: tuple[Path, ...]
    """None: those of the site file."""
    point: str | None
    timezone: str | None
    usd_per_eur: float | None
    start: datetime | None
    end: datetime | None
    hashprice: Path | None
    trace: Path | None
    jobs_per_month: int | None
    strategies: tuple[Named, ...]
    cores: int
    seed: int
    records: Path | None
    command: str


def at_site(settings: Settings, text: str, option: str) -> datetime:
    """A day or a time, the site's own where it names no offset; BacktestError for anything else."""
    try:
        if len(text) == len("2024-05-01"):
            day = date.fromisoformat(text)
            return datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(settings.site.timezone)).astimezone(UTC)
        at = datetime.fromisoformat(text)
    except ValueError:
        raise BacktestError(
            f"{option} {text}: write a day such as 2024-05-01 or a time such as 2024-05-01T12:00Z"
        ) from None
    if at.tzinfo is None:
        at = at.replace(tzinfo=ZoneInfo(settings.site.timezone))
    return at.astimezone(UTC)


def backtest(settings: Settings, asked: Request, console: Console) -> BacktestResult:
    """Run it. Raises BacktestError, DataFileError, MarketError, TraceError, RecordsError and ProcessError."""
    began = time.perf_counter()
    feed = _feed(settings, asked)
    history = load_history(settings, feed, hashprice=asked.hashprice, start=asked.start, end=asked.end)
    loaded = load_workload(settings, history, asked.trace, jobs_per_month=asked.jobs_per_month, seed=asked.seed)
    period = Period(settings.site, history, loaded.workload, asked.seed, _versions())
    folder = Path(tempfile.mkdtemp(prefix="wattshift-backtest-", dir=asked.records.parent if asked.records else None))
    try:
        parts = {strategy.name: folder / f"{number}.parquet" for number, strategy in enumerate(asked.strategies)}
        works = [
            Work(strategy.name, play, (period, strategy, parts[strategy.name] if asked.records else None))
            for strategy in sorted(asked.strategies, key=lambda strategy: not strategy.plans)  # the slow ones first
        ]
        works.insert(0, Work(BOUND, bound_of, (period,)))
        intervals = history.end - history.begin
        with progress_bar(console) as bar:
            tasks = {work.name: bar.add_task(work.name, total=intervals) for work in works}
            results = run_all(works, asked.cores, lambda name, done: bar.update(tasks[name], completed=done))
        result = _result(settings, asked, feed, period, loaded, results, time.perf_counter() - began)
        if asked.records is not None:
            join_records([parts[strategy.name] for strategy in asked.strategies], asked.records, document(result))
    finally:
        shutil.rmtree(folder)
    return result


def _result(
    settings: Settings,
    asked: Request,
    feed: FilePrices,
    period: Period,
    loaded: LoadedWorkload,
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
        bound_note=bound.note,
        prices=tuple(_source(path) for path in feed.paths),
        hashprice=_series_source(asked.hashprice, settings.hashprice, "USD per PH/s per day"),
        weather=_series_source(None, settings.weather, "degC"),
        trace=loaded.source,
        seed=asked.seed,
        warnings=(*history.notes, *loaded.notes),
        assumptions=(*ASSUMPTIONS, *loaded.assumptions),
        versions=period.versions,
        seconds=seconds,
        peak_mb=max([peak_mb(), bound.peak_mb, *(strategy.peak_mb for strategy in strategies)]),
        command=asked.command,
    )


def _feed(settings: Settings, asked: Request) -> FilePrices:
    own = settings.prices
    if not asked.prices:
        if not isinstance(own, FilePrices):
            raise BacktestError("--prices: name price files; this site's prices come from no file")
        return own
    return FilePrices(
        paths=asked.prices,
        point=asked.point,
        timezone=asked.timezone or (own.timezone if isinstance(own, FilePrices) else settings.site.timezone),
        usd_per_eur=asked.usd_per_eur,
    )


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
