"""The problem says what columns, forecast and caps say."""

from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pytest

from orchestrator.accounting.charges.block import Ppa
from orchestrator.domain.limits import Curtailment
from orchestrator.domain.site.pue import Cooling
from orchestrator.domain.site.site import Site
from orchestrator.domain.snapshot import Snapshot
from orchestrator.domain.target import Target
from orchestrator.domain.work import JobPhase
from orchestrator.forecast.outlook import Outlook
from orchestrator.observe.columns import fleet_columns, job_columns
from orchestrator.optimizer.formulate import Hindsight, caps_ahead, fixed_kw, problem_of, pue_at
from orchestrator.optimizer.problem import Problem
from tests.power_block import charged
from tests.scenes import Scene

STEP = timedelta(minutes=15)
STEPS = 8


def outlook(now: datetime) -> Outlook:
    return Outlook(
        start=now,
        step=STEP,
        price_usd_per_mwh=np.full(STEPS, 50.0),
        price_quantiles={},
        hashprice_usd_per_ph_day=np.full(STEPS, 60.0),
        outdoor_c=np.full(STEPS, 20.0),
        arrivals_gpus={"h100": np.full(STEPS, 12.0)},
        paths_usd_per_mwh=np.zeros((0, STEPS)),
    )


def posed(site: Site, scene: Scene, now: datetime, *, credits_beyond: bool = True) -> Problem:
    return posed_of(site, scene.snapshot(), now, credits_beyond=credits_beyond)


def posed_of(site: Site, snapshot: Snapshot, now: datetime, *, credits_beyond: bool = True) -> Problem:
    fleets, jobs = fleet_columns(site, snapshot), job_columns(site, snapshot.jobs.values())
    end = now + STEPS * STEP
    all_along = Hindsight(
        fixed_kw(site, fleets, jobs), np.full(len(jobs), now.timestamp()), np.full(len(jobs), end.timestamp())
    )
    return problem_of(
        site,
        fleets,
        jobs,
        outlook(now),
        caps_ahead(site, snapshot.curtailments, now, STEP, STEPS),
        job_keys=list(snapshot.jobs),
        planned_share=1.0,
        hindsight=None if credits_beyond else all_along,
    )


def test_an_order_lowers_the_grid_cap_in_every_step_it_touches(site: Site, now: datetime) -> None:
    order = Curtailment(
        id="c1",
        limit_kw=1000.0,
        shed_kw=None,
        start=now + timedelta(minutes=20),
        until=now + timedelta(minutes=50),
        response=timedelta(0),
        reason="",
        source="iso",
    )
    caps = caps_ahead(site, [order, replace(order, limit_kw=1.0, cancelled_at=now)], now, STEP, STEPS)
    assert caps.grid_kw.tolist() == [3960.0, *[990.0] * 3, *[3960.0] * 4]
    assert caps.feeder_kw[:, 0].tolist() == [1980.0, 2475.0]
    at_b = replace(order, at=Target.feeder("b"))
    caps = caps_ahead(site, [at_b, replace(at_b, limit_kw=1.0, at=Target.feeder("gone"))], now, STEP, STEPS)
    assert caps.grid_kw.tolist() == [3960.0] * 8
    assert caps.feeder_kw.tolist() == [[1980.0] * 8, [2475.0, *[990.0] * 3, *[2475.0] * 4]]


def test_pue_follows_the_cooling_of_the_site() -> None:
    cooling = Cooling(((0.0, 1.03), (20.0, 1.05), (40.0, 1.13)))
    temperatures = np.array([-5.0, 10.0, 30.0, 50.0])
    assert pue_at(cooling, temperatures) == pytest.approx([cooling.pue(float(at)) for at in temperatures])


def test_what_cannot_move_is_taken_off_the_caps_and_the_block(site: Site, scene: Scene, now: datetime) -> None:
    site = charged(site, Ppa(2000.0, 38.0, 3.0))
    problem = posed(site, scene, now)
    asleep_kw = [fleet.racks * fleet.rack_kw("sleep") for fleet in site.fleets]
    idle_kw = site.pools[0].idle_kw
    fixed_kw = sum(asleep_kw) + idle_kw
    supply = problem.supply
    assert supply.import_kw[0] == pytest.approx(3960.0 / 1.1 - fixed_kw)
    assert supply.feeder_kw[:, 0] == pytest.approx([1980.0 / 1.1 - asleep_kw[0], 2475.0 / 1.1 - asleep_kw[1] - idle_kw])
    assert supply.block_kw[0] == pytest.approx(2000.0 - fixed_kw * 1.1)
    assert (supply.sell_usd_per_mwh == 47.0).all()
    assert problem.standing_usd == pytest.approx(2.0 * 38.0 * STEPS / 4)
    assert problem.expected_gpus[0, 0] == 12.0


def test_jobs_keep_their_rows_and_what_stops_comes_back_a_step_later(site: Site, scene: Scene, now: datetime) -> None:
    scene.job("runs", "bank", 64, JobPhase.RUNNING)
    scene.job("stops", "flux", 32, JobPhase.STOPPING, deadline_in_h=1.0)
    scene.job("waits", "lab", 8, JobPhase.WAITING)
    problem = posed(site, scene, now)
    tasks = problem.tasks
    assert problem.job_keys == ["runs", "stops", "waits"]
    assert tasks.running.tolist() == [True, False, False]
    assert tasks.guaranteed.tolist() == [True, False, False]
    assert tasks.first.tolist() == [0, 1, 0]
    assert tasks.deadline[1] == 4.0
    assert tasks.credit_usd_per_gpu_h.tolist() == [0.0, 1.0, 0.0]
    assert problem.supply.gpus[0].tolist() == [288.0, *[320.0] * 7]


def test_a_deadline_beyond_the_plan_counts_for_what_would_not_fit_after_it(
    site: Site, scene: Scene, now: datetime
) -> None:
    scene.job("late", "flux", 32, JobPhase.WAITING, run_h=8.0, deadline_in_h=8.0)
    problem = posed(site, scene, now)
    assert problem.tasks.left_h[0] == pytest.approx(8.0)
    assert problem.tasks.credit_usd_per_gpu_h[0] == pytest.approx(1.0 * 2.0 / 8.0)
    settled = posed(site, scene, now, credits_beyond=False)
    assert settled.tasks.credit_usd_per_gpu_h[0] == 0.0


def test_a_fleet_that_only_starts_to_draw_is_planned_at_nameplate(site: Site, scene: Scene, now: datetime) -> None:
    """Else it would cost and earn nothing, and the plan would have it sleep for the next day."""
    snapshot = scene.snapshot()
    starting = {name: replace(status, draw_share=0.0) for name, status in snapshot.fleets.items()}
    problems = [posed_of(site, seen, now) for seen in (snapshot, replace(snapshot, fleets=starting))]
    assert (problems[0].racks.rise_kw > 0.0).any()
    assert (problems[0].racks.rise_kw == problems[1].racks.rise_kw).all()
    assert (problems[0].racks.rise_phs == problems[1].racks.rise_phs).all()
