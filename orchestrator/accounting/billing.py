"""The account of each job of a live site: what was billed and credited so far, and how it ended."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import NamedTuple

from orchestrator.accounting.job_work import JobWork
from orchestrator.accounting.ledger import Account, Posting
from orchestrator.accounting.sla_credits import billed_usd, credited_usd, late_credit_usd, most_credit_usd
from orchestrator.domain.market import CurrentPrice
from orchestrator.domain.site.site import Tenant
from orchestrator.domain.units import SECONDS_PER_HOUR
from orchestrator.domain.work import Arrival, JobPhase, JobView


@dataclass(frozen=True, slots=True)
class JobRecord:
    """What was billed and credited for a job, beyond what its driver knows of it."""

    job: str
    tenant: str
    billed_gpu_seconds: float
    credited_usd: float
    interruptions: int
    last_interrupted_at: datetime | None
    outcome: str
    """`open`, `on_time`, `late` or `failed`."""
    arrival: Arrival | None = None
    """None for a job that an older version has put on record."""
    estimated_gpu_seconds: float = 0.0
    """Of what is billed, from GPUs and time, and not measured since."""
    work: JobWork | None = None
    """How far it was at its last settlement; None for one that never ran."""


def record_for(records: Mapping[str, JobRecord], view: JobView) -> JobRecord | None:
    """The record of this very job; a job that is open is not the one of its name that has ended."""
    record = records.get(view.job.name)
    if record is not None and record.outcome in ("on_time", "failed") and not view.phase.ended:
        return None
    return record


def new_record(view: JobView, seen_at: datetime) -> JobRecord:
    return JobRecord(
        job=view.job.name,
        tenant=view.job.tenant,
        billed_gpu_seconds=0.0,
        credited_usd=0.0,
        interruptions=0,
        last_interrupted_at=None,
        outcome="open",
        arrival=Arrival.of(view.job, seen_at),
    )


class Due(NamedTuple):
    """Work that a job is to be billed up to, GPU-seconds."""

    done: float
    known: float
    """Of it, what is measured, or known by the job's end; the rest is estimated."""


def due_of(view: JobView, work: JobWork | None, max_age: timedelta) -> Due:
    """By measured progress where the job ever served any, else by its GPUs and time; no more than its GPUs can have
    done in the time that it held them. A job that succeeded has done all its work."""
    if work is None:
        return Due(0.0, 0.0)
    most = min(view.job.work_gpu_seconds, work.held_gpu_seconds)
    measured = work.measured_gpu_seconds
    if view.phase is JobPhase.SUCCEEDED:
        return Due(most, most if measured is not None or most == view.job.work_gpu_seconds else 0.0)
    if measured is not None:
        return Due(min(measured, most), min(measured, most))
    return Due(min(work.done_gpu_seconds(view, max_age), most), 0.0)


def settle_job(
    view: JobView, tenant: Tenant, record: JobRecord, due: Due, price: CurrentPrice, now: datetime
) -> tuple[JobRecord, list[Posting]]:
    """Bill what is due beyond what was billed, credit a missed deadline once, and note how the job ended.

    Work is billed by the furthest that the job ever got, so what is computed again after a lost checkpoint is billed
    once, and so is what was estimated and is measured later. A job that fails by itself before its deadline is its
    tenant's.
    """
    job = view.job
    postings: list[Posting] = []
    new_gpu_s = due.done - record.billed_gpu_seconds
    if new_gpu_s > 0.0:
        estimated_gpu_s = min(max(due.done - due.known, 0.0), new_gpu_s)
        usd, estimated_usd = (billed_usd(gpu_s, tenant.usd_per_gpu_h) for gpu_s in (new_gpu_s, estimated_gpu_s))
        line = _posting(job.name, price, quantity=new_gpu_s / SECONDS_PER_HOUR, revenue_usd=usd)
        postings.append(replace(line, estimated_usd=estimated_usd))
        record = replace(
            record,
            billed_gpu_seconds=due.done,
            estimated_gpu_seconds=record.estimated_gpu_seconds + estimated_gpu_s,
        )
    unknown = max(record.billed_gpu_seconds - due.known, 0.0)
    if record.estimated_gpu_seconds > unknown:
        record = replace(record, estimated_gpu_seconds=unknown)
    if record.outcome != "open":
        return record, postings
    ended_at = view.changed_at if view.phase.ended else None
    if job.deadline is not None and now >= job.deadline and (ended_at is None or ended_at > job.deadline):
        due_usd = late_credit_usd(_undone_gpu_seconds(view, record, now), tenant.usd_per_gpu_h, tenant.credit_share)
        record, credits = _credit(view, tenant, record, due_usd, price)
        postings.extend(credits)
        record = replace(record, outcome="late")
    elif view.phase is JobPhase.SUCCEEDED:
        record = replace(record, outcome="on_time")
    elif view.phase is JobPhase.FAILED:
        record = replace(record, outcome="failed")
    return record, postings


def _undone_gpu_seconds(view: JobView, record: JobRecord, now: datetime) -> float:
    """Work that was not done at the deadline: what is left now, and what may have been done since it passed."""
    job = view.job
    assert job.deadline is not None, "only a job with a deadline is late"
    until = min(view.changed_at, now) if view.phase.ended or not view.phase.holds_gpus else now
    since_s = max((until - job.deadline).total_seconds(), 0.0)
    left = job.work_gpu_seconds - record.billed_gpu_seconds + job.gpus * since_s
    return min(left, job.work_gpu_seconds)


def interruption_credit(
    view: JobView, tenant: Tenant, record: JobRecord, price: CurrentPrice
) -> tuple[JobRecord, list[Posting]]:
    """The credit for interrupting a job, where its class owes one: `credit_share` of its whole price, once a job."""
    if not tenant.sla.rules.interruption_credited:
        return record, []
    return _credit(view, tenant, record, _most_usd(view, tenant), price)


def _most_usd(view: JobView, tenant: Tenant) -> float:
    return most_credit_usd(view.job.work_gpu_seconds, tenant.usd_per_gpu_h, tenant.credit_share)


def _credit(
    view: JobView, tenant: Tenant, record: JobRecord, due_usd: float, price: CurrentPrice
) -> tuple[JobRecord, list[Posting]]:
    """Credit what is due, as far as the credits of a job go."""
    usd = float(credited_usd(due_usd, record.credited_usd, _most_usd(view, tenant)))
    if usd <= 0:
        return record, []
    return replace(record, credited_usd=record.credited_usd + usd), [_posting(view.job.name, price, credit_usd=usd)]


def _posting(
    job: str, price: CurrentPrice, *, quantity: float = 0.0, revenue_usd: float = 0.0, credit_usd: float = 0.0
) -> Posting:
    return Posting(
        start=price.interval_start,
        account=Account.CREDIT if credit_usd else Account.HPC,
        subject=job,
        price_usd_per_mwh=price.usd_per_mwh,
        price_basis=price.basis,
        quantity=quantity,
        revenue_usd=revenue_usd,
        credit_usd=credit_usd,
    )
