"""The plan policy: when a plan is due, when one is made again from no prices, and what dispatch is given of it."""

import math
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pytest
from hypothesis import given as drawn_from
from hypothesis import settings
from hypothesis import strategies as st

from orchestrator.dispatch.dispatch import dispatch
from orchestrator.domain.site.site import Site
from orchestrator.domain.work import JobPhase
from orchestrator.forecast.forecast import knowing_prices
from orchestrator.forecast.outlook import Outlook
from orchestrator.observe.columns import fleet_columns, job_columns
from orchestrator.optimizer.formulate import caps_ahead
from orchestrator.optimizer.plan import SOUND_GAP, Plan, make_plan
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
)
from tests.scenes import NOW, Scene
from tests.sites import small_site

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


def test_a_plan_from_the_prices_of_a_good_one_goes_on_from_them(site: Site, scene: Scene, now: datetime) -> None:
    busy(scene)
    asked = known(site, scene, now)
    first, _ = plan_for(asked, problem_for(asked))
    assert first.sound
    after = replace(asked, before=first.duals)
    problem = problem_for(after)
    again, _ = plan_for(after, problem)
    np.testing.assert_array_equal(again.duals.scarce, make_plan(problem, first.duals).duals.scarce)


@settings(max_examples=40)
@drawn_from(
    st.sampled_from([0.0, 0.2, 5.0, 40.0, 1e3, 1e9, math.nan, math.inf]), st.integers(0, 2**31), st.integers(0, 60)
)
def test_no_prices_to_begin_from_make_a_plan_much_worse(worth: float, seed: int, gone: int) -> None:
    """Whatever plan they are of, and of whatever hour: it is sound where one from none is, and earns as much or more
    but for SOUND_GAP of the bound."""
    scene = Scene(small_site())
    busy(scene)
    for number in range(12):
        scene.job(f"more-{number}", "flux", 40, JobPhase.WAITING, deadline_in_h=20.0, run_h=6.0)
    asked = known(scene.site, scene, NOW)
    problem = problem_for(asked)
    cold, _ = plan_for(asked, problem)
    shape = cold.duals.scarce.shape
    drawn = np.random.default_rng(seed)
    before = replace(
        cold.duals,
        start=cold.duals.start - gone * STEP.total_seconds(),
        scarce=np.where(drawn.random(shape) < drawn.random(), worth * drawn.random(shape), 0.0),
        work=worth * drawn.random(len(asked.job_keys)),
    )
    plan, given = plan_for(replace(asked, before=before), problem)
    assert plan.sound or not cold.sound
    assert plan.profit_usd >= cold.profit_usd - SOUND_GAP * abs(cold.bound_usd)
    assert plan.profit_usd <= plan.bound_usd + 1e-6 * abs(plan.bound_usd)
    assert np.isfinite(plan.duals.scarce).all()
    assert not np.isposinf(given.fleet_stay).any()


def made(revenue_usd: float, energy_usd: float, bound_usd: float) -> Plan:
    """A plan of nothing, with these figures."""
    scene = Scene(small_site())
    asked = known(scene.site, scene, NOW)
    plan, _ = plan_for(asked, problem_for(asked))
    return replace(plan, revenue_usd=revenue_usd, energy_usd=energy_usd, bound_usd=bound_usd)


@pytest.mark.parametrize(
    ("revenue_usd", "energy_usd", "bound_usd", "gap", "sound"),
    [
        (10_000.0, 4_000.0, 6_100.0, 100.0 / 6_100.0, True),
        (10_000.0, 4_000.0, 6_300.0, 300.0 / 6_300.0, False),
        (10_000.0, 9_990.0, 25.0, 15.0 / 999.5, True),
        (10_000.0, 9_990.0, 110.0, 100.0 / 999.5, False),
        (0.0, 0.0, 0.0, 0.0, True),
        (10_000.0, 20_000.0, -9_900.0, 100.0 / 9_900.0, True),
        (10_000.0, 4_000.0, math.nan, math.nan, False),
        (math.nan, 4_000.0, 6_000.0, math.nan, False),
        (10_000.0, 4_000.0, math.inf, math.nan, False),
    ],
)
def test_a_gap_is_held_against_the_bound_or_a_part_of_what_is_turned_over(
    revenue_usd: float, energy_usd: float, bound_usd: float, gap: float, sound: bool
) -> None:
    plan = made(revenue_usd, energy_usd, bound_usd)
    assert plan.gap == pytest.approx(gap, nan_ok=True)
    assert plan.sound is sound


def test_fleets_go_by_the_price_now_where_too_little_is_known_of_how_prices_go(
    site: Site, scene: Scene, now: datetime
) -> None:
    busy(scene)
    for paths, knows in ((0, False), (8, True)):
        asked = known(site, scene, now, paths=paths)
        _, given = plan_for(asked, problem_for(asked))
        values = named(given, [fleet.name for fleet in site.fleets], [str(key) for key in asked.job_keys])
        assert set(values.fleets) == ({fleet.name for fleet in site.fleets} if knows else set())
        assert values.jobs.keys() == {"runs", "waits", "promised"}
        assert np.isnan(given.fleet_stay).any() != knows


def test_who_knows_the_prices_knows_the_one_way_they_go(site: Site, scene: Scene, now: datetime) -> None:
    asked = known(site, scene, now, paths=0)
    certain = replace(asked, outlook=knowing_prices(asked.outlook, asked.outlook.price_usd_per_mwh + 10.0))
    _, given = plan_for(certain, problem_for(certain))
    assert not np.isnan(given.fleet_stay).any()


def test_a_job_that_stops_while_the_plan_is_made_goes_on_when_it_can(site: Site, scene: Scene, now: datetime) -> None:
    """It cannot run in the plan's first step, which says nothing of what it is worth then."""
    scene.job("stops", "lab", 8, JobPhase.STOPPING)
    scene.job("waits", "lab", 8, JobPhase.WAITING)
    asked = known(site, scene, now)
    _, given = plan_for(asked, problem_for(asked))
    values = named(given, [fleet.name for fleet in site.fleets], [str(key) for key in asked.job_keys])
    assert values.jobs.keys() == {"waits"}
    scene.jobs[0] = replace(scene.jobs[0], phase=JobPhase.PAUSED)
    assert set(dispatch(site, scene.snapshot(), values).jobs) == {"stops", "waits"}
