"""The closed loop on a real cluster: the chart's mock site, a real Prometheus, and what goes wrong at a site."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from orchestrator.adapters.workloads.kubernetes.api import DEPLOYMENTS
from tests.cluster.kind_cluster import run
from tests.e2e.cluster_site import CALM, FLEETS, NAME, SPIKE, ClusterSite, Images, installed, named

if TYPE_CHECKING:
    from tests.cluster.kind_cluster import KindCluster

GUARANTEED, FLEXIBLE, BEST_EFFORT = (f"{NAME}-{tenant}" for tenant in ("aurora-bio", "lumen-ai", "campus-lab"))


@pytest.fixture
async def no_site_left(kind_cluster: KindCluster) -> None:
    """The machine is small: the site of the test before goes before the next one comes."""

    async def gone() -> bool:
        return "site-" not in await kind_cluster.kubectl("get", "namespaces", "-o", "name")

    deadline = time.monotonic() + 180.0
    while not await gone():
        assert time.monotonic() < deadline, "a namespace of the test before does not go"
        await asyncio.sleep(0.5)


pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("no_site_left")]


async def running(site: ClusterSite, job: str) -> bool:
    return not (await site.jobs())[job]["spec"].get("suspend") and bool(
        (await site.jobs())[job]["status"].get("active")
    )


async def all_run(site: ClusterSite) -> None:
    await site.until_all_awake()
    for job in (GUARANTEED, FLEXIBLE, BEST_EFFORT):

        async def runs(job: str = job) -> bool:
            return await running(site, job)

        await site.until(runs, f"job {job} to run")


async def test_a_spike_moves_power_keeps_promises_and_all_comes_back(
    kind_cluster: KindCluster, site_images: Images, tmp_path: Path
) -> None:
    async with installed(kind_cluster, site_images, tmp_path) as site:
        await all_run(site)
        drawn_w = await site.watts()

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
            assert await running(site, kept)
            assert jobs[kept]["metadata"]["annotations"]["wattshift.dev/starts"] == "1"
        assert any("2500 USD/MWh" in note for note in await site.events("PowerDown"))
        assert any("2500 USD/MWh" in note for note in await site.events("JobPaused"))
        for fleet in FLEETS:
            annotations = json.loads(
                await site.kubectl("get", f"deployment/{NAME}-mining-{fleet}", "-o", "jsonpath={.metadata.annotations}")
            )
            assert json.loads(annotations["wattshift.dev/before"])["replicas"] == 4

        await site.set_price(CALM)
        await all_run(site)
        assert abs(await site.watts() / drawn_w - 1.0) < 0.05
        resumed = (await site.jobs())[BEST_EFFORT]
        assert resumed["metadata"]["annotations"]["wattshift.dev/starts"] == "2"
        assert float(resumed["metadata"]["annotations"]["wattshift.dev/elapsed-seconds"]) > 1.0
        assert await site.metric(f'hpc_job_progress_gpu_seconds{{job="{BEST_EFFORT}"}}') is not None
        breaches = (await site.ask("/api/v1/breaches"))["breaches"]
        assert [breach for breach in breaches if breach["kind"] in ("cap_exceeded", "guaranteed_job_interrupted")] == []


async def test_the_standby_takes_over_in_mid_action_and_forgets_nothing(
    kind_cluster: KindCluster, site_images: Images, tmp_path: Path
) -> None:
    images = site_images
    postgres = {"enabled": True, "image": named(images.postgres), "runAsUser": images.postgres_user}
    more = {"controller": {"replicas": 2}, "postgres": postgres}
    async with installed(kind_cluster, images, tmp_path, more) as site:
        await all_run(site)
        before = (await site.ask("/api/v1/decisions?limit=50"))["decisions"]
        first = await site.leader()
        await site.set_price(SPIKE)

        async def a_fleet_has_moved() -> bool:
            return any(count < 4 for count in (await site.replicas()).values())

        await site.until(a_fleet_has_moved, "the first fleet to move")
        await site.kubectl("delete", "pod", first, "--grace-period=0", "--force", "--wait=false")

        async def another_leads() -> bool:
            return await site.lease_holder() not in ("", first)

        took_s = await site.until(another_leads, "the standby to take over", within_s=60.0)
        assert took_s < 15.0
        await site.until_all_asleep()

        async def console_is_back() -> bool:
            return await site.leader() not in ("", first)

        await site.until(console_is_back, "the new leader's label")
        after = (await site.ask("/api/v1/decisions?limit=50"))["decisions"]
        assert {decision["id"] for decision in before} <= {decision["id"] for decision in after}
        downs = [note for note in await site.events("PowerDown") if "2500 USD/MWh" in note]
        assert len(downs) == len(FLEETS)  # each fleet was lowered, and once
        assert (await site.jobs())[GUARANTEED]["metadata"]["annotations"]["wattshift.dev/starts"] == "1"

        await site.set_price(CALM)
        await all_run(site)


async def test_an_api_server_that_stands_still_changes_nothing_and_is_caught_up_with(
    kind_cluster: KindCluster, site_images: Images, tmp_path: Path
) -> None:
    async with installed(kind_cluster, site_images, tmp_path) as site:
        await all_run(site)
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


async def test_without_a_nodes_kubelet_watts_fall_by_the_setpoints(
    kind_cluster: KindCluster, site_images: Images, tmp_path: Path
) -> None:
    async with installed(kind_cluster, site_images, tmp_path) as site:
        await all_run(site)
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
                assert await running(site, GUARANTEED)
            finally:
                await run("docker", "exec", node, "systemctl", "start", "kubelet")

        async def pods_are_gone() -> bool:
            names = (await site.kubectl("get", "pods", "-l", "wattshift.dev/fleet", "-o", "name")).split()
            return len(names) == sum((await site.replicas()).values())

        await site.until(pods_are_gone, "the pods to go")


async def test_without_prometheus_nothing_is_taken_for_granted(
    kind_cluster: KindCluster, site_images: Images, tmp_path: Path
) -> None:
    async with installed(kind_cluster, site_images, tmp_path) as site:
        await all_run(site)
        scale = {"spec": {"replicas": 0}}
        await site.api.patch(DEPLOYMENTS, f"{NAME}-prometheus", scale, part="scale")

        async def meters_are_silent() -> bool:
            state = await site.ask("/api/v1/state")
            stale = state["observed"]["stale"]
            return len([name for name in stale if name.startswith("rack ")]) == 12

        await site.until(meters_are_silent, "silent meters")
        observed = (await site.ask("/api/v1/state"))["observed"]
        assert observed["grid"]["power_kw"] > observed["measured_kw"] or observed["grid"]["power_kw"] > 400.0
        assert await running(site, GUARANTEED)
        scale["spec"]["replicas"] = 1
        await site.api.patch(DEPLOYMENTS, f"{NAME}-prometheus", scale, part="scale")

        async def meters_answer() -> bool:
            return not [name for name in (await site.ask("/api/v1/state"))["observed"]["stale"] if "rack" in name]

        await site.until(meters_answer, "meters that answer")
        await site.until_all_awake()


async def test_an_operator_scales_by_hand_and_holds(
    kind_cluster: KindCluster, site_images: Images, tmp_path: Path
) -> None:
    async with installed(kind_cluster, site_images, tmp_path) as site:
        await all_run(site)
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
