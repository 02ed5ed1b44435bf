"""How far a job is that serves no progress, and what it is billed: never more than its GPUs x the time it held them."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.accounting.billing import JobRecord, due_of, new_record, settle_job
from orchestrator.accounting.job_work import JobWork, Works, follow_jobs
from orchestrator.accounting.ledger import Posting
from orchestrator.domain.observation import Metric, Quality, Reading, Sample, Telemetry
from orchestrator.domain.work import Job, JobPhase, JobView, PoolView, Workloads
from tests.accounting.test_billing import ANY_SPEED, FLUX, NOW, price
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

    def die(self) -> None:
        """The controller, with all that is not on record."""
        self.works = {}

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


def test_an_ordinary_job_has_done_its_gpus_times_its_time_but_for_restarts() -> None:
    site = Tenants()
    site.start()
    site.go(65)
    site.settle()
    assert site.billed == site.record_estimated() == pytest.approx(8 * 3600.0)
    [line] = site.postings
    assert line.quantity == pytest.approx(8.0)
    assert line.estimated_usd == line.revenue_usd == pytest.approx(16.0)
    site.stop()
    site.go(30)
    site.start()
    site.go(4)
    site.settle()
    assert site.billed == pytest.approx(8 * 3600.0), "it restarts"
    site.go(31)
    site.settle()
    assert site.billed == pytest.approx(8 * 1.5 * 3600.0)


def test_an_elastic_job_has_done_what_it_was_given_gpus_for_and_a_slow_pool_less() -> None:
    site = Tenants()
    site.start(8)
    site.go(65)
    site.start(2)
    site.go(60)
    assert site.work.estimated_gpu_seconds == pytest.approx((8 + 2) * 3600.0)
    site.limit_w = POOL.gpu_power_w / 2
    site.go(60)
    slow = POOL.throughput(site.limit_w)
    assert slow < 1.0
    assert site.work.estimated_gpu_seconds == pytest.approx((8 + 2 + 2 * slow) * 3600.0)
    assert site.work.held_gpu_seconds == pytest.approx(site.held)


@pytest.mark.parametrize("shown_share", [0.5, 1.5])
def test_measured_progress_takes_over_with_nothing_billed_twice(shown_share: float) -> None:
    site = Tenants()
    site.start()
    site.go(65)
    site.settle()
    estimated = site.billed
    site.shown = estimated * shown_share
    site.go(60)
    site.settle()
    assert site.billed == pytest.approx(max(estimated, site.shown))
    assert site.record_estimated() == pytest.approx(max(estimated - site.shown, 0.0))
    site.shown = estimated * 1.6
    site.go(5)
    site.settle()
    assert site.billed == pytest.approx(site.shown)
    assert site.record_estimated() == 0.0
    assert sum(line.quantity for line in site.postings) * 3600.0 == pytest.approx(site.billed)
    assert sum(line.estimated_usd for line in site.postings) == pytest.approx(estimated * FLUX.usd_per_gpu_h / 3600.0)


def test_a_job_that_succeeded_in_less_than_its_work_takes_is_billed_the_time_it_held_its_gpus() -> None:
    site = Tenants()
    site.start()
    site.go(65)
    site.stop(JobPhase.SUCCEEDED)
    site.settle()
    assert site.billed == site.record_estimated() == pytest.approx(site.held) == pytest.approx(8 * 65 * 60.0)


def test_a_job_that_succeeded_after_its_time_has_done_its_work_and_nothing_of_it_is_estimated() -> None:
    site = Tenants()
    site.start()
    site.go(11 * 60)
    site.settle()
    assert site.record_estimated() == JOB.work_gpu_seconds
    site.stop(JobPhase.SUCCEEDED)
    site.settle()
    assert (site.billed, site.record_estimated()) == (JOB.work_gpu_seconds, 0.0)


def test_a_job_that_has_just_begun_is_given_time_to_be_read() -> None:
    site = Tenants()
    site.start()
    site.go(6)
    assert site.work.done_gpu_seconds(site.view, MINUTE) == 0.0
    site.go(1)
    assert site.work.done_gpu_seconds(site.view, MINUTE) == pytest.approx(8 * 120.0)


def test_what_is_measured_is_billed_no_further_than_gpus_can_have_done_in_their_time() -> None:
    site = Tenants()
    site.start()
    site.shown = JOB.work_gpu_seconds
    site.go(10)
    site.settle()
    assert site.billed == pytest.approx(8 * 600.0)
    assert site.record_estimated() == 0.0


STEPS = st.lists(
    st.tuples(
        st.floats(0.5, 90.0),
        st.sampled_from(["start", "pause", "settle", "die", "show", "hide", "slow", "fast", "go"]),
        st.sampled_from([2, 4, 8]),
    ),
    min_size=1,
    max_size=25,
)


@ANY_SPEED
@given(STEPS, st.sampled_from([JobPhase.RUNNING, JobPhase.SUCCEEDED, JobPhase.FAILED]), st.floats(0.0, 3.0))
def test_whatever_becomes_of_a_job_it_is_billed_for_no_more_than_it_held_and_never_less_than_before(
    steps: Sequence[tuple[float, str, int]], end: JobPhase, lie: float
) -> None:
    """`lie` is what it serves as its progress, as a share of the truth."""
    site = Tenants()
    showing = False
    for minutes, what, gpus in steps:
        match what:
            case "start":
                site.start(gpus)
            case "pause":
                site.stop()
            case "settle":
                site.settle()
            case "die":
                site.die()
            case "slow" | "fast":
                site.limit_w = POOL.gpu_power_w * (0.6 if what == "slow" else 1.0)
            case "show" | "hide":
                showing = what == "show"
        site.shown = site.done * lie if showing and site.view.phase is JobPhase.RUNNING else None
        site.look()
        site.go(minutes)
    if site.view.starts:
        site.stop(end)
    site.settle()
    assert site.seen == sorted(site.seen)
    assert 0.0 <= site.record_estimated() <= site.billed + 1e-6
    assert site.billed <= min(site.held, JOB.work_gpu_seconds) * (1 + 1e-9)
    assert sum(line.quantity for line in site.postings) * 3600.0 == pytest.approx(site.billed)
    assert all(line.quantity > 0.0 for line in site.postings)
    assert all(0.0 <= line.estimated_usd <= line.revenue_usd * (1 + 1e-9) for line in site.postings)


@ANY_SPEED
@given(st.lists(st.tuples(st.floats(1.0, 90.0), st.sampled_from(["start", "pause", "go"])), max_size=15), st.data())
def test_a_controller_that_dies_at_any_time_loses_and_doubles_nothing(
    steps: Sequence[tuple[float, str]], data: st.DataObject
) -> None:
    """With one change at most between two looks, estimated work is the true work."""
    site = Tenants()
    site.view = replace(site.view, job=replace(JOB, min_gpus=None, gpu_step=None), given_gpus=None)
    for minutes, what in steps:
        if what == "start":
            site.start()
        elif what == "pause":
            site.stop()
        if data.draw(st.booleans()):
            site.settle()
        if data.draw(st.booleans()):
            site.die()
        site.go(minutes, looks=1)
    if site.view.starts:
        assert site.work.estimated_gpu_seconds == pytest.approx(site.done, abs=1e-3)
        assert site.work.held_gpu_seconds == pytest.approx(site.held, abs=1e-3)
