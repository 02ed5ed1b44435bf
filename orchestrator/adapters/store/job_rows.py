"""Records of jobs as rows, and back: what was billed, how the job came, how far it is."""

from datetime import timedelta

from sqlalchemy import RowMapping

from orchestrator.accounting.billing import JobRecord
from orchestrator.accounting.job_work import JobWork
from orchestrator.adapters.store.encoding import Row
from orchestrator.domain.work import Arrival


def job_row(job: JobRecord) -> Row:
    return {
        "job": job.job,
        "tenant": job.tenant,
        "billed_gpu_seconds": job.billed_gpu_seconds,
        "credited_usd": job.credited_usd,
        "interruptions": job.interruptions,
        "last_interrupted_at": job.last_interrupted_at,
        "outcome": job.outcome,
        "pool": job.arrival and job.arrival.pool,
        "gpus": job.arrival and job.arrival.gpus,
        "run_s": job.arrival and job.arrival.run_s,
        "submitted_at": job.arrival and job.arrival.submitted_at,
        "seen_at": job.arrival and job.arrival.seen_at,
        "estimated_gpu_seconds": job.estimated_gpu_seconds,
        "run_elapsed_s": job.work and job.work.elapsed.total_seconds(),
        "run_starts": job.work and job.work.starts,
        "run_loading_s": job.work and job.work.loading_s,
        "run_gpus": job.work and job.work.gpus,
        "run_held_gpu_seconds": job.work and job.work.held_gpu_seconds,
        "run_estimated_gpu_seconds": job.work and job.work.estimated_gpu_seconds,
        "run_measured_gpu_seconds": job.work and job.work.measured_gpu_seconds,
        "run_measured_at": job.work and job.work.measured_at,
    }


def job_of(row: RowMapping) -> JobRecord:
    columns = dict(row)
    came = {name: columns.pop(name) for name in ("pool", "gpus", "run_s", "submitted_at", "seen_at")}
    arrival = Arrival(**came) if came["seen_at"] is not None else None
    ran = {name.removeprefix("run_"): columns.pop(name) for name in tuple(columns) if name.startswith("run_")}
    elapsed_s = ran.pop("elapsed_s")
    work = JobWork(elapsed=timedelta(seconds=elapsed_s), **ran) if elapsed_s is not None else None
    return JobRecord(**columns, arrival=arrival, work=work)
