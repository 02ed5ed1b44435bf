"""`wattshift serve` on a cluster as two real processes over one Postgres: one leads, the other follows it."""

import asyncio
import contextlib
import os
import re
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from orchestrator.adapters.workloads.kubernetes.leader.election import Timing
from tests.command import refused
from tests.observability.hurried import firing, hurried_config
from tests.prometheus_server import prometheus_server

if TYPE_CHECKING:
    from tests.kubernetes.fake_api import FakeApi

NAMESPACE = "/namespaces/test"
LEASES = f"/apis/coordination.k8s.io/v1{NAMESPACE}/leases"
LEASE = f"{LEASES}/w-leader"
FLEET = f"/apis/apps/v1{NAMESPACE}/deployments/s21"
TIMING = Timing()
PATIENCE_S = 90.0


class Process:
    """A controller in a process of its own, as the container of the pod `pod`."""

    def __init__(self, pod: str, log: Path) -> None:
        self.pod = pod
        self.log = log
        self.url = ""
        self.process: asyncio.subprocess.Process | None = None

    async def start(self, site_file: Path, env: dict[str, str]) -> None:
        command = (sys.executable, "-m", "orchestrator.cli", "serve", str(site_file), "--port", "0")
        kept = {name: value for name, value in os.environ.items() if not name.startswith("WATTSHIFT_")}
        kept.pop("KUBERNETES_SERVICE_HOST", None)
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *command, stdout=log, stderr=log, env={**kept, **env, "POD_NAME": self.pod}
            )
        said = len(re.findall("Look at", self.said()))

        async def address() -> bool:
            assert self.process is not None
            assert self.process.returncode is None, self.said()
            found = re.findall(r"Look at (http://\S+)", self.said())
            self.url = found[-1] if len(found) > said else ""
            return bool(self.url)

        await until(address, f"the address of {self.pod}")

    def said(self) -> str:
        return self.log.read_text()

    async def get(self, path: str) -> tuple[int, Any]:
        """Status and document; 0 where nothing answers."""
        try:
            async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE_S) as client:
                answer = await client.get(self.url + path)
        except httpx.TransportError:
            return 0, None
        return answer.status_code, answer.json() if "json" in answer.headers["content-type"] else answer.text

    async def leads(self) -> bool:
        return (await self.get("/api/v1/site"))[0] == 200

    async def end(self, how: signal.Signals) -> int:
        assert self.process is not None
        self.process.send_signal(how)
        return await asyncio.wait_for(self.process.wait(), PATIENCE_S)


Start = Callable[[str], Awaitable[Process]]


async def until(holds: Callable[[], Awaitable[bool]], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not await holds():
        assert time.monotonic() < deadline, f"waited {PATIENCE_S:.0f} s for {what}"
        await asyncio.sleep(0.05)


@pytest.fixture
async def start(fake_api: "FakeApi", site_file: Path, postgres_url: str) -> AsyncIterator[Start]:
    """Starts the controller of a pod; nothing outlives the test."""
    env = {
        "KUBECONFIG": str(fake_api.kubeconfig(site_file.with_name("kubeconfig"), "test")),
        "WATTSHIFT_STORE_URL": postgres_url,
    }
    labels = {"wattshift.dev/fleet": "s21"}
    await fake_api.put(FLEET, {"metadata": {"labels": labels}, "spec": {"replicas": 2}})
    started: list[Process] = []

    async def begin(pod: str) -> Process:
        path = f"/api/v1{NAMESPACE}/pods/{pod}"
        if path not in fake_api.objects:
            await fake_api.put(path, {"metadata": {"labels": {"app": "w"}}})
        process = Process(pod, site_file.with_name(f"{pod}.log"))
        started.append(process)
        await process.start(site_file, env)
        return process

    yield begin
    for process in started:
        if process.process is not None and process.process.returncode is None:
            process.process.kill()
            await process.process.wait()


def leading_pods(fake_api: "FakeApi") -> set[str]:
    return {
        document["metadata"]["name"]
        for path, document in fake_api.objects.items()
        if "/pods/" in path and document["metadata"].get("labels", {}).get("wattshift.dev/leader") == "true"
    }


async def test_one_leads_and_the_standby_follows_a_kill_and_a_stop(start: Start, fake_api: "FakeApi") -> None:
    first = await start("w-0")
    await until(first.leads, "the first to lead")
    second = await start("w-1")

    async def second_follows() -> bool:
        status, document = await second.get("/api/v1/state")
        return bool(status == 503 and str(document["leader"]).startswith("w-0_"))

    await until(second_follows, "the second to see who leads")
    await fake_api.wait(lambda: leading_pods(fake_api) == {"w-0"})
    assert (await second.get("/healthz"))[0] == 200
    assert (await second.get("/readyz"))[0] == 200

    async def observed() -> bool:
        status, document = await first.get("/api/v1/state")
        return bool(status == 200 and document["observed"])

    await until(observed, "the first round")

    await first.end(signal.SIGKILL)
    asked = len(fake_api.requests)
    await until(second.leads, "the standby to take over from the killed one")
    # A machine that is slow lets it look less often, so these bound the time that it had to wait.
    looks = fake_api.requests[asked:].count(("GET", LEASES))
    assert looks <= TIMING.lease_s / TIMING.look_every_s + 2
    assert fake_api.objects[LEASE]["spec"]["leaseTransitions"] == 1
    again = await start("w-0")
    await fake_api.wait(lambda: leading_pods(fake_api) == {"w-1"})
    assert not await again.leads()

    stopping = asyncio.create_task(second.end(signal.SIGTERM))
    await until(again.leads, "the standby to take over from the stopped one")
    assert await stopping == 0
    await fake_api.wait(lambda: leading_pods(fake_api) == {"w-0"})
    assert "Traceback" not in second.said() + again.said()
    assert await again.end(signal.SIGTERM) == 0
    assert fake_api.objects[LEASE]["spec"]["holderIdentity"] == ""
    assert leading_pods(fake_api) == set()


async def test_a_standby_that_is_killed_raises_its_alert(start: Start, fake_api: "FakeApi", tmp_path: Path) -> None:
    leader = await start("w-0")
    await until(leader.leads, "the first to lead")
    standby = await start("w-1")
    config = hurried_config(tmp_path, *(each.url.removeprefix("http://") for each in (leader, standby)))
    with contextlib.ExitStack() as stack:
        server = await asyncio.to_thread(stack.enter_context, prometheus_server(tmp_path, config))

        async def missed() -> bool:
            return ("WattshiftStandbyMissing", "warning", "") in await asyncio.to_thread(firing, server)

        async def well() -> bool:
            answer = await asyncio.to_thread(server.get, "query", query="count by (site) (wattshift_leader) == 2")
            return bool(answer["result"]) and not await missed()

        await until(well, "Prometheus to see both")
        await standby.end(signal.SIGKILL)
        await until(missed, "the alert")
        assert await leader.leads()


def test_a_site_file_without_a_cluster_in_reach_is_refused(site_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    settings = {"KUBECONFIG": str(site_file.with_name("none"))}
    assert "no Kubernetes cluster" in refused("serve", str(site_file), "--port", "0", settings=settings)
