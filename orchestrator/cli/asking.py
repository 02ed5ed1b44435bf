"""The commands that ask a running controller, or order it: `wattshift status | plan | curtail | log-level`.

They import what they need when they run, as all commands do.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from orchestrator.runtime.client.terminal import console, refuse

asking = typer.Typer()

Url = Annotated[str, typer.Option(envvar="WATTSHIFT_URL", help="Where the controller's API is.")]
HERE = "http://127.0.0.1:8080"


@contextmanager
def api_key() -> Iterator[str | None]:
    """The API key to ask with. What the controller refuses while the block runs ends the command."""
    from orchestrator.runtime.client.client import ClientError

    try:
        yield os.environ.get("WATTSHIFT_API_KEY")
    except ClientError as problem:
        refuse(problem)


@asking.command()
def status(url: Url = HERE) -> None:
    """Print what the site draws, earns and does now."""
    from orchestrator.runtime.client.client import show_status

    with api_key() as key:
        show_status(url, key, console)


@asking.command()
def plan(url: Url = HERE) -> None:
    """Print what the site plans for the next 24 hours, and how good that provably is."""
    from orchestrator.runtime.client.plan_table import show_plan

    with api_key() as key:
        show_plan(url, key, console)


@asking.command()
def curtail(
    feeder: Annotated[str | None, typer.Option(help="Where it holds; the whole site when left out.")] = None,
    limit_mw: Annotated[float | None, typer.Option(help="Stay at or under this, in MW.")] = None,
    shed_mw: Annotated[float | None, typer.Option(help="Shed this from what is measured now, in MW.")] = None,
    minutes: Annotated[float, typer.Option(help="For how long, in minutes of site time.")] = 60.0,
    reason: Annotated[str, typer.Option(help="Why; it goes on record.")] = "ordered from the command line",
    cancel: Annotated[str | None, typer.Option(help="Cancel the order with this id instead.")] = None,
    url: Url = HERE,
) -> None:
    """Order the site or a feeder to stay under a limit for a while, or cancel such an order."""
    from orchestrator.runtime.client.client import cancel_order, send_order

    with api_key() as key:
        if cancel is not None:
            cancel_order(url, key, cancel, console)
        else:
            send_order(
                url,
                key,
                feeder=feeder,
                limit_mw=limit_mw,
                shed_mw=shed_mw,
                minutes=minutes,
                reason=reason,
                console=console,
            )


@asking.command()
def log_level(
    logger: Annotated[
        str | None, typer.Argument(help="Such as orchestrator.controller; all that have a level when left out.")
    ] = None,
    level: Annotated[str | None, typer.Argument(help="DEBUG, INFO, WARNING, ERROR or CRITICAL.")] = None,
    minutes: Annotated[float, typer.Option("--for", help="For how long, in minutes.")] = 60.0,
    url: Url = HERE,
) -> None:
    """Print what the controller says in its log, or change it for a while."""
    from orchestrator.runtime.client.log_level_client import change_level, show_levels

    with api_key() as key:
        if logger is None:
            show_levels(url, key, console)
        elif level is None:
            refuse(f"{logger}: a level is needed after it, such as DEBUG")
        else:
            change_level(url, key, logger, level.upper(), minutes, console)
