"""A job that serves no progress, as its driver sees it, beside what truly came of it and the books kept of it."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from orchestrator.accounting.billing import JobRecord, due_of, new_record, settle_job
from orchestrator.accounting.job_work import JobWork, Works, follow_jobs
from orchestrator.accounting.ledger import Posting
from orchestrator.domain.observation import Metric, Quality, Reading, Sample, Telemetry
from orchestrator.domain.work import Job, JobPhase, JobView, PoolView, Workloads
from tests.accounting.test_billing import FLUX, NOW, price
from tests.sites import small_site

SITE = small_site()
POOL = next(pool for pool in SITE.pools if pool.name == "h100")
MINUTE = timedelta(minutes=1)
MAX_AGE = timedelta(0)
RESTART_S = 300.0
JOB = Job("train", "flux", "h100", 8, 8 * 10 * 3600.0, NOW, None, 30 * MINUTE, 5 * MINUTE, 2, 2)
"""80 GPU-hours on 8 GPUs, or as few as 2; 5 minutes to restart."""


@dataclass
class Tenants:
    """A job as its driver sees it, beside what truly came of it, and the books kept of it."""

    now: datetime = NOW
    view: JobView = field(default_factory=lambda: JobView(JOB, JobPhase.WAITING, NOW, 0, timedelta(0), given_gpus=8))
    limit_w: float = POOL.gpu_power_w
    held: float = 0.0
    done: float = 0.0
    loading_s: float = 0.0
    cut_s: float = 0.0
    """What runs since the last settlement were cut short of their restarts by."""
    lost_s: float = 0.0
    """Of it at most, what a controller that died has not told from time worked."""
    died: bool = False
    """Since the last settlement."""
    killed: bool = False
    """Ever."""
    shown: float | None = None
    works: Works = field(default_factory=dict)
    record: JobRecord | None = None
    postings: list[Posting] = field(default_factory=list)
    seen: list[float] = field(default_factory=list)
    """Billed so far, at each settlement."""

    def go(self, minutes: float, *, looks: int = 4) -> None:
        for _ in range(looks):
            step = timedelta(minutes=minutes) / looks  # in whole microseconds, as a driver has it
            step_s = step.total_seconds()
            self.now += step
            if self.view.phase is JobPhase.RUNNING:
                self.view = replace(self.view, elapsed=self.view.elapsed + step)
                self.held += step_s * self.view.gpus
                loaded_s = min(self.loading_s, step_s)
                self.loading_s -= loaded_s
                self.done += (step_s - loaded_s) * self.view.gpus * POOL.throughput(self.limit_w)
            self.look()

    def start(self, gpus: int = 8) -> None:
        if self.view.phase.may_start:
            phase, self.loading_s = JobPhase.RUNNING, RESTART_S
            self.view = replace(
                self.view,
                phase=phase,
                changed_at=self.now,
                starts=self.view.starts + 1,
                given_gpus=gpus if self.view.job.elastic else None,
            )
        elif self.view.gpus != gpus:
            self.view = replace(self.view, changed_at=self.now, given_gpus=gpus)

    def stop(self, phase: JobPhase = JobPhase.PAUSED) -> None:
        if self.view.phase is JobPhase.RUNNING or phase.ended:
            self.cut_s, self.loading_s = self.cut_s + self.loading_s, 0.0
            self.view = replace(self.view, phase=phase, changed_at=self.now)

    def look(self) -> None:
        samples = []
        if self.shown is not None:
            samples = [Sample(Metric.JOB_PROGRESS, "train", Reading(self.shown, "GPU s", self.now, Quality.FRESH))]
        pools = {"h100": PoolView("h100", self.limit_w)}
        on_record = {"train": self.record.work} if self.record is not None and self.record.work is not None else {}
        workloads = Workloads(self.now, synced=True, jobs={"train": self.view}, pools=pools)
        self.works = follow_jobs(SITE, self.works, on_record, workloads, Telemetry(self.now, samples))

    def settle(self) -> None:
        self.look()
        record = self.record or new_record(self.view, self.now)
        due = due_of(self.view, self.works.get("train"), MAX_AGE)
        self.record, lines = settle_job(self.view, FLUX, record, due, price(self.now), self.now)
        self.record = replace(self.record, work=self.works.get("train"))
        self.postings += lines
        self.seen.append(self.record.billed_gpu_seconds)
        if self.died:
            self.lost_s += self.cut_s
        self.cut_s, self.died = 0.0, False

    def die(self) -> None:
        """The controller, with all that is not on record."""
        self.works, self.died, self.killed = {}, True, True

    @property
    def most_lost_s(self) -> float:
        return self.lost_s + (self.cut_s if self.died else 0.0)

    @property
    def work(self) -> JobWork:
        return self.works["train"]

    def record_estimated(self) -> float:
        assert self.record is not None
        return self.record.estimated_gpu_seconds

    @property
    def billed(self) -> float:
        assert self.record is not None
        return self.record.billed_gpu_seconds
