"""The dearest hours as a table: what the shown strategy paid and earned around them, beside another."""

from collections.abc import Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from orchestrator.backtest.figures import energy_mwh, money
from orchestrator.backtest.report.events import AROUND_H, PriceEvent
from orchestrator.backtest.report.headline import beside, shown_strategy
from orchestrator.backtest.report.markup import Head, Markup, joined, number, signed, table, unbroken
from orchestrator.backtest.result import BacktestResult


def event_name(result: BacktestResult, event: PriceEvent) -> str:
    """`Tue 20 Aug 2024, 19:15`, the site's time at which the dearest hour starts."""
    zone = ZoneInfo(result.site.timezone)
    at = datetime.fromtimestamp(int(result.market.start_s[event.hour.start]), UTC).astimezone(zone)
    return f"{at:%a} {at.day} {at:%b %Y, %H:%M}"


def events_table(result: BacktestResult, events: Sequence[PriceEvent]) -> Markup:
    """The dearest first."""
    shown, first = shown_strategy(result), beside(result)
    if shown is None:
        return Markup("")
    rows = []
    for event in events:
        sums = money(shown.series, event.rows)
        row = [
            event_name(result, event),
            number(event.mean_usd_per_mwh),
            number(float(result.market.settled_usd_per_mwh[event.hour].max())),
            number(float(shown.series.grid_kw[event.hour].mean()) / 1000.0, 1),
            number(energy_mwh(shown.series, result.market, event.rows)),
            number(sums.profit),
        ]
        if first is not None:
            row.insert(4, number(float(first.series.grid_kw[event.hour].mean()) / 1000.0, 1))
            row.append(signed(sums.profit - money(first.series, event.rows).profit))
        rows.append(row)
    heads = [
        Head("Dearest hour from"),
        Head("Mean price", "USD/MWh in that hour"),
        Head("Highest", "USD/MWh"),
        Head(joined("Power, ", unbroken(shown.name)), "MW in that hour"),
        Head(joined("Energy, ", unbroken(shown.name)), "MWh around it"),
        Head(joined("Profit, ", unbroken(shown.name)), "USD around it"),
    ]
    if first is not None:
        heads.insert(4, Head(joined("Power, ", unbroken(first.name)), "MW in that hour"))
        heads.append(Head(joined("More than ", unbroken(first.name)), "USD around it"))
    around = f"{AROUND_H:g} hours before and after"
    return table(f"The dearest hours; \u201caround it\u201d is with {around}", heads, rows)
