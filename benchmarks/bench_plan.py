"""The plan at scale: cold and warm, and the values of its first step alone. Prints CPU seconds, gap and peak memory.

Not a test: run it on a quiet machine. `python benchmarks/bench_plan.py [--jobs N ...] [--load SHARE]`
"""

import argparse
import resource
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import numpy as np

from orchestrator.optimizer.bound import bound
from orchestrator.optimizer.kernels.arrays import Racks, Supply, Tasks
from orchestrator.optimizer.plan import make_plan
from orchestrator.optimizer.problem import Problem

FEEDERS, POOLS = 4, 4

Result = TypeVar("Result")


def make_problem(jobs: int, steps: int, fleets: int, load: float, *, step_h: float, windows: bool = False) -> Problem:
    """A site whose caps carry 88 % of everything and whose jobs ask for `load` of its GPUs, over `steps` steps.

    `windows`: jobs come over time and are gone again within a week, as a bound over a month sees them.
    """
    rng = np.random.default_rng(1)
    hours = np.arange(steps) * step_h
    evening = np.where((hours % 24.0 > 17.0) & (hours % 24.0 < 20.0), 80.0, 0.0)
    price = 40.0 + 25.0 * np.sin((hours % 24.0 - 9.0) / 24.0 * 2.0 * np.pi) + rng.normal(0.0, 6.0, steps) + evening
    eco_phs = 2.8e2 / rng.uniform(15.0, 30.0, fleets)
    racks_on = rng.integers(0, 41, fleets)
    rise_kw = np.tile([280.0, 70.0, 45.0], (fleets, 1))
    gpus = rng.choice([4.0, 8.0, 16.0, 32.0], jobs)
    left_h = rng.uniform(1.0, 10.0, jobs)
    sla = rng.choice(3, jobs, p=[0.2, 0.4, 0.4])
    first, last = np.zeros(jobs, dtype=np.int64), np.full(jobs, steps)
    if windows:
        first = np.sort(rng.integers(0, steps - 10, jobs))
        last = np.minimum(first + rng.integers(round(12 / step_h), round(168 / step_h), jobs), steps)
    pool_gpus = np.ceil(np.dot(gpus, left_h) / (steps * step_h) / load / POOLS)
    deadline = np.where(sla == 1, first + (left_h + rng.uniform(1.0, 20.0, jobs)) / step_h, np.inf)
    value = np.array([2.9, 2.1, 1.1])[sla]
    pool = rng.integers(0, POOLS, jobs)
    running, free = np.zeros(jobs, dtype=np.bool_), np.full(POOLS, pool_gpus)
    for job in range(jobs):
        if rng.random() < 0.4 and free[pool[job]] >= gpus[job] and not windows:
            running[job] = True
            free[pool[job]] -= gpus[job]
    total_kw = 40.0 * rise_kw.sum() + pool_gpus * POOLS * 0.63
    quarter = int(np.ceil(0.25 / step_h - 1e-9))
    return Problem(
        start=0.0,
        supply=Supply(
            step_h=step_h,
            price_usd_per_mwh=price,
            sell_usd_per_mwh=price.copy(),
            block_kw=np.zeros(steps),
            pue=np.full(steps, 1.08),
            import_kw=np.full(steps, total_kw * 0.88),
            feeder_kw=np.full((FEEDERS, steps), total_kw / FEEDERS * 0.93),
            gpus=np.full((POOLS, steps), pool_gpus),
            pool_feeder=np.arange(POOLS) % FEEDERS,
            gpu_kw=np.full(POOLS, 0.63),
            hashprice_usd_per_ph_day=np.full(steps, 55.0),
        ),
        racks=Racks(
            feeder=np.arange(fleets) % FEEDERS,
            on=racks_on,
            off=40 - racks_on,
            rise_kw=rise_kw,
            rise_phs=np.stack([eco_phs, 0.15 * eco_phs, 0.07 * eco_phs], axis=1),
            warm_up_h=np.full(fleets, 8.0 / 60.0),
            min_on=np.full(fleets, quarter),
            min_off=np.full(fleets, quarter),
            warm_left_h=np.zeros(fleets),
            on_left=np.zeros(fleets, dtype=np.int64),
            off_left=np.zeros(fleets, dtype=np.int64),
        ),
        tasks=Tasks(
            pool=pool,
            gpus=gpus,
            usd_per_gpu_h=value,
            credit_usd_per_gpu_h=np.where(deadline <= steps, 0.5 * value, 0.0),
            left_h=left_h,
            first=first,
            last=last,
            deadline=deadline,
            restart_h=np.full(jobs, 5.0 / 60.0),
            running=running,
            guaranteed=sla == 0,
            least_share=np.ones(jobs),
            step_share=np.ones(jobs),
        ),
        expected_gpus=np.zeros((POOLS, steps)),
        job_keys=range(jobs),
    )


def timed(call: Callable[[], Result]) -> tuple[float, Result]:
    began = time.process_time()
    result = call()
    return time.process_time() - began, result


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, nargs="*", default=[1_000, 10_000])
    parser.add_argument("--load", type=float, default=1.1)
    asked = parser.parse_args()
    small = make_problem(40, 24, 3, asked.load, step_h=1.0)
    make_plan(small, make_plan(small).duals)
    print(f"compiled; {peak_mb():.0f} MB before the first plan; load {asked.load:g} of the GPUs")
    for jobs in asked.jobs:
        problem = make_problem(jobs, 288, 20, asked.load, step_h=1.0 / 12.0)
        seconds, plan = timed(partial(make_plan, problem))
        print(f"cold {jobs:6d} jobs x 288 x 20 fleets: {seconds:5.2f} s, gap {plan.gap:.2%}, peak {peak_mb():.0f} MB")
        seconds, again = timed(partial(make_plan, problem, plan.duals))
        print(f"warm {jobs:6d} jobs: {seconds:5.2f} s, gap {again.gap:.2%}")
    quarter = make_problem(300, 96, 4, asked.load, step_h=0.25)
    duals = make_plan(quarter).duals
    for title, before in (("warm", duals), ("cold", None)):
        seconds_each = [timed(partial(make_plan, quarter, before))[0] for _ in range(100)]
        print(f"{title} 300 jobs x 96 x 4 fleets: median {statistics.median(seconds_each) * 1e3:.2f} ms")
    month = make_problem(9_000, 2_976, 4, asked.load, step_h=0.25, windows=True)
    seconds, usd = timed(lambda: bound(month))
    print(f"bound of a month, 9,000 jobs x 2,976: {seconds:5.2f} s, {usd:,.0f} USD, peak {peak_mb():.0f} MB")


if __name__ == "__main__":
    main()
