"""GET /jobs: the tenants' jobs, their promises and their progress."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, NamedTuple

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from orchestrator.accounting.billing import JobRecord
from orchestrator.api.asking import DeskNow, Limit, Offset, SnapshotNow
from orchestrator.api.next_moves import Teller
from orchestrator.domain.site.site import Site
from orchestrator.domain.sla import SlaClass
from orchestrator.domain.snapshot import JobStatus
from orchestrator.domain.target import Target
from orchestrator.domain.units import SECONDS_PER_HOUR
from orchestrator.domain.work import JobPhase, JobView

router = APIRouter(tags=["jobs"])

_ORDER = {
    phase: rank
    for rank, phase in enumerate(
        (
            JobPhase.RUNNING,
            JobPhase.STOPPING,
            JobPhase.PAUSED,
            JobPhase.WAITING,
            JobPhase.FAILED,
            JobPhase.SUCCEEDED,
        )
    )
}


class JobDocument(BaseModel):
    name: str
    tenant: str
    sla: SlaClass | None = Field(description="Null when the site no longer knows the tenant")
    pool: str
    gpus: int
    phase: JobPhase
    phase_since: datetime
    work_gpu_hours: float
    done_gpu_hours: float | None = Field(description="Progress; of an ended job what was billed, if known")
    done_share: float | None = Field(description="0 to 1")
    done_estimated: bool = Field(
        description="Whether some of it is from the GPUs it was given and the time it ran, for want of a reading"
    )
    submitted_at: datetime
    deadline: datetime | None
    starts: int
    interruptions: int
    elapsed_seconds: float = Field(description="Time spent running, over all starts")
    outcome: str | None = Field(description="`on_time`, `late` or `failed` of an ended job")
    reason: str | None = Field(description="Why it runs or waits, by the latest decision that moved it")
    next: str | None = Field(description="What the plan has next, and when; null without a plan in force")


class JobsDocument(BaseModel):
    total: int
    offset: int
    jobs: list[JobDocument] = Field(description="Running first, then stopping, paused, waiting and ended; by name")


@router.get("/jobs")
async def jobs(
    desk: DeskNow,
    snapshot: SnapshotNow,
    phase: Annotated[list[JobPhase] | None, Query(description="Only these phases; may be repeated")] = None,
    limit: Limit = 500,
    offset: Offset = 0,
) -> JobsDocument:
    """Open jobs and those that have ended."""
    ended = {view.job.name: (view, record) for view, record in desk.ended_jobs()}
    views = [status.view for name, status in snapshot.jobs.items() if name not in ended]
    views += [view for view, _ in ended.values()]
    if phase:
        views = [view for view in views if view.phase in phase]
    views.sort(key=lambda view: (_ORDER[view.phase], view.job.name))
    reasons = desk.reasons()
    teller = Teller(desk.site, desk.plan(), snapshot, desk.clock_info().now)
    return JobsDocument(
        total=len(views),
        offset=offset,
        jobs=[
            _ended(view, ended[view.job.name][1], desk.site, reasons)
            if view.job.name in ended
            else _open(snapshot.jobs[view.job.name], reasons, teller)
            for view in views[offset : offset + limit]
        ],
    )


class _Done(NamedTuple):
    gpu_seconds: float
    estimated: bool


def _open(status: JobStatus, reasons: Mapping[Target, str], teller: Teller) -> JobDocument:
    return _document(
        status.view,
        status.tenant.sla,
        _Done(status.done_gpu_seconds, estimated=status.estimated),
        status.interruptions,
        outcome=None,
        reasons=reasons,
        next_move=teller.job(status).next or None,
    )


def _ended(view: JobView, record: JobRecord | None, site: Site, reasons: Mapping[Target, str]) -> JobDocument:
    sla = next((tenant.sla for tenant in site.tenants if tenant.name == view.job.tenant), None)
    done = None if record is None else _Done(record.billed_gpu_seconds, record.estimated_gpu_seconds > 0.0)
    if view.phase is JobPhase.SUCCEEDED:
        done = _Done(view.job.work_gpu_seconds, estimated=False)
    interruptions = record.interruptions if record else max(view.starts - 1, 0)
    outcome = record.outcome if record else None
    return _document(view, sla, done, interruptions, outcome=outcome, reasons=reasons)


def _document(
    view: JobView,
    sla: SlaClass | None,
    done: _Done | None,
    interruptions: int,
    *,
    outcome: str | None,
    reasons: Mapping[Target, str],
    next_move: str | None = None,
) -> JobDocument:
    job = view.job
    return JobDocument(
        name=job.name,
        tenant=job.tenant,
        sla=sla,
        pool=job.pool,
        gpus=job.gpus,
        phase=view.phase,
        phase_since=view.changed_at,
        work_gpu_hours=job.work_gpu_seconds / SECONDS_PER_HOUR,
        done_gpu_hours=None if done is None else done.gpu_seconds / SECONDS_PER_HOUR,
        done_share=None if done is None else min(done.gpu_seconds / job.work_gpu_seconds, 1.0),
        done_estimated=done is not None and done.estimated,
        submitted_at=job.submitted_at,
        deadline=job.deadline,
        starts=view.starts,
        interruptions=interruptions,
        elapsed_seconds=view.elapsed.total_seconds(),
        outcome=outcome,
        reason=reasons.get(Target.job(job.name)),
        next=next_move,
    )
