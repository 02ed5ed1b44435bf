"""Backtests with a block of power bought ahead: what is settled, what is decided, and what nobody could have beaten."""

import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from pyarrow import parquet

from orchestrator.accounting.charges.block import Ppa
from orchestrator.backtest.clairvoyant import bound_of, clairvoyant_problem
from orchestrator.backtest.play import Period, play
from orchestrator.backtest.strategies import named
from orchestrator.backtest.summary import document
from orchestrator.domain.site.site import Site
from orchestrator.optimizer.plan import make_plan
from tests.backtest.made_up import a_result
from tests.backtest.test_bound import history
from tests.backtest.test_engine import workload
from tests.power_block import charged, contract_usd
from tests.sites import small_site

QUARTER_H = 0.25
ALL = "always-on,threshold=80,greedy,plan,perfect-prices"


def bought(ppa: Ppa | None) -> Site:
    site = small_site()
    return charged(site, ppa)


def mining_only(ppa: Ppa | None) -> Site:
    """The old fleet in one mode that starts at once and is free to stop: what to do is what each quarter asks for."""
    site = bought(ppa)
    old = site.fleets[0]
    quick = replace(
        old,
        modes=old.modes[:1],
        default_mode="eco",
        warm_up=0 * old.warm_up,
        min_on=0 * old.min_on,
        min_off=0 * old.min_off,
    )
    return replace(site, fleets=(quick,), pools=(), tenants=(), feeders=site.feeders[:1])


def by_quarter(site: Site, prices: list[float], strategy: str) -> tuple[np.ndarray, np.ndarray, float]:
    """Grid power and profit of each quarter, and the bound."""
    period = Period(site, history(prices), workload(site, 0), 1, {})
    (one,) = named(strategy)
    series = play(period, one, None).series
    return series.grid_kw, series.profit_usd, bound_of(period).usd


def test_each_strategy_pays_what_the_contract_says_of_what_it_draws() -> None:
    ppa = Ppa(2000.0, 38.0, 3.0)
    prices = [20.0, 120.0, 60.0, 900.0, -30.0, 45.0, 150.0, 70.0]
    site = bought(ppa)
    period = Period(site, history(prices), workload(site, 10, 3, 8), 3, {})
    powers = []
    for strategy in named(ALL):
        series = play(period, strategy, None).series
        paid = [
            contract_usd(ppa, QUARTER_H, kw * QUARTER_H, price)
            for kw, price in zip(series.grid_kw, prices, strict=True)
        ]
        assert series.energy_cost_usd == pytest.approx(paid)
        powers.append(series.grid_kw)
    assert min(kw.min() for kw in powers) < 2000.0 < max(kw.max() for kw in powers), "both sides of the block are tried"


def test_the_contract_price_moves_no_decision() -> None:
    """And what the dearer one costs more is just the block."""
    prices = [20.0, 120.0, 60.0, 900.0, -30.0, 45.0, 150.0, 70.0]
    for strategy in ALL.split(","):
        cheap_kw, cheap_usd, cheap_bound = by_quarter(bought(Ppa(2000.0, 30.0, 3.0)), prices, strategy)
        dear_kw, dear_usd, dear_bound = by_quarter(bought(Ppa(2000.0, 70.0, 3.0)), prices, strategy)
        assert (cheap_kw == dear_kw).all()
        assert cheap_usd - dear_usd == pytest.approx(np.full(8, 0.5 * 40.0))
        assert cheap_bound - dear_bound == pytest.approx(8 * 0.5 * 40.0)


@pytest.mark.parametrize("strategy", ALL.split(","))
def test_sold_back_at_the_market_price_the_block_moves_no_decision_at_all(strategy: str) -> None:
    prices = [20.0, 120.0, 60.0, 900.0, -30.0, 45.0, 150.0, 70.0]
    without_kw, _, bound = by_quarter(bought(None), prices, strategy)
    with_kw, _, with_bound = by_quarter(bought(Ppa(2000.0, 38.0, 0.0)), prices, strategy)
    assert (without_kw == with_kw).all()
    gain = sum(0.5 * (price - 38.0) for price in prices)
    assert with_bound == pytest.approx(bound + gain)


@pytest.mark.parametrize(
    ("ppa", "on"),
    [
        pytest.param(None, "1001", id="no block, prices 40 100 100 40: on off off on"),
        pytest.param(Ppa(2000.0, 38.0, 30.0), "1111", id="sold back at 10 70 70 10: on, 86 is more"),
        pytest.param(Ppa(2000.0, 38.0, None), "1111", id="lost: on throughout"),
        pytest.param(Ppa(10.0, 38.0, 30.0), "1001", id="a block that what sleeps uses up: as without"),
    ],
)
@pytest.mark.parametrize("strategy", ["greedy", "perfect-prices"])
def test_what_to_do_is_decided_at_what_unused_power_brings(ppa: Ppa | None, on: str, strategy: str) -> None:
    grid_kw, _, _ = by_quarter(mining_only(ppa), [40.0, 100.0, 100.0, 40.0], strategy)
    assert "".join("1" if kw > 500.0 else "0" for kw in grid_kw) == on


@given(
    prices=st.lists(st.floats(-100, 300), min_size=2, max_size=4),
    block_kw=st.floats(1, 1500),
    spread=st.none() | st.floats(0, 100),
)
@examples(max_examples=30, deadline=None)
def test_the_bound_is_no_less_than_the_best_of_all_ways_and_little_more(
    prices: list[float], block_kw: float, spread: float | None
) -> None:
    """Every number of racks in every quarter is tried; racks are divisible in the bound, so it may be a rack better."""
    ppa = Ppa(block_kw, 38.0, spread)
    site = mining_only(ppa)
    fleet, pue = site.fleets[0], 1.1
    hash_usd = fleet.machines_per_rack * fleet.modes[0].hashrate_ths / 1000.0 * 60.0 / 24.0 * QUARTER_H
    best = gap = 0.0
    for price in prices:
        ways = [
            racks * hash_usd
            - contract_usd(
                ppa,
                QUARTER_H,
                (racks * fleet.rack_kw("eco") + (4 - racks) * fleet.rack_kw("sleep")) * pue * QUARTER_H,
                price,
            )
            for racks in range(5)
        ]
        best += max(ways)
        gap += fleet.rack_kw("eco") * pue * QUARTER_H / 1000.0 * (price - ppa.unused_usd_per_mwh(price))
    period = Period(site, history(prices), workload(site, 0), 1, {})
    bound = bound_of(period).usd
    size = 1e-6 * max(abs(best), 1.0)
    assert bound >= best - size
    assert bound <= best + gap + 0.02 * sum(abs(price) + 38.0 for price in prices) * 0.3 + size
    (greedy,) = named("greedy")
    earned = float(play(period, greedy, None).series.profit_usd.sum())
    assert earned <= best + size


@given(
    prices=st.lists(st.floats(-200, 3000), min_size=8, max_size=24),
    count=st.integers(0, 25),
    seed=st.integers(0, 1000),
    limit_kw=st.floats(1000, 4500),
    ppa=st.builds(Ppa, st.floats(1, 6000), st.floats(0, 200), st.none() | st.floats(0, 500)),
)
@examples(max_examples=25)
def test_no_strategy_earns_more_than_the_bound(
    prices: list[float], count: int, seed: int, limit_kw: float, ppa: Ppa
) -> None:
    site = bought(ppa)
    site = replace(site, grid=replace(site.grid, limit_kw=limit_kw))
    period = Period(site, history(prices), workload(site, count, seed, len(prices)), seed, {})
    bound = bound_of(period)
    for strategy in named(ALL):
        result = play(period, strategy, None)
        assert result.series.profit_usd.sum() <= bound.usd + 1e-6 * max(abs(bound.usd), 1.0)
        assert result.seconds_above_cap == 0.0


def test_a_plans_own_profit_counts_the_block_and_stays_under_its_bound() -> None:
    ppa = Ppa(2000.0, 38.0, 3.0)
    site = bought(ppa)
    prices = [20.0, 120.0, 60.0, 900.0, -30.0, 45.0, 150.0, 70.0]
    period = Period(site, history(prices), workload(site, 10, 3, 8), 3, {})
    plan = make_plan(clairvoyant_problem(period))
    kw = plan.moved_kw.sum(axis=0) * 1.1 + 117.04
    paid = sum(
        contract_usd(ppa, QUARTER_H, drawn * QUARTER_H, price) for drawn, price in zip(kw.tolist(), prices, strict=True)
    )
    assert plan.energy_usd == pytest.approx(paid)
    assert plan.profit_usd <= plan.bound_usd


@pytest.mark.parametrize("ppa", [Ppa(2000.0, 38.0, 3.0), Ppa(2000.0, 38.0, None)])
def test_records_are_enough_to_compute_the_contracts_line_again(tmp_path: Path, ppa: Ppa) -> None:
    site = bought(ppa)
    prices = [20.0, 120.0, 60.0, 900.0, -30.0, 45.0, 150.0, 70.0]
    period = Period(site, history(prices), workload(site, 10, 3, 8), 3, {})
    file = tmp_path / "greedy.parquet"
    (greedy,) = named("greedy")
    result = play(period, greedy, file)
    table = parquet.read_table(file)
    contract = json.loads(table.schema.metadata[b"wattshift"])["ppa"]
    assert contract == {
        "block_kw": ppa.block_kw,
        "price_usd_per_mwh": ppa.price_usd_per_mwh,
        "sell_back_spread_usd_per_mwh": ppa.sell_back_spread_usd_per_mwh,
    }
    rows = table.to_pylist()
    total = 0.0
    for start, group in itertools.groupby(sorted(rows, key=lambda row: row["start"]), key=lambda row: row["start"]):
        of_interval = list(group)
        block_kwh = contract["block_kw"] * QUARTER_H
        energy_kwh = sum(row["energy_kwh"] for row in of_interval)
        lines = [row for row in of_interval if row["kind"] == "ppa"]
        if not lines:
            assert all(row["kind"] == "job" for row in of_interval), start
            continue
        (line,) = lines
        price, spread = line["price_usd_per_mwh"], contract["sell_back_spread_usd_per_mwh"]
        unused = min(price, 0.0) if spread is None else price - spread
        more = block_kwh * (contract["price_usd_per_mwh"] - price) + max(block_kwh - energy_kwh, 0.0) * (price - unused)
        assert line["cost_usd"] == pytest.approx(more / 1000.0)
        assert (line["subject"], line["energy_kwh"], line["tenant"], line["gpus"]) == ("site", 0.0, None, None)
        total += line["cost_usd"]
    figures = document(a_result(site, period.market, [result]))
    told = figures["strategies"]["greedy"]
    assert told["ppa_usd"] == pytest.approx(total, abs=0.005)
    assert told["energy_cost_usd"] == pytest.approx(sum(row["cost_usd"] for row in rows), abs=0.005)
    assert figures["ppa"] == ppa.text
    assert "ppa_usd" not in document(a_result(bought(None), period.market, [result]))["strategies"]["greedy"]
