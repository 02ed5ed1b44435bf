"""Which promises a plan that is not sound may still call broken."""

from dataclasses import replace

import pytest

from orchestrator.controller.past import Past
from orchestrator.controller.planner import Planner
from orchestrator.domain.work import JobPhase
from orchestrator.explain.plan_reading import Made, PlanRows, plan_view
from orchestrator.optimizer.plan_policy import named, plan_for, problem_for
from orchestrator.optimizer.unkept_promises import Cause
from tests.scenes import Scene
from tests.sites import small_site

HOPELESS, SQUEEZED = "job hopeless, from", "job squeezed, from"


@pytest.mark.parametrize(
    ("share_of_bound", "sound", "told"),
    [(1.0, True, {HOPELESS, SQUEEZED}), (1.031, False, {HOPELESS}), (float("nan"), False, {HOPELESS})],
)
def test_of_a_plan_with_a_large_gap_only_what_no_plan_could_keep_is_told(
    share_of_bound: float, sound: bool, told: set[str]
) -> None:
    """One job has fewer hours than it needs; the other's GPUs are held by a job that was promised them."""
    of = Scene(small_site())
    of.job("holds", "bank", 320, run_h=30.0)
    of.job("hopeless", "flux", 8, JobPhase.WAITING, run_h=10.0, deadline_in_h=5.0)
    of.job("squeezed", "flux", 8, JobPhase.WAITING, run_h=4.0, deadline_in_h=20.0)
    asked = Planner(of.site).question(of.snapshot(), Past())
    problem = problem_for(asked.known)
    plan, given = plan_for(asked.known, problem)
    assert {promise.subject: promise.cause for promise in plan.broken} == {
        "hopeless": Cause.TIME,
        "squeezed": Cause.WORTH,
    }
    view = plan_view(
        of.site,
        replace(plan, bound_usd=plan.profit_usd + (share_of_bound - 1.0) * abs(plan.profit_usd) * 1.01),
        asked.known.outlook,
        asked.known.caps,
        named(given, asked.fleet_names, asked.job_names),
        PlanRows(asked.fleet_names, asked.job_names, problem.tasks.left_h),
        Made(asked.made_at, 0.0),
    )
    assert view.sound is sound
    assert {text.partition(" 2023")[0] for text in view.broken_promises} == told
