"""Jobs as those who watch the site see them: whose deadline is at risk, and whose power it is."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from orchestrator.domain.sla import SlaClass
from orchestrator.domain.snapshot import JobStatus, PoolStatus

SPARE_SHARE = 0.1
"""Of the time left: a job with less of it to spare is at risk."""


@dataclass(frozen=True, slots=True)
class JobsWatched:
    """Open jobs together."""

    at_risk: Mapping[SlaClass, int]
    """How many of each class; every class is there."""
    estimated: Mapping[SlaClass, int]
    """Those whose progress is estimated, likewise."""
    gpus: Mapping[tuple[str, str], int]
    """Held by running and stopping jobs, by pool and tenant."""


def watch_jobs(jobs: Iterable[JobStatus], now: datetime) -> JobsWatched:
    """In one go through them: there may be ten thousand."""
    risks, estimated = dict.fromkeys(SlaClass, 0), dict.fromkeys(SlaClass, 0)
    gpus: dict[tuple[str, str], int] = {}
    for status in jobs:
        if at_risk(status, now):
            risks[status.tenant.sla] += 1
        if status.estimated:
            estimated[status.tenant.sla] += 1
        if status.view.phase.holds_gpus:
            whose = status.job.pool, status.job.tenant
            gpus[whose] = gpus.get(whose, 0) + status.view.gpus
    return JobsWatched(risks, estimated, gpus)


def at_risk(status: JobStatus, now: datetime) -> bool:
    """Whether an open job's deadline is still ahead, and at full speed it would take more than most of the time left.

    Full speed is all of its GPUs at their full power limit; a job that does not run has to restart first. How likely
    it is to get them is no part of this.
    """
    job = status.job
    if job.deadline is None:
        return False
    left_s = (job.deadline - now).total_seconds()
    if left_s <= 0.0:
        return False  # it is late, which is on record
    needed_s = status.left_gpu_seconds / job.gpus
    if not status.view.phase.holds_gpus:
        needed_s += job.restart.total_seconds()
    return needed_s > left_s * (1.0 - SPARE_SHARE)


def tenant_power_kw(
    pools: Mapping[str, PoolStatus], drawn_kw: Mapping[str, float], gpus: Mapping[tuple[str, str], int]
) -> dict[str, float]:
    """IT power of the tenants whose jobs hold `gpus`: what pools draw, less their idle nodes' part, by GPUs.

    A GPU that is held has its part of its node's idle draw, and an equal share of all that the pool draws above idle.
    """
    busy: dict[str, int] = {}
    for (name, _), count in gpus.items():
        busy[name] = busy.get(name, 0) + count
    power: dict[str, float] = {}
    for (name, tenant), count in gpus.items():
        pool = pools[name].pool
        above_idle_kw = max(drawn_kw[name] - pool.idle_kw, 0.0)
        kw = count * (pool.node_idle_kw / pool.gpus_per_node + above_idle_kw / busy[name])
        power[tenant] = power.get(tenant, 0.0) + kw
    return power
