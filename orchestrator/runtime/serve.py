"""A site in real time: the controller on the wall clock until it is stopped."""

import contextlib
import logging
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import httpx
from rich.console import Console

from orchestrator.adapters.store import SqlStore
from orchestrator.api.guard import require_key_unless_loopback
from orchestrator.clock import wall_clock
from orchestrator.runtime.demo.devices import running_devices
from orchestrator.runtime.demo.overhead import pue_by_time
from orchestrator.runtime.demo.run_folder import Run, load_run, open_folder, save_run
from orchestrator.runtime.demo.simulated_tenants import SimulatedTenants
from orchestrator.runtime.feeds import Sources, open_metrics, open_prices, open_series
from orchestrator.runtime.http_server import listen, serving, url_of
from orchestrator.runtime.live_site import LiveSite, Simulated
from orchestrator.runtime.signals import stop_event
from orchestrator.settings import Settings
from orchestrator.sim.jobs.arrivals import job_stream

if TYPE_CHECKING:
    from orchestrator.runtime.observability.spans import Spans

log = logging.getLogger(__name__)

JOBS_AHEAD = timedelta(days=30)
"""How long the simulated tenants of a mock site go on submitting jobs."""
WEATHER_AHEAD = timedelta(days=7)
"""How far the simulated meters know the weather; then it stays as it is."""
KEPT = timedelta(days=400)
"""How long observations are kept; decisions and the ledger always are."""


class NoDriverError(Exception):
    """The site has no devices that this version can move; the text says what it can."""


async def serve(settings: Settings, host: str, port: int, console: Console, *, spans: "Spans | None" = None) -> None:
    """Start the site's mock devices, control them and serve the console until SIGINT or SIGTERM.

    Devices are ended with it; jobs write their checkpoints and go on at the next start.
    """
    if settings.mock is None:
        raise NoDriverError("the site file has neither a `mock` nor a `kubernetes` section; one of them is needed")
    require_key_unless_loopback(host, settings.api_key)
    with listen(host, port) as bound:
        stopping = stop_event()
        folder = settings.state_dir
        open_folder(folder)
        mock = settings.mock
        run = load_run(folder) or _new_run(settings, mock.seed)
        save_run(folder, run)
        start, now, series = datetime.fromisoformat(run.start), datetime.now(UTC), open_series(settings)
        with contextlib.closing(SqlStore.open(settings.store_url)) as store:
            store.prune(datetime.now(UTC) - KEPT)
            async with (
                running_devices(
                    settings.site,
                    folder,
                    wall_clock(),
                    seed=mock.seed,
                    nodes_per_exporter=mock.nodes_per_exporter,
                    pue=await pue_by_time(settings.site, series.weather, now, now + WEATHER_AHEAD),
                    stopping=stopping,
                    console=console,
                ) as devices,
                httpx.AsyncClient(trust_env=False) as client,
            ):
                if stopping.is_set():
                    return
                metrics = open_metrics(settings, folder / "targets", client, wall_clock())
                jobs = job_stream(settings.site, start, start + JOBS_AHEAD, mock.seed)
                live = LiveSite(
                    settings.site,
                    wall_clock(),
                    Sources(open_prices(settings, client), series, metrics),
                    devices,
                    store,
                    Simulated(SimulatedTenants(jobs, devices)),
                    spans=spans,
                )
                async with serving(live, bound, settings.api_key):
                    live.start()
                    log.info("answers at %s", url_of(bound))
                    console.print(f"[bold green]Look at {url_of(bound)}[/]  ({settings.site.name}; Ctrl-C ends it)")
                    await stopping.wait()
                    log.info("stopping")
                    console.print("Stopping: jobs write their checkpoints, devices end ...")
                    await live.pause()
                await metrics.close()


def _new_run(settings: Settings, seed: int) -> Run:
    now = datetime.now(UTC)
    return Run(
        site=settings.site.name,
        day="",
        speed=1.0,
        seed=seed,
        start=now.isoformat(),
        wall_origin=time.time(),
    )
