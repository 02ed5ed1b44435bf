"""What no plan of a problem can earn more than: the proven bound, by the prices of what is scarce.

Proven whatever the prices are (Lagrangian relaxation, `shadow_prices.py`); good prices make it tight.
"""

import numpy as np

from orchestrator.optimizer.kernels.arrays import Floats, Tasks
from orchestrator.optimizer.kernels.descent import Prices, room_usd
from orchestrator.optimizer.kernels.rack_dp import scratch
from orchestrator.optimizer.kernels.response import costs_at, respond
from orchestrator.optimizer.kernels.work_price import Tightening
from orchestrator.optimizer.problem import Problem, given_usd
from orchestrator.optimizer.shadow_prices import FIRST_RATE, LAST_RATE, find_prices, jobs_beyond_caps
from orchestrator.optimizer.unkept_promises import with_room_for_promises
from orchestrator.optimizer.warm_start import start_of

BOUND_TRIES = 12
"""Programmes a job for the price of its own work."""
BOUND_ITERATIONS = 80
SCARCE_ITERATIONS = 160
"""Where jobs alone are beyond a cap: prices have ten times as far to go, and settle later."""


def bound(problem: Problem, iterations: int | None = None) -> float:
    """What no plan of this problem can earn more than, USD, for any number of steps."""
    problem = with_room_for_promises(problem)
    start, _ = start_of(problem, None)
    if iterations is None:
        iterations = SCARCE_ITERATIONS if jobs_beyond_caps(problem).any() else BOUND_ITERATIONS
    prices = find_prices(problem, start, iterations, FIRST_RATE, LAST_RATE, 0.0)
    return bound_at(problem, prices) + given_usd(problem) - problem.standing_usd


def bound_at(problem: Problem, prices: Prices, tries: int = BOUND_TRIES) -> float:
    """The bound at these prices, USD, credits if no work were done not counted.

    Improves `prices.work` in place.
    """
    supply = problem.supply
    costs = costs_at(supply, prices.scarce, 0.0)
    tightening = Tightening(tries, 0.0, False)
    usd, _ = respond(supply, problem.racks, problem.tasks, costs, prices.work, tightening, scratch(problem.steps))
    return float(usd) + float(room_usd(supply, prices.scarce)) + _paid_restarts_usd(problem.tasks, costs.gpu)


def _paid_restarts_usd(tasks: Tasks, gpu_cost: Floats) -> float:
    """What programmes of jobs may miss where power is paid for, USD; `gpu_cost` (G, T).

    A job that does its last work in a part of a step, just after a restart, draws power for all of the restart. Its
    programme mixes paths of whole steps, and has that restart in the same part. That is no less than what the job
    earns while a restart costs something, but not where power brings something.
    """
    rows = np.flatnonzero(~tasks.guaranteed & (tasks.restart_h > 0.0) & (tasks.first < tasks.last))
    if not len(rows) or gpu_cost.min() >= 0.0:
        return 0.0
    lowest = np.array([gpu_cost[tasks.pool[j], tasks.first[j] : tasks.last[j]].min() for j in rows])
    return float(np.dot(np.maximum(-lowest, 0.0), tasks.gpus[rows] * tasks.restart_h[rows]))
