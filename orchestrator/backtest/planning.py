"""The strategy that plans: values of a plan of the next 24 hours, found anew when one is due, and the price now.

What it knows at a row is what was known then: prices published by then, jobs handed in by then. The plan's values are
what dispatch decides on, as in the controller.
"""

import time
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from orchestrator.backtest.engine import Instant
from orchestrator.backtest.jobs.submitted import SubmittedJobs
from orchestrator.backtest.market import MarketHistory
from orchestrator.backtest.result import PlannerFacts
from orchestrator.backtest.strategies import chosen
from orchestrator.dispatch.inputs import no_plan, pool_columns
from orchestrator.dispatch.kernels.rows import Switches
from orchestrator.domain.site.site import Site
from orchestrator.forecast.arrivals import ArrivalPattern, PastJobs, arrivals_by_pool, patterns_by_pool
from orchestrator.forecast.forecast import BesidePrices, knowing_prices, outlook_at
from orchestrator.forecast.outlook import Outlook
from orchestrator.forecast.price_history import price_track
from orchestrator.forecast.price_model import fit_model
from orchestrator.observe.columns import Floats, Ints
from orchestrator.optimizer.formulate import caps_ahead
from orchestrator.optimizer.plan_policy import Known, due, from_now, plan_for, problem_for, steps_ahead
from orchestrator.optimizer.warm_start import Duals

PATTERN_EVERY = timedelta(days=1)


class Planning:
    """Remembers the last plan's prices, from which the next one starts."""

    def __init__(self, site: Site, history: MarketHistory, workload: SubmittedJobs, *, perfect_prices: bool) -> None:
        self._site = site
        self._history = history
        self._workload = workload
        self._perfect = perfect_prices
        self._pools = pool_columns(site)
        self._zone = ZoneInfo(site.timezone)
        self._steps = steps_ahead(history.step)
        self._track = price_track(
            history.start,
            history.step,
            history.real_time_usd_per_mwh,
            history.day_ahead_usd_per_mwh,
            self._zone,
            outdoor_c=history.outdoor_c,
        )
        self._model = fit_model(self._track)
        self._caps = caps_ahead(site, (), history.start, history.step, self._steps)
        self._patterns: tuple[datetime, dict[str, ArrivalPattern]] | None = None
        self._asked_at: datetime | None = None
        self._asked_for = b""
        """The open jobs then: what a plan is made for changes with them."""
        self._given = no_plan(len(site.fleets), len(workload))
        """By the plan in force, for fleets and for each job of the workload."""
        self._before: Duals | None = None
        self._forecasts: dict[int, Floats] = {}
        self._worst_age_s = 0.0
        self._ms: list[float] = []
        self._gaps: list[float] = []

    def __call__(self, instant: Instant) -> tuple[Ints, Ints]:
        now, occasion = self._history.at(self._history.begin + instant.index), instant.job_rows.tobytes()
        age = now - self._asked_at if self._asked_at is not None else None
        if due(age, changed=occasion != self._asked_for):
            self._asked_at, self._asked_for = now, occasion
            began = time.perf_counter()
            self._plan(instant)
            self._ms.append((time.perf_counter() - began) * 1000.0)
        self._worst_age_s = max(self._worst_age_s, (now - (self._asked_at or now)).total_seconds())
        given, rows = self._given, instant.job_rows
        switches = given._replace(job_stay=given.job_stay[rows], job_wake=given.job_wake[rows])
        return chosen(instant, self._pools, instant.beyond_usd_per_mwh, switches, instant.bought)

    def facts(self) -> PlannerFacts:
        return PlannerFacts(
            plans=len(self._ms),
            late_plans=0,
            mean_gap=float(np.mean(self._gaps)) if self._gaps else None,
            worst_age_s=self._worst_age_s,
            mean_ms=float(np.mean(self._ms)) if self._ms else None,
            p99_ms=float(np.percentile(self._ms, 99)) if self._ms else None,
        )

    def _plan(self, instant: Instant) -> None:
        known = Known(
            site=self._site,
            fleets=instant.fleets,
            jobs=instant.jobs,
            job_keys=instant.job_rows.tolist(),
            outlook=self._outlook(instant),
            caps=self._caps,
            before=self._before,
        )
        plan, found = plan_for(known, problem_for(known))
        self._before = plan.duals
        self._gaps.append(plan.gap)
        unknown = no_plan(len(instant.fleets), len(self._workload))
        stay, wake = unknown.job_stay, unknown.job_wake.copy()
        stay[instant.job_rows], wake[instant.job_rows] = found.job_stay, found.job_wake
        self._given = Switches(found.fleet_stay, found.fleet_wake, stay, wake)

    def _outlook(self, instant: Instant) -> Outlook:
        row = self._history.begin + instant.index
        outlook = outlook_at(
            self._track,
            self._model,
            row,
            self._steps,
            BesidePrices(
                hashprice_usd_per_ph_day=instant.moment.hashprice_usd_per_ph_day,
                outdoor_c=float(self._history.outdoor_c[row]),
                fallback_usd_per_mwh=self._site.stale.price.fallback_usd_per_mwh,
                arrivals_gpus=self._arrivals(row),
            ),
            self._forecasts,
        )
        outlook = from_now(outlook, instant.price_usd_per_mwh)
        if self._perfect:
            outlook = knowing_prices(outlook, self._history.price_usd_per_mwh[row : row + self._steps])
        return outlook

    def _arrivals(self, row: int) -> dict[str, Floats]:
        """GPUs that jobs yet to come are expected to ask for, by pool."""
        now, workload, step = self._history.at(row), self._workload, self._history.step
        if self._patterns is None or now - self._patterns[0] >= PATTERN_EVERY:
            since = self._history.at(self._history.begin)
            past = PastJobs(since, workload.pool, workload.submitted_at, workload.gpus, workload.run_s)
            patterns = patterns_by_pool(self._site, past, now, step=step, steps=self._steps)
            self._patterns = (now, patterns)
        return arrivals_by_pool(self._patterns[1], now, self._zone, step=step, steps=self._steps)
