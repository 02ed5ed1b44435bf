"""The same day twice: replayed through the controller on simulated devices, and computed by the backtest.

Both are wired alike: devices at nameplate without faults, warm at the start, the same jobs, prices, hashprice and
temperature. `docs/adr/0014-parity.md` says what still differs, and why.
"""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from math import inf
from pathlib import Path

import numpy as np
import pytest

from orchestrator.adapters.prices.file import read_price_file
from orchestrator.adapters.prices.replayed import ReplayedPrices
from orchestrator.adapters.series.constant import ConstantSeries
from orchestrator.adapters.store import SqlStore
from orchestrator.backtest import series as backtest_series
from orchestrator.backtest.jobs.submitted import submitted_jobs
from orchestrator.backtest.market import FilePriced, market_history
from orchestrator.backtest.play import Period, play
from orchestrator.backtest.strategies import named
from orchestrator.controller import Policy
from orchestrator.dispatch.baseline import always_on, default_modes
from orchestrator.dispatch.dispatch import dispatch
from orchestrator.dispatch.live_columns import LiveColumns
from orchestrator.domain.market import Price
from orchestrator.domain.site.site import Site
from orchestrator.domain.work import Job
from orchestrator.runtime.demo.replay import Day, replay
from orchestrator.runtime.demo.report import report
from orchestrator.runtime.feeds import Series
from orchestrator.sim.jobs.arrivals import job_stream
from orchestrator.sim.racks.asic_rack import NO_FAULTS
from orchestrator.sim.spread import NO_SPREAD
from orchestrator.sim.virtual import VirtualSite

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[1] / "examples"
QUARTER_S = 900
STEP = timedelta(minutes=5)
"""Between two observations of the replay while nothing is under way."""
HASHPRICE, OUTDOOR_C = 60.0, 30.0
SEED = 1


@dataclass(frozen=True)
class Money:
    """What a day came to, USD."""

    mining: float
    hpc: float
    energy: float
    credits: float

    @property
    def profit(self) -> float:
        return self.mining + self.hpc - self.energy - self.credits


@dataclass(frozen=True)
class PlayedDay:
    """A day of prices, those before it among them, and its jobs."""

    start: datetime
    end: datetime
    prices: tuple[Price, ...]
    jobs: tuple[Job, ...]


@pytest.fixture(scope="module")
def site(site: Site) -> Site:
    """The example's site at a fifth: its fleets, pools and tenants, with caps that bind as there. No meters: what they
    count beyond the devices is paid live, and a backtest has none."""
    h100, gb200 = site.pools
    return replace(
        site,
        grid=replace(site.grid, limit_kw=20_000.0, meter=None),
        feeders=tuple(replace(feeder, limit_kw=5_400.0, meter=None) for feeder in site.feeders),
        fleets=tuple(replace(fleet, racks=2) for fleet in site.fleets),
        pools=(replace(h100, nodes=24), replace(gb200, nodes=5)),
        controls=replace(site.controls, lease=3 * STEP),
    )


def day_of(site: Site, file: Path, start: datetime, hours: float = 24.0) -> PlayedDay:
    """Jobs come at the quarter of an hour: a backtest looks at them no oftener."""
    prices = read_price_file(file, point=None, timezone="UTC", usd_per_eur=None).prices
    end = start + timedelta(hours=hours)
    jobs = [replace(job, submitted_at=next_quarter(job.submitted_at)) for job in job_stream(site, start, end, SEED)]
    return PlayedDay(start, end, tuple(prices), tuple(job for job in jobs if job.submitted_at < end))


def next_quarter(at: datetime) -> datetime:
    return datetime.fromtimestamp(-(-at.timestamp() // QUARTER_S) * QUARTER_S, UTC)


def event_day(site: Site, hours: float = 24.0) -> PlayedDay:
    """ERCOT's emergency of 6 September 2023: up to 5,000 USD/MWh in the evening. Little is known of prices before."""
    return day_of(site, EXAMPLES / "ercot-2023-09-06.csv", datetime(2023, 9, 6, 5, tzinfo=UTC), hours)


def negative_day(site: Site) -> PlayedDay:
    """42 quarters of an hour at negative prices, after nine days that forecasts learn from."""
    return day_of(site, HERE / "ercot-2024-01-12.csv", datetime(2024, 1, 12, tzinfo=UTC))


async def replayed(site: Site, day: PlayedDay, rule: str, folder: Path, *, awake: bool = True) -> Money:
    """By the controller, on devices at nameplate, at first all warm or all asleep."""
    seen = default_modes(site) if rule == "always-on" else site
    devices = VirtualSite(
        seen, start=day.start, seed=SEED, awake=awake, outdoor_c=OUTDOOR_C, faults=NO_FAULTS, spread=NO_SPREAD
    )
    policies: dict[str, Policy | None] = {
        "always-on": always_on,
        "greedy": partial(dispatch, live=LiveColumns()),
        "plan": None,
    }
    series = Series(ConstantSeries(HASHPRICE, "USD/PH/s/day"), ConstantSeries(OUTDOOR_C, "degC"))
    what = Day(day.start, day.end, ReplayedPrices(day.prices, site.timezone), series, day.jobs, SEED)
    with closing(SqlStore.open(f"sqlite:///{folder / 'day.db'}", durable=False)) as store:
        await replay(seen, what, store, step=STEP, policy=policies[rule], devices=devices)
        told = report(store, seen, day.start, day.end)
    assert told["seconds_above_limit"] == 0.0
    return Money(
        told["revenue_usd"]["mining"], told["revenue_usd"]["hpc"], told["energy_cost_usd"], told["sla_credits_usd"]
    )


def computed(site: Site, day: PlayedDay, rule: str) -> Money:
    """By the backtest."""
    history = market_history(
        [FilePriced("prices", day.prices)],
        site.stale.price,
        constant(HASHPRICE),
        constant(OUTDOOR_C),
        start=day.start,
        end=day.end,
    )
    period = Period(site, history, submitted_jobs(site, day.jobs), SEED, {})
    result = play(period, named(rule)[0], None)
    assert result.seconds_above_cap == 0.0
    usd = result.series
    return Money(
        float(usd.mining_revenue_usd.sum()),
        float(usd.hpc_revenue_usd.sum()),
        float(usd.energy_cost_usd.sum()),
        float(usd.credits_usd.sum()),
    )


def constant(value: float) -> backtest_series.Series:
    return backtest_series.Series(at=np.array([0.0]), values=np.array([value]), max_age_s=inf, assumed=value)


@pytest.mark.parametrize(("rule", "within"), [("always-on", 0.001), ("greedy", 0.01), ("plan", 0.01)])
@pytest.mark.parametrize("day", [event_day, negative_day])
async def test_a_replay_through_the_controller_earns_what_the_backtest_says(
    site: Site, tmp_path: Path, day: Callable[[Site], PlayedDay], rule: str, within: float
) -> None:
    played = day(site)
    live, history = await replayed(site, played, rule, tmp_path), computed(site, played, rule)
    assert history.profit == pytest.approx(live.profit, rel=within)


async def test_the_always_on_site_wakes_and_mines_however_short_prices_are_taken_to_last(
    site: Site, tmp_path: Path
) -> None:
    """With one shorter than the warm-up no rack is worth waking by its price; the demo's comparison mined nothing."""
    site = replace(site, controls=replace(site.controls, price_persistence=timedelta(minutes=5)))
    hours = 4.0
    played = event_day(site, hours)
    live = await replayed(site, played, "always-on", tmp_path, awake=False)
    history = computed(site, played, "always-on")
    warm_up_h = site.fleets[0].warm_up.total_seconds() / 3600.0
    assert history.mining > 0.0
    assert live.mining == pytest.approx((1.0 - warm_up_h / hours) * history.mining, rel=0.02)
