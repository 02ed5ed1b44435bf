"""A simulated stream of jobs: what a site's tenants might hand in over a day. No trace of a real cluster."""

import heapq
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random

from orchestrator.domain.site.gpus import GpuPool
from orchestrator.domain.site.site import Site, Tenant
from orchestrator.domain.sla import SlaClass
from orchestrator.domain.work import Job

FILL = (0.85, 0.95)
"""Share of a pool's GPUs that the jobs would keep busy, were each run at once and at full power."""
GUARANTEED_SHARE = 0.5
"""Of a pool's GPUs, all guaranteed jobs until their deadlines: they never wait for each other."""
SIZES = ((1, 0.20), (2, 0.30), (4, 0.35), (8, 0.15))
"""(Size as a multiple of the pool's unit, its weight). The unit is the power of two at or under 1/16 of the pool."""
MEDIAN_RUN_H = 7.5
RUN_SIGMA = 0.6
RUN_H = (1.0, 12.0)
"""Run time is lognormal, cut off to this."""
CHECKPOINT_EVERY = timedelta(minutes=30)
RESTART_S = (180.0, 360.0)
NEXT_AFTER_S = (0.0, 300.0)
"""From the end of one job until the next is handed in."""


def job_stream(site: Site, start: datetime, end: datetime, seed: int) -> tuple[Job, ...]:
    """Jobs submitted from `start` (a full site's worth at once, some part done elsewhere) until before `end`.

    In order of submission, the same for the same arguments; a later `end` only adds jobs.
    """
    jobs = [job for pool in site.pools for job in pool_stream(pool, site.tenants, start, end, seed)]
    jobs.sort(key=lambda job: job.submitted_at)
    return tuple(replace(job, name=f"{label(job.tenant)}-{number:04d}") for number, job in enumerate(jobs, 1))


def pool_stream(pool: GpuPool, tenants: Sequence[Tenant], start: datetime, end: datetime, seed: int) -> Iterator[Job]:
    """The jobs of one pool in order of submission, made up as they are asked for; they have no name yet."""
    random = Random(f"{seed}/{pool.name}")  # noqa: S311  a simulation, no secret
    sizes = _sizes(pool)
    ends: list[tuple[datetime, int]] = []
    guaranteed: list[tuple[datetime, int]] = []
    busy = 0
    at = start
    while at < end:
        while busy < FILL[0] * pool.gpus:
            room = {gpus: weight for gpus, weight in sizes.items() if busy + gpus <= max(FILL[1] * pool.gpus, 1)}
            if not room:
                break
            gpus = random.choices(list(room), list(room.values()))[0]
            guaranteed = [promise for promise in guaranteed if promise[0] > at]
            promised = sum(held for _, held in guaranteed)
            able = [
                tenant
                for tenant in tenants
                if not tenant.sla.rules.at_any_price or promised + gpus <= GUARANTEED_SHARE * pool.gpus
            ]
            if not able:
                break
            tenant = random.choice(able)
            job = _job(random, tenant, pool, gpus, at, begun=at == start)
            if job.deadline is not None and tenant.sla.rules.at_any_price:
                guaranteed.append((job.deadline, gpus))
            heapq.heappush(ends, (at + job.restart + job.run_time, gpus))
            busy += gpus
            yield job
        if not ends:
            return
        ended_at, gpus = heapq.heappop(ends)
        busy -= gpus
        at = max(at, _whole_seconds(ended_at, random.uniform(*NEXT_AFTER_S)))


def _job(random: Random, tenant: Tenant, pool: GpuPool, gpus: int, at: datetime, *, begun: bool) -> Job:
    run_h = min(max(random.lognormvariate(math.log(MEDIAN_RUN_H), RUN_SIGMA), RUN_H[0]), RUN_H[1])
    if begun:
        run_h = max(run_h * random.uniform(0.3, 1.0), RUN_H[0])
    run_s = round(run_h * 3600.0)
    deadline = {
        SlaClass.GUARANTEED: timedelta(seconds=round(run_s * 1.15), minutes=30),
        SlaClass.FLEXIBLE: timedelta(seconds=round(run_s * random.uniform(1.5, 3.0)), minutes=30),
        SlaClass.BEST_EFFORT: None,
    }[tenant.sla]
    return Job(
        name="",
        tenant=tenant.name,
        pool=pool.name,
        gpus=gpus,
        work_gpu_seconds=float(gpus * run_s),
        submitted_at=at,
        deadline=at + deadline if deadline is not None else None,
        checkpoint_every=CHECKPOINT_EVERY,
        restart=timedelta(seconds=round(random.uniform(*RESTART_S))),
    )


def _sizes(pool: GpuPool) -> dict[int, float]:
    """Weight by GPUs of a job."""
    unit = 1 << max(pool.gpus // 16, 1).bit_length() - 1
    return {unit * size: weight for size, weight in SIZES if unit * size <= pool.gpus}


def _whole_seconds(at: datetime, after_s: float) -> datetime:
    return at + timedelta(seconds=round(after_s))


def label(name: str) -> str:
    """`name` as the start of a Kubernetes object's name."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40] or "tenant"
