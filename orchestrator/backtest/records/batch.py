"""Settled intervals as rows of numbers: one for each interval and each fleet, GPU pool and job that was there in it.

A site with charges beside the market price has one more row in each for every charge: no power, and what it cost beyond
the market price of all the others.

All rows of an interval add up to the site. A pool's row is its nodes with every GPU idle; what its GPUs draw above idle
is on the rows of the jobs that hold them, and jobs alone earn. So no energy, cost or revenue is in two rows.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

NONE = -1
"""In a column of row numbers: there is none."""


class Kind(IntEnum):
    """What a row is about, as a number; its name in lower case is what is written."""

    FLEET = 0
    POOL = 1
    JOB = 2
    CHARGE = 3
    """Its name is written."""


class JobEnd(IntEnum):
    """How a job was settled, as a number; its name in lower case is what is written."""

    ON_TIME = 0
    LATE = 1
    WITHDRAWN = 2
    FAILED = 3
    OPEN = 4


@dataclass(frozen=True, slots=True)
class RowBatch:
    """Rows of one strategy, (R,) each, of one or more whole intervals, ascending in `interval`.

    A job has a row in each interval in which it held GPUs, was billed, credited or interrupted, or came to its outcome.
    """

    interval: Ints
    """Row in the MarketSeries: time, prices, PUE and hashprice are taken from there."""
    kind: Ints
    """As `Kind`."""
    subject: Ints
    """Row in the site's fleets or pools, its charges, or in the workload."""
    tenant: Ints
    """Row in the site's tenants for a job, else NONE."""
    level: Ints
    """Row in the level names that come with the batch (a fleet's racks by mode at the end), or NONE."""
    gpus: Floats
    """Mean over the interval that a job holds, or that are busy in a pool; NaN for others."""
    it_kw: Floats
    """Mean over the interval, IT load."""
    hash_ph_days: Floats
    """Hash, in PH/s-days, of fleets; NaN for others."""
    gpu_hours: Floats
    """Billed to the job; NaN for others."""
    revenue_usd: Floats
    cost_usd: Floats
    """Energy at the grid (IT load x PUE) at the settled price; of a charge what it cost more than that."""
    credit_usd: Floats
    """SLA credit that fell due."""
    starts: Ints
    """Racks that were woken, or starts of the job."""
    interruptions: Ints
    """Times that the job was stopped before it was done."""
    outcome: Ints
    """As `JobEnd` in the one interval in which the job was settled (the last one for OPEN), else NONE."""

    def __post_init__(self) -> None:
        for column in fields(self):
            shape = getattr(self, column.name).shape
            if shape != self.interval.shape:
                raise ValueError(f"{column.name} has shape {shape}; interval has {self.interval.shape}")

    def __len__(self) -> int:
        return len(self.interval)

    def at(self, rows: slice | NDArray[Any]) -> Self:
        """These rows alone; `rows` are numbers, flags or a slice."""
        return type(self)(*(getattr(self, column.name)[rows] for column in fields(self)))


def joined(batches: Iterable[RowBatch]) -> RowBatch:
    """One batch after the other as one; ValueError for none."""
    each = list(batches)
    return RowBatch(*(np.concatenate([getattr(batch, column.name) for batch in each]) for column in fields(RowBatch)))
