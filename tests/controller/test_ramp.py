"""No faster up or down than the site's ramp, but for a cap."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

from orchestrator.domain.decision import Direction

if TYPE_CHECKING:
    from orchestrator.domain.site.site import Site
    from tests.controller.conftest import World, WorldOf

CHEAP, SPIKE = 20.0, 3000.0
HALF = timedelta(minutes=30)
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


async def test_racks_that_fell_asleep_by_themselves_come_back_by_the_ramp_and_are_told_of(
    world_of: WorldOf, site: Site
) -> None:
    world = world_of([CHEAP] * 16, site=ramped(site))
    await world.run(30)
    assert world.true_kw > 1400.0
    world.now += timedelta(hours=1)
    world.devices.advance(world.now)
    assert world.true_kw < 50.0
    world.restart()
    drawn_kw = []
    for _ in range(15):
        await world.run(1)
        drawn_kw.append(world.true_kw)
    first, *_ = [decision for decision, _ in reversed(world.store.decisions(1000)) if decision.at >= world.now - HALF]
    assert {action.direction for action in first.actions} == {Direction.UP}, "nothing was on that could go down"
    assert max(later - earlier for earlier, later in pairwise([20.0, *drawn_kw])) <= UP + RACK_KW
    assert drawn_kw[-1] > 1400.0


async def test_without_a_ramp_they_are_woken_by_decisions_too(world_of: WorldOf) -> None:
    world = world_of([SPIKE] * 2 + [CHEAP] * 4 + [SPIKE] * 10)
    await world.run(60)
    assert world.true_kw > 1400.0
    world.now += timedelta(hours=1)
    world.devices.advance(world.now)
    world.restart()
    await world.run(10)
    assert world.true_kw < 50.0, "a price at which nothing is worth waking: the lease that is back wakes none"


async def test_agents_whose_lease_is_out_fall_asleep_one_after_the_other(world_of: WorldOf, site: Site) -> None:
    controls = replace(site.controls, lapse_over=timedelta(minutes=10))
    world = world_of([CHEAP] * 16, site=replace(site, controls=controls))
    await world.run(30)
    out_at = world.now + site.controls.lease
    drawn_kw = []
    for minutes in range(12):
        world.devices.advance(out_at + timedelta(minutes=minutes))
        drawn_kw.append(world.true_kw)
    falls = [earlier - later for earlier, later in pairwise(drawn_kw)]
    assert max(falls) < 0.6 * drawn_kw[0]
    assert sum(fall > RACK_KW / 2 for fall in falls) >= 3, "in several steps"
    assert drawn_kw[-1] < 50.0
