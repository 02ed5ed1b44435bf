"""How far a job is that serves no progress, and what it is billed: never more than its GPUs x the time it held them."""

from dataclasses import replace
from datetime import timedelta

import pytest

from orchestrator.accounting.billing import new_record
from orchestrator.accounting.settlement import Books, jobs_followed
from orchestrator.domain.observation import Telemetry
from orchestrator.domain.work import JobPhase, JobView, Workloads
from tests.accounting.job_tenants import JOB, MINUTE, POOL, SITE, Tenants
from tests.accounting.test_billing import FLUX, NOW


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


def test_a_restart_cut_short_by_a_pause_is_not_waited_for_again() -> None:
    site = Tenants()
    site.start()
    site.go(3)
    site.stop()
    site.look()
    assert site.work.loading_s == 0.0
    site.settle()
    site.start()
    site.go(6)
    site.stop()
    site.die()
    site.look()
    assert site.work.estimated_gpu_seconds == pytest.approx(JOB.fewest_gpus * 60.0)


def test_gpus_given_since_the_last_settlement_of_a_dead_controller_are_taken_to_have_been_the_fewest() -> None:
    site = Tenants()
    site.start(8)
    site.go(65)
    site.settle()
    for gpus in (2, 8):
        site.start(gpus)
        site.go(60)
    site.die()
    site.go(60)
    surely = (8 * 65 + 2 * 60 + 8 * 120) * 60.0
    assert site.work.held_gpu_seconds == pytest.approx(surely) == pytest.approx(site.held)
    site.settle()
    site.start(4)
    site.go(60)
    site.stop()
    site.die()
    site.go(60)
    assert site.work.held_gpu_seconds == pytest.approx(surely + 2 * 3600.0)


def test_gpus_that_others_give_without_a_time_count_from_when_they_are_seen() -> None:
    site = Tenants()
    site.start(2)
    site.go(65)
    site.now += MINUTE
    site.view = replace(site.view, given_gpus=8, elapsed=site.view.elapsed + MINUTE)
    site.look()
    assert site.work.estimated_gpu_seconds == pytest.approx(2 * 61 * 60.0)
    site.go(60)
    assert site.work.estimated_gpu_seconds == pytest.approx((2 * 61 + 8 * 60) * 60.0)


@pytest.mark.parametrize(("billed_gpu_h", "min_gpus", "held_gpu_h"), [(5.0, 2, 5.0), (1.0, 2, 2.0), (1.0, None, 8.0)])
def test_a_job_of_a_version_that_kept_no_time_has_held_its_gpus_for_what_was_billed_or_the_fewest_all_the_time(
    billed_gpu_h: float, min_gpus: int | None, held_gpu_h: float
) -> None:
    view = JobView(replace(JOB, min_gpus=min_gpus), JobPhase.RUNNING, NOW, 1, timedelta(hours=1))
    books = Books(jobs={"train": replace(new_record(view, NOW), billed_gpu_seconds=billed_gpu_h * 3600.0)})
    workloads = Workloads(NOW + 60 * MINUTE, synced=True, jobs={"train": view})
    [work] = jobs_followed(SITE, books, workloads, Telemetry(workloads.at)).works.values()
    assert work.held_gpu_seconds == held_gpu_h * 3600.0
    assert work.measured_gpu_seconds == billed_gpu_h * 3600.0
