"""The commands that control a site: `wattshift demo | serve`."""

import asyncio
import contextlib
import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.refusals import check_writable, refusals
from orchestrator.runtime.client.terminal import console, refuse
from orchestrator.runtime.example import example_site
from orchestrator.runtime.observability import logs

if TYPE_CHECKING:
    from orchestrator.runtime.observability.spans import Spans

running = typer.Typer()

FASTEST = 3600.0
"""Beyond an hour a second the wall's own delays are all that is seen; `max` is for that."""


@contextlib.contextmanager
def _watched(site: str) -> Iterator["Spans | None"]:
    """A live site with its name in the log, and traced where OpenTelemetry's variables say so."""
    from orchestrator.runtime.observability.tracing import open_tracing

    logs.context.site = site
    with open_tracing(site, os.environ) as spans:
        yield spans


@running.command()
def demo(
    site: Annotated[Path | None, typer.Option(help="Site file; the example site of 100 MW when left out.")] = None,
    day: Annotated[Path | None, typer.Option(help="Price file to play instead of the site file's.")] = None,
    on: Annotated[
        datetime | None,
        typer.Option("--date", formats=["%Y-%m-%d"], help="Local day of the price file; its dearest when left out."),
    ] = None,
    point: Annotated[str | None, typer.Option(help="Settlement point, for a price file with several.")] = None,
    timezone: Annotated[
        str | None, typer.Option(help="Zone of times without an offset in the price file; the site's when left out.")
    ] = None,
    usd_per_eur: Annotated[float | None, typer.Option(help="Rate for a price file in EUR/MWh.")] = None,
    speed: Annotated[
        str, typer.Option(help="Site seconds a wall second, or `max`: in one process on a virtual clock.")
    ] = "60",
    begin: Annotated[
        str | None,
        typer.Option("--from", help="`event` (shortly before it), `start` of the day, or a local time HH:MM."),
    ] = None,
    until_end: Annotated[bool, typer.Option("--until-end", help="End with the day rather than on Ctrl-C.")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures here as JSON.")] = None,
    host: Annotated[str, typer.Option(help="Address to serve the console on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to serve the console on.")] = 8080,
    headless: Annotated[bool, typer.Option("--headless", help="Open no browser.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of the simulated devices and jobs.")] = 1,
    state: Annotated[Path, typer.Option(help="Folder of the run's record.")] = Path(".wattshift/demo"),
    fresh: Annotated[bool, typer.Option("--fresh", help="Begin anew where a run was cut off.")] = False,
) -> None:
    """Play a real price day on a mock site and show what it came to."""
    factor = None if speed == "max" else _speed(speed)
    check_writable(json_file)
    with refusals():
        from orchestrator.runtime.demo.demo import Options, choose_day, conclude, opening, play_virtual
        from orchestrator.runtime.demo.demo_live import play_live
        from orchestrator.settings import load_settings

        site_file = site or example_site()
        settings = load_settings(site_file, os.environ)
        price_day = choose_day(
            settings,
            day,
            on.date() if on is not None else None,
            point=point,
            timezone=timezone,
            usd_per_eur=usd_per_eur,
        )
        options = Options(
            site_file=site_file,
            day=price_day,
            start=opening(price_day, settings, begin or ("start" if factor is None else "event")),
            speed=factor,
            seed=seed,
            until_end=until_end,
            headless=headless,
            host=host,
            port=port,
            state=state,
            fresh=fresh,
        )
        if factor is None:
            figures = asyncio.run(play_virtual(settings, options, console))
        else:
            with _watched(settings.site.name) as spans:
                figures = asyncio.run(play_live(settings, options, factor, console, spans=spans))
        conclude(figures, settings.site.grid.charges, json_file, console)


@running.command()
def serve(
    site: Annotated[Path, typer.Argument(help="The site file.")],
    host: Annotated[str, typer.Option(help="Address to serve the API and the console on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to serve on.")] = 8080,
) -> None:
    """Control a site in real time, until it is stopped."""
    with refusals():
        from orchestrator.settings import load_settings

        settings = load_settings(site, os.environ)
        console.quiet = logs.as_json()  # the log says the same
        with _watched(settings.site.name) as spans:
            if settings.kubernetes is not None:
                from orchestrator.adapters.workloads.kubernetes.driver import ClusterSite
                from orchestrator.runtime.ha.serve_cluster import serve_cluster

                asyncio.run(serve_cluster(settings, host, port, console, open_driver=ClusterSite, spans=spans))
            else:
                from orchestrator.runtime.serve import serve as serve_site

                asyncio.run(serve_site(settings, host, port, console, spans=spans))


def _speed(text: str) -> float:
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0 < speed <= FASTEST:
        refuse(f"--speed {text}: allowed are numbers above 0 up to {FASTEST:g}, and max")
    return speed
