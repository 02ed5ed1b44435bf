"""Whatever becomes of a job and its controller, it is billed no more than its GPUs x the time it held them."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.work import JobPhase
from tests.accounting.job_tenants import JOB, POOL, Tenants
from tests.accounting.test_billing import ANY_SPEED

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
@given(
    STEPS, st.sampled_from([JobPhase.RUNNING, JobPhase.SUCCEEDED, JobPhase.FAILED]), st.just(0.0) | st.floats(1e-6, 3.0)
)
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
    if site.view.starts:
        fewest = site.view.elapsed.total_seconds() * JOB.fewest_gpus
        assert (site.held if not site.killed else fewest) - 1e-3 <= site.work.held_gpu_seconds <= site.held + 1e-3
    assert sum(line.quantity for line in site.postings) * 3600.0 == pytest.approx(site.billed)
    assert all(line.quantity > 0.0 for line in site.postings)
    assert all(0.0 <= line.estimated_usd <= line.revenue_usd * (1 + 1e-9) for line in site.postings)


@ANY_SPEED
@given(st.lists(st.tuples(st.floats(1.0, 90.0), st.sampled_from(["start", "pause", "go"])), max_size=15), st.data())
def test_a_controller_that_dies_at_any_time_loses_restarts_cut_short_at_most_and_doubles_nothing(
    steps: Sequence[tuple[float, str]], data: st.DataObject
) -> None:
    """With one change at most between two looks, estimated work is the true work. A dead controller's looks are lost
    back to its last settlement: of a run that began and ended since, and was paused while it restarted, the driver
    tells its time with that of the others, and a whole restart is taken off."""
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
        assert site.work.estimated_gpu_seconds <= site.done + 1e-3
        assert site.work.estimated_gpu_seconds >= site.done - JOB.gpus * site.most_lost_s - 1e-3
        assert site.work.held_gpu_seconds == pytest.approx(site.held, abs=1e-3)
