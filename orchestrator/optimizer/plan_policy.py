"""The plan policy: when a plan is due, what it is made from, and what dispatch is given of it.

The live site and a backtest both plan by this page: the same plan, which the one shows and of which the other takes the
values alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from math import isfinite, isnan

import numpy as np

from orchestrator.domain.site.site import Site
from orchestrator.forecast.outlook import Outlook, PlanValues, Switch
from orchestrator.observe.columns import FleetColumns, JobColumns
from orchestrator.optimizer.formulate import CapsAhead, problem_of
from orchestrator.optimizer.plan import Plan, make_plan
from orchestrator.optimizer.problem import Problem
from orchestrator.optimizer.thresholds import Thresholds
from orchestrator.optimizer.warm_start import Duals, fits

AHEAD = timedelta(hours=24)
STEP = timedelta(minutes=15)
"""The longest; the steps of a backtest are the intervals of its prices."""
PLAN_EVERY = timedelta(minutes=15)
AT_LEAST_APART = timedelta(minutes=1)
"""Jobs that come one after the other, and limits that change again, share a plan."""
AS_GOOD, AS_TIGHT = 0.03, 0.1
"""Prices before are no bad start if a plan made by them earns as much as one made without, and its own bound is as low,
but for these shares of it. In four months of ERCOT's 2024, where nothing is amiss, it is 0.023 and 0.068 at most."""


@dataclass(frozen=True, slots=True)
class Known:
    """All that a plan is made from."""

    site: Site
    fleets: FleetColumns
    jobs: JobColumns
    job_keys: Sequence[object]
    """What the jobs are called, in the order of the rows: the same job has the same key in the next plan."""
    outlook: Outlook
    caps: CapsAhead
    before: Duals | None
    """Of the plan before."""


def due(age: timedelta | None, *, changed: bool) -> bool:
    """A plan is to be made: there is none, it is old, or what it was made for has changed (jobs, limits, holds)."""
    return age is None or age >= PLAN_EVERY or (changed and age >= AT_LEAST_APART)


def steps_ahead(step: timedelta) -> int:
    """How many steps a plan has."""
    return round(AHEAD / step)


def from_now(outlook: Outlook, price_usd_per_mwh: float) -> Outlook:
    """The outlook from the price in force now on: of the first step it is known, whatever was expected of it."""
    prices = outlook.price_usd_per_mwh.copy()
    prices[0] = price_usd_per_mwh
    return replace(outlook, price_usd_per_mwh=prices)


def problem_for(known: Known) -> Problem:
    return problem_of(known.site, known.fleets, known.jobs, known.outlook, known.caps, job_keys=known.job_keys)


def plan_for(known: Known, problem: Problem) -> tuple[Plan, Thresholds]:
    """The plan, and what dispatch is given of it.

    One begun from the prices before whose gap is large is made again from none before it is used: prices of another
    site than this one are a start from which a few steps never come back.

    Raises ArithmeticError where what it earns is not a number.
    """
    paths = known.outlook.paths_usd_per_mwh
    plan = make_plan(problem, known.before, paths=paths)
    if known.before is not None and fits(problem, known.before) and not plan.sound:
        plan = _best_of(plan, make_plan(problem, None, paths=paths))
    if not isfinite(plan.gap):
        raise ArithmeticError(f"a plan of {plan.profit_usd} USD of at most {plan.bound_usd} is none")
    return plan, _given(known, plan.thresholds)


def _best_of(warm: Plan, cold: Plan) -> Plan:
    """Who runs when of the plan that earns more, the tighter of the two bounds, for both are proven; and prices of the
    warm one, unless it shows them to be a bad start: it earns less than the cold one, or proves much less.

    A few steps of search leave a bound loose by several percent while the plan earns the same to a few thousandths, as
    on a third of the quarters of ERCOT's August 2024. Thresholds that jumped between two searches would switch racks
    and jobs to and fro.
    """
    bound_usd = min(warm.bound_usd, cold.bound_usd)
    held, best = replace(warm, bound_usd=bound_usd), replace(cold, bound_usd=bound_usd)
    as_good = held.gap - best.gap <= AS_GOOD and warm.gap - best.gap <= AS_TIGHT
    prices = held if as_good else best
    return replace(
        held if held.profit_usd >= best.profit_usd else best,
        thresholds=prices.thresholds,
        power_usd_per_mwh=prices.power_usd_per_mwh,
        feeder_usd_per_mwh=prices.feeder_usd_per_mwh,
        gpu_usd_per_h=prices.gpu_usd_per_h,
        energy_usd_per_mwh=prices.energy_usd_per_mwh,
        duals=prices.duals,
    )


def _given(known: Known, found: Thresholds) -> Thresholds:
    """The thresholds that dispatch is to go by; NaN where it is to go by the price now and what a target earns.

    That is so of fleets where no paths are known: too little is known of how prices go, and a plan on the expected
    path alone wakes racks for hours that do not come. It is so of a job that could not run in the first step, and has
    no value in it: one that was writing its checkpoint then would else wait for the next plan, at whatever price.
    """
    if known.outlook.paths_usd_per_mwh is None:
        unknown = np.full(len(known.fleets), np.nan)
        found = replace(found, fleet_stay=unknown, fleet_wake=unknown)
    could_not = np.isneginf(found.job_stay)
    return replace(
        found,
        job_stay=np.where(could_not, np.nan, found.job_stay),
        job_wake=np.where(could_not, np.nan, found.job_wake),
    )


def named(given: Thresholds, fleets: Sequence[str], jobs: Sequence[str]) -> PlanValues:
    """The same by name; `fleets` and `jobs` are in the order of the rows. What is not known is left out."""
    return PlanValues(
        fleets=_switches(fleets, given.fleet_stay.tolist(), given.fleet_wake.tolist()),
        jobs=_switches(jobs, given.job_stay.tolist(), given.job_wake.tolist()),
    )


def _switches(names: Sequence[str], stay: Sequence[float], wake: Sequence[float]) -> dict[str, Switch]:
    each = zip(names, stay, wake, strict=True)
    return {name: Switch(above, below) for name, above, below in each if not isnan(above)}
