"""Where guaranteed jobs exceed a cap: GPU power limits first, then, for safety limits alone, jobs given up."""

from typing import NamedTuple

import numpy as np

from orchestrator.dispatch.kernels.choice import Chosen
from orchestrator.dispatch.kernels.rows import PoolColumns
from orchestrator.dispatch.kernels.tranches import Places, Rank, Tranches
from orchestrator.observe.columns import Flags, Floats

ROUNDING_KW = 1e-6
ROUNDING_W = 1e-9
"""So that a limit which comes out a rounding error under a whole watt is that watt."""


class Excused(NamedTuple):
    """Power by which a cap may be exceeded before a customer is interrupted for it, grid-side kW."""

    kept_grid_kw: float
    """At the grid connection, for a cap for which no guaranteed job may be stopped (`precedence.kept_above_kw`)."""
    kept_feeder_kw: Floats
    """The same by feeder."""
    assumed_kw: Floats
    """By feeder, power that is only assumed of racks and nodes, because nobody measures them."""


def short(chosen: Chosen) -> bool:
    """What runs exceeds a cap."""
    return bool(shortfalls_kw(chosen).any())


def shortfalls_kw(chosen: Chosen) -> Floats:
    """(1 + feeders,) power above the caps of the connection and of each feeder; 0 where it is a rounding error."""
    over_kw = -np.append(chosen.grid_kw, chosen.feeder_kw)
    return np.where(over_kw > ROUNDING_KW, over_kw, 0.0)


def relieve(
    tranches: Tranches, chosen: Chosen, pools: PoolColumns, pue: float, excused: Excused, places: Places
) -> tuple[Chosen, Floats]:
    """The choice brought back under the caps, as far as it can be, and the power limit of each pool's GPUs, W."""
    if not short(chosen):
        return chosen, pools.gpu_power_w
    kw, pool = chosen.units * tranches.unit_kw * pue, tranches.pool
    of_jobs = pool >= 0
    running_kw = np.zeros(len(pools.feeder))
    np.add.at(running_kw, pool[of_jobs], kw[of_jobs])
    limits_w = _throttle(pools, running_kw, -chosen.grid_kw, np.maximum(-chosen.feeder_kw, 0.0))
    drawn_share = (limits_w - pools.gpu_idle_w) / (pools.gpu_power_w - pools.gpu_idle_w)
    shed_kw = running_kw * (1.0 - drawn_share)
    grid_kw = chosen.grid_kw + float(shed_kw.sum())
    feeder_kw = chosen.feeder_kw.copy()
    np.add.at(feeder_kw, pools.feeder, shed_kw)

    # A customer is not interrupted for power that is only assumed, nor for an order.
    spare_kw = excused.kept_grid_kw + float(excused.assumed_kw.sum())
    feeder_spare_kw = excused.kept_feeder_kw + excused.assumed_kw
    units, gpus = chosen.units.copy(), chosen.gpus.copy()
    guaranteed = np.flatnonzero(of_jobs & (tranches.rank == Rank.GUARANTEED) & (units > 0))
    # A job that waits goes before one that runs, then the one that earns least in an hour.
    by_name = np.argsort(places.jobs_by_name)[tranches.job[guaranteed]]
    usd = tranches.value_usd_per_mwh * tranches.unit_kw
    for row in guaranteed[np.lexsort((by_name, usd[guaranteed], tranches.running[guaranteed]))]:
        feeder = tranches.feeder[row]
        if grid_kw + spare_kw >= -ROUNDING_KW and feeder_kw[feeder] + feeder_spare_kw[feeder] >= -ROUNDING_KW:
            continue
        # All of its units: what is guaranteed is whole, one unit.
        drawn_kw = float(tranches.unit_kw[row] * pue * drawn_share[pool[row]])
        gpus[tranches.job[row]] -= units[row] * tranches.gpus[row]
        units[row] = 0
        grid_kw += drawn_kw
        feeder_kw[feeder] += drawn_kw
    return chosen._replace(units=units, gpus=gpus, grid_kw=grid_kw, feeder_kw=feeder_kw), limits_w


def _throttle(pools: PoolColumns, running_kw: Floats, grid_over_kw: float, feeder_over_kw: Floats) -> Floats:
    """Power limits in W by pool that bring grid and feeders down by what they are over, as far as limits can.

    `running_kw` is what each pool's jobs draw above idle at full power, at the grid. Pools under one cap give the
    same share of it, each down to its lowest limit.
    """
    span_w = pools.gpu_power_w - pools.gpu_idle_w
    drawn_kw, floor_kw = running_kw.copy(), running_kw * (pools.gpu_min_power_w - pools.gpu_idle_w) / span_w
    for feeder, over_kw in enumerate(feeder_over_kw):
        _lower(drawn_kw, floor_kw, pools.feeder == feeder, over_kw)
    everywhere = np.ones(len(running_kw), dtype=np.bool_)
    _lower(drawn_kw, floor_kw, everywhere, grid_over_kw - float(running_kw.sum() - drawn_kw.sum()))
    lower = drawn_kw < running_kw
    share = np.divide(drawn_kw, running_kw, out=np.ones_like(drawn_kw), where=lower)
    limits_w = np.maximum(np.floor(pools.gpu_idle_w + span_w * share + ROUNDING_W), pools.gpu_min_power_w)
    return np.where(lower, limits_w, pools.gpu_power_w)


def _lower(drawn_kw: Floats, floor_kw: Floats, pools: Flags, over_kw: float) -> None:
    """Take `over_kw` from these pools, the same share from each that is above its floor."""
    while over_kw > 1e-6 and (lowerable := pools & (drawn_kw > floor_kw)).any():
        share = max(1.0 - over_kw / float(drawn_kw[lowerable].sum()), 0.0)
        lower_kw = np.maximum(drawn_kw[lowerable] * share, floor_kw[lowerable])
        over_kw -= float((drawn_kw[lowerable] - lower_kw).sum())
        drawn_kw[lowerable] = lower_kw
