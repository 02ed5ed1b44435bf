"""The jobs of a backtest: of a trace, else the site's simulated ones, else none."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from orchestrator.adapters.traces.trace import read_trace
from orchestrator.backtest.jobs.from_trace import LOAD, ScalingError, TracedJobs, scaled_jobs
from orchestrator.backtest.jobs.submitted import SubmittedJobs, submitted_jobs
from orchestrator.domain.work import Job
from orchestrator.settings.values import Settings
from orchestrator.sim.jobs.arrivals import job_stream


@dataclass(frozen=True, slots=True)
class Workload:
    """The jobs submitted over a period, and where they are from."""

    jobs: SubmittedJobs
    notes: tuple[str, ...]


def load_workload(
    settings: Settings,
    trace: Path | None,
    start: datetime,
    end: datetime,
    *,
    seed: int,
    jobs_a_month: float | None = None,
    load: float = LOAD,
) -> Workload:
    """The jobs from `start` to `end`: of the trace, scaled to the site; without one, of the site's mock section.

    Raises TraceError for a trace that cannot be used and ScalingError for a site that has no place for jobs.
    """
    site = settings.site
    if trace is not None:
        if not site.pools or not site.tenants:
            raise ScalingError(f"{site.name} has no GPU pool or no tenant: a trace needs both")
        read = read_trace(trace, max(pool.gpus for pool in site.pools))
        scaled = scaled_jobs(
            site,
            TracedJobs(read.submitted_s, read.run_s, read.gpus, read.machine),
            start,
            end,
            jobs_a_month=jobs_a_month,
            load=load,
            seed=seed,
        )
        told = [f"{trace.name}: {len(read)} of {read.rows} rows are jobs that can be used ({read.layout})"]
        told += [f"{trace.name}: {kind}" for kind in read.nonsense]
        return Workload(scaled.jobs, (*told, *scaled.notes))
    jobs: Sequence[Job] = ()
    note = "no jobs: there is no trace, and the site file has no mock section to make some up by"
    if not site.pools or not site.tenants:
        note = "no jobs: the site has no GPU pool or no tenant"
    elif settings.mock is not None:
        jobs = job_stream(site, start, end, seed)
        note = f"{len(jobs)} simulated jobs (seed {seed}), as the mock site's tenants hand them in: no trace was given"
    return Workload(submitted_jobs(site, jobs), (note,))
