"""What a plan says of its first step: the prices at which fleets and jobs are switched."""

from dataclasses import replace
from typing import NamedTuple

from orchestrator.optimizer.kernels.arrays import Floats
from orchestrator.optimizer.kernels.descent import Prices
from orchestrator.optimizer.price_paths import fleet_switches
from orchestrator.optimizer.problem import Problem
from orchestrator.optimizer.shadow_prices import FIRST_RATE, LAST_RATE, WARM_RATE, find_prices
from orchestrator.optimizer.thresholds import Thresholds, thresholds
from orchestrator.optimizer.warm_start import Duals, start_of

DELAY_USD_PER_GPU_H2 = 0.0036
"""What an hour's delay costs, for each GPU-hour put off. It is not in what a plan earns: without it, work is put off
that arrivals yet to come then crowd out. 3e-4 USD a GPU and five minutes cured that in a study of ERCOT's 2024."""

SWITCH_DELAY_USD_PER_GPU_H2 = 0.2
"""The same where it is decided what runs now: the plan knows no job yet to come, and one that waits for cheaper power
may find its GPUs taken. In backtests on ERCOT's 2024 it costs 0.05 % of a month's profit at most, and half of the
interruptions; on an event day at high load it earns 2 %."""

COLD_ITERATIONS, WARM_ITERATIONS = 50, 5


class Search(NamedTuple):
    """Prices of what is scarce, found for a problem."""

    prices: Prices
    """A delay costs something: what is planned and switched by."""
    for_bound: Prices
    """Of what is really earned. A delay that costs something makes a bound a little looser."""
    is_warm: bool
    """Begun from those of an earlier plan."""


def search(problem: Problem, before: Duals | None, cold: int = COLD_ITERATIONS, warm: int = WARM_ITERATIONS) -> Search:
    """The prices of `problem`, begun from those of `before` where they fit; `cold` and `warm` are iterations."""
    start, is_warm = start_of(problem, before)
    if is_warm:
        prices = find_prices(problem, start, warm, WARM_RATE, LAST_RATE, DELAY_USD_PER_GPU_H2)
        return Search(prices, prices, is_warm)
    for_bound = find_prices(problem, start, cold, FIRST_RATE, LAST_RATE, 0.0)
    prices = find_prices(problem, for_bound, warm, WARM_RATE, LAST_RATE, DELAY_USD_PER_GPU_H2)
    return Search(prices, for_bound, is_warm)


def switched(problem: Problem, prices: Prices, paths: Floats | None) -> Thresholds:
    """Thresholds of the first step, those of racks over all `paths`."""
    found = thresholds(problem, prices, SWITCH_DELAY_USD_PER_GPU_H2)
    if paths is None or not len(paths):
        return found
    stay, wake = fleet_switches(problem, prices, paths)
    return replace(found, fleet_stay=stay, fleet_wake=wake)
