"""A site's history under one strategy: limits kept, money that adds up, the same every time."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.backtest.engine import Kept, Strategy, run
from orchestrator.backtest.jobs.submitted import SubmittedJobs
from orchestrator.backtest.records.batch import JobEnd, Kind, RowBatch, joined
from orchestrator.backtest.result import MarketSeries
from orchestrator.backtest.strategies import Greedy, Threshold, named
from orchestrator.dispatch.baseline import default_modes
from orchestrator.domain.site.site import Feeder, Site
from orchestrator.domain.sla import SlaClass
from tests.sites import small_site

START = datetime(2024, 5, 1, tzinfo=UTC)
QUARTER = timedelta(minutes=15)
PUE = 1.1


def market(*prices: float, settled: tuple[float, ...] = ()) -> MarketSeries:
    count = len(prices)
    return MarketSeries(
        start_s=int(START.timestamp()) + 900 * np.arange(count),
        step=QUARTER,
        decided_usd_per_mwh=np.array(prices, dtype=np.float64),
        settled_usd_per_mwh=np.array(settled or prices, dtype=np.float64),
        pue=np.full(count, PUE),
        hashprice_usd_per_ph_day=np.full(count, 60.0),
    )


def workload(site: Site, count: int, seed: int = 1, quarters: int = 8) -> SubmittedJobs:
    """Jobs of all classes, handed in over the first half of so many quarters of an hour."""
    random = np.random.default_rng(seed)
    gpus = random.choice([8, 16, 80], count)
    tenant = random.integers(0, len(site.tenants), count)
    sla = np.array([site.tenants[row].sla.number for row in tenant], dtype=np.int64)
    submitted_at = np.sort(START.timestamp() + random.uniform(0.0, quarters * 450.0, count))
    hours = random.uniform(0.1, 2.0, count)
    return SubmittedJobs(
        pool=np.zeros(count, dtype=np.int64),
        tenant=tenant,
        sla=sla,
        gpus=gpus,
        work_gpu_seconds=hours * 3600.0 * gpus,
        submitted_at=submitted_at,
        deadline=np.where(sla == SlaClass.FLEXIBLE.number, submitted_at + 2.0 * hours * 3600.0, np.inf),
        until=submitted_at + 86_400.0,
        restart_s=np.full(count, 300.0),
        checkpoint_every_s=np.full(count, 1800.0),
    )


def played(site: Site, prices: MarketSeries, jobs: SubmittedJobs, strategy: Strategy) -> tuple[RowBatch, Kept]:
    batches: list[RowBatch] = []
    kept = run(
        site,
        prices,
        jobs,
        strategy,
        hashprice_known_usd_per_ph_day=prices.hashprice_usd_per_ph_day,
        levels=[],
        emit=batches.append,
    )
    return joined(batches), kept


def test_fleets_sleep_while_power_is_dear(site: Site) -> None:
    rows, _ = played(site, market(30, 30, 900, 900, 900, 900, 900, 30, 30), workload(site, 0), Greedy(site))
    fleets = rows.kind == Kind.FLEET
    kw = np.bincount(rows.interval[fleets], rows.it_kw[fleets])
    asleep_kw = sum(fleet.racks * fleet.rack_kw("sleep") for fleet in site.fleets)
    assert kw[2] == pytest.approx(asleep_kw)
    assert kw[0] > 100 * asleep_kw
    assert kw[-1] == pytest.approx(kw[0])
    woken = rows.starts[fleets & (rows.interval == 7)]
    assert woken.tolist() == [fleet.racks for fleet in site.fleets]


def test_it_is_decided_on_the_first_price_and_paid_at_the_final_one(site: Site) -> None:
    corrected = market(30, 900, 900, 30, settled=(30, 40, 40, 30))
    rows, _ = played(site, corrected, workload(site, 0), Greedy(site))
    plain, _ = played(site, market(30, 900, 900, 30), workload(site, 0), Greedy(site))
    assert rows.it_kw.tolist() == plain.it_kw.tolist()
    at = rows.interval == 1
    assert rows.cost_usd[at].sum() == pytest.approx((rows.it_kw[at] * PUE * 0.25 * 40 / 1000).sum())


def test_every_job_is_settled_once(site: Site) -> None:
    jobs = workload(site, 40)
    rows, _ = played(site, market(*[40.0] * 30), jobs, Greedy(site))
    settled = rows.outcome >= 0
    assert sorted(rows.subject[settled].tolist()) == list(range(40))
    done = rows.subject[rows.outcome == JobEnd.ON_TIME]
    hours = np.bincount(rows.subject[rows.kind == Kind.JOB], rows.gpu_hours[rows.kind == Kind.JOB], minlength=40)
    assert hours[done] == pytest.approx(jobs.work_gpu_seconds[done] / 3600.0)
    assert (hours <= jobs.work_gpu_seconds / 3600.0 + 1e-6).all()


@given(
    prices=st.lists(st.floats(-100, 2000), min_size=4, max_size=12),
    count=st.integers(0, 25),
    seed=st.integers(0, 1000),
    limit_kw=st.floats(800, 4500),
    rule=st.sampled_from(["greedy", "always-on", "threshold"]),
)
def test_caps_and_promises_are_kept_whatever_the_prices(
    prices: list[float], count: int, seed: int, limit_kw: float, rule: str
) -> None:
    site = small_site()
    site = replace(site, grid=replace(site.grid, limit_kw=limit_kw), feeders=(Feeder("a", 2000.0), Feeder("b", 1500.0)))
    jobs = workload(site, count, seed, len(prices))
    strategy: Strategy = Greedy(site)
    if rule != "greedy":
        site = default_modes(site)
        strategy = Threshold(site, np.inf if rule == "always-on" else 80.0)
    rows, kept = played(site, market(*prices), jobs, strategy)
    assert kept.seconds_above_cap == 0.0
    assert kept.highest_grid_kw <= limit_kw
    job_rows = rows.kind == Kind.JOB
    guaranteed = job_rows & np.isin(rows.subject, np.flatnonzero(jobs.sla == SlaClass.GUARANTEED.number))
    assert rows.interruptions[guaranteed].sum() == 0
    assert np.bincount(rows.interval[job_rows], rows.gpus[job_rows], 1).max() <= site.pools[0].gpus
    again, _ = played(site, market(*prices), jobs, strategy)
    assert again.it_kw.tolist() == rows.it_kw.tolist()


def test_a_list_of_strategies_is_read() -> None:
    assert [one.name for one in named("always-on,threshold=80,greedy,plan,perfect-prices")] == [
        "always-on",
        "threshold=80",
        "greedy",
        "plan",
        "perfect-prices",
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("best", "'best' is no strategy; allowed are always-on, threshold=USD_PER_MWH, greedy"),
        ("threshold", "'threshold' is no strategy"),
        ("plan=3", "'plan=3' is no strategy"),
        ("threshold=cheap", "'cheap' is no price"),
        ("threshold=nan", "'nan' is no price"),
        ("plan,plan", "names a strategy twice"),
        ("", "'' is no strategy"),
    ],
)
def test_a_strategy_that_is_none_is_named(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=r".") as raised:
        named(text)
    assert says in str(raised.value)
