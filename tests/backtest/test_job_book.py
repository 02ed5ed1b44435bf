"""What jobs do, earn and lose in a backtest."""

import numpy as np
import pytest

from orchestrator.backtest.jobs.job_book import JobBook
from orchestrator.backtest.jobs.submitted import SubmittedJobs
from orchestrator.backtest.records.batch import NONE, JobEnd
from orchestrator.domain.site.site import Site
from orchestrator.domain.sla import SlaClass
from orchestrator.observe.phase import Phase

QUARTER_S = 900.0
NEVER = np.inf


def workload(
    *jobs: tuple[int, float, float, float],
    restart_s: float = 0.0,
    sla: SlaClass = SlaClass.FLEXIBLE,
    until: float = NEVER,
) -> SubmittedJobs:
    """Jobs as (GPUs, hours of work, submitted at, deadline); 2.1 USD per GPU and hour, half of it credited if late."""
    count = len(jobs)
    gpus = np.array([job[0] for job in jobs], dtype=np.int64)
    return SubmittedJobs(
        pool=np.zeros(count, dtype=np.int64),
        tenant=np.ones(count, dtype=np.int64),
        sla=np.full(count, sla.number),
        gpus=gpus,
        work_gpu_seconds=np.array([job[0] * job[1] * 3600.0 for job in jobs]),
        submitted_at=np.array([job[2] for job in jobs]),
        deadline=np.array([job[3] for job in jobs]),
        until=np.full(count, until),
        restart_s=np.full(count, restart_s),
        checkpoint_every_s=np.full(count, 1800.0),
    )


def whole(*values: int) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    return np.array(values, dtype=np.int64)


def test_work_is_billed_as_it_is_done_and_power_is_drawn_while_it_lasts(site: Site) -> None:
    book = JobBook(site, workload((8, 0.4, 0.0, NEVER)))  # 24 minutes
    book.begin(0.0)
    book.move(whole(8), 0.0)
    first = book.settle(0.0, QUARTER_S)
    pool = site.pools[0]
    full_kw = 8 * (pool.gpu_power_w - pool.gpu_idle_w) / 1000.0
    assert first.it_kw.tolist() == [full_kw]
    assert first.gpu_hours.tolist() == [pytest.approx(2.0)]
    assert first.revenue_usd.tolist() == [pytest.approx(4.2)]
    assert (first.starts.tolist(), first.outcome.tolist()) == ([1], [NONE])
    book.begin(QUARTER_S)
    book.move(whole(8), QUARTER_S)
    second = book.settle(QUARTER_S, QUARTER_S)
    assert second.gpu_hours.tolist() == [pytest.approx(1.2)]
    assert second.it_kw.tolist() == [pytest.approx(full_kw * 9 / 15)]
    assert (second.starts.tolist(), second.outcome.tolist()) == ([0], [JobEnd.ON_TIME])
    assert len(book.open) == 0


def test_a_job_comes_in_when_it_is_submitted(site: Site) -> None:
    book = JobBook(site, workload((8, 1.0, 0.0, NEVER), (4, 1.0, 1000.0, NEVER)))
    assert book.begin(0.0)
    assert book.open.tolist() == [0]
    assert not book.begin(900.0)
    assert book.begin(1800.0)
    assert book.open.tolist() == [0, 1]


def test_each_start_costs_its_restart(site: Site) -> None:
    book = JobBook(site, workload((8, 1.0, 0.0, NEVER), restart_s=300.0))
    book.begin(0.0)
    hours = []
    for number, gpus in enumerate([8, 0, 8]):
        book.move(whole(gpus), number * QUARTER_S)
        settled = book.settle(number * QUARTER_S, QUARTER_S)
        hours.append(settled.gpu_hours.sum())
        if number == 1:
            assert settled.interruptions.tolist() == [1]
            assert settled.it_kw.tolist() == [0.0]
    assert hours == [pytest.approx(8 * 600 / 3600), 0.0, pytest.approx(8 * 600 / 3600)]
    assert book.phase[0] == Phase.RUNNING


def test_a_missed_deadline_is_credited_once_pro_rata(site: Site) -> None:
    book = JobBook(site, workload((8, 1.0, 0.0, 1200.0)))
    book.begin(0.0)
    book.move(whole(8), 0.0)
    book.settle(0.0, QUARTER_S)
    book.move(whole(8), QUARTER_S)
    late = book.settle(QUARTER_S, QUARTER_S)  # 20 of its 60 minutes are done at the deadline
    assert late.outcome.tolist() == [JobEnd.LATE]
    assert late.credit_usd.tolist() == [pytest.approx(0.5 * 2.1 * 8 * 40 / 60)]
    for number in (2, 3):
        book.move(whole(8), number * QUARTER_S)
        after = book.settle(number * QUARTER_S, QUARTER_S)
        assert after.credit_usd.tolist() == [0.0]
        assert after.outcome.tolist() == [NONE]
    assert len(book.open) == 0  # and it was done all the same


def test_a_job_that_never_ran_is_credited_its_whole_share(site: Site) -> None:
    book = JobBook(site, workload((8, 1.0, 0.0, 600.0)))
    book.begin(0.0)
    book.move(whole(0), 0.0)
    settled = book.settle(0.0, QUARTER_S)
    assert settled.credit_usd.tolist() == [pytest.approx(0.5 * 2.1 * 8)]
    assert settled.gpu_hours.tolist() == [0.0]


def test_stopping_a_guaranteed_job_costs_its_credit(site: Site) -> None:
    book = JobBook(site, workload((8, 1.0, 0.0, NEVER), sla=SlaClass.GUARANTEED))
    book.begin(0.0)
    book.move(whole(8), 0.0)
    book.settle(0.0, QUARTER_S)
    book.move(whole(0), QUARTER_S)
    settled = book.settle(QUARTER_S, QUARTER_S)
    assert settled.credit_usd.tolist() == [pytest.approx(0.5 * 2.1 * 8)]
    assert settled.interruptions.tolist() == [1]


def test_a_job_is_withdrawn_by_its_tenant(site: Site) -> None:
    book = JobBook(site, workload((8, 9.0, 0.0, NEVER), until=QUARTER_S))
    book.begin(0.0)
    book.move(whole(8), 0.0)
    book.settle(0.0, QUARTER_S)
    book.begin(QUARTER_S)
    assert len(book.open) == 0
    book.move(whole(), QUARTER_S)
    settled = book.settle(QUARTER_S, QUARTER_S)
    assert settled.outcome.tolist() == [JobEnd.WITHDRAWN]
    assert settled.it_kw.tolist() == [0.0]


def test_what_is_open_at_the_end_is_said(site: Site) -> None:
    book = JobBook(site, workload((8, 9.0, 0.0, NEVER), (8, 9.0, 0.0, 600.0)))
    book.begin(0.0)
    book.move(whole(8, 0), 0.0)
    book.settle(0.0, QUARTER_S)
    end = book.end()
    assert end.rows.tolist() == [0]  # the other was settled as late
    assert end.outcome.tolist() == [JobEnd.OPEN]
