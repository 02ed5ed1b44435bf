"""What is left for dispatch to choose with: what no choice can switch off, by feeder, from a snapshot."""

from typing import NamedTuple

import numpy as np

from orchestrator.dispatch.allocate import NO_BLOCK
from orchestrator.dispatch.kernels.choice import BlockLeft, Room
from orchestrator.dispatch.kernels.rows import PoolColumns
from orchestrator.dispatch.kernels.tranches import Rank
from orchestrator.dispatch.live_columns import FleetRows, JobRows
from orchestrator.dispatch.precedence import caps_that_hold, kept_above_kw
from orchestrator.dispatch.relief import Excused
from orchestrator.domain.headroom import left_beside_kw, margin_kw
from orchestrator.domain.site.site import Site
from orchestrator.domain.snapshot import Snapshot
from orchestrator.domain.target import GRID_CONNECTION, Target
from orchestrator.observe.columns import Flags, Floats
from orchestrator.observe.metering.metered_load import load_at
from orchestrator.observe.phase import Phase


class Left(NamedTuple):
    room: Room
    excused: Excused
    fixed_kw: float
    """At the grid: what cannot be switched off draws it."""


def room_left(site: Site, snapshot: Snapshot, fleets: FleetRows, jobs: JobRows, pools: PoolColumns) -> Left:
    """What is left under the caps once everything that cannot be switched off has drawn its share.

    Where a fresh meter bounds it, what is silent counts at what the meter leaves for it, and what comes by beyond all
    setpoints cannot be switched off either.
    """
    limits, pue, columns, loads = snapshot.limits, snapshot.pue, jobs.columns, load_at(site, snapshot)
    caps, places = caps_that_hold(limits), [Target.feeder(feeder.name) for feeder in site.feeders]
    grid_cap, feeder_caps = caps[GRID_CONNECTION], [caps[place] for place in places]
    kept_kw = kept_above_kw(limits, Rank.GUARANTEED)
    fixed_kw = np.zeros(len(feeder_caps))
    assumed_kw = np.zeros(len(feeder_caps))
    pool_statuses = [snapshot.pools[pool.name] for pool in site.pools]

    racks = np.array([status.fleet.racks for status in fleets.statuses], dtype=np.float64)
    moved_kw = fleets.columns.asleep_kw * (racks - fleets.unmoved)
    moved_kw += [status.unmoved_kw + status.excess_kw for status in fleets.statuses]
    held_kw = np.array([status.committed_kw for status in fleets.statuses])
    np.add.at(fixed_kw, fleets.columns.feeder, np.where(fleets.columns.held, held_kw, moved_kw))
    of_fleets_kw = np.array([status.assumed_kw for status in fleets.statuses], dtype=np.float64)
    np.add.at(assumed_kw, fleets.columns.feeder, of_fleets_kw)

    of_feeders = [loads[place] for place in places]
    metered = np.array([load.metered for load in of_feeders], dtype=np.bool_)
    fixed_kw -= np.array([load.assumed_kw - load.silent_racks_kw for load in of_feeders]) / pue
    unknown_kw = 0.0
    for status, feeder in zip(pool_statuses, pools.feeder, strict=True):
        # A silent node else draws its jobs' share, counted with them.
        pool, unseen = status.pool, 0 if metered[feeder] else len(status.unknown)
        idle_kw = (pool.nodes - unseen) * pool.node_idle_kw
        fixed_kw[feeder] += idle_kw + unseen * pool.node_nameplate_kw + status.excess_kw
        assumed_kw[feeder] += (pool.node_nameplate_kw - pool.node_idle_kw) * unseen
        unknown_kw += (pool.node_nameplate_kw - pool.node_idle_kw) * unseen
    assumed_kw[metered] = 0.0
    held = columns.held & (columns.phase == Phase.RUNNING)
    if held.any():
        gpu_rise_w = np.array([max(status.gpu_limit_w - status.pool.gpu_idle_w, 0.0) for status in pool_statuses])
        of_held = columns.pool[held]
        np.add.at(fixed_kw, pools.feeder[of_held], columns.on_gpus[held] * gpu_rise_w[of_held] / 1000.0)
    kept = held | _stuck_stopping(site, snapshot, jobs)
    gpus = pools.gpus - np.bincount(columns.pool[kept], columns.on_gpus[kept], len(pools.gpus)).astype(np.int64)
    grid, fixed_grid_kw = loads[GRID_CONNECTION], float(fixed_kw.sum() * pue)
    fixed_grid_kw += grid.silent_racks_kw - sum(load.silent_racks_kw for load in of_feeders) + grid.beyond_kw
    fixed_feeder_kw = fixed_kw * pue + np.array([load.beyond_kw for load in of_feeders])
    if grid.metered:
        fixed_grid_kw -= unknown_kw * pue
    feeders_usable_kw: Floats = np.array([limits.usable_kw(cap) for cap in feeder_caps])
    return Left(
        Room(
            grid_kw=left_beside_kw(limits.usable_kw(grid_cap), fixed_grid_kw),
            feeder_kw=left_beside_kw(feeders_usable_kw, fixed_feeder_kw),
            grid_margin_kw=margin_kw(grid_cap.limit_kw),
            feeder_margin_kw=np.array([margin_kw(cap.limit_kw) for cap in feeder_caps]),
            gpus=gpus,
        ),
        Excused(kept_kw[GRID_CONNECTION], np.array([kept_kw[place] for place in places]), assumed_kw * pue),
        fixed_grid_kw,
    )


def _stuck_stopping(site: Site, snapshot: Snapshot, jobs: JobRows) -> Flags:
    """(jobs,) those that should have let go of their GPUs by now and have not.

    GPUs of one that writes its checkpoint are given out again at once, and the move waits until they are free: did they
    count as held, another job would be stopped for whom this one was.
    """
    stuck = np.zeros(len(jobs.columns), dtype=np.bool_)
    for row in np.flatnonzero(jobs.columns.phase == Phase.STOPPING).tolist():
        stuck[row] = snapshot.at - jobs.statuses[row].view.changed_at > site.controls.verify_within
    return stuck


def block_left(block_kw: float, fixed_kw: float, usd_per_mwh: float) -> BlockLeft:
    """Of power bought ahead, `fixed_kw` being drawn at the grid whatever is decided; `usd_per_mwh` is what one more kW
    costs while some of it is left."""
    if block_kw <= 0.0:
        return NO_BLOCK
    return BlockLeft(block_kw - fixed_kw, margin_kw(block_kw), usd_per_mwh)
