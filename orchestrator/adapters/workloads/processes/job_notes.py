"""A job on disk: its terms, where it runs, and what became of it so far."""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from orchestrator.adapters.workloads.processes.documents import read_document, write_document
from orchestrator.domain.work import Job, JobPhase, JobView, Placement

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


@dataclass(slots=True)
class JobNote:
    """A job with all that a restarted controller must not have forgotten."""

    job: Job
    phase: JobPhase
    changed_at: datetime
    starts: int = 0
    elapsed: timedelta = timedelta(0)
    """Over the runs that have ended; the run going on since `started_at` comes on top."""
    started_at: datetime | None = None
    placement: Placement = field(default_factory=dict)
    reason: str = ""
    """Why it was last started or stopped, as the controller gave it."""
    detail: str = ""
    """What was last seen of its process."""
    deaths: int = 0
    """Times in a row that its process ended by itself without finishing or getting further."""
    done_at_death: float = 0.0

    def view(self, now: datetime) -> JobView:
        running = now - self.started_at if self.started_at is not None else timedelta(0)
        return JobView(
            job=self.job,
            phase=self.phase,
            changed_at=self.changed_at,
            starts=self.starts,
            elapsed=self.elapsed + max(running, timedelta(0)),
        )

    def enter(self, phase: JobPhase, at: datetime) -> None:
        """Go over to `phase` at `at`; a run that ends with it is added to the time spent running."""
        if self.started_at is not None and not phase.holds_gpus:
            self.elapsed += max(at - self.started_at, timedelta(0))
            self.started_at = None
        self.phase = phase
        self.changed_at = at


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Work saved by the job itself. `at` is site time."""

    done_gpu_seconds: float
    at: datetime
    finished: bool


def check_job(job: Job) -> None:
    """ValueError if a job cannot be kept: its name becomes a folder, its figures a promise."""
    if not _NAME.fullmatch(job.name):
        raise ValueError(
            f"job name {job.name!r}: 1 to 63 of a-z, 0-9 and - are allowed, a letter or figure at both ends"
        )
    if job.gpus < 1:
        raise ValueError(f"job {job.name}: gpus is {job.gpus}; at least 1 is needed")
    if not (job.work_gpu_seconds > 0 and math.isfinite(job.work_gpu_seconds)):
        raise ValueError(f"job {job.name}: work_gpu_seconds is {job.work_gpu_seconds}; a positive figure is needed")


class JobFolder:
    """`<run>/jobs`: `spec.json` is what the job's process reads, `state.json` what the driver remembers."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def save_spec(self, record: JobNote) -> None:
        job = record.job
        write_document(
            self._path / job.name / "spec.json",
            {
                "name": job.name,
                "tenant": job.tenant,
                "pool": job.pool,
                "gpus": job.gpus,
                "work_gpu_seconds": job.work_gpu_seconds,
                "checkpoint_every_s": job.checkpoint_every.total_seconds(),
                "restart_s": job.restart.total_seconds(),
                "submitted_at": job.submitted_at.isoformat(),
                "deadline": job.deadline.isoformat() if job.deadline else None,
                "placement": {node: list(gpus) for node, gpus in record.placement.items()},
            },
        )

    def save_state(self, record: JobNote) -> None:
        write_document(
            self._path / record.job.name / "state.json",
            {
                "phase": record.phase.value,
                "changed_at": record.changed_at.isoformat(),
                "starts": record.starts,
                "elapsed_s": record.elapsed.total_seconds(),
                "started_at": record.started_at.isoformat() if record.started_at else None,
                "reason": record.reason,
                "detail": record.detail,
                "deaths": record.deaths,
                "done_at_death": record.done_at_death,
            },
        )

    def load(self) -> Iterator[JobNote]:
        """Every job ever submitted, by name. ValueError names the file that cannot be read."""
        for file in sorted(self._path.glob("*/spec.json")):
            spec = read_document(file)
            state = read_document(file.with_name("state.json"))
            if spec is None:
                continue
            try:
                yield _record(spec, state)
            except (KeyError, ValueError, TypeError) as error:
                raise ValueError(f"{file.parent} holds no job: {error!r}") from error

    def checkpoint(self, name: str) -> Checkpoint | None:
        """What the job last saved; None if nothing, or nothing that can be read."""
        try:
            document = read_document(self._path / name / "checkpoint.json")
            if document is None:
                return None
            return Checkpoint(
                done_gpu_seconds=float(str(document["done_gpu_seconds"])),
                at=datetime.fromisoformat(str(document["at"])),
                finished=document["finished"] is True,
            )
        except (KeyError, ValueError):
            return None


def _record(spec: Mapping[str, object], state: Mapping[str, object] | None) -> JobNote:
    placement = spec["placement"]
    if not isinstance(placement, dict):
        raise ValueError(f"placement is {placement!r}; GPU indexes by node are needed")
    job = Job(
        name=str(spec["name"]),
        tenant=str(spec["tenant"]),
        pool=str(spec["pool"]),
        gpus=int(str(spec["gpus"])),
        work_gpu_seconds=float(str(spec["work_gpu_seconds"])),
        submitted_at=datetime.fromisoformat(str(spec["submitted_at"])),
        deadline=_instant(spec["deadline"]),
        checkpoint_every=timedelta(seconds=float(str(spec["checkpoint_every_s"]))),
        restart=timedelta(seconds=float(str(spec["restart_s"]))),
    )
    if state is None:  # killed between the two writes of a submission
        return JobNote(job=job, phase=JobPhase.WAITING, changed_at=job.submitted_at)
    return JobNote(
        job=job,
        phase=JobPhase(str(state["phase"])),
        changed_at=datetime.fromisoformat(str(state["changed_at"])),
        starts=int(str(state["starts"])),
        elapsed=timedelta(seconds=float(str(state["elapsed_s"]))),
        started_at=_instant(state["started_at"]),
        placement={str(node): [int(gpu) for gpu in gpus] for node, gpus in placement.items()},
        reason=str(state["reason"]),
        detail=str(state["detail"]),
        deaths=int(str(state["deaths"])),
        done_at_death=float(str(state["done_at_death"])),
    )


def _instant(value: object) -> datetime | None:
    return None if value is None else datetime.fromisoformat(str(value))
