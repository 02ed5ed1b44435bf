"""One job into the room there is, by its own programme, and what jobs so placed earn; compiled."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from orchestrator.compiled import compiled
from orchestrator.optimizer.kernels.arrays import Floats, Supply, Tasks
from orchestrator.optimizer.kernels.job_dp import job_path, job_programme, window_programme
from orchestrator.optimizer.kernels.rack_dp import ROUNDING, Scratch


class Room(NamedTuple):
    """What is left while jobs are placed."""

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
def walk(
    share_at: Floats,
    cost: Floats,
    step_h: float,
    value: float,
    credit: float,
    deadline: float,
    restart_h: float,
    first: int,
    last: int,
    running: bool,
    left_h: float,
    delay: float,
) -> tuple[float, float]:
    """Run a job as `share_at` says until its work is done, and clear what comes after: (USD per GPU, hours done)."""
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
def take(supply: Supply, room: Room, placed: Placed, tasks: Tasks, j: int, sign: int) -> None:
    """Take the room that job `j` is placed in (`sign` 1), or give it back (-1)."""
    g = tasks.pool[j]
    k, kw = supply.pool_feeder[g], supply.gpu_kw[g]
    row, gpus, import_kw, feeder_kw = placed.gpus[j], room.gpus[g], room.import_kw, room.feeder_kw[k]
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
    gpu_cost: Floats,
    true_cost: Floats,
    theta: float,
    delay: float,
    room: Room,
    placed: Placed,
    desk: Desk,
) -> None:
    """Place job `j` where it earns most at `gpu_cost` (G, T), in what room there is; it must not be placed already.

    What it earns there is noted at `true_cost` (G, T), which leaves out what its GPUs are worth to others.
    """
    g, first, last, gpus = tasks.pool[j], tasks.first[j], tasks.last[j], tasks.gpus[j]
    placed.gpus[j, :] = 0
    placed.usd[j] = placed.done_h[j] = 0.0
    left_h = tasks.left_h[j]
    if first >= last or left_h <= 0.0:
        return
    level, share_at, best_share, total, free_till, scratch = desk
    k, kw = supply.pool_feeder[g], max(supply.gpu_kw[g], 1e-12)
    cost, step_h, least = gpu_cost[g], supply.step_h, tasks.least_share[j]
    value, credit, deadline = tasks.usd_per_gpu_h[j], tasks.credit_usd_per_gpu_h[j], tasks.deadline[j]
    restart_h, running = tasks.restart_h[j], tasks.running[j]
    any_room = False
    for t in range(first, last):
        free = min(room.gpus[g, t], min(room.import_kw[t], room.feeder_kw[k, t]) / kw) + SLACK
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
            total[t + 1] = total[t] + cost[t]
        till = float(last)
        for t in range(last - 1, first - 1, -1):
            if level[t] < 1.0:
                till = float(t)
            free_till[t] = till
        _, start = window_programme(
            total, free_till, step_h, value, credit, deadline, restart_h, first, last, running, left_h, delay
        )
        if start >= 0:
            end = min(start + (left_h + (0.0 if running else restart_h)) / step_h, float(last))
            for t in range(start, int(np.ceil(end - ROUNDING))):
                best_share[t] = 1.0
            best_usd, best_h = walk(
                best_share, cost, step_h, value, credit, deadline, restart_h, first, last, running, left_h, delay
            )
    elif any_room:
        low = high = -1.0
        low_usd = high_usd = low_slope = high_slope = 0.0
        step = 0.02 * (value + credit) + 1e-6
        at = theta
        for _ in range(TRIES):
            usd, hours = job_programme(
                cost,
                level,
                step_h,
                value,
                credit,
                deadline,
                restart_h,
                first,
                last,
                running,
                least,
                at,
                delay,
                False,
                scratch,
            )
            if hours > 0.0:
                job_path(level, step_h, restart_h, first, last, running, least, scratch, share_at)
                earned, done_h = walk(
                    share_at, cost, step_h, value, credit, deadline, restart_h, first, last, running, left_h, delay
                )
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
        best_usd, best_h = walk(
            best_share, true_cost[g], step_h, value, credit, deadline, restart_h, first, last, running, left_h, delay
        )
    placed.usd[j], placed.done_h[j] = best_usd * gpus, best_h
    if best_h > 0.0 or (running and tasks.guaranteed[j]):
        for t in range(first, last):
            placed.gpus[j, t] = np.int32(np.round(best_share[t] * gpus))
        take(supply, room, placed, tasks, j, 1)


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
