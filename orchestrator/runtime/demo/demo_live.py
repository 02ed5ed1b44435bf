"""The demo as real processes on a fast clock, under the live controller, with the console."""

import asyncio
import contextlib
import os
import sys
import time
import webbrowser
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx
from rich.console import Console

from orchestrator.adapters.store import SqlStore
from orchestrator.adapters.telemetry.joined import with_meters
from orchestrator.adapters.telemetry.scrape import ScrapedMetrics
from orchestrator.adapters.workloads.processes.process_site import ProcessSite
from orchestrator.api.guard import require_key_unless_loopback
from orchestrator.clock import SiteClock
from orchestrator.domain.decision import Decision
from orchestrator.domain.site.site import Site
from orchestrator.ports import Record
from orchestrator.runtime.demo.day import local
from orchestrator.runtime.demo.demo import Options, always_on_report, finished
from orchestrator.runtime.demo.devices import running_devices
from orchestrator.runtime.demo.overhead import pue_by_time
from orchestrator.runtime.demo.report import report
from orchestrator.runtime.demo.run_folder import Run, begin_or_go_on, end_run
from orchestrator.runtime.demo.simulated_tenants import SimulatedTenants
from orchestrator.runtime.feeds import Sources, open_series
from orchestrator.runtime.http_server import listen, serving, url_of
from orchestrator.runtime.live_site import LiveSite, ReplayedDay, Simulated
from orchestrator.runtime.signals import stop_event
from orchestrator.settings import Settings
from orchestrator.sim.jobs.arrivals import job_stream

if TYPE_CHECKING:
    from orchestrator.runtime.observability.spans import Spans

NODES_PER_EXPORTER = 16


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
            verify_up=max(controls.up_within, 3 * wall_second),
            verify_down=max(controls.down_within, 3 * wall_second),
            lease=max(controls.lease, 10 * wall_second),
        ),
        stale=replace(
            stale,
            telemetry_max_age=max(stale.telemetry_max_age, 3 * wall_second),
            telemetry_hold=max(stale.telemetry_hold, 30 * wall_second),
        ),
    )


async def play_live(
    settings: Settings, options: Options, speed: float, console: Console, *, spans: "Spans | None" = None
) -> dict[str, Any]:
    """Play the day as real processes until it is over or a signal comes; returns the report, {} if nothing was played.

    A run that was cut off goes on where it was.
    """
    require_key_unless_loopback(options.host, settings.api_key)
    with listen(options.host, options.port) as bound:
        site, folder = stretched(settings.site, speed), options.state
        wanted = Run(
            site=str(options.site_file.resolve()),
            day=options.day.name,
            speed=speed,
            seed=options.seed,
            start=options.start.isoformat(),
            wall_origin=time.time(),
        )
        run, goes_on = await begin_or_go_on(
            folder, wanted, until=options.day.end, fresh=options.fresh, tell=console.print
        )
        options = replace(options, start=datetime.fromisoformat(run.start))
        stopping = stop_event()
        nodes_per_exporter = settings.mock.nodes_per_exporter if settings.mock is not None else NODES_PER_EXPORTER
        with contextlib.closing(SqlStore.open(f"sqlite:///{folder / 'wattshift.db'}")) as store:
            async with running_devices(
                site,
                folder,
                run.clock,
                seed=options.seed,
                nodes_per_exporter=nodes_per_exporter,
                pue=await pue_by_time(site, open_series(settings).weather, options.start, options.day.end),
                stopping=stopping,
                console=console,
            ) as devices:
                if stopping.is_set():
                    ended_at = options.start
                else:
                    playing = _playing(settings, site, options, run.clock, devices, store, console, spans)
                    async with playing as live, serving(live, bound, settings.api_key):
                        live.start()
                        _welcome(site, options, run.clock, url_of(bound), console)
                        ended_at = await _operate(live, options, run.clock, stopping, console)
            if ended_at <= options.start:
                if not goes_on:  # what went on stays as it was, to go on again
                    end_run(folder, run)
                return {}
            end_run(folder, run)
            ours = report(store, settings.site, options.start, ended_at)
        baseline = await always_on_report(settings, options, ended_at, console)
        return finished(ours, baseline, settings, options, ended_at)


@contextlib.asynccontextmanager
async def _playing(
    settings: Settings,
    site: Site,
    options: Options,
    clock: SiteClock,
    devices: ProcessSite,
    store: SqlStore,
    console: Console,
    spans: "Spans | None",
) -> AsyncIterator[LiveSite]:
    """The controller of the day's devices, ready to start."""
    day = options.day
    async with httpx.AsyncClient(trust_env=False) as client:
        devices_metrics = ScrapedMetrics(options.state / "targets", client, clock, settings.series)
        metrics = with_meters(devices_metrics, site.meters(), clock)
        jobs = SimulatedTenants(job_stream(settings.site, options.start, day.end, options.seed), devices)
        yield LiveSite(
            site,
            clock,
            Sources(day.prices, open_series(settings), metrics),
            devices,
            store,
            Simulated(jobs, ReplayedDay(day.start, day.end)),
            on_record=_narrator(site, console),
            spans=spans,
        )
        await metrics.close()


async def _operate(
    live: LiveSite, options: Options, clock: SiteClock, stopping: asyncio.Event, console: Console
) -> datetime:
    """Let the site, started, be controlled until the day ends or a signal comes; returns the site time then."""
    day = options.day
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stopping.wait(), clock.wall_at(day.end) - time.time())
    await live.pause()
    ended_at = min(live.now(), day.end)
    if not (stopping.is_set() or options.until_end):
        console.print("The day is over; the page stays up until Ctrl-C.")
        await stopping.wait()
    console.print("Stopping: jobs write their checkpoints, devices end ...")
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
