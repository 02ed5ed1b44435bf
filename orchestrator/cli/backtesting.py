"""The command that plays strategies on the past: `wattshift backtest`."""

import os
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.refusals import check_writable, refusals
from orchestrator.runtime.client.terminal import console
from orchestrator.runtime.example import example_site

backtesting = typer.Typer()


@backtesting.command()
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
        check_writable(file, option)
    with refusals():
        from orchestrator.runtime.backtest.backtest import backtest as run_backtest
        from orchestrator.runtime.backtest.backtest import write_results
        from orchestrator.runtime.backtest.backtest_inputs import Asked, request
        from orchestrator.settings import load_settings

        settings = load_settings(site or example_site(), os.environ)
        asked = Asked(
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
        write_results(run_backtest(settings, request(settings, asked), console), json_file, report, console)
