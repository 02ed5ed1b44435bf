"""The plan: what fleets and jobs should do over the hours ahead, how much it earns, and how far from the best it is.

`docs/planner.md` explains it; `make_plan` is pure, and the same problem gives the same plan.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orchestrator.optimizer.bound import bound_at
from orchestrator.optimizer.first_step import COLD_ITERATIONS, DELAY_USD_PER_GPU_H2, WARM_ITERATIONS, search, switched
from orchestrator.optimizer.kernels.descent import Prices
from orchestrator.optimizer.kernels.insertion import Turns, insert
from orchestrator.optimizer.kernels.placing import Capacity, Placed, PlacedBy, settle_jobs
from orchestrator.optimizer.kernels.rack_dp import scratch
from orchestrator.optimizer.kernels.rack_rounds import Mined, fill, merit_order
from orchestrator.optimizer.kernels.response import costs_at
from orchestrator.optimizer.problem import Problem, energy_usd, given_usd
from orchestrator.optimizer.thresholds import Thresholds
from orchestrator.optimizer.unkept_promises import BrokenPromise, broken_promises, with_room_for_promises
from orchestrator.optimizer.warm_start import Duals, duals_of

Floats = NDArray[np.float64]


SOUND_GAP = 0.03
"""With a larger one a plan is made again from no prices, and no promise is called broken for where it has jobs."""
LEAST_MARGIN = 0.05
"""Of revenue and energy together: a gap is held against no less than this."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How long to look. The more, the smaller the gap."""

    cold_iterations: int = COLD_ITERATIONS
    warm_iterations: int = WARM_ITERATIONS
    rounds_per_job: float = 0.1
    """Of large-neighbourhood search, cold."""
    gpu_scalings: tuple[float, ...] = (1.0,)
    """Shares of the prices of GPUs that jobs are placed by in turn; the best plan is kept."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Rows and steps are those of the problem it was made for."""

    start: float
    """Unix seconds."""
    step_s: float
    fleet_racks: NDArray[np.int64]
    """(F, S, T) racks in the upper mode of each step, or a stronger one."""
    fleet_kw: Floats
    """(F, T) IT power above sleep."""
    job_gpus: NDArray[np.int32]
    """(J, T)"""
    done_h: Floats
    """(J,) hours of each job's work, on all its GPUs, that the plan does."""
    moved_kw: Floats
    """(K, T) IT power on each feeder of all that the plan moves, on average over the step."""
    revenue_usd: float
    """Of mining and jobs, less credits owed."""
    energy_usd: float
    """With fixed loads and a block bought ahead, used or not."""
    bound_usd: float
    """No plan of this problem earns more."""
    thresholds: Thresholds
    power_usd_per_mwh: Floats
    """(T,) at the grid: what another MWh of room under the grid cap is worth, beyond its energy."""
    feeder_usd_per_mwh: Floats
    """(K, T) the same under each feeder's limit."""
    gpu_usd_per_h: Floats
    """(G, T)"""
    energy_usd_per_mwh: Floats
    """(T,) the marginal price of energy: spot, sell-back, or between where the block is just used up."""
    broken: tuple[BrokenPromise, ...]
    duals: Duals

    @property
    def profit_usd(self) -> float:
        return self.revenue_usd - self.energy_usd

    @property
    def gap(self) -> float:
        """How far the profit may be from the best, as a share of the bound.

        Where next to nothing is to be earned, as a share of `LEAST_MARGIN` of what is turned over: a site that takes
        10,000 USD and pays 9,990 for energy is no worse planned for a bound of 10 USD than for one of 1,000.
        """
        turnover_usd = abs(self.revenue_usd) + abs(self.energy_usd)
        return (self.bound_usd - self.profit_usd) / max(abs(self.bound_usd), LEAST_MARGIN * turnover_usd, 1.0)

    @property
    def sound(self) -> bool:
        """Its gap is a number, and small."""
        return self.gap <= SOUND_GAP


EFFORT = Effort()


@dataclass(frozen=True, slots=True)
class _Primal:
    """A plan that keeps the caps, and what it earns before energy."""

    placed: Placed
    in_time_h: Floats
    mined: Mined
    usd: float
    moved_kw: Floats
    fleet_kw: Floats


def make_plan(
    problem: Problem, before: Duals | None = None, effort: Effort = EFFORT, *, paths: Floats | None = None
) -> Plan:
    """The plan of `problem`, started from the prices `before` of an earlier one where they fit.

    `paths` (P, T), USD/MWh: ways that prices may go, over which the racks' thresholds are taken.

    Where what must run does not fit under a cap it runs all the same, the rest stays off, and the plan says so.
    Raises ArithmeticError where what plans earn is not a number.
    """
    asked = problem
    problem = with_room_for_promises(problem)
    prices, for_bound, is_warm = search(problem, before, effort.cold_iterations, effort.warm_iterations)
    bound_usd = bound_at(problem, Prices(for_bound.scarce, for_bound.work.copy()))
    rounds = 0 if is_warm else int(effort.rounds_per_job * len(problem.tasks.pool))
    found = switched(problem, prices, paths)
    primal = _best_primal(problem, prices, DELAY_USD_PER_GPU_H2, rounds, effort.gpu_scalings)
    supply = problem.supply
    feeders, pools = len(supply.feeder_kw), len(supply.pool_feeder)
    at_grid = supply.pue / 1000.0
    return Plan(
        start=problem.start,
        step_s=problem.step_s,
        fleet_racks=primal.mined.racks,
        fleet_kw=primal.fleet_kw,
        job_gpus=primal.placed.gpus,
        done_h=primal.placed.done_h,
        moved_kw=primal.moved_kw,
        revenue_usd=primal.usd,
        energy_usd=energy_usd(supply, primal.moved_kw.sum(axis=0)) + problem.standing_usd,
        bound_usd=bound_usd + given_usd(problem) - problem.standing_usd,
        thresholds=found,
        power_usd_per_mwh=prices.scarce[0] / at_grid,
        feeder_usd_per_mwh=prices.scarce[1 : 1 + feeders] / at_grid,
        gpu_usd_per_h=prices.scarce[1 + feeders : 1 + feeders + pools],
        energy_usd_per_mwh=prices.scarce[-1],
        broken=broken_promises(asked, primal.placed.gpus, primal.in_time_h),
        duals=duals_of(problem, prices),
    )


def _best_primal(
    problem: Problem, prices: Prices, delay: float, rounds: int, gpu_scalings: tuple[float, ...]
) -> _Primal:
    """Jobs and racks placed by each scaling of the prices of GPUs; the best of them."""
    supply, tasks = problem.supply, problem.tasks
    jobs, steps = len(tasks.pool), problem.steps
    pools, feeders = len(supply.pool_feeder), len(supply.feeder_kw)
    density = _density(problem)
    turns = Turns(_order(problem, density), density, rounds, seed=1)
    best: _Primal | None = None
    best_usd = -np.inf
    scarce_gpus = slice(1 + feeders, 1 + feeders + pools)
    for scaling in gpu_scalings:
        scaled = prices.scarce.copy()
        scaled[scarce_gpus] *= scaling
        cost = costs_at(supply, scaled, delay).gpu
        scaled[scarce_gpus] = 0.0
        by = PlacedBy(cost, costs_at(supply, scaled, delay).gpu, prices.work, delay)
        left = Capacity(supply.gpus.copy(), supply.import_kw.copy(), supply.feeder_kw.copy())
        placed = Placed(np.zeros((jobs, steps), dtype=np.int32), np.zeros(jobs), np.zeros(jobs))
        insert(supply, tasks, turns, by, left, placed, scratch(steps))
        hpc_usd, hpc_kw, in_time_h = settle_jobs(supply, tasks, placed)
        mined, mining_usd, fleet_kw, mining_kw = _mine(problem, left)
        moved_kw = hpc_kw + mining_kw
        usd = hpc_usd + mining_usd + given_usd(problem)
        profit = usd - energy_usd(supply, moved_kw.sum(axis=0))
        if profit > best_usd:
            best, best_usd = _Primal(placed, in_time_h, mined, usd, moved_kw, fleet_kw), profit
    if best is None:
        raise ArithmeticError("no plan can be told from another: what they earn is not a number")
    return best


def _density(problem: Problem) -> Floats:
    """(J,) by which jobs are placed: what a GPU-hour is worth, the more the less time there is for it."""
    tasks = problem.tasks
    window_h = np.maximum((np.minimum(tasks.deadline, tasks.last) - tasks.first) * problem.supply.step_h, 1e-6)
    tight = np.minimum(tasks.left_h / window_h, 1.0)
    density: Floats = (tasks.usd_per_gpu_h + tasks.credit_usd_per_gpu_h) * (1.0 + 8.0 * tight)
    return density


def _order(problem: Problem, density: Floats) -> NDArray[np.int64]:
    """Guaranteed jobs first, those that run before those that wait; then by density, large ones before small."""
    tasks = problem.tasks
    rank = np.where(tasks.guaranteed, np.where(tasks.running, 0, 1), 2)
    return np.lexsort((-tasks.gpus, -density, rank)).astype(np.int64)


def _mine(problem: Problem, left: Capacity) -> tuple[Mined, float, Floats, Floats]:
    """Racks into what jobs left: (racks, USD of hash, IT power by fleet, IT power by feeder)."""
    supply, racks = problem.supply, problem.racks
    shape = (*racks.rise_kw.shape, problem.steps)
    mined = Mined(np.zeros(shape, dtype=np.int64), np.zeros(shape))
    fleets, levels = merit_order(racks.rise_kw, racks.rise_phs)
    usd = fill(supply, racks, fleets, levels, left, mined, scratch(problem.steps))
    fleet_kw: Floats = np.einsum("fst,fs->ft", mined.racks, racks.rise_kw)
    feeder_kw = np.zeros_like(supply.feeder_kw)
    np.add.at(feeder_kw, racks.feeder, fleet_kw)
    return mined, float(usd), fleet_kw, feeder_kw
