"""The command line as a client of a running controller's API."""

from collections.abc import Mapping
from typing import Any

import httpx
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from orchestrator.domain.units import power_text

TIMEOUT_S = 10.0


class ClientError(Exception):
    """The controller did not answer, or refused; the text says which and why."""


def show_status(url: str, api_key: str | None, console: Console) -> None:
    """Print the site's state, its fleets with their reasons, and what is wrong."""
    state = ask("GET", url, "/api/v1/state", api_key)
    observed = state["observed"]
    console.print(f"[bold]{state['site']}[/]  {state['clock']['now']}")
    if observed is None:
        console.print("The first observation is not made yet.")
        return
    price, grid = observed["price"], observed["grid"]
    console.print(
        f"{price['usd_per_mwh']:.2f} USD/MWh ({price['basis']}), {power_text(grid['power_kw'])} of "
        f"{power_text(grid['limit_kw'])} ({grid['source']}): mining {power_text(observed['mining_kw'])}, "
        f"HPC {power_text(observed['hpc_kw'])}, overhead {power_text(observed['overhead_kw'])}"
    )
    console.print(f"grid power: {grid['text']}", soft_wrap=True)
    for feeder in observed["feeders"]:
        if feeder["assumed_kw"] or feeder["suspect_readings"]:
            console.print(f"{feeder['name']}: {power_text(feeder['power_kw'])}, {feeder['text']}", soft_wrap=True)
    if charges := list(observed["charges"].values()):
        texts, marginal = "; ".join(charge["text"] for charge in charges), charges[0]["marginal_usd_per_mwh"]
        console.print(f"{texts}; one more kWh is at {marginal:.2f} USD/MWh", soft_wrap=True)
    for meter in observed["meters"]:
        console.print(_meter_text(meter))
    table = Table("fleet", "racks", "power", "why")
    for fleet in ask("GET", url, "/api/v1/fleets", api_key)["fleets"]:
        racks = ", ".join(f"{count} {mode}" for mode, count in fleet["racks_by_mode"].items() if count)
        table.add_row(fleet["name"], racks, _fleet_power(fleet), escape(fleet["reason"] or ""))
    console.print(table)
    for breach in observed["breaches"]:
        console.print(f"[red]{breach['kind']}[/] {breach['subject']}: {escape(breach['detail'])}", soft_wrap=True)
    for order in state["curtailments"]:
        held = f"{_place(order)} curtailed to {power_text(order['limit_kw'])} until {order['until']}"
        console.print(f"{held}: {escape(order['reason'])} ({order['id']})", soft_wrap=True)
    _show_readings(observed, console)


def _show_readings(observed: Mapping[str, Any], console: Console) -> None:
    """What is wrong with readings, and what becomes of the site meanwhile."""
    for hold in observed["holds"]:
        console.print(f"[yellow]{escape(hold['text'])}[/]", soft_wrap=True)
    texts = [
        *(("no readings", f"{source}: {why}") for source, why in observed["sources"].items()),
        *(("in part", note) for note in observed["partial"].values()),
        *(("suspect", f"{device}: {why}") for device, why in observed["suspect"].items()),
        *(
            ("unexplained", f"{rack}: {power_text(more_kw)} beyond its setpoint")
            for rack, more_kw in observed["unexplained_kw"].items()
        ),
    ]
    for title, text in texts:
        console.print(f"[yellow]{title}[/] {escape(text)}", soft_wrap=True)
    if observed["estimated"]:
        console.print(f"energy estimated from power: {', '.join(observed['estimated'][:10])}", soft_wrap=True)
    if observed["stale"]:
        console.print(f"stale: {', '.join(observed['stale'][:10])}", soft_wrap=True)


def _fleet_power(fleet: Mapping[str, Any]) -> str:
    """Its figure, and how much of it nobody measured."""
    assumed = f"\n{power_text(fleet['assumed_kw'])} assumed" if fleet["assumed_kw"] else ""
    return power_text(fleet["power_kw"]) + assumed


def _meter_text(meter: Mapping[str, Any]) -> str:
    if meter["power_kw"] is None:
        return f"meter {meter['name']}: {meter['quality']}"
    more = "more" if meter["residual_kw"] >= 0.0 else "less"
    residual = f"{power_text(abs(meter['residual_kw']))} {more} than its devices"
    return (
        f"meter {meter['name']}: {power_text(meter['power_kw'])}, {residual} ({meter['residual_mwh']:.1f} MWh in 24 h)"
    )


def send_order(
    url: str,
    api_key: str | None,
    *,
    feeder: str | None,
    limit_mw: float | None,
    shed_mw: float | None,
    minutes: float,
    reason: str,
    console: Console,
) -> None:
    """Order a curtailment, of the site where no feeder is named, and print its id."""
    order: dict[str, object] = {"for_minutes": minutes, "reason": reason}
    if feeder is not None:
        order["feeder"] = feeder
    if limit_mw is not None:
        order["limit_kw"] = limit_mw * 1000.0
    if shed_mw is not None:
        order["shed_kw"] = shed_mw * 1000.0
    made = ask("POST", url, "/api/v1/curtailments", api_key, order)
    console.print(f"{made['id']}: {_place(made)} at most {power_text(made['limit_kw'])} until {made['until']}")


def _place(order: Any) -> str:
    return "site" if order["feeder"] is None else f"feeder {order['feeder']}"


def cancel_order(url: str, api_key: str | None, order_id: str, console: Console) -> None:
    """Cancel an order."""
    ask("DELETE", url, f"/api/v1/curtailments/{order_id}", api_key)
    console.print(f"{order_id} is cancelled")


def ask(method: str, url: str, path: str, api_key: str | None, body: object = None) -> Any:
    """The answer's document; None where it has none. Raises ClientError."""
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    try:
        response = httpx.request(
            method, url.rstrip("/") + path, json=body, headers=headers, timeout=TIMEOUT_S, trust_env=False
        )
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ClientError(f"{url}: no controller answers there ({error}); name another with --url") from error
    if response.is_error:
        raise ClientError(_problem(response))
    return response.json() if response.content else None


def _problem(response: httpx.Response) -> str:
    try:
        problem = response.json()
        return f"{problem['title']}: {problem.get('detail', '')}"
    except (ValueError, KeyError):
        return f"{response.url}: HTTP {response.status_code}"
