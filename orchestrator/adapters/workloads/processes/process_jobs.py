"""The life of jobs as processes: started on free GPUs, paused by SIGTERM, resumed from their checkpoint."""

import signal
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from orchestrator.adapters.workloads.processes.job_notes import JobFolder, JobNote, check_job
from orchestrator.adapters.workloads.processes.process_table import ProcessTable
from orchestrator.clock import SiteClock
from orchestrator.domain.decision import Ack, RunJob
from orchestrator.domain.refusals import ended_job, run_refusal, submission_refusal, unknown_job
from orchestrator.domain.site.gpus import GpuPool
from orchestrator.domain.site.site import Site
from orchestrator.domain.work import Job, JobPhase, JobView, free_gpus, place

PROGRAM = "orchestrator.sim.jobs.hpc_job"
_DEATHS_ALLOWED = 6
"""Times in a row without progress before a job counts as failed: the backoffLimit that Kubernetes Jobs start with."""


class ProcessJobs:
    """Jobs of one run directory. Their phase follows from their process and checkpoint, also after a restart."""

    def __init__(
        self, site: Site, run_dir: Path, clock: SiteClock, processes: ProcessTable, stop_grace_s: float
    ) -> None:
        self._site = site
        self._run_dir = run_dir
        self._clock = clock
        self._processes = processes
        self._stop_grace_s = stop_grace_s
        self._folder = JobFolder(run_dir / "jobs")
        self._records = {record.job.name: record for record in self._folder.load()}
        for record in self._records.values():
            if record.phase is JobPhase.STOPPING:  # the controller may have died before it sent the signal
                processes.signal(_process(record.job.name), signal.SIGTERM)

    def submit(self, job: Job, now: datetime) -> None:
        """Take in a job, on disk when it returns; of two with one name the first holds.

        ValueError for a job that could never run here: no such pool or tenant, more GPUs than the pool has.
        """
        if job.name in self._records:
            return
        check_job(job)
        if why := submission_refusal(self._site, job):
            raise ValueError(why)
        if any(job.name == node for _, node in self._site.nodes()):  # both would write one file of scrape targets
            raise ValueError(f"job {job.name}: a GPU node has that name")
        record = JobNote(job=job, phase=JobPhase.WAITING, changed_at=now)
        self._folder.save_spec(record)
        self._folder.save_state(record)
        self._records[job.name] = record

    def views(self, now: datetime) -> Mapping[str, JobView]:
        self._refresh(now)
        return {name: record.view(now) for name, record in self._records.items()}

    def run(self, move: RunJob, reason: str, now: datetime) -> Ack:
        """Start or resume; refused while the job is stopping, when it has ended or too few GPUs are free."""
        self._refresh(now)
        name = move.job
        record = self._records.get(name)
        if record is None or record.phase.ended:
            return _refused(name, record, now)
        needed = record.job.gpus if move.gpus is None else move.gpus
        if record.phase is JobPhase.RUNNING and needed == record.job.gpus:
            return Ack(accepted=True, at=now, detail="runs already")
        pool = self._site.pool(record.job.pool)
        taken = self._taken(pool)
        if why := run_refusal(record.job, record.phase, needed, free_gpus(pool, taken)):
            return Ack(accepted=False, at=now, detail=why)
        placement = place(pool, needed, taken)
        assert placement is not None, "as many are free"
        # On record before it is done: a controller that dies here finds a run without a process and pauses it.
        record.placement = placement
        record.reason = reason
        record.detail = ""
        record.starts += 1
        record.started_at = now
        record.enter(JobPhase.RUNNING, now)
        self._folder.save_spec(record)
        self._folder.save_state(record)
        try:
            self._processes.start(_process(name), ["-m", PROGRAM, "--run", str(self._run_dir), "--job", name])
        except OSError as error:
            record.detail = f"could not be started: {error}"
            record.enter(JobPhase.PAUSED, now)
            self._folder.save_state(record)
            return Ack(accepted=False, at=now, detail=f"job {name} {record.detail}")
        return Ack(accepted=True, at=now, detail=f"on {', '.join(placement)}")

    def pause(self, name: str, reason: str, now: datetime) -> Ack:
        """Ask a running job to write its checkpoint and stop."""
        self._refresh(now)
        record = self._records.get(name)
        if record is None or record.phase.ended:
            return _refused(name, record, now)
        if record.phase is not JobPhase.RUNNING:
            return Ack(accepted=True, at=now, detail=f"is {record.phase.value} already")
        self._stopping(record, reason, now)
        self._processes.signal(_process(name), signal.SIGTERM)
        return Ack(accepted=True, at=now)

    def prepare_stop(self, now: datetime) -> None:
        """Put on record that every job is asked to stop, since the site is; the signals are sent by the caller."""
        for record in self._records.values():
            if record.phase is JobPhase.RUNNING:
                self._stopping(record, "the site is stopped", now)

    def _stopping(self, record: JobNote, reason: str, now: datetime) -> None:
        record.reason = reason
        record.enter(JobPhase.STOPPING, now)
        self._folder.save_state(record)

    def _refresh(self, now: datetime) -> None:
        for record in self._records.values():
            if not record.phase.holds_gpus:
                continue
            name = _process(record.job.name)
            if not self._processes.alive(name):
                self._settle(record, now)
            elif record.phase is JobPhase.STOPPING and self._overdue(record, now):
                self._processes.signal(name, signal.SIGKILL)

    def _overdue(self, record: JobNote, now: datetime) -> bool:
        return self._clock.wall_seconds(now - record.changed_at) > self._stop_grace_s

    def _settle(self, record: JobNote, now: datetime) -> None:
        """The process is gone: its checkpoint says what became of the job, and when, if nobody watched."""
        name = record.job.name
        checkpoint = self._folder.checkpoint(name)
        status = self._processes.exit_status(_process(name))
        (self._run_dir / "targets" / f"{name}.json").unlink(missing_ok=True)
        saved_at = checkpoint.at if checkpoint is not None and checkpoint.at <= now else now
        if checkpoint is not None and checkpoint.finished:
            record.detail = "finished"
            record.enter(JobPhase.SUCCEEDED, saved_at)
        elif record.phase is JobPhase.STOPPING:
            record.detail = status
            record.enter(JobPhase.PAUSED, saved_at if saved_at >= record.changed_at else now)
        else:
            done = checkpoint.done_gpu_seconds if checkpoint is not None else 0.0
            record.deaths = 1 if done > record.done_at_death else record.deaths + 1
            record.done_at_death = done
            record.detail = f"process {status} without finishing; {done:.0f} GPU s are in its checkpoint"
            last_line = self._processes.last_log_line(_process(name))
            if record.deaths > _DEATHS_ALLOWED:
                record.detail += f"; given up after {record.deaths} times without progress: {last_line}"
            record.enter(JobPhase.FAILED if record.deaths > _DEATHS_ALLOWED else JobPhase.PAUSED, now)
        self._folder.save_state(record)

    def _taken(self, pool: GpuPool) -> dict[str, set[int]]:
        taken: dict[str, set[int]] = {}
        for record in self._records.values():
            if record.phase.holds_gpus and record.job.pool == pool.name:
                for node, gpus in record.placement.items():
                    taken.setdefault(node, set()).update(gpus)
        return taken


def _process(job: str) -> str:
    return f"job_{job}"


def _refused(name: str, record: JobNote | None, now: datetime) -> Ack:
    why = unknown_job(name) if record is None else ended_job(name, record.phase, record.detail)
    return Ack(accepted=False, at=now, detail=why)
