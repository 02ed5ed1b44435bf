"""The driver while its way to the API server is cut, closed or silent."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from orchestrator.adapters.workloads.kubernetes.api import DEPLOYMENTS, ClusterApi
from orchestrator.domain.decision import SetFleet
from orchestrator.domain.rack_mix import RackMix
from orchestrator.domain.site.machines import SLEEP
from tests.cluster.objects import deployment
from tests.cluster.proxy import Proxy, proxy_to
from tests.cluster.world import World, eventually, fleet, moved, refused, until_view, view

pytestmark = pytest.mark.cluster

ANSWER_WITHIN_S = 60.0
"""Of a move that cannot be written: requests are given 10 s each; generous, since the machine may be busy."""


@pytest.fixture
async def proxy(world: World) -> AsyncIterator[Proxy]:
    async with proxy_to((await world.cluster.configuration()).host) as proxy:
        yield proxy


@pytest.fixture
async def far_api(world: World, proxy: Proxy) -> AsyncIterator[ClusterApi]:
    """Access through the proxy."""
    api = await world.cluster.api(world.api.namespace, proxy.url)
    yield api
    await api.close()


async def in_step(world: World) -> bool:
    document = await world.api.get(DEPLOYMENTS, "s21")
    racks = (await world.setpoints())["racks"].values()
    return document is not None and document["spec"]["replicas"] == sum(mode != SLEEP for mode in racks)


async def test_watches_that_are_cut_go_on_where_they_were(world: World, proxy: Proxy, far_api: ClusterApi) -> None:
    await world.api.create(DEPLOYMENTS, deployment("s21"))
    async with world.driver(far_api) as driver:
        await moved(driver, SetFleet("s21", RackMix({"normal": 3})))
        await world.until_tended("s21", 3)
        listed = driver.listed
        await proxy.cut()
        await until_view(driver, lambda seen: not seen.synced)
        await world.kubectl("scale", "deployment", "s21", "--replicas=2")
        seen = await until_view(driver, lambda seen: seen.synced and seen.fleets["s21"].racks.awake == 2)
        assert seen.fleets["s21"].racks.awake == 2
        assert driver.listed == listed, "nothing was listed anew"
        await world.until_tended("s21", 2)


async def test_without_a_server_the_view_is_unsynced_and_moves_are_refused(
    world: World, proxy: Proxy, far_api: ClusterApi
) -> None:
    await world.api.create(DEPLOYMENTS, deployment("s21"))
    async with world.driver(far_api) as driver:
        await moved(driver, SetFleet("s21", RackMix({"normal": 2, SLEEP: 1})))
        await proxy.close()
        seen = await until_view(driver, lambda seen: not seen.synced)
        assert seen.fleets["s21"].racks.awake == 2, "what was last known stays in view"
        async with asyncio.timeout(ANSWER_WITHIN_S):
            assert await refused(driver, SetFleet("s21", RackMix({"normal": 1, SLEEP: 2})))
        await world.kubectl("scale", "deployment", "s21", "--replicas=3")
        assert not (await view(driver)).synced
        await proxy.listen()
        await until_view(driver, lambda seen: seen.synced and seen.fleets["s21"].racks.awake == 3)
        await moved(driver, SetFleet("s21", RackMix({"normal": 1, SLEEP: 2})))
        await world.until_tended("s21", 1)


async def test_a_silent_server_has_moves_refused_in_time_and_all_comes_in_step(
    world: World, proxy: Proxy, far_api: ClusterApi
) -> None:
    await world.api.create(DEPLOYMENTS, deployment("s21"))
    async with world.driver(far_api) as driver:
        await moved(driver, SetFleet("s21", RackMix({"normal": 3})))
        await world.until_tended("s21", 3)
        proxy.freeze()
        async with asyncio.timeout(ANSWER_WITHIN_S):
            why = await refused(driver, SetFleet("s21", RackMix({"normal": 1, SLEEP: 2})))
        assert "fleet/s21" in why
        assert (await fleet(driver)).racks.awake == 3, "a move that was refused is not in view"
        proxy.thaw()
        # What had been sent may be carried out late. Whatever was: setpoints and pods agree in the end.
        await until_view(driver, lambda seen: seen.synced)
        await eventually(lambda: in_step(world), lambda: "setpoints and replicas disagree")
        await moved(driver, SetFleet("s21", RackMix({"normal": 2, SLEEP: 1})))
        await world.until_tended("s21", 2)
