"""Tenants' Jobs on a real cluster: what a move leaves on the object, who else writes them, and time that is real."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from orchestrator.adapters.workloads.kubernetes import keys
from orchestrator.adapters.workloads.kubernetes.api import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    JOBS,
    KUEUE_WORKLOADS,
    PODS,
    SCALED_OBJECTS,
    ApiError,
    ClusterApi,
    Document,
    Kind,
)
from orchestrator.adapters.workloads.kubernetes.times import instant
from orchestrator.domain.decision import PauseJob, RunJob, SetFleet
from orchestrator.domain.rack_mix import RackMix
from orchestrator.domain.work import Job, JobPhase
from tests.cluster.kind_cluster import KindCluster, until_there
from tests.cluster.objects import checkpoint, crd, deployment, tenants_job
from tests.cluster.world import World, eventually, job, moved, now, refused, until_view, view

pytestmark = pytest.mark.cluster

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def tenants(name: str, gpus: int = 4) -> Job:
    """Work without end."""
    return Job(
        name=name,
        tenant="lab",
        pool="h100",
        gpus=gpus,
        work_gpu_seconds=1e6,
        submitted_at=datetime(2023, 9, 6, tzinfo=UTC),
        deadline=None,
        checkpoint_every=timedelta(seconds=1),
        restart=timedelta(0),
    )


async def submit(world: World, body: Document) -> Document:
    await world.api.create(CONFIG_MAPS, checkpoint(body["metadata"]["name"]))
    return await world.api.create(JOBS, body)


async def until_it_works(world: World, name: str, more_than: float = 0.0) -> float:
    document = await until_there(
        world.api,
        CONFIG_MAPS,
        f"checkpoint-{name}",
        lambda document: float(document["data"]["gpu-seconds"]) > more_than,
    )
    return float(document["data"]["gpu-seconds"])


async def kept(world: World, name: str, kind: Kind = JOBS) -> Document:
    document = await world.api.get(kind, name)
    assert document is not None
    return document


async def test_a_move_is_told_on_the_job(world: World) -> None:
    await submit(world, tenants_job(tenants("train")))
    async with world.driver() as driver:
        await until_view(driver, lambda seen: "train" in seen.jobs)
        await moved(driver, RunJob("train"), "pays 2.50 USD/GPU-h")
        await until_it_works(world, "train")
        await moved(driver, PauseJob("train"), "price 900 USD/MWh")
        annotations = (await kept(world, "train"))["metadata"]["annotations"]
        assert json.loads(annotations[keys.BEFORE]) == {"suspend": False, "parallelism": 1}
        assert annotations[keys.REASON] == "price 900 USD/MWh"
        assert annotations[keys.STARTS] == "1"
        paused = (await until_view(driver, lambda seen: seen.jobs["train"].phase is JobPhase.PAUSED)).jobs["train"]
        annotations = (await kept(world, "train"))["metadata"]["annotations"]
        assert keys.STARTED_AT not in annotations
        assert float(annotations[keys.ELAPSED_SECONDS]) == pytest.approx(paused.elapsed.total_seconds())
        assert instant(annotations[keys.CHANGED_AT]) == paused.changed_at
        assert (await world.until_told("train", "JobStarted")).note == "pays 2.50 USD/GPU-h"
        assert (await world.until_told("train", "JobPaused")).note == "price 900 USD/MWh"
    described = await world.kubectl("describe", "job", "train")
    events = described.partition("\nEvents:")[2]
    assert "JobPaused" in events
    assert "price 900 USD/MWh" in events


async def test_elapsed_time_is_real_over_several_runs(world: World) -> None:
    await submit(world, tenants_job(tenants("train")))
    least, most, saved = timedelta(0), timedelta(0), 0.0
    async with world.driver() as driver:
        await until_view(driver, lambda seen: "train" in seen.jobs)
        for starts in (1, 2, 3):
            asked_at = now()
            await moved(driver, RunJob("train"))
            runs_from = now()
            saved = await until_it_works(world, "train", saved)
            least += now() - runs_from
            await moved(driver, PauseJob("train"))
            paused = (await until_view(driver, lambda seen: seen.jobs["train"].phase is JobPhase.PAUSED)).jobs["train"]
            most += now() - asked_at
            assert paused.starts == starts
            assert least <= paused.elapsed <= most
            rested = now() + timedelta(seconds=1)
            seen = await until_view(driver, lambda seen, rested=rested: seen.at > rested)  # type: ignore[misc]
            assert seen.jobs["train"].elapsed == paused.elapsed
    async with world.driver() as driver:
        assert (await job(driver, "train")).elapsed == paused.elapsed, "it is on the object"


async def test_a_job_paused_as_soon_as_it_was_started_is_paused_when_none_of_its_pods_works(world: World) -> None:
    """Kubernetes may tell of the pod only after the pause, or make none at all."""
    await submit(world, tenants_job(tenants("train")))
    query = {"labelSelector": "batch.kubernetes.io/job-name=train"}
    async with world.driver() as driver:
        await until_view(driver, lambda seen: "train" in seen.jobs)
        for starts in (1, 2, 3):
            await moved(driver, RunJob("train"))
            await moved(driver, PauseJob("train"))
            paused = await until_view(driver, lambda seen: seen.jobs["train"].phase is JobPhase.PAUSED)
            pods = (await world.api.request("GET", PODS.path(world.api.namespace), query=query))["items"]
            assert {pod["status"]["phase"] for pod in pods} <= {"Succeeded", "Failed"}
            assert paused.jobs["train"].starts == starts


async def test_a_job_that_was_never_suspended_runs_and_can_be_paused(world: World) -> None:
    await submit(world, tenants_job(tenants("train"), suspend=False))
    async with world.driver() as driver:
        await until_it_works(world, "train")
        seen = await job(driver, "train")
        assert (seen.phase, seen.starts) == (JobPhase.RUNNING, 1)
        assert seen.elapsed > timedelta(0)
        await moved(driver, PauseJob("train"))
        seen = (await until_view(driver, lambda seen: seen.jobs["train"].phase is JobPhase.PAUSED)).jobs["train"]
        assert seen.starts == 1
        assert seen.elapsed > timedelta(0)


async def test_a_job_whose_terms_make_no_sense_is_left_alone_and_told_why(world: World) -> None:
    body = tenants_job(tenants("train"))
    body["metadata"]["annotations"][keys.GPUS] = "many"
    await submit(world, body)
    async with world.driver() as driver:
        told = await world.until_told("train", "JobNotManaged")
        assert told.warning
        assert told.note == f"{keys.GPUS}: 'many' is no number"
        assert "train" not in (await view(driver)).jobs
        assert f"job train is not managed: {keys.GPUS}" in await refused(driver, RunJob("train"))
        assert any("job train" in problem for problem in driver.problems())
        assert (await kept(world, "train"))["spec"]["suspend"] is True
        await world.kubectl("annotate", "--overwrite", "job", "train", f"{keys.GPUS}=4")
        await until_view(driver, lambda seen: "train" in seen.jobs)
        await moved(driver, RunJob("train"))


async def test_a_job_that_is_deleted_is_gone_and_its_gpus_are_free(world: World) -> None:
    await submit(world, tenants_job(tenants("first", gpus=6)))
    await submit(world, tenants_job(tenants("second", gpus=6)))
    async with world.driver() as driver:
        await until_view(driver, lambda seen: {"first", "second"} <= seen.jobs.keys())
        await moved(driver, RunJob("first"))
        assert "needs 6 GPUs" in await refused(driver, RunJob("second"))
        await world.kubectl("delete", "job", "first", "--wait=false")
        await until_view(driver, lambda seen: "first" not in seen.jobs)
        assert "no job first" in await refused(driver, PauseJob("first"))
        await moved(driver, RunJob("second"))


class Meddled(ClusterApi):
    """Someone else writes a Job in the moment before each of the first writes that this client sends to it."""

    times = 2
    conflicts = 0

    async def patch(self, kind: Kind, name: str, body: Document, *, part: str = "") -> Document:
        if kind == JOBS and self.times:
            self.times -= 1
            await super().patch(JOBS, name, {"metadata": {"labels": {"meddled": str(self.times)}}})
        try:
            return await super().patch(kind, name, body, part=part)
        except ApiError as error:
            self.conflicts += error.status == 409
            raise


async def test_a_job_that_someone_else_writes_at_that_moment_is_moved_all_the_same(world: World) -> None:
    await submit(world, tenants_job(tenants("train")))
    api = Meddled(await world.cluster.configuration(), world.api.namespace)
    try:
        async with world.driver(api) as driver:
            await until_view(driver, lambda seen: "train" in seen.jobs)
            await moved(driver, RunJob("train"), "pays")
            assert api.conflicts == 2
            document = await kept(world, "train")
            assert document["spec"]["suspend"] is False
            assert document["metadata"]["labels"]["meddled"] == "0", "what the other wrote stays"
            assert document["metadata"]["annotations"][keys.STARTS] == "1"
            assert (await job(driver, "train")).starts == 1
    finally:
        await api.close()


# Kueue and KEDA: only their kinds, made here


@pytest.fixture
async def foreign_kinds(kind_cluster: KindCluster) -> AsyncIterator[None]:
    """The cluster knows Kueue's Workloads and KEDA's ScaledObjects; nobody acts on them but the test."""
    api = await kind_cluster.api("default")
    made = [
        body
        for body in (
            crd("kueue.x-k8s.io", "v1beta1", "Workload", "workloads"),
            crd("keda.sh", "v1alpha1", "ScaledObject", "scaledobjects"),
        )
        if await _create_kind(api, body)
    ]
    try:
        for kind in (KUEUE_WORKLOADS, SCALED_OBJECTS):
            await eventually(lambda kind=kind: _served(api, kind), lambda: "a CRD is not served")  # type: ignore[misc]
        yield
    finally:
        for body in made:
            await api.request("DELETE", f"{CRDS}/{body['metadata']['name']}")
        await api.close()


async def _create_kind(api: ClusterApi, body: Document) -> bool:
    """Whether it was not there. One that is on its way out is waited for."""
    created: list[bool] = []

    async def there() -> bool:
        try:
            await api.request("POST", CRDS, body=body)
        except ApiError as error:
            if error.status != 409:
                raise
            try:
                found: dict[str, Any] = await api.request("GET", f"{CRDS}/{body['metadata']['name']}")
            except ApiError:
                return False
            created[:] = [False]
            return "deletionTimestamp" not in found["metadata"]
        created[:] = [True]
        return True

    await eventually(there, lambda: f"{body['metadata']['name']} cannot be made")
    return created[0]


async def _served(api: ClusterApi, kind: Kind) -> bool:
    try:
        await api.request("GET", kind.path(api.namespace))
    except ApiError as error:
        if error.status not in (404, 429, 503):
            raise
        return False
    return True


async def test_a_job_of_kueues_is_moved_through_its_workload(world: World, foreign_kinds: None) -> None:
    body = tenants_job(tenants("train"))
    body["metadata"]["labels"][keys.KUEUE_QUEUE] = "gpus"
    submitted = await submit(world, body)
    async with world.driver() as driver:
        await until_view(driver, lambda seen: "train" in seen.jobs)
        assert "has no Workload yet" in await refused(driver, RunJob("train"))
        owner = {"apiVersion": "batch/v1", "kind": "Job", "name": "train", "uid": submitted["metadata"]["uid"]}
        workload = {
            "apiVersion": "kueue.x-k8s.io/v1beta1",
            "kind": "Workload",
            "metadata": {"name": "job-train", "ownerReferences": [owner]},
            "spec": {"active": True, "queueName": "gpus"},
        }
        await world.api.create(KUEUE_WORKLOADS, workload)
        await until_view(driver, lambda seen: seen.jobs["train"].phase is JobPhase.RUNNING)
        # Kueue admits it.
        await world.kubectl("patch", "job", "train", "--type=merge", "-p", '{"spec":{"suspend":false}}')
        await until_it_works(world, "train")

        await moved(driver, PauseJob("train"), "price 900 USD/MWh")
        assert (await kept(world, "job-train", KUEUE_WORKLOADS))["spec"] == {"active": False, "queueName": "gpus"}
        assert (await kept(world, "train"))["spec"]["suspend"] is False, "that is Kueue's to write"
        assert (await job(driver, "train")).phase is JobPhase.STOPPING
        await world.kubectl("patch", "job", "train", "--type=merge", "-p", '{"spec":{"suspend":true}}')
        await until_view(driver, lambda seen: seen.jobs["train"].phase is JobPhase.PAUSED)
        assert (await world.until_told("train", "JobPaused")).note == "price 900 USD/MWh"

        await moved(driver, RunJob("train"), "price 20 USD/MWh")
        assert (await kept(world, "job-train", KUEUE_WORKLOADS))["spec"]["active"] is True
        assert (await kept(world, "train"))["spec"]["suspend"] is True, "that is Kueue's to write"
        assert (await job(driver, "train")).phase is JobPhase.RUNNING


async def test_a_fleet_with_a_scaled_object_is_refused(world: World, foreign_kinds: None) -> None:
    await world.api.create(DEPLOYMENTS, deployment("s21"))
    async with world.driver() as driver:
        scaled = {
            "apiVersion": "keda.sh/v1alpha1",
            "kind": "ScaledObject",
            "metadata": {"name": "by-price"},
            "spec": {"scaleTargetRef": {"name": "s21"}},
        }
        await world.api.create(SCALED_OBJECTS, scaled)
        seen = await until_view(driver, lambda seen: bool(seen.fleets["s21"].held))
        assert "ScaledObject by-price scales Deployment s21" in seen.fleets["s21"].held
        assert "ScaledObject by-price" in await refused(driver, SetFleet("s21", RackMix({"normal": 3})))
        told = await world.until_told("s21", "MoveRefused")
        assert told.warning
        assert "ScaledObject by-price" in told.note
        await world.api.request("DELETE", SCALED_OBJECTS.path(world.api.namespace, "by-price"))
        await until_view(driver, lambda seen: not seen.fleets["s21"].held)
        await moved(driver, SetFleet("s21", RackMix({"normal": 3})))
