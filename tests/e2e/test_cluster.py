"""The closed loop on a real cluster: the chart's mock site, a real Prometheus, and what goes wrong at a site.

One site for all: each test finds it at work, all racks awake and each job running.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from orchestrator.adapters.workloads.kubernetes.api import DEPLOYMENTS
from tests.cluster.kind_cluster import run
from tests.e2e.cluster_site import (
    BEST_EFFORT,
    CALM,
    FLEETS,
    FLEXIBLE,
    GUARANTEED,
    NAME,
    SPIKE,
    ClusterSite,
    Images,
    installed,
)

if TYPE_CHECKING:
    from tests.cluster.kind_cluster import KindCluster

pytestmark = [pytest.mark.cluster, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def installed_site(
    kind_cluster: KindCluster, site_images: Images, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[ClusterSite]:
    async with installed(kind_cluster, site_images, tmp_path_factory.mktemp("site")) as site:
        yield site


@pytest_asyncio.fixture(loop_scope="module")
async def site(installed_site: ClusterSite) -> ClusterSite:
    """At work, whatever the test before left."""
    await installed_site.set_price(CALM)
    await installed_site.until_all_run()
    return installed_site


async def test_a_spike_moves_power_keeps_promises_and_all_comes_back(site: ClusterSite) -> None:
    drawn_w = await site.watts()
    started = {job: await site.starts(job) for job in (GUARANTEED, FLEXIBLE, BEST_EFFORT)}
    told = {reason: len(await site.events(reason)) for reason in ("PowerDown", "JobPaused")}

    await site.set_price(SPIKE)

    async def price_is_seen() -> bool:
        return await site.metric("max(wattshift_price_usd_per_mwh)") == SPIKE

    await site.until(price_is_seen, "the price in Prometheus")
    await site.until_all_asleep()
    assert await site.watts() < 0.05 * drawn_w
    assert set((await site.replicas()).values()) == {0}

    async def best_effort_is_paused() -> bool:
        job = (await site.jobs())[BEST_EFFORT]
        return bool(job["spec"]["suspend"]) and not job["status"].get("active")

    await site.until(best_effort_is_paused, "the best-effort job to be paused")
    jobs = await site.jobs()
    assert json.loads(jobs[BEST_EFFORT]["metadata"]["annotations"]["wattshift.dev/before"])["suspend"] is False
    for kept in (GUARANTEED, FLEXIBLE):
        assert await site.runs(kept)
        assert await site.starts(kept) == started[kept]
    for reason, before in told.items():
        assert any("2500 USD/MWh" in note for note in (await site.events(reason))[before:])
    for fleet in FLEETS:
        annotations = json.loads(
            await site.kubectl("get", f"deployment/{NAME}-mining-{fleet}", "-o", "jsonpath={.metadata.annotations}")
        )
        assert json.loads(annotations["wattshift.dev/before"])["replicas"] == 4

    await site.set_price(CALM)
    await site.until_all_run()
    assert abs(await site.watts() / drawn_w - 1.0) < 0.05
    assert await site.starts(BEST_EFFORT) == started[BEST_EFFORT] + 1
    resumed = (await site.jobs())[BEST_EFFORT]
    assert float(resumed["metadata"]["annotations"]["wattshift.dev/elapsed-seconds"]) > 1.0
    assert await site.metric(f'hpc_job_progress_gpu_seconds{{job="{BEST_EFFORT}"}}') is not None
    breaches = (await site.ask("/api/v1/breaches"))["breaches"]
    assert [breach for breach in breaches if breach["kind"] in ("cap_exceeded", "guaranteed_job_interrupted")] == []


async def test_an_operator_scales_by_hand_and_holds(site: ClusterSite) -> None:
    fleet = f"deployment/{NAME}-mining-s21"
    await site.kubectl("annotate", fleet, "wattshift.dev/hold-until=2100-01-01T00:00:00Z")
    await site.kubectl("scale", fleet, "--replicas=1")

    async def three_sleep() -> bool:
        drawn_w = await site.metric('sum(asic_power_watts{fleet="s21"})')
        return drawn_w is not None and drawn_w < 60_000.0

    await site.until(three_sleep, "three racks to sleep")
    assert any("1 replicas were set by someone else" in note for note in await site.events("ScaledByOther"))
    await site.set_price(SPIKE)

    async def others_sleep() -> bool:
        replicas = await site.replicas()
        return (replicas["s19-xp"], replicas["s19j-pro"]) == (0, 0)

    await site.until(others_sleep, "the other fleets to sleep")
    assert (await site.replicas())["s21"] == 1
    reasons = {row["name"]: row["reason"] for row in (await site.ask("/api/v1/fleets"))["fleets"]}
    assert "held by an operator until 2100-01-01" in reasons["s21"]
    await site.kubectl("annotate", fleet, "wattshift.dev/hold-until-")
    await site.until_all_asleep()
    await site.set_price(CALM)
    await site.until_all_awake()


async def test_without_prometheus_nothing_is_taken_for_granted(site: ClusterSite) -> None:
    scale = {"spec": {"replicas": 0}}
    await site.api.patch(DEPLOYMENTS, f"{NAME}-prometheus", scale, part="scale")
    async with site.console() as client:

        async def silent_racks() -> int:
            stale = (await client.get("/api/v1/state")).raise_for_status().json()["observed"]["stale"]
            return len([name for name in stale if name.startswith("rack ")])

        async def meters_are_silent() -> bool:
            return await silent_racks() == 12

        await site.until(meters_are_silent, "silent meters")
        observed = (await client.get("/api/v1/state")).raise_for_status().json()["observed"]
        assert observed["grid"]["power_kw"] > observed["measured_kw"] or observed["grid"]["power_kw"] > 400.0
        assert await site.runs(GUARANTEED)
        scale["spec"]["replicas"] = 1
        await site.api.patch(DEPLOYMENTS, f"{NAME}-prometheus", scale, part="scale")

        async def meters_answer() -> bool:
            return await silent_racks() == 0

        await site.until(meters_answer, "meters that answer")
    await site.until_all_awake()


@pytest.mark.cluster(alone=True)
async def test_without_a_nodes_kubelet_watts_fall_by_the_setpoints(
    kind_cluster: KindCluster, site: ClusterSite
) -> None:
    pods = json.loads(await site.kubectl("get", "pods", "-o", "json"))["items"]
    node_of = {pod["metadata"]["name"]: pod["spec"]["nodeName"] for pod in pods}
    leader = await site.leader()
    mining = {node_of[pod] for pod in await site.mining_pods()}
    node = next(node for node in sorted(mining) if node != node_of[leader])
    async with site.console() as client:
        await run("docker", "exec", node, "systemctl", "stop", "kubelet")
        try:
            order = {"limit_kw": 75.0, "for_minutes": 5, "reason": "an order of the test"}
            answer = await client.post("/api/v1/curtailments", json=order)
            assert answer.is_success, answer.text

            async def down() -> bool:
                return await site.watts() < 5_000.0

            await site.until(down, "power to fall", within_s=40.0)
            left = json.loads(await site.kubectl("get", "pods", "-l", "wattshift.dev/fleet", "-o", "json"))["items"]
            asked = {pod["spec"]["nodeName"] for pod in left if "deletionTimestamp" in pod["metadata"]}
            assert node in asked  # pods that nobody ends, and whose racks sleep all the same
            assert await site.runs(GUARANTEED)
        finally:
            await run("docker", "exec", node, "systemctl", "start", "kubelet")

        async def pods_are_gone() -> bool:
            names = (await site.kubectl("get", "pods", "-l", "wattshift.dev/fleet", "-o", "name")).split()
            return len(names) == sum((await site.replicas()).values())

        await site.until(pods_are_gone, "the pods to go")
        (await client.delete(answer.headers["Location"])).raise_for_status()


@pytest.mark.cluster(alone=True)
async def test_an_api_server_that_stands_still_changes_nothing_and_is_caught_up_with(
    kind_cluster: KindCluster, site: ClusterSite
) -> None:
    node = f"{kind_cluster.name}-control-plane"
    server = (await run("docker", "exec", node, "pgrep", "-x", "kube-apiserver")).split()[0]
    await run("docker", "exec", node, "kill", "-STOP", server)
    try:
        await asyncio.to_thread(time.sleep, 20.0)  # the fault itself: longer than any lease of the controller's
    finally:
        await run("docker", "exec", node, "kill", "-CONT", server)

    async def leads() -> bool:
        return bool(await site.lease_holder()) and await site.watts() > 430_000.0

    await site.until(leads, "a leader again")
    assert (await site.metric("min_over_time(sum(asic_power_watts)[22s:1s])") or 0.0) > 415_000.0
    await site.set_price(SPIKE)
    await site.until_all_asleep()
