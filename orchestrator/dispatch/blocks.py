"""What dispatch goes by beside the columns: pools, what holds of the whole site, a plan's prices, who goes first."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from orchestrator.dispatch.kernels.blocks import Places
from orchestrator.domain.site import GpuPool, Site
from orchestrator.observe.columns import Floats, Ints


class PoolColumns(NamedTuple):
    """A row for each pool of the site file."""

    feeder: Ints
    gpus: Ints
    gpu_power_w: Floats
    gpu_min_power_w: Floats
    gpu_idle_w: Floats


class Moment(NamedTuple):
    """What holds of the whole site when a table is laid out."""

    at: float
    """Unix seconds."""
    hashprice_usd_per_ph_day: float
    pue: float
    outlook_s: float
    """How long a price is expected to last."""
    interruptions_left: Ints
    """By tenant: how many of its jobs may still be interrupted in this hour."""


class Switches(NamedTuple):
    """Prices from a plan, USD/MWh, by row; NaN where it does not know the fleet or job."""

    fleet_stay: Floats
    fleet_wake: Floats
    job_stay: Floats
    job_wake: Floats


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
