"""Prices of what is scarce: power under the grid cap and each feeder, GPUs of each pool, the marginal kWh.

Lagrangian relaxation: caps are dropped and paid for instead, so that each rack and each job decides alone. At any
prices what they then earn, plus what the caps are worth, is an upper bound of what any plan earns; the prices that
make it least come from Adam on its subgradient (Kingma and Ba, 2015), averaged over the last iterations.
"""

import numpy as np

from orchestrator.optimizer.kernels.arrays import Flags, Floats
from orchestrator.optimizer.kernels.descent import Descent, Expected, Prices, descend
from orchestrator.optimizer.kernels.rack_dp import scratch
from orchestrator.optimizer.kernels.response import KWH
from orchestrator.optimizer.problem import Problem

FIRST_RATE, LAST_RATE = 0.3, 0.004
"""Step of a price at the first and the last cold iteration, as a share of what it can be worth."""
WARM_RATE = 0.03


def scales(problem: Problem) -> Floats:
    """What each price of `Prices.scarce` can be worth; 0 for one that can't move.

    Power is worth what mining makes of it, but where jobs alone take more than a cap leaves, what jobs make of it: by
    mining's figure, a tenth of theirs, prices never came near, and a bound was two and a half times as high.
    """
    supply, racks, tasks = problem.supply, problem.racks, problem.tasks
    hashprice = float(np.mean(supply.hashprice_usd_per_ph_day))
    has_kw = racks.rise_kw[:, :1].ravel() > 0.0
    mining = racks.rise_phs[has_kw, 0] / 24.0 * hashprice / racks.rise_kw[has_kw, 0] if has_kw.any() else np.zeros(0)
    power = float(mining.max()) if len(mining) else float(np.mean(np.abs(supply.price_usd_per_mwh))) / KWH
    worth = tasks.usd_per_gpu_h + tasks.credit_usd_per_gpu_h
    gpu_hours = tasks.gpus * tasks.left_h
    gpu = float(np.dot(worth, gpu_hours) / gpu_hours.sum()) if gpu_hours.sum() > 0.0 else 1.0
    spread = float(np.max(supply.price_usd_per_mwh - supply.sell_usd_per_mwh))
    feeders, pools = len(supply.feeder_kw), len(supply.pool_feeder)
    by_row = np.array([power] * (1 + feeders) + [gpu] * pools + [spread])
    found = np.repeat(by_row[:, None], problem.steps, axis=1)
    kwh = float(np.dot(gpu_hours, supply.gpu_kw[tasks.pool]))
    if kwh > 0.0:
        jobs = float(np.dot(worth, gpu_hours)) / kwh
        found[: 1 + feeders][jobs_beyond_caps(problem)] = max(power, jobs)
    return found


def jobs_beyond_caps(problem: Problem) -> Flags:
    """(1 + K, T): where the work of the jobs alone, each one's spread evenly over the time it is there, takes more than
    the cap on the grid (row 0) or on a feeder leaves."""
    supply, tasks = problem.supply, problem.tasks
    rows = np.flatnonzero((tasks.first < tasks.last) & (tasks.left_h > 0.0))
    first, last = tasks.first[rows], tasks.last[rows]
    gpus = tasks.gpus[rows] * np.minimum(tasks.left_h[rows] / ((last - first) * supply.step_h), 1.0)
    change = np.zeros((len(supply.gpus), problem.steps + 1))
    np.add.at(change, (tasks.pool[rows], first), gpus)
    np.add.at(change, (tasks.pool[rows], last), -gpus)
    busy = np.minimum(np.cumsum(change, axis=1)[:, :-1], supply.gpus)
    feeder_kw = np.zeros_like(supply.feeder_kw)
    np.add.at(feeder_kw, supply.pool_feeder, busy * supply.gpu_kw[:, None])
    beyond: Flags = np.vstack([feeder_kw.sum(axis=0) > supply.import_kw, feeder_kw > supply.feeder_kw])
    return beyond


def no_prices(problem: Problem) -> Prices:
    """Nothing is scarce, and energy costs what it does at spot."""
    supply = problem.supply
    scarce = np.zeros((2 + len(supply.feeder_kw) + len(supply.pool_feeder), problem.steps))
    scarce[-1] = supply.price_usd_per_mwh
    return Prices(scarce, np.zeros(len(problem.tasks.pool)))


def find_prices(
    problem: Problem, start: Prices, iterations: int, first_rate: float, last_rate: float, delay: float
) -> Prices:
    """Better prices than `start`; `delay` is USD per GPU-hour of work for each hour that it is put off."""
    prices = Prices(start.scarce.copy(), start.work.copy())
    worth = np.zeros(len(problem.supply.pool_feeder))
    tasks = problem.tasks
    for pool in range(len(worth)):
        of_pool = tasks.usd_per_gpu_h[tasks.pool == pool]
        worth[pool] = float(of_pool.mean()) if len(of_pool) else 1.0
    descend(
        problem.supply,
        problem.racks,
        tasks,
        Expected(problem.expected_gpus, np.maximum(worth, 1e-6)),
        scales(problem),
        Descent(iterations, first_rate, last_rate, delay),
        prices,
        scratch(problem.steps),
    )
    return prices
