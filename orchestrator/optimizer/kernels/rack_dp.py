"""What one rack would do at given prices: dynamic programmes over time, compiled.

Prices are USD per kWh of IT load (energy and scarce power). A programme works back from the
last step and keeps the better choice at each; a pass forward then reads the path.
"""

from typing import NamedTuple

import numpy as np

from orchestrator.compiled import compiled
from orchestrator.optimizer.kernels.arrays import Choices, Floats, Ints

STAY, START = 1, 2
"""Bits of a choice in a step: what is on stays so, what is off starts."""
ROUNDING = 1e-9


class Scratch(NamedTuple):
    """Room to work in, all (T + 1,): made once, used by every programme."""

    on: Floats
    on_hours: Floats
    off: Floats
    gain: Floats
    choice: Choices


def scratch(steps: int) -> Scratch:
    on, on_hours, off, gain = (np.zeros(steps + 1) for _ in range(4))
    return Scratch(on, on_hours, off, gain, np.zeros(steps + 1, dtype=np.uint8))


@compiled
def rack_step(
    step_kw: Floats, step_phs: Floats, price: float, hashprice: float, hash_h: float, step_h: float
) -> tuple[float, int]:
    """The best mode of an awake rack: USD over a step of which `hash_h` hours hash, and the mode's number from 1."""
    usd, mode = (step_phs[0] * hashprice / 24.0) * hash_h - step_kw[0] * price * step_h, 1
    for number in range(1, len(step_kw)):
        more = (step_phs[number] * hashprice / 24.0) * hash_h - step_kw[number] * price * step_h
        if more <= 0.0 or step_kw[number] <= 0.0:
            break
        usd += more
        mode = number + 1
    return usd, mode


@compiled
def awake_value(
    t: int,
    warm_h: float,
    must_on: int,
    step_kw: Floats,
    step_phs: Floats,
    price: Floats,
    hashprice: Floats,
    room: Floats,
    step_h: float,
    work: Scratch,
) -> float:
    """USD of being awake from `t` on, `warm_h` hours of warm-up and `must_on` steps ahead of it; -inf without room."""
    steps = len(price)
    usd = 0.0
    must = max(must_on, int(np.ceil(warm_h / step_h - ROUNDING)))
    for ahead in range(must):
        at = t + ahead
        if at >= steps:
            return usd
        if room[at] <= 0.0:
            return -np.inf
        hash_h = min(max((ahead + 1) * step_h - warm_h, 0.0), step_h)
        gain, _ = rack_step(step_kw, step_phs, price[at], hashprice[at], hash_h, step_h)
        usd += gain
    return float(usd + work.on[min(t + must, steps)])


@compiled
def rack_programme(
    step_kw: Floats,
    step_phs: Floats,
    price: Floats,
    hashprice: Floats,
    room: Floats,
    step_h: float,
    warm_up_h: float,
    min_on: int,
    min_off: int,
    relaxed: bool,
    work: Scratch,
) -> None:
    """Values of one rack being awake and warm (`work.on`), or asleep and free to wake (`work.off`), at each step.

    `price` (T,): USD per kWh; `room` (T,): 0 where no rack can be awake. `relaxed` leaves out the minimum time on, and
    lets a sleeping rack burn power that is paid for, so that the values bound whatever a rack can do.
    `work.choice` has STAY where a warm rack stays awake, START where a sleeping one wakes.
    """
    steps = len(price)
    on, off, choice = work.on, work.off, work.choice
    on[steps] = off[steps] = 0.0
    must_on = 1 if relaxed else max(min_on, 1)
    most_kw = step_kw.sum()
    for t in range(steps - 1, -1, -1):
        picked = 0
        asleep = off[t + 1]
        if relaxed and price[t] < 0.0 and warm_up_h > step_h:
            asleep -= price[t] * most_kw * step_h
        on[t] = off[min(t + min_off, steps)]
        off[t] = asleep
        if room[t] > 0.0:
            gain, _ = rack_step(step_kw, step_phs, price[t], hashprice[t], step_h, step_h)
            if gain + on[t + 1] > on[t]:
                on[t] = gain + on[t + 1]
                picked = STAY
            woken = awake_value(t, warm_up_h, must_on, step_kw, step_phs, price, hashprice, room, step_h, work)
            if woken > asleep:
                off[t] = woken
                picked |= START
        choice[t] = picked


@compiled
def rack_path(
    step_kw: Floats,
    step_phs: Floats,
    price: Floats,
    hashprice: Floats,
    step_h: float,
    warm_up_h: float,
    min_on: int,
    min_off: int,
    awake: bool,
    wait: int,
    warm_h: float,
    work: Scratch,
    mode_at: Ints,
    hash_at: Floats,
) -> None:
    """Follow the choices in `work`: the mode in each step (0 asleep) into `mode_at`, hours hashed into `hash_at`, (T,).

    A rack that is `awake` has `wait` steps to stay so and `warm_h` hours of warm-up left; one that is not has `wait`
    steps to stay asleep.
    """
    steps = len(price)
    must_on = max(min_on, 1)
    t, on, fresh = 0, awake, awake
    if not awake:
        while t < min(wait, steps):
            mode_at[t] = 0
            hash_at[t] = 0.0
            t += 1
    while t < steps:
        woken = False
        if on and fresh:
            must = max(wait, int(np.ceil(warm_h / step_h - ROUNDING)))
            fresh = False
            woken = must > 0
            left_h = warm_h
        if not on and work.choice[t] & START:
            must = max(must_on, int(np.ceil(warm_up_h / step_h - ROUNDING)))
            left_h = warm_up_h
            on = woken = True
        if woken:
            for ahead in range(min(must, steps - t)):
                at = t + ahead
                hash_h = min(max((ahead + 1) * step_h - left_h, 0.0), step_h)
                _, mode_at[at] = rack_step(step_kw, step_phs, price[at], hashprice[at], hash_h, step_h)
                hash_at[at] = hash_h
            t += must
            continue
        if on and work.choice[t] & STAY:
            _, mode_at[t] = rack_step(step_kw, step_phs, price[t], hashprice[t], step_h, step_h)
            hash_at[t] = step_h
            t += 1
            continue
        rest = min_off if on else 1
        on = False
        for later in range(t, min(t + rest, steps)):
            mode_at[later] = 0
            hash_at[later] = 0.0
        t += rest
