"""A tenant's Job: its phase as its annotations and status say, and the patches that move it."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from orchestrator.adapters.workloads.kubernetes import keys
from orchestrator.adapters.workloads.kubernetes.api import Document
from orchestrator.adapters.workloads.kubernetes.jobs.job_terms import read_terms, whole
from orchestrator.adapters.workloads.kubernetes.times import instant, instant_or_none, stamp
from orchestrator.domain.site.site import Site
from orchestrator.domain.work import Job, JobPhase, JobView

UNWATCHED = timedelta(seconds=10)
"""A pause seen so long after its pods must have ended is dated by the cluster, not by us."""
GRACE_S = 30
"""What Kubernetes gives pods that say nothing."""
SETTLES = timedelta(seconds=5)
"""A status without pods may be older than the run that was just begun, and that run have a pod already: the Job
controller puts its changes together for a second, and again when it meets a write of ours."""


@dataclass(frozen=True, slots=True)
class JobObject:
    name: str
    uid: str
    version: int
    job: Job | None
    problem: str
    """Why it is not managed; empty if it is."""
    suspended: bool
    parallelism: int
    pods: int
    """Active and terminating."""
    ended: JobPhase | None
    ended_at: datetime | None
    suspended_at: datetime | None
    """Since when it is, as the Job controller tells in the status; None while that says that it is not."""
    suspension_seen: str
    """`suspended_at` when a move was last written; empty if it was not suspended."""
    grace: timedelta
    """What its pods are given to end."""
    created_at: datetime
    starts: int
    elapsed: timedelta
    """Over the runs that are closed; the one since `started_at` comes on top."""
    started_at: datetime | None
    recorded: bool
    """Whether `started_at` is on the object, and not told by the status alone."""
    changed_at: datetime
    queued: bool
    """It is Kueue's: never touch `suspend`."""
    hold_until: datetime | None

    def phase(self, asked_to_run: bool) -> JobPhase:
        """`asked_to_run`: not suspended or, of a Job of Kueue's, its Workload is active."""
        if self.ended is not None:
            return self.ended
        if asked_to_run:
            return JobPhase.RUNNING
        if self.pods or self.started_at is not None:  # what its last run took is not on record yet
            return JobPhase.STOPPING
        return JobPhase.PAUSED if self.starts else JobPhase.WAITING

    @property
    def still(self) -> bool:
        """Its view does not change with time alone: no run goes on, and it is not held until some time."""
        return self.started_at is None and self.hold_until is None

    @property
    def given_gpus(self) -> int | None:
        """GPUs that an elastic job was last let run on; None: all of the job's."""
        step = self.job.gpu_step if self.job is not None and self.job.elastic else None
        return self.parallelism * step if step is not None else None

    @property
    def held_gpus(self) -> int:
        """GPUs that it holds while it runs: those of pods that are to end as well, until they have."""
        if self.job is None:
            return 0
        step = self.job.gpu_step if self.job.elastic else None
        return self.job.gpus if step is None else max(self.parallelism, self.pods) * step

    def view(self, asked_to_run: bool, now: datetime, held: str = "") -> JobView | None:
        """As the controller sees it; None for one that is not managed. `held` says why it must stay as it is."""
        if self.job is None:
            return None
        phase = self.phase(asked_to_run)
        since = (
            timedelta(0) if self.started_at is None else max(self.run_end(phase, now) - self.started_at, timedelta(0))
        )
        changed_at = self.ended_at if phase.ended and self.ended_at is not None else self.changed_at
        return JobView(
            job=self.job,
            phase=phase,
            changed_at=changed_at,
            starts=self.starts,
            elapsed=self.elapsed + since,
            held=held,
            given_gpus=self.given_gpus,
        )

    def run_end(self, phase: JobPhase, now: datetime) -> datetime:
        """Until when the run since `started_at` went; `now` while it goes on."""
        if phase.ended:
            return self.ended_at or now
        if phase is not JobPhase.STOPPING or self.pods:
            return now
        if not self.surely_over and self.started_at is not None:  # it had no pod, or for a moment
            return min(now, max(self.changed_at, self.started_at), self.started_at + SETTLES)
        if self.suspended_at is not None and now - self.suspended_at > self.grace + UNWATCHED:
            return self.suspended_at
        return now

    @property
    def surely_over(self) -> bool:
        """The Job controller has seen that this run is to end, and its pods are gone.

        No pods in the status is not enough: it may be older than the run. A status has no generation, but a condition
        that was not there yet when the end was asked for.
        """
        told = self.suspended_at is not None and _suspension(self.suspended_at) != self.suspension_seen
        return told and self.suspended and not self.pods


def read_job(document: Document, site: Site) -> JobObject:
    metadata, spec, status = document["metadata"], document["spec"], document.get("status", {})
    annotations: Mapping[str, str] = metadata.get("annotations") or {}
    labels: Mapping[str, str] = metadata.get("labels") or {}
    conditions = {entry["type"]: entry for entry in status.get("conditions") or () if entry.get("status") == "True"}
    suspended = bool(spec.get("suspend", False))
    created_at = instant(metadata["creationTimestamp"])
    started_at = instant_or_none(annotations.get(keys.STARTED_AT))
    starts = whole(annotations.get(keys.STARTS, ""))
    recorded = started_at is not None
    suspended_at = instant_or_none(conditions.get("Suspended", {}).get("lastTransitionTime"))
    if not suspended and started_at is None:  # someone else lets it run: Kubernetes knows when it began
        starts, started_at = max(starts, 1), instant_or_none(status.get("startTime"))
        if started_at is None and suspended_at is None:
            started_at = created_at
    try:
        job, problem = read_terms(document, site), ""
    except ValueError as error:
        job, problem = None, str(error)
    ended, ended_at = None, None
    for condition, phase in (("Complete", JobPhase.SUCCEEDED), ("Failed", JobPhase.FAILED)):
        if condition in conditions:
            ended, ended_at = phase, instant_or_none(conditions[condition].get("lastTransitionTime"))
    return JobObject(
        name=metadata["name"],
        uid=metadata["uid"],
        version=int(metadata["resourceVersion"]),
        job=job,
        problem=problem,
        suspended=suspended,
        parallelism=int(spec.get("parallelism", 1)),
        pods=int(status.get("active") or 0) + int(status.get("terminating") or 0),
        ended=ended,
        ended_at=ended_at,
        suspended_at=suspended_at,
        suspension_seen=annotations.get(keys.SUSPENSION_SEEN, ""),
        grace=timedelta(seconds=spec["template"]["spec"].get("terminationGracePeriodSeconds") or GRACE_S),
        created_at=created_at,
        starts=starts,
        elapsed=timedelta(seconds=_seconds(annotations.get(keys.ELAPSED_SECONDS, ""))),
        started_at=started_at,
        recorded=recorded,
        changed_at=instant_or_none(annotations.get(keys.CHANGED_AT)) or started_at or created_at,
        queued=keys.KUEUE_QUEUE in labels,
        hold_until=instant_or_none(annotations.get(keys.HOLD_UNTIL)),
    )


def run_patch(job: JobObject, pods: int | None, reason: str, now: datetime) -> Document:
    """Start or resume, on `pods` pods if it is elastic. Time spent in earlier runs is closed.

    This patch and those below are refused by the server if the Job has changed meanwhile.
    """
    spec: Document = {} if job.queued else {"suspend": False}
    terms = {}
    if pods is not None:
        spec["parallelism"] = pods
        terms = _all_gpus(job)
    annotations = {
        keys.STARTS: str(job.starts + 1),
        keys.STARTED_AT: stamp(now),
        keys.CHANGED_AT: stamp(now),
        keys.REASON: reason,
        keys.SUSPENSION_SEEN: _suspension(job.suspended_at),
        **terms,
        **_closed(job, job.phase(asked_to_run=False), now),
    }
    return _patch(job, annotations, spec)


def resize_patch(job: JobObject, pods: int, reason: str, now: datetime) -> Document:
    """Let an elastic job that runs go on with another number of pods."""
    annotations = {keys.CHANGED_AT: stamp(now), keys.REASON: reason, **_all_gpus(job)}
    if pods < job.parallelism:
        annotations[keys.BEFORE] = _before(job)
    return _patch(job, annotations, {"parallelism": pods})


def pause_patch(job: JobObject, reason: str, now: datetime) -> Document:
    """Ask the pods to end; what the Job was is kept on it."""
    spec: Document = {} if job.queued else {"suspend": True}
    annotations: dict[str, str | None] = {
        keys.CHANGED_AT: stamp(now),
        keys.REASON: reason,
        keys.BEFORE: _before(job),
        keys.SUSPENSION_SEEN: _suspension(job.suspended_at),
        **_begun(job),
    }
    return _patch(job, annotations, spec)


def record_patch(job: JobObject) -> Document:
    """Put on record since when a job runs that someone else has let run: Kubernetes forgets it with the next pause."""
    return _patch(job, _begun(job), {})


def close_patch(job: JobObject, now: datetime) -> Document:
    """Put the time of a run that is over on record, once its pods are gone."""
    phase = job.phase(asked_to_run=False)
    end = job.run_end(phase, now)
    closed: dict[str, str | None] = {**_closed(job, phase, now), keys.STARTED_AT: None, keys.CHANGED_AT: stamp(end)}
    return _patch(job, closed, {})


def _begun(job: JobObject) -> dict[str, str]:
    began = {} if job.started_at is None else {keys.STARTED_AT: stamp(job.started_at)}
    return {keys.STARTS: str(job.starts), **began}


def _suspension(at: datetime | None) -> str:
    return "" if at is None else stamp(at)


def _all_gpus(job: JobObject) -> dict[str, str]:
    """What the whole job asks for: by limits and parallelism alone it would be told by what it is left with."""
    return {keys.GPUS: str(job.job.gpus)} if job.job is not None else {}


def _before(job: JobObject) -> str:
    return json.dumps({"suspend": job.suspended, "parallelism": job.parallelism})


def _closed(job: JobObject, phase: JobPhase, now: datetime) -> dict[str, str | None]:
    if job.started_at is None:
        return {keys.ELAPSED_SECONDS: f"{job.elapsed.total_seconds():.3f}"}
    run = max(job.run_end(phase, now) - job.started_at, timedelta(0))
    return {keys.ELAPSED_SECONDS: f"{(job.elapsed + run).total_seconds():.3f}"}


def _patch(job: JobObject, annotations: Mapping[str, str | None], spec: Document) -> Document:
    body: Document = {"metadata": {"resourceVersion": str(job.version), "annotations": dict(annotations)}}
    if spec:
        body["spec"] = spec
    return body


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        return 0.0
    return seconds if 0.0 <= seconds < math.inf else 0.0
