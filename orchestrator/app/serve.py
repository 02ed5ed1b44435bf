"""A site in real time: the controller on the wall clock until it is stopped."""

import contextlib
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
from rich.console import Console

from orchestrator.adapters.store import SqlStore
from orchestrator.adapters.workloads.processes import ProcessSite
from orchestrator.api.guard import require_key_unless_loopback
from orchestrator.app.feeds import open_metrics, open_prices, open_series
from orchestrator.app.live import LiveSite, Replayed
from orchestrator.app.run import Run, load_run, save_run
from orchestrator.app.server import listen, serving, stop_event, url_of
from orchestrator.domain.clock import wall_clock
from orchestrator.settings import Settings
from orchestrator.sim.arrivals import job_stream

JOBS_AHEAD = timedelta(days=30)
"""How long the simulated tenants of a mock site go on submitting jobs."""
STOP_WITHIN_S = 10.0


class NoDriverError(Exception):
    """The site has no devices that this version can move; the text says what it can."""


async def serve(settings: Settings, host: str, port: int, console: Console) -> None:
    """Start the site's mock devices, control them and serve the console until SIGINT or SIGTERM.

    Devices are ended with it; jobs write their checkpoints and go on at the next start.
    """
    if settings.mock is None:
        raise NoDriverError("the site file has no `mock` section; this version moves mock devices only")
    require_key_unless_loopback(host, settings.api_key)
    bound = listen(host, port)
    stopping = stop_event()
    folder = settings.state_dir
    folder.mkdir(parents=True, exist_ok=True)
    clock, mock = wall_clock(), settings.mock
    run = load_run(folder) or _new_run(settings, mock.seed)
    save_run(folder, run)
    store = SqlStore.open(settings.store_url)
    with contextlib.closing(store):
        devices = ProcessSite(settings.site, folder, clock, mock.seed, nodes_per_exporter=mock.nodes_per_exporter)
        try:
            console.print(f"Starting the simulated devices of {settings.site.name} ...")
            await devices.start()
            start = datetime.fromisoformat(run.start)
            end = start + JOBS_AHEAD
            async with httpx.AsyncClient(trust_env=False) as client:
                metrics = open_metrics(settings, folder / "targets", client, clock)
                live = LiveSite(
                    settings.site,
                    clock,
                    prices=open_prices(settings, client),
                    series=open_series(settings),
                    metrics=metrics,
                    workloads=devices,
                    store=store,
                    replayed=Replayed(start, end, job_stream(settings.site, start, end, mock.seed), devices),
                )
                async with serving(live, bound, settings.api_key):
                    live.start()
                    console.print(f"[bold green]Look at {url_of(bound)}[/]  ({settings.site.name}; Ctrl-C ends it)")
                    await stopping.wait()
                    console.print("Stopping: jobs write their checkpoints, devices end ...")
                    await live.pause()
                await metrics.close()
        finally:
            await devices.stop(STOP_WITHIN_S)
    save_run(folder, replace(run, ended=True))


def _new_run(settings: Settings, seed: int) -> Run:
    now = datetime.now(UTC)
    return Run(
        site=settings.site.name,
        day="",
        speed=1.0,
        seed=seed,
        start=now.isoformat(),
        end=(now + JOBS_AHEAD).isoformat(),
        wall_origin=time.time(),
    )
