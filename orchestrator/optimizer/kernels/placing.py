"""One job into the room there is, by its own programme, and what jobs so placed earn; compiled."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from orchestrator.compiled import compiled
from orchestrator.optimizer.kernels.arrays import Floats, Supply, Tasks
from orchestrator.optimizer.kernels.job_dp import JobAhead, OneJob, job_path, job_programme, one_job, window_programme
from orchestrator.optimizer.kernels.rack_dp import ROUNDING, Scratch


class Capacity(NamedTuple):
    """What the plan has still to give: less and less, as jobs and then racks are placed."""

    gpus: Floats
    """(G, T)"""
    import_kw: Floats
    """(T,)"""
    feeder_kw: Floats
    """(K, T)"""


class Placed(NamedTuple):
    """Where jobs run."""

    gpus: NDArray[np.int32]
    """(J, T)"""
    usd: Floats
    """(J,) earned at the prices it was placed by, delay and scarcity counted."""
    done_h: Floats
    """(J,) hours of work done, on all GPUs."""


class PlacedBy(NamedTuple):
    """The prices that jobs are placed by."""

    cost: Floats
    """(G, T) USD per GPU-hour, with what a GPU is worth to others."""
    true_cost: Floats
    """(G, T) the same without that: what is really paid."""
    work: Floats
    """(J,) where each starts to look for the price of its own work, USD per GPU-hour."""
    delay: float
    """USD per GPU-hour of work and hour that it is put off."""


class Desk(NamedTuple):
    """Room to work in while a job is placed, all (T,), `total` (T + 1,)."""

    level: Floats
    share_at: Floats
    best_share: Floats
    total: Floats
    free_till: Floats
    scratch: Scratch


TRIES = 7
"""Programmes a job at most."""
SLACK = 1e-7


@compiled
def walk(job: OneJob, ahead: JobAhead, share_at: Floats) -> tuple[float, float]:
    """Run a job as `share_at` says until its work is done, and clear what comes after: (USD per GPU, hours done)."""
    value, credit, deadline, restart_h, first, last, running, _, left_h, _ = job
    cost, _, step_h, delay = ahead
    usd = done_h = 0.0
    restart_left_h = 0.0
    on = running
    for t in range(first, last):
        share = share_at[t]
        if share <= 0.0:
            on = False
            continue
        if left_h - done_h <= ROUNDING:
            share_at[t] = 0.0
            continue
        if not on:
            restart_left_h = restart_h
            on = True
        lost_h = min(restart_left_h, step_h)
        restart_left_h -= lost_h
        work_h = min((step_h - lost_h) * share, left_h - done_h)
        used_h = lost_h + work_h / share
        in_time_h = min(work_h, max((deadline - t) * step_h - lost_h, 0.0) * share)
        usd += (value - delay * t * step_h) * work_h + credit * in_time_h - cost[t] * share * used_h
        done_h += work_h
    return usd, done_h


@compiled
def take(supply: Supply, tasks: Tasks, j: int, sign: int, capacity: Capacity, placed: Placed) -> None:
    """Take the capacity that job `j` is placed in (`sign` 1), or give it back (-1)."""
    g = tasks.pool[j]
    k, kw = supply.pool_feeder[g], supply.gpu_kw[g]
    row, gpus = placed.gpus[j], capacity.gpus[g]
    import_kw, feeder_kw = capacity.import_kw, capacity.feeder_kw[k]
    for t in range(tasks.first[j], tasks.last[j]):
        if row[t] > 0:
            count = sign * row[t]
            gpus[t] -= count
            import_kw[t] -= count * kw
            feeder_kw[t] -= count * kw


@compiled
def place(  # noqa: PLR0912, PLR0915  # one walk; in parts it would be compiled several times
    supply: Supply,
    tasks: Tasks,
    j: int,
    cost: Floats,
    prices: PlacedBy,
    capacity: Capacity,
    placed: Placed,
    desk: Desk,
) -> None:
    """Place job `j` where it earns most at `cost` (G, T), one of the two in `prices`, in what capacity there is.

    It must not be placed already. What it earns there is noted at what is really paid.
    """
    job, g = one_job(tasks, j), tasks.pool[j]
    first, last, gpus, least, left_h = job.first, job.last, job.gpus, job.least, job.left_h
    placed.gpus[j, :] = 0
    placed.usd[j] = placed.done_h[j] = 0.0
    if first >= last or left_h <= 0.0:
        return
    level, share_at, best_share, total, free_till, scratch = desk
    k, kw = supply.pool_feeder[g], max(supply.gpu_kw[g], 1e-12)
    ahead = JobAhead(cost[g], level, supply.step_h, prices.delay)
    any_room = False
    for t in range(first, last):
        free = min(capacity.gpus[g, t], min(capacity.import_kw[t], capacity.feeder_kw[k, t]) / kw) + SLACK
        level[t] = 0.0
        if free >= gpus:
            level[t] = 1.0
        elif least < 1.0:
            part = np.floor(free / (gpus * tasks.step_share[j])) * tasks.step_share[j]
            if part >= least - ROUNDING:
                level[t] = part
        any_room = any_room or level[t] > 0.0
        best_share[t] = 0.0
    best_usd, best_h = 0.0, 0.0
    if tasks.guaranteed[j]:
        total[first] = 0.0
        for t in range(first, last):
            total[t + 1] = total[t] + ahead.cost[t]
        till = float(last)
        for t in range(last - 1, first - 1, -1):
            if level[t] < 1.0:
                till = float(t)
            free_till[t] = till
        _, start = window_programme(job, total, free_till, supply.step_h, prices.delay)
        if start >= 0:
            length = (left_h + (0.0 if job.running else job.restart_h)) / supply.step_h
            end = min(start + length, float(last))
            for t in range(start, int(np.ceil(end - ROUNDING))):
                best_share[t] = 1.0
            best_usd, best_h = walk(job, ahead, best_share)
    elif any_room:
        low = high = -1.0
        low_usd = high_usd = low_slope = high_slope = 0.0
        step = 0.02 * (job.value + job.credit) + 1e-6
        at = prices.work[j]
        for _ in range(TRIES):
            usd, hours = job_programme(job, ahead, at, False, scratch)
            if hours > 0.0:
                job_path(job, ahead, scratch, share_at)
                earned, done_h = walk(job, ahead, share_at)
                if earned > best_usd:
                    best_usd, best_h = earned, done_h
                    best_share[first:last] = share_at[first:last]
            usd += at * left_h
            slope = left_h - hours
            if slope >= 0.0:
                if at <= 0.0 or slope <= ROUNDING:
                    break
                high, high_usd, high_slope = at, usd, slope
            else:
                low, low_usd, low_slope = at, usd, slope
            if low >= 0.0 and high >= 0.0:
                meet = (low_usd - high_usd + high_slope * high - low_slope * low) / (high_slope - low_slope)
                least_usd = low_usd + low_slope * (meet - low)
                if meet <= low or meet >= high or min(low_usd, high_usd) - least_usd <= 1e-6 * abs(low_usd):
                    break
                at = meet
            else:
                at = max(at - step, 0.0) if low < 0.0 else at + step
                step *= 4.0
    if best_h > 0.0:
        paid = JobAhead(prices.true_cost[g], level, supply.step_h, prices.delay)
        best_usd, best_h = walk(job, paid, best_share)
    placed.usd[j], placed.done_h[j] = best_usd * gpus, best_h
    if best_h > 0.0 or (job.running and tasks.guaranteed[j]):
        for t in range(first, last):
            placed.gpus[j, t] = np.int32(np.round(best_share[t] * gpus))
        take(supply, tasks, j, 1, capacity, placed)


@compiled
def settle_jobs(supply: Supply, tasks: Tasks, placed: Placed) -> tuple[float, Floats, Floats]:
    """What placed jobs earn, USD, credits no longer owed counted; mean IT power (K, T); hours done in time (J,)."""
    feeders, steps = supply.feeder_kw.shape
    drawn_kw = np.zeros((feeders, steps))
    in_time = np.zeros(len(tasks.pool))
    usd = 0.0
    step_h = supply.step_h
    for j in range(len(tasks.pool)):
        g, gpus = tasks.pool[j], tasks.gpus[j]
        done_h = restart_left_h = 0.0
        on = tasks.running[j]
        row, drawn = placed.gpus[j], drawn_kw[supply.pool_feeder[g]]
        for t in range(tasks.first[j], tasks.last[j]):
            if row[t] == 0:
                on = False
                continue
            if not on:
                restart_left_h = tasks.restart_h[j]
                on = True
            share = row[t] / gpus
            lost_h = min(restart_left_h, step_h)
            restart_left_h -= lost_h
            work_h = min((step_h - lost_h) * share, max(tasks.left_h[j] - done_h, 0.0))
            used_h = lost_h + work_h / share
            in_time_h = min(work_h, max((tasks.deadline[j] - t) * step_h - lost_h, 0.0) * share)
            usd += (tasks.usd_per_gpu_h[j] * work_h + tasks.credit_usd_per_gpu_h[j] * in_time_h) * gpus
            drawn[t] += row[t] * supply.gpu_kw[g] * used_h / step_h
            done_h += work_h
            in_time[j] += in_time_h
    return usd, drawn_kw, in_time
