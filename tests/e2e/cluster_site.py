"""A whole mock site installed by the chart into a namespace of its own, used as its operators would."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx

from orchestrator.adapters.workloads.kubernetes.api import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    JOBS,
    LEASES,
    PODS,
    ClusterApi,
    Document,
)
from tests.chart.rendering import CHART, KIND_SITE, ROOT
from tests.cluster.kind_cluster import KindCluster, checked, run
from tests.sharing import locked

RELEASE = "w"
NAME = "w-wattshift"
"""What the chart calls the release's objects."""
WAIT_S = 180.0
"""For what takes seconds: generous, since the machine may be busy."""
FLEETS = ("s19j-pro", "s19-xp", "s21")
KEY = "a-key-of-the-tests-0123456789"


CALM, SPIKE = 40.0, 2500.0
"""USD/MWh: all that can run pays at the one; at the other no ASIC and no best-effort job does."""
GUARANTEED, FLEXIBLE, BEST_EFFORT = (f"{NAME}-{tenant}" for tenant in ("aurora-bio", "lumen-ai", "campus-lab"))
"""Its tenants' jobs."""


@dataclass(frozen=True, slots=True)
class Images:
    """What the cluster has loaded."""

    wattshift: str
    prometheus: str
    postgres: str
    postgres_user: int
    """User id of its database."""


def load_images(cluster: KindCluster, shared: Path) -> Images:
    """Build ours, pull the others where they are not here, and load them all; once for all workers of the run."""
    kept = shared / "images.json"
    with locked(shared / "images-lock"):
        if not kept.exists():
            kept.write_text(json.dumps(asdict(_load_images(cluster))))
    return Images(**json.loads(kept.read_text()))


def _load_images(cluster: KindCluster) -> Images:
    built = os.environ.get("WATTSHIFT_IMAGE", "wattshift-test:dev")
    checked(str(ROOT / "scripts" / "build-image.sh"), environment={"IMAGE": built})
    identity = checked("docker", "image", "inspect", "--format", "{{.Id}}", built).strip().removeprefix("sha256:")[:12]
    wattshift = f"{built.rsplit(':', 1)[0]}:{identity}"  # by what is in it, so that an old one is not taken for it
    checked("docker", "tag", built, wattshift)
    prometheus = os.environ.get("PROMETHEUS_IMAGE", "prom/prometheus:v2.42.0")
    postgres = os.environ.get("POSTGRES_IMAGE", "postgres:15")
    for image in (prometheus, postgres):
        if not checked("docker", "image", "ls", "--quiet", image).strip():
            checked("docker", "pull", image)
    checked("kind", "load", "docker-image", "--name", cluster.name, wattshift, prometheus, postgres)
    user = checked("docker", "run", "--rm", "--network", "none", "--entrypoint", "id", postgres, "-u", "postgres")
    return Images(wattshift, prometheus, postgres, int(user))


def named(image: str) -> Document:
    repository, tag = image.rsplit(":", 1)
    return {"repository": repository, "tag": tag}


@dataclass(slots=True)
class ClusterSite:
    """One release and the ways to look at it."""

    cluster: KindCluster
    api: ClusterApi
    """As an administrator, in the release's namespace."""

    async def kubectl(self, *arguments: str) -> str:
        return await self.cluster.kubectl("-n", self.api.namespace, *arguments)

    async def metric(self, query: str) -> float | None:
        """The first value of a PromQL query, asked of the release's Prometheus; None if there is none."""
        service = f"/api/v1/namespaces/{self.api.namespace}/services/{NAME}-prometheus:9090/proxy/api/v1/query"
        document = await self.api.request("GET", f"{service}?{urlencode({'query': query})}")
        result = document["data"]["result"]
        return float(result[0]["value"][1]) if result else None

    async def watts(self) -> float:
        """What the ASICs draw, as their exporters say; where Prometheus knows of none, it is asked until it does."""
        known: list[float] = []

        async def measured() -> bool:
            watts = await self.metric("sum(asic_power_watts)")
            known.extend([] if watts is None else [watts])
            return bool(known)

        await self.until(measured, "a reading of the ASICs")
        return known[-1]

    async def replicas(self) -> Mapping[str, int]:
        documents = await self.api.request(
            "GET", DEPLOYMENTS.path(self.api.namespace), query={"labelSelector": "wattshift.dev/fleet"}
        )
        return {
            item["metadata"]["labels"]["wattshift.dev/fleet"]: int(item["spec"]["replicas"])
            for item in documents["items"]
        }

    async def mining_pods(self) -> list[str]:
        """Names of mining pods that are not asked to end."""
        documents = await self.api.request(
            "GET", PODS.path(self.api.namespace), query={"labelSelector": "wattshift.dev/fleet"}
        )
        return [item["metadata"]["name"] for item in documents["items"] if "deletionTimestamp" not in item["metadata"]]

    async def jobs(self) -> Mapping[str, Document]:
        """Jobs by name."""
        documents = await self.api.request("GET", JOBS.path(self.api.namespace))
        return {item["metadata"]["name"]: item for item in documents["items"]}

    async def runs(self, job: str) -> bool:
        found = (await self.jobs())[job]
        return not found["spec"].get("suspend") and bool(found["status"].get("active"))

    async def starts(self, job: str) -> int:
        """How often it was started, as the controller keeps it on the object."""
        annotations = (await self.jobs())[job]["metadata"]["annotations"]
        return int(annotations["wattshift.dev/starts"])

    async def events(self, reason: str) -> list[str]:
        """Notes of the events with a reason, oldest first."""
        query = {"fieldSelector": f"reason={reason}"}
        documents = await self.api.request(
            "GET", f"/apis/events.k8s.io/v1/namespaces/{self.api.namespace}/events", query=query
        )
        items = sorted(documents["items"], key=lambda item: str(item.get("eventTime")))
        return [str(item.get("note", "")) for item in items]

    async def leader(self) -> str:
        """The pod that leads; empty if none does."""
        documents = await self.api.request(
            "GET", PODS.path(self.api.namespace), query={"labelSelector": "wattshift.dev/leader=true"}
        )
        names = [item["metadata"]["name"] for item in documents["items"] if "deletionTimestamp" not in item["metadata"]]
        return names[0] if len(names) == 1 else ""

    async def lease_holder(self) -> str:
        """The pod that holds the leaders' lease; empty while none does."""
        lease = await self.api.get(LEASES, f"{NAME}-leader")
        return str(lease["spec"].get("holderIdentity") or "").split("_")[0] if lease else ""

    @asynccontextmanager
    async def console(self) -> AsyncIterator[httpx.AsyncClient]:
        """The leader's API, through a port-forward of its own."""
        port = _free_port()
        process = await asyncio.create_subprocess_exec(
            "kubectl",
            *("--kubeconfig", str(self.cluster.kubeconfig), "-n", self.api.namespace),
            *("port-forward", f"service/{NAME}", f"{port}:8080"),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        headers = {"Authorization": f"Bearer {KEY}"}
        try:
            async with httpx.AsyncClient(
                base_url=f"http://127.0.0.1:{port}", headers=headers, trust_env=False
            ) as client:

                async def answers() -> bool:
                    try:
                        return (await client.get("/healthz")).status_code == httpx.codes.OK
                    except httpx.TransportError:
                        return False

                await self.until(answers, "the console to answer")
                yield client
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()

    async def ask(self, path: str) -> Any:
        """A document of the leader's API."""
        async with self.console() as client:
            answer = await client.get(path)
            assert answer.status_code == httpx.codes.OK, answer.text
            return answer.json()

    async def set_price(self, usd_per_mwh: float) -> None:
        """Change the market's price file. The pod is touched, since a kubelet else looks once a minute."""
        await self.api.patch(CONFIG_MAPS, f"{NAME}-market", {"data": {"prices.csv": price_file(usd_per_mwh)}})
        pods = await self.api.request(
            "GET", PODS.path(self.api.namespace), query={"labelSelector": "app.kubernetes.io/component=market"}
        )
        for pod in pods["items"]:
            touched = {"metadata": {"annotations": {"touched": secrets.token_hex(4)}}}
            await self.api.patch(PODS, pod["metadata"]["name"], touched)

    async def until(self, holds: Callable[[], Awaitable[bool]], what: str, within_s: float = WAIT_S) -> float:
        """Look until it holds; returns how long that took, s."""
        began = time.monotonic()
        while not await holds():
            if time.monotonic() - began > within_s:
                raise AssertionError(f"waited {within_s:.0f} s for {what}\n{await self.story()}")
            await asyncio.sleep(0.2)
        return time.monotonic() - began

    async def until_all_awake(self) -> None:
        """Every rack awake and drawing."""

        async def holds() -> bool:
            return all(count == 4 for count in (await self.replicas()).values()) and await self.watts() > 430_000.0

        await self.until(holds, "all racks awake")

    async def until_all_run(self) -> None:
        """Every rack awake, and each tenant's job at work."""
        await self.until_all_awake()
        for job in (GUARANTEED, FLEXIBLE, BEST_EFFORT):
            await self.until(partial(self.runs, job), f"job {job} to run")

    async def until_all_asleep(self) -> float:
        """No mining pod left and the meter down."""

        async def holds() -> bool:
            return not await self.mining_pods() and await self.watts() < 5_000.0

        return await self.until(holds, "all racks asleep")

    async def story(self) -> str:
        """What an operator would look at when something is wrong."""
        logs = ("logs", "-l", "app.kubernetes.io/component=controller", "--prefix")
        parts = [
            await self.kubectl("get", "events", "--sort-by=.metadata.creationTimestamp"),
            await self.kubectl("get", "pods,jobs,deployments", "-o", "wide"),
            await self.kubectl(*logs, "--tail=40", "--all-containers"),
        ]
        for look in (partial(self.kubectl, *logs, "--tail=20", "--previous"), self._why_jobs):
            try:
                parts.append(await look())
            except (AssertionError, OSError, RuntimeError, httpx.HTTPError) as error:
                parts.append(f"{type(error).__name__}: {error}")  # no container has ended, or nobody answers
        return "\n".join(part[-6_000:] for part in parts)

    async def _why_jobs(self) -> str:
        """What the controller says of each job."""
        jobs = (await self.ask("/api/v1/jobs"))["jobs"]
        return "\n".join(f"{job['name']}: {job['phase']}, {job['reason']}" for job in jobs)


@asynccontextmanager
async def installed(
    cluster: KindCluster, images: Images, folder: Path, more: Document | None = None
) -> AsyncIterator[ClusterSite]:
    """The kind site at 40 USD/MWh, with `more` values of the chart; a controller leads when the block is entered."""
    namespace = f"site-{secrets.token_hex(4)}"
    api = await cluster.api(namespace)
    site = ClusterSite(cluster, api)
    values: Document = {
        "image": named(images.wattshift),
        "prometheus": {"enabled": True, "image": named(images.prometheus), "scrapeInterval": "1s"},
        "apiKey": {"existingSecret": {"name": "key"}},
        "mock": {
            "enabled": True,
            "market": {"prices": price_file(CALM), "startAt": ""},
            "tenants": {"enabled": False},
            "jobs": {"seconds": 7200},  # longer than all tests on it
        },
        **(more or {}),
    }
    file = folder / "values.json"
    file.write_text(json.dumps(values))
    await api.request("POST", "/api/v1/namespaces", body={"metadata": {"name": namespace}})
    try:
        key = {"metadata": {"name": "key"}, "stringData": {"api-key": KEY}}
        await api.request("POST", f"/api/v1/namespaces/{namespace}/secrets", body=key)
        await run(
            *("helm", "--kubeconfig", str(cluster.kubeconfig), "--namespace", namespace),
            *("install", RELEASE, str(CHART), "--set-file", f"siteFile={KIND_SITE}", "-f", str(file)),
        )

        async def leads() -> bool:
            return bool(await site.leader())

        await site.until(leads, "a leader")
        yield site
    finally:
        await api.request("DELETE", f"/api/v1/namespaces/{namespace}")
        await api.close()


def price_file(usd_per_mwh: float) -> str:
    """A day of one price, in our own format."""
    rows = [f"2026-01-01T00:{minute:02d}:00Z,{usd_per_mwh:.2f}" for minute in (0, 15)]
    return "\n".join(["interval_start_utc,real_time_usd_per_mwh", *rows, ""])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
