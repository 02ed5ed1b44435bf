"""Prices at which racks are switched, over several ways that prices may go.

Whether it pays to wake a rack depends less on the price expected than on how often it goes to and fro: a plan on the
expected path alone wakes for hours that do not come. So the value of being on over being off is the mean over paths:
the forecast, each time with an error path that a forecast of the same time of day has really had.
"""

import numpy as np

from orchestrator.optimizer.energy_price import marginal_paths
from orchestrator.optimizer.kernels.arrays import Floats
from orchestrator.optimizer.kernels.descent import Prices
from orchestrator.optimizer.kernels.rack_dp import scratch
from orchestrator.optimizer.kernels.response import costs_at
from orchestrator.optimizer.kernels.switch_prices import rack_switches
from orchestrator.optimizer.problem import Problem


def fleet_switches(problem: Problem, prices: Prices, paths: Floats) -> tuple[Floats, Floats]:
    """(F,) prices above which a running rack should stop, and below which a sleeping one should wake.

    `paths` (P, T): market prices of energy, USD/MWh, each as likely as the others.
    """
    supply = problem.supply
    power = costs_at(supply, prices.scarce, 0.0).power
    marginal = marginal_paths(problem.charges, problem.starts, supply, prices.scarce[-1], paths)
    extra = np.ascontiguousarray(marginal - prices.scarce[-1]) * supply.pue / 1000.0
    stay, wake = np.zeros(len(problem.racks.feeder)), np.zeros(len(problem.racks.feeder))
    rack_switches(supply, problem.racks, power, extra, scratch(problem.steps), stay, wake)
    return stay, wake
