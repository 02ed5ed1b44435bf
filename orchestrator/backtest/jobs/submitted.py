"""The jobs that are submitted over a backtest, as columns in order of submission."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from math import inf
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from orchestrator.domain.site.site import Site
from orchestrator.domain.work import Job

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

AFTER_DEADLINE_S = 24 * 3600.0
"""A tenant withdraws a job that is not done so long after its deadline."""
WITHOUT_DEADLINE_S = 7 * 86_400.0
"""A tenant withdraws a job without a deadline that is not done so long after it was submitted."""


@dataclass(frozen=True, slots=True)
class SubmittedJobs:
    """A row for each job; times are unix seconds."""

    pool: Ints
    """Row of the pool in the site file."""
    tenant: Ints
    """Row of the tenant in the site file."""
    sla: Ints
    """As `SlaClass.number`."""
    gpus: Ints
    work_gpu_seconds: Floats
    submitted_at: Floats
    deadline: Floats
    """+inf where there is none."""
    until: Floats
    """When its tenant withdraws it, if it is not done by then."""
    restart_s: Floats
    """From start to progress."""
    checkpoint_every_s: Floats

    def __len__(self) -> int:
        return len(self.pool)

    @property
    def run_s(self) -> Floats:
        """(jobs,) time at full power, without restarts."""
        return self.work_gpu_seconds / self.gpus

    def at(self, rows: NDArray[Any]) -> Self:
        """These rows alone, in this order; `rows` are numbers or flags."""
        return type(self)(*(getattr(self, column.name)[rows] for column in fields(self)))

    def name(self, row: int, site: Site) -> str:
        """What the job of a row is called in records and reports."""
        return f"{site.tenants[self.tenant[row]].name}-{row:06d}"


def withdrawn_at(submitted_at: Floats, deadline: Floats) -> Floats:
    """When tenants withdraw jobs that are not done: some time after the deadline or, without one, the submission."""
    return np.where(np.isinf(deadline), submitted_at + WITHOUT_DEADLINE_S, deadline + AFTER_DEADLINE_S)


def submitted_jobs(site: Site, jobs: Sequence[Job]) -> SubmittedJobs:
    """The columns of `jobs`, put in order of submission."""
    pools = {pool.name: row for row, pool in enumerate(site.pools)}
    tenants = {tenant.name: row for row, tenant in enumerate(site.tenants)}
    ordered = sorted(jobs, key=lambda job: job.submitted_at)
    tenant = np.array([tenants[job.tenant] for job in ordered], dtype=np.int64)
    sla = np.array([of.sla.number for of in site.tenants], dtype=np.int64)
    submitted_at = np.array([job.submitted_at.timestamp() for job in ordered], dtype=np.float64)
    deadline = np.array(
        [inf if job.deadline is None else job.deadline.timestamp() for job in ordered], dtype=np.float64
    )
    return SubmittedJobs(
        pool=np.array([pools[job.pool] for job in ordered], dtype=np.int64),
        tenant=tenant,
        sla=sla[tenant],
        gpus=np.array([job.gpus for job in ordered], dtype=np.int64),
        work_gpu_seconds=np.array([job.work_gpu_seconds for job in ordered], dtype=np.float64),
        submitted_at=submitted_at,
        deadline=deadline,
        until=withdrawn_at(submitted_at, deadline),
        restart_s=np.array([job.restart.total_seconds() for job in ordered], dtype=np.float64),
        checkpoint_every_s=np.array([job.checkpoint_every.total_seconds() for job in ordered], dtype=np.float64),
    )
