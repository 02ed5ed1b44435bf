"""What is parked on the ledger, from the command line: listed, booked or written off."""

from uuid import uuid4

from rich.console import Console
from rich.markup import escape

from orchestrator.runtime.client.client import ClientError, ask


def show_unaccounted(url: str, api_key: str | None, console: Console) -> None:
    """Print what is parked of each meter, and what was accounted for. Raises ClientError."""
    document = ask("GET", url, "/api/v1/unaccounted", api_key)
    if not document["meters"]:
        console.print("Nothing is parked.")
    for parked in document["meters"]:
        amount = f"{parked['amount']:.6g} {parked['unit']}"
        told = f"{parked['meter']}: {amount} parked since {parked['since']}: {parked['reason']}"
        console.print(escape(told), soft_wrap=True)
    for done in document["resolutions"]:
        console.print(_told(done), soft_wrap=True)


def resolve(
    url: str,
    api_key: str | None,
    meter: str,
    order: dict[str, object],
    resolution_id: str | None,
    console: Console,
) -> None:
    """Book or write off what is parked of `meter`, as it is seen now. Raises ClientError.

    With the id of one that is on record it is answered by that one, and nothing is changed.
    """
    known = ask("GET", url, "/api/v1/unaccounted", api_key)
    parked = next((it["amount"] for it in known["meters"] if it["meter"] == meter), None)
    if parked is None and resolution_id is None:
        names = ", ".join(it["meter"] for it in known["meters"]) or "none"
        raise ClientError(f"{meter}: nothing is parked of such a meter; of these there is: {names}")
    body = {"meter": meter, "parked": parked, **order}
    path = f"/api/v1/unaccounted/resolutions/{resolution_id or uuid4()}"
    console.print(_told(ask("PUT", url, path, api_key, body)), soft_wrap=True)


def _told(done: dict[str, object]) -> str:
    what = (
        "written off"
        if done["way"] == "write_off"
        else f"booked as {done['booked']:.6g}: cost {done['cost_usd']:.2f} USD, revenue {done['revenue_usd']:.2f} USD"
    )
    return escape(
        f"{done['at']} {done['meter']}: {done['parked']:.6g} parked, {what}, by {done['person']}: {done['reason']} "
        f"({done['id']})"
    )
