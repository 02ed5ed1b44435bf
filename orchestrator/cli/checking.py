"""The command that reads a site file, and on demand asks its telemetry: `wattshift check`."""

import logging
from pathlib import Path
from typing import Annotated

import typer

from orchestrator.runtime.client.terminal import console
from orchestrator.runtime.example import example_site

checking = typer.Typer()


@checking.command()
def check(
    site: Annotated[Path | None, typer.Argument(help="The site file; the example site when left out.")] = None,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON Schema of site files instead.")] = False,
    telemetry: Annotated[
        bool,
        typer.Option("--telemetry", help="Ask the live source instead what it has of each device."),
    ] = False,
) -> None:
    """Print a site file as tables with totals, or every error in it (exit code 2).

    With --telemetry: every device with what is found, missing, old or suspect, and the line of the mapping (exit code 1
    unless all is there).
    """
    from orchestrator.runtime.check import check as check_site
    from orchestrator.runtime.check import check_source
    from orchestrator.settings import settings_schema

    if schema:
        console.print_json(data=settings_schema())
        return
    if telemetry:
        logging.getLogger("orchestrator").addHandler(logging.NullHandler())  # what is wrong is printed anyway
        raise typer.Exit(check_source(site or example_site(), console))
    raise typer.Exit(check_site(site or example_site(), console))
