"""The demo: a real price day moves a mock site. This part plays it on a virtual clock and draws up the report."""

import asyncio
import contextlib
import json
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from rich.console import Console

from orchestrator.adapters.store import SqlStore
from orchestrator.dispatch.baseline import always_on, default_modes
from orchestrator.domain.charge import Charge
from orchestrator.runtime.demo.day import DayError, PriceDay, at_local, local, price_day
from orchestrator.runtime.demo.devices import progress_bar
from orchestrator.runtime.demo.replay import Day, replay
from orchestrator.runtime.demo.report import report, table
from orchestrator.runtime.demo.run_folder import open_folder
from orchestrator.runtime.feeds import open_series
from orchestrator.settings import FilePrices, Settings
from orchestrator.sim.jobs.arrivals import job_stream

STEP = timedelta(seconds=60)
"""Site time between observations on the virtual clock while nothing is under way."""


@dataclass(frozen=True, slots=True)
class Options:
    """What `wattshift demo` was asked for."""

    site_file: Path
    day: PriceDay
    start: datetime
    speed: float | None
    """Site seconds a wall second; None for as fast as it computes."""
    seed: int
    until_end: bool
    headless: bool
    host: str
    port: int
    state: Path
    fresh: bool


def choose_day(
    settings: Settings,
    file: Path | None,
    on: date | None,
    *,
    point: str | None = None,
    timezone: str | None = None,
    usd_per_eur: float | None = None,
) -> PriceDay:
    """The day to play: of `file`, or of the site's own price files. PriceFileError or DayError say what is wrong."""
    feed = settings.prices
    if file is not None:
        feed = FilePrices(
            paths=(file,), point=point, timezone=timezone or settings.site.timezone, usd_per_eur=usd_per_eur
        )
    elif not isinstance(feed, FilePrices):
        raise DayError("the site file names no price file to play; give one with --day")
    else:
        feed = replace(feed, point=point or feed.point, timezone=timezone or feed.timezone)
    series, assumed = open_series(settings).hashprice, settings.site.stale.hashprice_assume_usd_per_ph_day

    def hashprice(at: datetime) -> float:
        value = asyncio.run(series.read(at)).value
        return assumed if value is None else value

    return price_day(settings.site, feed, on, hashprice)


def opening(day: PriceDay, settings: Settings, begin: str) -> datetime:
    """When to begin: `event`, `start` or a local time HH:MM."""
    if begin == "event":
        return day.opening
    if begin == "start":
        return day.start
    try:
        return at_local(time.fromisoformat(begin), day, settings.site)
    except ValueError as error:
        raise DayError(f"--from {begin}: allowed are event, start or a local time such as 12:30") from error


async def play_virtual(settings: Settings, options: Options, console: Console) -> dict[str, Any]:
    """The day on a virtual clock, with dispatch and without; returns the report."""
    day, site = options.day, settings.site
    open_folder(options.state)
    console.print(
        f"[bold]{site.name}[/] plays {day.name}, {local(options.start, site)} to {local(day.end, site)}, on a "
        "[bold]virtual clock[/]: the same device models in this one process, no real processes and no waiting.",
        soft_wrap=True,
    )
    record = options.state / "wattshift-max.db"
    with tempfile.TemporaryDirectory(dir=options.state, prefix="max-") as folder:
        file = Path(folder) / "wattshift.db"
        ours = await _replayed(settings, options, file, console, end=day.end, is_baseline=False)
        shutil.move(file, record)
    baseline = await always_on_report(settings, options, day.end, console)
    console.print(f"The record of the run is in {record} (SQLite; docs/store.md says how to read it).", soft_wrap=True)
    return finished(ours, baseline, settings, options, day.end)


async def always_on_report(settings: Settings, options: Options, end: datetime, console: Console) -> dict[str, Any]:
    """The same time, devices and jobs without dispatch, on a virtual clock."""
    with tempfile.TemporaryDirectory() as folder:
        return await _replayed(settings, options, Path(folder) / "always-on.db", console, end=end, is_baseline=True)


async def _replayed(
    settings: Settings, options: Options, file: Path, console: Console, *, end: datetime, is_baseline: bool
) -> dict[str, Any]:
    start = options.start
    site = default_modes(settings.site) if is_baseline else settings.site
    day = Day(
        start=start,
        end=end,
        prices=options.day.prices,
        series=open_series(settings),
        jobs=job_stream(settings.site, start, options.day.end, options.seed),
        seed=options.seed,
    )
    store = SqlStore.open(f"sqlite:///{file}", durable=False)
    with contextlib.closing(store), progress_bar(console) as progress:
        task = progress.add_task("always on" if is_baseline else "Wattshift", total=(end - start).total_seconds())
        await replay(
            site,
            day,
            store,
            step=STEP,
            policy=always_on if is_baseline else None,
            on_progress=lambda now: progress.update(task, completed=(now - start).total_seconds()),
        )
        return report(store, site, start, end)


def finished(
    ours: Mapping[str, Any], baseline: Mapping[str, Any], settings: Settings, options: Options, end: datetime
) -> dict[str, Any]:
    site = settings.site
    how = (
        "simulated devices in one process on a virtual clock"
        if options.speed is None
        else f"simulated devices as real processes at {options.speed:g}x; always-on is computed on a virtual clock"
    )
    return {
        "title": f"{site.name}, {options.day.name}, {local(options.start, site)} to {local(end, site)}",
        "note": f"Measured on {how}. Seconds are site time.",
        "simulated": True,
        "clock": "virtual" if options.speed is None else f"{options.speed:g}x",
        "site": site.name,
        "day": options.day.name,
        "start": options.start.isoformat(),
        "end": end.isoformat(),
        "seed": options.seed,
        **ours,
        "always_on": baseline,
    }


def conclude(figures: dict[str, Any], charges: Iterable[Charge], json_file: Path | None, console: Console) -> None:
    """Print the table and write the JSON; `charges` are the site's."""
    if not figures:
        console.print("Stopped before the first round: there are no figures.")
        return
    console.print(table(figures, charges))
    if json_file is not None:
        json_file.write_text(json.dumps(figures, indent=2) + "\n")
        console.print(f"Figures written to {json_file}.")
