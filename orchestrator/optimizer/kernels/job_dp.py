"""What one job would do at given prices: dynamic programmes over time, compiled.

Prices are USD per GPU-hour: the energy and the scarce power a busy GPU draws, and what the GPU is worth to others.
"""

from typing import NamedTuple

import numpy as np

from orchestrator.compiled import compiled
from orchestrator.optimizer.kernels.arrays import Choices, Floats, Tasks
from orchestrator.optimizer.kernels.rack_dp import ROUNDING, START, STAY, Scratch


class OneJob(NamedTuple):
    """A row of `Tasks` as plain numbers: what compiled functions hand on at no cost, unlike a tuple of arrays."""

    value: float
    """USD per GPU-hour."""
    credit: float
    """USD per GPU-hour."""
    deadline: float
    restart_h: float
    first: int
    last: int
    running: bool
    least: float
    left_h: float
    gpus: float


class JobAhead(NamedTuple):
    """The steps ahead as one job sees them."""

    cost: Floats
    """(T,) USD per GPU-hour."""
    level: Floats
    """(T,) share of its GPUs that is free, 0 where it can't run."""
    step_h: float
    delay: float
    """USD per GPU-hour of its work and hour that it is put off."""


STAY_LEAST, START_LEAST = 4, 8
"""Beside `STAY` and `START`: it does so on its least share of GPUs."""


@compiled
def one_job(tasks: Tasks, j: int) -> OneJob:
    return OneJob(
        tasks.usd_per_gpu_h[j],
        tasks.credit_usd_per_gpu_h[j],
        tasks.deadline[j],
        tasks.restart_h[j],
        tasks.first[j],
        tasks.last[j],
        tasks.running[j],
        tasks.least_share[j],
        tasks.left_h[j],
        tasks.gpus[j],
    )


@compiled
def not_before(job: OneJob, t: int) -> OneJob:
    """The same job, not running, that can start at step `t` at the earliest."""
    value, credit, deadline, restart_h, _, last, _, least, left_h, gpus = job
    return OneJob(value, credit, deadline, restart_h, min(t, last), last, False, least, left_h, gpus)


@compiled
def job_programme(  # noqa: PLR0912, PLR0915  # one walk; in parts it would be compiled several times
    job: OneJob, ahead: JobAhead, theta: float, relaxed: bool, work: Scratch
) -> tuple[float, float]:
    """The most a job that may stop can earn, USD per GPU it asks for, and the hours of work it then does.

    `theta`: USD per GPU-hour, the price of its own work where there is less of it than time. `relaxed` makes the answer
    a bound for whatever else a job could do at negative costs or around its deadline.
    Choices are left in `work.choice`, values of being on at each step in `work.on`, off in `work.off`.
    """
    value, credit, deadline, restart_h, first, last, running, least, _, _ = job
    cost, level, step_h, delay = ahead
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
                if relaxed and restart_h < in_time * step_h < step_h:
                    till_h = in_time * step_h - restart_h
                    till_deadline = ((rate + credit) * till_h - cost[t] * step_h * in_time) * share
                    if till_deadline > begun:
                        begun, begun_hours = till_deadline, till_h * share
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
                    if relaxed and 0.0 < in_time_h < done_h and deadline > end:
                        unspent = cost[end] * step_h * (t + span - deadline)
                        till_deadline = (rate + credit) * in_time_h - spent + unspent
                        if till_deadline > begun:
                            begun, done_h = till_deadline, in_time_h
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


@compiled
def job_path(job: OneJob, ahead: JobAhead, work: Scratch, share_at: Floats) -> None:
    """Follow the choices in `work`: the share of its GPUs a job runs on in each step, into `share_at` (T,)."""
    level, last, least = ahead.level, job.last, job.least
    span = max(int(np.ceil(job.restart_h / ahead.step_h - ROUNDING)), 1)
    t, on = job.first, job.running
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


@compiled
def plain_programme(job: OneJob, ahead: JobAhead, theta: float, choice: Choices) -> tuple[float, float]:
    """`job_programme` for a job on all of its GPUs, with room everywhere, that restarts within a step: no branches.

    The values of running at `first` and of not running; choices into `choice` (T,).
    """
    value, credit, deadline, restart_h, first, last, _, _, _, _ = job
    cost, _, step_h, delay = ahead
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
        if part == 0 and t == whole and deadline > whole >= first:
            # The deadline is within this step: what is done before it may be all that is done.
            in_time = deadline - whole
            put_off = rate - delay * t * step_h
            stay = max((put_off - cost[t] + credit * in_time) * step_h, (put_off - cost[t] + credit) * step_h * in_time)
            done_h = step_h - restart_h
            till_h = max(in_time * step_h - restart_h, 0.0)
            begun = put_off * done_h - cost[t] * step_h + credit * till_h
            if till_h > 0.0:
                begun = max(begun, (put_off + credit) * till_h - cost[t] * step_h * in_time)
            stay += on
            begun += on
            choice[t] = (1 if stay > off else 0) | (2 if begun > off else 0)
            on = stay if stay > off else off
            off = begun if begun > off else off
            t -= 1
    return on, off


@compiled
def plain_path(job: OneJob, step_h: float, choice: Choices, gpus: float, load: Floats) -> float:
    """Follow the choices of `plain_programme`: adds `gpus` to `load` (T,) where the job runs; hours of work done."""
    on = 1 if job.running else 0
    steps = starts = 0
    for t in range(job.first, job.last):
        was = on
        on = (choice[t] >> (1 - was)) & 1
        steps += on
        starts += on & (1 - was)
        load[t] += gpus * on
    return steps * step_h - starts * job.restart_h


@compiled
def window_programme(job: OneJob, total: Floats, free_till: Floats, step_h: float, delay: float) -> tuple[float, int]:
    """The best start of a job that is not stopped once it runs: USD per GPU it asks for, and the step; -1: never.

    `total` (T + 1,): prefix sums of USD per GPU-hour; `free_till` (T,): the step till which there is room for all of it
    from each step on. One that runs at `first` goes on, room or not. Else it needs room till its end, or `last`.
    """
    value, credit, deadline, restart_h, first, last, running, _, left_h, _ = job
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
