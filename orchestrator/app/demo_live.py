"""The demo as real processes on a fast clock, under the live controller, with the console."""

import asyncio
import contextlib
import os
import shutil
import socket
import sys
import time
import webbrowser
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console

from orchestrator.adapters.store import SqlStore
from orchestrator.adapters.telemetry.scrape import ScrapedMetrics
from orchestrator.adapters.workloads.process_table import ProcessTable
from orchestrator.adapters.workloads.processes import ProcessSite
from orchestrator.api.guard import require_key_unless_loopback
from orchestrator.app.day import local
from orchestrator.app.demo import Options, always_on_report, finished, progress_bar
from orchestrator.app.feeds import open_series
from orchestrator.app.live import LiveSite, Replayed
from orchestrator.app.report import report
from orchestrator.app.run import Run, RunFolderError, load_run, open_folder, save_run
from orchestrator.app.server import listen, serving, stop_event, url_of
from orchestrator.domain.clock import SiteClock
from orchestrator.domain.decision import Decision
from orchestrator.domain.site import Site
from orchestrator.ports import Record
from orchestrator.settings import Settings
from orchestrator.sim.arrivals import job_stream

NODES_PER_EXPORTER = 16
STOP_WITHIN_S = 10.0
RUN_FILES = (
    *("clock.json", "setpoints.json", "run.json"),
    *("targets", "endpoints", "processes", "logs", "jobs"),
    *("wattshift.db", "wattshift.db-wal", "wattshift.db-shm", "wattshift.db.lock"),
)
"""What a run keeps in its folder. The figures of `--speed max` beside them are not of it."""


def stretched(site: Site, speed: float) -> Site:
    """The site with its times no shorter than the wall allows at `speed`.

    A scrape takes the same wall time however fast site time runs; at 60x a second of it is a minute of the site's.
    """
    wall_second = timedelta(seconds=speed)
    controls, stale = site.controls, site.stale
    return replace(
        site,
        controls=replace(
            controls,
            tick=max(controls.tick, wall_second),
            verify_within=max(controls.verify_within, 3 * wall_second),
            lease=max(controls.lease, 10 * wall_second),
        ),
        stale=replace(stale, telemetry_max_age=max(stale.telemetry_max_age, 3 * wall_second)),
    )


async def play_live(settings: Settings, options: Options, speed: float, console: Console) -> dict[str, Any]:
    require_key_unless_loopback(options.host, settings.api_key)
    bound = listen(options.host, options.port)
    site = stretched(settings.site, speed)
    run, clock = await _open_run(options, speed, console)
    options = replace(options, start=datetime.fromisoformat(run.start))
    folder = options.state
    stopping = stop_event()
    store = SqlStore.open(f"sqlite:///{folder / 'wattshift.db'}")
    with contextlib.closing(store):
        nodes = settings.mock.nodes_per_exporter if settings.mock is not None else NODES_PER_EXPORTER
        devices = ProcessSite(site, folder, clock, options.seed, nodes_per_exporter=nodes)
        try:
            await _start_devices(devices, stopping, console)
            ended_at = await _operate(settings, site, options, clock, devices, store, bound, stopping, console)
        finally:
            await devices.stop(STOP_WITHIN_S)
        save_run(folder, replace(run, ended=True))
        ours = report(store, settings.site, options.start, ended_at + timedelta(seconds=1))
    if ended_at <= options.start:
        return {}
    baseline = await always_on_report(settings, options, ended_at, console)
    return finished(ours, baseline, settings, options, ended_at)


async def _open_run(options: Options, speed: float, console: Console) -> tuple[Run, SiteClock]:
    """Go on with the run that was killed, or begin a new one. Processes that one left behind are ended first."""
    folder = options.state
    wall = time.time()
    run = Run(
        site=str(options.site_file.resolve()),
        day=options.day.name,
        speed=speed,
        seed=options.seed,
        start=options.start.isoformat(),
        end=options.day.end.isoformat(),
        wall_origin=wall,
    )
    open_folder(folder)
    _check_unused(folder)
    kept = load_run(folder)
    _check_ours(folder, kept)
    if kept is not None and not kept.ended and not options.fresh and kept.same(run):
        clock = _clock(kept)
        if clock.at(wall) < options.day.end:
            console.print(f"Going on with the run that was cut off; it is {clock.at(wall):%H:%M} UTC on the site.")
            return kept, clock
        console.print("The run that was cut off is past the end of its day; a new one begins.")
    if (folder / "processes").exists():
        await ProcessTable(folder).stop_all(STOP_WITHIN_S)
    _clear(folder)
    save_run(folder, run)
    return run, _clock(run)


def _clear(folder: Path) -> None:
    """Remove what a run before left, and nothing else: the folder may be one that the user keeps other things in."""
    for path in _run_files(folder):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def _run_files(folder: Path) -> list[Path]:
    return [folder / name for name in RUN_FILES if (folder / name).exists()]


def _check_ours(folder: Path, kept: Run | None) -> None:
    """Refuses a folder with files of such names that no demo wrote, since a new run clears them away."""
    files = _run_files(folder)
    if kept is not None and not kept.day:
        raise RunFolderError(f"{folder} is the record of `wattshift serve`; choose another --state")
    if files and not (folder / "run.json").exists():
        raise RunFolderError(f"{folder} holds {files[0].name} but no run.json of a demo; choose another --state")


def _check_unused(folder: Path) -> None:
    """Refuses, by StoreInUseError, a folder that another controller is working on, before anything is touched."""
    database = folder / "wattshift.db"
    if database.exists():
        SqlStore.open(f"sqlite:///{database}").close()


def _clock(run: Run) -> SiteClock:
    return SiteClock(wall_origin=run.wall_origin, site_origin=datetime.fromisoformat(run.start), speed=run.speed)


async def _start_devices(devices: ProcessSite, stopping: asyncio.Event, console: Console) -> None:
    with progress_bar(console) as progress:
        task = progress.add_task("devices", total=None)
        starting = asyncio.create_task(
            devices.start(lambda started, total: progress.update(task, completed=started, total=total))
        )
        stopped = asyncio.create_task(stopping.wait())
        await asyncio.wait({starting, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            stopped.cancel()
            starting.result()
        else:
            starting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await starting


async def _operate(
    settings: Settings,
    site: Site,
    options: Options,
    clock: SiteClock,
    devices: ProcessSite,
    store: SqlStore,
    bound: socket.socket,
    stopping: asyncio.Event,
    console: Console,
) -> datetime:
    """Control the site until the day ends or a signal comes; returns the site time then."""
    day = options.day
    if stopping.is_set():
        return options.start
    async with httpx.AsyncClient(trust_env=False) as client:
        metrics = ScrapedMetrics(options.state / "targets", client, clock)
        live = LiveSite(
            site,
            clock,
            prices=day.prices,
            series=open_series(settings),
            metrics=metrics,
            workloads=devices,
            store=store,
            replayed=Replayed(
                day.start, day.end, job_stream(settings.site, options.start, day.end, options.seed), devices
            ),
            on_record=_narrator(site, console),
        )
        async with serving(live, bound, settings.api_key):
            live.start()
            _welcome(site, options, clock, url_of(bound), console)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), clock.wall_at(day.end) - time.time())
            await live.pause()
            ended_at = min(live.now(), day.end)
            if not (stopping.is_set() or options.until_end):
                console.print("The day is over; the page stays up until Ctrl-C.")
                await stopping.wait()
            console.print("Stopping: jobs write their checkpoints, devices end ...")
        await metrics.close()
        return ended_at


def _welcome(site: Site, options: Options, clock: SiteClock, url: str, console: Console) -> None:
    day = options.day
    console.print(
        f"[bold green]Look at {url}[/]  ({site.name}, simulated devices, {clock.speed:g}x; Ctrl-C ends it)",
        soft_wrap=True,
    )
    wait_s = clock.wall_at(day.event) - time.time()
    if wait_s > 0:
        at, usd = local(day.event, site), day.event_usd_per_mwh
        console.print(f"In {wait_s:.0f} s, at {at} site time, power goes to {usd:.0f} USD/MWh.", soft_wrap=True)
    if not options.headless and (sys.platform == "darwin" or {"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys()):
        webbrowser.open(url)


def _narrator(site: Site, console: Console) -> Callable[[Record], None]:
    """Prints each decision as it is made."""

    def tell(record: Record) -> None:
        if isinstance(record, Decision):
            console.print(
                f"[dim]{local(record.at, site)}[/] {record.measured_kw / 1000.0:5.1f} MW  {record.summary}",
                highlight=False,
                soft_wrap=True,
            )

    return tell
