"""The command line: `wattshift demo | serve | status | plan | curtail | backtest | check`.

Commands import what they need when they run, so that `check` and `status` answer at once.
"""

import asyncio
import contextlib
import os
import shlex
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator import __version__
from orchestrator.app import logs
from orchestrator.app.example import example_site
from orchestrator.app.terminal import console, refuse
from orchestrator.cli_asking import asking

if TYPE_CHECKING:
    from orchestrator.app.spans import Spans

app = typer.Typer(
    help="Wattshift moves power between mining and HPC jobs on a site with one grid connection.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(asking)

FASTEST = 3600.0
"""Beyond an hour a second the wall's own delays are all that is seen; `max` is for that."""


def main() -> None:
    """Entry point of the `wattshift` command."""
    app()


def _version(wanted: bool) -> None:
    if wanted:
        console.print(f"wattshift {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    log_format: Annotated[
        logs.Format, typer.Option(envvar="WATTSHIFT_LOG_FORMAT", help="What the log on standard error looks like.")
    ] = "text",
    log_level: Annotated[
        logs.Level | None,
        typer.Option(
            envvar="WATTSHIFT_LOG_LEVEL",
            case_sensitive=False,
            help="What it says at least; INFO for json and WARNING for text when left out.",
        ),
    ] = None,
) -> None:
    del version
    logs.configure(log_format, log_level)


@contextlib.contextmanager
def _refusals() -> Iterator[None]:
    """Input that cannot be worked with ends in its own words and exit code 2, never in a traceback."""
    from orchestrator.adapters.prices.faults import DataFileError
    from orchestrator.adapters.store import StoreError
    from orchestrator.adapters.traces.nonsense import TraceError
    from orchestrator.api.guard import KeyRequiredError
    from orchestrator.app.backtest_inputs import BacktestError
    from orchestrator.app.day import DayError
    from orchestrator.app.devices import DevicesError
    from orchestrator.app.http_server import PortError
    from orchestrator.app.processes import ProcessError
    from orchestrator.app.run_folder import RunFolderError
    from orchestrator.app.serve import NoDriverError
    from orchestrator.backtest.market import MarketError
    from orchestrator.backtest.records import RecordsError
    from orchestrator.backtest.scaling import ScalingError
    from orchestrator.settings import SettingsError

    try:
        yield
    except (BacktestError, MarketError, ProcessError, RecordsError, ScalingError, TraceError) as problem:
        refuse(problem)
    except (DataFileError, DayError, KeyRequiredError, NoDriverError, PortError) as problem:
        refuse(problem)
    except (DevicesError, RunFolderError, SettingsError, StoreError) as problem:
        refuse(problem)


@contextlib.contextmanager
def _watched(site: str) -> Iterator["Spans | None"]:
    """A live site with its name in the log, and traced where OpenTelemetry's variables say so."""
    from orchestrator.app.tracing import open_tracing

    logs.context.site = site
    with open_tracing(site, os.environ) as spans:
        yield spans


@app.command()
def check(
    site: Annotated[Path | None, typer.Argument(help="The site file; the example site when left out.")] = None,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON Schema of site files instead.")] = False,
) -> None:
    """Print a site file as tables with totals, or every error in it (exit code 2)."""
    from orchestrator.check import check as check_site
    from orchestrator.settings import settings_schema

    if schema:
        console.print_json(data=settings_schema())
        return
    raise typer.Exit(check_site(site or example_site(), console))


@app.command()
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
    _check_writable(json_file)
    with _refusals():
        from orchestrator.app.demo import Options, choose_day, conclude, opening, play_virtual
        from orchestrator.app.demo_live import play_live
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
        conclude(figures, json_file, console)


@app.command()
def serve(
    site: Annotated[Path, typer.Argument(help="The site file.")],
    host: Annotated[str, typer.Option(help="Address to serve the API and the console on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to serve on.")] = 8080,
) -> None:
    """Control a site in real time, until it is stopped."""
    with _refusals():
        from orchestrator.settings import load_settings

        settings = load_settings(site, os.environ)
        console.quiet = logs.as_json()  # the log says the same
        with _watched(settings.site.name) as spans:
            if settings.kubernetes is not None:
                from orchestrator.adapters.cluster.driver import ClusterSite
                from orchestrator.app.serve_cluster import serve_cluster

                asyncio.run(serve_cluster(settings, host, port, console, open_driver=ClusterSite, spans=spans))
            else:
                from orchestrator.app.serve import serve as serve_site

                asyncio.run(serve_site(settings, host, port, console, spans=spans))


@app.command()
def backtest(
    more_prices: Annotated[list[Path] | None, typer.Argument(metavar="[FILE]...", help="More price files.")] = None,
    site: Annotated[Path | None, typer.Option(help="Site file; the example site of 100 MW when left out.")] = None,
    prices: Annotated[
        list[Path] | None, typer.Option(help="Price file, or several: --prices A B. The site's own when left out.")
    ] = None,
    begin: Annotated[
        str | None, typer.Option("--from", help="First day, or time, site time; where prices begin when left out.")
    ] = None,
    end: Annotated[
        str | None, typer.Option("--to", help="First day, or time, that is not played any more; where prices end.")
    ] = None,
    hashprice: Annotated[Path | None, typer.Option(help="Hashprice file instead of the site file's.")] = None,
    trace: Annotated[
        Path | None, typer.Option(help="Job trace: CSV such as Philly's, or Standard Workload Format (.swf).")
    ] = None,
    jobs_a_month: Annotated[
        float | None, typer.Option(min=0, help="Jobs a month to make of the trace; as its load says when left out.")
    ] = None,
    strategies: Annotated[
        str, typer.Option(help="Of always-on, threshold=USD_PER_MWH, greedy, plan, perfect-prices.")
    ] = "always-on,threshold=80,greedy,plan,perfect-prices",
    cores: Annotated[int, typer.Option(min=1, help="Strategies played at a time.")] = os.cpu_count() or 1,
    seed: Annotated[int, typer.Option(help="Seed of what is drawn: tenants and pools of a trace's jobs.")] = 1,
    point: Annotated[str | None, typer.Option(help="Settlement point, for price files with several.")] = None,
    timezone: Annotated[
        str | None, typer.Option(help="Zone of times without an offset in price files; the site's when left out.")
    ] = None,
    usd_per_eur: Annotated[float | None, typer.Option(help="Rate for price files in EUR/MWh.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures here as JSON.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write a report here, one HTML file that stands alone.")] = None,
    records: Annotated[Path | None, typer.Option(help="Write every settled interval here as Parquet.")] = None,
) -> None:
    """Play strategies side by side on past prices and jobs, with a bound on what any could have earned."""
    for option, file in (("--json", json_file), ("--report", report), ("--records", records)):
        _check_writable(file, option)
    with _refusals():
        from orchestrator.app.backtest import backtest as run_backtest
        from orchestrator.app.backtest import write_results
        from orchestrator.app.backtest_inputs import request
        from orchestrator.settings import load_settings

        settings = load_settings(site or example_site(), os.environ)
        asked = request(
            settings,
            prices=(*(prices or ()), *(more_prices or ())),
            point=point,
            timezone=timezone,
            usd_per_eur=usd_per_eur,
            begin=begin,
            end=end,
            hashprice=hashprice,
            trace=trace,
            jobs_a_month=jobs_a_month,
            strategies=strategies,
            cores=cores,
            seed=seed,
            records=records,
            command=shlex.join(["wattshift", *sys.argv[1:]]),
        )
        write_results(run_backtest(settings, asked, console), json_file, report, console)


def _check_writable(file: Path | None, option: str = "--json") -> None:
    """Said at the start: at the end of a day is too late."""
    if file is not None and (file.is_dir() or not file.parent.is_dir()):
        refuse(f"{option} {file}: a file is needed, in a folder that is there")


def _speed(text: str) -> float:
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0 < speed <= FASTEST:
        refuse(f"--speed {text}: allowed are numbers above 0 up to {FASTEST:g}, and max")
    return speed


if __name__ == "__main__":
    main()
