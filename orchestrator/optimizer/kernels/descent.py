"""The way down to the prices of what is scarce: Adam on the subgradient of the bound, compiled."""

from typing import NamedTuple

import numpy as np

from orchestrator.compiled import compiled
from orchestrator.optimizer.kernels.arrays import Floats, Racks, Supply, Tasks
from orchestrator.optimizer.kernels.rack_dp import Scratch
from orchestrator.optimizer.kernels.response import KWH, costs_at, respond
from orchestrator.optimizer.kernels.work_price import Tightening

FIRST_TRIES, NEXT_TRIES = 10, 4
"""Programmes a job for the price of its own work: at the first iteration, at each later one."""
MOMENTUM, SQUARES = 0.8, 0.95
"""Decays of Adam's means."""


class Prices(NamedTuple):
    """The dual variables."""

    scarce: Floats
    """(1 + K + G + 1, T): USD per kWh of IT load under the grid cap, USD per kWh on each feeder, USD per GPU-hour of
    each pool, and the marginal price of energy in USD/MWh, between sell-back and spot."""
    work: Floats
    """(J,) USD per GPU-hour: what an hour of each job's work is worth to the job itself at another time."""


class Expected(NamedTuple):
    """Jobs yet to come."""

    gpus: Floats
    """(G, T) that they are expected to ask for."""
    usd: Floats
    """(G,) what a GPU-hour of theirs earns."""


class Descent(NamedTuple):
    """How far prices are improved."""

    iterations: int
    first_rate: float
    """Step of a price at the first iteration, as a share of what it can be worth; it shrinks geometrically."""
    last_rate: float
    delay: float
    """USD per GPU-hour of work and hour that it is put off."""


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
    expected: Expected,
    scale: Floats,
    descent: Descent,
    prices: Prices,
    scratch: Scratch,
) -> None:
    """Improve the `prices` in place: a step each iteration, then the mean of the last half.

    `scale` (as `prices.scarce`): what each price can be worth.
    """
    feeders, steps = supply.feeder_kw.shape
    pools = len(supply.pool_feeder)
    rows, scarce, iterations = 2 + feeders + pools, prices.scarce, descent.iterations
    mean, square = np.zeros((rows, steps)), np.zeros((rows, steps))
    sum_scarce = np.zeros((rows, steps))
    averaged = 0
    slope = np.zeros(rows)
    for iteration in range(iterations):
        done = iteration / max(iterations - 1, 1)
        rate = descent.first_rate * (descent.last_rate / descent.first_rate) ** done
        # Both means start at nothing: Adam's correction of that.
        mean_up, square_up = 1.0 / (1.0 - MOMENTUM ** (iteration + 1)), 1.0 / (1.0 - SQUARES ** (iteration + 1))
        tries = FIRST_TRIES if iteration == 0 else NEXT_TRIES
        tightening = Tightening(tries, max(rate, 0.01), True)
        costs = costs_at(supply, scarce, descent.delay)
        _, answer = respond(supply, racks, tasks, costs, prices.work, tightening, scratch)
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
                if expected.gpus[g, t] > 0.0:
                    asked += expected.gpus[g, t] * min(max(4.0 * (1.0 - scarce[row, t] / expected.usd[g]), 0.0), 1.0)
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
