"""Only what a plan says of its first step, without the plan: what a backtest asks for every quarter of an hour."""

from collections.abc import Sequence
from dataclasses import replace
from math import inf

from orchestrator.forecast.outlook import PlanValues, Switch
from orchestrator.optimizer.kernels.arrays import Floats
from orchestrator.optimizer.kernels.descent import Prices
from orchestrator.optimizer.price_paths import fleet_switches
from orchestrator.optimizer.problem import Problem
from orchestrator.optimizer.shadow_prices import FIRST_RATE, LAST_RATE, WARM_RATE, find_prices
from orchestrator.optimizer.thresholds import Thresholds, thresholds
from orchestrator.optimizer.warm_start import Duals, duals_of, start_of

DELAY_USD_PER_GPU_H2 = 0.0036
"""What an hour's delay costs, for each GPU-hour put off. It is not in what a plan earns: without it, work is put off
that arrivals yet to come then crowd out. 3e-4 USD a GPU and five minutes cured that in a study of ERCOT's 2024."""

SWITCH_DELAY_USD_PER_GPU_H2 = 0.2
"""The same where it is decided what runs now: the plan knows no job yet to come, and one that waits for cheaper power
may find its GPUs taken. In backtests on ERCOT's 2024 it costs 0.05 % of a month's profit at most, and half of the
interruptions; on an event day at high load it earns 2 %."""

COLD_ITERATIONS, WARM_ITERATIONS = 60, 4


def quick_values(
    problem: Problem,
    before: Duals | None,
    paths: Floats | None = None,
    *,
    cold: int = COLD_ITERATIONS,
    warm: int = WARM_ITERATIONS,
) -> tuple[Thresholds, Duals]:
    """Thresholds of the first step in row order, and prices for the next time.

    `paths` (P, T), USD/MWh: ways that prices may go, if more is known of them than what is expected.
    """
    start, is_warm = start_of(problem, before)
    prices = find_prices(
        problem,
        start,
        warm if is_warm else cold,
        WARM_RATE if is_warm else FIRST_RATE,
        LAST_RATE,
        SWITCH_DELAY_USD_PER_GPU_H2,
    )
    return switched(problem, prices, paths), duals_of(problem, prices)


def switched(problem: Problem, prices: Prices, paths: Floats | None) -> Thresholds:
    """Thresholds of the first step, those of racks over all `paths`."""
    found = thresholds(problem, prices, SWITCH_DELAY_USD_PER_GPU_H2)
    if paths is None or not len(paths):
        return found
    stay, wake = fleet_switches(problem, prices, paths)
    return replace(found, fleet_stay=stay, fleet_wake=wake)


def named(found: Thresholds, fleets: Sequence[str], jobs: Sequence[str]) -> PlanValues:
    """The same by name; `fleets` and `jobs` are in the order of the rows.

    A job that could not run in the first step has no value in it and is left out, so that dispatch goes by what it
    earns: one that was writing its checkpoint then would else wait for the next plan, at whatever price.
    """
    return PlanValues(
        fleets={
            name: Switch(stay, wake)
            for name, stay, wake in zip(fleets, found.fleet_stay.tolist(), found.fleet_wake.tolist(), strict=True)
        },
        jobs={
            name: Switch(stay, wake)
            for name, stay, wake in zip(jobs, found.job_stay.tolist(), found.job_wake.tolist(), strict=True)
            if stay > -inf
        },
    )
