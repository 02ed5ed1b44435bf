"""The report's tables of money, months, starts and promises."""

from decimal import Decimal

from orchestrator.backtest.figures import (
    Month,
    capture,
    energy_mwh,
    mean_price_usd_per_mwh,
    money,
    months,
    paid_usd_per_mwh,
)
from orchestrator.backtest.report.headline import beside, shown_strategy
from orchestrator.backtest.report.markup import (
    NOTHING,
    Head,
    Markup,
    joined,
    markup,
    number,
    percent,
    signed,
    table,
    unbroken,
)
from orchestrator.backtest.result import BacktestResult, SlaOutcome, StrategyResult


def strategies_table(result: BacktestResult) -> Markup:
    """Money of all strategies, a row each, as asked for."""
    first = beside(result)
    before = money(first.series).profit if first is not None else None
    rows = []
    for strategy in result.strategies:
        sums = money(strategy.series)
        more = None if before is None or strategy is first else sums.profit - before
        rows.append(
            (
                strategy.name,
                number(sums.profit),
                signed(more),
                number(sums.mining),
                number(sums.hpc),
                number(sums.energy_cost),
                number(sums.credits),
                number(energy_mwh(strategy.series, result.market)),
                number(paid_usd_per_mwh(strategy.series, result.market), 2),
            )
        )
    return table(
        "What each strategy earned and paid",
        (
            Head("Strategy"),
            Head("Profit", "USD"),
            Head(joined("More than ", unbroken(first.name)) if first is not None else "More", "USD"),
            Head("Mining", "USD"),
            Head("HPC", "USD"),
            Head("Energy cost", "USD"),
            Head("SLA credits", "USD"),
            Head("Energy", "MWh"),
            Head("Paid", "USD/MWh"),
        ),
        rows,
        marked=_marked(result),
    )


def _marked(result: BacktestResult) -> int:
    shown = shown_strategy(result)
    return next((at for at, strategy in enumerate(result.strategies) if strategy is shown), -1)


def capture_table(result: BacktestResult) -> Markup:
    """How much of the bound each strategy earned, as bars from zero, and what it left."""
    bound = result.bound_usd
    rows = []
    for strategy in result.strategies:
        profit = money(strategy.series).profit
        share, _ = capture(profit, result)
        left = Decimal(bound) - profit if bound is not None and share is not None else None
        rows.append((strategy.name, _bar(share), percent(share, 2), number(left)))
    return table(
        "Share of the bound that was earned",
        (Head("Strategy"), Head("0 to 100 % of the bound", text=True), Head("Share"), Head("Not earned", "USD")),
        rows,
        marked=_marked(result),
    )


def _bar(share: float | None) -> Markup:
    width = 0.0 if share is None else min(max(share, 0.0), 1.0) * 100.0
    return Markup(f'<span class="bar" aria-hidden="true"><i style="width:{width:.2f}%"></i></span>')


def months_table(result: BacktestResult) -> Markup:
    """The shown strategy by month, beside what it is held against, with sums."""
    shown, first = shown_strategy(result), beside(result)
    if shown is None:
        return Markup("")
    of_months = months(result.market, result.site.timezone)
    rows = [_month(result, shown, first, month.rows, _month_name(month)) for month in of_months]
    rows.append(_month(result, shown, first, slice(None), "All"))
    return table(
        f"{shown.name}, by month" + ("; * is part of a month" if not all(month.whole for month in of_months) else ""),
        (
            Head("Month"),
            Head("Mean price", "USD/MWh"),
            Head("Paid", "USD/MWh"),
            Head("Energy", "MWh"),
            Head("Mining", "USD"),
            Head("HPC", "USD"),
            Head("Energy cost", "USD"),
            Head("SLA credits", "USD"),
            Head("Profit", "USD"),
            *((Head(joined("More than ", unbroken(first.name)), "USD"),) if first is not None else ()),
        ),
        rows,
        foot=1,
    )


def _month_name(month: Month) -> str:
    return month.name if month.whole else f"{month.name} *"


def _month(
    result: BacktestResult, shown: StrategyResult, first: StrategyResult | None, rows: slice, name: str
) -> tuple[str, ...]:
    sums = money(shown.series, rows)
    return (
        name,
        number(mean_price_usd_per_mwh(result.market, rows), 2),
        number(paid_usd_per_mwh(shown.series, result.market, rows), 2),
        number(energy_mwh(shown.series, result.market, rows)),
        number(sums.mining),
        number(sums.hpc),
        number(sums.energy_cost),
        number(sums.credits),
        number(sums.profit),
        *((signed(sums.profit - money(first.series, rows).profit),) if first is not None else ()),
    )


def starts_table(result: BacktestResult) -> Markup:
    """Starts of fleets and jobs, and time above caps, by strategy."""
    limit_kw = result.site.grid.limit_kw
    return table(
        f"Racks woken by fleet, starts and interruptions of jobs, and limits (grid connection {number(limit_kw)} kW)",
        (
            Head("Strategy"),
            *(Head(fleet.name, f"{number(fleet.racks)} racks") for fleet in result.site.fleets),
            Head("Job starts"),
            Head("Interruptions"),
            Head("Above a cap", "s"),
            Head("Highest power", "kW"),
        ),
        [
            (
                strategy.name,
                *(number(strategy.starts.get(fleet.name, 0)) for fleet in result.site.fleets),
                number(strategy.job_starts),
                number(strategy.interruptions),
                number(strategy.seconds_above_cap),
                number(strategy.highest_grid_kw),
            )
            for strategy in result.strategies
        ],
        marked=_marked(result),
    )


def promises(result: BacktestResult) -> Markup:
    """SLA outcomes by tenant of the shown strategy, the other strategies' folded away."""
    shown = shown_strategy(result)
    if shown is None or not shown.outcomes:
        return Markup("<p>There were no tenants.</p>")
    others = [strategy for strategy in result.strategies if strategy is not shown]
    folded = "".join(
        f"<details><summary>The same under {markup(other.name)}</summary>{_promises(result, other)}</details>"
        for other in others
    )
    return Markup(_promises(result, shown) + folded)


def _promises(result: BacktestResult, strategy: StrategyResult) -> Markup:
    """Two tables: on paper one would be too wide."""
    ended = table(
        f"{strategy.name}: jobs by how they ended",
        (
            Head("Tenant"),
            Head("Class", text=True),
            Head("Handed in"),
            Head("On time", "or just done"),
            Head("Late"),
            Head("Withdrawn"),
            Head("Failed"),
            Head("Unfinished", "at the end"),
            Head("On time", "of all handed in"),
            Head("Kept", "of those due"),
        ),
        [_ended(result, outcome) for outcome in strategy.outcomes],
    )
    paid = table(
        f"{strategy.name}: what jobs paid and cost",
        (
            Head("Tenant"),
            Head("Interruptions"),
            Head("Most in an hour", "of those allowed"),
            Head("Over budget", "hours, each interval's"),
            Head("Billed", "GPU-hours"),
            Head("Credits", "USD"),
            Head("Power beyond pay", "USD"),
        ),
        [
            (
                outcome.tenant,
                number(outcome.interruptions),
                _of_budget(result, outcome),
                number(outcome.windows_over_budget),
                number(outcome.billed_gpu_hours),
                number(outcome.credits_usd),
                number(outcome.unpaid_power_usd),
            )
            for outcome in strategy.outcomes
        ],
    )
    return joined(ended, paid)


def _of_budget(result: BacktestResult, outcome: SlaOutcome) -> str:
    allowed = result.site.tenant(outcome.tenant).interruptions_per_hour
    return f"{number(outcome.most_in_an_hour)} of {number(allowed)}"


def _ended(result: BacktestResult, outcome: SlaOutcome) -> tuple[str, ...]:
    """A best-effort job is due at no time: there is no promise of which a share could be kept."""
    due, sla = outcome.on_time + outcome.late, result.site.tenant(outcome.tenant).sla
    return (
        outcome.tenant,
        sla.value,
        number(outcome.handed_in),
        number(outcome.on_time),
        number(outcome.late),
        number(outcome.withdrawn),
        number(outcome.failed),
        number(outcome.open),
        percent(outcome.on_time / outcome.handed_in, 2) if outcome.handed_in else NOTHING,
        percent(outcome.on_time / due, 2) if due and sla.rules.time_promised else NOTHING,
    )


def planning_table(result: BacktestResult) -> Markup:
    """How the planning went; nothing where no strategy plans."""
    planned = [(strategy.name, facts) for strategy in result.strategies if (facts := strategy.planner) is not None]
    if not planned:
        return Markup("")
    return table(
        "Plans made",
        (
            Head("Strategy"),
            Head("Plans"),
            Head("Late or failed"),
            Head("Proven gap", "mean"),
            Head("Oldest in use", "min"),
            Head("Time for one", "mean, ms"),
            Head("Time for one", "99 % under, ms"),
        ),
        [
            (
                name,
                number(facts.plans),
                number(facts.late_plans),
                percent(facts.mean_gap, 2),
                number(facts.worst_age_s / 60.0 if facts.worst_age_s is not None else None),
                number(facts.mean_ms),
                number(facts.p99_ms),
            )
            for name, facts in planned
        ],
    )


def skill_table(result: BacktestResult) -> Markup:
    """How far off the price forecast was; nothing where there was none."""
    if not result.skill:
        return Markup("")
    return table(
        "Price forecast against the prices that came",
        (
            Head("Up to hours ahead"),
            Head("Mean absolute error", "USD/MWh"),
            Head("Pinball loss", "USD/MWh"),
            Head("Forecasts"),
        ),
        [
            (
                f"{row.hours_ahead:g}",
                number(row.mae_usd_per_mwh, 2),
                number(row.pinball_usd_per_mwh, 2),
                number(row.count),
            )
            for row in result.skill
        ],
    )
