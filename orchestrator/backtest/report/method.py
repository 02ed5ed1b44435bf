"""What the report says of its data, its assumptions and how to run it again."""

import numpy as np

from orchestrator.backtest.report.headline import PERFECT, shown_strategy
from orchestrator.backtest.report.markup import Head, Markup, items, joined, markup, number, paragraph, strong, table
from orchestrator.backtest.result import BacktestResult, Source


def what_they_do(result: BacktestResult) -> Markup:
    """A line for each strategy that has a meaning of its own."""
    lines = [
        joined(strong(strategy.name), " ", told)
        for strategy in result.strategies
        if (told := _told(strategy.name)) is not None
    ]
    return items(lines) if lines else Markup("")


def _told(name: str) -> str | None:
    kind, _, value = name.partition("=")
    return {
        "always-on": "every fleet in its default mode, every job that limits and GPUs have room for.",
        "threshold": f"every fleet in its default mode, asleep above {value} USD/MWh; jobs always run.",
        "greedy": "decides each moment by its price alone.",
        "plan": "looks 24 hours ahead with forecasts, as the live controller does.",
        "perfect-prices": "is the plan with the prices of the next 24 hours known: what better forecasts could add.",
    }.get(kind)


def data_notes(result: BacktestResult) -> Markup:
    """What was filled, corrected, left out or assumed, and how far first and final prices were apart."""
    told = items(result.warnings) if result.warnings else paragraph("There is nothing to note about the data.")
    return joined(told, paragraph(*_corrections(result)))


def beyond_pay(result: BacktestResult) -> str:
    """What promised work cost the shown strategy beyond what it paid, and that the bound need not do it."""
    shown = shown_strategy(result)
    assert shown is not None, "asked before"
    usd = sum(
        outcome.unpaid_power_usd
        for outcome in shown.outcomes
        if result.site.tenant(outcome.tenant).sla.rules.time_promised
    )
    return (
        f"Work that was promised and cost more than it paid: {number(usd)} USD under {shown.name}. That is the cost "
        "of power of guaranteed and flexible jobs beyond what they were billed, in intervals in which a job's power "
        "cost more than it paid. A strategy keeps its promises; the bound need not start such a job at all, and then "
        "forgoes its pay and owes its credit. So this can be part of what was not earned."
    )


def _corrections(result: BacktestResult) -> list[str]:
    market = result.market
    if not len(market):
        return ["No intervals were settled."]
    apart = np.abs(market.decided_usd_per_mwh - market.settled_usd_per_mwh)
    count = int((apart > 0.005).sum())
    settled = f"{number(len(market))} intervals of {market.step.total_seconds() / 60:g} min were settled."
    if not count:
        return [settled, " First and final prices are the same throughout."]
    at = int(np.argmax(apart))
    return [
        settled,
        f" In {number(count)} of them the final price was not the first one published, at most by ",
        f"{number(float(apart[at]), 2)} USD/MWh ({number(float(market.decided_usd_per_mwh[at]), 2)} first, "
        f"{number(float(market.settled_usd_per_mwh[at]), 2)} final).",
    ]


def method(result: BacktestResult) -> list[str]:
    """A sentence each, those of the run first."""
    lines = [
        *result.assumptions,
        "All strategies face the same prices, weather, hashprice and jobs; decisions are made on the price as first "
        "published, energy is paid at the final one.",
        "Jobs are billed by GPU-hours of work done, work that is computed again after a stop is billed once. A missed "
        "deadline is credited pro rata to the work not done by then.",
        "Fixed costs (staff, rent, capital, grid fees) are in none of the figures.",
    ]
    if result.bound_usd is not None and result.bound_note:
        lines.append(f"Bound: {result.bound_note}.")
    for strategy in result.strategies:
        lines += [f"{strategy.name}: {sentence}" for sentence in strategy.assumptions]
    if any(strategy.name == PERFECT and not strategy.assumptions for strategy in result.strategies):
        lines.append(f"{PERFECT} knows prices in advance, which no site does.")
    return lines


def again(result: BacktestResult) -> list[Markup]:
    """Inputs with their digests, seed, versions and the command line."""
    inputs: list[tuple[str, Source]] = [
        *(("Prices", source) for source in result.prices),
        ("Hashprice", result.hashprice),
        ("Weather", result.weather),
        *((("Jobs", result.trace),) if result.trace is not None else ()),
    ]
    runs = table(
        "Inputs",
        (
            Head("Input"),
            Head("File or value", text=True),
            Head("How it was used", text=True),
            Head("SHA-256", text=True),
        ),
        [(what, source.name, source.detail, _digest(source)) for what, source in inputs],
    )
    versions = ", ".join(f"{name} {version}" for name, version in result.versions.items())
    command = Markup(f"<pre>{markup(result.command)}</pre>") if result.command else Markup("")
    took = (
        f"Seed {result.seed}. {versions}. The run took {number(result.seconds)} s and at most "
        f"{number(result.peak_mb)} MiB of memory in one process. The same seed, files and versions give the same "
        "figures."
    )
    return [runs, paragraph(took), command]


def _digest(source: Source) -> Markup:
    if not source.sha256:
        return Markup("")
    return Markup(f'<code title="{markup(source.sha256)}">{markup(source.sha256[:12])}</code>')
