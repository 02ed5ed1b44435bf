"""The plan in force beside the loop: when a new one is due, what it is made from, and what it says now.

Making one takes up to seconds, so it is split: `question` gathers what is known and costs little, `answer` is pure and
can be worked out elsewhere, `take` puts the answer in force. Until then the last plan stays, as it does when one fails.
"""

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np

from orchestrator.accounting.billing import JobRecord
from orchestrator.controller.loop import Policy
from orchestrator.controller.past import Past
from orchestrator.dispatch.desired import Desired
from orchestrator.dispatch.dispatch import dispatch
from orchestrator.dispatch.live_columns import LiveColumns
from orchestrator.domain.site.site import Site
from orchestrator.domain.snapshot import Snapshot
from orchestrator.explain.plan_reading import Made, PlanRows, plan_view
from orchestrator.explain.plan_view import PlanState, PlanView
from orchestrator.forecast.arrivals import PastJobs, arrivals_by_pool, patterns_by_pool
from orchestrator.forecast.forecast import BesidePrices, live_outlook
from orchestrator.forecast.outlook import PlanValues
from orchestrator.observe.columns import fleet_columns, job_columns
from orchestrator.observe.readings.silence import assumed_share
from orchestrator.optimizer.formulate import caps_ahead
from orchestrator.optimizer.plan_policy import STEP, Known, due, from_now, named, plan_for, problem_for, steps_ahead
from orchestrator.optimizer.warm_start import Duals


@dataclass(frozen=True, slots=True)
class Question:
    """All that a plan is made from."""

    made_at: datetime
    known: Known
    fleet_names: tuple[str, ...]
    job_names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """A plan, and what follows from it."""

    view: PlanView
    values: PlanValues
    duals: Duals


class Planner:
    """The plan of one site. `question` may be asked on another thread, if on one at a time; the rest is the loop's."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._zone = ZoneInfo(site.timezone)
        self._answer: Answer | None = None
        self._problem = self._blocked = ""
        self._asked_at: datetime | None = None
        self._asked_for: tuple[object, ...] = ()

    @property
    def state(self) -> PlanState:
        return PlanState(self._answer.view if self._answer is not None else None, self._problem, self._blocked)

    def values(self, now: datetime) -> PlanValues | None:
        """What the plan in force says; None where there is none that reaches to `now`."""
        answer = self._answer
        return answer.values if answer is not None and now < answer.view.end else None

    def due(self, snapshot: Snapshot) -> bool:
        """A plan is old, or what it was made for has changed: jobs, limits, or what is held."""
        age = snapshot.at - self._asked_at if self._asked_at is not None else None
        return due(age, changed=self._asked_for != _occasion(snapshot))

    def blocked(self, snapshot: Snapshot) -> bool:
        """Whether too little is seen for the plan that is due; `state` says so from now on, until one may be made.

        What is not seen counts at its most and cannot be moved: a plan of such a site shares out power that there is
        as if there were none.
        """
        share, most = assumed_share(snapshot), self._site.stale.plan_max_assumed_share
        self._blocked = (
            f"{share:.1%} of the site's power is not measured, more than the {most:.1%} that a plan may assume"
            if share > most
            else ""
        )
        return bool(self._blocked)

    def unblock(self) -> None:
        """No plan is due any more, so nothing is in its way."""
        self._blocked = ""

    def question(self, snapshot: Snapshot, past: Past) -> Question:
        """What to plan on now; it counts as asked."""
        self._asked_at, self._asked_for = snapshot.at, _occasion(snapshot)
        site, steps = self._site, steps_ahead(STEP)
        hashprice, outdoor_c = snapshot.hashprice.value, snapshot.outdoor.value
        assert hashprice is not None, "the stale policy gives a hashprice"
        assert outdoor_c is not None, "the stale policy gives a temperature"
        expected = self._expected(past.jobs, snapshot.at, steps)
        outlook = live_outlook(
            snapshot.book,
            snapshot.at,
            self._zone,
            step=STEP,
            steps=steps,
            beside=BesidePrices(hashprice, outdoor_c, site.stale.price.fallback_usd_per_mwh, expected),
            outdoor_past=past.outdoor,
        )
        outlook = from_now(outlook, snapshot.price.usd_per_mwh)
        fleet_names, job_names = tuple(snapshot.fleets), tuple(snapshot.jobs)
        known = Known(
            site=site,
            fleets=fleet_columns(site, snapshot),
            jobs=job_columns(site, snapshot.jobs.values()),
            job_keys=job_names,
            outlook=outlook,
            caps=caps_ahead(site, snapshot.curtailments, outlook.start, STEP, steps),
            before=self._answer.duals if self._answer is not None else None,
        )
        return Question(snapshot.at, known, fleet_names, job_names)

    def take(self, answer: Answer) -> None:
        """From now on it is in force."""
        self._answer, self._problem = answer, ""

    def fail(self, problem: str) -> None:
        """No new plan came, and why; the last one stays in force."""
        self._problem = problem

    def _expected(
        self, jobs: Collection[JobRecord], now: datetime, steps: int
    ) -> Mapping[str, np.ndarray[tuple[int], np.dtype[np.float64]]]:
        pools = {pool.name: row for row, pool in enumerate(self._site.pools)}
        arrivals = [record.arrival for record in jobs if record.arrival is not None]
        seen = sorted((arrival for arrival in arrivals if arrival.pool in pools), key=lambda each: each.submitted_at)
        past = PastJobs(
            since=min((arrival.seen_at for arrival in arrivals), default=now),
            pool=np.array([pools[arrival.pool] for arrival in seen], dtype=np.int64),
            submitted_at=np.array([arrival.submitted_at.timestamp() for arrival in seen], dtype=np.float64),
            gpus=np.array([arrival.gpus for arrival in seen], dtype=np.int64),
            run_s=np.array([arrival.run_s for arrival in seen], dtype=np.float64),
        )
        patterns = patterns_by_pool(self._site, past, now, step=STEP, steps=steps)
        return arrivals_by_pool(patterns, now, self._zone, step=STEP, steps=steps)


def planned(planner: Planner) -> Policy:
    """Dispatch by the price now and what the plan in force says."""
    live = LiveColumns()

    def policy(site: Site, snapshot: Snapshot) -> Desired:
        return dispatch(site, snapshot, planner.values(snapshot.at), live)

    return policy


def answer(question: Question) -> Answer:
    """The plan; pure but for the time it says it took."""
    began = time.perf_counter()
    known = question.known
    problem = problem_for(known)
    plan, given = plan_for(known, problem)
    values = named(given, question.fleet_names, question.job_names)
    view = plan_view(
        known.site,
        plan,
        known.outlook,
        known.caps,
        values,
        PlanRows(question.fleet_names, question.job_names, problem.tasks.left_h),
        Made(question.made_at.astimezone(UTC), time.perf_counter() - began),
    )
    return Answer(view, values, plan.duals)


def _occasion(snapshot: Snapshot) -> tuple[object, ...]:
    """What a plan is made for: when this changes there is to be a new one."""
    orders = tuple((order.id, order.cap, order.until) for order in snapshot.curtailments)
    held = tuple(name for name, status in snapshot.fleets.items() if status.view.held)
    return frozenset(snapshot.jobs), orders, held
