"""Jobs into the room there is, one at a time, each by its own programme: a plan that keeps every cap, compiled."""

from typing import NamedTuple

import numpy as np

from orchestrator.compiled import compiled
from orchestrator.optimizer.kernels.arrays import Floats, Ints, Supply, Tasks
from orchestrator.optimizer.kernels.placing import Capacity, Desk, Placed, PlacedBy, place, take
from orchestrator.optimizer.kernels.rack_dp import ROUNDING, Scratch


class Turns(NamedTuple):
    """In which order jobs are placed, and how often some are placed again."""

    order: Ints
    """(J,) rows, each once."""
    density: Floats
    """(J,) the larger, the sooner it is placed again."""
    rounds: int
    seed: int


@compiled
def insert(  # noqa: PLR0912, PLR0915  # one walk; in parts it would be compiled several times
    supply: Supply,
    tasks: Tasks,
    turns: Turns,
    prices: PlacedBy,
    capacity: Capacity,
    placed: Placed,
    scratch: Scratch,
) -> float:
    """Place all jobs in their order; USD at what is really paid, and the same seed gives the same plan.

    Then improve: place again those that got too little, then `rounds` times take out a few that meet at one moment and
    place them in another order.
    """
    jobs, steps = len(tasks.pool), len(supply.pue)
    desk = Desk(np.zeros(steps), np.zeros(steps), np.zeros(steps), np.zeros(steps + 1), np.zeros(steps), scratch)
    for j in turns.order:
        place(supply, tasks, j, prices.cost, prices, capacity, placed, desk)
    for _ in range(2):
        for j in turns.order:
            fixed = tasks.guaranteed[j] and placed.done_h[j] > 0.0
            if placed.done_h[j] >= tasks.left_h[j] - ROUNDING or fixed:
                continue
            _again(supply, tasks, j, prices, capacity, placed, desk)
    most = 10
    chosen = np.zeros(most, dtype=np.int64)
    kept = np.zeros((most, steps), dtype=np.int32)
    kept_usd, kept_h = np.zeros(most), np.zeros(most)
    state = np.uint64(turns.seed * 2 + 1)
    for _ in range(turns.rounds):
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
            take(supply, tasks, j, -1, capacity, placed)
        # Those worth most first, give or take a third: insertion by swaps, since there are few.
        keys = np.zeros(count)
        for other in range(count):
            state = state * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
            keys[other] = -turns.density[chosen[other]] * (0.7 + 0.6 * float(state >> np.uint64(33)) / 2147483648.0)
        after = 0.0
        state = state * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
        shy = (state >> np.uint64(40)) % np.uint64(2) == 0
        for other in np.argsort(keys):
            j = chosen[other]
            place(supply, tasks, j, prices.cost if shy else prices.true_cost, prices, capacity, placed, desk)
            after += placed.usd[j]
        if after < before:
            for other in range(count):
                take(supply, tasks, chosen[other], -1, capacity, placed)
            for other in range(count):
                j = chosen[other]
                placed.gpus[j] = kept[other]
                placed.usd[j], placed.done_h[j] = kept_usd[other], kept_h[other]
                take(supply, tasks, j, 1, capacity, placed)
    return float(placed.usd.sum())


@compiled
def _again(
    supply: Supply, tasks: Tasks, j: int, prices: PlacedBy, capacity: Capacity, placed: Placed, desk: Desk
) -> None:
    """Take job `j` out and place it anew; as it was where that earns less."""
    before, before_h, row = placed.usd[j], placed.done_h[j], placed.gpus[j].copy()
    take(supply, tasks, j, -1, capacity, placed)
    place(supply, tasks, j, prices.true_cost, prices, capacity, placed, desk)
    if placed.usd[j] < before:
        take(supply, tasks, j, -1, capacity, placed)
        placed.gpus[j] = row
        placed.usd[j], placed.done_h[j] = before, before_h
        take(supply, tasks, j, 1, capacity, placed)
