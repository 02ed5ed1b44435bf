"""A trace made into the jobs of a site: the stated rule, deterministic by seed."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.backtest.jobs.from_trace import LARGEST_SHARE, RUN_S, Scaled, ScalingError, TracedJobs, scaled_jobs
from orchestrator.backtest.jobs.submitted import SubmittedJobs
from orchestrator.domain.site.site import Site
from orchestrator.domain.sla import SlaClass
from orchestrator.runtime.backtest.job_files import load_workload
from orchestrator.settings import Settings, load_settings

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
START = datetime(2024, 5, 1, 5, tzinfo=UTC)
"""Midnight in Chicago, a Wednesday."""
END = START + timedelta(days=28)
SETTINGS = load_settings(EXAMPLES / "texas-100mw.yaml", {})
SITE = SETTINGS.site
GPUS = sum(pool.gpus for pool in SITE.pools)


def trace(jobs: int = 2000, days: float = 21.0, seed: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    submitted_s = np.sort(random.uniform(0.0, days * 86_400.0, jobs)) + 1.5e9
    return submitted_s, random.lognormal(8.0, 2.0, jobs), random.choice([1, 2, 4, 8], jobs)


def scaled(site: Site = SITE, **options: float | int | None) -> Scaled:
    submitted_s, run_s, gpus = trace()
    return scaled_jobs(site, TracedJobs(submitted_s, run_s, gpus), START, END, **options)  # type: ignore[arg-type]  # each as named


def load_of(jobs: SubmittedJobs) -> float:
    return float(jobs.work_gpu_seconds.sum()) / (GPUS * (END - START).total_seconds())


def test_jobs_are_in_order_within_the_period_and_within_the_stated_ranges() -> None:
    jobs = scaled().jobs
    assert (np.diff(jobs.submitted_at) >= 0.0).all()
    assert START.timestamp() <= jobs.submitted_at[0]
    assert jobs.submitted_at[-1] <= END.timestamp()
    assert (jobs.run_s >= RUN_S[0]).all()
    assert (jobs.run_s <= RUN_S[1]).all()
    for row, pool in enumerate(SITE.pools):
        assert jobs.gpus[jobs.pool == row].min() >= 1
        assert jobs.gpus[jobs.pool == row].max() <= LARGEST_SHARE * pool.gpus
    assert (jobs.restart_s >= 180.0).all()
    assert (jobs.restart_s <= 360.0).all()


def test_deadlines_and_withdrawals_are_as_stated() -> None:
    jobs = scaled().jobs
    loose = jobs.sla == SlaClass.BEST_EFFORT.number
    assert np.isinf(jobs.deadline[loose]).all()
    np.testing.assert_allclose(jobs.until[loose] - jobs.submitted_at[loose], 7 * 86_400.0)
    run_s = jobs.run_s[~loose]
    np.testing.assert_allclose(
        jobs.deadline[~loose] - jobs.submitted_at[~loose], np.maximum(3 * run_s, run_s + 4 * 3600.0), atol=1.0
    )
    np.testing.assert_allclose(jobs.until[~loose] - jobs.deadline[~loose], 86_400.0)


@pytest.mark.parametrize("load", [0.3, 0.85, 1.2])
def test_the_jobs_offer_the_load_that_was_asked(load: float) -> None:
    assert load_of(scaled(load=load).jobs) == pytest.approx(load, rel=0.01)


@pytest.mark.parametrize("jobs_a_month", [3_000, 9_000, 400_000])
def test_as_many_jobs_as_asked_offer_the_same_load(jobs_a_month: int) -> None:
    jobs = scaled(jobs_a_month=jobs_a_month).jobs
    assert len(jobs) == pytest.approx(jobs_a_month * 28 / 30.4375, rel=0.05)
    assert load_of(jobs) == pytest.approx(0.85, rel=0.01)


def test_every_week_offers_about_the_same_work() -> None:
    submitted_s, run_s, gpus = trace()
    run_s[submitted_s > 1.5e9 + 10 * 86_400.0] *= 4.0  # a cluster that got busier
    jobs = scaled_jobs(SITE, TracedJobs(submitted_s, run_s, gpus), START, END).jobs
    week = ((jobs.submitted_at - START.timestamp()) // (7 * 86_400)).astype(int)
    offered = np.bincount(week, weights=jobs.work_gpu_seconds)
    assert offered.max() < 1.4 * offered.min()


def test_weeks_in_which_the_traced_cluster_filled_and_emptied_are_left_out() -> None:
    submitted_s, run_s, gpus = trace(jobs=4000, days=42.0)
    week = (submitted_s // 604_800.0 - submitted_s[0] // 604_800.0).astype(int)
    ramp = (week < 2) | (week >= week.max() - 1)
    thinned = ~ramp | (np.arange(len(week)) % 50 == 0)
    with_ramps = scaled_jobs(SITE, TracedJobs(submitted_s[thinned], run_s[thinned], gpus[thinned]), START, END).jobs
    without = scaled_jobs(SITE, TracedJobs(submitted_s[~ramp], run_s[~ramp], gpus[~ramp]), START, END).jobs
    assert np.array_equal(with_ramps.submitted_at, without.submitted_at)
    assert np.array_equal(with_ramps.work_gpu_seconds, without.work_gpu_seconds)


def test_the_time_of_the_week_is_kept() -> None:
    # All jobs of the trace come on Tuesdays from 09:00 to 10:00 on its clocks (2017-10-03 was one).
    tuesday = datetime(2017, 10, 3, 9, tzinfo=UTC).timestamp()
    submitted_s = np.concatenate([tuesday + week * 7 * 86_400.0 + np.arange(0, 3600, 6.0) for week in range(3)])
    traced = TracedJobs(submitted_s, np.full(1800, 3600.0), np.full(1800, 2))
    jobs = scaled_jobs(SITE, traced, START, END, jobs_a_month=1000).jobs
    local = [datetime.fromtimestamp(at, ZoneInfo("America/Chicago")) for at in jobs.submitted_at.tolist()]
    assert {at.weekday() for at in local} == {1}
    assert {at.hour for at in local} <= {9}


def test_tenants_share_jobs_by_class() -> None:
    jobs = scaled(jobs_a_month=20_000).jobs
    share = np.bincount(jobs.sla, minlength=3) / len(jobs)
    assert share == pytest.approx([0.3, 0.4, 0.3], abs=0.02)
    two = replace(SITE, tenants=tuple(tenant for tenant in SITE.tenants if tenant.sla is not SlaClass.GUARANTEED))
    share = np.bincount(scaled(two, jobs_a_month=20_000).jobs.sla, minlength=3) / len(jobs)
    assert share == pytest.approx([0.0, 4 / 7, 3 / 7], abs=0.02)


def test_the_same_seed_gives_the_same_jobs_and_another_others() -> None:
    first, again, other = scaled(seed=3).jobs, scaled(seed=3).jobs, scaled(seed=4).jobs
    for name in SubmittedJobs.__slots__:
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    assert len(other) != len(first) or (other.tenant != first.tenant).any()


def test_a_trace_of_processors_is_scaled_by_its_machine() -> None:
    submitted_s, run_s, _ = trace()
    procs = np.full(2000, GPUS * 10 // 8)  # an eighth of a machine ten times the site
    traced = TracedJobs(submitted_s, run_s, procs, machine=GPUS * 10)
    jobs = scaled_jobs(SITE, traced, START, END, jobs_a_month=900, load=0.4).jobs
    assert jobs.gpus.max() <= LARGEST_SHARE * max(pool.gpus for pool in SITE.pools)
    assert load_of(jobs) == pytest.approx(0.4, rel=0.05)


def test_a_site_without_gpus_is_refused() -> None:
    with pytest.raises(ScalingError, match="has no GPU pool or no tenant"):
        scaled(replace(SITE, pools=()))


@settings(max_examples=25)
@given(
    jobs=st.integers(1, 60),
    days=st.floats(0.0, 400.0),
    period_h=st.integers(1, 24 * 60),
    seed=st.integers(0, 3),
    jobs_a_month=st.one_of(st.none(), st.integers(1, 5000)),
)
def test_any_trace_makes_jobs_that_fit_the_site(
    jobs: int, days: float, period_h: int, seed: int, jobs_a_month: int | None
) -> None:
    submitted_s, run_s, gpus = trace(jobs, days, seed)
    end = START + timedelta(hours=period_h)
    made = scaled_jobs(SITE, TracedJobs(submitted_s, run_s, gpus), START, end, jobs_a_month=jobs_a_month, seed=seed)
    assert len(made.notes) >= 1
    assert (made.jobs.submitted_at >= START.timestamp()).all()
    assert (made.jobs.submitted_at <= end.timestamp()).all()
    assert (made.jobs.gpus <= np.array([pool.gpus for pool in SITE.pools])[made.jobs.pool]).all()
    assert np.isfinite(made.jobs.until).all()


def test_without_a_trace_the_mock_sites_jobs_come_and_without_a_mock_site_none() -> None:
    workload = load_workload(SETTINGS, None, START, START + timedelta(days=2), seed=7)
    assert len(workload.jobs) > 50
    assert (np.diff(workload.jobs.submitted_at) >= 0.0).all()
    assert workload.jobs.name(0, SITE).endswith("-000000")
    assert (workload.jobs.until > workload.jobs.submitted_at).all()
    assert "simulated jobs (seed 7)" in workload.notes[0]
    real: Settings = replace(SETTINGS, mock=None)
    none = load_workload(real, None, START, END, seed=7)
    assert len(none.jobs) == 0
    assert none.notes[0].startswith("no jobs:")


def test_a_trace_file_is_read_scaled_and_told(tmp_path: Path) -> None:
    path = tmp_path / "trace.csv"
    rows = "".join(f"2017-10-{2 + hour // 24:02d} {hour % 24:02d}:00:00,7200,4,1,a\n" for hour in range(24 * 7))
    path.write_text("timestamp,duration,num_gpus,gpu_time,cluster\n" + rows + "2017-10-03 01:00:00,-1,4,1,a\n")
    workload = load_workload(SETTINGS, path, START, END, seed=1)
    assert load_of(workload.jobs) == pytest.approx(0.85, rel=0.01)
    assert workload.notes[0] == "trace.csv: 168 of 169 rows are jobs that can be used (csv)"
    assert workload.notes[1].startswith("trace.csv: 1 rows left out: a negative run time (line 170: '-1')")


def test_repeats_of_few_jobs_are_told(tmp_path: Path) -> None:
    path = tmp_path / "trace.csv"
    path.write_text("timestamp,duration,num_gpus\n2017-10-03 06:00:00,7200,4\n2017-10-03 07:00:00,7200,4\n")
    workload = load_workload(SETTINGS, path, START, END, seed=1)
    copies = len(workload.jobs) / 2
    assert f"trace: 2 of its jobs are used to make these, each {copies:.1f} times on average" in workload.notes
    assert copies > 1000
    assert not any("times on average" in note for note in scaled(jobs_a_month=2_000).notes)
