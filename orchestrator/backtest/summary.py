"""A backtest in figures: the JSON document, and the table of a terminal."""

from collections.abc import Callable, Iterable, Mapping
from math import isfinite
from typing import Any

from rich.console import Console, Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from orchestrator.backtest.figures import (
    Money,
    Month,
    capture,
    energy_mwh,
    limits_used,
    mean_price_usd_per_mwh,
    money,
    months,
    paid_usd_per_mwh,
)
from orchestrator.backtest.result import BacktestResult, SlaOutcome, Source, StrategyResult
from orchestrator.domain.charge import Charge
from orchestrator.domain.site.site import Site

JsonObject = dict[str, Any]


def document(result: BacktestResult) -> JsonObject:
    """The figures as JSON: money in USD to the cent, energy in MWh at the grid, finite numbers only.

    For each strategy `profit_usd` is `revenue_usd.mining` + `revenue_usd.hpc` - `energy_cost_usd` - `sla_penalty_usd`
    to the cent. `energy_cost_usd` is what the site paid, and `<name>_usd` of each of its charges (`ppa_usd` of a power
    block) says what that cost more than the market price of what was drawn. `unpaid_power_usd` is the cost of power
    beyond what was billed in the intervals in which a job's power cost more than it paid. Months are those of the
    site's time zone.
    """
    of_months = months(result.market, result.site.timezone)
    return {
        "site": result.site.name,
        "timezone": result.site.timezone,
        **{charge.name: charge.text for charge in result.site.grid.charges},
        "from": result.start.isoformat(),
        "to": result.end.isoformat(),
        "intervals": len(result.market),
        "step_seconds": result.market.step.total_seconds(),
        "seed": result.seed,
        "bound_usd": _rounded(result.bound_usd, 2),
        "bound_note": result.bound_note,
        "measurement_uncertainty": result.site.grid.measurement_uncertainty,
        "mean_price_usd_per_mwh": _rounded(mean_price_usd_per_mwh(result.market), 4) if len(result.market) else None,
        "strategies": {strategy.name: _strategy(result, strategy, of_months) for strategy in result.strategies},
        "months": [
            {
                "month": month.key,
                "whole": month.whole,
                "mean_price_usd_per_mwh": _rounded(mean_price_usd_per_mwh(result.market, month.rows), 4),
            }
            for month in of_months
        ],
        "forecast_skill": [
            {
                "hours_ahead": row.hours_ahead,
                "mae_usd_per_mwh": _rounded(row.mae_usd_per_mwh, 4),
                "pinball_usd_per_mwh": _rounded(row.pinball_usd_per_mwh, 4),
                "count": row.count,
            }
            for row in result.skill
        ],
        "inputs": {
            "prices": [_source(source) for source in result.prices],
            "hashprice": _source(result.hashprice),
            "weather": _source(result.weather),
            "trace": _source(result.trace) if result.trace is not None else None,
        },
        "warnings": list(result.warnings),
        "assumptions": list(result.assumptions),
        "versions": dict(result.versions),
        "command": result.command,
        "seconds": _rounded(result.seconds, 3),
        "peak_mb": _rounded(result.peak_mb, 1),
    }


def _strategy(result: BacktestResult, strategy: StrategyResult, of_months: tuple[Month, ...]) -> JsonObject:
    sums = money(strategy.series)
    share, why_not = capture(sums.profit, result)
    return {
        **_money(sums, result.site),
        "energy_mwh": _rounded(energy_mwh(strategy.series, result.market), 6),
        "paid_usd_per_mwh": _rounded(paid_usd_per_mwh(strategy.series, result.market), 4),
        "capture": _rounded(share, 6),
        **({"capture_note": why_not} if why_not else {}),
        "starts": sum(strategy.starts.values()),
        "starts_by_fleet": dict(strategy.starts),
        "job_starts": strategy.job_starts,
        "interruptions": strategy.interruptions,
        "windows_over_budget": strategy.windows_over_budget,
        "sla": {outcome.tenant: _outcome(result, outcome) for outcome in strategy.outcomes},
        "seconds_above_cap": _rounded(strategy.seconds_above_cap, 3),
        "highest_grid_kw": _rounded(strategy.highest_grid_kw, 3),
        "planner": _planner(strategy),
        "months": {
            month.key: {
                **_money(money(strategy.series, month.rows), result.site),
                "energy_mwh": _rounded(energy_mwh(strategy.series, result.market, month.rows), 6),
            }
            for month in of_months
        },
        "assumptions": list(strategy.assumptions),
        "seconds": _rounded(strategy.seconds, 3),
        "peak_mb": _rounded(strategy.peak_mb, 1),
    }


def _money(sums: Money, site: Site) -> JsonObject:
    return {
        "profit_usd": float(sums.profit),
        "revenue_usd": {"mining": float(sums.mining), "hpc": float(sums.hpc)},
        "energy_cost_usd": float(sums.energy_cost),
        **{f"{charge.name}_usd": float(sums.charges[charge.name]) for charge in site.grid.charges},
        "sla_penalty_usd": float(sums.credits),
    }


def _outcome(result: BacktestResult, outcome: SlaOutcome) -> JsonObject:
    return {
        "class": result.site.tenant(outcome.tenant).sla.value,
        "on_time": outcome.on_time,
        "late": outcome.late,
        "withdrawn": outcome.withdrawn,
        "failed": outcome.failed,
        "open": outcome.open,
        "interruptions": outcome.interruptions,
        "interruptions_per_hour": result.site.tenant(outcome.tenant).interruptions_per_hour,
        "most_interruptions_in_an_hour": outcome.most_in_an_hour,
        "windows_over_budget": outcome.windows_over_budget,
        "billed_gpu_hours": _rounded(outcome.billed_gpu_hours, 6),
        "penalty_usd": _rounded(outcome.credits_usd, 2),
        "unpaid_power_usd": _rounded(outcome.unpaid_power_usd, 2),
    }


def _planner(strategy: StrategyResult) -> JsonObject | None:
    facts = strategy.planner
    if facts is None:
        return None
    return {
        "plans": facts.plans,
        "late_plans": facts.late_plans,
        "mean_gap": _rounded(facts.mean_gap, 6),
        "worst_age_seconds": _rounded(facts.worst_age_s, 3),
        "mean_ms": _rounded(facts.mean_ms, 3),
        "p99_ms": _rounded(facts.p99_ms, 3),
    }


def _source(source: Source) -> JsonObject:
    return {"name": source.name, "detail": source.detail, "sha256": source.sha256 or None}


def _rounded(value: float | None, digits: int) -> float | None:
    """JSON has no infinity and no NaN: they are null."""
    return round(float(value), digits) if value is not None and isfinite(value) else None


Cell = Callable[[Mapping[str, Any]], str]

ROWS: tuple[tuple[str, Cell], ...] = (
    ("profit, USD", lambda of: f"{of['profit_usd']:,.2f}"),
    ("share of the bound", lambda of: "-" if of["capture"] is None else f"{of['capture']:.2%}"),
    ("revenue from mining, USD", lambda of: f"{of['revenue_usd']['mining']:,.2f}"),
    ("revenue from HPC, USD", lambda of: f"{of['revenue_usd']['hpc']:,.2f}"),
    ("energy cost, USD", lambda of: f"{of['energy_cost_usd']:,.2f}"),
    ("SLA penalty, USD", lambda of: f"{of['sla_penalty_usd']:,.2f}"),
    ("energy, MWh", lambda of: f"{of['energy_mwh']:,.0f}"),
    ("paid, USD/MWh", lambda of: "-" if of["paid_usd_per_mwh"] is None else f"{of['paid_usd_per_mwh']:,.2f}"),
    ("racks woken", lambda of: f"{of['starts']:,}"),
    ("job interruptions", lambda of: f"{of['interruptions']:,}"),
    ("jobs on time / late", lambda of: _jobs(of, "on_time", "late")),
    ("jobs withdrawn / open", lambda of: _jobs(of, "withdrawn", "open")),
    ("seconds above a cap", lambda of: f"{of['seconds_above_cap']:,.0f}"),
    ("took, s", lambda of: f"{of['seconds']:,.1f}"),
    ("peak memory, MiB", lambda of: f"{of['peak_mb']:,.0f}"),
)
"""Of the table: what a row shows of a strategy's figures."""
AFTER_ENERGY_COST = 1 + next(row for row, (label, _) in enumerate(ROWS) if label.startswith("energy cost"))
"""Where the rows of the charges go."""


def shown_in(figures: Mapping[str, Any], width: int, charges: Iterable[Charge] = ()) -> Group:
    """The document's strategies side by side, for `width` characters: those that do not fit follow in tables below.

    `charges` are the site's. A figure is never cut: where not even one strategy fits, it goes on in the next line.
    """
    rows = (*ROWS[:AFTER_ENERGY_COST], *map(_charge_row, charges), *ROWS[AFTER_ENERGY_COST:])
    left = list(figures["strategies"])
    tables: list[Table] = []
    while left or not tables:
        count = len(left)
        while count > 1 and _width(_table(figures, rows, left[:count])) > width:
            count -= 1
        tables.append(_table(figures, rows, left[:count]))
        left = left[count:]
    title = f"{figures['site']}, {figures['from'][:16]} to {figures['to'][:16]} UTC"
    bound = figures["bound_usd"]
    if bound is None:
        under = figures["bound_note"] or "no bound was worked out"
    else:
        limits = limits_used(figures["measurement_uncertainty"])
        under = f"bound: no decisions could have earned more than {bound:,.2f} USD within the site's {limits}"
    return Group(Text(title, style="italic"), *tables, Text(under, style="dim italic"))


def _width(table: Table) -> int:
    """Characters that it takes with nothing folded."""
    wide = Console(width=10_000)
    return wide.measure(table).maximum


def _charge_row(charge: Charge) -> tuple[str, Cell]:
    return f"of it {charge.label} against market, USD", lambda of: f"{of[f'{charge.name}_usd']:,.2f}"


def _table(figures: Mapping[str, Any], rows: Iterable[tuple[str, Cell]], names: list[str]) -> Table:
    shown = Table()
    shown.add_column("", overflow="fold")
    for name in names:
        shown.add_column(escape(name), justify="right", overflow="fold")
    for label, text in rows:
        shown.add_row(label, *(text(figures["strategies"][name]) for name in names))
    return shown


def _jobs(of: Mapping[str, Any], *ended: str) -> str:
    return " / ".join(f"{sum(outcome[how] for outcome in of['sla'].values()):,}" for how in ended)
