"""Two replicas over one Postgres on a real cluster, beside the site of tests/e2e/test_cluster.py."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.cluster_site import CALM, FLEETS, GUARANTEED, SPIKE, Images, installed, named

if TYPE_CHECKING:
    from tests.cluster.kind_cluster import KindCluster

pytestmark = pytest.mark.cluster


async def test_the_standby_takes_over_in_mid_action_and_forgets_nothing(
    kind_cluster: KindCluster, site_images: Images, tmp_path: Path
) -> None:
    images = site_images
    postgres = {"enabled": True, "image": named(images.postgres), "runAsUser": images.postgres_user}
    more = {"controller": {"replicas": 2}, "postgres": postgres}
    async with installed(kind_cluster, images, tmp_path, more) as site:
        await site.until_all_run()
        before = (await site.ask("/api/v1/decisions?limit=50"))["decisions"]
        first = await site.leader()
        await site.set_price(SPIKE)

        async def a_fleet_has_moved() -> bool:
            return any(count < 4 for count in (await site.replicas()).values())

        await site.until(a_fleet_has_moved, "the first fleet to move")
        pods = (await site.kubectl("get", "pods", "-o", "name")).split()
        await site.kubectl("delete", "pod", first, "--grace-period=0", "--force", "--wait=false")

        async def another_leads() -> bool:
            return await site.lease_holder() not in ("", first)

        await site.until(another_leads, "the standby to take over")
        assert f"pod/{await site.lease_holder()}" in pods, "who stood by, not a pod that was made since"
        await site.until_all_asleep()

        async def console_is_back() -> bool:
            return await site.leader() not in ("", first)

        await site.until(console_is_back, "the new leader's label")
        after = (await site.ask("/api/v1/decisions?limit=50"))["decisions"]
        assert {decision["id"] for decision in before} <= {decision["id"] for decision in after}
        downs = [note for note in await site.events("PowerDown") if "2500 USD/MWh" in note]
        assert len(downs) == len(FLEETS)  # each fleet was lowered, and once
        assert await site.starts(GUARANTEED) == 1

        await site.set_price(CALM)
        await site.until_all_run()
