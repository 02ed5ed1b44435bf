"""What a plan decides on: prices, caps, racks and jobs over `T` steps of equal length, as arrays.

Powers are kW of IT load, prices of energy USD/MWh at the grid, money USD. Step `t` is the time from `t` to `t + 1`
steps after `start`; what starts or stops does so at the start of a step. Rows of feeders and pools are those of the
site file, rows of fleets and jobs those of the columns it was made from. The parts are named tuples, since compiled
code takes those as they are.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from orchestrator.accounting.charges.block import Ppa
from orchestrator.domain.units import KWH_PER_MWH, energy_cost_usd

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]


class Supply(NamedTuple):
    """Energy and room over time; `K` feeders, `G` pools."""

    step_h: float
    price_usd_per_mwh: Floats
    """(T,) spot: what a kWh more costs while the block is used up."""
    sell_usd_per_mwh: Floats
    """(T,) what a kWh of the block that is not used brings, never above the spot price; 0 under take-or-pay."""
    block_kw: Floats
    """(T,) power bought ahead, at the grid, less what fixed loads draw; negative: fixed loads buy at spot."""
    pue: Floats
    """(T,)"""
    import_kw: Floats
    """(T,) IT power left by the lowest grid cap for all that can move."""
    feeder_kw: Floats
    """(K, T) the same of each feeder."""
    gpus: Floats
    """(G, T) of each pool, less those that can't be given away."""
    pool_feeder: Ints
    """(G,)"""
    gpu_kw: Floats
    """(G,) what a busy GPU draws above an idle one."""
    hashprice_usd_per_ph_day: Floats
    """(T,)"""


class Racks(NamedTuple):
    """A row for each fleet; `S` steps of its modes' concave hull, from sleep up, padded with zeros."""

    feeder: Ints
    on: Ints
    """Racks awake at the start."""
    off: Ints
    """Racks asleep at the start."""
    step_kw: Floats
    """(F, S) rise of one rack as drawn."""
    step_phs: Floats
    """(F, S) rise of one rack in PH/s."""
    warm_up_h: Floats
    """From wake-up to hash, at the power of the mode it is in."""
    min_on: Ints
    """Steps a rack stays awake."""
    min_off: Ints
    """Steps a rack stays asleep, 1 or more."""
    warm_left_h: Floats
    """Of the racks that are on at the start."""
    on_left: Ints
    """Steps that racks on at the start have to stay so."""
    off_left: Ints
    """Steps that racks off at the start have to stay so."""


class Tasks(NamedTuple):
    """A row for each job."""

    pool: Ints
    gpus: Floats
    """All that it asks for; one that is elastic also runs on `least_share` of them, and on steps of `step_share`."""
    usd_per_gpu_h: Floats
    credit_usd_per_gpu_h: Floats
    """Owed for each GPU-hour of work that is not done at the deadline; 0 where there is no deadline to keep."""
    left_h: Floats
    """Work left, hours on all its GPUs."""
    first: Ints
    """The first step it can run in."""
    last: Ints
    """The step from which on it can't any more, at most `T`."""
    deadline: Floats
    """In steps from the start; +inf where there is none."""
    restart_h: Floats
    """From each start to progress: full power and no work done."""
    running: Flags
    """At the start."""
    guaranteed: Flags
    """Once it runs it is not stopped."""
    least_share: Floats
    step_share: Floats


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
    ppa: Ppa | None = None
    """The contract of the block in `supply`."""

    @property
    def steps(self) -> int:
        return len(self.supply.pue)

    @property
    def step_s(self) -> float:
        return self.supply.step_h * 3600.0


def given_usd(problem: Problem) -> float:
    """What no plan changes, USD: the credits owed if no work were done. Energy is counted from the block on."""
    tasks = problem.tasks
    return -float(np.dot(tasks.credit_usd_per_gpu_h * tasks.gpus, tasks.left_h))


def block_usd(problem: Problem) -> float:
    """What the block costs, used or not, USD."""
    if problem.ppa is None:
        return 0.0
    hours = problem.supply.step_h * problem.steps
    return energy_cost_usd(problem.ppa.block_kw * hours, problem.ppa.price_usd_per_mwh)


def energy_usd(supply: Supply, moved_kw: Floats) -> float:
    """What energy costs, USD, where `moved_kw` (T,) of IT power runs beside the fixed loads.

    Power beyond the block is bought at spot, what is left of the block is sold. The block itself is paid for whatever
    is planned, so its own price is left out: `block_usd`.
    """
    beyond_kw = moved_kw * supply.pue - supply.block_kw
    price = np.where(beyond_kw > 0.0, supply.price_usd_per_mwh, supply.sell_usd_per_mwh)
    return float(np.dot(beyond_kw, price)) * supply.step_h / KWH_PER_MWH
