"""What holds of every plan: caps, promises, minimum times off, a bound above it, and the same plan twice."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.optimizer.bound import bound
from orchestrator.optimizer.kernels.arrays import Floats
from orchestrator.optimizer.plan import Effort, make_plan
from orchestrator.optimizer.problem import Problem
from orchestrator.optimizer.unkept_promises import Promise, with_room_for_promises
from orchestrator.optimizer.warm_start import Duals, warm_start
from tests.optimizer.small_problems import profit_usd, small_problem

ANY_SPEED = settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.too_slow])
QUICK = Effort(cold_iterations=12, warm_iterations=3, rounds_per_job=2.0)
ROUNDING = 1e-6


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    problem = small_problem(
        draw(st.integers(0, 10_000)),
        steps=draw(st.sampled_from([8, 12, 24])),
        fleets=draw(st.integers(0, 3)),
        jobs=draw(st.integers(0, 12)),
        racks=draw(st.integers(1, 4)),
        room=draw(st.floats(0.0, 1.2)),
        step_h=draw(st.sampled_from([0.25, 0.5])),
        block=draw(st.booleans()),
        low_usd=draw(st.sampled_from([-200.0, 10.0])),
    )
    tasks, racks = problem.tasks, problem.racks
    jobs = len(tasks.pool)
    restart_h = np.array([draw(st.sampled_from([0.0, 0.1, 0.7])) for _ in range(jobs)])
    elastic = np.array([draw(st.booleans()) for _ in range(jobs)], dtype=np.bool_) & ~tasks.guaranteed
    part = np.where(elastic, 0.25, 1.0)
    return replace(
        problem,
        tasks=tasks._replace(restart_h=restart_h, least_share=part, step_share=part),
        racks=racks._replace(
            min_off=np.full_like(racks.min_off, draw(st.integers(1, 4))),
            min_on=np.full_like(racks.min_on, draw(st.integers(0, 4))),
        ),
    )


@ANY_SPEED
@given(problems())
def test_caps_are_never_broken(problem: Problem) -> None:
    plan = make_plan(problem, effort=QUICK)
    allowed = with_room_for_promises(problem).supply
    supply, tasks, racks = problem.supply, problem.tasks, problem.racks
    feeder_kw = np.zeros_like(supply.feeder_kw)
    gpus = np.zeros_like(supply.gpus)
    for job in range(len(tasks.pool)):
        gpus[tasks.pool[job]] += plan.job_gpus[job]
        feeder_kw[supply.pool_feeder[tasks.pool[job]]] += plan.job_gpus[job] * supply.gpu_kw[tasks.pool[job]]
    for fleet in range(len(racks.feeder)):
        feeder_kw[racks.feeder[fleet]] += racks.rise_kw[fleet] @ plan.fleet_racks[fleet]
    assert (gpus <= allowed.gpus + ROUNDING).all()
    assert (feeder_kw <= allowed.feeder_kw + ROUNDING).all()
    assert (feeder_kw.sum(axis=0) <= allowed.import_kw + ROUNDING).all()


@ANY_SPEED
@given(problems())
def test_profit_is_what_the_setpoints_earn_and_under_the_bound(problem: Problem) -> None:
    plan = make_plan(problem, effort=QUICK)
    assert plan.profit_usd <= plan.bound_usd + ROUNDING * max(abs(plan.bound_usd), 1.0)
    assert plan.profit_usd <= bound(problem, iterations=5) + ROUNDING * max(abs(plan.bound_usd), 1.0)
    # Counts of racks tell how many wake only where no other falls asleep at the same moment: with one rack a fleet.
    one_each = replace(
        problem, racks=problem.racks._replace(on=np.minimum(problem.racks.on, 1), off=0 * problem.racks.on)
    )
    plan = make_plan(one_each, effort=QUICK)
    assert profit_usd(one_each, plan) == pytest.approx(plan.profit_usd, rel=1e-9, abs=1e-6)


@ANY_SPEED
@given(problems())
def test_guaranteed_jobs_are_never_stopped(problem: Problem) -> None:
    plan = make_plan(problem, effort=QUICK)
    tasks, hours = problem.tasks, problem.supply.step_h
    for job in np.nonzero(tasks.guaranteed)[0]:
        on = np.nonzero(plan.job_gpus[job])[0]
        if tasks.running[job]:
            assert on[0] == 0
        if not len(on):
            continue
        assert (np.diff(on) == 1).all()
        assert (plan.job_gpus[job, on] == tasks.gpus[job]).all()
        needed_h = tasks.left_h[job] + (0.0 if tasks.running[job] else tasks.restart_h[job])
        assert len(on) * hours >= needed_h - ROUNDING or on[-1] == problem.steps - 1


@ANY_SPEED
@given(problems())
def test_racks_stay_asleep_and_awake_for_their_minimum_times(problem: Problem) -> None:
    one_each = replace(
        problem, racks=problem.racks._replace(on=np.minimum(problem.racks.on, 1), off=0 * problem.racks.on)
    )
    plan = make_plan(one_each, effort=QUICK)
    for fleet in range(len(one_each.racks.feeder)):
        awake = plan.fleet_racks[fleet, 0] > 0
        changes = np.nonzero(np.diff(awake.astype(np.int8)))[0] + 1
        for at, next_at in pairwise(changes):
            least = one_each.racks.min_on[fleet] if awake[at] else one_each.racks.min_off[fleet]
            assert next_at - at >= least


@ANY_SPEED
@given(problems())
def test_the_same_problem_has_the_same_plan(problem: Problem) -> None:
    first, second = make_plan(problem, effort=QUICK), make_plan(problem, effort=QUICK)
    assert (first.job_gpus == second.job_gpus).all()
    assert (first.fleet_racks == second.fleet_racks).all()
    assert first.bound_usd == second.bound_usd
    assert (first.thresholds.job_stay == second.thresholds.job_stay).all()


@ANY_SPEED
@given(problems())
def test_a_site_without_room_still_has_a_plan_and_says_what_breaks(problem: Problem) -> None:
    supply = problem.supply
    dark = replace(problem, supply=supply._replace(import_kw=0.0 * supply.import_kw, feeder_kw=0.0 * supply.feeder_kw))
    plan = make_plan(dark, effort=QUICK)
    tasks = problem.tasks
    must = tasks.guaranteed & tasks.running
    assert plan.fleet_racks.sum() == 0
    assert (plan.job_gpus[~must] == 0).all()
    caps = [promise for promise in plan.broken if promise.kind is Promise.CAP and promise.subject is None]
    assert len(caps) == (1 if must.any() else 0)
    if caps:
        assert caps[0].kw == pytest.approx(float(np.dot(tasks.gpus, must) * 0.63))
    waits = {dark.job_keys[job] for job in np.nonzero(tasks.guaranteed & ~tasks.running)[0].tolist()}
    starts = {promise.subject for promise in plan.broken if promise.kind is Promise.GUARANTEED_START}
    assert starts == waits
    late = {promise.subject for promise in plan.broken if promise.kind is Promise.DEADLINE}
    assert late == {dark.job_keys[job] for job in np.nonzero(tasks.credit_usd_per_gpu_h > 0.0)[0].tolist()}


@ANY_SPEED
@given(problems(), st.integers(0, 30))
def test_any_prices_to_start_from_give_a_plan_under_a_bound(problem: Problem, gone: int) -> None:
    before = make_plan(problem, effort=QUICK).duals
    later = replace(problem, start=problem.start + gone * problem.step_s, job_keys=problem.job_keys[::-1])
    plan = make_plan(later, before, QUICK)
    assert plan.profit_usd <= plan.bound_usd + ROUNDING * max(abs(plan.bound_usd), 1.0)


def test_a_warm_start_knows_jobs_again_by_key_and_moves_prices_on() -> None:
    problem = small_problem(3, jobs=4)
    scarce = np.tile(np.arange(problem.steps, dtype=float), (6, 1))
    before = Duals(problem.start, problem.step_s, scarce, ["job-2", "gone"], np.array([1.5, 9.0]))
    later = replace(problem, start=problem.start + 3 * problem.step_s)
    prices = warm_start(later, before)
    assert prices.work.tolist() == [0.0, 0.0, 1.5, 0.0]
    assert prices.scarce[0, : problem.steps - 3].tolist() == list(range(3, problem.steps))
    assert (prices.scarce[-1] == later.supply.price_usd_per_mwh).all()


def test_thresholds_stop_a_rack_in_a_spike_and_keep_it_where_a_restart_costs_more() -> None:
    problem = small_problem(5, jobs=0, fleets=1, step_h=0.25, room=2.0)
    flat = problem.supply._replace(price_usd_per_mwh=np.full(12, 10.0), sell_usd_per_mwh=np.full(12, 10.0))
    found = make_plan(replace(problem, supply=flat), None, QUICK).thresholds
    racks = problem.racks
    worth = racks.rise_phs[0, 0] / 24.0 * 55.0 / racks.rise_kw[0, 0] / flat.pue[0] * 1000.0
    assert found.fleet_stay[0] > worth  # to stop for a step costs a warm-up after it
    assert found.fleet_wake[0] < found.fleet_stay[0]


def one_job(prices: Floats, room: float, **figures: float) -> Problem:
    """A best-effort or flexible job of 8 GPUs that may run from the first step on, in steps of a quarter of an hour."""
    problem = small_problem(1, steps=len(prices), fleets=0, jobs=1, racks=1, room=room, step_h=0.25, low_usd=10.0)
    columns = {
        name: np.full(1, value, dtype=getattr(problem.tasks, name).dtype)
        for name, value in {
            "gpus": 8.0,
            "first": 0,
            "last": len(prices),
            "guaranteed": False,
            "least_share": 1.0,
            "step_share": 1.0,
            **figures,
        }.items()
    }
    return replace(
        problem,
        supply=problem.supply._replace(price_usd_per_mwh=prices, sell_usd_per_mwh=prices),
        tasks=problem.tasks._replace(**columns),
    )


def earned_usd(problem: Problem, work_h: float, usd_per_gpu_h: float, drawn_h: dict[int, float]) -> float:
    """What its job earns by `work_h` hours on all its GPUs, which draw power for so many hours of each step."""
    supply = problem.supply
    prices, kw = supply.price_usd_per_mwh, supply.gpu_kw[problem.tasks.pool[0]] * 8.0
    fixed_usd = -float(np.dot(supply.block_kw, prices)) * 0.25 / 1000.0
    energy_usd = kw * sum(prices[at] * supply.pue[at] * hours for at, hours in drawn_h.items()) / 1000.0
    return float(8.0 * usd_per_gpu_h * work_h - energy_usd - fixed_usd)


def test_a_restart_that_is_paid_for_before_the_last_part_of_its_work_is_in_the_bound() -> None:
    """The job runs in the first step, and does its last 4 minutes after a restart in the fifth, where power pays."""
    prices = np.full(12, 100.0)
    prices[0], prices[4] = -1000.0, -195.0
    problem = one_job(
        prices,
        1.0,
        usd_per_gpu_h=0.05,
        credit_usd_per_gpu_h=0.0,
        left_h=0.316,
        deadline=np.inf,
        restart_h=0.1,
        running=True,
    )
    earned = earned_usd(problem, 0.316, 0.05, {0: 0.25, 4: 0.1 + 0.066})
    assert bound(problem, iterations=80) >= earned - 1e-9


def test_work_that_begins_and_ends_before_a_deadline_within_its_step_is_in_the_bound() -> None:
    """In the second step: 2 minutes of restart and 8 of work, where the deadline is 13 minutes after its begin."""
    prices = np.full(8, 53.0)
    prices[0] = 3700.0
    work_h, restart_h = 8 / 60, 2 / 60
    problem = one_job(
        prices,
        1.2,
        usd_per_gpu_h=2.0,
        credit_usd_per_gpu_h=1.0,
        left_h=work_h,
        deadline=1.0 + 13 / 15,
        restart_h=restart_h,
        running=False,
    )
    # The credit is owed only where it is late.
    earned = earned_usd(problem, work_h, 2.0, {1: work_h + restart_h})
    assert bound(problem, iterations=80) >= earned - 1e-9


def test_power_costs_what_jobs_make_of_it_where_they_alone_are_beyond_the_cap() -> None:
    """Jobs that would run all the time, a fifth of them in the room there is: a MWh at the grid is worth what they earn
    by it, less its energy. A tenth of that, which is what mining makes of it, let a plan take power for cheap."""
    problem = small_problem(1, jobs=10, racks=2)
    tasks, supply = problem.tasks, problem.supply
    jobs_kw = float(np.dot(tasks.gpus, supply.gpu_kw[tasks.pool]))
    problem = replace(
        problem,
        supply=supply._replace(import_kw=np.full(problem.steps, 0.2 * jobs_kw), gpus=np.full_like(supply.gpus, 1e3)),
        tasks=tasks._replace(
            usd_per_gpu_h=np.full(10, 2.0),
            credit_usd_per_gpu_h=np.zeros(10),
            left_h=np.full(10, problem.steps * supply.step_h),
            first=np.zeros(10, dtype=np.int64),
            running=np.zeros(10, dtype=np.bool_),
            guaranteed=np.zeros(10, dtype=np.bool_),
        ),
    )
    worth = 2.0 / 0.63 * 1000.0 / supply.pue - supply.price_usd_per_mwh
    assert make_plan(problem).power_usd_per_mwh == pytest.approx(worth, rel=0.2)
