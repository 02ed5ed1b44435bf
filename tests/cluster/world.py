"""A site on a cluster as its operator sees it, and as its driver does."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from orchestrator.adapters.workloads.kubernetes.api import CONFIG_MAPS, EVENTS, PODS, ClusterApi, Document
from orchestrator.adapters.workloads.kubernetes.driver import ClusterSite
from orchestrator.domain.decision import Ack, Move
from orchestrator.domain.site.site import Site
from orchestrator.domain.work import FleetView, JobView, Workloads
from tests.cluster.kind_cluster import WAIT_S, KindCluster

NAME = "w"


@dataclass(frozen=True, slots=True)
class Told:
    """An Event."""

    kind: str
    reason: str
    note: str
    warning: bool


class World:
    """A namespace, and the driver that works in it. `driver_api` is the way it goes to the server."""

    def __init__(self, cluster: KindCluster, api: ClusterApi, site: Site) -> None:
        self.cluster = cluster
        self.api = api
        self.site = site

    @asynccontextmanager
    async def driver(self, driver_api: ClusterApi | None = None) -> AsyncIterator[ClusterSite]:
        driver = ClusterSite(driver_api or self.api, self.site, NAME, lambda: True)
        try:
            await driver.start()
            yield driver
        finally:
            await driver.stop()

    async def kubectl(self, *arguments: str) -> str:
        return await self.cluster.kubectl("--namespace", self.api.namespace, *arguments)

    async def told(self, name: str) -> list[Told]:
        """The Events on an object."""
        events = (await self.api.request("GET", EVENTS.path(self.api.namespace)))["items"]
        return [
            Told(event["regarding"]["kind"], event["reason"], event["note"], event["type"] == "Warning")
            for event in events
            if event["regarding"]["name"] == name and event.get("reportingController", "").startswith("wattshift")
        ]

    async def until_told(self, name: str, reason: str) -> Told:
        found: list[Told] = []

        async def there() -> bool:
            found[:] = [event for event in await self.told(name) if event.reason == reason]
            return bool(found)

        await eventually(there, lambda: f"no Event {reason} on {name}")
        return found[0]

    async def setpoints(self) -> Document:
        """As agents read them."""
        document = await self.api.get(CONFIG_MAPS, f"{NAME}-setpoints")
        content: Document = json.loads(document["data"]["setpoints.json"]) if document else {}
        return content

    async def pods(self, fleet: str) -> set[str]:
        """Names of those that run and are not asked to end."""
        query = {"labelSelector": f"wattshift.dev/fleet={fleet}"}
        pods = (await self.api.request("GET", PODS.path(self.api.namespace), query=query))["items"]
        return {
            pod["metadata"]["name"]
            for pod in pods
            if pod["status"].get("phase") == "Running" and "deletionTimestamp" not in pod["metadata"]
        }

    async def until_tended(self, fleet: str, racks: int) -> Mapping[str, str]:
        """Until `racks` racks are awake, each with a pod of its own, and no other pod runs: the pod of each."""
        agents: dict[str, str] = {}
        last: list[object] = []

        async def tended() -> bool:
            setpoints, pods = await self.setpoints(), await self.pods(fleet)
            awake = {rack for rack, mode in setpoints["racks"].items() if rack.startswith(fleet) and mode != "sleep"}
            agents.clear()
            agents.update({rack: pod for rack, pod in setpoints["agents"].items() if rack in awake})
            last[:] = [setpoints, pods]
            return len(awake) == len(agents) == racks and set(agents.values()) == pods

        await eventually(tended, lambda: f"{racks} racks of {fleet} are not tended: {last}")
        return agents


async def eventually(holds: Callable[[], object], what: Callable[[], str]) -> None:
    """Until it holds (a plain or a coroutine function); `what` says what is wrong if it does not in time."""
    deadline = time.monotonic() + WAIT_S
    while True:
        held = holds()
        if asyncio.iscoroutine(held):
            held = await held
        if held:
            return
        assert time.monotonic() < deadline, what()
        await asyncio.sleep(0.05)


def now() -> datetime:
    return datetime.now(UTC)


async def view(driver: ClusterSite) -> Workloads:
    return await driver.observe(now())


async def until_view(driver: ClusterSite, holds: Callable[[Workloads], bool]) -> Workloads:
    seen: list[Workloads] = []

    async def held() -> bool:
        seen[:] = [await view(driver)]
        return holds(seen[0])

    await eventually(held, lambda: f"not seen: {seen}")
    return seen[0]


async def fleet(driver: ClusterSite, name: str = "s21") -> FleetView:
    return (await view(driver)).fleets[name]


async def job(driver: ClusterSite, name: str) -> JobView:
    return (await view(driver)).jobs[name]


async def moved(driver: ClusterSite, move: Move, reason: str = "a test") -> Ack:
    """Carried out; it must be accepted."""
    ack = await driver.apply(move, reason, now())
    assert ack.accepted, ack.detail
    return ack


async def refused(driver: ClusterSite, move: Move, reason: str = "a test") -> str:
    """Why; it must not be accepted."""
    ack = await driver.apply(move, reason, now())
    assert not ack.accepted
    return ack.detail
