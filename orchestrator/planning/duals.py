"""Prices of what is scarce: power under the grid cap and each feeder, GPUs of each pool, the marginal kWh.

Lagrangian relaxation: caps are dropped and paid for instead, so that each rack and each job decides alone. At any
prices what they then earn, plus what the caps are worth, is an upper bound of what any plan earns; the prices that
make it least come from Adam on its subgradient (Kingma and Ba, 2015), averaged over the last iterations.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from orchestrator.planning.problem import Problem, Racks, Supply, Tasks
from orchestrator.planning.programmes import (
    Scratch,
    awake_value,
    job_path,
    job_programme,
    plain_path,
    plain_programme,
    rack_path,
    rack_programme,
    scratch,
    window_programme,
)

Floats = NDArray[np.float64]

KWH = 1000.0
"""In a MWh."""
FIRST_RATE, LAST_RATE = 0.3, 0.004
"""Step of a price at the first and the last cold iteration, as a share of what it can be worth."""
FIRST_TRIES, NEXT_TRIES, BOUND_TRIES = 10, 4, 12
"""Programmes a job for the price of its own work: at the first iteration, at each later one, for the bound."""
WARM_RATE = 0.03
MOMENTUM, SQUARES = 0.8, 0.95
"""Decays of Adam's means."""


class Prices(NamedTuple):
    """The dual variables."""

    scarce: Floats
    """(1 + K + G + 1, T): USD per kWh of IT load under the grid cap, USD per kWh on each feeder, USD per GPU-hour of
    each pool, and the marginal price of energy in USD/MWh, between sell-back and spot."""
    work: Floats
    """(J,) USD per GPU-hour: what an hour of each job's work is worth to the job itself at another time."""


class Answer(NamedTuple):
    """What racks and jobs draw at the prices."""

    feeder_kw: Floats
    """(K, T) of racks alone."""
    gpus: Floats
    """(G, T)"""


@njit(cache=True)  # type: ignore[untyped-decorator]
def unit_costs(supply, scarce, power, gpu_cost):  # type: ignore[no-untyped-def]
    """USD per kWh of IT load at each feeder into `power` (K, T), USD per GPU-hour into `gpu_cost` (G, T)."""
    feeders, steps = supply.feeder_kw.shape
    pools = len(supply.pool_feeder)
    for k in range(feeders):
        for t in range(steps):
            power[k, t] = scarce[1 + feeders + pools, t] * supply.pue[t] / KWH + scarce[0, t] + scarce[1 + k, t]
    for g in range(pools):
        for t in range(steps):
            gpu_cost[g, t] = supply.gpu_kw[g] * power[supply.pool_feeder[g], t] + scarce[1 + feeders + g, t]


@njit(cache=True)  # type: ignore[untyped-decorator]
def _alone(cost, room, step_h, tasks, j, theta, delay, gpus, load, share_at, work):  # type: ignore[no-untyped-def]
    """What a job that may stop does at these prices: (USD per GPU, hours); its choices stay in `work`."""
    value, credit, restart_h = tasks.usd_per_gpu_h[j], tasks.credit_usd_per_gpu_h[j], tasks.restart_h[j]
    first, last, running, least = tasks.first[j], tasks.last[j], tasks.running[j], tasks.least_share[j]
    if restart_h <= step_h and least >= 1.0:
        on, off = plain_programme(
            cost, step_h, value, credit, tasks.deadline[j], restart_h, first, last, theta, delay, work
        )
        usd = on if running else off
        return usd, plain_path(work.choice, step_h, restart_h, first, last, running, 0.0, load)
    return job_programme(
        cost, room, step_h, value, credit, tasks.deadline[j], restart_h, first, last, running, least, theta, delay,
        True, work,
    )  # fmt: skip


@njit(cache=True)  # type: ignore[untyped-decorator]
def _draw(choice, room, step_h, tasks, j, gpus, load, share_at, work):  # type: ignore[no-untyped-def]
    """Add `gpus` to `load` (T,) where job `j` runs by `choice`."""
    first, last, restart_h = tasks.first[j], tasks.last[j], tasks.restart_h[j]
    running, least = tasks.running[j], tasks.least_share[j]
    if restart_h <= step_h and least >= 1.0:
        plain_path(choice, step_h, restart_h, first, last, running, gpus, load)
        return
    work.choice[first:last] = choice[first:last]
    job_path(room, step_h, restart_h, first, last, running, least, work, share_at)
    for t in range(first, last):
        load[t] += gpus * share_at[t]


@njit(cache=True)  # type: ignore[untyped-decorator]
def tightened(
    cost, room, step_h, tasks, j, theta, delay, tries, near, draws, load, share_at, low_choice, high_choice, work
):  # type: ignore[no-untyped-def]
    """The price of the job's own work that makes its bound least, by cutting planes: (bound, price).

    The bound is convex in that price, with work left less hours done as its slope: two tangents meet below its least.
    Where `draws`, what the job draws is added to `load` (T,): at the price where it goes from too much work to too
    little, that mix of both which does just its work. It is known well enough between two prices that are `near` each
    other, as a share of what an hour of its work earns.
    """
    left_h, gpus = tasks.left_h[j], tasks.gpus[j]
    first, last = tasks.first[j], tasks.last[j]
    low = high = -1.0
    low_usd = high_usd = low_slope = high_slope = 0.0
    best_usd, best = np.inf, theta
    worth = tasks.usd_per_gpu_h[j] + tasks.credit_usd_per_gpu_h[j] + 1e-6
    step = max(near, 0.004) * worth
    at = theta
    for _ in range(tries):
        usd, hours = _alone(cost, room, step_h, tasks, j, at, delay, 0.0, load, share_at, work)
        usd += at * left_h
        slope = left_h - hours
        if usd < best_usd:
            best_usd, best = usd, at
        if slope >= 0.0:
            high, high_usd, high_slope = at, usd, slope
            high_choice[first:last] = work.choice[first:last]
            if at <= 0.0:
                break
        else:
            low, low_usd, low_slope = at, usd, slope
            low_choice[first:last] = work.choice[first:last]
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
            _draw(low_choice, room, step_h, tasks, j, gpus * share, load, share_at, work)
        if high >= 0.0:
            _draw(high_choice, room, step_h, tasks, j, gpus * (1.0 - share), load, share_at, work)
    return best_usd, best


@njit(cache=True)  # type: ignore[untyped-decorator]
def respond(
    supply, racks, tasks, power, gpu_cost, work_price, delay, tries, near, draws, scratch, answer
):  # type: ignore[no-untyped-def]
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
            kw, phs, price, hashprice, room, step_h, racks.warm_up_h[f], racks.min_on[f], racks.min_off[f], True, scratch
        )
        for awake in range(2):
            count = racks.on[f] if awake else racks.off[f]
            if count == 0:
                continue
            if awake:
                stays = awake_value(0, racks.warm_left_h[f], 0, kw, phs, price, hashprice, room, step_h, scratch)
                usd = max(stays, scratch.off[min(racks.min_off[f], steps)])
                rack_path(
                    kw, phs, price, hashprice, step_h, racks.warm_up_h[f], 1, racks.min_off[f],
                    True, 0, racks.warm_left_h[f], scratch, mode_at, hash_at,
                )  # fmt: skip
            else:
                usd = scratch.off[min(racks.off_left[f], steps)]
                rack_path(
                    kw, phs, price, hashprice, step_h, racks.warm_up_h[f], 1, racks.min_off[f],
                    False, racks.off_left[f], 0.0, scratch, mode_at, hash_at,
                )  # fmt: skip
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
                total_cost[g], till_end, step_h, tasks.usd_per_gpu_h[j], tasks.credit_usd_per_gpu_h[j], tasks.deadline[j],
                tasks.restart_h[j], first, last, tasks.running[j], tasks.left_h[j], delay,
            )  # fmt: skip
            total += gpus * usd
            if start >= 0:
                length = (tasks.left_h[j] + (0.0 if tasks.running[j] else tasks.restart_h[j])) / step_h
                end = min(start + length, float(last))
                load = answer.gpus[g]
                for t in range(start, int(np.ceil(end))):
                    load[t] += gpus * min(end - t, 1.0)
            continue
        load = answer.gpus[g]
        usd, work_price[j] = tightened(
            cost, room, step_h, tasks, j, work_price[j], delay, tries, near, draws, load, share_at, low_choice,
            high_choice, scratch,
        )  # fmt: skip
        total += gpus * usd
    return total


@njit(cache=True)  # type: ignore[untyped-decorator]
def _room_usd(supply, scarce):  # type: ignore[no-untyped-def]
    """What the caps and the block are worth at the prices, USD."""
    feeders, steps = supply.feeder_kw.shape
    pools = len(supply.pool_feeder)
    usd = 0.0
    for t in range(steps):
        usd += scarce[0, t] * supply.import_kw[t] + scarce[1 + feeders + pools, t] * supply.block_kw[t] / KWH
        for k in range(feeders):
            usd += scarce[1 + k, t] * supply.feeder_kw[k, t]
        for g in range(pools):
            usd += scarce[1 + feeders + g, t] * supply.gpus[g, t]
    return usd * supply.step_h


@njit(cache=True)  # type: ignore[untyped-decorator]
def descend(
    supply, racks, tasks, expected, expected_usd, scale, delay, iterations, first_rate, last_rate, scarce, work_price,
    scratch, answer,
):  # type: ignore[no-untyped-def]
    """Improve the prices in place: `iterations` steps, then the mean of the last half.

    `scale` (rows of `scarce`,): what each price can be worth; `expected_usd` (G,): what a GPU-hour of jobs yet to come
    earns. Steps shrink geometrically from `first_rate` to `last_rate`.
    """
    feeders, steps = supply.feeder_kw.shape
    pools = len(supply.pool_feeder)
    rows = 2 + feeders + pools
    power, gpu_cost = np.zeros((feeders, steps)), np.zeros((pools, steps))
    mean, square = np.zeros((rows, steps)), np.zeros((rows, steps))
    sum_scarce = np.zeros((rows, steps))
    averaged = 0
    slope = np.zeros(rows)
    for iteration in range(iterations):
        done = iteration / max(iterations - 1, 1)
        rate = first_rate * (last_rate / first_rate) ** done
        unit_costs(supply, scarce, power, gpu_cost)
        tries = FIRST_TRIES if iteration == 0 else NEXT_TRIES
        respond(supply, racks, tasks, power, gpu_cost, work_price, delay, tries, max(rate, 0.01), True, scratch, answer)
        for t in range(steps):
            import_kw = 0.0
            for k in range(feeders):
                load_kw = answer.feeder_kw[k, t]
                for g in range(pools):
                    if supply.pool_feeder[g] == k:
                        load_kw += answer.gpus[g, t] * supply.gpu_kw[g]
                import_kw += load_kw
                slope[1 + k] = (supply.feeder_kw[k, t] - load_kw) / max(supply.feeder_kw[k, t], 1.0)
            slope[0] = (supply.import_kw[t] - import_kw) / max(supply.import_kw[t], 1.0)
            for g in range(pools):
                row = 1 + feeders + g
                asked = answer.gpus[g, t]
                if expected[g, t] > 0.0:
                    asked += expected[g, t] * min(max(4.0 * (1.0 - scarce[row, t] / expected_usd[g]), 0.0), 1.0)
                slope[row] = (supply.gpus[g, t] - asked) / max(supply.gpus[g, t], 1.0)
            block_kw = supply.block_kw[t]
            slope[rows - 1] = (block_kw - import_kw * supply.pue[t]) / max(abs(block_kw), 1.0)
            for row in range(rows):
                if scale[row] <= 0.0:
                    continue
                mean[row, t] = MOMENTUM * mean[row, t] + (1.0 - MOMENTUM) * slope[row]
                square[row, t] = SQUARES * square[row, t] + (1.0 - SQUARES) * slope[row] ** 2
                first = mean[row, t] / (1.0 - MOMENTUM ** (iteration + 1))
                second = square[row, t] / (1.0 - SQUARES ** (iteration + 1))
                moved = scarce[row, t] - rate * scale[row] * first / (np.sqrt(second) + 1e-3)
                low, high = 0.0, np.inf
                if row == rows - 1:
                    low, high = supply.sell_usd_per_mwh[t], supply.price_usd_per_mwh[t]
                scarce[row, t] = min(max(moved, low), high)
        if iteration >= iterations // 2:
            averaged += 1
            sum_scarce += scarce
    if averaged > 0:
        scarce[:] = sum_scarce / averaged


def scales(problem: Problem) -> Floats:
    """What each row of `Prices.scarce` can be worth; 0 for one that can't move."""
    supply, racks, tasks = problem.supply, problem.racks, problem.tasks
    hashprice = float(np.mean(supply.hashprice_usd_per_ph_day))
    has_kw = racks.step_kw[:, :1].ravel() > 0.0
    mining = racks.step_phs[has_kw, 0] / 24.0 * hashprice / racks.step_kw[has_kw, 0] if has_kw.any() else np.zeros(0)
    power = float(mining.max()) if len(mining) else float(np.mean(np.abs(supply.price_usd_per_mwh))) / KWH
    worth = tasks.usd_per_gpu_h + tasks.credit_usd_per_gpu_h
    gpu_hours = tasks.gpus * tasks.left_h
    gpu = float(np.dot(worth, gpu_hours) / gpu_hours.sum()) if gpu_hours.sum() > 0.0 else 1.0
    spread = float(np.max(supply.price_usd_per_mwh - supply.sell_usd_per_mwh))
    feeders, pools = len(supply.feeder_kw), len(supply.pool_feeder)
    return np.array([power] * (1 + feeders) + [gpu] * pools + [spread])


def no_prices(problem: Problem) -> Prices:
    """Nothing is scarce, and energy costs what it does at spot."""
    supply = problem.supply
    scarce = np.zeros((2 + len(supply.feeder_kw) + len(supply.pool_feeder), problem.steps))
    scarce[-1] = supply.price_usd_per_mwh
    return Prices(scarce, np.zeros(len(problem.tasks.pool)))


def empty_answer(supply: Supply) -> Answer:
    return Answer(np.zeros_like(supply.feeder_kw), np.zeros_like(supply.gpus))


def find_prices(
    problem: Problem, start: Prices, iterations: int, first_rate: float, last_rate: float, delay: float
) -> Prices:
    """Better prices than `start`; `delay` is USD per GPU-hour of work for each hour that it is put off."""
    prices = Prices(start.scarce.copy(), start.work.copy())
    worth = np.zeros(len(problem.supply.pool_feeder))
    tasks = problem.tasks
    for pool in range(len(worth)):
        of_pool = tasks.usd_per_gpu_h[tasks.pool == pool]
        worth[pool] = float(of_pool.mean()) if len(of_pool) else 1.0
    descend(
        problem.supply, problem.racks, tasks, problem.expected_gpus, np.maximum(worth, 1e-6), scales(problem), delay,
        iterations, first_rate, last_rate, prices.scarce, prices.work, scratch(problem.steps),
        empty_answer(problem.supply),
    )  # fmt: skip
    return prices


def bound_at(problem: Problem, prices: Prices, tries: int = BOUND_TRIES) -> float:
    """The bound at these prices, USD, credits if no work were done not counted.

    Improves `prices.work` in place.
    """
    supply = problem.supply
    power, gpu_cost = np.zeros_like(supply.feeder_kw), np.zeros_like(supply.gpus)
    unit_costs(supply, prices.scarce, power, gpu_cost)
    answer = empty_answer(supply)
    usd = respond(
        supply, problem.racks, problem.tasks, power, gpu_cost, prices.work, 0.0, tries, 0.0, False,
        scratch(problem.steps), answer,
    )  # fmt: skip
    return float(usd) + float(_room_usd(supply, prices.scarce))


__all__ = ["Answer", "Prices", "Racks", "Scratch", "bound_at", "find_prices", "no_prices", "respond", "unit_costs"]
