"""The mock site's processes around a controller: started before it, ended after it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from orchestrator.adapters.workloads.processes.process_site import ProcessSite
from orchestrator.adapters.workloads.processes.site_meters import PueByTime
from orchestrator.clock import SiteClock
from orchestrator.domain.site.site import Site
from orchestrator.runtime.demo.run_folder import STOP_WITHIN_S


class DevicesError(Exception):
    """A device could not be started, or what an earlier run left cannot be read; the text says which and why."""


@contextlib.asynccontextmanager
async def running_devices(
    site: Site,
    folder: Path,
    clock: SiteClock,
    *,
    seed: int,
    nodes_per_exporter: int,
    pue: PueByTime,
    stopping: asyncio.Event,
    console: Console,
) -> AsyncIterator[ProcessSite]:
    """The devices while the block runs. Those of an earlier controller are taken over.

    `pue` is what the simulated meters go by. `stopping` ends the wait for the devices; the block is entered all the
    same, and finds it set.
    """
    try:
        devices = ProcessSite(site, folder, clock, seed, nodes_per_exporter=nodes_per_exporter, pue=pue)
    except ValueError as error:
        raise DevicesError(str(error)) from error
    try:
        with progress_bar(console) as progress:
            task = progress.add_task("devices", total=None)
            starting = asyncio.create_task(
                devices.start(lambda started, total: progress.update(task, completed=started, total=total))
            )
            stopped = asyncio.create_task(stopping.wait())
            await asyncio.wait({starting, stopped}, return_when=asyncio.FIRST_COMPLETED)
            stopped.cancel()
            if not starting.done():
                starting.cancel()
            try:
                await starting
            except RuntimeError as error:
                raise DevicesError(str(error)) from error
            except asyncio.CancelledError:
                if not stopping.is_set():
                    raise
        yield devices
    finally:
        await devices.stop(STOP_WITHIN_S)


def progress_bar(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description:>12}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        console=console,
    )
