"""A result such as an engine would find in ERCOT's 2024, to look at a report of real size.

python -m tests.backtest.ercot_year report.html
"""

import csv
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from orchestrator.accounting.economics import mining_value_usd_per_mwh
from orchestrator.backtest.report import write_report
from orchestrator.backtest.result import (
    BacktestResult,
    Floats,
    ForecastSkill,
    MarketSeries,
    PlannerFacts,
    SlaOutcome,
    Source,
    StrategyResult,
    StrategySeries,
)
from orchestrator.domain.site.site import Site
from orchestrator.settings import load_settings

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data"
PRICES = DATA / "prices" / "ercot_hubavg_2024_15min.csv"
HASHPRICE = DATA / "bitcoin"


def ercot_market(site: Site) -> MarketSeries:
    """Central days of 2024, as far as the file has them; one spike was published higher than it was settled."""
    with PRICES.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))[24:-72]
    price = np.array([float(row["real_time_usd_per_mwh"]) for row in rows])
    starts = [datetime.fromisoformat(row["interval_start_utc"]) for row in rows]
    decided = price.copy()
    dearest = int(np.argmax(price))
    decided[dearest - 1 : dearest + 2] *= 1.8
    hashprice = _hashprice()
    return MarketSeries(
        start_s=np.array([int(start.timestamp()) for start in starts]),
        step=timedelta(minutes=15),
        decided_usd_per_mwh=decided,
        settled_usd_per_mwh=price,
        pue=np.array([site.cooling.pue(float(row["temperature_c"] or 20.0)) for row in rows]),
        hashprice_usd_per_ph_day=np.array([hashprice[f"{start - timedelta(days=1):%Y-%m-%d}"] for start in starts]),
    )


def _hashprice() -> dict[str, float]:
    found = {}
    for path in sorted(HASHPRICE.glob("hashprice_daily_*.csv")):
        with path.open(encoding="utf-8") as file:
            for row in csv.DictReader(file):
                found[row["date_utc"]] = float(
                    row["hashprice_usd_per_PHs_day"] or row["hashprice_subsidy_only_usd_per_PHs_day"]
                )
    return found


def _strategy(site: Site, market: MarketSeries, name: str, stop_share: float, price: Floats) -> StrategyResult:
    """Fleets stop above `stop_share` of what their hash is worth at `price`; HPC draws about the same throughout."""
    count, step_h = len(market), market.step_h
    mining_kw, mining_usd, starts = np.zeros(count), np.zeros(count), {}
    for fleet in site.fleets:
        mode = fleet.mode(fleet.default_mode)
        worth = np.array(
            [
                mining_value_usd_per_mwh(mode.power_w, mode.hashrate_ths, hashprice, pue)
                for hashprice, pue in zip(market.hashprice_usd_per_ph_day, market.pue, strict=True)
            ]
        )
        on = price < (worth * stop_share if stop_share < 50.0 else stop_share)
        woken = np.flatnonzero(np.diff(on.astype(np.int8)) == 1)
        starts[fleet.name] = len(woken) * fleet.racks
        hashing = on.astype(np.float64)
        hashing[woken + 1] *= 0.47  # warm-up
        kw = np.where(on, fleet.racks * fleet.rack_kw(fleet.default_mode), fleet.racks * fleet.rack_kw("sleep"))
        mining_kw += kw * market.pue
        ph = fleet.machines * mode.hashrate_ths / 1000.0
        mining_usd += hashing * ph * market.hashprice_usd_per_ph_day * step_h / 24.0
    chance = np.random.default_rng(3)
    busy = np.clip(
        0.82 + 0.1 * np.sin(np.arange(count) / 96.0 * 2.0 * np.pi) + chance.normal(0.0, 0.03, count), 0.4, 1.0
    )
    calm = price < 300.0 if name != "always-on" else np.ones(count, dtype=np.bool_)
    gpus = sum(pool.gpus for pool in site.pools)
    hpc_kw = sum(pool.idle_kw + (pool.nameplate_kw - pool.idle_kw) * 0.95 for pool in site.pools) * busy
    hpc_kw = np.where(calm, hpc_kw, hpc_kw * 0.55) * market.pue
    most_kw = site.grid.limit_kw * (1.0 - site.grid.measurement_uncertainty)
    mining_kw = np.minimum(mining_kw, most_kw - hpc_kw)
    grid_kw = mining_kw + hpc_kw
    credits = np.where(chance.random(count) < 0.002, 45.0, 0.0)
    series = StrategySeries(
        mining_grid_kw=mining_kw,
        hpc_grid_kw=hpc_kw,
        mining_revenue_usd=mining_usd,
        hpc_revenue_usd=np.where(calm, 1.0, 0.6) * busy * gpus * 0.35 * 1.9 * step_h,
        charges_usd={},
        energy_cost_usd=grid_kw * step_h * market.settled_usd_per_mwh / 1000.0,
        credits_usd=credits,
    )
    plans = name in ("plan", "perfect-prices")
    late = int(np.count_nonzero(credits))
    return StrategyResult(
        name=name,
        series=series,
        starts=starts,
        job_starts=108_214 if name == "always-on" else 112_870,
        outcomes=(
            SlaOutcome("aurora-bio", 21_480, 0, 12, 96, 4, 0, 1_204_310.0, 0.0, 41_200.0, 0, 0),
            SlaOutcome(
                "lumen-ai",
                52_113 - late,
                late,
                204,
                871,
                31,
                0 if name == "always-on" else 1_204,
                3_310_040.0,
                float(credits.sum()),
                38_800.0,
                0 if name == "always-on" else 12,
                0,
            ),
            SlaOutcome(
                "campus-lab",
                31_002,
                0,
                1_611,
                640,
                150,
                0 if name == "always-on" else 3_452,
                1_422_901.0,
                0.0,
                0.0,
                0 if name == "always-on" else 31,
                0 if name == "always-on" else 2,
            ),
        ),
        seconds_above_cap=0.0,
        highest_grid_kw=float(grid_kw.max()),
        planner=PlannerFacts(35_040, 3, 0.0094, 1800.0, 212.0, 640.0) if plans else None,
        seconds=148.0 if plans else 21.0,
        peak_mb=286.0,
        assumptions=("knows all prices of the next 24 h, which no site does.",) if name == "perfect-prices" else (),
    )


def ercot_year(site: Site) -> BacktestResult:
    """Five strategies over the year; figures of real size, not of a real run."""
    market = ercot_market(site)
    settled = market.settled_usd_per_mwh
    strategies = (
        _strategy(site, market, "always-on", 1e9, settled),
        _strategy(site, market, "threshold=80", 80.0, market.decided_usd_per_mwh),
        _strategy(site, market, "greedy", 0.9, market.decided_usd_per_mwh),
        _strategy(site, market, "plan", 0.985, market.decided_usd_per_mwh),
        _strategy(site, market, "perfect-prices", 1.0, settled),
    )
    best = float(strategies[-1].series.profit_usd.sum())
    return BacktestResult(
        site=site,
        start=datetime.fromtimestamp(int(market.start_s[0]), UTC),
        end=datetime.fromtimestamp(int(market.start_s[-1]), UTC) + market.step,
        market=market,
        strategies=strategies,
        bound_usd=best * 1.008,
        bound_note="It was found month by month from the plan's own relaxation.",
        prices=(Source(PRICES.name, "real-time and day-ahead, 15 min, ERCOT hub average", "5f" * 32),),
        hashprice=Source("hashprice_daily_2023_2025.csv", "each day's figure is known the day after", "1c" * 32),
        weather=Source(PRICES.name, "its column temperature_c", "5f" * 32),
        trace=Source("philly_2017.csv", "82,247 jobs; arrivals x 2.76 to fill 2,752 GPUs", "9e" * 32),
        seed=1,
        warnings=(
            "philly_2017.csv: 1,204 of 82,247 jobs have no run time or more GPUs than the site; they were left out.",
            "hashprice_daily_2023_2025.csv: fees are unknown from 2024-04-28 on and left out.",
        ),
        assumptions=(
            "Devices are simulated by their nameplates in the site file, in steps of 15 minutes of virtual time.",
            "A machine draws full power and hashes nothing for its warm-up.",
        ),
        versions={"wattshift": "0.4.0", "python": "3.11.7", "numpy": "2.4.1", "numba": "0.68.0"},
        seconds=412.0,
        peak_mb=312.0,
        command="wattshift backtest --site examples/texas-100mw.yaml --prices ercot_hubavg_2024_15min.csv "
        "--hashprice hashprice_daily_2023_2025.csv --trace philly_2017.csv "
        "--strategies always-on,threshold=80,greedy,plan,perfect-prices --report report.html",
        skill=tuple(
            ForecastSkill(hours, mae, pinball, 35_000)
            for hours, mae, pinball in ((1.0, 9.1, 3.2), (4.0, 14.4, 4.9), (12.0, 17.8, 6.1), (24.0, 19.0, 6.6))
        ),
    )


if __name__ == "__main__":
    hybrid = load_settings(ROOT / "examples" / "texas-100mw.yaml", {}).site
    write_report(Path(sys.argv[1]), ercot_year(replace(hybrid, name="Pecos Ridge")))
