"""What dispatch chooses between: blocks of power with a value, from fleets' mode steps and from jobs.

A table of them, a row for each block in merit order. It depends on everything but the price, so it is laid out before
a price comes in, and a new price only has to walk down it.
"""

from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple

import numpy as np

from orchestrator.domain.site import GpuPool, Site
from orchestrator.observe.columns import Flags, Floats, Ints


class Rank(IntEnum):
    """Order of precedence among blocks; lower goes first."""

    GUARANTEED = 0
    DUE = 1
    """A flexible job that would miss its deadline, one that its tenant's budget of interruptions keeps running, or a
    block inside its minimum on time."""
    WORTH = 2


class Blocks(NamedTuple):
    """A row for each block, in merit order: rank, then what is worth most, then what runs already.

    A block is `units` equal units of IT power that can be on or off. Among what must run, a promise kept goes before a
    new one.
    """

    fleet: Ints
    """Row of the fleet; -1 for jobs."""
    job: Ints
    """Row of the job; -1 for fleets."""
    level: Ints
    """Number of a fleet's step; a rack takes a step only from the one below."""
    rank: Ints
    """As `Rank`."""
    running: Flags
    units: Ints
    unit_kw: Floats
    value_usd_per_mwh: Floats
    """Start and stop costs counted in: the price above which the block should be off."""
    feeder: Ints
    pool: Ints
    """-1 for fleets."""
    gpus: Ints
    """GPUs of the pool that a unit needs; 0 for racks."""
    least_units: Ints
    """With fewer the block is not taken: an elastic job has its least number of GPUs."""
    fleet_stay_usd_per_mwh: Floats
    """By fleet: the price above which its racks should sleep."""
    fleet_wake_usd_per_mwh: Floats
    """By fleet: the price below which a rack should wake."""
    job_stay_usd_per_mwh: Floats
    """By job: the price above which it should pause."""
    job_wake_usd_per_mwh: Floats
    """By job: the price below which it should start or grow."""


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


class Places(NamedTuple):
    """Rows in the order in which equals go first, so that the same site always gives the same answer."""

    fleets: Ints
    """Rows of fleets, in order of name."""
    jobs: Ints
    """Rows of jobs, the oldest first."""
    jobs_by_name: Ints


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
