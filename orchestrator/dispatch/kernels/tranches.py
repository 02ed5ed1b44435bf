"""What dispatch chooses between: tranches of power with a value, from fleets' mode steps and from jobs.

A table of them, a row for each tranche in merit order. It depends on everything but the price, so it is laid out before
a price comes in, and a new price only has to walk down it.
"""

from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]


class Rank(IntEnum):
    """What a tranche's claim to run rests on; lower goes first. Whose claims they are: `dispatch.precedence`."""

    GUARANTEED = 0
    DUE = 1
    """A flexible job that would miss its deadline, one that its tenant's budget of interruptions keeps running, or a
    tranche inside its minimum on time."""
    WORTH = 2


class Tranches(NamedTuple):
    """A row for each tranche, in merit order: rank, then what is worth most, then what runs already.

    A tranche is `units` equal units of IT power that can be on or off. Among what must run, a promise kept goes before
    a new one.
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
    """Start and stop costs counted in: the price above which the tranche should be off."""
    feeder: Ints
    pool: Ints
    """-1 for fleets."""
    gpus: Ints
    """GPUs of the pool that a unit needs; 0 for racks."""
    least_units: Ints
    """With fewer the tranche is not taken: an elastic job has its least number of GPUs."""
    fleet_stay_usd_per_mwh: Floats
    """By fleet: the price above which its racks should sleep."""
    fleet_wake_usd_per_mwh: Floats
    """By fleet: the price below which a rack should wake."""
    job_stay_usd_per_mwh: Floats
    """By job: the price above which it should pause."""
    job_wake_usd_per_mwh: Floats
    """By job: the price below which it should start or grow."""


class Places(NamedTuple):
    """Rows in the order in which equals go first, so that the same site always gives the same answer."""

    fleets: Ints
    """Rows of fleets, in order of name."""
    jobs: Ints
    """Rows of jobs, the oldest first."""
    jobs_by_name: Ints
