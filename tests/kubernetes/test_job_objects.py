"""What a Job's labels, annotations and status mean, and what is written to move it."""

import copy
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from orchestrator.accounting.job_work import JobWork, follow_jobs
from orchestrator.adapters.workloads.kubernetes import keys
from orchestrator.adapters.workloads.kubernetes.api import Document
from orchestrator.adapters.workloads.kubernetes.jobs.job_objects import (
    close_patch,
    pause_patch,
    read_job,
    record_patch,
    resize_patch,
    run_patch,
)
from orchestrator.adapters.workloads.kubernetes.jobs.job_terms import read_terms
from orchestrator.adapters.workloads.kubernetes.times import stamp
from orchestrator.domain.observation import Telemetry
from orchestrator.domain.work import JobPhase, Workloads
from tests.sites import at_once, three_rack_site

SITE = at_once(three_rack_site())
CREATED = datetime(2023, 9, 6, 18, 0, tzinfo=UTC)


def after(seconds: float) -> datetime:
    return CREATED + timedelta(seconds=seconds)


def iso(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


def document(
    annotations: Mapping[str, str | None] | None = None,
    *,
    labels: dict[str, str] | None = None,
    suspend: bool | None = True,
    status: Document | None = None,
    **spec: Any,
) -> Document:
    """A tenant's Job of 4 GPUs; an annotation of None is left out."""
    terms = {keys.POOL: "h100", keys.GPUS: "4", keys.GPU_SECONDS: "3600", **(annotations or {})}
    return {
        "metadata": {
            "name": "train",
            "uid": "u1",
            "resourceVersion": "7",
            "creationTimestamp": iso(CREATED),
            "labels": {keys.TENANT: "lab"} if labels is None else labels,
            "annotations": {key: value for key, value in terms.items() if value is not None},
        },
        "spec": {
            **({} if suspend is None else {"suspend": suspend}),
            "template": {"spec": {"containers": [{"name": "work"}]}},
            **spec,
        },
        "status": status or {},
    }


def condition(kind: str, at: datetime, status: str = "True") -> Document:
    return {"type": kind, "status": status, "lastTransitionTime": iso(at)}


RAN = {keys.STARTS: "1", keys.ELAPSED_SECONDS: "50.5"}
RUNS = {keys.STARTS: "2", keys.ELAPSED_SECONDS: "50.5", keys.STARTED_AT: iso(after(100))}
SUSPENDED = {"conditions": [condition("Suspended", after(130))]}


@pytest.mark.parametrize(
    ("annotations", "suspend", "status", "phase", "starts", "elapsed_s"),
    [
        ({}, True, {}, JobPhase.WAITING, 0, 0.0),
        ({}, True, SUSPENDED, JobPhase.WAITING, 0, 0.0),
        (RUNS, False, {}, JobPhase.RUNNING, 2, 150.5),
        (RUNS, False, {"active": 1}, JobPhase.RUNNING, 2, 150.5),
        (RUNS, True, {"active": 1}, JobPhase.STOPPING, 2, 150.5),
        (RUNS, True, {"terminating": 1, **SUSPENDED}, JobPhase.STOPPING, 2, 150.5),
        # Its pods are gone and its run is not on record yet: dated by the cluster, since nobody was watching.
        (RUNS, True, SUSPENDED, JobPhase.STOPPING, 2, 80.5),
        (RAN, True, SUSPENDED, JobPhase.PAUSED, 1, 50.5),
        (RAN, True, {"terminating": 1, **SUSPENDED}, JobPhase.STOPPING, 1, 50.5),
        (RUNS, False, {"conditions": [condition("Complete", after(120))]}, JobPhase.SUCCEEDED, 2, 70.5),
        (RUNS, False, {"conditions": [condition("Failed", after(120))]}, JobPhase.FAILED, 2, 70.5),
        (RUNS, False, {"conditions": [condition("Complete", after(120), "False")]}, JobPhase.RUNNING, 2, 150.5),
        # Never suspended: Kubernetes knows since when it runs; before a pod was there, its creation has to do.
        ({}, False, {"startTime": iso(after(20)), "active": 1}, JobPhase.RUNNING, 1, 180.0),
        ({}, None, {}, JobPhase.RUNNING, 1, 200.0),
        # Ours, edited by somebody into what nobody can read.
        ({keys.STARTS: "two", keys.ELAPSED_SECONDS: "nan"}, True, {}, JobPhase.WAITING, 0, 0.0),
        ({**RAN, keys.ELAPSED_SECONDS: "-5"}, True, {}, JobPhase.PAUSED, 1, 0.0),
    ],
)
def test_phase_starts_and_elapsed_time(
    annotations: dict[str, str | None],
    suspend: bool | None,
    status: Document,
    phase: JobPhase,
    starts: int,
    elapsed_s: float,
) -> None:
    item = read_job(document(annotations, suspend=suspend, status=status), SITE)
    view = item.view(asked_to_run=not suspend, now=after(200))
    assert view is not None
    assert (view.phase, view.starts, view.elapsed.total_seconds()) == (phase, starts, elapsed_s)


def test_a_pause_that_was_watched_is_dated_to_the_second_that_it_was_seen() -> None:
    item = read_job(document(RUNS, status=SUSPENDED), SITE)
    view = item.view(asked_to_run=False, now=after(130.25))
    assert view is not None
    assert view.elapsed.total_seconds() == 80.75


BEFORE_RUN = condition("Suspended", after(90))


@pytest.mark.parametrize(
    ("seen", "suspend", "status", "over"),
    [
        ("", True, {"active": 1}, False),
        ("", True, {"terminating": 1, **SUSPENDED}, False),
        ("", True, SUSPENDED, True),
        ("", True, {}, False),
        (stamp(after(90)), True, SUSPENDED, True),
        # Paused within a moment of its start: what the status shows is from before the start.
        (stamp(after(90)), True, {"conditions": [BEFORE_RUN]}, False),
        (stamp(after(90)), True, {"terminating": 1, "conditions": [BEFORE_RUN]}, False),
        # Kueue has not suspended it yet.
        ("", False, SUSPENDED, False),
    ],
)
def test_a_run_is_surely_over_when_a_status_written_since_shows_no_pods(
    seen: str, suspend: bool, status: Document, over: bool
) -> None:
    item = read_job(document({**RUNS, keys.SUSPENSION_SEEN: seen}, suspend=suspend, status=status), SITE)
    assert item.surely_over is over


def test_a_run_that_kubernetes_never_told_of_counts_for_no_more_than_a_moment() -> None:
    """Kueue had not admitted it, or the leader died before it was let run, hours ago."""
    annotations = {**RUNS, keys.SUSPENSION_SEEN: stamp(after(90)), keys.CHANGED_AT: stamp(after(7300))}
    item = read_job(document(annotations, status={"conditions": [BEFORE_RUN]}), SITE)
    view = item.view(asked_to_run=False, now=after(9000))
    assert view is not None
    assert view.elapsed.total_seconds() == 55.5
    paused_at_once = {**annotations, keys.CHANGED_AT: stamp(after(100.25))}
    item = read_job(document(paused_at_once, status={"conditions": [BEFORE_RUN]}), SITE)
    view = item.view(asked_to_run=False, now=after(9000))
    assert view is not None
    assert view.elapsed.total_seconds() == 50.75


def test_moves_keep_which_suspension_was_seen_last() -> None:
    item = read_job(document(RAN, suspend=True, status={"conditions": [BEFORE_RUN]}), SITE)
    assert run_patch(item, None, "pays", after(100))["metadata"]["annotations"][keys.SUSPENSION_SEEN] == stamp(
        after(90)
    )
    item = read_job(document(RUNS, suspend=False, status={"active": 1}), SITE)
    assert pause_patch(item, "dear", after(130))["metadata"]["annotations"][keys.SUSPENSION_SEEN] == ""


def test_a_run_begun_by_someone_else_is_put_on_record_once_kubernetes_tells_since_when() -> None:
    body = document(suspend=False, status={"startTime": iso(after(20)), "active": 1})
    item = read_job(body, SITE)
    assert not item.recorded
    body = applied(body, record_patch(item))
    body["spec"]["suspend"], body["status"] = True, SUSPENDED  # suspended by someone else again
    item = read_job(body, SITE)
    assert item.recorded
    view = item.view(asked_to_run=False, now=after(131))
    assert view is not None
    assert (view.phase, view.starts, view.elapsed) == (JobPhase.STOPPING, 1, timedelta(seconds=111))


def test_a_job_that_someone_else_has_just_resumed_did_not_run_since_its_creation() -> None:
    view = read_job(document(suspend=False, status=SUSPENDED), SITE).view(asked_to_run=True, now=after(200))
    assert view is not None
    assert (view.phase, view.starts, view.elapsed) == (JobPhase.RUNNING, 1, timedelta(0))


def test_pods_that_are_to_end_hold_their_gpus_until_they_have() -> None:
    elastic = {keys.GPUS: "8", keys.GPUS_PER_POD: "2", keys.MIN_GPUS: "2"}
    body = document({**RUNS, **elastic}, suspend=False, status={"active": 2, "terminating": 2})
    body["spec"]["parallelism"] = 2
    item = read_job(body, SITE)
    assert (item.given_gpus, item.held_gpus) == (4, 8)


def test_a_job_of_kueues_runs_when_its_workload_is_active() -> None:
    body = document(RAN, labels={keys.TENANT: "lab", keys.KUEUE_QUEUE: "gpus"}, suspend=True)
    item = read_job(body, SITE)
    assert item.queued
    assert item.phase(asked_to_run=True) is JobPhase.RUNNING
    assert item.phase(asked_to_run=False) is JobPhase.PAUSED
    for patch in (run_patch(item, None, "pays", after(200)), pause_patch(item, "dear", after(200))):
        assert "spec" not in patch


# Terms


def test_terms_are_read_and_left_out_ones_assumed() -> None:
    body = document(
        {
            keys.DEADLINE: "2023-09-06T20:00:00+02:00",
            keys.CHECKPOINT_EVERY: "0.5",
            keys.RESTART: "30",
            keys.SLA_CLASS: "flexible",
        }
    )
    job = read_terms(body, SITE)
    assert (job.name, job.tenant, job.pool, job.gpus, job.work_gpu_seconds) == ("train", "lab", "h100", 4, 3600.0)
    assert job.deadline == CREATED
    assert (job.submitted_at, job.checkpoint_every, job.restart) == (
        CREATED,
        timedelta(seconds=0.5),
        timedelta(seconds=30),
    )
    assert not job.elastic
    plain = read_terms(document({keys.POOL: None}), SITE)
    assert (plain.pool, plain.deadline) == ("h100", None), "a site of one pool needs not name it"
    assert (plain.checkpoint_every, plain.restart) == (timedelta(minutes=10), timedelta(minutes=2))


def test_gpus_are_those_of_all_pods_where_no_annotation_says() -> None:
    body = document({keys.GPUS: None}, parallelism=3)
    limits = {"resources": {"limits": {"nvidia.com/gpu": "2"}}}
    body["spec"]["template"]["spec"]["containers"] = [{"name": "a", **limits}, {"name": "side"}]
    assert read_terms(body, SITE).gpus == 6


def test_an_elastic_job_runs_on_whole_pods() -> None:
    item = read_job(document({keys.MIN_GPUS: "2", keys.GPUS_PER_POD: "2"}, parallelism=2), SITE)
    assert item.job is not None
    assert (item.job.elastic, item.job.min_gpus, item.job.gpu_step) == (True, 2, 2)
    view = item.view(asked_to_run=True, now=after(200))
    assert view is not None
    assert view.given_gpus == 4


@pytest.mark.parametrize(
    ("annotations", "key", "says"),
    [
        ({keys.POOL: "a100"}, keys.POOL, "there is h100"),
        ({keys.GPUS: "many"}, keys.GPUS, "'many' is no number"),
        ({keys.GPUS: "0"}, keys.GPUS, "1 to 8"),
        ({keys.GPUS: "9"}, keys.GPUS, "1 to 8"),
        ({keys.GPUS: "1.5"}, keys.GPUS, "whole"),
        ({keys.GPUS: None}, keys.GPUS, "1 to 8"),
        ({keys.GPUS: "inf"}, keys.GPUS, "no number"),
        ({keys.GPUS: "nan"}, keys.GPUS, "'nan' is no number"),
        ({keys.GPU_SECONDS: None}, keys.GPU_SECONDS, "missing"),
        ({keys.GPU_SECONDS: "nan"}, keys.GPU_SECONDS, "no number"),
        ({keys.GPU_SECONDS: "0"}, keys.GPU_SECONDS, "positive"),
        ({keys.GPU_SECONDS: "-1"}, keys.GPU_SECONDS, "positive"),
        ({keys.DEADLINE: "tomorrow"}, keys.DEADLINE, "ISO 8601 time with an offset"),
        ({keys.DEADLINE: "2023-09-06T20:00:00"}, keys.DEADLINE, "ISO 8601 time with an offset"),
        ({keys.CHECKPOINT_EVERY: "-1"}, keys.CHECKPOINT_EVERY, "0 to 30 days"),
        ({keys.CHECKPOINT_EVERY: "nan"}, keys.CHECKPOINT_EVERY, "no number"),
        ({keys.RESTART: "2592001"}, keys.RESTART, "0 to 30 days"),
        ({keys.SLA_CLASS: "guaranteed"}, keys.SLA_CLASS, "tenant lab has flexible"),
        ({keys.MIN_GPUS: "2"}, keys.GPUS_PER_POD, "whole part of its 4 GPUs"),
        ({keys.MIN_GPUS: "2", keys.GPUS_PER_POD: "nan"}, keys.GPUS_PER_POD, "no number"),
        ({keys.MIN_GPUS: "2", keys.GPUS_PER_POD: "3"}, keys.GPUS_PER_POD, "whole part of its 4 GPUs"),
        ({keys.MIN_GPUS: "5", keys.GPUS_PER_POD: "1"}, keys.MIN_GPUS, "1 to 4 GPUs"),
        ({keys.MIN_GPUS: "3", keys.GPUS_PER_POD: "2"}, keys.MIN_GPUS, "in steps of 2"),
    ],
)
def test_terms_that_make_no_sense_name_the_key_and_what_is_allowed(
    annotations: dict[str, str | None], key: str, says: str
) -> None:
    item = read_job(document(annotations), SITE)
    assert item.job is None
    assert item.view(asked_to_run=False, now=after(1)) is None
    assert item.problem.startswith(key)
    assert says in item.problem


def test_a_tenant_that_the_site_does_not_have_is_named() -> None:
    item = read_job(document(labels={keys.TENANT: "nobody"}), SITE)
    assert item.problem == f"label {keys.TENANT}: no tenant 'nobody'; there is lab"


# Patches


def applied(body: Document, patch: Document) -> Document:
    """The object after a merge patch of annotations and spec."""
    assert patch["metadata"]["resourceVersion"] == body["metadata"]["resourceVersion"], "refused if it has changed"
    changed = copy.deepcopy(body)
    annotations = {**changed["metadata"]["annotations"], **patch["metadata"]["annotations"]}
    changed["metadata"]["annotations"] = {key: value for key, value in annotations.items() if value is not None}
    changed["spec"].update(patch.get("spec", {}))
    return changed


def test_two_runs_on_the_object_alone() -> None:
    body = document()
    body = applied(body, run_patch(read_job(body, SITE), None, "pays", after(10)))
    assert body["spec"]["suspend"] is False
    item = read_job(body, SITE)
    assert (item.starts, item.started_at, item.changed_at) == (1, after(10), after(10))

    body = applied(body, pause_patch(item, "dear", after(30)))
    assert body["spec"]["suspend"] is True
    assert json.loads(body["metadata"]["annotations"][keys.BEFORE]) == {"suspend": False, "parallelism": 1}
    assert body["metadata"]["annotations"][keys.REASON] == "dear"
    body["status"] = {"terminating": 1}
    assert read_job(body, SITE).phase(asked_to_run=False) is JobPhase.STOPPING
    body["status"] = SUSPENDED

    body = applied(body, close_patch(read_job(body, SITE), after(32.5)))
    item = read_job(body, SITE)
    assert item.phase(asked_to_run=False) is JobPhase.PAUSED
    assert (item.started_at, item.elapsed, item.changed_at) == (None, timedelta(seconds=22.5), after(32.5))

    body = applied(body, run_patch(item, None, "cheap", after(1000)))
    view = read_job(body, SITE).view(asked_to_run=True, now=after(1001))
    assert view is not None
    assert (view.phase, view.starts, view.elapsed) == (JobPhase.RUNNING, 2, timedelta(seconds=23.5))


def test_pausing_a_job_that_we_did_not_start_keeps_since_when_it_ran() -> None:
    body = document(suspend=False, status={"startTime": iso(after(20)), "active": 1})
    body = applied(body, pause_patch(read_job(body, SITE), "dear", after(60)))
    body["status"] = SUSPENDED  # Kubernetes forgets the start of a suspended Job
    view = read_job(body, SITE).view(asked_to_run=False, now=after(61))
    assert view is not None
    assert (view.starts, view.elapsed) == (1, timedelta(seconds=41))


def test_shrinking_keeps_what_it_was_and_growing_does_not() -> None:
    body = document({keys.MIN_GPUS: "1", keys.GPUS_PER_POD: "1"}, suspend=False, parallelism=4)
    item = read_job(body, SITE)
    shrunk = resize_patch(item, 2, "cap", after(60))
    assert shrunk["spec"] == {"parallelism": 2}
    assert json.loads(shrunk["metadata"]["annotations"][keys.BEFORE]) == {"suspend": False, "parallelism": 4}
    body = applied(body, shrunk)
    grown = resize_patch(read_job(body, SITE), 4, "room", after(90))
    assert grown["spec"] == {"parallelism": 4}
    assert keys.BEFORE not in grown["metadata"]["annotations"]


def test_an_elastic_job_that_shrinks_keeps_on_record_what_it_asks_for() -> None:
    containers = [{"name": "work", "resources": {"limits": {keys.GPU_RESOURCE: "1"}}}]
    by_limits = document({keys.GPUS: None, keys.MIN_GPUS: "1"}, suspend=False, parallelism=4)
    by_limits["spec"]["template"] = {"spec": {"containers": containers}}
    job = read_job(by_limits, SITE)
    patch = resize_patch(job, 1, "a cap leaves no more", after(60))
    assert patch["spec"] == {"parallelism": 1}
    by_limits["spec"]["parallelism"] = 1
    by_limits["metadata"]["annotations"] |= patch["metadata"]["annotations"]
    shrunk = read_job(by_limits, SITE)
    assert shrunk.job is not None
    assert (shrunk.job.gpus, shrunk.given_gpus, shrunk.job.elastic) == (4, 1, True)


def test_a_job_that_serves_no_progress_has_done_its_gpus_times_its_time_on_record() -> None:
    """4 GPUs for 10 minutes, a pause, 7 minutes more; 2 minutes each to restart; another controller for the second."""
    every, works, body = timedelta(seconds=30), dict[str, JobWork](), document({keys.GPU_SECONDS: "36000"})
    seconds = 0.0

    def look(until: float) -> None:
        nonlocal seconds, works
        while seconds <= until:
            item, at = read_job(body, SITE), after(seconds)
            view = item.view(asked_to_run=not item.suspended, now=at)
            assert view is not None
            works = dict(follow_jobs(SITE, {}, works, Workloads(at, synced=True, jobs={"train": view}), Telemetry(at)))
            seconds += every.total_seconds()

    body = applied(body, run_patch(read_job(body, SITE), None, "cheap", after(0)))
    look(600)
    assert works["train"].estimated_gpu_seconds == pytest.approx(4 * (600 - 120))
    body = applied(body, pause_patch(read_job(body, SITE), "dear", after(600)))
    body["status"] = {"conditions": [condition("Suspended", after(610))]}
    body = applied(body, close_patch(read_job(body, SITE), after(610)))
    look(3600)
    body = applied(body, run_patch(read_job(body, SITE), None, "cheap", after(3600)))
    body["status"] = {}
    look(3600 + 420)
    assert works["train"].estimated_gpu_seconds == pytest.approx(4 * (600 - 120 + 420 - 120), abs=4 * 10.0)
    assert works["train"].held_gpu_seconds == pytest.approx(4 * (610 + 420))
