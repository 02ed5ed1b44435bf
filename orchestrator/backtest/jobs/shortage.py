"""Power that jobs need against what the caps leave: whether a backtest's promises can be kept at all, in sentences."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from orchestrator.backtest.engine import ROUNDING_KW, Fixed
from orchestrator.backtest.jobs.submitted import SubmittedJobs
from orchestrator.backtest.play import Period
from orchestrator.backtest.racks import Racks
from orchestrator.backtest.result import Floats, Ints, MarketSeries
from orchestrator.domain.headroom import START_MARGIN, left_kw, usable_share
from orchestrator.domain.target import GRID_CONNECTION, Target
from orchestrator.observe.columns import by_class


@dataclass(frozen=True, slots=True)
class Shortage:
    """What needs more than a cap leaves. Powers are kW at the grid beside what sleeping machines and idle GPUs draw."""

    cap: str
    need_kw: float
    """At most."""
    left_kw: tuple[float, float]
    """Least and most that the cap leaves."""
    intervals: int
    """In which it is too little."""
    first: datetime
    """Start of the first of them."""
    lack_kw: float
    """What the cap would have to be higher, so that it is never too little."""


def shortages(period: Period) -> tuple[str, ...]:
    """A sentence for each cap that leaves less than guaranteed jobs need, then for each that leaves less than all GPUs
    need; none where there is enough for all."""
    site, market, workload = period.site, period.market, period.workload
    if not site.pools or not len(workload) or not len(market):
        return ()
    start = datetime.fromtimestamp(int(market.start_s[0]), UTC)
    fixed = Fixed.of(site, Racks(site, start, awake=True).columns)
    # What dispatch may fill with what it switches on.
    usable = usable_share(site.grid.measurement_uncertainty, START_MARGIN)
    room_kw = left_kw(fixed.limit_kw[:, None] * usable, fixed.asleep_kw[:, None], market.pue)
    rise_kw = np.array([pool.gpu_rise_kw for pool in site.pools])
    names = (f"the {GRID_CONNECTION}", *(str(Target.feeder(feeder.name)) for feeder in site.feeders))
    guaranteed = workload.at(by_class(workload.sla, lambda rules: rules.at_any_price))

    def short(gpus: Ints | Floats) -> Iterator[Shortage]:
        """The caps under which GPUs (G, N) at work are too many."""
        feeder_kw = np.zeros((len(site.feeders), len(market)))
        np.add.at(feeder_kw, fixed.pool_feeder, gpus * rise_kw[:, None] * market.pue)
        need_kw = np.vstack([feeder_kw.sum(axis=0), feeder_kw])
        for row in np.flatnonzero((need_kw > room_kw + ROUNDING_KW).any(axis=1)).tolist():
            over_kw = need_kw[row] - room_kw[row]
            at = np.flatnonzero(over_kw > ROUNDING_KW)
            yield Shortage(
                cap=names[row],
                need_kw=float(need_kw[row].max()),
                left_kw=(max(float(room_kw[row].min()), 0.0), max(float(room_kw[row].max()), 0.0)),
                intervals=len(at),
                first=datetime.fromtimestamp(int(market.start_s[at[0]]), UTC),
                lack_kw=float(over_kw.max()) / usable,
            )

    told = []
    for found in short(_busy(guaranteed, fixed.pool_gpus, market)):
        told.append(f"promises that cannot be kept: guaranteed jobs that start as they come in {_said(found, market)}")
    for found in short(np.repeat(fixed.pool_gpus[:, None], len(market), axis=1)):
        share = found.left_kw[0] / found.need_kw
        told.append(f"power for {share:.0%} of the GPUs: all at work {_said(found, market)}")
    return tuple(told)


def _said(found: Shortage, market: MarketSeries) -> str:
    low, high = (f"{kw:,.0f}" for kw in found.left_kw)
    leaves = low if low == high else f"{low} to {high}"
    return (
        f"need up to {found.need_kw:,.0f} kW at the grid, and {found.cap} leaves {leaves} kW beside sleeping "
        f"machines and idle GPUs; that is too little in {found.intervals:,} of {len(market):,} intervals, from "
        f"{found.first:%Y-%m-%dT%H:%MZ} on, and a limit {found.lack_kw:,.0f} kW higher would be enough"
    )


def _busy(jobs: SubmittedJobs, pool_gpus: Ints, market: MarketSeries) -> Floats:
    """(G, N) GPUs that the jobs hold if each starts as it comes in; not more than there are."""
    count, step_s = len(market), market.step.total_seconds()
    first = np.searchsorted(market.start_s, jobs.submitted_at, side="left")
    last = np.minimum(first + np.ceil((jobs.restart_s + jobs.run_s) / step_s).astype(np.int64), count)
    change = np.zeros((len(pool_gpus), count + 1))
    np.add.at(change, (jobs.pool, first), jobs.gpus)
    np.add.at(change, (jobs.pool, last), -jobs.gpus)
    return np.minimum(np.cumsum(change, axis=1)[:, :-1], pool_gpus[:, None])
