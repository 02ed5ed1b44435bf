"""The benchmark's objects on its kind cluster (scripts/bench-cluster.sh makes it)."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterable
from typing import Any

from benchmarks.cluster.site import Size, deployments, jobs, make_site, nodes
from orchestrator.adapters.workloads.kubernetes import keys
from orchestrator.adapters.workloads.kubernetes.api import DEPLOYMENTS, JOBS, PODS, ApiError, ClusterApi, connect

CONTEXT = "kind-wattshift-bench"
"""Named in every connection, so that no other cluster is touched."""
NODES = 10
AT_ONCE = 50
PATIENCE_S = 600.0


async def make_nodes() -> None:
    """ClusterError if the cluster is not there."""
    api = await connect(None, CONTEXT)
    await create_all(api, "/api/v1/nodes", nodes(NODES))
    await api.close()


async def populate(namespace: str, size: Size) -> ClusterApi:
    """A fresh namespace with the fleets awake and the jobs as the size says; returns when the pods run."""
    api = await connect(namespace, CONTEXT)
    metadata = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
    await api.request("POST", "/api/v1/namespaces", body=metadata)
    site = make_site(size)
    await create_all(api, DEPLOYMENTS.path(namespace), deployments(site, namespace, 1))
    await create_all(api, JOBS.path(namespace), jobs(size, namespace))
    await until_pods(api, size.fleets, size.running)
    return api


async def create_all(api: ClusterApi, path: str, documents: Iterable[dict[str, Any]]) -> None:
    """Many objects, some at a time; one that is there already stays."""
    left = iter(documents)

    async def take() -> None:
        for document in left:
            try:
                await api.request("POST", path, body=document, timeout_s=60.0)
            except ApiError as error:
                if error.status != 409:
                    raise

    await asyncio.gather(*(take() for _ in range(AT_ONCE)))


async def until_pods(api: ClusterApi, mining: int, training: int) -> None:
    """Wait until just as many pods run, of fleets and of jobs, and no other is there."""
    deadline = time.monotonic() + PATIENCE_S
    wanted = {(keys.FLEET, "Running"): mining, (keys.TENANT, "Running"): training}
    while (found := await pods(api)) != Counter({key: count for key, count in wanted.items() if count}):
        if time.monotonic() > deadline:
            raise TimeoutError(f"namespace {api.namespace}: there are pods {dict(found)}, not {wanted}")
        await asyncio.sleep(2.0)


async def pods(api: ClusterApi) -> Counter[tuple[str, str]]:
    """How many there are by label, fleet's or tenant's, and phase."""
    page = await api.request("GET", PODS.path(api.namespace), timeout_s=60.0)
    found: Counter[tuple[str, str]] = Counter()
    for pod in page["items"]:
        label = keys.FLEET if keys.FLEET in pod["metadata"]["labels"] else keys.TENANT
        phase = "ending" if "deletionTimestamp" in pod["metadata"] else pod["status"]["phase"]
        found[label, phase] += 1
    return found


async def remove_namespace(api: ClusterApi) -> None:
    """Ask for the namespace's end, wait until its pods are gone, and close the connections."""
    await api.request("DELETE", f"/api/v1/namespaces/{api.namespace}")
    await until_pods(api, 0, 0)
    await api.close()
