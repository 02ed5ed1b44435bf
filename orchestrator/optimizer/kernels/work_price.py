"""The price of a job's own work, where there is less of it than time, and what the job draws at it; compiled."""

from typing import NamedTuple

import numpy as np

from orchestrator.compiled import compiled
from orchestrator.optimizer.kernels.arrays import Choices, Floats
from orchestrator.optimizer.kernels.job_dp import JobAhead, OneJob, job_path, job_programme, plain_path, plain_programme
from orchestrator.optimizer.kernels.rack_dp import Scratch


class Tightening(NamedTuple):
    """How the price of each job's own work is looked for."""

    tries: int
    """Programmes a job at most."""
    near: float
    """It is known well enough between two prices that are so near each other, as a share of what an hour of its work
    earns."""
    draws: bool
    """What the job draws is asked too."""


@compiled
def _draw(job: OneJob, ahead: JobAhead, choice: Choices, gpus: float, load: Floats, work: Scratch) -> None:
    """Add `gpus` to `load` (T,) where the job runs by `choice`."""
    if job.restart_h <= ahead.step_h and job.least >= 1.0:
        plain_path(job, ahead.step_h, choice, gpus, load)
        return
    work.choice[job.first : job.last] = choice[job.first : job.last]
    job_path(job, ahead, work, work.share_at)
    for t in range(job.first, job.last):
        load[t] += gpus * work.share_at[t]


@compiled
def tightened(  # noqa: PLR0912  # one walk; in parts it would be compiled several times
    job: OneJob, ahead: JobAhead, theta: float, tightening: Tightening, load: Floats, work: Scratch
) -> tuple[float, float]:
    """The price of the job's own work that makes its bound least, by cutting planes from `theta` on: (bound, price).

    The bound is convex in that price, with work left less hours done as its slope: two tangents meet below its least.
    Where the `tightening` asks what the job draws, it is added to `load` (T,): at the price where it goes from too much
    work to too little, that mix of both which does just its work.
    """
    first, last, left_h, near = job.first, job.last, job.left_h, tightening.near
    choice, low_choice, high_choice = work.choice, work.low_choice, work.high_choice
    plain = job.restart_h <= ahead.step_h and job.least >= 1.0
    low = high = -1.0
    low_usd = high_usd = low_slope = high_slope = 0.0
    best_usd, best = np.inf, theta
    worth = job.value + job.credit + 1e-6
    step = max(near, 0.004) * worth
    at = theta
    for _ in range(tightening.tries):
        if plain:
            on, off = plain_programme(job, ahead, at, choice)
            usd = on if job.running else off
            hours = plain_path(job, ahead.step_h, choice, 0.0, load)
        else:
            usd, hours = job_programme(job, ahead, at, True, work)
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
    if tightening.draws:
        if high < 0.0:
            share = left_h / (left_h - low_slope)
        elif low < 0.0 or high <= 0.0:
            share = 0.0
        else:
            share = high_slope / (high_slope - low_slope)
        if share > 0.0:
            _draw(job, ahead, low_choice, job.gpus * share, load, work)
        if high >= 0.0:
            _draw(job, ahead, high_choice, job.gpus * (1.0 - share), load, work)
    return best_usd, best
