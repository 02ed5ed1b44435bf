"""Jobs into the room there is, one at a time, each by its own programme: a plan that keeps every cap, compiled."""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from orchestrator.planning.programmes import ROUNDING, job_path, job_programme, window_programme

Floats = NDArray[np.float64]


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


TRIES = 7
"""Programmes a job at most."""
SLACK = 1e-7


@njit(cache=True)  # type: ignore[untyped-decorator]
def walk(
    share_at, cost, step_h, value, credit, deadline, restart_h, first, last, running, left_h, delay
):  # type: ignore[no-untyped-def]
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


@njit(cache=True)  # type: ignore[untyped-decorator]
def _take(supply, room, placed, tasks, j, sign):  # type: ignore[no-untyped-def]
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


@njit(cache=True)  # type: ignore[untyped-decorator]
def place(
    supply, tasks, j, gpu_cost, true_cost, theta, delay, room, placed, level, share_at, best_share, total, free_till,
    scratch,
):  # type: ignore[no-untyped-def]
    """Place job `j` where it earns most at `gpu_cost` (G, T), in what room there is; it must not be placed already.

    What it earns there is noted at `true_cost` (G, T), which leaves out what its GPUs are worth to others.
    """
    g, first, last, gpus = tasks.pool[j], tasks.first[j], tasks.last[j], tasks.gpus[j]
    placed.gpus[j, :] = 0
    placed.usd[j] = placed.done_h[j] = 0.0
    left_h = tasks.left_h[j]
    if first >= last or left_h <= 0.0:
        return
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
                cost, level, step_h, value, credit, deadline, restart_h, first, last, running, least, at, delay, False,
                scratch,
            )  # fmt: skip
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
        _take(supply, room, placed, tasks, j, 1)


@njit(cache=True)  # type: ignore[untyped-decorator]
def insert(
    supply, tasks, order, gpu_cost, true_cost, theta, delay, rounds, seed, density, room, placed, scratch
):  # type: ignore[no-untyped-def]
    """Place all jobs in `order`, then improve: place again those that got too little, then `rounds` times take out a few
    that meet at one moment and place them in another order. USD at `true_cost`; the same seed gives the same plan."""
    jobs, steps = len(tasks.pool), len(supply.pue)
    level, share_at, best_share = np.zeros(steps), np.zeros(steps), np.zeros(steps)
    total, free_till = np.zeros(steps + 1), np.zeros(steps)
    for j in order:
        place(
            supply, tasks, j, gpu_cost, true_cost, theta[j], delay, room, placed, level, share_at, best_share, total,
            free_till, scratch,
        )  # fmt: skip
    for _ in range(2):
        for j in order:
            fixed = tasks.guaranteed[j] and placed.done_h[j] > 0.0
            if placed.done_h[j] >= tasks.left_h[j] - ROUNDING or fixed:
                continue
            _again(
                supply, tasks, j, true_cost, true_cost, theta, delay, room, placed, level, share_at, best_share, total,
                free_till, scratch,
            )  # fmt: skip
    most = 10
    chosen = np.zeros(most, dtype=np.int64)
    kept = np.zeros((most, steps), dtype=np.int32)
    kept_usd, kept_h = np.zeros(most), np.zeros(most)
    state = np.uint64(seed * 2 + 1)
    for _ in range(rounds):
        state = state * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
        at = int((state >> np.uint64(33)) % np.uint64(steps))
        state = state * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
        j = int((state >> np.uint64(33)) % np.uint64(jobs))
        pool = tasks.pool[j]
        count = 0
        for _ in range(min(jobs, 40 * most)):
            state = state * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
            j = int((state >> np.uint64(33)) % np.uint64(jobs))
            if tasks.pool[j] != pool or at < tasks.first[j] or at >= tasks.last[j]:
                continue
            short = placed.done_h[j] < tasks.left_h[j] - ROUNDING
            if (placed.gpus[j, at] == 0 and not short) or (tasks.guaranteed[j] and tasks.running[j]):
                continue
            known = False
            for other in range(count):
                known = known or chosen[other] == j
            if not known:
                chosen[count] = j
                count += 1
                if count == most:
                    break
        if count < 2:
            continue
        before = 0.0
        for other in range(count):
            j = chosen[other]
            kept[other] = placed.gpus[j]
            kept_usd[other], kept_h[other] = placed.usd[j], placed.done_h[j]
            before += placed.usd[j]
            _take(supply, room, placed, tasks, j, -1)
        # Those worth most first, give or take a third: insertion by swaps, since there are few.
        keys = np.zeros(count)
        for other in range(count):
            state = state * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
            keys[other] = -density[chosen[other]] * (0.7 + 0.6 * float(state >> np.uint64(33)) / 2147483648.0)
        after = 0.0
        state = state * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
        shy = (state >> np.uint64(40)) % np.uint64(2) == 0
        for other in np.argsort(keys):
            j = chosen[other]
            place(
                supply, tasks, j, gpu_cost if shy else true_cost, true_cost, theta[j], delay, room, placed, level, share_at,
                best_share, total, free_till, scratch,
            )  # fmt: skip
            after += placed.usd[j]
        if after < before:
            for other in range(count):
                _take(supply, room, placed, tasks, chosen[other], -1)
            for other in range(count):
                j = chosen[other]
                placed.gpus[j] = kept[other]
                placed.usd[j], placed.done_h[j] = kept_usd[other], kept_h[other]
                _take(supply, room, placed, tasks, j, 1)
    return placed.usd.sum()


@njit(cache=True)  # type: ignore[untyped-decorator]
def _again(
    supply, tasks, j, gpu_cost, true_cost, theta, delay, room, placed, level, share_at, best_share, total, free_till,
    scratch,
):  # type: ignore[no-untyped-def]
    """Take job `j` out and place it anew; as it was where that earns less."""
    before, before_h, row = placed.usd[j], placed.done_h[j], placed.gpus[j].copy()
    _take(supply, room, placed, tasks, j, -1)
    place(
        supply, tasks, j, gpu_cost, true_cost, theta[j], delay, room, placed, level, share_at, best_share, total,
        free_till, scratch,
    )  # fmt: skip
    if placed.usd[j] < before:
        _take(supply, room, placed, tasks, j, -1)
        placed.gpus[j] = row
        placed.usd[j], placed.done_h[j] = before, before_h
        _take(supply, room, placed, tasks, j, 1)


@njit(cache=True)  # type: ignore[untyped-decorator]
def settle_jobs(supply, tasks, placed):  # type: ignore[no-untyped-def]
    """What the placed jobs earn, credits no longer owed counted, USD, and the IT power they draw on average (K, T)."""
    feeders, steps = supply.feeder_kw.shape
    drawn_kw = np.zeros((feeders, steps))
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
    return usd, drawn_kw
