"""Tenants' Jobs: run by lifting their suspension, paused by suspending them; through Kueue where they are its own."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime
from functools import partial

from orchestrator.adapters.workloads.kubernetes import keys
from orchestrator.adapters.workloads.kubernetes.api import JOBS, KUEUE_WORKLOADS, PODS, ApiError, ClusterApi, Document
from orchestrator.adapters.workloads.kubernetes.events import Recorder
from orchestrator.adapters.workloads.kubernetes.jobs.job_objects import (
    SETTLES,
    JobObject,
    close_patch,
    pause_patch,
    read_job,
    record_patch,
    resize_patch,
    run_patch,
)
from orchestrator.adapters.workloads.kubernetes.owners import QueuedWorkload, active_patch, held, read_queued_workload
from orchestrator.adapters.workloads.kubernetes.watched import Watched
from orchestrator.domain.decision import Ack, RunJob
from orchestrator.domain.refusals import ended_job, held_refusal, run_refusal, unknown_job
from orchestrator.domain.site.site import Site
from orchestrator.domain.work import Job, JobPhase, JobView

log = logging.getLogger(__name__)

ATTEMPTS = 5
"""Times that a move is put to a Job which someone else writes at the same moment."""


class Jobs:
    """Jobs labelled with a tenant. `changed` is told of those that have changed."""

    def __init__(self, api: ClusterApi, site: Site, recorder: Recorder, changed: Callable[[str], None]) -> None:
        self._api = api
        self._changed = changed
        self._pools = {pool.name: pool for pool in site.pools}
        self._recorder = recorder
        self._starting: dict[str, int] = {}
        """GPUs of jobs being started: taken although the server has not said so yet."""
        self._held: dict[str, tuple[str, int]] = {}
        """Pool and GPUs of the jobs that hold or are about to hold some."""
        self._taken: Counter[str] = Counter()
        """GPUs that these hold, by pool: counted along, since a site has thousands of jobs."""
        self._still: dict[str, JobView] = {}
        """Views of jobs that neither run nor are held: they stay the same until the job changes."""
        self._told: dict[str, str] = {}
        self._doubted: dict[str, datetime] = {}
        """Since when jobs that are to end show no pods in a status that may be older than their run."""
        self._uid_of: dict[str, str] = {}
        """Of each Job, by name."""
        self._name_of: dict[str, str] = {}
        """Of each Job, by uid."""
        self._workload_of: dict[str, QueuedWorkload] = {}
        """Kueue's, by the uid of its Job."""
        self._owner_of: dict[str, str] = {}
        """The uid of each Workload's Job, by the Workload's name."""
        self._jobs: Watched[JobObject] = Watched(
            api, JOBS, partial(read_job, site=site), labels=keys.TENANT, on_change=self._job_changed
        )
        self._queued: Watched[QueuedWorkload] = Watched(
            api, KUEUE_WORKLOADS, read_queued_workload, optional=True, on_change=self._workload_changed
        )

    @property
    def watches(self) -> tuple[Watched[JobObject] | Watched[QueuedWorkload], ...]:
        return (self._jobs, self._queued)

    def problems(self) -> list[str]:
        """Jobs that are not managed, and why."""
        return [f"job {name}: {item.problem}" for name, item in self._jobs.items.items() if item.problem]

    def views(self, now: datetime) -> Mapping[str, JobView]:
        views = {}
        for name, item in self._jobs.items.items():
            if name in self._still:
                views[name] = self._still[name]
                continue
            asked = _asked_to_run(item, self._workload_of.get(item.uid))
            view = item.view(asked, now, held(item.hold_until, now))
            if view is not None:
                views[name] = view
                if item.still:
                    self._still[name] = view
        return views

    async def run(self, move: RunJob, reason: str, now: datetime) -> Ack:
        """Start, resume or give another number of GPUs.

        Refused while the job is stopping, when it has ended or too few GPUs are free.
        """
        name = move.job
        for _ in range(ATTEMPTS):
            item = self._jobs.items.get(name)
            if why := self._refusal(name, item, now):
                return Ack(accepted=False, at=now, detail=why)
            assert item is not None, "a job that is not refused is there"
            assert item.job is not None, "a job that is not refused has terms"
            workload = self._workload_of.get(item.uid)
            phase = item.phase(_asked_to_run(item, workload))
            pods = _pods(item.job, move.gpus)
            needed = move.gpus or item.job.gpus
            as_asked = needed == item.job.gpus if pods is None else pods == item.parallelism
            if phase is JobPhase.RUNNING and as_asked:
                return Ack(accepted=True, at=now, detail="runs already")
            if why := run_refusal(item.job, phase, needed, self._free(item.job.pool, name), resizable=True):
                return Ack(accepted=False, at=now, detail=why)
            self._starting[name] = needed
            self._count(name)
            try:
                if phase is JobPhase.RUNNING and pods is not None:
                    if await self._write(item, resize_patch(item, pods, reason, now)):
                        self._tell(item, "Resize", "JobGrown" if pods > item.parallelism else "JobShrunk", reason)
                        return Ack(accepted=True, at=now, detail=f"on {needed} GPUs")
                elif await self._write(item, run_patch(item, pods, reason, now)):
                    await self._set_active(workload, active=True)
                    self._tell(item, "Run", "JobResumed" if item.starts else "JobStarted", reason)
                    return Ack(accepted=True, at=now)
            finally:
                self._starting.pop(name, None)
                self._job_changed(name)
        return Ack(accepted=False, at=now, detail=f"job {name} was changed by others {ATTEMPTS} times meanwhile")

    async def pause(self, name: str, reason: str, now: datetime) -> Ack:
        """Ask a running job to write its checkpoint and stop."""
        for _ in range(ATTEMPTS):
            item = self._jobs.items.get(name)
            if why := self._refusal(name, item, now):
                return Ack(accepted=False, at=now, detail=why)
            assert item is not None, "a job that is not refused is there"
            workload = self._workload_of.get(item.uid)
            phase = item.phase(_asked_to_run(item, workload))
            if phase is not JobPhase.RUNNING:
                return Ack(accepted=True, at=now, detail=f"is {phase.value} already")
            if await self._write(item, pause_patch(item, reason, now)):
                await self._set_active(workload, active=False)
                self._tell(item, "Pause", "JobPaused", reason)
                return Ack(accepted=True, at=now)
        return Ack(accepted=False, at=now, detail=f"job {name} was changed by others {ATTEMPTS} times meanwhile")

    async def keep_in_step(self, names: Iterable[str], now: datetime) -> set[str]:
        """Close the run of jobs whose pods are gone, record runs begun by others; say on a Job why it is not managed.

        Returns the jobs to come back to: those that did not take the write, or whose pods may not be told of yet.
        """
        writing: dict[str, Awaitable[bool]] = {}
        for name in names:
            item, since = self._jobs.items.get(name), self._doubted.pop(name, now)
            if item is None:
                self._told.pop(name, None)
                continue
            if item.problem and self._told.get(name) != item.problem:
                self._told[name] = item.problem
                self._tell(item, "Ignore", "JobNotManaged", item.problem, warning=True)
                log.warning("job %s is not managed: %s", name, item.problem)
            if name in self._starting:
                continue  # of Kueue's jobs the Job is written before the Workload
            phase = item.phase(_asked_to_run(item, self._workload_of.get(item.uid)))
            if phase is JobPhase.RUNNING and item.job is not None and item.pods and not item.recorded:
                writing[name] = self._write(item, record_patch(item))
            elif phase is JobPhase.STOPPING and item.started_at is not None and not item.pods:
                writing[name] = self._close(item, since, now)
        again = set()
        for name, result in zip(writing, await asyncio.gather(*writing.values(), return_exceptions=True), strict=True):
            if isinstance(result, ApiError):
                log.warning("job %s: %s; tried again", name, result)
                again.add(name)
            elif isinstance(result, BaseException):
                raise result
            elif not result:
                again.add(name)
        return again

    async def _close(self, item: JobObject, since: datetime, now: datetime) -> bool:
        """Whether the run was found to be over and closed; `since`: when it was first seen to end without pods."""
        if not item.surely_over:
            self._doubted[item.name] = since
            if not item.suspended or now - since < SETTLES or await self._has_pods(item):
                return False
        return await self._write(item, close_patch(item, now))

    async def _has_pods(self, item: JobObject) -> bool:
        query = {"labelSelector": f"batch.kubernetes.io/controller-uid={item.uid}"}
        pods = (await self._api.request("GET", PODS.path(self._api.namespace), query=query))["items"]
        return any(pod["status"].get("phase") not in ("Succeeded", "Failed") for pod in pods)

    def _refusal(self, name: str, item: JobObject | None, now: datetime) -> str:
        if item is None:
            return unknown_job(name)
        if item.job is None:
            return f"job {name} is not managed: {item.problem}"
        if item.ended is not None:
            return ended_job(name, item.ended)
        if item.queued and item.uid not in self._workload_of:
            return f"job {name} is Kueue's and has no Workload yet"
        if why := held(item.hold_until, now):
            return held_refusal(f"job {name}", why)
        return ""

    def _free(self, pool: str, besides: str) -> int:
        """GPUs of the pool that no other job than `besides` holds."""
        own = self._held.get(besides, (pool, 0))[1]
        return self._pools[pool].gpus - self._taken[pool] + own

    def _job_changed(self, name: str) -> None:
        item, uid = self._jobs.items.get(name), self._uid_of.pop(name, "")
        self._name_of.pop(uid, None)
        self._still.pop(name, None)
        if item is not None:
            self._uid_of[name], self._name_of[item.uid] = item.uid, name
        self._count(name)
        self._changed(name)

    def _workload_changed(self, name: str) -> None:
        workload, before = self._queued.items.get(name), self._owner_of.pop(name, "")
        self._workload_of.pop(before, None)
        if workload is not None:
            self._owner_of[name], self._workload_of[workload.job_uid] = workload.job_uid, workload
        for uid in {before, workload.job_uid if workload is not None else ""}:
            if uid in self._name_of:
                self._job_changed(self._name_of[uid])

    def _count(self, name: str) -> None:
        """What the job holds now, in the place of what it held."""
        pool, gpus = self._held.pop(name, ("", 0))
        self._taken[pool] -= gpus
        item = self._jobs.items.get(name)
        if item is None or item.job is None:
            return
        holds = item.phase(_asked_to_run(item, self._workload_of.get(item.uid))).holds_gpus
        pool, gpus = item.job.pool, max(item.held_gpus if holds else 0, self._starting.get(name, 0))
        if gpus:
            self._held[name] = (pool, gpus)
            self._taken[pool] += gpus

    async def _write(self, item: JobObject, body: Document) -> bool:
        """Whether the server took it; if the Job has changed meanwhile, the view is brought up to date instead."""
        try:
            self._jobs.put(await self._api.patch(JOBS, item.name, body))
            return True
        except ApiError as error:
            if error.status not in (404, 409):
                raise
        document = await self._api.get(JOBS, item.name)
        if document is None:
            self._jobs.remove(item.name, item.version)
        else:
            self._jobs.put(document)
        return False

    async def _set_active(self, workload: QueuedWorkload | None, *, active: bool) -> None:
        if workload is not None:
            document = await self._api.patch(KUEUE_WORKLOADS, workload.name, active_patch(active=active))
            self._queued.put(document)

    def _tell(self, item: JobObject, action: str, reason: str, note: str, *, warning: bool = False) -> None:
        regarding = {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "namespace": self._api.namespace,
            "name": item.name,
            "uid": item.uid,
        }
        self._recorder.record(regarding, action, reason, note, warning=warning)


def _pods(job: Job, gpus: int | None) -> int | None:
    """Pods of an elastic job on `gpus` GPUs; None leaves them as they are."""
    if not job.elastic or job.gpu_step is None:
        return None
    return (gpus or job.gpus) // job.gpu_step


def _asked_to_run(item: JobObject, workload: QueuedWorkload | None) -> bool:
    """Whether the job has been let run. One that Kueue has queued counts: when it starts is then Kueue's to say."""
    return workload.active if item.queued and workload is not None else not item.suspended
