"""What one rack would do at given prices: dynamic programmes over time, compiled.

Prices are USD per kWh of IT load (energy and scarce power). A programme works back from the
last step and keeps the better choice at each; a pass forward then reads the path.
"""

from typing import NamedTuple

import numpy as np

from orchestrator.compiled import compiled
from orchestrator.optimizer.kernels.arrays import Choices, Floats, Ints, Racks

STAY, START = 1, 2
"""Bits of a choice in a step: what is on stays so, what is off starts."""
ROUNDING = 1e-9


class OneRack(NamedTuple):
    """A row of `Racks`: what holds of each rack of the fleet, on or off."""

    rise_kw: Floats
    """(S,)"""
    rise_phs: Floats
    """(S,)"""
    warm_up_h: float
    min_on: int
    min_off: int


class RackAhead(NamedTuple):
    """The steps ahead as one rack sees them."""

    price: Floats
    """(T,) USD per kWh of IT load."""
    hashprice: Floats
    """(T,) USD per PH/s per day."""
    room: Floats
    """(T,) 0 where no rack can be awake."""
    step_h: float


class RackStart(NamedTuple):
    """How one rack comes into the first step."""

    awake: bool
    wait: int
    """Steps that it has to stay as it is."""
    warm_h: float
    """Hours of warm-up left; 0 where it is asleep."""


class RackPath(NamedTuple):
    """What one rack does."""

    mode_at: Ints
    """(T,) 0 asleep."""
    hash_at: Floats
    """(T,) hours hashed."""


class Scratch(NamedTuple):
    """Room to work in, all (T + 1,): made once, used by every programme."""

    on: Floats
    on_hours: Floats
    off: Floats
    share_at: Floats
    choice: Choices
    low_choice: Choices
    high_choice: Choices


def scratch(steps: int) -> Scratch:
    on, on_hours, off, share_at = (np.zeros(steps + 1) for _ in range(4))
    choice, low_choice, high_choice = (np.zeros(steps + 1, dtype=np.uint8) for _ in range(3))
    return Scratch(on, on_hours, off, share_at, choice, low_choice, high_choice)


@compiled
def one_rack(racks: Racks, f: int) -> OneRack:
    return OneRack(racks.rise_kw[f], racks.rise_phs[f], racks.warm_up_h[f], racks.min_on[f], racks.min_off[f])


@compiled
def best_mode(rack: OneRack, ahead: RackAhead, t: int, hash_h: float) -> tuple[float, int]:
    """The best mode of an awake rack: USD over step `t`, of which `hash_h` hours hash, and the mode's number from 1."""
    rise_kw, rise_phs, step_h = rack.rise_kw, rack.rise_phs, ahead.step_h
    price, hashprice = ahead.price[t], ahead.hashprice[t]
    usd, mode = (rise_phs[0] * hashprice / 24.0) * hash_h - rise_kw[0] * price * step_h, 1
    for number in range(1, len(rise_kw)):
        more = (rise_phs[number] * hashprice / 24.0) * hash_h - rise_kw[number] * price * step_h
        if more <= 0.0 or rise_kw[number] <= 0.0:
            break
        usd += more
        mode = number + 1
    return usd, mode


@compiled
def awake_value(rack: OneRack, ahead: RackAhead, t: int, warm_h: float, must_on: int, work: Scratch) -> float:
    """USD of being awake from `t` on, `warm_h` hours of warm-up and `must_on` steps ahead of it; -inf without room."""
    steps, step_h = len(ahead.price), ahead.step_h
    usd = 0.0
    must = max(must_on, int(np.ceil(warm_h / step_h - ROUNDING)))
    for later in range(must):
        at = t + later
        if at >= steps:
            return usd
        if ahead.room[at] <= 0.0:
            return -np.inf
        hash_h = min(max((later + 1) * step_h - warm_h, 0.0), step_h)
        gain, _ = best_mode(rack, ahead, at, hash_h)
        usd += gain
    return float(usd + work.on[min(t + must, steps)])


@compiled
def rack_programme(rack: OneRack, ahead: RackAhead, relaxed: bool, work: Scratch) -> None:
    """Values of one rack being awake and warm (`work.on`), or asleep and free to wake (`work.off`), at each step.

    `relaxed` leaves out the minimum time on, and lets a sleeping rack burn power that is paid for, so that the values
    bound whatever a rack can do.
    `work.choice` has STAY where a warm rack stays awake, START where a sleeping one wakes.
    """
    steps, step_h, price = len(ahead.price), ahead.step_h, ahead.price
    on, off, choice = work.on, work.off, work.choice
    on[steps] = off[steps] = 0.0
    must_on = 1 if relaxed else max(rack.min_on, 1)
    most_kw = rack.rise_kw.sum()
    for t in range(steps - 1, -1, -1):
        picked = 0
        asleep = off[t + 1]
        if relaxed and price[t] < 0.0 and rack.warm_up_h > step_h:
            asleep -= price[t] * most_kw * step_h
        on[t] = off[min(t + rack.min_off, steps)]
        off[t] = asleep
        if ahead.room[t] > 0.0:
            gain, _ = best_mode(rack, ahead, t, step_h)
            if gain + on[t + 1] > on[t]:
                on[t] = gain + on[t + 1]
                picked = STAY
            woken = awake_value(rack, ahead, t, rack.warm_up_h, must_on, work)
            if woken > asleep:
                off[t] = woken
                picked |= START
        choice[t] = picked


@compiled
def rack_path(rack: OneRack, ahead: RackAhead, start: RackStart, relaxed: bool, work: Scratch, path: RackPath) -> None:
    """Follow the choices in `work` from `start` on: what the rack does, into `path`. `relaxed` as they were made."""
    steps, step_h = len(ahead.price), ahead.step_h
    mode_at, hash_at = path.mode_at, path.hash_at
    must_on = 1 if relaxed else max(rack.min_on, 1)
    t, on, fresh = 0, start.awake, start.awake
    if not start.awake:
        while t < min(start.wait, steps):
            mode_at[t] = 0
            hash_at[t] = 0.0
            t += 1
    while t < steps:
        woken = False
        if on and fresh:
            must = max(start.wait, int(np.ceil(start.warm_h / step_h - ROUNDING)))
            fresh = False
            woken = must > 0
            left_h = start.warm_h
        if not on and work.choice[t] & START:
            must = max(must_on, int(np.ceil(rack.warm_up_h / step_h - ROUNDING)))
            left_h = rack.warm_up_h
            on = woken = True
        if woken:
            for later in range(min(must, steps - t)):
                at = t + later
                hash_h = min(max((later + 1) * step_h - left_h, 0.0), step_h)
                _, mode_at[at] = best_mode(rack, ahead, at, hash_h)
                hash_at[at] = hash_h
            t += must
            continue
        if on and work.choice[t] & STAY:
            _, mode_at[t] = best_mode(rack, ahead, t, step_h)
            hash_at[t] = step_h
            t += 1
            continue
        rest = rack.min_off if on else 1
        on = False
        for later in range(t, min(t + rest, steps)):
            mode_at[later] = 0
            hash_at[later] = 0.0
        t += rest
