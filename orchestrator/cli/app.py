"""`wattshift check | demo | serve | backtest | status | plan | curtail | unaccounted | log-level`.

Commands import what they need when they run, so that `check` and `status` answer at once.
"""

from typing import Annotated

import typer

from orchestrator import __version__
from orchestrator.cli.asking import asking
from orchestrator.cli.backtesting import backtesting
from orchestrator.cli.checking import checking
from orchestrator.cli.running import running
from orchestrator.cli.unaccounted import unaccounted
from orchestrator.runtime.client.terminal import console
from orchestrator.runtime.observability import logs

app = typer.Typer(
    help="Wattshift moves power between mining and HPC jobs on a site with one grid connection.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
for group in (checking, running, backtesting, asking):
    app.add_typer(group)
app.add_typer(unaccounted, name="unaccounted")


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
