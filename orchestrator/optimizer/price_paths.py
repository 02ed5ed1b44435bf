"""Prices at which racks are switched, over several ways that prices may go.

Whether it pays to wake a rack depends less on the price expected than on how often it goes to and fro: a plan on the
expected path alone wakes for hours that do not come. So the value of being on over being off is the mean over paths:
the forecast, each time with an error path that a forecast of the same time of day has really had.
"""

import numpy as np

from orchestrator.compiled import compiled
from orchestrator.optimizer.kernels.rack_dp import Scratch, awake_value, rack_programme, scratch
from orchestrator.optimizer.power_block import marginal_paths
from orchestrator.optimizer.problem import Floats, Problem, Racks, Supply
from orchestrator.optimizer.shadow_prices import Prices, unit_costs
from orchestrator.optimizer.thresholds import most_usd_per_mwh


def fleet_switches(problem: Problem, prices: Prices, paths: Floats) -> tuple[Floats, Floats]:
    """(F,) prices above which a running rack should stop, and below which a sleeping one should wake.

    `paths` (P, T): market prices of energy, USD/MWh, each as likely as the others.
    """
    supply = problem.supply
    power, gpu_cost = np.zeros_like(supply.feeder_kw), np.zeros_like(supply.gpus)
    unit_costs(supply, prices.scarce, power, gpu_cost)
    marginal = marginal_paths(problem.ppa, supply, prices.scarce[-1], paths)
    extra = np.ascontiguousarray(marginal - prices.scarce[-1]) * supply.pue / 1000.0
    stay, wake = np.zeros(len(problem.racks.feeder)), np.zeros(len(problem.racks.feeder))
    _switches(supply, problem.racks, power, extra, scratch(problem.steps), stay, wake)
    return stay, wake


@compiled
def _switches(
    supply: Supply, racks: Racks, power: Floats, extra: Floats, work: Scratch, stay: Floats, wake: Floats
) -> None:
    """`extra` (P, T), USD per kWh of IT load, comes on top of `power` (K, T) in each path."""
    steps, step_h, pue = len(supply.pue), supply.step_h, supply.pue[0]
    hashprice, room = supply.hashprice_usd_per_ph_day, np.ones(len(supply.pue))
    for f in range(len(racks.feeder)):
        kw, phs = racks.step_kw[f], racks.step_phs[f]
        stay[f] = wake[f] = -np.inf
        if kw[0] <= 0.0:
            continue
        warm_h, left_h = racks.warm_up_h[f], racks.warm_left_h[f]
        min_on, min_off = racks.min_on[f], racks.min_off[f]
        kept = woken = 0.0
        for path in range(len(extra)):
            price = power[racks.feeder[f]] + extra[path]
            rack_programme(kw, phs, price, hashprice, room, step_h, warm_h, min_on, min_off, False, work)
            after_h, cold_h = max(left_h - step_h, 0.0), max(warm_h - step_h, 0.0)
            kept += awake_value(1, after_h, 0, kw, phs, price, hashprice, room, step_h, work)
            kept -= work.off[min(min_off, steps)]
            woken += awake_value(1, cold_h, min_on - 1, kw, phs, price, hashprice, room, step_h, work)
            woken -= work.off[min(1, steps)]
        kept, woken = kept / len(extra), woken / len(extra)
        stay[f] = most_usd_per_mwh(kw, phs, hashprice[0], max(step_h - left_h, 0.0), step_h, pue, kept)
        wake[f] = most_usd_per_mwh(kw, phs, hashprice[0], max(step_h - warm_h, 0.0), step_h, pue, woken)
