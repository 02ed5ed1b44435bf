"""The world of the Kubernetes driver for the suite that every workload driver passes: Jobs and fleets on a cluster."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from orchestrator.adapters.workloads.kubernetes.api import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    JOBS,
    PODS,
    ApiError,
    ClusterApi,
    Document,
)
from orchestrator.adapters.workloads.kubernetes.driver import ClusterSite
from orchestrator.domain.site.site import Site
from orchestrator.domain.work import Job, Workloads
from tests.cluster.kind_cluster import WAIT_S, KindCluster, until_there
from tests.cluster.objects import checkpoint, deployment, tenants_job

NAME = "w"
"""Of the site's objects."""


class KubernetesHarness:
    """Real time. A Job's container that dies is started again by the kubelet."""

    spell = timedelta(seconds=1)
    restarts_work = True

    def __init__(self, cluster: KindCluster, api: ClusterApi, site: Site) -> None:
        self._cluster = cluster
        self._site = site
        self.api = api
        self.driver = self._open()

    def _open(self) -> ClusterSite:
        return ClusterSite(self.api, self._site, NAME, lambda: True)

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def submit(self, job: Job) -> None:
        try:
            await self.api.create(CONFIG_MAPS, checkpoint(job.name))
            await self.api.create(JOBS, tenants_job(job))
        except ApiError as error:
            if error.status != 409:  # it was submitted before
                raise
        await self.until(lambda seen: job.name in seen.jobs)

    async def kill(self, job: str) -> None:
        pod = await self._working_pod(job)
        name, before = pod["metadata"]["name"], pod["status"]["containerStatuses"][0]
        await self._cluster.kill_container(pod["spec"]["nodeName"], before["containerID"])
        await until_there(
            self.api,
            PODS,
            name,
            lambda seen: seen["status"]["containerStatuses"][0]["restartCount"] > before["restartCount"],
        )

    async def _working_pod(self, job: str) -> Document:
        """Once its container runs."""
        query = {"labelSelector": f"batch.kubernetes.io/job-name={job}", "fieldSelector": "status.phase=Running"}
        deadline = time.monotonic() + WAIT_S
        while True:
            pods = (await self.api.request("GET", PODS.path(self.api.namespace), query=query))["items"]
            alive = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
            if alive:
                return dict(alive[0])
            assert time.monotonic() < deadline, f"no pod of {job} runs"
            await asyncio.sleep(0.05)

    async def saved(self, job: str) -> float:
        document = await self.api.get(CONFIG_MAPS, f"checkpoint-{job}")
        assert document is not None, f"no checkpoint of {job}"
        return float(document["data"]["gpu-seconds"])

    async def until_saved(self, job: str, more_than: float) -> None:
        await until_there(
            self.api,
            CONFIG_MAPS,
            f"checkpoint-{job}",
            lambda document: float(document["data"]["gpu-seconds"]) > more_than,
        )

    async def reopen(self) -> None:
        await self.driver.stop()
        self.driver = self._open()
        await self.driver.start()

    async def until(self, holds: Callable[[Workloads], bool]) -> Workloads:
        deadline = time.monotonic() + WAIT_S
        while not holds(seen := await self.driver.observe(self.now())):
            assert time.monotonic() < deadline, f"did not come to hold in {WAIT_S:.0f} s: {seen}"
            await asyncio.sleep(0.02)
        return seen


@asynccontextmanager
async def kubernetes_harness(cluster: KindCluster, site: Site) -> AsyncIterator[KubernetesHarness]:
    """In a namespace of its own, with a Deployment without pods for each fleet."""
    async with cluster.namespace() as api:
        for fleet in site.fleets:
            await api.create(DEPLOYMENTS, deployment(fleet.name))
        harness = KubernetesHarness(cluster, api, site)
        try:
            await harness.driver.start()
            yield harness
        finally:
            await harness.driver.stop()
