"""The way down to the prices of what is scarce: Adam on the subgradient of the bound, compiled."""

import numpy as np

from orchestrator.compiled import compiled
from orchestrator.optimizer.kernels.arrays import Floats, Racks, Supply, Tasks
from orchestrator.optimizer.kernels.rack_dp import Scratch
from orchestrator.optimizer.kernels.response import KWH, Answer, respond, unit_costs

FIRST_TRIES, NEXT_TRIES = 10, 4
"""Programmes a job for the price of its own work: at the first iteration, at each later one."""
MOMENTUM, SQUARES = 0.8, 0.95
"""Decays of Adam's means."""


@compiled
def room_usd(supply: Supply, scarce: Floats) -> float:
    """What the caps and the block are worth at the prices, USD."""
    feeders, steps = supply.feeder_kw.shape
    pools = len(supply.pool_feeder)
    usd = 0.0
    for t in range(steps):
        usd += scarce[0, t] * supply.import_kw[t] + scarce[1 + feeders + pools, t] * supply.block_kw[t] / KWH
        for k in range(feeders):
            usd += scarce[1 + k, t] * supply.feeder_kw[k, t]
        for g in range(pools):
            usd += scarce[1 + feeders + g, t] * supply.gpus[g, t]
    return usd * supply.step_h


@compiled
def descend(
    supply: Supply,
    racks: Racks,
    tasks: Tasks,
    expected: Floats,
    expected_usd: Floats,
    scale: Floats,
    delay: float,
    iterations: int,
    first_rate: float,
    last_rate: float,
    scarce: Floats,
    work_price: Floats,
    scratch: Scratch,
    answer: Answer,
) -> None:
    """Improve the prices in place: `iterations` steps, then the mean of the last half.

    `scale` (as `scarce`): what each price can be worth; `expected_usd` (G,): what a GPU-hour of jobs yet to come
    earns. Steps shrink geometrically from `first_rate` to `last_rate`.
    """
    feeders, steps = supply.feeder_kw.shape
    pools = len(supply.pool_feeder)
    rows = 2 + feeders + pools
    power, gpu_cost = np.zeros((feeders, steps)), np.zeros((pools, steps))
    mean, square = np.zeros((rows, steps)), np.zeros((rows, steps))
    sum_scarce = np.zeros((rows, steps))
    averaged = 0
    slope = np.zeros(rows)
    for iteration in range(iterations):
        done = iteration / max(iterations - 1, 1)
        rate = first_rate * (last_rate / first_rate) ** done
        # Both means start at nothing: Adam's correction of that.
        mean_up, square_up = 1.0 / (1.0 - MOMENTUM ** (iteration + 1)), 1.0 / (1.0 - SQUARES ** (iteration + 1))
        unit_costs(supply, scarce, power, gpu_cost)
        tries = FIRST_TRIES if iteration == 0 else NEXT_TRIES
        respond(supply, racks, tasks, power, gpu_cost, work_price, delay, tries, max(rate, 0.01), True, scratch, answer)
        for t in range(steps):
            import_kw = 0.0
            for k in range(feeders):
                load_kw = answer.feeder_kw[k, t]
                for g in range(pools):
                    if supply.pool_feeder[g] == k:
                        load_kw += answer.gpus[g, t] * supply.gpu_kw[g]
                import_kw += load_kw
                slope[1 + k] = (supply.feeder_kw[k, t] - load_kw) / max(supply.feeder_kw[k, t], 1.0)
            slope[0] = (supply.import_kw[t] - import_kw) / max(supply.import_kw[t], 1.0)
            for g in range(pools):
                row = 1 + feeders + g
                asked = answer.gpus[g, t]
                if expected[g, t] > 0.0:
                    asked += expected[g, t] * min(max(4.0 * (1.0 - scarce[row, t] / expected_usd[g]), 0.0), 1.0)
                slope[row] = (supply.gpus[g, t] - asked) / max(supply.gpus[g, t], 1.0)
            block_kw = supply.block_kw[t]
            slope[rows - 1] = (block_kw - import_kw * supply.pue[t]) / max(abs(block_kw), 1.0)
            for row in range(rows):
                if scale[row, t] <= 0.0:
                    continue
                mean[row, t] = MOMENTUM * mean[row, t] + (1.0 - MOMENTUM) * slope[row]
                square[row, t] = SQUARES * square[row, t] + (1.0 - SQUARES) * slope[row] ** 2
                first = mean[row, t] * mean_up
                second = square[row, t] * square_up
                moved = scarce[row, t] - rate * scale[row, t] * first / (np.sqrt(second) + 1e-3)
                low, high = 0.0, np.inf
                if row == rows - 1:
                    low, high = supply.sell_usd_per_mwh[t], supply.price_usd_per_mwh[t]
                scarce[row, t] = min(max(moved, low), high)
        if iteration >= iterations // 2:
            averaged += 1
            sum_scarce += scarce
    if averaged > 0:
        scarce[:] = sum_scarce / averaged
