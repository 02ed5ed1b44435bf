"""The page put together: text and tables as HTML, charts as data beside the script that draws them."""

import json
from importlib import resources
from pathlib import Path
from typing import Any

from orchestrator.backtest.figures import (
    capture,
    energy_mwh,
    limits_used,
    mean_price_usd_per_mwh,
    money,
    paid_usd_per_mwh,
)
from orchestrator.backtest.report.data import chart_data
from orchestrator.backtest.report.events import AROUND_H, price_events
from orchestrator.backtest.report.events_table import events_table
from orchestrator.backtest.report.headline import beside, best_other, period, scope, sentences, shown_strategy
from orchestrator.backtest.report.markup import (
    Markup,
    chart,
    items,
    joined,
    markup,
    number,
    paragraph,
    percent,
    section,
    signed,
)
from orchestrator.backtest.report.method import again, beyond_pay, data_notes, method, what_they_do
from orchestrator.backtest.report.money_tables import capture_table, months_table, strategies_table
from orchestrator.backtest.report.operation_tables import planning_table, skill_table, starts_table
from orchestrator.backtest.report.promises import promises
from orchestrator.backtest.result import BacktestResult

POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"
"""The page may load nothing, whatever is in it."""
SCRIPTS = ("look.js", "profit.js", "power.js", "events.js", "bands.js", "start.js")
"""In one scope, in this order."""


def write_report(path: Path, result: BacktestResult) -> None:
    """OSError where it can't be written."""
    path.write_text(report_html(result), encoding="utf-8")


def report_html(result: BacktestResult) -> str:
    """The whole file; some 5 MB, nearly all of it plotly.js."""
    title = f"{result.site.name}: backtest, {period(result)}"
    settled = len(result.market) > 0 and shown_strategy(result) is not None
    body = joined(_head(result), *(_sections(result) if settled else (*_told(result),)))
    scripts = _scripts(result) if settled else ""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{markup(title)}</title>\n<style>\n{_file('report.css')}</style>\n</head>\n"
        f"<body>\n<main>\n{body}\n</main>\n{scripts}</body>\n</html>\n"
    )


def _head(result: BacktestResult) -> Markup:
    first, *more = sentences(result)
    lead = "".join(f"<p class='lead'>{line}</p>" for line in more)
    return Markup(
        f"<header><p class='kicker'>{markup(result.site.name)} \u00b7 backtest \u00b7 {markup(period(result))}</p>"
        f"<h1>{first}</h1>{lead}"
        f"<p class='note'>{joined(*(f'{line} ' for line in scope(result)))}Devices and time are simulated; prices, "
        "weather and hashprice are those listed under "
        f"<a href='#again'>Inputs</a>.{_data_note(result)}</p>{_figures(result)}</header>"
    )


def _data_note(result: BacktestResult) -> str:
    """Where it is said what the data are; how many notes there are says nothing of how good they are."""
    if not result.warnings:
        return ""
    return " What of them was used, filled, corrected or assumed is under <a href='#data'>Data</a>."


def _figures(result: BacktestResult) -> Markup:
    shown, first, best = shown_strategy(result), beside(result), best_other(result)
    if shown is None or not len(result.market):
        return Markup("")
    sums = money(shown.series)
    share, _ = capture(sums.profit, result)
    paid = paid_usd_per_mwh(shown.series, result.market)
    each = [
        ("Profit", number(sums.profit), "USD"),
        *(
            (f"More than {other.name}", signed(sums.profit - money(other.series).profit), unit)
            for other, unit in ((best, "USD, the best of the others"), (first if first is not best else None, "USD"))
            if other is not None
        ),
        ("Of the bound", percent(share), f"of {number(result.bound_usd)} USD" if share is not None else "no bound"),
        ("Energy", number(energy_mwh(shown.series, result.market)), "MWh"),
        ("Paid for it", number(paid, 2), f"USD/MWh; mean price {number(mean_price_usd_per_mwh(result.market), 2)}"),
    ]
    return Markup(
        "<dl class='figures'>"
        + "".join(
            f"<div><dt>{markup(name)}</dt><dd>{markup(value)}<small>{markup(unit)}</small></dd></div>"
            for name, value, unit in each
        )
        + "</dl>"
    )


def _sections(result: BacktestResult) -> tuple[str, ...]:
    shown, first = shown_strategy(result), beside(result)
    assert shown is not None, "asked before"
    events = price_events(result.market)
    versus = f" beside {first.name}" if first is not None else ""
    share, why_not = capture(money(shown.series).profit, result)
    return (
        section("strategies", "The strategies", strategies_table(result), what_they_do(result), paragraph(_rounding())),
        section(
            "capture",
            "How close to the best possible",
            paragraph(
                "The bound is what no decisions could have beaten, had all prices and jobs been known from the start, "
                f"within the site's {limits_used(result.site.grid.measurement_uncertainty)}. It is proven, not "
                "reached: the true best lies between it and the best strategy.",
            ),
            capture_table(result) if share is not None else paragraph(f"No shares are given: {why_not}."),
            paragraph(beyond_pay(result)),
        ),
        section(
            "profit",
            "Profit over time",
            _pair(
                chart("profit", "Cumulative profit of all strategies", title="Cumulative profit"),
                chart("gain", "The same, less that of " + first.name, title=f"More than {first.name}") if first else "",
            ),
        ),
        section(
            "power",
            f"Price against power, {shown.name}",
            Markup(
                '<div class="look" hidden><span class="buttons" role="group" aria-label="Stretch of time">'
                '<button type="button" data-look="all">Whole period</button>'
                '<button type="button" data-look="event">Dearest week</button>'
                '<button type="button" data-look="back" aria-label="Earlier">\u2190</button>'
                '<button type="button" data-look="on" aria-label="Later">\u2192</button></span>'
                '<span id="power-note" aria-live="polite"></span></div>'
            ),
            chart("power", f"Settled price above, power of mining and HPC of {shown.name} below"),
        ),
        section(
            "events",
            "The dearest hours",
            paragraph(f"What {shown.name} did{versus}, {AROUND_H:g} hours before and after."),
            Markup('<div class="look" hidden><span class="buttons" id="event-buttons" role="group"></span></div>'),
            chart("event", f"Price and power of {shown.name}{versus} in the dearest hours"),
            events_table(result, events),
        ),
        section(
            "bands",
            "Power by price",
            _pair(
                chart("duration", "Price-duration curve", title="Settled price: share of time at or above it"),
                chart("bands", "Mean power by band of prices", title=f"Mean power by price, {shown.name}"),
            ),
        ),
        section("months", "Month by month", months_table(result)),
        section("promises", "Promises to tenants", promises(result)),
        section("starts", "Starts and limits", starts_table(result)),
        *_told(result),
    )


def _pair(left: str, right: str) -> Markup:
    return Markup(f'<div class="pair">{left}{right}</div>')


def _told(result: BacktestResult) -> tuple[str, ...]:
    planning = joined(planning_table(result), skill_table(result))
    return (
        *((section("planning", "Planning and forecast", planning),) if planning else ()),
        section("data", "Data", data_notes(result)),
        section("method", "Assumptions and method", items(method(result))),
        section("again", "Inputs, and running it again", *again(result)),
    )


def _rounding() -> str:
    return (
        "Profit is mining and HPC revenue less energy cost and SLA credits. Energy is measured at the grid connection, "
        "cooling included. Amounts are rounded to the dollar each."
    )


def _scripts(result: BacktestResult) -> str:
    data = chart_data(result, price_events(result.market))
    script = "\n".join(_file(name) for name in SCRIPTS)
    return (
        f"<script>\n{_plotly()}\n</script>\n"
        f'<script type="application/json" id="chart-data">{_json(data)}</script>\n'
        f'<script>\n(() => {{\n"use strict";\n{script}\n}})();\n</script>\n'
        "<noscript><p>The charts need JavaScript; all figures are in the tables.</p></noscript>\n"
    )


def _json(data: Any) -> str:
    """As text that can't end the script element it is in."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _file(name: str) -> str:
    return (resources.files("orchestrator.backtest.report") / "files" / name).read_text(encoding="utf-8")


def _plotly() -> str:
    return (resources.files("plotly") / "package_data" / "plotly.min.js").read_text(encoding="utf-8")
