"""A site's history under one strategy: decide at the start of each interval, move, settle, and on to the next.

What is decided is the strategy's; what is possible, what it draws and what it earns are the same for all. Devices are
simulated: racks and GPUs draw their nameplate, and moves take effect at the start of an interval.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

import numpy as np

from orchestrator.accounting.power_cost import block_kw, marginal_over, market_usd, more_usd
from orchestrator.backtest.jobs.job_book import JobBook, JobsSettled
from orchestrator.backtest.jobs.submitted import SubmittedJobs
from orchestrator.backtest.racks import FleetsSettled, Racks
from orchestrator.backtest.records.batch import NONE, Kind, RowBatch
from orchestrator.backtest.result import MarketSeries
from orchestrator.dispatch.anti_cycling import Budget
from orchestrator.dispatch.inputs import by_fleet_name
from orchestrator.dispatch.kernels.choice import BlockLeft, Room
from orchestrator.dispatch.kernels.rows import Moment
from orchestrator.dispatch.kernels.tranches import Places
from orchestrator.dispatch.room_left import block_left
from orchestrator.domain.charge import Charge
from orchestrator.domain.headroom import left_kw, margin_kw, usable_kw
from orchestrator.domain.rack_mix import RackMix
from orchestrator.domain.site.machines import SLEEP
from orchestrator.domain.site.site import Site
from orchestrator.domain.units import HASHES_PER_PH_DAY
from orchestrator.observe.columns import FleetColumns, Floats, Ints, JobColumns, hull

ROUNDING_KW = 1e-6


@dataclass(frozen=True, slots=True)
class Instant:
    """What a strategy sees at the start of an interval."""

    index: int
    """Of the market's interval."""
    moment: Moment
    price_usd_per_mwh: float
    """Of the market, as first published."""
    beyond_usd_per_mwh: float
    """What one more kW costs by it beyond what was bought ahead, charges and all."""
    fleets: FleetColumns
    jobs: JobColumns
    job_rows: Ints
    """Rows of the workload, by row of `jobs`."""
    places: Places
    room: Room
    bought: BlockLeft
    """Of power bought ahead."""
    arrived: bool
    """Jobs have come in since the interval before."""


class Strategy(Protocol):
    """Decides; may remember."""

    def __call__(self, instant: Instant) -> tuple[Ints, Ints]:
        """`at_step` (fleets, S), racks in each step or above, and GPUs by job, 0 for none."""
        ...


@dataclass(frozen=True, slots=True)
class Kept:
    """How a run kept the caps."""

    seconds_above_cap: float
    highest_grid_kw: float


def run(
    site: Site,
    market: MarketSeries,
    workload: SubmittedJobs,
    strategy: Strategy,
    *,
    hashprice_known_usd_per_ph_day: Floats,
    levels: list[str],
    emit: Callable[[RowBatch], None],
    progress: Callable[[int], None] = lambda done: None,
) -> Kept:
    """Play the market's intervals in order. `emit` is given the settled rows, `progress` how many intervals are done.

    `hashprice_known_usd_per_ph_day` (N,) is what was known of it when decisions were made. Fleets begin warm in their
    default modes. `levels` gets the names that the rows' levels are row numbers of.
    """
    interval_s = market.step.total_seconds()
    racks = Racks(site, datetime.fromtimestamp(int(market.start_s[0]), UTC), awake=True)
    book = JobBook(site, workload)
    starts = [datetime.fromtimestamp(at_s, UTC) for at_s in market.start_s.tolist()]
    fixed = Fixed.of(site, racks.columns)
    left, beyond = marginal_over(site.grid.charges, starts, market.decided_usd_per_mwh)
    budget = Budget(np.array([tenant.interruptions_per_hour for tenant in site.tenants], dtype=np.int64))
    naming = _Levels(site, levels)
    above_s = highest_kw = 0.0
    for index in range(len(market)):
        at_s, pue = float(market.start_s[index]), float(market.pue[index])
        arrived = book.begin(at_s)
        jobs = book.columns()
        moment = Moment(
            at=at_s,
            hashprice_usd_per_ph_day=float(hashprice_known_usd_per_ph_day[index]),
            pue=pue,
            price_persistence_s=site.controls.price_persistence.total_seconds(),
            interruptions_left=budget.left(at_s),
        )
        seen = Instant(
            index=index,
            moment=moment,
            price_usd_per_mwh=float(market.decided_usd_per_mwh[index]),
            beyond_usd_per_mwh=float(beyond[index]),
            fleets=racks.columns,
            jobs=jobs,
            job_rows=book.open,
            places=by_fleet_name(site, len(jobs)),
            room=fixed.room(site, pue),
            bought=fixed.bought(pue, float(left[index])),
            arrived=arrived,
        )
        at_step, gpus = strategy(seen)
        woken = racks.move(at_step, at_s)
        book.move(gpus, at_s)
        fleets_settled, jobs_settled = racks.settle(woken, interval_s), book.settle(at_s, interval_s)
        budget.spend(at_s, workload.tenant[jobs_settled.rows[jobs_settled.interruptions > 0]])
        emit(fixed.rows(index, starts[index], market, workload, fleets_settled, naming.rows(at_step), jobs_settled))
        grid_kw, above = fixed.kept(site, pue, workload, fleets_settled, jobs_settled)
        above_s += interval_s if above else 0.0
        highest_kw = max(highest_kw, grid_kw)
        progress(index + 1)
    nothing = np.empty(0, dtype=np.int64)
    emit(fixed.rows(len(market) - 1, starts[-1], market, workload, None, nothing, book.end()))
    return Kept(above_s, highest_kw)


class _Levels:
    """Names for how many racks of a fleet are in which mode."""

    def __init__(self, site: Site, names: list[str]) -> None:
        self._modes = [[step.to_mode for step in hull(fleet)] for fleet in site.fleets]
        self._racks = [fleet.racks for fleet in site.fleets]
        self._names = names
        self._rows: dict[tuple[int, ...], int] = {}

    def rows(self, at_step: Ints) -> Ints:
        """By fleet, the row of its name."""
        return np.array([self._row(fleet, steps) for fleet, steps in enumerate(at_step.tolist())], dtype=np.int64)

    def _row(self, fleet: int, steps: list[int]) -> int:
        key = (fleet, *steps)
        if key not in self._rows:
            self._rows[key] = len(self._names)
            self._names.append(RackMix.of_steps(self._racks[fleet], self._modes[fleet], steps).text(asleep=SLEEP))
        return self._rows[key]


@dataclass(frozen=True, slots=True)
class Fixed:
    """What is the same in every interval: caps, and what is drawn whatever is decided. Powers are IT power."""

    fleet_feeder: Ints
    pool_feeder: Ints
    pool_idle_kw: Floats
    pool_gpus: Ints
    limit_kw: Floats
    """(1 + feeders): of the grid connection and of each feeder, at the grid."""
    asleep_kw: Floats
    """(1 + feeders): of all racks asleep and all GPUs idle, in all and by feeder."""
    charges: tuple[Charge, ...]

    @staticmethod
    def of(site: Site, fleets: FleetColumns) -> "Fixed":
        feeders = [feeder.name for feeder in site.feeders]
        pool_feeder = np.array([feeders.index(pool.feeder) for pool in site.pools], dtype=np.int64)
        pool_idle_kw = np.array([pool.idle_kw for pool in site.pools], dtype=np.float64)
        by_feeder = np.bincount(fleets.feeder, fleets.racks * fleets.asleep_kw, len(feeders))
        by_feeder = by_feeder + np.bincount(pool_feeder, pool_idle_kw, len(feeders))
        return Fixed(
            fleet_feeder=fleets.feeder,
            pool_feeder=pool_feeder,
            pool_idle_kw=pool_idle_kw,
            pool_gpus=np.array([pool.gpus for pool in site.pools], dtype=np.int64),
            limit_kw=np.array([site.grid.limit_kw, *(feeder.limit_kw for feeder in site.feeders)]),
            asleep_kw=np.concatenate([[by_feeder.sum()], by_feeder]),
            charges=site.grid.charges,
        )

    def room(self, site: Site, pue: float) -> Room:
        """What is left under the caps for what can move."""
        room_kw = left_kw(usable_kw(self.limit_kw, site.grid.measurement_uncertainty), self.asleep_kw, pue)
        free_kw = margin_kw(self.limit_kw)
        return Room(float(room_kw[0]), room_kw[1:], float(free_kw[0]), free_kw[1:], self.pool_gpus)

    def bought(self, pue: float, left_usd_per_mwh: float) -> BlockLeft:
        """What is left of power bought ahead for what can move."""
        return block_left(block_kw(self.charges), float(self.asleep_kw[0]) * pue, left_usd_per_mwh)

    def kept(
        self, site: Site, pue: float, workload: SubmittedJobs, fleets: FleetsSettled, jobs: JobsSettled
    ) -> tuple[float, bool]:
        """Power at the grid, and whether that or a feeder's is above its limit."""
        job_feeder = self.pool_feeder[workload.pool[jobs.rows]] if len(jobs.rows) else jobs.rows
        count = len(site.feeders)
        by_feeder = np.bincount(self.fleet_feeder, fleets.it_kw, count) + np.bincount(job_feeder, jobs.it_kw, count)
        if len(self.pool_feeder):
            by_feeder = by_feeder + np.bincount(self.pool_feeder, self.pool_idle_kw, count)
        grid_kw = float(by_feeder.sum()) * pue
        above = grid_kw > self.limit_kw[0] + ROUNDING_KW or (by_feeder * pue > self.limit_kw[1:] + ROUNDING_KW).any()
        return grid_kw, bool(above)

    def rows(
        self,
        index: int,
        start: datetime,
        market: MarketSeries,
        workload: SubmittedJobs,
        fleets: FleetsSettled | None,
        levels: Ints,
        jobs: JobsSettled,
    ) -> RowBatch:
        """One interval's rows: fleets, then pools, then jobs, then charges; without `fleets` jobs alone."""
        hours, pue = market.step_h, float(market.pue[index])
        fleet_kw = fleets.it_kw if fleets is not None else np.empty(0)
        hash_ph_days = (fleets.hashes if fleets is not None else np.empty(0)) / HASHES_PER_PH_DAY
        pool_kw = self.pool_idle_kw if fleets is not None else np.empty(0)
        charges = self.charges if fleets is not None else ()
        counts = np.array([len(fleet_kw), len(pool_kw), len(jobs.rows), len(charges)])
        size = int(counts.sum())
        kind = np.repeat(np.array([Kind.FLEET, Kind.POOL, Kind.JOB, Kind.CHARGE]), counts)
        busy = np.bincount(workload.pool[jobs.rows], jobs.gpus, len(self.pool_gpus))[: len(pool_kw)]
        unpaid = np.zeros(int(counts[:2].sum()))
        unknown = np.full(int(counts[:2].sum()), np.nan)
        nobody = np.full(int(counts[:2].sum()), NONE)
        it_kw = np.concatenate([fleet_kw, pool_kw, jobs.it_kw])
        price = float(market.settled_usd_per_mwh[index])
        energy_kwh = it_kw * pue * hours
        drawn_kwh = float(it_kw.sum()) * pue * hours
        more = [more_usd(charge, start, hours, drawn_kwh, price) for charge in charges]
        fleet_revenue = hash_ph_days * market.hashprice_usd_per_ph_day[index]
        woken = fleets.woken if fleets is not None else np.empty(0, dtype=np.int64)
        still = np.zeros(len(pool_kw))
        nothing, no_row = np.zeros(len(charges)), np.full(len(charges), NONE)
        no_figure = np.full(len(charges), np.nan)
        return RowBatch(
            interval=np.full(size, index),
            kind=kind,
            subject=np.concatenate(
                [np.arange(len(fleet_kw)), np.arange(len(pool_kw)), jobs.rows, np.arange(len(charges))]
            ),
            tenant=np.concatenate([nobody, workload.tenant[jobs.rows], no_row]),
            level=np.concatenate([levels, np.full(size - len(levels), NONE)]),
            gpus=np.concatenate([np.full(len(fleet_kw), np.nan), busy, jobs.gpus, no_figure]),
            it_kw=np.concatenate([it_kw, nothing]),
            hash_ph_days=np.concatenate([hash_ph_days, np.full(size - len(fleet_kw), np.nan)]),
            gpu_hours=np.concatenate([unknown, jobs.gpu_hours, no_figure]),
            revenue_usd=np.concatenate([fleet_revenue, still, jobs.revenue_usd, nothing]),
            cost_usd=np.concatenate([market_usd(start, energy_kwh, price), more]),
            credit_usd=np.concatenate([unpaid, jobs.credit_usd, nothing]),
            starts=np.concatenate([woken, still.astype(np.int64), jobs.starts, nothing.astype(np.int64)]),
            interruptions=np.concatenate([unpaid.astype(np.int64), jobs.interruptions, nothing.astype(np.int64)]),
            outcome=np.concatenate([nobody, jobs.outcome, no_row]),
        )
