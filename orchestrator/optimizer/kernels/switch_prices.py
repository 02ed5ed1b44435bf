"""Prices of energy at which racks and jobs are switched in the first step, compiled."""

import numpy as np

from orchestrator.compiled import compiled
from orchestrator.optimizer.kernels.arrays import Floats, Racks, Supply, Tasks
from orchestrator.optimizer.kernels.job_dp import OneJob, job_programme, plain_programme, window_programme
from orchestrator.optimizer.kernels.rack_dp import ROUNDING, Scratch, awake_value, rack_programme
from orchestrator.optimizer.kernels.response import KWH, tightened


@compiled
def most_usd_per_mwh(
    step_kw: Floats, step_phs: Floats, hashprice: float, hash_h: float, step_h: float, pue: float, worth: float
) -> float:
    """The highest price at which some mode pays, `worth` USD being gained beside its hash."""
    best = -np.inf
    usd, kwh = worth, 0.0
    for number in range(len(step_kw)):
        if step_kw[number] <= 0.0:
            break
        usd += step_phs[number] * hashprice / 24.0 * hash_h
        kwh += step_kw[number] * step_h * pue
        best = max(best, usd / kwh * KWH)
    return best


@compiled
def first_step_switches(  # noqa: PLR0915  # one walk; in parts it would be compiled several times
    supply: Supply,
    racks: Racks,
    tasks: Tasks,
    power: Floats,
    gpu_cost: Floats,
    work_price: Floats,
    delay: float,
    tries: int,
    scratch: Scratch,
    fleet_stay: Floats,
    fleet_wake: Floats,
    job_stay: Floats,
    job_wake: Floats,
) -> None:
    steps, step_h, pue = len(supply.pue), supply.step_h, supply.pue[0]
    hashprice = supply.hashprice_usd_per_ph_day
    room, share_at, load = np.ones(steps), np.zeros(steps), np.zeros(steps)
    low_choice, high_choice = np.zeros(steps, dtype=np.uint8), np.zeros(steps, dtype=np.uint8)
    till_end, total = np.full(steps, float(steps)), np.zeros(steps + 1)
    for f in range(len(racks.feeder)):
        price, kw, phs = power[racks.feeder[f]], racks.step_kw[f], racks.step_phs[f]
        fleet_stay[f], fleet_wake[f] = -np.inf, -np.inf
        if kw[0] <= 0.0:
            continue
        warm_h, left_h = racks.warm_up_h[f], racks.warm_left_h[f]
        rack_programme(
            kw, phs, price, hashprice, room, step_h, warm_h, racks.min_on[f], racks.min_off[f], False, scratch
        )
        asleep = scratch.off[min(racks.min_off[f], steps)]
        awake = awake_value(1, max(left_h - step_h, 0.0), 0, kw, phs, price, hashprice, room, step_h, scratch)
        fleet_stay[f] = most_usd_per_mwh(kw, phs, hashprice[0], max(step_h - left_h, 0.0), step_h, pue, awake - asleep)
        asleep = scratch.off[min(1, steps)]
        awake = awake_value(
            1, max(warm_h - step_h, 0.0), racks.min_on[f] - 1, kw, phs, price, hashprice, room, step_h, scratch
        )
        fleet_wake[f] = most_usd_per_mwh(kw, phs, hashprice[0], max(step_h - warm_h, 0.0), step_h, pue, awake - asleep)
    for j in range(len(tasks.pool)):
        g, first, last = tasks.pool[j], tasks.first[j], tasks.last[j]
        job_stay[j] = job_wake[j] = -np.inf
        if first > 0 or last <= 0 or tasks.left_h[j] <= 0.0:
            continue
        cost, value, credit = gpu_cost[g], tasks.usd_per_gpu_h[j], tasks.credit_usd_per_gpu_h[j]
        deadline, restart_h = tasks.deadline[j], tasks.restart_h[j]
        mwh = max(supply.gpu_kw[g], 1e-9) * pue * step_h / KWH
        in_time = min(max(deadline, 0.0), 1.0)
        if tasks.guaranteed[j]:
            job_stay[j] = np.inf
            for t in range(steps):
                total[t + 1] = total[t] + cost[t]
            later, _ = window_programme(
                total, till_end, step_h, value, credit, deadline, restart_h, 1, last, False, tasks.left_h[j], delay
            )
            # From the second step on: what is left of the window costs the same whatever this step's price is.
            length = min((tasks.left_h[j] + restart_h) / step_h, float(last))
            whole = int(length)
            done_h = min(tasks.left_h[j], length * step_h - restart_h)
            in_time_h = min(max(done_h, 0.0), max(deadline * step_h - restart_h, 0.0))
            rest = total[max(whole, 1)] - total[1]
            if 1 <= whole < last:
                rest += cost[whole] * (length - whole)
            now = value * max(done_h, 0.0) + credit * in_time_h - rest * step_h
            job_wake[j] = (now - later) / mwh
            continue
        job = OneJob(
            value,
            credit,
            deadline,
            restart_h,
            first,
            last,
            tasks.running[j],
            tasks.least_share[j],
            tasks.left_h[j],
            tasks.gpus[j],
        )
        _, theta = tightened(
            cost,
            room,
            step_h,
            job,
            work_price[j],
            delay,
            tries,
            1e-3,
            False,
            load,
            share_at,
            low_choice,
            high_choice,
            scratch,
        )
        work_price[j] = theta
        rate = value - theta
        span = int(np.ceil(restart_h / step_h - ROUNDING))
        if span <= 1 and tasks.least_share[j] >= 1.0:
            on, off = plain_programme(
                cost, step_h, value, credit, deadline, restart_h, min(1, last), last, theta, delay, scratch.choice
            )
            after_start = on
        else:
            job_programme(
                cost,
                room,
                step_h,
                value,
                credit,
                deadline,
                restart_h,
                min(1, last),
                last,
                False,
                tasks.least_share[j],
                theta,
                delay,
                False,
                scratch,
            )
            on, off = scratch.on[min(1, last)], scratch.off[min(1, last)]
            after_start = scratch.on[min(max(span, 1), last)]
        job_stay[j] = (rate * step_h + credit * in_time * step_h + on - off) / mwh
        done_h = max(span, 1) * step_h - restart_h
        spent = 0.0
        for t in range(1, min(span, last)):
            spent += cost[t] * step_h
        in_time_h = min(max(deadline * step_h - restart_h, 0.0), done_h)
        begun = (value - theta) * done_h + credit * in_time_h - spent
        job_wake[j] = (begun + after_start - off) / mwh


@compiled
def path_switches(
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
