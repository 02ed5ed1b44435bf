"""Deadlines at risk, and power by tenant."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.domain.site.gpus import GpuPool
from orchestrator.domain.site.site import Tenant
from orchestrator.domain.sla import SlaClass
from orchestrator.domain.snapshot import JobStatus, PoolStatus
from orchestrator.domain.work import Job, JobPhase, JobView
from orchestrator.observe.jobs_at_risk import at_risk, tenant_power_kw, watch_jobs

NOW = datetime(2023, 9, 6, 20, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
BANK, LAB = Tenant("bank", SlaClass.GUARANTEED, 3.0, 1.0, 0), Tenant("lab", SlaClass.BEST_EFFORT, 1.0, 0.0, 6)
POOL = GpuPool("h100", "H100", "b", 4, 8, 700.0, 200.0, 70.0, 1800.0)
"""A node idles at 2.36 kW, 0.295 kW a GPU."""


def job(
    phase: JobPhase = JobPhase.RUNNING,
    *,
    left_h: float,
    due_in: timedelta | None,
    gpus: int = 8,
    tenant: Tenant = LAB,
    pool: str = "h100",
) -> JobStatus:
    """10 h of work, of which `left_h` are left on all its GPUs; 6 minutes to restart."""
    work = gpus * 10 * 3600.0
    due = None if due_in is None else NOW + due_in
    made = Job("train", tenant.name, pool, gpus, work, NOW - 9 * HOUR, due, HOUR / 2, HOUR / 10)
    done = work - gpus * left_h * 3600.0
    return JobStatus(made, JobView(made, phase, NOW - HOUR, 1, HOUR), tenant, done, done, 0)


@pytest.mark.parametrize(
    ("left_h", "due_in_h", "risk"),
    [(4.5, 5.0, False), (4.51, 5.0, True), (6.0, 5.0, True), (0.0, 5.0, False), (0.1, 0.1, True)],
)
def test_a_running_job_is_at_risk_when_less_than_a_tenth_of_its_time_is_to_spare(
    left_h: float, due_in_h: float, risk: bool
) -> None:
    assert at_risk(job(left_h=left_h, due_in=due_in_h * HOUR), NOW) is risk


@pytest.mark.parametrize("phase", [JobPhase.WAITING, JobPhase.PAUSED])
def test_a_job_that_does_not_run_has_to_restart_first(phase: JobPhase) -> None:
    assert not at_risk(job(phase, left_h=4.39, due_in=5 * HOUR), NOW)
    assert at_risk(job(phase, left_h=4.41, due_in=5 * HOUR), NOW)


def test_an_elastic_job_that_is_shrunk_counts_at_full_speed() -> None:
    status = job(left_h=4.4, due_in=5 * HOUR)
    assert not at_risk(replace(status, view=replace(status.view, given_gpus=4)), NOW)


def test_no_deadline_no_risk_and_a_deadline_that_is_over_is_none_any_more() -> None:
    assert not at_risk(job(left_h=9.0, due_in=None), NOW)
    assert not at_risk(job(left_h=9.0, due_in=timedelta(0)), NOW)
    assert not at_risk(job(left_h=9.0, due_in=-HOUR), NOW)


def test_every_class_is_counted() -> None:
    statuses = [job(left_h=9.0, due_in=HOUR), job(left_h=9.0, due_in=HOUR, tenant=BANK), job(left_h=0.5, due_in=HOUR)]
    counts = {SlaClass.GUARANTEED: 1, SlaClass.FLEXIBLE: 0, SlaClass.BEST_EFFORT: 1}
    assert watch_jobs(statuses, NOW).at_risk == counts


def test_what_a_pool_draws_is_shared_by_the_gpus_that_jobs_hold() -> None:
    """9.44 kW idle and 12 kW above it; 24 of 32 GPUs are held."""
    pools = {"h100": PoolStatus(POOL, 700.0, 21.44, 21.44, frozenset())}
    statuses = [
        job(left_h=1.0, due_in=None, gpus=16, tenant=BANK),
        job(JobPhase.STOPPING, left_h=1.0, due_in=None, gpus=8),
        job(JobPhase.PAUSED, left_h=1.0, due_in=None, gpus=8),
    ]
    held = watch_jobs(statuses, NOW).gpus
    assert held == {("h100", "bank"): 16, ("h100", "lab"): 8}
    power = tenant_power_kw(pools, {"h100": 21.44}, held)
    assert power == {"bank": pytest.approx(16 * (0.295 + 0.5)), "lab": pytest.approx(8 * (0.295 + 0.5))}
    assert sum(power.values()) == pytest.approx(21.44 - 8 * 0.295), "but for what idles"


def test_power_below_idle_is_nobodys_gain() -> None:
    pools = {"h100": PoolStatus(POOL, 700.0, 5.0, 5.0, frozenset())}
    assert tenant_power_kw(pools, {"h100": 5.0}, {("h100", "lab"): 8}) == {"lab": pytest.approx(8 * 0.295)}
