"""Prices of energy at which racks and jobs are switched in the first step, compiled."""

import numpy as np

from orchestrator.compiled import compiled
from orchestrator.optimizer.kernels.arrays import Floats, Racks, Supply, Tasks
from orchestrator.optimizer.kernels.job_dp import (
    JobAhead,
    OneJob,
    job_programme,
    not_before,
    one_job,
    plain_programme,
    window_programme,
)
from orchestrator.optimizer.kernels.rack_dp import (
    ROUNDING,
    OneRack,
    RackAhead,
    Scratch,
    awake_value,
    one_rack,
    rack_programme,
)
from orchestrator.optimizer.kernels.response import KWH, Costs
from orchestrator.optimizer.kernels.work_price import Tightening, tightened


@compiled
def rack_switches(
    supply: Supply, racks: Racks, power: Floats, extra: Floats, scratch: Scratch, stay: Floats, wake: Floats
) -> None:
    """Into `stay` and `wake` (F,), by the mean over paths of what it is worth to be on.

    `extra` (P, T), USD per kWh of IT load, comes on top of `power` (K, T) in each path.
    """
    steps, step_h, paths = len(supply.pue), supply.step_h, len(extra)
    room = np.ones(steps)
    for f in range(len(racks.feeder)):
        rack = one_rack(racks, f)
        stay[f] = wake[f] = -np.inf
        if rack.rise_kw[0] <= 0.0:
            continue
        warm_h, left_h = rack.warm_up_h, racks.warm_left_h[f]
        kept = woken = 0.0
        for path in range(paths):
            price = power[racks.feeder[f]] + extra[path]
            ahead = RackAhead(price, supply.hashprice_usd_per_ph_day, room, step_h)
            rack_programme(rack, ahead, False, scratch)
            kept += awake_value(rack, ahead, 1, max(left_h - step_h, 0.0), 0, scratch)
            kept -= scratch.off[min(rack.min_off, steps)]
            woken += awake_value(rack, ahead, 1, max(warm_h - step_h, 0.0), rack.min_on - 1, scratch)
            woken -= scratch.off[min(1, steps)]
        stay[f] = _most_usd_per_mwh(rack, supply, max(step_h - left_h, 0.0), kept / paths)
        wake[f] = _most_usd_per_mwh(rack, supply, max(step_h - warm_h, 0.0), woken / paths)


@compiled
def _most_usd_per_mwh(rack: OneRack, supply: Supply, hash_h: float, worth: float) -> float:
    """The highest price at which some mode pays in the first step, of which `hash_h` hours hash, `worth` USD being
    gained beside its hash."""
    best = -np.inf
    usd, kwh = worth, 0.0
    for number in range(len(rack.rise_kw)):
        if rack.rise_kw[number] <= 0.0:
            break
        usd += rack.rise_phs[number] * supply.hashprice_usd_per_ph_day[0] / 24.0 * hash_h
        kwh += rack.rise_kw[number] * supply.step_h * supply.pue[0]
        best = max(best, usd / kwh * KWH)
    return best


@compiled
def job_switches(
    supply: Supply,
    tasks: Tasks,
    costs: Costs,
    work_price: Floats,
    tightening: Tightening,
    scratch: Scratch,
    stay: Floats,
    wake: Floats,
) -> None:
    """Into `stay` and `wake` (J,); the prices of the jobs' own work are improved in `work_price`."""
    steps, step_h = len(supply.pue), supply.step_h
    room, load = np.ones(steps), np.zeros(steps)
    till_end, total = np.full(steps, float(steps)), np.zeros(steps + 1)
    for j in range(len(tasks.pool)):
        job, g = one_job(tasks, j), tasks.pool[j]
        stay[j] = wake[j] = -np.inf
        if job.first > 0 or job.last <= 0 or job.left_h <= 0.0:
            continue
        ahead = JobAhead(costs.gpu[g], room, step_h, costs.delay)
        mwh = max(supply.gpu_kw[g], 1e-9) * supply.pue[0] * step_h / KWH
        if tasks.guaranteed[j]:
            stay[j] = np.inf
            for t in range(steps):
                total[t + 1] = total[t] + ahead.cost[t]
            wake[j] = _start_usd(job, ahead, total, till_end) / mwh
            continue
        _, work_price[j] = tightened(job, ahead, work_price[j], tightening, load, scratch)
        stay_usd, wake_usd = _switch_usd(job, ahead, work_price[j], scratch)
        stay[j], wake[j] = stay_usd / mwh, wake_usd / mwh


@compiled
def _start_usd(job: OneJob, ahead: JobAhead, total: Floats, till_end: Floats) -> float:
    """What a guaranteed job gains by starting in the first step rather than later, its energy in that step not paid.

    `total` (T + 1,): prefix sums of USD per GPU-hour; `till_end` (T,): the last step, since there is room for all.
    """
    step_h = ahead.step_h
    later, _ = window_programme(not_before(job, 1), total, till_end, step_h, ahead.delay)
    # From the second step on: what is left of the window costs the same whatever this step's price is.
    length = min((job.left_h + job.restart_h) / step_h, float(job.last))
    whole = int(length)
    done_h = min(job.left_h, length * step_h - job.restart_h)
    in_time_h = min(max(done_h, 0.0), max(job.deadline * step_h - job.restart_h, 0.0))
    rest = total[max(whole, 1)] - total[1]
    if 1 <= whole < job.last:
        rest += ahead.cost[whole] * (length - whole)
    now = job.value * max(done_h, 0.0) + job.credit * in_time_h - rest * step_h
    return float(now - later)


@compiled
def _switch_usd(job: OneJob, ahead: JobAhead, theta: float, scratch: Scratch) -> tuple[float, float]:
    """What a job gains in the first step by running on, and by starting, its energy in that step not paid."""
    step_h, cost = ahead.step_h, ahead.cost
    span = int(np.ceil(job.restart_h / step_h - ROUNDING))
    after = not_before(job, 1)
    if span <= 1 and job.least >= 1.0:
        on, off = plain_programme(after, ahead, theta, scratch.choice)
        after_start = on
    else:
        job_programme(after, ahead, theta, False, scratch)
        on, off = scratch.on[after.first], scratch.off[after.first]
        after_start = scratch.on[min(max(span, 1), job.last)]
    in_time = min(max(job.deadline, 0.0), 1.0)
    rate = job.value - theta
    stay_usd = rate * step_h + job.credit * in_time * step_h + on - off
    done_h = max(span, 1) * step_h - job.restart_h
    spent = 0.0
    for t in range(1, min(span, job.last)):
        spent += cost[t] * step_h
    in_time_h = min(max(job.deadline * step_h - job.restart_h, 0.0), done_h)
    begun = rate * done_h + job.credit * in_time_h - spent
    return stay_usd, begun + after_start - off
