"""Jobs of the virtual site: placed on its nodes, worked, checkpointed, ended. Times are unix seconds of site time."""

import math
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from orchestrator.domain.decision import RunJob
from orchestrator.domain.observation import Metric, Quality, Reading, Sample
from orchestrator.domain.refusals import ended_job, run_refusal, submission_refusal, unknown_job
from orchestrator.domain.site.gpus import GpuPool
from orchestrator.domain.site.site import Site
from orchestrator.domain.work import Job, JobPhase, JobView, Placement, free_gpus, place
from orchestrator.sim.gpus.gpu_node import NodeModel
from orchestrator.sim.jobs.job_model import LOADING_UTILISATION, JobModel

CHECKPOINT_WRITE_S = 20.0
"""From asking a job to stop until its GPUs are free."""


@dataclass(slots=True)
class JobEntry:
    """A job and what became of it so far."""

    job: Job
    phase: JobPhase
    changed_at: float
    starts: int = 0
    ran_s: float = 0.0
    """Over the starts that have ended."""
    started_at: float = 0.0
    stopped_at: float = math.inf
    placement: Placement = field(default_factory=dict)
    model: JobModel | None = None
    """Of the last start."""
    seen_at: float = 0.0
    """When its exporter last answered; it ends with the job's process."""

    @property
    def running(self) -> JobModel:
        assert self.model is not None
        return self.model

    def enter(self, phase: JobPhase, at: float) -> None:
        self.phase = phase
        self.changed_at = at


class VirtualJobs:
    """All jobs ever submitted. Methods that answer a move return why it is refused, or nothing."""

    def __init__(self, site: Site, nodes: Mapping[str, NodeModel]) -> None:
        self._site = site
        self._nodes = nodes
        self._throughput = {pool.name: 1.0 for pool in site.pools}
        self._entries: dict[str, JobEntry] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    def submit(self, job: Job, at: float) -> None:
        if job.name in self._entries:
            return
        if why := submission_refusal(self._site, job):
            raise ValueError(why)
        self._entries[job.name] = JobEntry(job, JobPhase.WAITING, at)

    def views(self, at: float) -> dict[str, JobView]:
        return {name: _view(entry, at) for name, entry in self._entries.items()}

    def run(self, move: RunJob, at: float) -> str:
        name = move.job
        entry = self._entries.get(name)
        if entry is None:
            return unknown_job(name)
        if entry.phase.ended:
            return ended_job(name, entry.phase)
        needed = entry.job.gpus if move.gpus is None else move.gpus
        if entry.phase is JobPhase.RUNNING and needed == entry.job.gpus:
            return ""
        pool = self._site.pool(entry.job.pool)
        taken = self._taken(pool)
        if why := run_refusal(entry.job, entry.phase, needed, free_gpus(pool, taken)):
            return why
        placement = place(pool, needed, taken)
        assert placement is not None, "as many are free"
        entry.model = JobModel(
            gpus=entry.job.gpus,
            work_gpu_seconds=entry.job.work_gpu_seconds,
            checkpoint_every_s=entry.job.checkpoint_every.total_seconds(),
            restart_s=entry.job.restart.total_seconds(),
            checkpoint_gpu_seconds=entry.model.checkpoint_gpu_seconds if entry.model else 0.0,
            at=at,
        )
        entry.placement = placement
        entry.starts += 1
        entry.started_at = at
        entry.enter(JobPhase.RUNNING, at)
        self._load(entry, entry.model.utilisation, at)
        return ""

    def pause(self, name: str, at: float) -> str:
        entry = self._entries.get(name)
        if entry is None:
            return unknown_job(name)
        if entry.phase.ended:
            return ended_job(name, entry.phase)
        if entry.phase is JobPhase.RUNNING:
            self._work(entry, at)
            entry.running.checkpoint()
            entry.stopped_at = at + CHECKPOINT_WRITE_S
            entry.enter(JobPhase.STOPPING, at)
            self._load(entry, LOADING_UTILISATION, at)
        return ""

    def kill(self, name: str, at: float) -> None:
        """Fault: the job ends without a checkpoint; it can be started again from its last one."""
        entry = self._entries[name]
        if not entry.phase.holds_gpus:
            raise ValueError(f"job {name} is {entry.phase}; only one that runs can be killed")
        if entry.phase is JobPhase.RUNNING:
            self._work(entry, at)
        self._leave(entry, JobPhase.PAUSED, at)

    def limit(self, pool: GpuPool, gpu_limit_w: float, at: float) -> None:
        """The speed of the pool's jobs under a new power limit, from `at` on."""
        for entry in self._entries.values():
            if entry.phase is JobPhase.RUNNING and entry.job.pool == pool.name:
                self._work(entry, at)
        self._throughput[pool.name] = pool.throughput(gpu_limit_w)

    def next_change(self) -> tuple[float, JobEntry] | None:
        """When the next job is loaded, finished or stopped, and which."""
        best: tuple[float, JobEntry] | None = None
        for entry in self._entries.values():
            if entry.phase is JobPhase.RUNNING:
                at = entry.running.changes_at(self._throughput[entry.job.pool])
            elif entry.phase is JobPhase.STOPPING:
                at = entry.stopped_at
            else:
                continue
            if best is None or at < best[0]:
                best = (at, entry)
        return best

    def change(self, entry: JobEntry, at: float) -> None:
        """Carry out a change that `next_change` foretold for `at`."""
        if entry.phase is JobPhase.STOPPING:
            self._leave(entry, JobPhase.PAUSED, at)
            return
        self._work(entry, at)
        if entry.running.finished_at is not None:
            self._leave(entry, JobPhase.SUCCEEDED, at)
        else:
            self._load(entry, entry.running.utilisation, at)

    def samples(self, at: float, besides: Container[str]) -> Iterator[Sample]:
        """What the jobs' exporters last said, but for the jobs in `besides`."""
        for name, entry in self._entries.items():
            if name in besides or entry.model is None:
                continue
            if entry.phase is JobPhase.RUNNING:
                self._work(entry, at)
            if entry.phase.holds_gpus:
                entry.seen_at = at
            model, seen = entry.model, datetime.fromtimestamp(entry.seen_at, UTC)
            yield Sample(Metric.JOB_PROGRESS, name, Reading(model.done_gpu_seconds, "GPU s", seen, Quality.FRESH))
            yield Sample(
                Metric.JOB_CHECKPOINT, name, Reading(model.checkpoint_gpu_seconds, "GPU s", seen, Quality.FRESH)
            )

    def _taken(self, pool: GpuPool) -> dict[str, set[int]]:
        taken: dict[str, set[int]] = {}
        for entry in self._entries.values():
            if entry.phase.holds_gpus and entry.job.pool == pool.name:
                for node, gpus in entry.placement.items():
                    taken.setdefault(node, set()).update(gpus)
        return taken

    def _work(self, entry: JobEntry, at: float) -> None:
        entry.running.advance(at, self._throughput[entry.job.pool])

    def _load(self, entry: JobEntry, utilisation: float, at: float) -> None:
        for node, gpus in entry.placement.items():
            self._nodes[node].run(entry.job.name, gpus, utilisation, at)

    def _leave(self, entry: JobEntry, phase: JobPhase, at: float) -> None:
        for node in entry.placement:
            self._nodes[node].free(entry.job.name, at)
        entry.placement = {}
        entry.ran_s += at - entry.started_at
        entry.seen_at = at
        entry.enter(phase, at)


def _view(entry: JobEntry, at: float) -> JobView:
    running_s = at - entry.started_at if entry.phase.holds_gpus else 0.0
    return JobView(
        job=entry.job,
        phase=entry.phase,
        changed_at=datetime.fromtimestamp(entry.changed_at, UTC),
        starts=entry.starts,
        elapsed=timedelta(seconds=entry.ran_s + running_s),
    )
