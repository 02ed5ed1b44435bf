"""What the command line says: results on standard output, refusals on standard error."""

import logging
from typing import Never

import typer
from rich.console import Console

from orchestrator.runtime.observability import logs

console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)

EXIT_BAD_INPUT = 2

log = logging.getLogger(__name__)


def refuse(problem: object) -> Never:
    """End with exit code 2 and the problem in its own words, as a line of the log where that is JSON."""
    if logs.as_json():
        log.critical("%s", problem)
    else:
        errors.print("[bold red]error:[/]", end=" ")
        errors.print(str(problem), soft_wrap=True, markup=False)
    raise typer.Exit(EXIT_BAD_INPUT)
