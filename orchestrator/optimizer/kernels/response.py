"""What racks and jobs do at given prices of what is scarce, each alone, and the power and GPUs they then draw."""

from typing import NamedTuple

import numpy as np

from orchestrator.compiled import compiled
from orchestrator.optimizer.kernels.arrays import Floats, Racks, Supply, Tasks
from orchestrator.optimizer.kernels.job_dp import JobAhead, one_job, window_programme
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
from orchestrator.optimizer.kernels.work_price import Tightening, tightened

KWH = 1000.0
"""In a MWh."""


class Costs(NamedTuple):
    """What is paid at prices of what is scarce."""

    power: Floats
    """(K, T) USD per kWh of IT load on each feeder."""
    gpu: Floats
    """(G, T) USD per GPU-hour of each pool."""
    delay: float
    """USD per GPU-hour of work and hour that it is put off."""


class Answer(NamedTuple):
    """What racks and jobs draw at the prices."""

    feeder_kw: Floats
    """(K, T) of racks alone."""
    gpus: Floats
    """(G, T)"""


@compiled
def costs_at(supply: Supply, scarce: Floats, delay: float) -> Costs:
    """At the prices `scarce`, as in `Prices`."""
    feeders, steps = supply.feeder_kw.shape
    pools = len(supply.pool_feeder)
    power, gpu = np.zeros((feeders, steps)), np.zeros((pools, steps))
    for k in range(feeders):
        for t in range(steps):
            power[k, t] = scarce[1 + feeders + pools, t] * supply.pue[t] / KWH + scarce[0, t] + scarce[1 + k, t]
    for g in range(pools):
        for t in range(steps):
            gpu[g, t] = supply.gpu_kw[g] * power[supply.pool_feeder[g], t] + scarce[1 + feeders + g, t]
    return Costs(power, gpu, delay)


@compiled
def respond(
    supply: Supply,
    racks: Racks,
    tasks: Tasks,
    costs: Costs,
    work_price: Floats,
    tightening: Tightening,
    scratch: Scratch,
) -> tuple[float, Answer]:
    """What all racks and jobs earn at the prices, USD, an upper bound, and what they draw.

    The prices of the jobs' own work are improved in `work_price`. What jobs draw is left out where the
    `tightening` does not ask for it.
    """
    steps, pools = len(supply.pue), len(supply.pool_feeder)
    answer = Answer(np.zeros(supply.feeder_kw.shape), np.zeros((pools, steps)))
    total = _racks(supply, racks, costs.power, scratch, answer.feeder_kw)
    room, till_end = np.ones(steps), np.full(steps, float(steps))
    total_cost = np.zeros((pools, steps + 1))
    for g in range(pools):
        for t in range(steps):
            total_cost[g, t + 1] = total_cost[g, t] + costs.gpu[g, t]
    for j in range(len(tasks.pool)):
        job, g = one_job(tasks, j), tasks.pool[j]
        if job.first >= job.last or job.left_h <= 0.0:
            continue
        load = answer.gpus[g]
        if tasks.guaranteed[j]:
            usd, start = window_programme(job, total_cost[g], till_end, supply.step_h, costs.delay)
            if start >= 0:
                length = (job.left_h + (0.0 if job.running else job.restart_h)) / supply.step_h
                end = min(start + length, float(job.last))
                for t in range(start, int(np.ceil(end))):
                    load[t] += job.gpus * min(end - t, 1.0)
        else:
            ahead = JobAhead(costs.gpu[g], room, supply.step_h, costs.delay)
            usd, work_price[j] = tightened(job, ahead, work_price[j], tightening, load, scratch)
        total += job.gpus * usd
    return total, answer


@compiled
def _racks(supply: Supply, racks: Racks, power: Floats, scratch: Scratch, feeder_kw: Floats) -> float:
    """What all racks earn at `power` (K, T), USD; what they draw, into `feeder_kw` (K, T)."""
    steps = len(supply.pue)
    room = np.ones(steps)
    path = RackPath(np.zeros(steps, dtype=np.int64), np.zeros(steps))
    total = 0.0
    for f in range(len(racks.feeder)):
        rack = one_rack(racks, f)
        if rack.rise_kw[0] <= 0.0 or racks.on[f] + racks.off[f] == 0:
            continue
        ahead = RackAhead(power[racks.feeder[f]], supply.hashprice_usd_per_ph_day, room, supply.step_h)
        rack_programme(rack, ahead, True, scratch)
        for awake in range(2):
            count = racks.on[f] if awake else racks.off[f]
            if count == 0:
                continue
            if awake:
                start = RackStart(True, 0, racks.warm_left_h[f])
                stays = awake_value(rack, ahead, 0, start.warm_h, 0, scratch)
                usd = max(stays, scratch.off[min(rack.min_off, steps)])
            else:
                start = RackStart(False, racks.off_left[f], 0.0)
                usd = scratch.off[min(start.wait, steps)]
            rack_path(rack, ahead, start, True, scratch, path)
            total += count * usd
            for t in range(steps):
                drawn = 0.0
                for number in range(path.mode_at[t]):
                    drawn += rack.rise_kw[number]
                feeder_kw[racks.feeder[f], t] += count * drawn
    return total
