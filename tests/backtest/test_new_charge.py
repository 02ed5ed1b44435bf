"""Backtests where 7 USD/MWh are put on top of all power in certain local hours: decided on, paid, bounded and told."""

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from orchestrator.accounting.charges.block import Ppa
from orchestrator.backtest.clairvoyant import bound_of, clairvoyant_problem
from orchestrator.backtest.play import Period, play
from orchestrator.backtest.strategies import named
from orchestrator.domain.charge import Charge
from orchestrator.optimizer.plan import make_plan
from tests import adder
from tests.adder import Adder
from tests.backtest.test_bound import history
from tests.backtest.test_command import price_file
from tests.backtest.test_engine import workload
from tests.backtest.test_ppa import mining_only
from tests.command import ended_here
from tests.power_block import charged, contract_usd
from tests.sites import small_site

QUARTER_H = 0.25
ALL = "always-on,threshold=80,greedy,plan,perfect-prices"
ADDER = Adder(7.0, 1, 2, "UTC")
"""Histories begin at midnight."""
PPA = Ppa(2000.0, 38.0, 3.0)


def on_top(charge: Adder, quarters: int) -> np.ndarray:
    """USD/MWh in each of so many quarters."""
    hours = np.arange(quarters) // 4
    return np.where((charge.from_hour <= hours) & (hours < charge.to_hour), charge.usd_per_mwh, 0.0)


def paid_usd(charges: tuple[Charge, ...], grid_kw: np.ndarray, prices: list[float]) -> np.ndarray:
    """In each quarter."""
    kwh = grid_kw * QUARTER_H
    usd, on_top_usd = kwh * prices / 1000.0, np.zeros(len(prices))
    for charge in charges:
        if isinstance(charge, Ppa):
            usd = np.array([contract_usd(charge, QUARTER_H, *drawn) for drawn in zip(kwh, prices, strict=True)])
        if isinstance(charge, Adder):
            on_top_usd += kwh * on_top(charge, len(prices)) / 1000.0
    return usd + on_top_usd


@pytest.mark.parametrize("charges", [(ADDER,), (PPA, ADDER)])
def test_every_strategy_pays_it_the_always_on_one_too(charges: tuple[Charge, ...]) -> None:
    prices = [20.0, 120.0, 60.0, 900.0, -30.0, 45.0, 150.0, 70.0]
    site = charged(small_site(), *charges)
    period = Period(site, history(prices), workload(site, 10, 3, 8), 3, {})
    bound_usd = bound_of(period).usd
    for strategy in named(ALL):
        series = play(period, strategy, None).series
        assert series.energy_cost_usd == pytest.approx(paid_usd(charges, series.grid_kw, prices))
        assert series.charges_usd["adder"] == pytest.approx(series.grid_kw * QUARTER_H / 1000.0 * on_top(ADDER, 8))
        assert series.profit_usd.sum() <= bound_usd + 1e-6 * max(abs(bound_usd), 1.0)


@pytest.mark.parametrize("strategy", ["greedy", "perfect-prices"])
def test_what_to_do_is_decided_with_it(strategy: str) -> None:
    """Hash is worth 86 USD/MWh: at 82 it pays, at 82 + 7 it does not."""
    site = charged(mining_only(None), ADDER)
    period = Period(site, history([82.0] * 12), workload(site, 0), 1, {})
    (one,) = named(strategy)
    grid_kw = play(period, one, None).series.grid_kw
    assert "".join("1" if kw > 500.0 else "0" for kw in grid_kw) == "111100001111"


def test_the_plan_sleeps_through_its_hours_and_pays_what_is_settled() -> None:
    site = charged(mining_only(None), ADDER)
    prices = [82.0] * 12
    plan = make_plan(clairvoyant_problem(Period(site, history(prices), workload(site, 0), 1, {})))
    awake = plan.fleet_racks[0, 0]
    assert awake.tolist() == [4] * 4 + [0] * 4 + [4] * 4
    asleep_kw = site.fleets[0].racks * site.fleets[0].rack_kw("sleep")
    grid_kw = (plan.moved_kw.sum(axis=0) + asleep_kw) * 1.1
    assert plan.energy_usd == pytest.approx(paid_usd((ADDER,), grid_kw, prices).sum())
    assert plan.profit_usd <= plan.bound_usd + 1e-6


@given(
    prices=st.lists(st.floats(-100, 300), min_size=5, max_size=8),
    more=st.floats(0, 50),
    ppa=st.none() | st.builds(Ppa, st.floats(1, 1500), st.just(38.0), st.none() | st.floats(0, 100)),
)
@examples(max_examples=30, deadline=None)
def test_the_bound_is_no_less_than_the_best_of_all_ways_and_little_more(
    prices: list[float], more: float, ppa: Ppa | None
) -> None:
    """Every number of racks in every quarter is tried; racks are divisible in the bound, so it may be a rack better."""
    charge = Adder(more, 1, 2, "UTC")
    site = charged(mining_only(None), ppa, charge)
    fleet = site.fleets[0]
    hash_usd = fleet.machines_per_rack * fleet.modes[0].hashrate_ths / 1000.0 * 60.0 / 24.0 * QUARTER_H
    ways = []
    for racks in range(5):
        kw = (racks * fleet.rack_kw("eco") + (4 - racks) * fleet.rack_kw("sleep")) * 1.1
        ways.append(racks * hash_usd - paid_usd(site.grid.charges, np.full(len(prices), kw), prices))
    best = float(np.max(ways, axis=0).sum())
    unused = [price if ppa is None else ppa.unused_usd_per_mwh(price) for price in prices]
    gap = fleet.rack_kw("eco") * 1.1 * QUARTER_H / 1000.0 * sum(np.subtract(prices, unused))
    bound_usd = bound_of(Period(site, history(prices), workload(site, 0), 1, {})).usd
    size = 1e-6 * max(abs(best), 1.0)
    assert bound_usd >= best - size
    assert bound_usd <= best + gap + 0.02 * sum(abs(price) + 38.0 for price in prices) * 0.3 + size


def test_it_is_in_the_table_json_report_and_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    adder.written_down(monkeypatch)
    site_file = adder.site_file(tmp_path, "adder: {usd_per_mwh: 7, from_hour: 16, to_hour: 21}")
    text = Adder(7.0, 16, 21, "America/Chicago").text
    figures, report, records = tmp_path / "out.json", tmp_path / "out.html", tmp_path / "out.parquet"
    run = ended_here(
        *("backtest", "--site", str(site_file), "--prices", str(price_file(tmp_path)), "--cores", "1"),
        *("--strategies", "always-on,greedy", "--json", str(figures), "--report", str(report)),
        *("--records", str(records)),
    )
    assert run.code == 0, run
    document: dict[str, Any] = json.loads(figures.read_text())
    assert document["adder"] == text
    rows = pyarrow.parquet.read_table(records).to_pylist()
    header = json.loads(pyarrow.parquet.read_schema(records).metadata[b"wattshift"])
    assert header["adder"]["usd_per_mwh"] == 7.0
    for name, told in document["strategies"].items():
        lines = [row for row in rows if row["strategy"] == name and row["kind"] == "adder"]
        assert len(lines) == document["intervals"]
        assert {line["subject"] for line in lines} == {"site"}
        drawn = [row for row in rows if row["strategy"] == name and in_its_hours(row["start"])]
        usd = 7.0 * sum(row["energy_kwh"] for row in drawn) / 1000.0
        assert usd > 0.0
        assert told["adder_usd"] == pytest.approx(usd, abs=0.006)
        assert sum(line["cost_usd"] for line in lines) == pytest.approx(usd)
        assert told["adder_usd"] == pytest.approx(sum(month["adder_usd"] for month in told["months"].values()))
        assert f"{told['adder_usd']:,.2f}" in run.out
        assert told["profit_usd"] <= document["bound_usd"]
    assert "of it delivery against market, USD" in run.out
    assert text in report.read_text()


def in_its_hours(start: datetime) -> bool:
    """Central time, in summer; it is a Wednesday."""
    return 16 <= (start - timedelta(hours=5)).hour < 21
