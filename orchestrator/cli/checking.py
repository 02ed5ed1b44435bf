"""The command that reads a site file and nothing else: `wattshift check`."""

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
) -> None:
    """Print a site file as tables with totals, or every error in it (exit code 2)."""
    from orchestrator.runtime.check import check as check_site
    from orchestrator.settings import settings_schema

    if schema:
        console.print_json(data=settings_schema())
        return
    raise typer.Exit(check_site(site or example_site(), console))
