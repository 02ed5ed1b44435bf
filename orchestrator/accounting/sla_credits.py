"""The money of a job, by the tenant's contract: what its work is billed, and what is credited for a promise not kept.

One rule for the live site, job by job, and for a backtest, thousands at once: figures are numbers or arrays of them, a
row a job. Whether a class is credited for an interruption at all is said by `domain/sla.py`.
"""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from orchestrator.domain.units import SECONDS_PER_HOUR

Figures = TypeVar("Figures", float, NDArray[np.float64])


def billed_usd(done_gpu_seconds: Figures, usd_per_gpu_h: Figures) -> Figures:
    """For work done, each GPU-second once: what a lost checkpoint has computed again is not billed again."""
    return done_gpu_seconds * usd_per_gpu_h / SECONDS_PER_HOUR


def late_credit_usd(undone_gpu_seconds: Figures, usd_per_gpu_h: Figures, credit_share: Figures) -> Figures:
    """For a missed deadline: `credit_share` of the price of the work that was not done by then, pro rata."""
    return credit_share * usd_per_gpu_h / SECONDS_PER_HOUR * undone_gpu_seconds


def most_credit_usd(work_gpu_seconds: Figures, usd_per_gpu_h: Figures, credit_share: Figures) -> Figures:
    """For an interruption that is credited: `credit_share` of the whole job's price, which is also the most that all
    credits of a job come to."""
    return late_credit_usd(work_gpu_seconds, usd_per_gpu_h, credit_share)


def credited_usd(due_usd: Figures, before_usd: Figures, most_usd: Figures) -> Figures:
    """What is really credited of what is due, `before_usd` being credited already; never negative."""
    usd: Figures = np.minimum(due_usd, np.maximum(most_usd - before_usd, 0.0))
    return usd
