"""`wattshift unaccounted list | book | write-off`: what counters said and cannot be true."""

from typing import Annotated

import typer

from orchestrator.cli.asking import HERE, Url, api_key
from orchestrator.runtime.client.terminal import console

unaccounted = typer.Typer(
    no_args_is_help=True, help="What counters said and cannot be true: list it, and account for it."
)

Meter = Annotated[str, typer.Argument(help="As `list` names it: 'asic_energy_joules_total s21/rack-3'.")]
Reason = Annotated[str, typer.Option(help="Why; it goes on record.")]
Person = Annotated[str, typer.Option("--by", help="Who accounts for it; it goes on record.")]
Id = Annotated[
    str | None,
    typer.Option("--id", help="Its id on record: the same again does nothing twice. One is made up if left out."),
]


@unaccounted.command("list")
def list_(url: Url = HERE) -> None:
    """Print what is parked of each meter, and what was accounted for."""
    from orchestrator.runtime.client.unaccounted_client import show_unaccounted

    with api_key() as key:
        show_unaccounted(url, key, console)


@unaccounted.command()
def book(
    meter: Meter,
    reason: Reason,
    by: Person,
    amount: Annotated[
        float | None,
        typer.Option(help="MWh (PH/s-days of a hash meter), before cooling; what is parked when left out."),
    ] = None,
    resolution_id: Id = None,
    url: Url = HERE,
) -> None:
    """Book what is parked as that meter's, at the prices of the intervals in which it was parked."""
    _resolve(url, meter, {"way": "book", "amount": amount, "reason": reason, "person": by}, resolution_id)


@unaccounted.command("write-off")
def write_off(meter: Meter, reason: Reason, by: Person, resolution_id: Id = None, url: Url = HERE) -> None:
    """Write off what is parked: it is no energy and no money, for good."""
    _resolve(url, meter, {"way": "write_off", "reason": reason, "person": by}, resolution_id)


def _resolve(url: str, meter: str, order: dict[str, object], resolution_id: str | None) -> None:
    from orchestrator.runtime.client.unaccounted_client import resolve

    with api_key() as key:
        resolve(url, key, meter, order, resolution_id, console)
