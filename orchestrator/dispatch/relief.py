"""Where guaranteed jobs exceed a cap: GPU power limits first, then, for safety limits alone, jobs given up."""

from typing import NamedTuple

import numpy as np

from orchestrator.dispatch.gpu_limits import throttle
from orchestrator.dispatch.kernels.blocks import Blocks, Places, Rank
from orchestrator.dispatch.kernels.choice import Chosen
from orchestrator.dispatch.kernels.rows import PoolColumns
from orchestrator.observe.columns import Floats

ROUNDING_KW = 1e-6


class Excused(NamedTuple):
    """Power by which a cap may be exceeded before a customer is interrupted for it, grid-side kW."""

    order_kw: float
    """At the grid connection, for a cap for which no guaranteed job may be stopped (`precedence.kept_above_kw`)."""
    assumed_kw: Floats
    """By feeder, power that is only assumed of racks and nodes, because nobody measures them."""


def short(chosen: Chosen) -> bool:
    """What runs exceeds a cap."""
    return shortfall_kw(chosen) > 0.0


def shortfall_kw(chosen: Chosen) -> float:
    """Power above the tightest cap, kW; 0 where it is no more than a rounding error."""
    over_kw = -min(chosen.grid_kw, float(chosen.feeder_kw.min(initial=np.inf)))
    return over_kw if over_kw > ROUNDING_KW else 0.0


def relieve(
    blocks: Blocks, chosen: Chosen, pools: PoolColumns, pue: float, excused: Excused, places: Places
) -> tuple[Chosen, Floats]:
    """The choice brought back under the caps, as far as it can be, and the power limit of each pool's GPUs, W."""
    if not short(chosen):
        return chosen, pools.gpu_power_w
    kw, pool = chosen.units * blocks.unit_kw * pue, blocks.pool
    of_jobs = pool >= 0
    running_kw = np.zeros(len(pools.feeder))
    np.add.at(running_kw, pool[of_jobs], kw[of_jobs])
    limits_w = throttle(pools, running_kw, -chosen.grid_kw, np.maximum(-chosen.feeder_kw, 0.0))
    drawn_share = (limits_w - pools.gpu_idle_w) / (pools.gpu_power_w - pools.gpu_idle_w)
    shed_kw = running_kw * (1.0 - drawn_share)
    grid_kw = chosen.grid_kw + float(shed_kw.sum())
    feeder_kw = chosen.feeder_kw.copy()
    np.add.at(feeder_kw, pools.feeder, shed_kw)

    # A customer is not interrupted for power that is only assumed, nor for an order.
    spare_kw = excused.order_kw + float(excused.assumed_kw.sum())
    units, gpus = chosen.units.copy(), chosen.gpus.copy()
    guaranteed = np.flatnonzero(of_jobs & (blocks.rank == Rank.GUARANTEED) & (units > 0))
    # A job that waits goes before one that runs, then the one that earns least in an hour.
    by_name = np.argsort(places.jobs_by_name)[blocks.job[guaranteed]]
    usd = blocks.value_usd_per_mwh * blocks.unit_kw
    for row in guaranteed[np.lexsort((by_name, usd[guaranteed], blocks.running[guaranteed]))]:
        feeder = blocks.feeder[row]
        feeder_left_kw = feeder_kw[feeder] + excused.assumed_kw[feeder]
        if grid_kw + spare_kw >= -ROUNDING_KW and feeder_left_kw >= -ROUNDING_KW:
            continue
        # All of its units: what is guaranteed is whole, one unit.
        drawn_kw = float(blocks.unit_kw[row] * pue * drawn_share[pool[row]])
        gpus[blocks.job[row]] -= units[row] * blocks.gpus[row]
        units[row] = 0
        grid_kw += drawn_kw
        feeder_kw[feeder] += drawn_kw
    return chosen._replace(units=units, gpus=gpus, grid_kw=grid_kw, feeder_kw=feeder_kw), limits_w
