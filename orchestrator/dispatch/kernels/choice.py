"""The walk down the table of tranches: each takes what is left under the caps, in merit order; compiled."""

from math import floor
from typing import NamedTuple

import numpy as np

from orchestrator.compiled import compiled
from orchestrator.dispatch.kernels.tranches import Floats, Ints, Rank, Tranches

_WORTH, _GUARANTEED = int(Rank.WORTH), int(Rank.GUARANTEED)


class Room(NamedTuple):
    """Power and GPUs left once everything that cannot be switched off has its share. Powers are grid-side kW."""

    grid_kw: float
    feeder_kw: Floats
    grid_margin_kw: float
    """Left free when something new is switched on."""
    feeder_margin_kw: Floats
    gpus: Ints
    """By pool, those that no job holds which is stopping or must stay as it is."""


class BlockLeft(NamedTuple):
    """Of power bought ahead, what is left once everything that cannot be switched off has its share."""

    kw: float
    """At the grid; negative where what cannot be switched off draws more."""
    margin_kw: float
    """Left alone when something new is switched on."""
    usd_per_mwh: float
    """What one more kW costs while some is left; no more than beyond it."""


class Chosen(NamedTuple):
    """What should run, and what was left."""

    units: Ints
    """By tranche of the table."""
    at_step: Ints
    """(fleets, S): movable racks that should be in the step's upper mode or a stronger one."""
    gpus: Ints
    """By job, GPUs that it should hold."""
    grid_kw: float
    """Left; negative where guaranteed jobs that run exceed the cap."""
    feeder_kw: Floats
    block_kw: float
    """Left of the power block; negative where power is bought beyond it."""
    bound: Ints
    """(1 + feeders): when the grid connection (row 0) or a feeder first kept a worthwhile tranche from running, counted
    from 1; 0 where it did not."""
    lacks_of: Ints
    """By job: GPUs that were left when it lacked some; -1 where it did not."""
    lacks_for: Ints
    """By job: GPUs that it then needed."""


@compiled
def walk(  # noqa: PLR0912, PLR0915  # one walk
    tranches: Tranches, price: float, bought: BlockLeft, room: Room, pue: float, at_step: Ints, gpus: Ints
) -> Chosen:
    """`at_step` and `gpus` come in with what is held, and are added to."""
    grid_kw, feeder_kw, free = room.grid_kw, room.feeder_kw.copy(), room.gpus.copy()
    bought_kw = bought.kw
    bound, bounds = np.zeros(1 + len(feeder_kw), dtype=np.int64), 0
    lacks_of, lacks_for = np.full(len(gpus), -1), np.zeros(len(gpus), dtype=np.int64)
    taken = np.zeros(len(tranches.units), dtype=np.int64)
    for at in range(len(taken)):
        value = tranches.value_usd_per_mwh[at]
        within = tranches.rank[at] == _WORTH and not value > price
        if within and not (bought_kw > 0.0 and value > bought.usd_per_mwh):
            continue
        fleet, job, feeder = tranches.fleet[at], tranches.job[at], tranches.feeder[at]
        offered, need = tranches.units[at], tranches.gpus[at]
        if fleet >= 0 and tranches.level[at]:
            offered = min(offered, at_step[fleet, tranches.level[at] - 1] - at_step[fleet, tranches.level[at]])
        if need:
            left = free[tranches.pool[at]]
            offered = min(offered, left // need)
            if offered < tranches.least_units[at]:
                lacks_of[job], lacks_for[job] = left, need * tranches.least_units[at]
                continue
        unit_kw = tranches.unit_kw[at]
        new = 0.0 if tranches.running[at] else 1.0
        if within and unit_kw > 0.0:
            # As many units as are paid for, and one more where it is worth what the rest of it costs.
            unit_grid_kw, left_kw = unit_kw * pue, max(bought_kw - new * bought.margin_kw, 0.0)
            paid = floor(left_kw / unit_grid_kw + 1e-9)
            rest_kw = max(left_kw - paid * unit_grid_kw, 0.0)
            cost = rest_kw * bought.usd_per_mwh + (unit_grid_kw - rest_kw) * price
            if value * unit_grid_kw > cost:
                paid += 1
            offered = min(offered, paid)
        units = offered
        if unit_kw > 0.0:
            by_grid = (grid_kw - new * room.grid_margin_kw) / (unit_kw * pue)
            by_feeder = (feeder_kw[feeder] - new * room.feeder_margin_kw[feeder]) / (unit_kw * pue)
            fits = min(by_grid, by_feeder) + 1e-9
            if fits < offered:
                units = floor(fits) if fits > 0.0 else 0
            if units < offered:
                cap = 1 + feeder if by_feeder < by_grid else 0
                if not bound[cap]:
                    bounds += 1
                    bound[cap] = bounds
        if units < tranches.least_units[at]:
            units = 0
        if tranches.rank[at] == _GUARANTEED and tranches.running[at]:
            units = tranches.units[at]  # kept even above a cap: throttled first, then reported short
        if units:
            taken[at] = units
            grid_kw -= units * unit_kw * pue
            bought_kw -= units * unit_kw * pue
            feeder_kw[feeder] -= units * unit_kw * pue
            if need:
                free[tranches.pool[at]] -= need * units
                gpus[job] += need * units
            else:
                at_step[fleet, tranches.level[at]] += units
    return Chosen(taken, at_step, gpus, grid_kw, feeder_kw, bought_kw, bound, lacks_of, lacks_for)
