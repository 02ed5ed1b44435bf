"""No faster up or down than the site's ramp, but for a cap."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from orchestrator.domain.decision import Direction

if TYPE_CHECKING:
    from orchestrator.domain.site import Site
    from tests.controller.conftest import World, WorldOf

CHEAP, SPIKE = 20.0, 3000.0
UP, DOWN = 300.0, 200.0
RACK_KW = 1.1 * 200.0
"""The greatest rack, at the grid."""


def ramped(site: Site) -> Site:
    return replace(site, grid=replace(site.grid, ramp_up_kw_per_min=UP, ramp_down_kw_per_min=DOWN))


def most_in_a_minute(world: World, direction: Direction) -> float:
    """kW asked for, in the worst minute, as decided and accepted."""
    asked = [
        (decision.at, abs(action.change_kw))
        for decision, _ in world.store.decisions(1000)
        for action in decision.actions
        if action.direction is direction
    ]
    return max((_asked_from(asked, start) for start, _ in asked), default=0.0)


def _asked_from(asked: list[tuple[datetime, float]], start: datetime) -> float:
    return sum(kw for at, kw in asked if start <= at < start + timedelta(minutes=1))


async def test_power_goes_up_no_faster_than_the_ramp_and_all_the_way(world_of: WorldOf, site: Site) -> None:
    world = world_of([CHEAP] * 8, site=ramped(site))
    await world.run(20)
    assert world.true_kw > 1400.0
    assert 0.0 < most_in_a_minute(world, Direction.UP) <= UP + RACK_KW


async def test_a_price_brings_power_down_by_the_ramp_and_an_order_at_once(world_of: WorldOf, site: Site) -> None:
    world = world_of([CHEAP] * 2 + [SPIKE] * 2 + [CHEAP] * 8, site=ramped(site))
    await world.run(30)
    await world.run(3)
    assert 500.0 < world.true_kw < 1300.0, "under way"
    assert 0.0 < most_in_a_minute(world, Direction.DOWN) <= DOWN + RACK_KW
    await world.run(12)
    assert (world.awake("old"), world.awake("new")) == (0, 0)
    await world.run(40)
    assert world.true_kw > 1400.0
    await world.order(500.0)
    await world.run(1)
    assert world.true_kw <= 500.0
