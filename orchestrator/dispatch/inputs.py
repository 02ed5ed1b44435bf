"""What dispatch goes by beside the columns of fleets and jobs: pools, a plan's prices, who goes first."""

from collections.abc import Sequence

import numpy as np

from orchestrator.dispatch.kernels.rows import PoolColumns, Switches
from orchestrator.dispatch.kernels.tranches import Places
from orchestrator.domain.site.gpus import GpuPool
from orchestrator.domain.site.site import Site


def pool_columns(site: Site) -> PoolColumns:
    """In the order of the site file."""
    feeders = {feeder.name: row for row, feeder in enumerate(site.feeders)}
    pools: Sequence[GpuPool] = site.pools
    return PoolColumns(
        feeder=np.array([feeders[pool.feeder] for pool in pools], dtype=np.int64),
        gpus=np.array([pool.gpus for pool in pools], dtype=np.int64),
        gpu_power_w=np.array([pool.gpu_power_w for pool in pools], dtype=np.float64),
        gpu_min_power_w=np.array([pool.gpu_min_power_w for pool in pools], dtype=np.float64),
        gpu_idle_w=np.array([pool.gpu_idle_w for pool in pools], dtype=np.float64),
    )


def no_plan(fleets: int, jobs: int) -> Switches:
    """Where there is no plan, or it knows nothing of so many fleets and jobs."""
    unknown_fleets, unknown_jobs = np.full(fleets, np.nan), np.full(jobs, np.nan)
    return Switches(unknown_fleets, unknown_fleets, unknown_jobs, unknown_jobs)


def as_they_are(fleets: int, jobs: int) -> Places:
    """Of equals the first row goes first."""
    rows = np.arange(jobs)
    return Places(np.arange(fleets), rows, rows)


def by_fleet_name(site: Site, jobs: int) -> Places:
    """All of the site's fleets in order of name, as for a site that is watched; jobs are in order of age."""
    rows = np.arange(jobs)
    names = [fleet.name for fleet in site.fleets]
    return Places(np.array(sorted(range(len(names)), key=names.__getitem__), dtype=np.int64), rows, rows)
