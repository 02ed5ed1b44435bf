"""What a plan decides on: prices, caps, racks and jobs over `T` steps of equal length, as arrays.

Powers are kW of IT load, prices of energy USD/MWh at the grid, money USD. Step `t` is the time from `t` to `t + 1`
steps after `start`; what starts or stops does so at the start of a step. Rows of feeders and pools are those of the
site file, rows of fleets and jobs those of the columns it was made from.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from orchestrator.domain.charge import Charge
from orchestrator.domain.units import KWH_PER_MWH
from orchestrator.optimizer.kernels.arrays import Floats, Racks, Supply, Tasks


@dataclass(frozen=True, slots=True)
class Problem:
    """What a plan decides on."""

    start: float
    """Unix seconds."""
    supply: Supply
    racks: Racks
    tasks: Tasks
    expected_gpus: Floats
    """(G, T) GPUs that jobs yet to come are expected to ask for. Prices of GPUs reckon with them; bound and profit,
    which are of the jobs that are known, do not."""
    job_keys: Sequence[object]
    """By which a later plan knows the jobs again."""
    charges: tuple[Charge, ...] = ()
    """By which energy is paid for beside the market price."""
    starts: Sequence[datetime] = ()
    """Of the steps; empty where there are no charges."""
    standing_usd: float = 0.0
    """What the block bought ahead costs, used up and no more, and what charges put on top of that."""

    @property
    def steps(self) -> int:
        return len(self.supply.pue)

    @property
    def step_s(self) -> float:
        return self.supply.step_h * 3600.0


def given_usd(problem: Problem) -> float:
    """What no plan changes, USD: the credits owed if no work were done. Energy is counted from the block on:
    `Problem.standing_usd`."""
    tasks = problem.tasks
    return -float(np.dot(tasks.credit_usd_per_gpu_h * tasks.gpus, tasks.left_h))


def energy_usd(supply: Supply, moved_kw: Floats) -> float:
    """What energy costs more than the block used up, USD, where `moved_kw` (T,) of IT power runs beside fixed loads.

    Power beyond the block is bought at spot, what is left of the block is sold. The block itself is paid for whatever
    is planned, so its own price is left out: `Problem.standing_usd`.
    """
    beyond_kw = moved_kw * supply.pue - supply.block_kw
    price = np.where(beyond_kw > 0.0, supply.price_usd_per_mwh, supply.sell_usd_per_mwh)
    return float(np.dot(beyond_kw, price)) * supply.step_h / KWH_PER_MWH
