"""The demo as real processes on a fast clock, under the live controller, with the console."""

import asyncio
import contextlib
import os
import shutil
import signal
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
from orchestrator.api.application import create_app
from orchestrator.api.guard import require_key_unless_loopback
from orchestrator.app.day import local
from orchestrator.app.demo import Options, always_on_report, finished, progress_bar
from orchestrator.app.feeds import open_series
from orchestrator.app.live import LiveSite, Replayed
from orchestrator.app.report import report
from orchestrator.app.run import Run, load_run, save_run
from orchestrator.app.server import listen, server, url_of
from orchestrator.domain.clock import SiteClock
from orchestrator.domain.decision import Decision
from orchestrator.domain.site import Site
from orchestrator.ports import Record
from orchestrator.settings import Settings
from orchestrator.sim.arrivals import job_stream

NODES_PER_EXPORTER = 16
STOP_WITHIN_S = 10.0


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
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
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
    kept = load_run(folder)
    if kept is not None and not kept.ended and not options.fresh and kept.same(run):
        clock = _clock(kept)
        if clock.at(wall) < options.day.end:
            console.print(f"Going on with the run that was cut off; it is {clock.at(wall):%H:%M} UTC on the site.")
            return kept, clock
        console.print("The run that was cut off is past the end of its day; a new one begins.")
    if (folder / "processes").exists():
        await ProcessTable(folder).stop_all(STOP_WITHIN_S)
    if kept is not None:
        _check_unused(folder)
        shutil.rmtree(folder)
    save_run(folder, run)
    return run, _clock(run)


def _check_unused(folder: Path) -> None:
    """Refuses, by StoreInUseError, to clear away a run that another controller is working on."""
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
        web = server(create_app(live, api_key=settings.api_key))
        serving = asyncio.create_task(web.serve(sockets=[bound]))
        live.start()
        _welcome(site, options, clock, url_of(bound), console)
        over = asyncio.create_task(asyncio.sleep(clock.wall_at(day.end) - time.time()))
        stopped = asyncio.create_task(stopping.wait())
        await asyncio.wait({over, stopped, serving}, return_when=asyncio.FIRST_COMPLETED)
        await live.pause()
        ended_at = min(live.now(), day.end)
        if over.done() and not options.until_end:
            console.print("The day is over; the page stays up until Ctrl-C.")
            await asyncio.wait({stopped, serving}, return_when=asyncio.FIRST_COMPLETED)
        live.close()
        console.print("Stopping: jobs write their checkpoints, devices end ...")
        web.should_exit = True
        await serving
        over.cancel()
        stopped.cancel()
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
