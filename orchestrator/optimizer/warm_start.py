"""Prices of an earlier plan as a start for the next one: time has gone on, jobs have come and gone."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orchestrator.domain.units import SECONDS_PER_DAY
from orchestrator.optimizer.kernels.descent import Prices
from orchestrator.optimizer.problem import Problem
from orchestrator.optimizer.shadow_prices import no_prices

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Duals:
    """Prices, and what they are of."""

    start: float
    """Unix seconds."""
    step_s: float
    scarce: Floats
    """As `Prices.scarce`."""
    job_keys: Sequence[object]
    work: Floats
    """(J,) as `Prices.work`."""


def duals_of(problem: Problem, prices: Prices) -> Duals:
    return Duals(problem.start, problem.step_s, prices.scarce, problem.job_keys, prices.work)


def fits(problem: Problem, before: Duals) -> bool:
    """Whether the prices are numbers, of a site and a grid of steps like the problem's, and overlap it."""
    rows = 2 + len(problem.supply.feeder_kw) + len(problem.supply.pool_feeder)
    gone = (problem.start - before.start) / problem.step_s
    same = before.scarce.shape == (rows, problem.steps) and abs(before.step_s - problem.step_s) < 1e-6
    numbers = bool(np.isfinite(before.scarce).all() and np.isfinite(before.work).all())
    return same and numbers and -1.0 < gone < problem.steps


def warm_start(problem: Problem, before: Duals) -> Prices:
    """The prices of `before` at the problem's steps; beyond its end those of the same time a day earlier.

    Energy is priced anew. What the work of a new job is worth to itself at another time is not known, so nothing.
    """
    gone = max(round((problem.start - before.start) / problem.step_s), 0)
    steps, day = problem.steps, max(round(SECONDS_PER_DAY / problem.step_s), 1)
    at = np.arange(steps) + gone
    beyond = at >= steps
    earlier = at - day * np.ceil((at - steps + 1) / day).astype(np.int64)
    at[beyond] = np.where(earlier >= 0, earlier, steps - 1)[beyond]
    scarce = before.scarce[:, at]
    supply = problem.supply
    scarce[-1] = np.clip(scarce[-1], supply.sell_usd_per_mwh, supply.price_usd_per_mwh)
    scarce[-1] = np.where(supply.sell_usd_per_mwh == supply.price_usd_per_mwh, supply.price_usd_per_mwh, scarce[-1])
    known = dict(zip(before.job_keys, before.work.tolist(), strict=True))
    work = np.array([known.get(key, 0.0) for key in problem.job_keys], dtype=np.float64)
    return Prices(scarce, work)


def start_of(problem: Problem, before: Duals | None) -> tuple[Prices, bool]:
    """Where to start from, and whether that is warm."""
    if before is not None and fits(problem, before):
        return warm_start(problem, before), True
    return no_prices(problem), False
