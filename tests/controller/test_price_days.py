"""Days that a site is judged by: dispatch earns more than leaving all on, above no cap, with no promise broken."""

from __future__ import annotations

import csv
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from orchestrator.adapters.prices.replayed import ReplayedPrices
from orchestrator.adapters.series.constant import ConstantSeries
from orchestrator.adapters.store import SqlStore
from orchestrator.controller import Policy
from orchestrator.dispatch.baseline import always_on, default_modes
from orchestrator.dispatch.dispatch import dispatch
from orchestrator.domain.market import Market, Price
from orchestrator.domain.site.site import Site
from orchestrator.runtime.demo.replay import Day, replay
from orchestrator.runtime.demo.report import report
from orchestrator.runtime.feeds import Series
from orchestrator.sim.jobs.arrivals import job_stream

QUARTER = timedelta(minutes=15)
REAL = Path(__file__).parents[3] / "shared" / "data" / "prices"
"""Real prices, kept beside the checkout."""


async def played(site: Site, prices: list[Price], policy: Policy, file: Path) -> dict[str, Any]:
    """The report of the time from the first price to the last."""
    start, end = prices[0].start, prices[-1].end
    series = Series(ConstantSeries(60.0, "USD/PH/s/day"), ConstantSeries(20.0, "degC"))
    jobs = job_stream(site, start, end, seed=5)
    day = Day(start, end, ReplayedPrices(prices, "America/Chicago"), series, jobs, seed=5)
    with closing(SqlStore.open(f"sqlite:///{file}", durable=False)) as store:
        await replay(site, day, store, step=timedelta(minutes=2), policy=policy)
        return report(store, site, start, end)


async def dispatched(site: Site, prices: list[Price], folder: Path) -> dict[str, Any]:
    """The site with dispatch, held to its promises."""
    ours = await played(site, prices, dispatch, folder / "ours.db")
    assert ours["seconds_above_limit"] == 0
    assert ours["interruptions"]["guaranteed"] == 0
    assert ours["jobs"]["guaranteed"]["late"] == ours["jobs"]["guaranteed"]["failed"] == 0
    assert ours["sla_credits_usd"] == 0
    return ours


async def left_on(site: Site, prices: list[Price], folder: Path) -> dict[str, Any]:
    """The site that is always on."""
    return await played(default_modes(site), prices, always_on, folder / "always-on.db")


async def compared(site: Site, prices: list[Price], folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    return await dispatched(site, prices, folder), await left_on(site, prices, folder)


def day_of(start: datetime, usd_per_mwh: list[float]) -> list[Price]:
    return [
        Price(start + number * QUARTER, start + (number + 1) * QUARTER, price, Market.REAL_TIME)
        for number, price in enumerate(usd_per_mwh)
    ]


@pytest.mark.parametrize(
    "usd_per_mwh",
    [
        pytest.param([30.0] * 20 + [2000.0] * 2 + [30.0] * 18, id="a spike of half an hour on a cheap day"),
        pytest.param([30.0] * 20 + [400.0] + [30.0] * 19, id="a spike of a quarter of an hour"),
        pytest.param([-20.0] * 40, id="negative"),
        pytest.param([400.0] * 40, id="flat and dear"),
        pytest.param([100.0] * 40, id="flat between the fleets' break-evens"),
        pytest.param([40.0, 300.0] * 20, id="cheap and dear in turn"),
        pytest.param([60.0, 110.0] * 20, id="around the old fleet's break-even of 86 in turn"),
        pytest.param([75.0, 95.0] * 20, id="close around the old fleet's break-even in turn"),
        pytest.param([150.0, 210.0] * 20, id="around the new fleet's break-even of 181 in turn"),
        pytest.param([60.0, 60.0, 120.0, 120.0] * 10, id="around it by the half hour"),
        pytest.param([20.0, -40.0, 1500.0, 60.0, 90.0] * 8, id="wild"),
    ],
)
async def test_dispatch_earns_more_than_always_on(
    site: Site, start: datetime, tmp_path: Path, usd_per_mwh: list[float]
) -> None:
    ours, baseline = await compared(site, day_of(start, usd_per_mwh), tmp_path)
    assert ours["profit_usd"] > baseline["profit_usd"]


async def test_on_a_flat_cheap_day_turbo_is_all_there_is_to_gain_and_without_it_nothing_is_lost(
    site: Site, start: datetime, tmp_path: Path
) -> None:
    prices, plain = day_of(start, [25.0] * 40), tmp_path / "plain"
    plain.mkdir()
    baseline = await left_on(site, prices, tmp_path)
    ours = await dispatched(site, prices, tmp_path)
    assert ours["profit_usd"] > baseline["profit_usd"]
    without = await dispatched(default_modes(site), prices, plain)
    assert without["profit_usd"] == pytest.approx(baseline["profit_usd"], rel=1e-3)


async def test_prices_in_turn_around_the_break_even_cost_little_where_modes_bring_nothing(
    site: Site, start: datetime, tmp_path: Path
) -> None:
    """The worst case of the hysteresis: no sleep lasts as long as it was made for."""
    plain = default_modes(replace(site, fleets=(site.fleets[0],)))
    for number, (low, high) in enumerate(((55.0, 92.0), (60.0, 99.0))):
        folder = tmp_path / str(number)
        folder.mkdir()
        ours, baseline = await compared(plain, day_of(start, [low, high] * 20), folder)
        assert ours["profit_usd"] > 0.94 * baseline["profit_usd"], (low, high)


def real_day(file: str, on: str, hours: int) -> list[Price]:
    """`hours` from the start of a UTC day of a file in its 15 min layout."""
    path = REAL / file
    if not path.is_file():
        pytest.skip(f"the real prices {file} are not beside the checkout")
    begin = datetime.fromisoformat(f"{on}T00:00:00+00:00")
    with path.open() as rows:
        by_start = {
            datetime.fromisoformat(row["interval_start_utc"]): float(row["real_time_usd_per_mwh"])
            for row in csv.DictReader(rows)
            if row["interval_start_utc"].startswith(on)
        }
    return [
        Price(at, at + QUARTER, usd, Market.REAL_TIME)
        for at, usd in sorted(by_start.items())
        if at < begin + timedelta(hours=hours)
    ]


@pytest.mark.parametrize("on", ["2024-02-03", "2024-05-08", "2024-08-20"])
async def test_dispatch_earns_more_than_always_on_on_real_days_of_texas(site: Site, tmp_path: Path, on: str) -> None:
    ours, baseline = await compared(site, real_day("ercot_hubavg_2024_15min.csv", on, 24), tmp_path)
    assert ours["profit_usd"] > baseline["profit_usd"]


async def test_dispatch_earns_more_than_always_on_in_the_heat_wave_of_california(site: Site, tmp_path: Path) -> None:
    """Hourly day-ahead prices of 6 September 2022, settled as if in real time."""
    path = REAL / "other_us-cal-ciso_electricity_prices_2022.csv"
    if not path.is_file():
        pytest.skip("the real prices of California are not beside the checkout")
    with path.open() as rows:
        hours = [(row["Datetime"], float(row["Price (USD/MWh)"])) for row in csv.DictReader(rows)]
    prices = [
        Price(at, at + timedelta(hours=1), usd, Market.REAL_TIME)
        for at, usd in ((datetime.fromisoformat(f"{text}+00:00"), usd) for text, usd in hours)
        if at.date().isoformat() == "2022-09-06"
    ]
    ours, baseline = await compared(site, prices, tmp_path)
    assert ours["profit_usd"] > baseline["profit_usd"]
