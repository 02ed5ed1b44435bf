"""The bound of a backtest: what nobody with the same meters could have earned more than, knowing all beforehand."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from orchestrator.backtest.engine import Fixed
from orchestrator.backtest.figures import limits_used
from orchestrator.backtest.jobs.job_book import JobBook
from orchestrator.backtest.play import Period, peak_mb
from orchestrator.backtest.racks import Racks
from orchestrator.domain.site.site import Site
from orchestrator.forecast.outlook import Outlook
from orchestrator.optimizer.bound import bound
from orchestrator.optimizer.formulate import Hindsight, caps_ahead, problem_of
from orchestrator.optimizer.problem import Problem


def note_of(site: Site) -> str:
    """How the bound is found, what it keeps to and what it does not, in a sentence."""
    return (
        "Lagrangian bound of the whole period at final prices, every price, job and temperature known beforehand; "
        "racks and work divisible. It keeps to the site's "
        f"{limits_used(site.grid.measurement_uncertainty)}, as every strategy does; only the margins for new starts "
        "and for planning are left out, so nothing that could be decided within those limits earns more. It need not "
        "start any job, promised or not; one that it misses costs it the credit"
    )


@dataclass(frozen=True, slots=True)
class Bound:
    usd: float
    note: str
    seconds: float
    peak_mb: float


def bound_of(period: Period, progress: Callable[[int], None] = lambda done: None) -> Bound:
    """The bound of a period, from the fleets' state at its start on."""
    began = time.perf_counter()
    problem = clairvoyant_problem(period)
    usd = bound(problem)
    progress(len(period.market))
    return Bound(usd, note_of(period.site), time.perf_counter() - began, peak_mb())


def clairvoyant_problem(period: Period) -> Problem:
    """The whole period as one problem."""
    site, market, workload = period.site, period.market, period.workload
    start = datetime.fromtimestamp(int(market.start_s[0]), UTC)
    rows = slice(period.history.begin, period.history.end)
    fleets = Racks(site, start, awake=True).columns
    steps, start_s, step_s = len(market), start.timestamp(), market.step.total_seconds()
    book = JobBook(site, workload)
    book.open = np.arange(len(workload))
    outlook = Outlook(
        start=start,
        step=market.step,
        price_usd_per_mwh=market.settled_usd_per_mwh,
        price_quantiles={},
        hashprice_usd_per_ph_day=market.hashprice_usd_per_ph_day,
        outdoor_c=period.history.outdoor_c[rows],
        arrivals_gpus={},
    )
    return problem_of(
        site,
        fleets,
        book.columns(),
        outlook,
        caps_ahead(site, (), start, market.step, steps),
        job_keys=range(len(workload)),
        planned_share=1.0,
        hindsight=Hindsight(
            fixed_kw=Fixed.of(site, fleets).asleep_kw[1:],
            released_at=workload.submitted_at,
            # The interval is begun: it is finished.
            open_until=start_s + np.ceil((workload.until - start_s) / step_s) * step_s,
        ),
    )
