"""The driver where one object, or someone else, gets in the way: on the fake API server, which refuses as told."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from orchestrator.accounting.job_work import follow_jobs
from orchestrator.adapters.workloads.kubernetes import keys
from orchestrator.adapters.workloads.kubernetes.api import ClusterApi, ClusterError, Document
from orchestrator.adapters.workloads.kubernetes.driver import ClusterSite
from orchestrator.adapters.workloads.kubernetes.setpoints.objects import lease_object
from orchestrator.controller.lapse import taken_over
from orchestrator.domain.decision import Move, PauseJob, RunJob, SetFleet
from orchestrator.domain.observation import Telemetry
from orchestrator.domain.rack_mix import RackMix
from orchestrator.domain.site.machines import SLEEP
from orchestrator.domain.site.site import Site
from orchestrator.domain.work import JobPhase, Workloads
from tests.refused_moves import REFUSED_MOVES
from tests.sites import at_once, three_rack_site

if TYPE_CHECKING:
    from tests.kubernetes.fake_api import FakeApi

DEPLOYMENTS = "/apis/apps/v1/namespaces/test/deployments"
PODS = "/api/v1/namespaces/test/pods"
JOBS = "/apis/batch/v1/namespaces/test/jobs"
WORKLOADS = "/apis/kueue.x-k8s.io/v1beta1/namespaces/test/workloads"
SETPOINTS = "/api/v1/namespaces/test/configmaps/w-setpoints"
LEASE = "/apis/coordination.k8s.io/v1/namespaces/test/leases/w-setpoints"
FOREVER = "2100-01-01T00:00:00Z"


def two_fleets() -> Site:
    site = at_once(three_rack_site())
    return replace(site, fleets=(site.fleets[0], replace(site.fleets[0], name="s19")))


def fleet_object(fleet: str, replicas: int, **annotations: str) -> Document:
    return {
        "metadata": {"name": fleet, "uid": f"u-{fleet}", "labels": {keys.FLEET: fleet}, "annotations": annotations},
        "spec": {"replicas": replicas},
    }


def job_object(name: str, **annotations: str) -> Document:
    terms = {keys.POOL: "h100", keys.GPUS: "4", keys.GPU_SECONDS: "3600", **annotations}
    return {
        "metadata": {
            "name": name,
            "uid": f"u-{name}",
            "creationTimestamp": "2023-09-06T18:00:00Z",
            "labels": {keys.TENANT: "lab"},
            "annotations": terms,
        },
        "spec": {"suspend": True, "template": {"spec": {"containers": [{"name": "work"}]}}},
        "status": {},
    }


async def put_queued(fake_api: FakeApi, job: Document, *, active: bool) -> None:
    """The Job as one of Kueue's, and its Workload `job-<name>`."""
    name, uid = job["metadata"]["name"], job["metadata"]["uid"]
    job["metadata"]["labels"][keys.KUEUE_QUEUE] = "gpus"
    await fake_api.put(f"{JOBS}/{name}", job)
    owner = {"kind": "Job", "uid": uid, "name": name}
    workload = {"metadata": {"name": f"job-{name}", "ownerReferences": [owner]}, "spec": {"active": active}}
    await fake_api.put(f"{WORKLOADS}/job-{name}", workload)


@asynccontextmanager
async def running(api: ClusterApi, site: Site) -> AsyncIterator[ClusterSite]:
    driver = ClusterSite(api, site, "w", lambda: True)
    await driver.start()
    try:
        yield driver
    finally:
        await driver.stop()


async def until(driver: ClusterSite, holds: Callable[[Workloads], bool]) -> Workloads:
    deadline = time.monotonic() + 60.0
    while not holds(seen := await driver.observe(datetime.now(UTC))):
        assert time.monotonic() < deadline, f"did not come to hold: {seen}"
        await asyncio.sleep(0.02)
    return seen


def racks(awake: int) -> str:
    modes = {f"s21/rack-{number}": "normal" if number < awake else SLEEP for number in range(3)}
    return json.dumps({"generation": 1, "racks": modes, "agents": {}, "gpu_limit_w": {}})


async def test_a_new_leader_does_not_undo_what_an_operator_scaled_and_holds(
    fake_api: FakeApi, cluster_api: ClusterApi
) -> None:
    await fake_api.put(SETPOINTS, {"metadata": {"name": "w-setpoints"}, "data": {"setpoints.json": racks(awake=1)}})
    await fake_api.put(f"{DEPLOYMENTS}/s21", fleet_object("s21", 3, **{keys.HOLD_UNTIL: FOREVER}))
    async with running(cluster_api, at_once(three_rack_site())) as driver:
        seen = await until(driver, lambda seen: seen.fleets["s21"].racks.awake == 3)
        assert seen.fleets["s21"].held
    assert fake_api.objects[f"{DEPLOYMENTS}/s21"]["spec"]["replicas"] == 3


async def test_a_new_leader_finishes_what_the_one_before_began(fake_api: FakeApi, cluster_api: ClusterApi) -> None:
    await fake_api.put(SETPOINTS, {"metadata": {"name": "w-setpoints"}, "data": {"setpoints.json": racks(awake=1)}})
    await fake_api.put(f"{DEPLOYMENTS}/s21", fleet_object("s21", 3))
    async with running(cluster_api, at_once(three_rack_site())) as driver:
        await until(driver, lambda seen: seen.fleets["s21"].racks.awake == 1)
    assert fake_api.objects[f"{DEPLOYMENTS}/s21"]["spec"]["replicas"] == 1


async def test_a_new_leader_learns_that_the_lease_has_run_out_and_wakes_nothing_by_renewing_it(
    fake_api: FakeApi, cluster_api: ClusterApi
) -> None:
    out_at = datetime.now(UTC) - timedelta(minutes=2)
    await fake_api.put(SETPOINTS, {"metadata": {"name": "w-setpoints"}, "data": {"setpoints.json": racks(awake=3)}})
    await fake_api.put(f"{DEPLOYMENTS}/s21", fleet_object("s21", 3))
    await fake_api.put(LEASE, lease_object("w-setpoints", "before", out_at, out_at - timedelta(minutes=5)))
    site = at_once(three_rack_site())
    async with running(cluster_api, site) as driver:
        seen = await until(driver, lambda seen: seen.fleets["s21"].racks.awake == 3)
        assert seen.lapsed_at == out_at
        now = datetime.now(UTC)
        taken = await taken_over(site, driver, seen, now)
        assert taken.fleets["s21"].racks.awake == 0
        assert taken.fleets["s21"].last_sleep_at == out_at, "its minimum off time counts from then"
        await driver.renew(now + timedelta(minutes=5), now)
        assert (await driver.observe(now)).lapsed_at is None
    modes = json.loads(fake_api.objects[SETPOINTS]["data"]["setpoints.json"])["racks"]
    assert set(modes.values()) == {SLEEP}


@pytest.mark.parametrize(("move", "says"), REFUSED_MOVES, ids=str)
async def test_a_move_that_cannot_be_made_is_refused_as_by_every_driver(
    fake_api: FakeApi, cluster_api: ClusterApi, move: Move, says: str
) -> None:
    await fake_api.put(f"{DEPLOYMENTS}/s21", fleet_object("s21", 0))
    async with running(cluster_api, at_once(three_rack_site())) as driver:
        await until(driver, lambda seen: "s21" in seen.fleets)
        ack = await driver.apply(move, "a mistake", datetime.now(UTC))
    assert (ack.accepted, ack.detail) == (False, says)


async def test_a_job_is_refused_as_by_every_driver(fake_api: FakeApi, cluster_api: ClusterApi) -> None:
    await fake_api.put(f"{JOBS}/train", job_object("train"))
    await fake_api.put(f"{JOBS}/big", job_object("big", **{keys.GPUS: "6"}))
    done = job_object("done")
    done["status"] = {"conditions": [{"type": "Complete", "status": "True", "lastTransitionTime": FOREVER}]}
    await fake_api.put(f"{JOBS}/done", done)
    async with running(cluster_api, at_once(three_rack_site())) as driver:
        await until(driver, lambda seen: len(seen.jobs) == 3)

        async def said(move: Move) -> str:
            return (await driver.apply(move, "pays", datetime.now(UTC))).detail

        assert await said(RunJob("train", 2)) == "job train is not elastic: it runs on 4 GPUs, not on 2"
        assert await said(RunJob("done")) == "job done has succeeded"
        assert (await driver.apply(RunJob("train"), "pays", datetime.now(UTC))).accepted
        await until(driver, lambda seen: seen.jobs["train"].phase is JobPhase.RUNNING)
        assert await said(RunJob("train", 2)) == "job train is not elastic: it runs on 4 GPUs, not on 2"
        assert await said(RunJob("train")) == "runs already"
        assert await said(RunJob("big")) == "job big needs 6 GPUs of pool h100; 4 are free"


async def test_an_object_that_takes_no_write_stops_neither_the_start_nor_the_others(
    fake_api: FakeApi, cluster_api: ClusterApi
) -> None:
    await fake_api.put(f"{DEPLOYMENTS}/s21", fleet_object("s21", 2))
    await fake_api.put(f"{DEPLOYMENTS}/s19", fleet_object("s19", 2))
    await fake_api.put(f"{JOBS}/train", job_object("train"))
    fake_api.refuse = lambda method, path: 403 if method == "PATCH" and path.startswith(f"{DEPLOYMENTS}/s21") else None
    async with running(cluster_api, two_fleets()) as driver:
        await until(driver, lambda seen: seen.fleets["s19"].racks.awake == 2)
        ack = await driver.apply(RunJob("train"), "pays", datetime.now(UTC))
        assert ack.accepted, ack.detail
        ack = await driver.apply(PauseJob("train"), "dear", datetime.now(UTC))
        assert ack.accepted, ack.detail
        await until(driver, lambda seen: seen.jobs["train"].phase is JobPhase.PAUSED)  # its run is closed all the same
        fake_api.refuse = lambda method, path: None
        await until(driver, lambda seen: seen.fleets["s21"].racks.awake == 2)


async def test_a_note_that_is_refused_is_written_later_and_the_move_is_made(
    fake_api: FakeApi, cluster_api: ClusterApi
) -> None:
    await fake_api.put(f"{DEPLOYMENTS}/s21", fleet_object("s21", 3))
    async with running(cluster_api, at_once(three_rack_site())) as driver:
        await until(driver, lambda seen: seen.fleets["s21"].racks.awake == 3)
        fake_api.refuse = lambda method, path: 403 if method == "PATCH" and path == f"{DEPLOYMENTS}/s21" else None
        at = datetime.now(UTC)
        ack = await driver.apply(SetFleet("s21", RackMix({"eco": 1, SLEEP: 2})), "dear", at)
        assert ack.accepted
        assert "still to be written" in ack.detail
        assert '"s21/rack-0":"eco"' in fake_api.objects[SETPOINTS]["data"]["setpoints.json"]
        fake_api.refuse = lambda method, path: None
        seen = await until(driver, lambda seen: seen.fleets["s21"].last_sleep_at == at)
        assert seen.fleets["s21"].racks.awake == 1
        await fake_api.wait(lambda: fake_api.objects[f"{DEPLOYMENTS}/s21"]["spec"]["replicas"] == 1)
        assert fake_api.objects[f"{DEPLOYMENTS}/s21"]["metadata"]["annotations"][keys.REASON] == "dear"


async def test_a_leader_that_may_not_list_lets_another_try(
    fake_api: FakeApi, cluster_api: ClusterApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.adapters.workloads.kubernetes.driver.IN_STEP_S", 0.5)
    fake_api.refuse = lambda method, path: 403 if path.endswith("/pods") else None
    driver = ClusterSite(cluster_api, at_once(three_rack_site()), "w", lambda: True)
    with pytest.raises(ClusterError, match="pods"):
        await driver.start()
    await driver.stop()


async def test_kueues_job_runs_by_its_workload_and_its_run_is_counted(
    fake_api: FakeApi, cluster_api: ClusterApi
) -> None:
    job = job_object("train", **{keys.MIN_GPUS: "2", keys.GPUS_PER_POD: "1"})
    await put_queued(fake_api, job, active=False)
    async with running(cluster_api, at_once(three_rack_site())) as driver:
        seen = await until(driver, lambda seen: seen.jobs["train"].phase is JobPhase.WAITING)
        assert not seen.jobs["train"].job.elastic  # the number of its pods is Kueue's
        ack = await driver.apply(RunJob("train"), "pays", datetime.now(UTC))
        assert ack.accepted, ack.detail
        await until(driver, lambda seen: seen.jobs["train"].phase is JobPhase.RUNNING)
        assert keys.STARTED_AT in fake_api.objects[f"{JOBS}/train"]["metadata"]["annotations"]
        ack = await driver.apply(PauseJob("train"), "dear", datetime.now(UTC))
        assert ack.accepted, ack.detail
        seen = await until(driver, lambda seen: seen.jobs["train"].phase is JobPhase.PAUSED)
        assert fake_api.objects[f"{JOBS}/train"]["spec"]["suspend"] is True  # as Kueue left it
        assert fake_api.objects[f"{WORKLOADS}/job-train"]["spec"]["active"] is False


async def test_a_job_of_kueues_that_runs_goes_on_while_its_workload_is_made_anew(
    fake_api: FakeApi, cluster_api: ClusterApi
) -> None:
    """Or while Kueue's API is not served: what runs was not interrupted."""
    job = job_object("train", **{keys.STARTS: "1", keys.STARTED_AT: "2023-09-06T18:00:00Z"})
    job["spec"]["suspend"], job["status"] = False, {"active": 1}
    await put_queued(fake_api, job, active=True)
    async with running(cluster_api, at_once(three_rack_site())) as driver:
        await until(driver, lambda seen: seen.jobs["train"].phase is JobPhase.RUNNING)
        await fake_api.remove(f"{WORKLOADS}/job-train")
        await refused_for(driver, "train", "has no Workload yet")
        assert (await driver.observe(datetime.now(UTC))).jobs["train"].phase is JobPhase.RUNNING


async def refused_for(driver: ClusterSite, job: str, why: str) -> None:
    deadline = time.monotonic() + 60.0
    while why not in (ack := await driver.apply(PauseJob(job), "dear", datetime.now(UTC))).detail:
        assert not ack.accepted, ack
        assert time.monotonic() < deadline, ack
        await asyncio.sleep(0.02)


async def test_a_job_paused_within_a_moment_of_its_start_ends_when_the_pod_that_came_late_does(
    fake_api: FakeApi, cluster_api: ClusterApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.adapters.workloads.kubernetes.jobs.job_moves.SETTLES", timedelta(0))
    monkeypatch.setattr("orchestrator.adapters.workloads.kubernetes.driver.AGAIN_S", 0.05)
    job = job_object("train")
    before = {"type": "Suspended", "status": "True", "lastTransitionTime": "2023-09-06T18:00:00Z"}
    job["status"] = {"conditions": [before]}  # the Job controller tells of a start later
    await fake_api.put(f"{JOBS}/train", job)
    async with running(cluster_api, at_once(three_rack_site())) as driver:
        await until(driver, lambda seen: "train" in seen.jobs)
        assert (await driver.apply(RunJob("train"), "pays", datetime.now(UTC))).accepted
        labels = {"batch.kubernetes.io/controller-uid": "u-train"}
        pod = {"metadata": {"name": "train-1", "labels": labels}, "status": {"phase": "Running"}}
        await fake_api.put(f"{PODS}/train-1", pod)
        assert (await driver.apply(PauseJob("train"), "dear", datetime.now(UTC))).accepted
        listed = fake_api.requests.count(("GET", PODS))
        await fake_api.wait(lambda: fake_api.requests.count(("GET", PODS)) >= listed + 3)
        assert (await driver.observe(datetime.now(UTC))).jobs["train"].phase is JobPhase.STOPPING
        await fake_api.remove(f"{PODS}/train-1")
        seen = await until(driver, lambda seen: seen.jobs["train"].phase is JobPhase.PAUSED)
        assert seen.jobs["train"].starts == 1


async def test_when_a_job_that_others_let_run_began_is_put_on_it(fake_api: FakeApi, cluster_api: ClusterApi) -> None:
    job = job_object("train")
    job["spec"]["suspend"], job["status"] = False, {"active": 1, "startTime": "2023-09-06T18:00:30Z"}
    await fake_api.put(f"{JOBS}/train", job)
    async with running(cluster_api, at_once(three_rack_site())):
        await fake_api.wait(lambda: keys.STARTED_AT in fake_api.objects[f"{JOBS}/train"]["metadata"]["annotations"])
        kept = fake_api.objects[f"{JOBS}/train"]["metadata"]["annotations"]
        assert (kept[keys.STARTED_AT], kept[keys.STARTS]) == ("2023-09-06T18:00:30.000000Z", "1")


async def test_a_job_of_others_that_serves_no_progress_is_as_far_as_its_gpus_and_its_time(
    fake_api: FakeApi, cluster_api: ClusterApi
) -> None:
    began = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    job = job_object("train", **{keys.GPU_SECONDS: "36000"})
    job["spec"]["suspend"], job["status"] = False, {"active": 1, "startTime": began.strftime("%Y-%m-%dT%H:%M:%SZ")}
    await fake_api.put(f"{JOBS}/train", job)
    site = at_once(three_rack_site())
    async with running(cluster_api, site) as driver:
        seen = await until(driver, lambda seen: "train" in seen.jobs)
        work = follow_jobs(site, {}, {}, seen, Telemetry(seen.at))["train"]
        ran_s = (seen.at - began).total_seconds()
        assert work.held_gpu_seconds == pytest.approx(4 * ran_s)
        assert work.estimated_gpu_seconds == pytest.approx(4 * (ran_s - 120.0))
