"""The plan policy: when a plan is due, and that its values are the same with the plan and without it."""

from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pytest

from orchestrator.dispatch.dispatch import dispatch
from orchestrator.domain.site import Site
from orchestrator.domain.work import JobPhase
from orchestrator.forecast.forecast import knowing_prices
from orchestrator.forecast.outlook import Outlook
from orchestrator.observe.columns import fleet_columns, job_columns
from orchestrator.optimizer.formulate import caps_ahead
from orchestrator.optimizer.plan_policy import (
    AT_LEAST_APART,
    PLAN_EVERY,
    STEP,
    Known,
    due,
    named,
    plan_for,
    problem_for,
    steps_ahead,
    values_for,
)
from tests.scenes import Scene

STEPS = steps_ahead(STEP)
INSTANT = timedelta(microseconds=1)


def outlook(now: datetime, *, paths: int) -> Outlook:
    hours = np.arange(STEPS) / 4.0
    price = 60.0 + 50.0 * np.sin(hours / 24.0 * 2.0 * np.pi)
    ways = price + np.random.default_rng(1).normal(0.0, 20.0, (paths, STEPS))
    return Outlook(
        start=now,
        step=STEP,
        price_usd_per_mwh=price,
        price_quantiles={},
        hashprice_usd_per_ph_day=np.full(STEPS, 60.0),
        outdoor_c=np.full(STEPS, 20.0),
        arrivals_gpus={},
        paths_usd_per_mwh=ways if paths else None,
    )


def known(site: Site, scene: Scene, now: datetime, *, paths: int = 8) -> Known:
    snapshot = scene.snapshot()
    return Known(
        site=site,
        fleets=fleet_columns(site, snapshot),
        jobs=job_columns(site, snapshot.jobs.values()),
        job_keys=list(snapshot.jobs),
        outlook=outlook(now, paths=paths),
        caps=caps_ahead(site, (), now, STEP, STEPS),
        before=None,
    )


def busy(scene: Scene) -> None:
    scene.job("runs", "lab", 16, JobPhase.RUNNING)
    scene.job("waits", "lab", 32, JobPhase.WAITING)
    scene.job("promised", "bank", 8, JobPhase.RUNNING)


@pytest.mark.parametrize(
    ("age", "changed", "is_due"),
    [
        (None, False, True),
        (PLAN_EVERY, False, True),
        (PLAN_EVERY - INSTANT, False, False),
        (AT_LEAST_APART, True, True),
        (AT_LEAST_APART - INSTANT, True, False),
        (PLAN_EVERY - INSTANT, True, True),
    ],
)
def test_a_plan_is_due_when_it_is_old_or_what_it_was_made_for_has_changed(
    age: timedelta | None, changed: bool, is_due: bool
) -> None:
    assert due(age, changed=changed) is is_due


def test_a_plan_has_a_day_of_steps() -> None:
    assert steps_ahead(STEP) == 96
    assert steps_ahead(timedelta(minutes=5)) == 288


@pytest.mark.parametrize("paths", [0, 8])
def test_the_values_are_the_same_with_the_plan_and_without_it(
    site: Site, scene: Scene, now: datetime, paths: int
) -> None:
    """Cold, and begun from the plan before: a backtest takes them alone, the live site with the plan."""
    busy(scene)
    asked = known(site, scene, now, paths=paths)
    for _ in range(2):
        problem = problem_for(asked)
        plan, with_plan = plan_for(asked, problem)
        alone, duals = values_for(asked, problem)
        for name in ("fleet_stay", "fleet_wake", "job_stay", "job_wake"):
            np.testing.assert_array_equal(getattr(alone, name), getattr(with_plan, name))
        np.testing.assert_array_equal(duals.scarce, plan.duals.scarce)
        np.testing.assert_array_equal(duals.work, plan.duals.work)
        asked = replace(asked, before=duals)


def test_fleets_go_by_the_price_now_where_too_little_is_known_of_how_prices_go(
    site: Site, scene: Scene, now: datetime
) -> None:
    busy(scene)
    for paths, knows in ((0, False), (8, True)):
        asked = known(site, scene, now, paths=paths)
        given, _ = values_for(asked, problem_for(asked))
        values = named(given, [fleet.name for fleet in site.fleets], [str(key) for key in asked.job_keys])
        assert set(values.fleets) == ({fleet.name for fleet in site.fleets} if knows else set())
        assert values.jobs.keys() == {"runs", "waits", "promised"}
        assert np.isnan(given.fleet_stay).any() != knows


def test_who_knows_the_prices_knows_the_one_way_they_go(site: Site, scene: Scene, now: datetime) -> None:
    asked = known(site, scene, now, paths=0)
    certain = replace(asked, outlook=knowing_prices(asked.outlook, asked.outlook.price_usd_per_mwh + 10.0))
    given, _ = values_for(certain, problem_for(certain))
    assert not np.isnan(given.fleet_stay).any()


def test_a_job_that_stops_while_the_plan_is_made_goes_on_when_it_can(site: Site, scene: Scene, now: datetime) -> None:
    """It cannot run in the plan's first step, which says nothing of what it is worth then."""
    scene.job("stops", "lab", 8, JobPhase.STOPPING)
    scene.job("waits", "lab", 8, JobPhase.WAITING)
    asked = known(site, scene, now)
    given, _ = values_for(asked, problem_for(asked))
    values = named(given, [fleet.name for fleet in site.fleets], [str(key) for key in asked.job_keys])
    assert values.jobs.keys() == {"waits"}
    scene.jobs[0] = replace(scene.jobs[0], phase=JobPhase.PAUSED)
    assert set(dispatch(site, scene.snapshot(), values).jobs) == {"stops", "waits"}
