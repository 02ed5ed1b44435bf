"""What a plan says of its first step: the prices of energy at which each rack and each job should be switched.

The value of a step is what it earns, and what being on after it is worth over being off. Divided by the energy of the
step, that is the price up to which it pays. What is scarce in the first step itself, power and GPUs, is left out:
whoever applies the prices gives both out by merit order, and what is given to a job that may stop can be taken back for
a better one that comes.
"""

from dataclasses import dataclass

import numpy as np

from orchestrator.optimizer.kernels.arrays import Floats
from orchestrator.optimizer.kernels.descent import Prices
from orchestrator.optimizer.kernels.rack_dp import scratch
from orchestrator.optimizer.kernels.response import costs_at
from orchestrator.optimizer.kernels.switch_prices import job_switches, rack_switches
from orchestrator.optimizer.kernels.work_price import Tightening
from orchestrator.optimizer.problem import Problem

TIGHTENING = Tightening(tries=5, near=1e-3, draws=False)


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Prices of energy, USD/MWh at the grid, in the rows of the problem; +inf and -inf where no price matters."""

    fleet_stay: Floats
    """(F,) Above it a running rack should stop."""
    fleet_wake: Floats
    """(F,) Below it a sleeping rack should wake."""
    job_stay: Floats
    """(J,)"""
    job_wake: Floats
    """(J,)"""


def thresholds(problem: Problem, prices: Prices, delay: float) -> Thresholds:
    """Of the first step; improves `prices.work` in place, so that each job's work fits its time."""
    supply, racks, tasks = problem.supply, problem.racks, problem.tasks
    costs, work = costs_at(supply, prices.scarce, delay), scratch(problem.steps)
    fleets, jobs = len(racks.feeder), len(tasks.pool)
    found = Thresholds(np.zeros(fleets), np.zeros(fleets), np.zeros(jobs), np.zeros(jobs))
    as_expected = np.zeros((1, problem.steps))
    rack_switches(supply, racks, costs.power, as_expected, work, found.fleet_stay, found.fleet_wake)
    job_switches(supply, tasks, costs, prices.work, TIGHTENING, work, found.job_stay, found.job_wake)
    return found
