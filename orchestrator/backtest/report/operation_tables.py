"""Tables of how the site was run: starts and limits, the plans made, and the price forecast behind them."""

from orchestrator.backtest.report.headline import shown_row
from orchestrator.backtest.report.markup import Head, Markup, number, percent, table
from orchestrator.backtest.result import BacktestResult


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
        marked=shown_row(result),
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
