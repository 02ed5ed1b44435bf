"""On small cases HiGHS solves the exact problem: bound >= optimum >= our profit, and not far apart."""

from dataclasses import replace
from typing import Any

import highspy
import numpy as np
import pytest

from orchestrator.optimizer.bound import bound
from orchestrator.optimizer.plan import Effort, make_plan
from orchestrator.optimizer.problem import Problem
from tests.optimizer.small_problems import profit_usd, small_problem

ROUNDING_USD = 0.01
THOROUGH = Effort(cold_iterations=300, rounds_per_job=20.0)


def optimum_usd(problem: Problem, *, divisible: bool = False) -> float:
    """The most any plan earns, racks and jobs one by one, or in parts if `divisible`; warm-ups and restarts within a
    step."""
    supply, tasks, racks = problem.supply, problem.tasks, problem.racks
    steps, hours = problem.steps, supply.step_h
    highs: Any = highspy.Highs()  # type: ignore[no-untyped-call]
    highs.silent()
    highs.setOptionValue("mip_rel_gap", 1e-7)

    def switch() -> Any:
        return highs.addVariable(0.0, 1.0) if divisible else highs.addBinary()

    power: list[list[list[Any]]] = [[[] for _ in range(steps)] for _ in supply.feeder_kw]  # reserved kW
    drawn: list[list[Any]] = [[] for _ in range(steps)]  # kW on average over the step
    gpus: list[list[list[Any]]] = [[[] for _ in range(steps)] for _ in supply.gpus]
    usd: list[Any] = []
    for fleet in range(len(racks.feeder)):
        warm_h, min_on, min_off = racks.warm_up_h[fleet], racks.min_on[fleet], racks.min_off[fleet]
        for rack in range(racks.on[fleet] + racks.off[fleet]):
            on = [switch() for _ in range(steps)]
            wakes = [switch() for _ in range(steps)]
            sleeps = [switch() for _ in range(steps)]
            before: Any = 1.0 if rack < racks.on[fleet] else 0.0
            for step in range(steps):
                highs.addConstr(on[step] - before == wakes[step] - sleeps[step])
                highs.addConstr(sum(wakes[max(step - min_on + 1, 0) : step + 1]) <= on[step])
                highs.addConstr(sum(sleeps[max(step - min_off + 1, 0) : step + 1]) <= 1 - on[step])
                before = on[step]
                below: Any = on[step]
                for level in range(racks.rise_kw.shape[1]):
                    kw, phs = racks.rise_kw[fleet, level], racks.rise_phs[fleet, level]
                    taken, fresh = on[step], wakes[step]
                    if level:
                        taken, fresh = switch(), switch()
                        highs.addConstr(taken <= below)
                        highs.addConstr(fresh >= taken + wakes[step] - 1)
                    below = taken
                    rate = phs * supply.hashprice_usd_per_ph_day[step] / 24.0
                    usd.append(rate * hours * taken - rate * warm_h * fresh)
                    power[racks.feeder[fleet]][step].append(kw * taken)
                    drawn[step].append(kw * taken)
    for job in range(len(tasks.pool)):
        left_h, restart_h = float(tasks.left_h[job]), float(tasks.restart_h[job])
        pool, count = tasks.pool[job], float(tasks.gpus[job])
        kw = count * float(supply.gpu_kw[pool])
        on = [switch() for _ in range(steps)]
        starts = [switch() for _ in range(steps)]
        used = [highs.addVariable(0.0, 1.0) for _ in range(steps)]
        work = [highs.addVariable(0.0, hours) for _ in range(steps)]
        done = [switch() for _ in range(steps)]
        was: Any = 1.0 if tasks.running[job] else 0.0
        for step in range(steps):
            highs.addConstr(starts[step] >= on[step] - was)
            highs.addConstr(used[step] <= on[step])
            highs.addConstr(used[step] >= on[step] - done[step])
            highs.addConstr(work[step] == hours * used[step] - restart_h * starts[step])
            highs.addConstr(sum(work[: step + 1]) >= left_h * done[step])
            if tasks.guaranteed[job]:  # it stops when its work is done, not before
                highs.addConstr(on[step] >= was - (done[step - 1] if step else 0.0))
            if step < tasks.first[job]:
                highs.addConstr(on[step] == 0)
            was = on[step]
            in_time = tasks.credit_usd_per_gpu_h[job] if step + 1 <= tasks.deadline[job] else 0.0
            usd.append(float((tasks.usd_per_gpu_h[job] + in_time) * count) * work[step])
            power[supply.pool_feeder[pool]][step].append(kw * on[step])
            drawn[step].append(kw * used[step])
            gpus[pool][step].append(count * on[step])
        highs.addConstr(sum(work) <= left_h)
    for step in range(steps):
        cost = highs.addVariable(-1e9, 1e9)
        beyond_kw = float(supply.pue[step]) * sum(drawn[step]) - float(supply.block_kw[step])
        for price in (supply.price_usd_per_mwh[step], supply.sell_usd_per_mwh[step]):
            highs.addConstr(cost >= float(price) * hours / 1000.0 * beyond_kw)
        usd.append(-1.0 * cost)
        highs.addConstr(sum(sum(power[feeder][step]) for feeder in range(len(power))) <= supply.import_kw[step])
        for feeder in range(len(power)):
            if power[feeder][step]:
                highs.addConstr(sum(power[feeder][step]) <= supply.feeder_kw[feeder, step])
        for pool in range(len(gpus)):
            if gpus[pool][step]:
                highs.addConstr(sum(gpus[pool][step]) <= supply.gpus[pool, step])
    highs.maximize(sum(usd))
    assert highs.getModelStatus() == highspy.HighsModelStatus.kOptimal
    owed = float(np.sum(tasks.credit_usd_per_gpu_h * tasks.gpus * tasks.left_h))
    return float(highs.getObjectiveValue()) - owed


def turnover_usd(problem: Problem) -> float:
    """All the hash and work that could be sold: what gaps are measured by, since profits may be near nothing."""
    racks, tasks = problem.racks, problem.tasks
    hash_usd_per_h = np.dot(racks.on + racks.off, racks.rise_phs.sum(axis=1)) * 55.0 / 24.0
    return float(
        np.sum(tasks.usd_per_gpu_h * tasks.gpus * tasks.left_h) + hash_usd_per_h * problem.steps * problem.supply.step_h
    )


@pytest.mark.parametrize(
    ("seed", "steps", "fleets", "jobs", "room", "block"),
    [
        (1, 12, 2, 4, 0.8, False),
        (2, 12, 3, 5, 0.6, False),
        (3, 10, 2, 6, 0.9, False),
        (4, 8, 2, 4, 0.7, True),
        (5, 12, 2, 4, 0.5, True),
        (6, 16, 2, 3, 0.8, False),
        (11, 12, 2, 5, 0.8, False),
        (12, 12, 3, 6, 0.7, True),
    ],
)
def test_bound_is_above_the_optimum_and_the_plan_near_it(
    seed: int, steps: int, fleets: int, jobs: int, room: float, block: bool
) -> None:
    problem = small_problem(seed, steps=steps, fleets=fleets, jobs=jobs, room=room, block=block, racks=3)
    plan = make_plan(problem, effort=THOROUGH)
    best = optimum_usd(problem)
    earned = profit_usd(problem, plan)
    assert plan.profit_usd == pytest.approx(earned, abs=ROUNDING_USD)
    assert plan.bound_usd >= best - ROUNDING_USD
    assert bound(problem) >= best - ROUNDING_USD
    assert best >= earned - ROUNDING_USD
    turnover = turnover_usd(problem)
    # Racks are whole and few here, and one may be a tenth of the site: so far apart and no further.
    assert plan.bound_usd - best <= 0.035 * turnover
    assert best - earned <= 0.02 * turnover


def too_little_power(seed: int, room: float) -> Problem:
    """Caps at `room` of what the jobs draw together, and jobs that earn far more than mining does, two or more of them
    guaranteed: promises that no plan keeps."""
    problem = small_problem(seed, jobs=6, racks=3)
    tasks = problem.tasks
    jobs_kw = float(np.dot(tasks.gpus, problem.supply.gpu_kw[tasks.pool]))
    guaranteed = tasks.guaranteed.copy()
    guaranteed[:2] = True
    return replace(
        problem,
        supply=problem.supply._replace(import_kw=np.full(problem.steps, room * jobs_kw)),
        tasks=tasks._replace(
            usd_per_gpu_h=4.0 * tasks.usd_per_gpu_h,
            credit_usd_per_gpu_h=4.0 * tasks.credit_usd_per_gpu_h,
            guaranteed=guaranteed,
            running=np.zeros(len(guaranteed), dtype=np.bool_),
        ),
    )


@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5, 6, 7, 8])
@pytest.mark.parametrize("room", [0.15, 0.4])
def test_bound_is_near_where_jobs_alone_are_beyond_the_caps(seed: int, room: float) -> None:
    """At mining's price of power it was up to 40 % of all work above the best that jobs in parts could earn."""
    problem = too_little_power(seed, room)
    in_parts = optimum_usd(problem, divisible=True)
    found = bound(problem)
    assert found >= optimum_usd(problem) - ROUNDING_USD
    assert found - in_parts <= 0.03 * turnover_usd(problem)
    assert make_plan(problem).bound_usd >= optimum_usd(problem) - ROUNDING_USD


def test_bound_holds_at_negative_prices() -> None:
    problem = small_problem(7, steps=10, fleets=2, jobs=4, low_usd=-150.0)
    plan = make_plan(problem, effort=THOROUGH)
    best = optimum_usd(problem)
    assert plan.bound_usd >= best - ROUNDING_USD
    assert best >= profit_usd(problem, plan) - ROUNDING_USD


def test_take_or_pay_runs_what_spot_alone_would_not() -> None:
    problem = small_problem(8, fleets=2, jobs=0, block=True, room=2.0)
    supply = problem.supply
    dear = replace(
        problem,
        supply=supply._replace(
            price_usd_per_mwh=np.full(problem.steps, 500.0), sell_usd_per_mwh=np.zeros(problem.steps)
        ),
    )
    at_spot = replace(dear, supply=dear.supply._replace(sell_usd_per_mwh=np.full(problem.steps, 500.0)))
    assert make_plan(dear).fleet_kw.sum() > 0.0
    assert make_plan(at_spot).fleet_kw.sum() == 0.0
