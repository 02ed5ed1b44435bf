"""What racks and jobs do at given prices of what is scarce, each alone, and the power and GPUs they then draw."""

from typing import NamedTuple

import numpy as np

from orchestrator.compiled import compiled
from orchestrator.optimizer.kernels.arrays import Choices, Floats, Racks, Supply, Tasks
from orchestrator.optimizer.kernels.job_dp import (
    OneJob,
    job_path,
    job_programme,
    plain_path,
    plain_programme,
    window_programme,
)
from orchestrator.optimizer.kernels.rack_dp import Scratch, awake_value, rack_path, rack_programme

KWH = 1000.0
"""In a MWh."""


class Answer(NamedTuple):
    """What racks and jobs draw at the prices."""

    feeder_kw: Floats
    """(K, T) of racks alone."""
    gpus: Floats
    """(G, T)"""


@compiled
def unit_costs(supply: Supply, scarce: Floats, power: Floats, gpu_cost: Floats) -> None:
    """USD per kWh of IT load at each feeder into `power` (K, T), USD per GPU-hour into `gpu_cost` (G, T)."""
    feeders, steps = supply.feeder_kw.shape
    pools = len(supply.pool_feeder)
    for k in range(feeders):
        for t in range(steps):
            power[k, t] = scarce[1 + feeders + pools, t] * supply.pue[t] / KWH + scarce[0, t] + scarce[1 + k, t]
    for g in range(pools):
        for t in range(steps):
            gpu_cost[g, t] = supply.gpu_kw[g] * power[supply.pool_feeder[g], t] + scarce[1 + feeders + g, t]


@compiled
def _draw(
    choice: Choices,
    room: Floats,
    step_h: float,
    job: OneJob,
    gpus: float,
    load: Floats,
    share_at: Floats,
    work: Scratch,
) -> None:
    """Add `gpus` to `load` (T,) where the job runs by `choice`."""
    if job.restart_h <= step_h and job.least >= 1.0:
        plain_path(choice, step_h, job.restart_h, job.first, job.last, job.running, gpus, load)
        return
    work.choice[job.first : job.last] = choice[job.first : job.last]
    job_path(room, step_h, job.restart_h, job.first, job.last, job.running, job.least, work, share_at)
    for t in range(job.first, job.last):
        load[t] += gpus * share_at[t]


@compiled
def tightened(  # noqa: PLR0912  # one walk; in parts it would be compiled several times
    cost: Floats,
    room: Floats,
    step_h: float,
    job: OneJob,
    theta: float,
    delay: float,
    tries: int,
    near: float,
    draws: bool,
    load: Floats,
    share_at: Floats,
    low_choice: Choices,
    high_choice: Choices,
    work: Scratch,
) -> tuple[float, float]:
    """The price of the job's own work that makes its bound least, by cutting planes: (bound, price).

    The bound is convex in that price, with work left less hours done as its slope: two tangents meet below its least.
    Where `draws`, what the job draws is added to `load` (T,): at the price where it goes from too much work to too
    little, that mix of both which does just its work. It is known well enough between two prices that are `near` each
    other, as a share of what an hour of its work earns.
    """
    value, credit, deadline, restart_h, first, last, running, least_share, left_h, gpus = job
    choice = work.choice
    plain = restart_h <= step_h and least_share >= 1.0
    low = high = -1.0
    low_usd = high_usd = low_slope = high_slope = 0.0
    best_usd, best = np.inf, theta
    worth = value + credit + 1e-6
    step = max(near, 0.004) * worth
    at = theta
    for _ in range(tries):
        if plain:
            on, off = plain_programme(cost, step_h, value, credit, deadline, restart_h, first, last, at, delay, choice)
            usd = on if running else off
            hours = plain_path(choice, step_h, restart_h, first, last, running, 0.0, load)
        else:
            usd, hours = job_programme(
                cost,
                room,
                step_h,
                value,
                credit,
                deadline,
                restart_h,
                first,
                last,
                running,
                least_share,
                at,
                delay,
                True,
                work,
            )
        usd += at * left_h
        slope = left_h - hours
        if usd < best_usd:
            best_usd, best = usd, at
        if slope >= 0.0:
            high, high_usd, high_slope = at, usd, slope
            for t in range(first, last):
                high_choice[t] = choice[t]
            if at <= 0.0:
                break
        else:
            low, low_usd, low_slope = at, usd, slope
            for t in range(first, last):
                low_choice[t] = choice[t]
        if low >= 0.0 and high >= 0.0:
            meet = (low_usd - high_usd + high_slope * high - low_slope * low) / (high_slope - low_slope)
            least = low_usd + low_slope * (meet - low)
            if high - low <= 1.01 * near * worth or best_usd - least <= 1e-5 * abs(best_usd):
                break
            if meet <= low or meet >= high:
                break
            at = meet
        else:
            at = max(at - step, 0.0) if low < 0.0 else at + step
            step *= 4.0
    if draws:
        if high < 0.0:
            share = left_h / (left_h - low_slope)
        elif low < 0.0 or high <= 0.0:
            share = 0.0
        else:
            share = high_slope / (high_slope - low_slope)
        if share > 0.0:
            _draw(low_choice, room, step_h, job, gpus * share, load, share_at, work)
        if high >= 0.0:
            _draw(high_choice, room, step_h, job, gpus * (1.0 - share), load, share_at, work)
    return best_usd, best


@compiled
def respond(  # noqa: PLR0912  # one walk; in parts it would be compiled several times
    supply: Supply,
    racks: Racks,
    tasks: Tasks,
    power: Floats,
    gpu_cost: Floats,
    work_price: Floats,
    delay: float,
    tries: int,
    near: float,
    draws: bool,
    scratch: Scratch,
    answer: Answer,
) -> float:
    """What all racks and jobs earn at the prices, USD, an upper bound; what they draw, into `answer`.

    The prices of the jobs' own work are improved in `work_price`, by `tries` programmes each at most. Where `draws` is
    not set, what jobs draw is left out.
    """
    step_h, steps = supply.step_h, len(supply.pue)
    room = np.ones(steps)
    mode_at = np.zeros(steps, dtype=np.int64)
    hash_at = np.zeros(steps)
    share_at = np.zeros(steps)
    low_choice, high_choice = np.zeros(steps, dtype=np.uint8), np.zeros(steps, dtype=np.uint8)
    till_end = np.full(steps, float(steps))
    total_cost = np.zeros((len(gpu_cost), steps + 1))
    for g in range(len(gpu_cost)):
        for t in range(steps):
            total_cost[g, t + 1] = total_cost[g, t] + gpu_cost[g, t]
    answer.feeder_kw[:] = 0.0
    answer.gpus[:] = 0.0
    total = 0.0
    for f in range(len(racks.feeder)):
        price = power[racks.feeder[f]]
        kw, phs = racks.step_kw[f], racks.step_phs[f]
        if kw[0] <= 0.0 or racks.on[f] + racks.off[f] == 0:
            continue
        hashprice = supply.hashprice_usd_per_ph_day
        rack_programme(
            kw,
            phs,
            price,
            hashprice,
            room,
            step_h,
            racks.warm_up_h[f],
            racks.min_on[f],
            racks.min_off[f],
            True,
            scratch,
        )
        for awake in range(2):
            count = racks.on[f] if awake else racks.off[f]
            if count == 0:
                continue
            if awake:
                stays = awake_value(0, racks.warm_left_h[f], 0, kw, phs, price, hashprice, room, step_h, scratch)
                usd = max(stays, scratch.off[min(racks.min_off[f], steps)])
                rack_path(
                    kw,
                    phs,
                    price,
                    hashprice,
                    step_h,
                    racks.warm_up_h[f],
                    1,
                    racks.min_off[f],
                    True,
                    0,
                    racks.warm_left_h[f],
                    scratch,
                    mode_at,
                    hash_at,
                )
            else:
                usd = scratch.off[min(racks.off_left[f], steps)]
                rack_path(
                    kw,
                    phs,
                    price,
                    hashprice,
                    step_h,
                    racks.warm_up_h[f],
                    1,
                    racks.min_off[f],
                    False,
                    racks.off_left[f],
                    0.0,
                    scratch,
                    mode_at,
                    hash_at,
                )
            total += count * usd
            for t in range(steps):
                drawn = 0.0
                for number in range(mode_at[t]):
                    drawn += kw[number]
                answer.feeder_kw[racks.feeder[f], t] += count * drawn
    for j in range(len(tasks.pool)):
        g, first, last, gpus = tasks.pool[j], tasks.first[j], tasks.last[j], tasks.gpus[j]
        if first >= last or tasks.left_h[j] <= 0.0:
            continue
        cost = gpu_cost[g]
        if tasks.guaranteed[j]:
            usd, start = window_programme(
                total_cost[g],
                till_end,
                step_h,
                tasks.usd_per_gpu_h[j],
                tasks.credit_usd_per_gpu_h[j],
                tasks.deadline[j],
                tasks.restart_h[j],
                first,
                last,
                tasks.running[j],
                tasks.left_h[j],
                delay,
            )
            total += gpus * usd
            if start >= 0:
                length = (tasks.left_h[j] + (0.0 if tasks.running[j] else tasks.restart_h[j])) / step_h
                end = min(start + length, float(last))
                load = answer.gpus[g]
                for t in range(start, int(np.ceil(end))):
                    load[t] += gpus * min(end - t, 1.0)
            continue
        load = answer.gpus[g]
        job = OneJob(
            tasks.usd_per_gpu_h[j],
            tasks.credit_usd_per_gpu_h[j],
            tasks.deadline[j],
            tasks.restart_h[j],
            first,
            last,
            tasks.running[j],
            tasks.least_share[j],
            tasks.left_h[j],
            gpus,
        )
        usd, work_price[j] = tightened(
            cost,
            room,
            step_h,
            job,
            work_price[j],
            delay,
            tries,
            near,
            draws,
            load,
            share_at,
            low_choice,
            high_choice,
            scratch,
        )
        total += gpus * usd
    return total


def empty_answer(supply: Supply) -> Answer:
    return Answer(np.zeros_like(supply.feeder_kw), np.zeros_like(supply.gpus))
