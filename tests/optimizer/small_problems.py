"""Small problems to plan, made from a seed, and what a plan of one earns, reckoned from its setpoints alone."""

import numpy as np

from orchestrator.optimizer.kernels.arrays import Racks, Supply, Tasks
from orchestrator.optimizer.plan import Plan
from orchestrator.optimizer.problem import Problem


def small_problem(
    seed: int,
    *,
    steps: int = 12,
    fleets: int = 2,
    jobs: int = 5,
    racks: int = 2,
    room: float = 0.8,
    step_h: float = 0.5,
    block: bool = False,
    low_usd: float = 10.0,
) -> Problem:
    """Two feeders with a pool each; caps at `room` of all there is, prices from `low_usd` to 160 USD/MWh."""
    rng = np.random.default_rng(seed)
    rise_kw = np.tile([200.0, 60.0], (fleets, 1))
    eco_phs = 200.0 / rng.uniform(16.0, 32.0, fleets)
    on = rng.integers(0, racks + 1, fleets)
    pool_gpus = rng.integers(20, 60, 2).astype(float)
    gpus = rng.choice([4.0, 8.0, 16.0], jobs)
    pool = rng.integers(0, 2, jobs)
    sla = rng.integers(0, 3, jobs)
    running = np.zeros(jobs, dtype=np.bool_)
    free = pool_gpus.copy()
    for job in range(jobs):
        if rng.random() < 0.4 and free[pool[job]] >= gpus[job]:
            running[job] = True
            free[pool[job]] -= gpus[job]
    first = np.where(running, 0, rng.integers(0, steps // 3, jobs))
    value = np.array([2.9, 2.1, 1.1])[sla] * rng.uniform(0.1, 1.0, jobs)
    deadline = np.where(sla == 1, rng.integers(steps // 3, steps, jobs), np.inf)
    total_kw = racks * rise_kw.sum() + pool_gpus.sum() * 0.63
    price = rng.uniform(low_usd, 160.0, steps)
    return Problem(
        start=1_700_000_000.0,
        supply=Supply(
            step_h=step_h,
            price_usd_per_mwh=price,
            sell_usd_per_mwh=price * rng.uniform(0.0, 1.0, steps) if block and low_usd >= 0.0 else price.copy(),
            block_kw=np.full(steps, total_kw * 0.5 if block else -100.0),
            pue=rng.uniform(1.03, 1.12, steps),
            import_kw=np.full(steps, total_kw * room),
            feeder_kw=np.full((2, steps), total_kw * room * 0.7),
            gpus=np.repeat(pool_gpus[:, None], steps, axis=1),
            pool_feeder=np.array([0, 1]),
            gpu_kw=np.array([0.63, 0.63]),
            hashprice_usd_per_ph_day=np.full(steps, 55.0),
        ),
        racks=Racks(
            feeder=np.arange(fleets) % 2,
            on=on,
            off=racks - on,
            rise_kw=rise_kw,
            rise_phs=np.stack([eco_phs, 0.2 * eco_phs], axis=1),
            warm_up_h=np.full(fleets, 0.2),
            min_on=np.full(fleets, 2),
            min_off=np.full(fleets, 2),
            warm_left_h=np.zeros(fleets),
            on_left=np.zeros(fleets, dtype=np.int64),
            off_left=np.zeros(fleets, dtype=np.int64),
        ),
        tasks=Tasks(
            pool=pool,
            gpus=gpus,
            usd_per_gpu_h=value,
            credit_usd_per_gpu_h=np.where(sla == 1, 0.5 * value, 0.0),
            left_h=rng.uniform(0.3, steps * step_h * 0.7, jobs),
            first=first,
            last=np.full(jobs, steps),
            deadline=deadline,
            restart_h=np.full(jobs, 0.1),
            running=running,
            guaranteed=sla == 0,
            least_share=np.ones(jobs),
            step_share=np.ones(jobs),
        ),
        expected_gpus=np.zeros((2, steps)),
        job_keys=[f"job-{number}" for number in range(jobs)],
    )


def profit_usd(problem: Problem, plan: Plan) -> float:
    """Step by step, each job and each fleet: hash and work sold, less energy and credits. Warm-ups within a step."""
    supply, tasks, racks = problem.supply, problem.tasks, problem.racks
    hours = supply.step_h
    grid_kw = np.zeros(problem.steps)
    usd = 0.0
    for job in range(len(tasks.pool)):
        left_h, in_time_h, was_on, owed_h = float(tasks.left_h[job]), 0.0, bool(tasks.running[job]), 0.0
        for step in range(problem.steps):
            gpus = float(plan.job_gpus[job, step])
            if gpus == 0.0:
                was_on = False
                continue
            owed_h = owed_h if was_on else float(tasks.restart_h[job])
            was_on = True
            share, lost_h = gpus / float(tasks.gpus[job]), min(owed_h, hours)
            owed_h -= lost_h
            work_h = min((hours - lost_h) * share, left_h)
            left_h -= work_h
            if step + 1 <= tasks.deadline[job]:
                in_time_h += work_h
            usd += work_h * tasks.gpus[job] * tasks.usd_per_gpu_h[job]
            pool = tasks.pool[job]
            grid_kw[step] += gpus * supply.gpu_kw[pool] * supply.pue[step] * (lost_h + work_h / share) / hours
        usd -= (tasks.left_h[job] - in_time_h) * tasks.gpus[job] * tasks.credit_usd_per_gpu_h[job]
    for fleet in range(len(racks.feeder)):
        before = int(racks.on[fleet])
        for step in range(problem.steps):
            for level in range(racks.rise_kw.shape[1]):
                count = int(plan.fleet_racks[fleet, level, step])
                woken = max(count - before, 0) if level == 0 else 0
                hash_h = count * hours - woken * float(racks.warm_up_h[fleet])
                usd += racks.rise_phs[fleet, level] * hash_h * supply.hashprice_usd_per_ph_day[step] / 24.0
                grid_kw[step] += count * racks.rise_kw[fleet, level] * supply.pue[step]
            before = int(plan.fleet_racks[fleet, 0, step])
    for step in range(problem.steps):
        beyond_mwh = (grid_kw[step] - supply.block_kw[step]) * hours / 1000.0
        bought = beyond_mwh > 0.0
        usd -= beyond_mwh * (supply.price_usd_per_mwh[step] if bought else supply.sell_usd_per_mwh[step])
    return float(usd)
