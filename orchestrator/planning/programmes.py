"""What one rack and one job would do at given prices: dynamic programmes over time, compiled.

Prices are USD per kWh of IT load (energy and scarce power) and USD per GPU-hour. A programme works back from the
last step and keeps the better choice at each; a pass forward then reads the path.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Choices = NDArray[np.uint8]

STAY, START, STAY_LEAST, START_LEAST = 1, 2, 4, 8
"""Bits of a job's choice in a step: stay on, start, and whether it does so on its least share of GPUs."""
ROUNDING = 1e-9


class Scratch(NamedTuple):
    """Room to work in, all (T + 1,): made once, used by every programme."""

    on: Floats
    on_hours: Floats
    off: Floats
    gain: Floats
    choice: Choices


def scratch(steps: int) -> Scratch:
    real = [np.zeros(steps + 1) for _ in range(4)]
    return Scratch(*real, choice=np.zeros(steps + 1, dtype=np.uint8))


@njit(cache=True)  # type: ignore[untyped-decorator]
def job_programme(
    cost, level, step_h, value, credit, deadline, restart_h, first, last, running, least, theta, delay, relaxed, work
):  # type: ignore[no-untyped-def]
    """The most a job that may stop can earn, USD per GPU it asks for, and the hours of work it then does.

    `cost` (T,): USD per GPU-hour; `level` (T,): share of its GPUs that is free, 0 where it can't run; `theta`: USD per
    GPU-hour, the price of its own work where there is less of it than time; `delay`: USD per GPU-hour and hour.
    `relaxed` makes the answer a bound for whatever else a job could do at negative costs or around its deadline.
    Choices are left in `work.choice`, values of being on at each step in `work.on`, off in `work.off`.
    """
    span = int(np.ceil(restart_h / step_h - ROUNDING))
    on = off = on_hours = off_hours = 0.0
    on_value, off_value, hours_of, choice = work.on, work.off, work.on_hours, work.choice
    on_value[last] = off_value[last] = hours_of[last] = 0.0
    for t in range(last - 1, first - 1, -1):
        picked = 0
        share = level[t]
        new_on, new_on_hours = off, off_hours
        new_off, new_off_hours = off, off_hours
        if relaxed and span > 1 and cost[t] < 0.0:
            new_off -= cost[t] * step_h
            new_on = new_off
        if share > 0.0:
            rate = value - theta - delay * t * step_h
            in_time = min(max(deadline - t, 0.0), 1.0)
            gain = (rate - cost[t] + credit * in_time) * step_h * share
            hours = step_h * share
            if relaxed and 0.0 < in_time < 1.0:
                till_deadline = (rate - cost[t] + credit) * step_h * in_time * share
                if till_deadline > gain:
                    gain, hours = till_deadline, hours * in_time
            stay_bits = STAY
            if gain < 0.0 and least < share:
                gain *= least / share
                hours *= least / share
                stay_bits = STAY | STAY_LEAST
            if gain + on > new_on:
                new_on, new_on_hours, picked = gain + on, hours + on_hours, stay_bits
            if span <= 1:
                done_h = step_h - restart_h
                begun = (rate * done_h - cost[t] * step_h + credit * max(in_time * step_h - restart_h, 0.0)) * share
                begun_hours = done_h * share
                start_bits = START
                if begun < 0.0 and least < share:
                    begun *= least / share
                    begun_hours *= least / share
                    start_bits = START | START_LEAST
                if begun + on > new_off:
                    new_off, new_off_hours, picked = begun + on, begun_hours + on_hours, picked | start_bits
            elif t + span <= last:
                through = share
                spent = 0.0
                for later in range(t, t + span):
                    through = min(through, level[later])
                    spent += cost[later] * step_h
                if through > 0.0:
                    end = t + span - 1
                    done_h = span * step_h - restart_h
                    in_time_h = min(max((deadline - t) * step_h - restart_h, 0.0), done_h)
                    rate = value - theta - delay * end * step_h
                    begun = rate * done_h + credit * in_time_h - spent
                    start_bits = START
                    used = through
                    if begun < 0.0 and least < through:
                        used, start_bits = least, START | START_LEAST
                    begun = begun * used + on_value[t + span]
                    if begun > new_off:
                        new_off, new_off_hours = begun, done_h * used + hours_of[t + span]
                        picked |= start_bits
        on, on_hours, off, off_hours = new_on, new_on_hours, new_off, new_off_hours
        on_value[t], hours_of[t], off_value[t], choice[t] = on, on_hours, off, picked
    if running:
        return on, on_hours
    return off, off_hours


@njit(cache=True)  # type: ignore[untyped-decorator]
def job_path(level, step_h, restart_h, first, last, running, least, work, share_at):  # type: ignore[no-untyped-def]
    """Follow the choices in `work`: the share of its GPUs a job runs on in each step, into `share_at` (T,)."""
    span = max(int(np.ceil(restart_h / step_h - ROUNDING)), 1)
    t, on = first, running
    while t < last:
        picked = work.choice[t]
        if on:
            on = picked & STAY != 0
            if on:
                share_at[t] = min(least, level[t]) if picked & STAY_LEAST else level[t]
                t += 1
                continue
            # It stops now, and could start again in no other step than a later one.
            share_at[t] = 0.0
            t += 1
            continue
        if picked & START:
            used = level[t]
            for later in range(t, min(t + span, last)):
                used = min(used, level[later])
            if picked & START_LEAST:
                used = least
            for later in range(t, min(t + span, last)):
                share_at[later] = used
            t += span
            on = True
            continue
        share_at[t] = 0.0
        t += 1


@njit(cache=True)  # type: ignore[untyped-decorator]
def plain_programme(cost, step_h, value, credit, deadline, restart_h, first, last, theta, delay, work):  # type: ignore[no-untyped-def]
    """`job_programme` for a job on all of its GPUs, with room everywhere, that restarts within a step: no branches.

    The values of running at `first` and of not running.
    """
    choice = work.choice
    on = off = 0.0
    whole = int(min(max(np.floor(deadline), float(first)), float(last)))
    t = last - 1
    for part in range(2):
        rate = value - theta + (credit if part else 0.0)
        if part == 0 and whole < last and whole >= first:
            down_to = whole + 1 if deadline > whole else whole
        else:
            down_to = first if part else whole
        while t >= down_to:
            put_off = rate - delay * t * step_h
            stay = (put_off - cost[t]) * step_h + on
            begun = stay - put_off * restart_h
            choice[t] = (1 if stay > off else 0) | (2 if begun > off else 0)
            on = stay if stay > off else off
            off = begun if begun > off else off
            t -= 1
        if part == 0 and t == whole and deadline > whole and whole >= first:
            # The deadline is within this step: what is done before it may be all that is done.
            in_time = deadline - whole
            put_off = rate - delay * t * step_h
            stay = max((put_off - cost[t] + credit * in_time) * step_h, (put_off - cost[t] + credit) * step_h * in_time)
            done_h = step_h - restart_h
            begun = put_off * done_h - cost[t] * step_h + credit * max(in_time * step_h - restart_h, 0.0) + on
            stay += on
            choice[t] = (1 if stay > off else 0) | (2 if begun > off else 0)
            on = stay if stay > off else off
            off = begun if begun > off else off
            t -= 1
    return on, off


@njit(cache=True)  # type: ignore[untyped-decorator]
def plain_path(choice, step_h, restart_h, first, last, running, gpus, load):  # type: ignore[no-untyped-def]
    """Follow the choices of `plain_programme`: adds `gpus` to `load` (T,) where the job runs; hours of work done."""
    on = 1 if running else 0
    steps = starts = 0
    for t in range(first, last):
        was = on
        on = (choice[t] >> (1 - was)) & 1
        steps += on
        starts += on & (1 - was)
        load[t] += gpus * on
    return steps * step_h - starts * restart_h


@njit(cache=True)  # type: ignore[untyped-decorator]
def window_programme(total, free_till, step_h, value, credit, deadline, restart_h, first, last, running, left_h, delay):  # type: ignore[no-untyped-def]
    """The best start of a job that is not stopped once it runs: USD per GPU it asks for, and the step; -1: never.

    `total` (T + 1,): prefix sums of USD per GPU-hour; `free_till` (T,): the step till which there is room for all of it
    from each step on. One that runs at `first` goes on, room or not. Else it needs room till its end, or `last`.
    """
    lost_h = 0.0 if running else restart_h
    length = (left_h + lost_h) / step_h
    best, best_start = (-np.inf, first) if running else (0.0, -1)
    for start in range(first, first + 1 if running else last):
        end = min(start + length, float(last))
        if free_till[start] < end - ROUNDING and not running:
            continue
        whole = min(int(end), last)
        spent = total[whole] - total[start]
        if whole < last:
            spent += (total[whole + 1] - total[whole]) * (end - whole)
        done_h = min(left_h, max((end - start) * step_h - lost_h, 0.0))
        in_time_h = min(done_h, max((deadline - start) * step_h - lost_h, 0.0))
        usd = value * done_h + credit * in_time_h - spent * step_h - delay * start * step_h * left_h
        if usd > best:
            best, best_start = usd, start
    return best, best_start


@njit(cache=True)  # type: ignore[untyped-decorator]
def rack_step(step_kw, step_phs, price, hashprice, hash_h, step_h):  # type: ignore[no-untyped-def]
    """The best mode of an awake rack: USD over a step of which `hash_h` hours hash, and the mode's number from 1."""
    usd, mode = (step_phs[0] * hashprice / 24.0) * hash_h - step_kw[0] * price * step_h, 1
    for number in range(1, len(step_kw)):
        more = (step_phs[number] * hashprice / 24.0) * hash_h - step_kw[number] * price * step_h
        if more <= 0.0 or step_kw[number] <= 0.0:
            break
        usd += more
        mode = number + 1
    return usd, mode


@njit(cache=True)  # type: ignore[untyped-decorator]
def awake_value(t, warm_h, must_on, step_kw, step_phs, price, hashprice, room, step_h, work):  # type: ignore[no-untyped-def]
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
    return usd + work.on[min(t + must, steps)]


@njit(cache=True)  # type: ignore[untyped-decorator]
def rack_programme(step_kw, step_phs, price, hashprice, room, step_h, warm_up_h, min_on, min_off, relaxed, work):  # type: ignore[no-untyped-def]
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


@njit(cache=True)  # type: ignore[untyped-decorator]
def rack_path(
    step_kw, step_phs, price, hashprice, step_h, warm_up_h, min_on, min_off, awake, wait, warm_h, work, mode_at, hash_at
):  # type: ignore[no-untyped-def]
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
