"""`wattshift check`: the site as tables with totals, or every error in its files. Starts nothing.

With `--telemetry` the live source is asked as well.
"""

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.text import Text

from orchestrator.clock import wall_clock
from orchestrator.runtime.check.inputs import InputError, read_inputs
from orchestrator.runtime.check.tables import site_tables
from orchestrator.runtime.check.telemetry import check_telemetry
from orchestrator.settings import SettingsError, load_settings

WAIT_S = 15.0
"""On the wall: as long as it may take until a source has answered for every device."""


def check(path: Path, console: Console, env: Mapping[str, str] = os.environ) -> int:
    """Prints the site of the file at `path`, or every error with file, line, key, value and what is allowed.

    Returns 0, or 2 if there is an error. The price, hashprice and weather files it names are read through as well.
    """
    try:
        settings = load_settings(path, env)
        inputs = read_inputs(settings)
    except SettingsError as error:
        return _print_errors([str(problem) for problem in error.problems], console)
    except InputError as error:
        return _print_errors(error.lines, console)
    for table in site_tables(settings, inputs):
        console.print(table)
    for warning in settings.warnings:
        console.print(Text.assemble(("warning ", "yellow"), f"{path}: {warning}"), soft_wrap=True)
    console.print(Text.assemble((str(path), "bold"), " is sound"), soft_wrap=True)
    return 0


def check_source(path: Path, console: Console, env: Mapping[str, str] = os.environ, wait_s: float = WAIT_S) -> int:
    """Prints what the telemetry source that the file names says of every device.

    Returns 0 if all is there, 1 if something is missing, old or suspect, 2 for an error in the file.
    """
    try:
        settings = load_settings(path, env)
    except SettingsError as error:
        return _print_errors([str(problem) for problem in error.problems], console)
    return asyncio.run(check_telemetry(settings, settings.state_dir / "targets", console, wall_clock(), wait_s))


def _print_errors(lines: list[str], console: Console) -> int:
    for line in lines:
        place, _, rest = line.partition(": ")
        # one line each whatever the width, so that editors and grep can follow it
        console.print(Text.assemble((place, "bold red"), ": ", rest), soft_wrap=True)
    console.print(Text(f"{len(lines)} error{'s' if len(lines) > 1 else ''}", "bold red"))
    return 2
