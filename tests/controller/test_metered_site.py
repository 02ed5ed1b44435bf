"""A site with meters in the closed loop: what they show is what caps, orders and the record go by."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from orchestrator.api import AskedOrder
from orchestrator.api.desk import DeskRefusalError
from orchestrator.domain.decision import BreachKind, Direction
from orchestrator.domain.observation import Metric, Telemetry
from orchestrator.domain.target import GRID_CONNECTION, Target
from orchestrator.observe.power_shares import power_shares
from orchestrator.runtime.orders import new_order
from tests.scenes import metered

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    from orchestrator.domain.site.site import Site
    from tests.controller.conftest import World, WorldOf

CHEAP = 20.0
EVERY = ("grid", "a", "b")


async def busy(world_of: WorldOf, site: Site, *meters: str) -> World:
    """As much as the caps let through, and a guaranteed job."""
    world = world_of([CHEAP] * 16, [30.0] * 96, site=metered(site, *meters))
    world.submit("train", "bank", 16)
    await world.run(60)
    return world


def downs_since(world: World, decisions: int) -> list[object]:
    new = world.store.decisions(1000)[: len(world.store.decisions(1000)) - decisions]
    return [action.move for decision, _ in new for action in decision.actions if action.direction is Direction.DOWN]


def everything(site: Site) -> list[str]:
    return [*(rack for _, rack in site.racks()), *(node for _, node in site.nodes())]


@pytest.mark.parametrize("share", [0.2, 1.0])
async def test_devices_that_fall_silent_behind_fresh_meters_cost_no_watt(
    world_of: WorldOf, site: Site, share: float
) -> None:
    world = await busy(world_of, site, *EVERY)
    before_kw, decisions = world.true_kw, len(world.store.decisions(1000))
    devices = everything(site)
    for device in devices[:: round(1 / share)]:
        world.devices.silence(device)
    await world.run(20)
    assert world.snapshot.silent_meters
    assert downs_since(world, decisions) == []
    assert world.true_kw == pytest.approx(before_kw, rel=0.02)
    assert world.above_limit_s() == 0.0
    assert {breach.kind for breach in world.snapshot.breaches} == {BreachKind.METER}


async def test_without_meters_the_same_silence_sheds(world_of: WorldOf, site: Site) -> None:
    world = await busy(world_of, site)
    decisions = len(world.store.decisions(1000))
    for device in everything(site):
        world.devices.silence(device)
    await world.run(20)
    assert downs_since(world, decisions)


async def test_an_order_in_the_middle_of_silence_is_kept_on_the_meter(world_of: WorldOf, site: Site) -> None:
    world = await busy(world_of, site, *EVERY)
    silent = [rack for fleet, rack in site.racks() if fleet.name == "old"]
    for rack in silent:
        world.devices.silence(rack)
    await world.run(5)
    limit_kw = world.true_kw * 0.6
    await world.order(limit_kw, minutes=30)
    await world.run(10)
    assert world.true_kw <= limit_kw
    assert world.snapshot.metered_kw(GRID_CONNECTION) == pytest.approx(world.true_kw, rel=0.01)
    assert world.phase("train").holds_gpus
    assert not [breach for breach in world.snapshot.breaches if breach.kind is BreachKind.CAP]


async def test_devices_that_say_too_little_do_not_take_the_site_above_its_cap(world_of: WorldOf, site: Site) -> None:
    """Every rack's exporter sums 93 % of its machines."""
    world = world_of([CHEAP] * 16, [30.0] * 96, site=metered(site, *EVERY))
    read = world.devices.read
    world.devices.read = lambda now: _short(read, now, 0.93)  # type: ignore[method-assign]
    await world.run(120)
    limit_kw = site.grid.limit_kw
    assert world.true_kw <= limit_kw * 1.005  # the meter itself may be off by half a percent
    assert world.true_kw > 0.9 * limit_kw
    assert world.above_limit_s() <= 60.0  # before the bias is known, once, until the meter shows it
    biases = {bias.of: bias.share for bias in world.snapshot.meters.biases}
    assert biases[Target.fleet("new")] == pytest.approx(1 / 0.93 - 1, abs=0.02)


async def _short(read: Callable[[datetime], Awaitable[Telemetry]], now: datetime, share: float) -> Telemetry:
    telemetry = await read(now)
    readings = {metric: dict(telemetry.readings(metric)) for metric in Metric}
    for rack, reading in readings[Metric.ASIC_POWER].items():
        assert reading.value is not None
        readings[Metric.ASIC_POWER][rack] = replace(reading, value=reading.value * share)
    return Telemetry.of(telemetry.at, readings)


async def test_the_record_and_a_shed_go_by_the_meter(world_of: WorldOf, site: Site) -> None:
    world = await busy(world_of, site, "grid", "a")
    world.devices.silence("new/rack-0")
    await world.run(5)
    snapshot = world.snapshot
    last = world.store.observations(world.now, world.now + timedelta(seconds=1))[-1]
    assert last.grid_kw == snapshot.meters.kw(GRID_CONNECTION)
    assert dict(last.feeder_kw)["a"] == snapshot.meters.kw(Target.feeder("a"))
    at_b = power_shares(snapshot).feeders["b"]
    assert dict(last.feeder_kw)["b"] == at_b.kw
    assert sum(kw for _, kw in last.feeder_kw) == pytest.approx(last.grid_kw, rel=0.01)
    asked = AskedOrder(
        at=GRID_CONNECTION,
        limit_kw=None,
        shed_kw=100.0,
        until=world.now + timedelta(hours=1),
        reason="EEA2",
        source="operator",
    )
    order = new_order(site, snapshot, asked, world.now)
    assert order.limit_kw == pytest.approx(last.grid_kw - 100.0)
    with pytest.raises(DeskRefusalError, match="no fresh reading"):
        new_order(site, snapshot, replace(asked, at=Target.feeder("b")), world.now)
