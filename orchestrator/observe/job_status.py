"""Open jobs as they are: their progress as measured, and how often they were interrupted."""

from collections.abc import Container, Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from orchestrator.accounting.billing import JobRecord, record_for
from orchestrator.domain.observation import Metric, Telemetry
from orchestrator.domain.site import Site
from orchestrator.domain.sla import BUDGET_SPAN
from orchestrator.domain.snapshot import JobStatus
from orchestrator.domain.work import JobView


def job_statuses(
    site: Site,
    views: Mapping[str, JobView],
    telemetry: Telemetry,
    records: Mapping[str, JobRecord],
    before: Mapping[str, JobStatus],
    dark_pools: Container[str],
) -> Mapping[str, JobStatus]:
    """By job. What waits is as it was before: of thousands of jobs most do. None starts on a pool that nobody sees."""
    tenants = {tenant.name: tenant for tenant in site.tenants}
    progress = telemetry.readings(Metric.JOB_PROGRESS)
    checkpoints = telemetry.readings(Metric.JOB_CHECKPOINT)
    statuses = {}
    for name, seen in views.items():
        view = seen
        if view.phase.may_start and not view.held and view.job.pool in dark_pools:
            view = replace(view, held=f"no reading of pool {view.job.pool}: nothing of it goes up")
        record = record_for(records, view) if name in records else None
        # A job without a reading (never started, or paused since before we started) has done what was billed.
        billed = record.billed_gpu_seconds if record is not None else 0.0
        done = progress[name].believed if name in progress else None
        checkpoint = checkpoints[name].believed if name in checkpoints else None
        # A paused job goes on from its checkpoint, whatever its last progress was.
        reached = done if view.phase.holds_gpus else checkpoint
        done_gpu_seconds = billed if reached is None else reached
        checkpoint_gpu_seconds = billed if checkpoint is None else checkpoint
        interruptions = record.interruptions if record is not None else 0
        last_interrupted_at = record.last_interrupted_at if record is not None else None
        was = before.get(name)
        if (
            was is not None
            and (was.view is view or was.view == view)
            and was.done_gpu_seconds == done_gpu_seconds
            and was.checkpoint_gpu_seconds == checkpoint_gpu_seconds
            and was.interruptions == interruptions
            and was.last_interrupted_at == last_interrupted_at
        ):
            statuses[name] = was
            continue
        statuses[name] = JobStatus(
            job=view.job,
            view=view,
            tenant=tenants[view.job.tenant],
            done_gpu_seconds=done_gpu_seconds,
            checkpoint_gpu_seconds=checkpoint_gpu_seconds,
            interruptions=interruptions,
            last_interrupted_at=last_interrupted_at,
        )
    return statuses


def interruptions_last_hour(records: Iterable[JobRecord], now: datetime) -> Mapping[str, int]:
    """By tenant; none where there was none."""
    counts: dict[str, int] = {}
    for record in records:
        if record.last_interrupted_at is not None and now - record.last_interrupted_at < BUDGET_SPAN:
            counts[record.tenant] = counts.get(record.tenant, 0) + 1
    return counts
