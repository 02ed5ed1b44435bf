"""What a plan says of its first step: the prices of energy at which each rack and each job should be switched.

The value of a step is what it earns, and what being on after it is worth over being off. Divided by the energy of the
step, that is the price up to which it pays. What is scarce in the first step itself, power and GPUs, is left out:
whoever applies the prices gives both out by merit order, and what is given to a job that may stop can be taken back for
a better one that comes.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orchestrator.compiled import compiled
from orchestrator.optimizer.kernels.job_dp import OneJob, job_programme, plain_programme, window_programme
from orchestrator.optimizer.kernels.rack_dp import ROUNDING, Scratch, awake_value, rack_programme, scratch
from orchestrator.optimizer.problem import Problem, Racks, Supply, Tasks
from orchestrator.optimizer.shadow_prices import KWH, Prices, tightened, unit_costs

Floats = NDArray[np.float64]

TRIES = 5
"""Programmes a job to find the price of its own work."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Prices of energy, USD/MWh at the grid, in the rows of the problem; +inf and -inf where no price matters."""

    fleet_stay: Floats
    """(F,) Above it a running rack should stop."""
    fleet_wake: Floats
    """(F,) Below it a sleeping rack should wake."""
    job_stay: Floats
    """(J,)"""
    job_wake: Floats
    """(J,)"""


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
def _thresholds(  # noqa: PLR0915  # one walk; in parts it would be compiled several times
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


def thresholds(problem: Problem, prices: Prices, delay: float) -> Thresholds:
    """Of the first step; improves `prices.work` in place, so that each job's work fits its time."""
    supply = problem.supply
    power, gpu_cost = np.zeros_like(supply.feeder_kw), np.zeros_like(supply.gpus)
    unit_costs(supply, prices.scarce, power, gpu_cost)
    fleets, jobs = len(problem.racks.feeder), len(problem.tasks.pool)
    found = Thresholds(
        np.zeros(fleets),
        np.zeros(fleets),
        np.zeros(jobs),
        np.zeros(jobs),
    )
    _thresholds(
        supply,
        problem.racks,
        problem.tasks,
        power,
        gpu_cost,
        prices.work,
        delay,
        TRIES,
        scratch(problem.steps),
        found.fleet_stay,
        found.fleet_wake,
        found.job_stay,
        found.job_wake,
    )
    return found
