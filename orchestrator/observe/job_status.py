"""Open jobs as they are: their progress, measured where it can be, and how often they were interrupted."""

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import NamedTuple

from orchestrator.accounting.billing import JobRecord, record_for
from orchestrator.accounting.job_work import JobWork, Works
from orchestrator.domain.observation import Metric, Reading, Telemetry
from orchestrator.domain.site.site import Site
from orchestrator.domain.sla import BUDGET_SPAN
from orchestrator.domain.snapshot import JobStatus
from orchestrator.domain.work import JobView


@dataclass(frozen=True, slots=True)
class JobsSeen:
    """What is known of open jobs."""

    at: datetime
    views: Mapping[str, JobView]
    telemetry: Telemetry
    records: Mapping[str, JobRecord]
    works: Works


def job_statuses(
    site: Site, seen: JobsSeen, before: Mapping[str, JobStatus], dark_pools: Container[str]
) -> Mapping[str, JobStatus]:
    """By job. What waits is as it was before: of thousands of jobs most do. None starts on a pool that nobody sees."""
    tenants = {tenant.name: tenant for tenant in site.tenants}
    progress = seen.telemetry.readings(Metric.JOB_PROGRESS)
    checkpoints = seen.telemetry.readings(Metric.JOB_CHECKPOINT)
    records, works, max_age = seen.records, seen.works, site.stale.telemetry_max_age
    statuses = {}
    for name, as_listed in seen.views.items():
        view = as_listed
        if view.job.pool in dark_pools and view.phase.may_start and not view.held:
            view = replace(view, held=f"no reading of pool {view.job.pool}: nothing of it goes up")
        record = record_for(records, view) if name in records else None
        # A job that nothing is known of has done what was billed.
        done_gpu_seconds = checkpoint_gpu_seconds = record.billed_gpu_seconds if record is not None else 0.0
        estimated = False
        reading, checkpoint, work = progress.get(name), checkpoints.get(name), works.get(name)
        if reading is not None or checkpoint is not None or work is not None:
            graded = reading.graded(seen.at, max_age) if reading is not None else None
            reached = _reached(view, graded, checkpoint, work, max_age)
            if reached is not None:
                done_gpu_seconds, checkpoint_gpu_seconds, estimated = reached
        interruptions = record.interruptions if record is not None else 0
        last_interrupted_at = record.last_interrupted_at if record is not None else None
        was = before.get(name)
        if (
            was is not None
            and (was.view is view or was.view == view)
            and was.done_gpu_seconds == done_gpu_seconds
            and was.checkpoint_gpu_seconds == checkpoint_gpu_seconds
            and was.estimated == estimated
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
            estimated=estimated,
        )
    return statuses


class _Reached(NamedTuple):
    """GPU-seconds."""

    done: float
    checkpoint: float
    estimated: bool


def _reached(
    view: JobView, progress: Reading | None, checkpoint: Reading | None, work: JobWork | None, max_age: timedelta
) -> _Reached | None:
    """By the readings while they are fresh, and of a paused job as long as they are of its end; else by its GPUs and
    time from the last one on, so that a source that is down makes no job late. None where there is neither.

    A paused job goes on from its checkpoint, whatever its last progress was. Of one that serves none it is where it
    stopped, since it is asked to write one then, and while it runs where it was `checkpoint_every` ago.
    """
    done = progress.believed if progress is not None else None
    kept = checkpoint.believed if checkpoint is not None else None
    if view.phase.holds_gpus:
        of_now = done is not None and progress is not None and (progress.fresh or work is None)
    else:
        done = kept
        of_now = checkpoint is not None and checkpoint.at is not None and view.changed_at - checkpoint.at <= max_age
    if done is not None and of_now:
        return _Reached(done, done if kept is None else kept, estimated=False)
    if work is None:
        return None
    estimated_gpu_s = work.done_gpu_seconds(view, max_age)
    since_kept = view.job.checkpoint_every.total_seconds() * view.gpus if view.phase.holds_gpus else 0.0
    at_least = estimated_gpu_s - since_kept if kept is None else kept
    estimated = estimated_gpu_s > (work.measured_gpu_seconds or 0.0)
    return _Reached(estimated_gpu_s, max(at_least, 0.0), estimated)


def interruptions_last_hour(records: Iterable[JobRecord], now: datetime) -> Mapping[str, int]:
    """By tenant; none where there was none."""
    counts: dict[str, int] = {}
    for record in records:
        if record.last_interrupted_at is not None and now - record.last_interrupted_at < BUDGET_SPAN:
            counts[record.tenant] = counts.get(record.tenant, 0) + 1
    return counts
