"""What a day came to: energy, money, promises and reactions, all read from the store."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from math import ceil
from statistics import median
from typing import Any

from rich.table import Table

from orchestrator.accounting.billing import JobRecord
from orchestrator.accounting.ledger import totals
from orchestrator.domain.charge import Charge
from orchestrator.domain.decision import Decision, Direction, Outcome, OutcomeState, Trigger
from orchestrator.domain.site.site import Site
from orchestrator.domain.sla import SlaClass
from orchestrator.domain.units import INSTANT
from orchestrator.ports import Store

PAGE = 500
LONGEST_INTERVAL = timedelta(hours=1)


def report(store: Store, site: Site, start: datetime, end: datetime) -> dict[str, Any]:
    """The figures from `start` to `end`: money in USD to the cent, energy in kWh at the grid, times in site seconds.

    Ledger lines of intervals that begin before `end`, observations up to and at `end`.
    """
    lines = store.ledger(_line_start(start), end)
    sums = totals(lines)
    decisions = list(_decisions(store))
    records = store.restore(end).jobs
    observations = store.observations(start, end + INSTANT)
    return {
        "profit_usd": float(sums.profit_usd),
        "energy_cost_usd": float(sums.energy_cost_usd),
        **{f"{charge.name}_usd": float(sums.charges_usd.get(charge.name, 0)) for charge in site.grid.charges},
        **({} if sums.residual_kwh is None else _residual(sums.residual_kwh, sums.residual_usd)),
        "sla_credits_usd": float(sums.sla_credits_usd),
        "revenue_usd": {str(account): float(usd) for account, usd in sums.revenue_usd.items()},
        "energy_kwh": {str(account): round(kwh, 3) for account, kwh in sums.energy_kwh.items()},
        "seconds_above_limit": round(sum(seen.above_limit_s for seen in observations), 3),
        "highest_grid_kw": round(max((seen.grid_kw for seen in observations), default=0.0), 1),
        "interruptions": {_key(sla): _interruptions(site, records, sla) for sla in SlaClass},
        "jobs": {_key(sla): _outcomes(site, records, sla) for sla in SlaClass},
        "decisions": len(decisions),
        "actions": sum(len(decision.actions) for decision, _ in decisions),
        "breaches": len(store.breaches(start, end + INSTANT)),
        "reaction_seconds": _reactions(decisions),
        "observations": len(observations),
    }


def _residual(kwh: float, usd: Decimal) -> dict[str, float]:
    """Of a site that is billed by a meter: what it counted beyond all that is booked. Part of the energy cost."""
    return {"residual_kwh": round(kwh, 3), "residual_usd": float(usd)}


def _line_start(start: datetime) -> datetime:
    """The day may open inside a price interval, whose line starts before it; the longest takes an hour."""
    return start - LONGEST_INTERVAL


def _key(sla: SlaClass) -> str:
    return sla.value.replace("-", "_")


def _interruptions(site: Site, records: Iterable[JobRecord], sla: SlaClass) -> int:
    return sum(record.interruptions for record in records if site.tenant(record.tenant).sla is sla)


def _outcomes(site: Site, records: Iterable[JobRecord], sla: SlaClass) -> Mapping[str, int]:
    counts = dict.fromkeys(("on_time", "late", "failed", "open"), 0)
    for record in records:
        if site.tenant(record.tenant).sla is sla:
            counts[record.outcome] += 1
    return counts


def _decisions(store: Store) -> Iterable[tuple[Decision, tuple[Outcome, ...]]]:
    before: str | None = None
    while page := store.decisions(PAGE, before):
        yield from page
        before = page[-1][0].id


def _reactions(decisions: Sequence[tuple[Decision, tuple[Outcome, ...]]]) -> dict[str, Any]:
    """From a new price or order being known to its last power-down acknowledged, and seen in the meter."""
    acknowledged: list[float] = []
    measured: list[float] = []
    for decision, outcomes in decisions:
        if decision.trigger not in (Trigger.PRICE, Trigger.CURTAILMENT):
            continue
        downs = {action.id for action in decision.actions if action.direction is Direction.DOWN}
        if not downs:
            continue
        mine = [outcome for outcome in outcomes if outcome.action_id in downs]
        acks = [outcome.acknowledged_at for outcome in mine if outcome.acknowledged_at is not None]
        seen = [outcome.measured_at for outcome in mine if outcome.state is OutcomeState.MEASURED]
        if len(acks) == len(downs):
            acknowledged.append((max(acks) - decision.trigger_at).total_seconds())
        if len(seen) == len(downs):
            measured.append((max(at for at in seen if at is not None) - decision.trigger_at).total_seconds())
    return {
        "clock": "site seconds from a new price or order to its last power-down",
        "acknowledged": _spread(acknowledged),
        "measured": _spread(measured),
    }


def _spread(seconds: Sequence[float]) -> dict[str, float | int | None]:
    ordered = sorted(seconds)
    if not ordered:
        return {"median": None, "p99": None, "count": 0}
    return {
        "median": round(median(ordered), 3),
        "p99": round(ordered[ceil(0.99 * len(ordered)) - 1], 3),
        "count": len(ordered),
    }


def table(figures: Mapping[str, Any], charges: Iterable[Charge]) -> Table:
    """The report as a table: this site beside the always-on one; `charges` are the site's."""
    always_on = figures["always_on"]
    shown = Table(title=figures["title"], title_justify="left", caption=figures["note"], caption_justify="left")
    shown.add_column("")
    shown.add_column("Wattshift", justify="right")
    shown.add_column("always on", justify="right")
    for label, key in (
        ("profit, USD", ("profit_usd",)),
        ("revenue from mining, USD", ("revenue_usd", "mining")),
        ("revenue from HPC, USD", ("revenue_usd", "hpc")),
        ("energy cost, USD", ("energy_cost_usd",)),
        *((f"of it {charge.label} against market, USD", (f"{charge.name}_usd",)) for charge in charges),
        ("SLA credits, USD", ("sla_credits_usd",)),
        ("energy for mining, kWh", ("energy_kwh", "mining")),
        ("energy for HPC, kWh", ("energy_kwh", "hpc")),
        ("energy for cooling and losses, kWh", ("energy_kwh", "overhead")),
        ("seconds above a cap", ("seconds_above_limit",)),
        ("interruptions, guaranteed", ("interruptions", "guaranteed")),
        ("interruptions, flexible", ("interruptions", "flexible")),
        ("interruptions, best-effort", ("interruptions", "best_effort")),
        ("jobs on time / late, guaranteed", ("jobs", "guaranteed")),
        ("jobs on time / late, flexible", ("jobs", "flexible")),
        ("jobs on time / late, best-effort", ("jobs", "best_effort")),
        ("decisions", ("decisions",)),
        ("reaction acknowledged, median / p99 s", ("reaction_seconds", "acknowledged")),
        ("reaction measured, median / p99 s", ("reaction_seconds", "measured")),
    ):
        shown.add_row(label, _cell(figures, key), _cell(always_on, key))
    return shown


def _cell(figures: Mapping[str, Any], key: tuple[str, ...]) -> str:
    value: Any = figures
    for part in key:
        value = value[part]
    if isinstance(value, Mapping):
        if "on_time" in value:
            return f"{value['on_time']} / {value['late']}"
        return "-" if value["median"] is None else f"{value['median']:.1f} / {value['p99']:.1f}"
    return f"{value:,.2f}" if key[0].endswith("_usd") else f"{value:,.0f}"
