"""Power at work: one figure on record, in the metrics and at /readyz, whatever falls silent; holds as they pass."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest
from prometheus_client.parser import text_string_to_metric_families

from orchestrator.api.exposition import exposition
from orchestrator.domain.target import GRID_CONNECTION, Target
from orchestrator.domain.unread import Basis
from orchestrator.explain.hold_words import hold_text
from orchestrator.observe.power_shares import power_shares
from orchestrator.runtime.readiness import of_site
from tests.scenes import metered

if TYPE_CHECKING:
    from orchestrator.domain.site.site import Site
    from tests.controller.conftest import World, WorldOf

CHEAP, SPIKE = 20.0, 3000.0
ZONE = ZoneInfo("America/Chicago")


def silence_all(world: World) -> None:
    for subject in (*(rack for _, rack in world.site.racks()), *(node for _, node in world.site.nodes())):
        world.devices.silence(subject)


def telemetry_of(world: World) -> str:
    """What /readyz says of telemetry."""
    checks = of_site(world.snapshot, 0.0, 60.0, ZONE, synced=True)
    return next(check.detail for check in checks if check.name == "telemetry")


def check_one_figure(world: World) -> None:
    """What is shown, recorded and exported is one figure, and the sum of what is measured and assumed."""
    snapshot = world.snapshot
    shares = power_shares(snapshot)
    for share in (shares.grid, *shares.feeders.values(), *shares.fleets.values(), *shares.pools.values()):
        assert share.measured_kw + share.assumed_kw == pytest.approx(share.kw)
        assert -1e-6 <= share.assumed_kw <= share.kw + 1e-6
    fresh_kw = sum(reading.value or 0.0 for status in snapshot.fleets.values() for reading in status.readings.values())
    assert sum(share.measured_kw for share in shares.fleets.values()) == pytest.approx(fresh_kw / 1000.0, abs=1e-6)
    recorded = world.store.observations(world.now, world.now + timedelta(seconds=1))[-1]
    assert recorded.grid_kw == pytest.approx(shares.grid.kw)
    uses_kw = recorded.mining_kw + recorded.hpc_kw + recorded.overhead_kw
    assert uses_kw + shares.residual_kw == pytest.approx(recorded.grid_kw)
    assert dict(recorded.feeder_kw) == pytest.approx({name: share.kw for name, share in shares.feeders.items()})
    page = bytes(exposition(world.metrics.registry, "").body).decode()
    exported = {
        (sample.name, sample.labels.get("feeder", "")): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }
    assert exported["wattshift_power_assumed_watts", ""] == pytest.approx(shares.grid.assumed_kw * 1000.0)
    if ("wattshift_grid_power_watts", "") in exported:
        assert exported["wattshift_grid_power_watts", ""] == pytest.approx(shares.grid.kw * 1000.0)
    for name, share in shares.feeders.items():
        assert exported["wattshift_feeder_power_assumed_watts", name] == pytest.approx(share.assumed_kw * 1000.0)


@pytest.mark.parametrize("meters", [(), ("grid",), ("a", "b"), ("grid", "a", "b")])
async def test_the_figure_is_one_through_silence_an_order_and_waking(
    world_of: WorldOf, site: Site, meters: tuple[str, ...]
) -> None:
    world = world_of([SPIKE] * 2 + [CHEAP] * 14, site=metered(site, *meters))
    world.submit("train", "bank", 16)
    for _ in range(34):
        await world.run(1)
        check_one_figure(world)
    world.devices.silence("new/rack-0")
    world.devices.silence("h100-node-0")
    for _ in range(4):
        await world.run(1)
        check_one_figure(world)
    share = power_shares(world.snapshot).grid
    assert (share.silent_racks, share.silent_nodes) == (1, 1)
    assert share.kw == pytest.approx(world.true_kw, rel=0.03), "what is assumed is what is drawn, about"
    await world.order(900.0, minutes=10.0)
    for _ in range(4):
        await world.run(1)
        check_one_figure(world)
    decision = next(made for made, _ in world.store.decisions(50) if made.trigger == "curtailment")
    seen = world.store.observations(decision.at, decision.at + timedelta(seconds=1))
    assert decision.measured_kw == pytest.approx(seen[0].grid_kw)
    silence_all(world)
    for _ in range(20):
        await world.run(1)
        check_one_figure(world)


async def test_a_dark_site_says_since_when_until_when_and_what_then(world_of: WorldOf) -> None:
    world = world_of([CHEAP] * 16)
    world.submit("train", "bank", 16)
    await world.run(30)
    assert not world.snapshot.holds
    assert telemetry_of(world) == "all devices answer"
    silence_all(world)
    await world.run(5)
    (hold,) = world.snapshot.holds
    assert hold.of == GRID_CONNECTION
    assert hold.until == hold.since + world.site.stale.telemetry_hold
    assert hold.safe is not None
    assert hold.safe.cap_kw is None
    promised_kw, reached_at = hold.safe.kw, hold.safe.reached_at
    text = hold_text(hold, world.now, ZONE)
    assert text.startswith("site held on its setpoints since 00:3")
    assert text in telemetry_of(world)
    assert set(power_shares(world.snapshot).grid.assumed) == {Basis.TRUST, Basis.JOBS}
    assert hold.until is not None
    await world.run((hold.until - world.now) / timedelta(minutes=1) + 2)
    (closing,) = world.snapshot.holds
    assert closing.safe is not None
    assert closing.safe.cap_kw == world.snapshot.limits.grid.limit_kw
    assert promised_kw < closing.safe.cap_kw < world.site.grid.limit_kw
    assert f"{hold_text(closing, world.now, ZONE)}" in telemetry_of(world)
    await world.run((reached_at - world.now) / timedelta(minutes=1))
    assert world.snapshot.limits.grid.limit_kw == pytest.approx(promised_kw, rel=0.01), "as it was said"


async def test_a_dark_site_with_a_fresh_meter_is_held_without_an_end(world_of: WorldOf, site: Site) -> None:
    world = world_of([CHEAP] * 16, site=metered(site, "grid"))
    await world.run(30)
    silence_all(world)
    await world.run(25)
    (hold,) = world.snapshot.holds
    assert (hold.until, hold.safe) == (None, None)
    assert hold_text(hold, world.now, ZONE).endswith("as long as its meter is fresh")


async def test_a_dark_fleet_is_held_by_itself_and_for_its_time_only(world_of: WorldOf) -> None:
    world = world_of([CHEAP] * 16)
    await world.run(30)
    for rack in world.site.fleets[0].rack_names():
        world.devices.silence(rack)
    await world.run(4)
    assert [hold.of for hold in world.snapshot.holds] == [Target.fleet("old")]
    await world.run(20)
    assert world.snapshot.holds == ()
