"""Racks into the power that jobs leave: rack by rack in merit order, each by its own programme, compiled."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from orchestrator.compiled import compiled
from orchestrator.optimizer.kernels.arrays import Floats, Ints, Racks, Supply
from orchestrator.optimizer.kernels.placing import Capacity
from orchestrator.optimizer.kernels.rack_dp import (
    RackAhead,
    RackPath,
    RackStart,
    Scratch,
    awake_value,
    one_rack,
    rack_path,
    rack_programme,
)
from orchestrator.optimizer.kernels.response import KWH


class Mined(NamedTuple):
    """What fleets do."""

    racks: NDArray[np.int64]
    """(F, S, T) racks in the upper mode of each rise, or a stronger one."""
    hash_h: Floats
    """(F, S, T) hours hashed in that mode, all those racks together."""


@compiled
def _covered(supply: Supply, free_kw: float, kw: float, t: int) -> float:
    """How often `kw` of IT load fits into the rest of the power block in step `t`; `free_kw` is left under the cap."""
    left_kw = supply.block_kw[t] - (supply.import_kw[t] - free_kw) * supply.pue[t]
    return float(max(left_kw / (kw * supply.pue[t]), 0.0))


@compiled
def _energy(supply: Supply, covered: float, t: int) -> float:
    """USD per kWh of IT load of which the share `covered` is of the power block."""
    market, unused = supply.price_usd_per_mwh[t], supply.sell_usd_per_mwh[t]
    return float((market - covered * (market - unused)) * supply.pue[t] / KWH)


@compiled
def fill(
    supply: Supply,
    racks: Racks,
    order_fleet: Ints,
    order_rise: Ints,
    capacity: Capacity,
    mined: Mined,
    scratch: Scratch,
) -> float:
    """Give rises of fleets, best first, what `capacity` is left, each at what its energy costs: what it would bring
    unused while the power block lasts, then the market price.

    First rises go rack by rack, since waking takes time; a further one goes to what racks are warm, moment by moment.
    Returns what they earn, USD, energy not counted.
    """
    steps, step_h = len(supply.pue), supply.step_h
    hashprice, free_kw = supply.hashprice_usd_per_ph_day, capacity.import_kw
    room, energy = np.ones(steps), np.zeros(steps)
    ahead = RackAhead(energy, hashprice, room, step_h)
    path = RackPath(np.zeros(steps, dtype=np.int64), np.zeros(steps))
    warm = np.zeros((len(racks.feeder), steps), dtype=np.int64)
    usd = 0.0
    for number in range(len(order_fleet)):
        f, s = order_fleet[number], order_rise[number]
        rack, feeder_kw = one_rack(racks, f), capacity.feeder_kw[racks.feeder[f]]
        kw, phs = rack.rise_kw, rack.rise_phs
        if kw[s] <= 0.0:
            continue
        if s > 0:
            for t in range(steps):
                usd_per_h = phs[s] * hashprice[t] / 24.0
                fits = int(np.floor((min(free_kw[t], feeder_kw[t]) + 1e-7) / kw[s]))
                count = max(min(fits, warm[f, t], mined.racks[f, s - 1, t]), 0)
                bought = _covered(supply, free_kw[t], kw[s], t)
                if usd_per_h <= kw[s] * _energy(supply, 0.0, t):
                    whole = int(np.floor(bought + 1e-9))
                    more = usd_per_h > kw[s] * _energy(supply, bought - whole, t)
                    if usd_per_h <= kw[s] * _energy(supply, 1.0, t):
                        whole, more = 0, False
                    count = min(count, whole + (1 if more else 0))
                mined.racks[f, s, t] = count
                mined.hash_h[f, s, t] = count * step_h
                free_kw[t] -= count * kw[s]
                feeder_kw[t] -= count * kw[s]
                usd += count * phs[s] * hashprice[t] / 24.0 * step_h
            continue
        for number_of_rack in range(racks.on[f] + racks.off[f]):
            for t in range(steps):
                room[t] = 1.0 if min(free_kw[t], feeder_kw[t]) + 1e-7 >= kw[0] else 0.0
                energy[t] = _energy(supply, min(_covered(supply, free_kw[t], kw[0], t), 1.0), t)
            rack_programme(rack, ahead, False, scratch)
            start = RackStart(False, racks.off_left[f], 0.0)
            if number_of_rack < racks.on[f]:
                start = RackStart(True, racks.on_left[f], racks.warm_left_h[f])
                stays = awake_value(rack, ahead, 0, start.warm_h, start.wait, scratch)
                leaves = scratch.off[min(rack.min_off, steps)]
                # Caps come before minimum times on; a rack that is still warming up may go back to sleep.
                if stays == -np.inf or (start.wait == 0 and leaves > stays):
                    start = RackStart(True, 0, 0.0)
                    scratch.choice[0] = 0
            rack_path(rack, ahead, start, False, scratch, path)
            for t in range(steps):
                if path.mode_at[t] > 0:
                    mined.racks[f, 0, t] += 1
                    mined.hash_h[f, 0, t] += path.hash_at[t]
                    warm[f, t] += 1 if path.hash_at[t] >= step_h else 0
                    free_kw[t] -= kw[0]
                    feeder_kw[t] -= kw[0]
                    usd += phs[0] * hashprice[t] / 24.0 * path.hash_at[t]
    return usd


def merit_order(racks_kw: Floats, racks_phs: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Fleets and their rises, what earns most per kWh first; each fleet's in their order."""
    worth = racks_phs / np.maximum(racks_kw, 1e-12)
    fleets, rises = np.divmod(np.argsort(-worth, axis=None, kind="stable"), worth.shape[1])
    return fleets.astype(np.int64), rises.astype(np.int64)
