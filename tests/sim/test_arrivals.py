import re
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.domain.site.site import Site
from orchestrator.domain.sla import SlaClass
from orchestrator.domain.work import Job
from orchestrator.sim.jobs.arrivals import job_stream

seeds = given(seed=st.integers(0, 10_000))
thorough = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
DAY = timedelta(days=1)


@pytest.fixture
def big_site(site: Site) -> Site:
    """1,024 and 1,728 GPUs."""
    (pool,) = site.pools
    pools = (replace(pool, nodes=128), replace(pool, name="gb200", nodes=24, gpus_per_node=72))
    return replace(site, pools=pools)


def busy(jobs: tuple[Job, ...], pool: str, at: datetime) -> int:
    """GPUs in use at `at` were every job run at once and at full power."""
    return sum(
        job.gpus
        for job in jobs
        if job.pool == pool and job.submitted_at <= at < job.submitted_at + job.restart + job.run_time
    )


@thorough
@seeds
def test_pools_start_some_nine_tenths_full_and_stay_so(big_site: Site, start: datetime, seed: int) -> None:
    jobs = job_stream(big_site, start, start + DAY, seed)
    for pool in big_site.pools:
        assert 0.85 <= busy(jobs, pool.name, start) / pool.gpus <= 0.95
        shares = [busy(jobs, pool.name, start + timedelta(minutes=5 * n)) / pool.gpus for n in range(288)]
        assert max(shares) <= 0.95
        assert 0.82 <= sum(shares) / len(shares) <= 0.95


@thorough
@seeds
def test_a_day_has_a_believable_number_of_jobs(big_site: Site, start: datetime, seed: int) -> None:
    jobs = job_stream(big_site, start, start + DAY, seed)
    at_once = sum(job.submitted_at == start for job in jobs)
    finished = sum(job.submitted_at + job.restart + job.run_time <= start + DAY for job in jobs)
    assert 5 <= at_once <= 22
    assert 25 <= finished <= 80
    for job in jobs:
        assert job.gpus in (64, 128, 256, 512)
        assert timedelta(hours=1) <= job.run_time <= timedelta(hours=12)
        assert timedelta(minutes=3) <= job.restart <= timedelta(minutes=6)


def test_over_many_days_the_numbers_are_what_was_asked_for(big_site: Site, start: datetime) -> None:
    days = [job_stream(big_site, start, start + DAY, seed) for seed in range(40)]
    at_once = sum(sum(job.submitted_at == start for job in jobs) for jobs in days) / len(days)
    finished = sum(
        sum(job.submitted_at + job.restart + job.run_time <= start + DAY for job in jobs) for jobs in days
    ) / len(days)
    assert 8 <= at_once <= 14
    assert 30 <= finished <= 50


@thorough
@seeds
def test_guaranteed_jobs_never_hold_more_than_half_a_pool(big_site: Site, start: datetime, seed: int) -> None:
    jobs = [job for job in job_stream(big_site, start, start + DAY, seed) if job.tenant == "acme"]
    for pool in big_site.pools:
        for job in jobs:
            at = job.submitted_at
            held = sum(
                other.gpus
                for other in jobs
                if other.pool == pool.name and other.deadline and other.submitted_at <= at < other.deadline
            )
            assert held <= pool.gpus / 2


@thorough
@seeds
def test_deadlines_follow_the_sla_class(big_site: Site, start: datetime, seed: int) -> None:
    for job in job_stream(big_site, start, start + DAY, seed):
        sla = big_site.tenant(job.tenant).sla
        if sla is SlaClass.BEST_EFFORT:
            assert job.deadline is None
            continue
        assert job.deadline is not None
        slack = (job.deadline - job.submitted_at - timedelta(minutes=30)) / job.run_time
        if sla is SlaClass.GUARANTEED:
            assert slack == pytest.approx(1.15, abs=0.001)
            assert job.submitted_at + job.restart + job.run_time < job.deadline
        else:
            assert 1.499 <= slack <= 3.001


@thorough
@seeds
def test_the_stream_is_ordered_named_and_the_same_each_time(big_site: Site, start: datetime, seed: int) -> None:
    jobs = job_stream(big_site, start, start + DAY, seed)
    assert jobs == job_stream(big_site, start, start + DAY, seed)
    assert job_stream(big_site, start, start + DAY / 2, seed) == tuple(
        job for job in jobs if job.submitted_at < start + DAY / 2
    )
    assert [job.submitted_at for job in jobs] == sorted(job.submitted_at for job in jobs)
    assert len({job.name for job in jobs}) == len(jobs)
    assert all(re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", job.name) for job in jobs)
    assert all(start <= job.submitted_at < start + DAY for job in jobs)


def test_every_tenant_uses_every_pool(big_site: Site, start: datetime) -> None:
    jobs = job_stream(big_site, start, start + DAY, 7)
    assert {(job.tenant, job.pool) for job in jobs} == {
        (tenant.name, pool.name) for tenant in big_site.tenants for pool in big_site.pools
    }


def test_seeds_differ(big_site: Site, start: datetime) -> None:
    assert job_stream(big_site, start, start + DAY, 1) != job_stream(big_site, start, start + DAY, 2)


@pytest.mark.parametrize("nodes", [1, 2, 4])
def test_small_pools_get_jobs_that_fit(site: Site, start: datetime, nodes: int) -> None:
    (pool,) = site.pools
    small = replace(site, pools=(replace(pool, nodes=nodes),))
    jobs = job_stream(small, start, start + DAY, 3)
    assert busy(jobs, pool.name, start) >= 0.75 * 8 * nodes
    assert all(0 < job.gpus <= 8 * nodes for job in jobs)


def test_a_tenant_name_that_is_no_label_still_names_jobs(site: Site, start: datetime) -> None:
    odd = replace(site, tenants=(replace(site.tenants[1], name="Uni München / HPC"),))
    jobs = job_stream(odd, start, start + timedelta(hours=1), 3)
    assert jobs[0].name == "uni-m-nchen-hpc-0001"


def test_a_site_of_guaranteed_tenants_only_is_half_full(site: Site, start: datetime) -> None:
    only = replace(site, tenants=site.tenants[:1])
    jobs = job_stream(only, start, start + DAY, 3)
    assert 0 < busy(jobs, "h100", start) <= 16
