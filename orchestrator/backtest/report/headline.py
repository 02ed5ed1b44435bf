"""The figures to decide on, in words: which strategy the report is about, beside what, and what it came to."""

from datetime import datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from orchestrator.backtest.figures import Money, capture, money
from orchestrator.backtest.report.markup import Markup, joined, number, percent, strong, unbroken, usd_in_words
from orchestrator.backtest.result import BacktestResult, StrategyResult
from orchestrator.domain.site import SlaClass

ALWAYS_ON = "always-on"
PLAN = "plan"
PERFECT = "perfect-prices"


def shown_strategy(result: BacktestResult) -> StrategyResult | None:
    """The one the report is about: `plan`, else the last that could be run as it is."""
    for strategy in result.strategies:
        if strategy.name == PLAN:
            return strategy
    attainable = [strategy for strategy in result.strategies if strategy.name != PERFECT]
    return next(reversed(attainable or result.strategies), None)


def beside(result: BacktestResult) -> StrategyResult | None:
    """What it is held against: `always-on`, else the first of the others; None if there are none."""
    shown = shown_strategy(result)
    others = [strategy for strategy in result.strategies if strategy is not shown and strategy.name != PERFECT]
    return next((strategy for strategy in others if strategy.name == ALWAYS_ON), others[0] if others else None)


def period(result: BacktestResult) -> str:
    """`1 January to 31 December 2024`, in the site's days; with times where it does not run from day to day."""
    zone = ZoneInfo(result.site.timezone)
    start, end = result.start.astimezone(zone), result.end.astimezone(zone)
    if _midnight(start) and _midnight(end):
        last = end - timedelta(days=1)
        if start.date() == last.date():
            return _day(start)
        return f"{_day(start, year=start.year != last.year)} to {_day(last)}"
    return f"{_day(start)}, {start:%H:%M} to {_day(end)}, {end:%H:%M}"


def _midnight(at: datetime) -> bool:
    return (at.hour, at.minute, at.second) == (0, 0, 0)


def _day(at: datetime, year: bool = True) -> str:
    return f"{at.day} {at:%B}" + (f" {at.year}" if year else "")


def sentences(result: BacktestResult) -> list[Markup]:
    """A paragraph each: what was earned, beside what, and what was kept."""
    shown = shown_strategy(result)
    if shown is None or not len(result.market):
        return [Markup("Nothing was settled.")]
    return [_earned(result, shown), *_compared(result, shown), _kept(result, shown)]


def _earned(result: BacktestResult, shown: StrategyResult) -> Markup:
    sums = money(shown.series)
    verb, amount = ("earned", sums.profit) if sums.profit >= 0 else ("lost", -sums.profit)
    site = result.site.name
    share, _ = capture(sums.profit, result)
    said = joined("Run by ", unbroken(shown.name), f", {site} {verb} ", strong(usd_in_words(amount)), " after energy")
    if share is not None:
        said = joined(said, ", ", strong(percent(share)), " of the most it could have earned")
    return joined(said, ".")


def _compared(result: BacktestResult, shown: StrategyResult) -> list[Markup]:
    sums = money(shown.series)
    others = [strategy for strategy in result.strategies if strategy is not shown]
    first = beside(result)
    ordered = sorted(others, key=lambda strategy: (strategy is not first, strategy.name == PERFECT))
    parts = [_difference(sums, strategy, first=strategy is first) for strategy in ordered if strategy.name != PERFECT]
    said = [joined("That is ", _listed(parts), ".")] if parts else []
    perfect = next((strategy for strategy in others if strategy.name == PERFECT), None)
    if perfect is not None:
        more = money(perfect.series).profit - sums.profit
        said.append(
            joined("Knowing prices in advance would have added ", strong(usd_in_words(more)), ".")
            if more > 0
            else Markup("Knowing prices in advance would have added nothing.")
        )
    return [joined(*_spaced(said))] if said else []


def _difference(sums: Money, other: StrategyResult, *, first: bool) -> Markup:
    before = money(other.series).profit
    difference = sums.profit - before
    if difference == 0:
        return joined("as much as ", unbroken(other.name))
    relative = f" ({percent(abs(float(difference / before)))})" if first and before > Decimal(0) else ""
    word = "more" if difference > 0 else "less"
    return joined(strong(usd_in_words(abs(difference))), f"{relative} {word} than ", unbroken(other.name))


def _kept(result: BacktestResult, shown: StrategyResult) -> Markup:
    said: list[str] = []
    if shown.seconds_above_cap > 0:
        said.append(joined("It was above a cap for ", strong(f"{number(shown.seconds_above_cap)} s"), " in all."))
    else:
        said.append(joined("It kept ", strong("every cap"), "."))
    due = sum(outcome.on_time + outcome.late for outcome in shown.outcomes)
    if due:
        on_time = sum(outcome.on_time for outcome in shown.outcomes)
        credits = money(shown.series).credits
        said.append(
            joined(
                strong(f"{number(on_time)} of {number(due)}"),
                f" jobs that were due were done on time ({percent(on_time / due)})",
                f"; credits came to {usd_in_words(credits)}" if credits else "",
                ".",
            )
        )
        said.append(_guaranteed(result, shown))
    return joined(*_spaced(said))


def _guaranteed(result: BacktestResult, shown: StrategyResult) -> Markup:
    of_class = [outcome for outcome in shown.outcomes if result.site.tenant(outcome.tenant).sla is SlaClass.GUARANTEED]
    if not any(outcome.on_time + outcome.late + outcome.open for outcome in of_class):
        return Markup("")
    count = sum(outcome.interruptions for outcome in of_class)
    if not count:
        return Markup("No guaranteed job was interrupted.")
    return joined("Guaranteed jobs were interrupted ", strong("once" if count == 1 else f"{number(count)} times"), ".")


def _listed(parts: list[Markup]) -> Markup:
    if len(parts) == 1:
        return parts[0]
    return joined(Markup(", ".join(parts[:-1])), " and ", parts[-1])


def _spaced(parts: list[str] | list[Markup]) -> list[Markup]:
    return [Markup(" ".join(str(part) for part in parts if part))]
