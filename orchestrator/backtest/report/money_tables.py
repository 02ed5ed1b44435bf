"""Tables of what was earned and paid: by strategy, as a share of the bound, and by month."""

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
from orchestrator.backtest.report.headline import beside, shown_row, shown_strategy
from orchestrator.backtest.report.markup import Head, Markup, joined, number, percent, signed, table, unbroken
from orchestrator.backtest.result import BacktestResult, StrategyResult


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
        marked=shown_row(result),
    )


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
        marked=shown_row(result),
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
