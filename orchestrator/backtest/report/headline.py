"""The figures to decide on, in words: which strategy the report is about, beside what, and what it came to."""

from datetime import datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from orchestrator.backtest.figures import Money, capture, money
from orchestrator.backtest.report.markup import Markup, joined, number, percent, strong, unbroken, usd_in_words
from orchestrator.backtest.result import BacktestResult, StrategyResult

ALWAYS_ON = "always-on"
PLAN = "plan"
PERFECT = "perfect-prices"
YEAR_DAYS = 364
"""From here on a period is a year: 52 weeks."""
LEAST_PART = 0.01
"""A smaller share is given to a hundredth of a per cent."""


def shown_strategy(result: BacktestResult) -> StrategyResult | None:
    """The one the report is about: `plan`, else the last that could be run as it is."""
    for strategy in result.strategies:
        if strategy.name == PLAN:
            return strategy
    attainable = [strategy for strategy in result.strategies if strategy.name != PERFECT]
    return next(reversed(attainable or result.strategies), None)


def shown_row(result: BacktestResult) -> int:
    """Its row in a table of all strategies; -1 if there are none."""
    shown = shown_strategy(result)
    return next((at for at, strategy in enumerate(result.strategies) if strategy is shown), -1)


def beside(result: BacktestResult) -> StrategyResult | None:
    """What it is held against: `always-on`, else the first of the others; None if there are none."""
    others = _others(result)
    return next((strategy for strategy in others if strategy.name == ALWAYS_ON), others[0] if others else None)


def best_other(result: BacktestResult) -> StrategyResult | None:
    """Of the others that could be run as they are, the one that earned most; None if there are none."""
    return max(_others(result), key=lambda strategy: money(strategy.series).profit, default=None)


def _others(result: BacktestResult) -> list[StrategyResult]:
    shown = shown_strategy(result)
    return [strategy for strategy in result.strategies if strategy is not shown and strategy.name != PERFECT]


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
        said = joined(said, ", ", strong(percent(share)), " of the bound on what it could have earned")
    return joined(said, ".")


def _compared(result: BacktestResult, shown: StrategyResult) -> list[Markup]:
    """With the best of the others first: what is far behind says less."""
    sums = money(shown.series)
    first, best = beside(result), best_other(result)
    others = [strategy for strategy in _others(result) if strategy is not best and strategy is not first]
    said: list[Markup] = []
    if best is not None:
        behind = [first, *others] if first is not None and first is not best else others
        parts = [_difference(sums, strategy, share=strategy is first) for strategy in behind]
        ahead = joined(_difference(sums, best, share=True), ", the best of the others" if parts else "")
        said.append(joined("That is ", ahead, *(("; ", _listed(parts)) if parts else ()), "."))
    perfect = next((strategy for strategy in result.strategies if strategy.name == PERFECT), None)
    if perfect is not None and perfect is not shown:
        more = money(perfect.series).profit - sums.profit
        said.append(
            joined("Knowing prices in advance would have added ", strong(usd_in_words(more)), ".")
            if more > 0
            else Markup("Knowing prices in advance would have added nothing.")
        )
    return [joined(*_spaced(said))] if said else []


def _difference(sums: Money, other: StrategyResult, *, share: bool) -> Markup:
    before = money(other.series).profit
    difference = sums.profit - before
    if difference == 0:
        return joined("as much as ", unbroken(other.name))
    part = abs(float(difference / before)) if share and before > Decimal(0) else None
    relative = f" ({percent(part, 1 if part >= LEAST_PART else 2)})" if part is not None else ""
    word = "more" if difference > 0 else "less"
    return joined(strong(usd_in_words(abs(difference))), f"{relative} {word} than ", unbroken(other.name))


def scope(result: BacktestResult) -> list[str]:
    """What the figures can't be taken for, a sentence each; nothing where nothing was settled."""
    if not len(result.market):
        return []
    days = (result.end - result.start) / timedelta(days=1)
    said = [
        f"One period of {days:.3g} days and one seed are no year: other months and other draws of jobs give other "
        "figures."
        if days < YEAR_DAYS
        else "This is one period and one seed: other years and other draws of jobs give other figures."
    ]
    if result.trace is not None:
        said.append(
            f"HPC jobs are made of the trace {result.trace.name}, scaled to this site's GPUs by the factor under Data."
        )
    elif any(outcome.handed_in for strategy in result.strategies for outcome in strategy.outcomes):
        said.append("HPC jobs are simulated.")
    return said


def _kept(result: BacktestResult, shown: StrategyResult) -> Markup:
    said: list[str] = []
    if shown.seconds_above_cap > 0:
        said.append(joined("It was above a cap for ", strong(f"{number(shown.seconds_above_cap)} s"), " in all."))
    else:
        said.append(joined("It kept ", strong("every cap"), "."))
    if any(outcome.handed_in for outcome in shown.outcomes):
        said.append(_ended(shown))
        said.append(_left_undone(shown, beside(result)))
        said.append(_guaranteed(result, shown))
    return joined(*_spaced(said))


def _ended(shown: StrategyResult) -> Markup:
    """How its jobs ended: all that were handed in, not just those that were due."""
    handed_in = sum(outcome.handed_in for outcome in shown.outcomes)
    on_time, late, withdrawn, failed, still_open = _endings(shown)
    credits = money(shown.series).credits
    return joined(
        strong(f"{number(on_time)} of {number(handed_in)}"),
        f" jobs handed in were done, by their deadline if they had one ({percent(on_time / handed_in)}); "
        f"{number(late)} were late, ",
        strong(f"{number(withdrawn)} withdrawn"),
        " by their tenants and ",
        strong(f"{number(still_open)} unfinished"),
        " at the end of the period",
        f", {number(failed)} failed by themselves" if failed else "",
        f"; credits came to {usd_in_words(credits)}" if credits else "",
        ".",
    )


def _endings(strategy: StrategyResult) -> tuple[int, int, int, int, int]:
    """On time, late, withdrawn, failed and open, of all tenants."""
    of = strategy.outcomes
    return (
        sum(outcome.on_time for outcome in of),
        sum(outcome.late for outcome in of),
        sum(outcome.withdrawn for outcome in of),
        sum(outcome.failed for outcome in of),
        sum(outcome.open for outcome in of),
    )


def _left_undone(shown: StrategyResult, other: StrategyResult | None) -> Markup:
    """The same of what it is held against, where that is not the same."""
    if other is None:
        return Markup("")
    _, _, withdrawn, _, still_open = _endings(other)
    if (withdrawn, still_open) == (_endings(shown)[2], _endings(shown)[4]):
        return Markup("")
    return joined(
        "Under ", unbroken(other.name), f" {number(withdrawn)} were withdrawn and {number(still_open)} unfinished."
    )


def _guaranteed(result: BacktestResult, shown: StrategyResult) -> Markup:
    of_class = [outcome for outcome in shown.outcomes if not result.site.tenant(outcome.tenant).sla.rules.interruptible]
    if not any(outcome.handed_in for outcome in of_class):
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
