"""What tenants are billed and credited, case by case."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.accounting.billing import JobRecord, due_of, interruption_credit, new_record, record_for, settle_job
from orchestrator.accounting.job_work import JobWork
from orchestrator.accounting.ledger import Account, Posting
from orchestrator.domain.market import CurrentPrice
from orchestrator.domain.observation import Quality, Reading
from orchestrator.domain.site.site import Tenant
from orchestrator.domain.sla import SlaClass
from orchestrator.domain.work import Job, JobPhase, JobView

ANY_SPEED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
NOW = datetime(2023, 9, 6, 19, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
BANK = Tenant("bank", SlaClass.GUARANTEED, 3.0, 1.0, 0)
FLUX = Tenant("flux", SlaClass.FLEXIBLE, 2.0, 0.5, 4)
JOB = Job(
    name="train",
    tenant="flux",
    pool="h100",
    gpus=8,
    work_gpu_seconds=8 * 10 * 3600.0,
    submitted_at=NOW - 10 * HOUR,
    deadline=NOW,
    checkpoint_every=HOUR / 2,
    restart=HOUR / 12,
)
"""80 GPU-hours, due at NOW."""
RUNNING = JobView(JOB, JobPhase.RUNNING, NOW - 9 * HOUR, 1, 9 * HOUR)
GPU_H = 3600.0


def price(at: datetime) -> CurrentPrice:
    return CurrentPrice(Reading(50.0, "USD/MWh", at, Quality.FRESH), "real_time", at, at + HOUR / 4)


def settled(
    view: JobView, record: JobRecord | None, done_gpu_h: float | None, *, at: datetime, tenant: Tenant = FLUX
) -> tuple[JobRecord, list[Posting]]:
    """With progress as measured, of a job that held its GPUs for long enough."""
    done = 0.0 if done_gpu_h is None else done_gpu_h * GPU_H
    work = JobWork(view.elapsed, view.starts, 0.0, 8, 100.0 * GPU_H, 0.0, done, at)
    due = due_of(view, work, HOUR / 60)
    return settle_job(view, tenant, record or new_record(view, at), due, price(at), at)


def test_progress_is_billed_by_the_gpu_hour_as_it_is_made() -> None:
    record, [first] = settled(RUNNING, None, 30.0, at=NOW - HOUR)
    assert (first.account, first.subject) == (Account.HPC, "train")
    assert (first.quantity, first.revenue_usd) == pytest.approx((30.0, 60.0))
    record, [second] = settled(RUNNING, record, 34.0, at=NOW - HOUR / 2)
    assert (second.quantity, second.revenue_usd) == pytest.approx((4.0, 8.0))
    assert record.billed_gpu_seconds == pytest.approx(34.0 * GPU_H)
    assert record.outcome == "open"


@pytest.mark.parametrize("done_gpu_h", [None, 30.0, 25.0])
def test_work_that_is_done_again_or_not_measured_is_not_billed(done_gpu_h: float | None) -> None:
    before = replace(new_record(RUNNING, NOW), billed_gpu_seconds=30.0 * GPU_H)
    assert settled(RUNNING, before, done_gpu_h, at=NOW - HOUR) == (before, [])


def test_a_job_that_succeeded_in_time_is_billed_in_full_and_owed_nothing() -> None:
    view = replace(RUNNING, phase=JobPhase.SUCCEEDED, changed_at=NOW - HOUR / 60)
    record, [line] = settled(view, None, 79.0, at=NOW + HOUR)
    assert (line.quantity, line.revenue_usd) == pytest.approx((80.0, 160.0))
    assert (record.outcome, record.credited_usd) == ("on_time", 0.0)


def test_a_missed_deadline_is_credited_once_by_the_work_left_at_it() -> None:
    before = replace(new_record(RUNNING, NOW), billed_gpu_seconds=60.0 * GPU_H)
    record, [line] = settled(RUNNING, before, 60.0, at=NOW)
    assert line.account is Account.CREDIT
    assert line.credit_usd == record.credited_usd == pytest.approx(0.5 * 2.0 * 20.0)
    assert record.outcome == "late"
    later, [line] = settled(RUNNING, record, 64.0, at=NOW + HOUR / 2)
    assert line.account is Account.HPC
    assert line.revenue_usd == pytest.approx(8.0)
    assert (later.outcome, later.credited_usd) == ("late", record.credited_usd)


def test_what_was_done_after_the_deadline_does_not_lower_the_credit() -> None:
    """The controller was away for an hour: 8 GPU-hours of the 68 were done past the deadline."""
    record, lines = settled(RUNNING, None, 68.0, at=NOW + HOUR)
    assert [line.credit_usd for line in lines if line.account is Account.CREDIT] == [pytest.approx(20.0)]
    assert record.outcome == "late"


def test_a_job_that_ended_after_its_deadline_is_late() -> None:
    view = replace(RUNNING, phase=JobPhase.SUCCEEDED, changed_at=NOW + HOUR)
    record, lines = settled(view, None, None, at=NOW + 2 * HOUR)
    assert record.outcome == "late"
    assert sum(line.credit_usd for line in lines) == pytest.approx(0.5 * 2.0 * 8.0)  # an hour of 8 GPUs


def test_a_job_paused_over_its_deadline_is_credited_what_is_left() -> None:
    view = replace(RUNNING, phase=JobPhase.PAUSED, changed_at=NOW - HOUR)
    _, lines = settled(view, None, 50.0, at=NOW + HOUR)
    assert sum(line.credit_usd for line in lines) == pytest.approx(0.5 * 2.0 * 30.0)


@pytest.mark.parametrize(
    ("phase", "changed_at", "outcome"),
    [
        pytest.param(JobPhase.FAILED, NOW - HOUR, "failed", id="failed by itself before its deadline"),
        pytest.param(JobPhase.FAILED, NOW + HOUR, "late", id="still running at its deadline"),
    ],
)
def test_a_job_that_failed(phase: JobPhase, changed_at: datetime, outcome: str) -> None:
    view = replace(RUNNING, phase=phase, changed_at=changed_at)
    record, lines = settled(view, None, 10.0, at=NOW + 2 * HOUR)
    assert record.outcome == outcome
    assert (sum(line.credit_usd for line in lines) > 0) == (outcome == "late")


def test_a_job_without_a_deadline_is_never_late() -> None:
    view = replace(RUNNING, job=replace(JOB, deadline=None))
    record, lines = settled(view, None, 10.0, at=NOW + 100 * HOUR)
    assert record.outcome == "open"
    assert [line.account for line in lines] == [Account.HPC]


def test_a_guaranteed_job_that_is_interrupted_is_credited_its_price_once() -> None:
    record, [line] = interruption_credit(RUNNING, BANK, new_record(RUNNING, NOW), price(NOW))
    assert (line.account, line.subject) == (Account.CREDIT, "train")
    assert line.credit_usd == record.credited_usd == pytest.approx(240.0)
    assert interruption_credit(RUNNING, BANK, record, price(NOW)) == (record, [])


def test_a_flexible_job_may_be_interrupted_for_nothing() -> None:
    before = new_record(RUNNING, NOW)
    assert interruption_credit(RUNNING, FLUX, before, price(NOW)) == (before, [])


def test_an_interrupted_and_late_job_is_credited_no_more_than_its_price() -> None:
    record, _ = interruption_credit(RUNNING, BANK, new_record(RUNNING, NOW), price(NOW))
    record, lines = settled(RUNNING, record, 10.0, at=NOW + HOUR, tenant=BANK)
    assert record.outcome == "late"
    assert [line.account for line in lines] == [Account.HPC]
    assert record.credited_usd == pytest.approx(240.0)


@ANY_SPEED
@given(
    st.lists(st.tuples(st.integers(1, 90), st.floats(0, 100)), min_size=1, max_size=12),
    st.sampled_from([BANK, FLUX]),
    st.lists(st.booleans(), min_size=12, max_size=12),
)
def test_however_it_goes_no_more_is_billed_than_the_work_and_no_more_credited_than_its_share(
    steps: list[tuple[int, float]], tenant: Tenant, interruptions: list[bool]
) -> None:
    at, record, postings = NOW - 8 * HOUR, new_record(RUNNING, NOW), list[Posting]()
    for (wait_min, done_gpu_h), is_interrupted in zip(steps, interruptions, strict=False):
        at += timedelta(minutes=wait_min)
        record, lines = settled(RUNNING, record, done_gpu_h, at=at, tenant=tenant)
        postings.extend(lines)
        if is_interrupted:
            record, lines = interruption_credit(RUNNING, tenant, record, price(at))
            postings.extend(lines)
    billed_gpu_h = sum(line.quantity for line in postings)
    assert billed_gpu_h == pytest.approx(min(max([0.0, *(done for _, done in steps)]), 80.0))
    assert sum(line.revenue_usd for line in postings) == pytest.approx(billed_gpu_h * tenant.usd_per_gpu_h)
    credited = sum(line.credit_usd for line in postings)
    assert credited == pytest.approx(record.credited_usd)
    assert credited <= tenant.credit_share * tenant.usd_per_gpu_h * 80.0 + 1e-9


def test_an_open_job_is_not_the_one_of_its_name_that_has_ended() -> None:
    record = replace(new_record(RUNNING, NOW), outcome="on_time", billed_gpu_seconds=JOB.work_gpu_seconds)
    ended = replace(RUNNING, phase=JobPhase.SUCCEEDED)
    assert record_for({"train": record}, ended) == record
    assert record_for({"train": record}, RUNNING) is None
    late = replace(record, outcome="late")  # and runs on past its deadline
    assert record_for({"train": late}, RUNNING) == late
