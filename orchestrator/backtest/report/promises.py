"""Tables of what became of promises to tenants: how their jobs ended, what these paid and cost."""

from orchestrator.backtest.report.headline import shown_strategy
from orchestrator.backtest.report.markup import NOTHING, Head, Markup, joined, markup, number, percent, table
from orchestrator.backtest.result import BacktestResult, SlaOutcome, StrategyResult


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
