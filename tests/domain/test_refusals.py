"""What is refused, in which words, and in which order where several reasons hold."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.domain.refusals import ended_job, run_refusal, submission_refusal
from orchestrator.domain.site.site import Site
from orchestrator.domain.work import Job, JobPhase
from tests.sites import small_site

JOB = Job(
    name="train",
    tenant="flux",
    pool="h100",
    gpus=8,
    work_gpu_seconds=3600.0,
    submitted_at=datetime(2023, 9, 6, 18, 0, tzinfo=UTC),
    deadline=None,
    checkpoint_every=timedelta(minutes=5),
    restart=timedelta(seconds=30),
)
ELASTIC = replace(JOB, min_gpus=4, gpu_step=2)
SITE: Site = small_site()


@pytest.mark.parametrize(
    ("job", "phase", "gpus", "free", "resizable", "why"),
    [
        (JOB, JobPhase.WAITING, 8, 8, True, ""),
        (JOB, JobPhase.STOPPING, 4, 0, True, "job train is still writing its checkpoint"),
        (JOB, JobPhase.WAITING, 4, 0, True, "job train is not elastic: it runs on 8 GPUs, not on 4"),
        (ELASTIC, JobPhase.WAITING, 4, 4, False, "job train is not elastic: it runs on 8 GPUs, not on 4"),
        (ELASTIC, JobPhase.PAUSED, 4, 4, True, ""),
        (ELASTIC, JobPhase.RUNNING, 5, 8, True, "job train runs on 4 to 8 GPUs in steps of 2, not on 5"),
        (ELASTIC, JobPhase.RUNNING, 2, 8, True, "job train runs on 4 to 8 GPUs in steps of 2, not on 2"),
        (ELASTIC, JobPhase.RUNNING, 6, 5, True, "job train needs 6 GPUs of pool h100; 5 are free"),
    ],
)
def test_a_job_runs_only_where_and_as_it_can(
    job: Job, phase: JobPhase, gpus: int, free: int, resizable: bool, why: str
) -> None:
    assert run_refusal(job, phase, gpus, free, resizable=resizable) == why


def test_how_a_job_ended_is_told_with_what_was_seen_of_it() -> None:
    assert ended_job("train", JobPhase.SUCCEEDED) == "job train has succeeded"
    assert ended_job("train", JobPhase.FAILED, "exit status 1") == "job train has failed: exit status 1"


@pytest.mark.parametrize(
    ("job", "why"),
    [
        (JOB, ""),
        (replace(JOB, pool="a100"), "job train: no pool a100; there is h100"),
        (replace(JOB, tenant="ghost"), "job train: no tenant ghost; there is bank, flux, lab"),
        (replace(JOB, gpus=321), "job train: 321 GPUs of pool h100, which has 320"),
        (replace(JOB, gpus=0), "job train: 0 GPUs of pool h100, which has 320"),
    ],
)
def test_a_job_that_could_never_run_is_not_taken_in(job: Job, why: str) -> None:
    assert submission_refusal(SITE, job) == why
