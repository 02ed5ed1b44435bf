"""Sheds of a metered site whose devices say nothing, the old, or what is not: the meter says what came of them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from orchestrator.domain.decision import BreachKind, Direction, Outcome, OutcomeState
from orchestrator.domain.observation import Metric, Quality, Reading, Telemetry
from tests.scenes import metered

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from orchestrator.domain.site.site import Site
    from tests.controller.conftest import World, WorldOf

CHEAP = 20.0


async def busy(world_of: WorldOf, site: Site) -> World:
    world = world_of([CHEAP] * 16, [30.0] * 96, site=metered(site, "grid"))
    world.submit("train", "bank", 16)
    await world.run(60)
    assert not world.controller.unsettled
    return world


def downs(world: World, since: datetime) -> list[Outcome]:
    """What came of the power-downs of fleets since then that nothing took the place of."""
    return [
        outcome
        for decision, outcomes in world.store.decisions(1000)
        if decision.at >= since
        for action, outcome in zip(decision.actions, outcomes, strict=True)
        if action.direction is Direction.DOWN
        and action.move.target.kind == "fleet"
        and outcome.state is not OutcomeState.SUPERSEDED
    ]


def through(world: World, change: Callable[[str, Reading], Reading]) -> None:
    """From now on racks' power is read as `change` has it."""
    read = world.devices.read

    async def changed(now: datetime) -> Telemetry:
        telemetry = await read(now)
        readings = {metric: dict(telemetry.readings(metric)) for metric in Metric}
        powers = readings[Metric.ASIC_POWER]
        readings[Metric.ASIC_POWER] = {rack: change(rack, reading) for rack, reading in powers.items()}
        return Telemetry.of(telemetry.at, readings)

    world.devices.read = changed  # type: ignore[method-assign]


@pytest.mark.parametrize("every", [1, 2])
async def test_a_shed_while_exporters_die_is_proven_by_the_meter_in_time(
    world_of: WorldOf, site: Site, every: int
) -> None:
    world = await busy(world_of, site)
    limit_kw, ordered_at = world.true_kw * 0.5, world.now
    await world.order(limit_kw, minutes=30)
    for _, rack in list(site.racks())[::every]:
        world.devices.silence(rack)
    await world.run(3)
    outcomes = downs(world, ordered_at)
    assert outcomes
    assert {outcome.state for outcome in outcomes} == {OutcomeState.MEASURED}
    for outcome in outcomes:
        assert outcome.sent_at is not None
        assert outcome.measured_at is not None
        assert outcome.measured_at - outcome.sent_at <= site.controls.down_within
    await world.run(10)
    assert world.true_kw <= limit_kw
    assert {breach.kind for breach in world.snapshot.breaches} <= {BreachKind.METER}
    assert not [rack for status in world.snapshot.fleets.values() for rack in status.stuck]


async def test_a_shed_that_devices_with_frozen_power_do_not_show_is_proven_by_the_meter(
    world_of: WorldOf, site: Site
) -> None:
    world = await busy(world_of, site)
    frozen = dict((await world.devices.read(world.now)).readings(Metric.ASIC_POWER))
    through(world, lambda rack, reading: replace(reading, value=frozen[rack].value))
    ordered_at = world.now
    await world.order(world.true_kw * 0.5, minutes=30)
    await world.run(1)
    outcomes = downs(world, ordered_at)
    assert outcomes
    assert {outcome.state for outcome in outcomes} == {OutcomeState.MEASURED}
    assert all("the meter of grid connection leaves" in outcome.detail for outcome in outcomes)


async def test_a_shed_that_devices_only_claim_is_a_breach_with_what_the_meter_says(
    world_of: WorldOf, site: Site
) -> None:
    """Racks hang at full power, and their exporters serve what was asked of them."""
    world = await busy(world_of, site)
    for _, rack in site.racks():
        world.devices.hang(rack)

    def claimed(rack: str, reading: Reading) -> Reading:
        name = rack.partition("/")[0]
        mode = world.devices._fleet_view(name).rack_modes[rack]
        watts = site.fleet(name).rack_kw(mode) * 1000.0
        return Reading(watts, reading.unit, world.now, Quality.FRESH)

    through(world, claimed)
    limit_kw, ordered_at = world.true_kw * 0.5, world.now
    await world.order(limit_kw, minutes=30)
    await world.run(2)
    assert world.true_kw > limit_kw
    outcomes = downs(world, ordered_at)
    assert outcomes
    assert all(outcome.state is OutcomeState.LATE for outcome in outcomes)
    assert all("its devices say" in outcome.detail and "leaves" in outcome.detail for outcome in outcomes)
    kinds = {breach.kind for breach in world.snapshot.breaches}
    assert {BreachKind.SHED, BreachKind.CAP} <= kinds
