"""The JSON document and the terminal's table."""

import io
import json
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from math import inf, nan
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from orchestrator.backtest.figures import months
from orchestrator.backtest.result import BacktestResult, PlannerFacts
from orchestrator.backtest.summary import document, shown_in
from tests.backtest.made_up import a_market, with_series


def strict(figures: dict[str, Any]) -> dict[str, Any]:
    """As another program reads it: standard JSON has no NaN."""
    read: dict[str, Any] = json.loads(json.dumps(figures, allow_nan=False))
    return read


def test_each_strategy_has_the_keys_that_were_agreed(result: BacktestResult) -> None:
    figures = strict(document(result))
    assert list(figures["strategies"]) == ["always-on", "threshold=80", "plan"]
    assert {"bound_usd", "seconds", "peak_mb", "seed", "site", "from", "to", "warnings", "months"} <= figures.keys()
    for of in figures["strategies"].values():
        assert {
            "profit_usd",
            "energy_cost_usd",
            "revenue_usd",
            "sla_penalty_usd",
            "energy_mwh",
            "capture",
            "starts",
            "interruptions",
            "seconds",
            "peak_mb",
        } <= of.keys()
        assert of["revenue_usd"].keys() == {"mining", "hpc"}


def test_profit_is_revenue_less_cost_and_penalty_to_the_cent(result: BacktestResult) -> None:
    figures = strict(document(result))
    for of in figures["strategies"].values():
        for part in (of, *of["months"].values()):
            cents = [
                Decimal(repr(usd))
                for usd in (*part["revenue_usd"].values(), -part["energy_cost_usd"], -part["sla_penalty_usd"])
            ]
            assert sum(cents) == Decimal(repr(part["profit_usd"]))
            assert all(usd == usd.quantize(Decimal("0.01")) for usd in cents)


def test_parts_of_a_cent_are_rounded_before_they_are_added(result: BacktestResult) -> None:
    plan = result.strategy("plan")
    count = len(result.market)
    nothing = np.zeros(count)
    third = np.zeros(count)
    third[0] = 0.335
    odd = with_series(
        plan, mining_revenue_usd=third, hpc_revenue_usd=third, energy_cost_usd=nothing, credits_usd=nothing
    )
    figures = document(replace(result, strategies=(odd,)))["strategies"]["plan"]
    assert figures["revenue_usd"] == {"mining": 0.34, "hpc": 0.34}
    assert figures["profit_usd"] == 0.68


@pytest.mark.parametrize(
    ("bound_usd", "note"),
    [
        (0.0, "the bound is 0.00 USD"),
        (-12.5, "the bound is -12.50 USD"),
        (None, "no bound was worked out"),
        (inf, "no bound"),
        (nan, "no bound"),
    ],
)
def test_without_a_positive_bound_there_is_no_capture_and_it_says_why(
    result: BacktestResult, bound_usd: float | None, note: str
) -> None:
    figures = strict(document(replace(result, bound_usd=bound_usd)))
    for of in figures["strategies"].values():
        assert of["capture"] is None
        assert note in of["capture_note"]


def test_capture_is_the_share_of_the_bound(result: BacktestResult) -> None:
    figures = document(replace(result, bound_usd=1e6))
    for of in figures["strategies"].values():
        assert of["capture"] == pytest.approx(of["profit_usd"] / 1e6, abs=1e-6)
        assert "capture_note" not in of


def test_figures_that_are_not_finite_are_null(result: BacktestResult) -> None:
    facts = PlannerFacts(plans=0, late_plans=2, mean_gap=nan, worst_age_s=inf, mean_ms=None, p99_ms=None)
    odd = replace(result.strategy("plan"), planner=facts)
    figures = strict(document(replace(result, strategies=(odd,))))["strategies"]["plan"]["planner"]
    assert figures == {
        "plans": 0,
        "late_plans": 2,
        "mean_gap": None,
        "worst_age_seconds": None,
        "mean_ms": None,
        "p99_ms": None,
    }


def test_a_price_that_is_not_finite_is_refused(result: BacktestResult) -> None:
    price = result.market.settled_usd_per_mwh.copy()
    price[3] = nan
    with pytest.raises(ValueError, match="settled_usd_per_mwh is nan in interval 3"):
        replace(result.market, settled_usd_per_mwh=price)


def test_series_of_unlike_length_are_refused(result: BacktestResult) -> None:
    with pytest.raises(ValueError, match="credits_usd has shape"):
        with_series(result.strategy("plan"), credits_usd=np.zeros(3))
    with pytest.raises(ValueError, match="strategy always-on has 576 intervals, the market 96"):
        replace(result, market=a_market(datetime(2024, 1, 1, tzinfo=UTC), 96))


def test_months_are_those_of_the_site(result: BacktestResult) -> None:
    february, march = months(result.market, "America/Chicago")
    assert (february.key, february.rows, february.whole) == ("2024-02", slice(0, 3 * 96), False)
    assert (march.key, march.rows, march.whole) == ("2024-03", slice(3 * 96, 6 * 96), False)


def test_a_month_with_a_change_of_clocks_is_whole() -> None:
    march = a_market(datetime(2024, 3, 1, 6, tzinfo=UTC), 31 * 96 - 4)
    assert [(month.name, month.whole) for month in months(march, "America/Chicago")] == [("Mar 2024", True)]


def test_a_month_in_a_hole_of_the_data_is_left_out() -> None:
    market = a_market(datetime(2024, 1, 31, tzinfo=UTC), 8 * 96)
    january = np.flatnonzero(market.start_s < datetime(2024, 2, 1, tzinfo=UTC).timestamp())
    start_s = market.start_s.copy()
    start_s[len(january) :] += 30 * 86_400
    found = months(replace(market, start_s=start_s), "UTC")
    assert [month.key for month in found] == ["2024-01", "2024-03"]
    assert found[-1].rows.stop == len(market)


def printed(figures: dict[str, Any], width: int = 160) -> str:
    out = io.StringIO()
    Console(file=out, width=width).print(shown_in(figures, width))
    return out.getvalue()


def test_the_table_has_the_documents_figures(result: BacktestResult) -> None:
    figures = document(result)
    text = printed(figures)
    for of in figures["strategies"].values():
        assert f"{of['profit_usd']:,.2f}" in text
        assert f"{of['capture']:.2%}" in text
    bound = f"bound: no decisions could have earned more than {figures['bound_usd']:,.2f} USD within the site's limits"
    assert f"{bound} less 1 % for the uncertainty of its meters" in text


def test_the_table_says_how_many_jobs_were_not_done(result: BacktestResult) -> None:
    figures = document(result)
    cells = [
        " / ".join(f"{sum(outcome[how] for outcome in of['sla'].values()):,}" for how in ("withdrawn", "open"))
        for of in figures["strategies"].values()
    ]
    (row,) = (line for line in printed(figures).splitlines() if "jobs withdrawn / open" in line)
    assert [cell.strip() for cell in row.split("\u2502")[2:-1]] == cells
    assert "0 / 0" not in cells


@pytest.mark.parametrize("width", [160, 120, 80, 50])
def test_no_figure_is_cut_whatever_the_width(result: BacktestResult, width: int) -> None:
    many = []
    for number, name in enumerate(("always-on", "threshold=80", "greedy", "plan", "perfect-prices")):
        strategy = result.strategies[number % 3]
        loss = np.zeros(len(result.market))
        loss[0] = 72_780_412.0 + 1_000_001.0 * number
        many.append(replace(with_series(strategy, energy_cost_usd=loss), name=name))
    figures = document(replace(result, strategies=tuple(many)))
    text = printed(figures, width)
    assert "\u2026" not in text
    for name, of in figures["strategies"].items():
        assert f" {name} " in text
        assert f" {of['profit_usd']:,.2f} " in text
        assert f" {of['energy_cost_usd']:,.2f} " in text
    assert max(map(len, text.splitlines())) <= width
    assert text.count("profit, USD") == {160: 1, 120: 1, 80: 2, 50: 5}[width]


def test_at_a_width_for_not_even_one_strategy_figures_go_on_below(result: BacktestResult) -> None:
    figures = document(result)
    text = printed(figures, 30)
    assert "\u2026" not in text
    digits = f"{figures['strategies']['plan']['profit_usd']:,.2f}"
    assert digits in "".join(cell.strip() for line in text.splitlines() for cell in line.split("\u2502")[2:3])


def test_names_are_text_in_the_table(result: BacktestResult) -> None:
    text = printed(document(replace(result, site=replace(result.site, name="[red]Ridge[/red]"))))
    assert "[red]Ridge[/red], 2024-02-27T06:00" in text
