"""Meters that fall silent: a source that is down is no site that draws nameplate, and silence proves nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from orchestrator.domain.decision import BreachKind, Direction, Outcome, OutcomeState
from orchestrator.domain.observation import Metric, Telemetry
from orchestrator.domain.site.machines import SLEEP
from orchestrator.domain.target import Target
from orchestrator.domain.work import JobPhase

if TYPE_CHECKING:
    from orchestrator.domain.site.site import Site
    from tests.controller.conftest import World, WorldOf

CHEAP, SPIKE = 20.0, 3000.0


def subjects(world: World) -> list[str]:
    return [*(rack for _, rack in world.site.racks()), *(node for _, node in world.site.nodes())]


def go_blind(world: World) -> None:
    for subject in subjects(world):
        world.devices.silence(subject)


def see_again(world: World) -> None:
    for subject in subjects(world):
        world.devices.unsilence(subject)


def outcomes_of(world: World, target: Target, direction: Direction) -> list[Outcome]:
    return [
        outcome
        for decision, outcomes in world.store.decisions(1000)
        for action in decision.actions
        if action.move.target == target and action.direction is direction
        for outcome in outcomes
        if outcome.action_id == action.id
    ]


def shed_owed(world: World) -> list[str]:
    return [breach.subject for breach in world.snapshot.breaches if breach.kind is BreachKind.SHED]


async def test_a_source_that_is_down_for_a_quarter_of_an_hour_moves_nothing(world_of: WorldOf) -> None:
    world = world_of([CHEAP] * 12)
    world.submit("train", "bank", 16)
    world.submit("flex", "flux", 8)
    await world.run(30)
    drawn_kw, asked = world.true_kw, len(world.driver.asked)
    assert drawn_kw > 1400.0
    go_blind(world)
    await world.run(14)
    assert world.driver.asked[asked:] == []
    assert world.true_kw == pytest.approx(drawn_kw, rel=0.01)
    assert world.snapshot.power.grid_kw == pytest.approx(drawn_kw, rel=0.05), "what the setpoints allow"
    see_again(world)
    await world.run(10)
    assert world.driver.asked[asked:] == []
    assert {job.view.starts for job in world.snapshot.jobs.values()} == {1}
    assert world.above_limit_s() == 0


async def test_nothing_goes_up_while_the_source_is_down(world_of: WorldOf) -> None:
    world = world_of([SPIKE] * 2 + [CHEAP] * 10)
    await world.run(20)
    assert (world.awake("old"), world.awake("new")) == (0, 0)
    go_blind(world)
    await world.run(14)
    assert (world.awake("old"), world.awake("new")) == (0, 0)
    assert world.snapshot.power.grid_kw < 60.0, "asleep stays asleep"
    see_again(world)
    await world.run(20)
    assert world.true_kw > 1400.0


async def test_an_order_amid_silence_is_kept_by_setpoints_and_owed_until_it_is_seen(world_of: WorldOf) -> None:
    world = world_of([CHEAP] * 12)
    world.submit("train", "bank", 16)
    await world.run(30)
    go_blind(world)
    await world.run(3)
    await world.order(900.0, minutes=30.0)
    await world.run(4)
    assert 600.0 < world.true_kw <= 900.0, "kept, and no more is shed than it takes"
    downs = [o for fleet in ("old", "new") for o in outcomes_of(world, Target.fleet(fleet), Direction.DOWN)]
    assert {outcome.state for outcome in downs} == {OutcomeState.LATE}
    assert shed_owed(world)
    asked = len(world.driver.asked)
    await world.run(5)
    assert world.driver.asked[asked:] == [], "what nobody sees is owed, not asked of others"
    see_again(world)
    await world.run(2)
    assert shed_owed(world) == []
    assert world.true_kw <= 900.0
    assert world.snapshot.jobs["train"].view.starts == 1
    await world.run(60)
    assert world.true_kw > 1400.0, "the order is over"


async def test_an_exporter_that_dies_while_racks_wake_proves_nothing(world_of: WorldOf) -> None:
    world = world_of([SPIKE] * 2 + [CHEAP] * 10)
    await world.run(29.9)
    for _, rack in world.site.racks():
        world.devices.silence(rack)
    await world.run(0.5)
    assert world.driver.asked, "woken on readings that were fresh yet"
    await world.run(2)
    ups = [o for fleet in ("old", "new") for o in outcomes_of(world, Target.fleet(fleet), Direction.UP)]
    assert ups
    assert OutcomeState.MEASURED not in {outcome.state for outcome in ups}
    recorded = world.store.observations(world.now - timedelta(minutes=2), world.now)
    assert min(seen.grid_kw for seen in recorded) > 0.9 * world.true_kw, "no record of a site asleep"


async def test_a_site_that_stays_dark_is_made_safe_step_by_step_and_what_is_guaranteed_goes_on(
    world_of: WorldOf,
) -> None:
    world = world_of([CHEAP] * 16)
    world.submit("train", "bank", 16)
    world.submit("flex", "flux", 8)
    await world.run(30)
    go_blind(world)
    await world.run(16)
    drawn_kw = [world.true_kw]
    for _ in range(14):
        await world.run(1)
        drawn_kw.append(world.true_kw)
    assert drawn_kw[0] > 1400.0, "the hold lasts for a quarter of an hour from when it is noticed"
    falls = [earlier - later for earlier, later in pairwise(drawn_kw)]
    assert max(falls) < 0.35 * drawn_kw[0], "not all at once"
    assert (world.awake("old"), world.awake("new")) == (0, 0)
    assert world.phase("flex") is JobPhase.PAUSED
    assert world.phase("train") is JobPhase.RUNNING
    assert world.snapshot.pools["h100"].gpu_limit_w == 700.0
    assert world.snapshot.jobs["train"].view.starts == 1
    see_again(world)
    await world.run(40)
    assert world.true_kw > 1400.0, "it ends by itself"
    assert world.phase("flex") is JobPhase.RUNNING


async def test_a_stated_safe_power_is_what_a_dark_site_is_brought_to(world_of: WorldOf, site: Site) -> None:
    stale = replace(site.stale, telemetry_hold=timedelta(minutes=5), telemetry_safe_kw=800.0)
    world = world_of([CHEAP] * 16, site=replace(site, stale=stale))
    await world.run(30)
    go_blind(world)
    await world.run(5)
    assert world.true_kw > 1400.0
    await world.run(20)
    assert 550.0 < world.true_kw <= 800.0


async def test_a_spike_amid_silence_puts_all_to_sleep_and_is_owed_until_it_is_seen(world_of: WorldOf) -> None:
    world = world_of([CHEAP] * 2 + [SPIKE] * 2 + [CHEAP] * 8)
    world.submit("train", "bank", 16)
    await world.run(27)
    go_blind(world)
    await world.run(10)
    assert (world.awake("old"), world.awake("new")) == (0, 0)
    assert world.true_kw < 60.0
    assert world.phase("train") is JobPhase.RUNNING
    downs = [o for fleet in ("old", "new") for o in outcomes_of(world, Target.fleet(fleet), Direction.DOWN)]
    assert {outcome.state for outcome in downs} == {OutcomeState.LATE}
    assert sorted(shed_owed(world)) == ["fleet/new", "fleet/old"]
    see_again(world)
    await world.run(2)
    assert shed_owed(world) == []


async def test_a_controller_that_starts_in_the_dark_goes_by_what_was_accepted(world_of: WorldOf) -> None:
    """At nameplate, since it has never seen how much less is drawn: 3 % at most are shed for the cap."""
    world = world_of([CHEAP] * 12)
    world.submit("flex", "flux", 8)
    await world.run(25)
    drawn_kw = world.true_kw
    go_blind(world)
    await world.run(1)
    world.restart()
    await world.run(8)
    assert (world.awake("old"), world.awake("new")) == (4, 4)
    assert drawn_kw * 0.93 < world.true_kw <= drawn_kw
    assert world.phase("flex") is JobPhase.RUNNING
    see_again(world)
    await world.run(15)
    assert world.true_kw > drawn_kw * 0.97
    assert world.snapshot.jobs["flex"].view.starts == 1


async def test_a_rack_that_is_silent_asleep_counts_as_asleep(world_of: WorldOf) -> None:
    """At nameplate it would take the room of one that is awake."""
    world = world_of([CHEAP] * 12)
    await world.run(25)
    await world.order(700.0, minutes=120.0)
    await world.run(20)
    modes = world.snapshot.fleets["old"].view.rack_modes
    asleep = [rack for rack, mode in modes.items() if mode == SLEEP]
    drawn_kw, asked = world.true_kw, len(world.driver.asked)
    assert len(asleep) >= 2
    world.devices.silence(asleep[0])
    await world.run(30)
    assert world.driver.asked[asked:] == []
    assert world.true_kw == pytest.approx(drawn_kw, rel=0.01)
    assert world.snapshot.power.grid_kw == pytest.approx(drawn_kw, rel=0.02)


async def test_a_rack_that_did_not_follow_when_it_was_last_read_counts_at_nameplate_while_silent(
    world_of: WorldOf,
) -> None:
    world = world_of([CHEAP] * 12)
    await world.run(25)
    doors, stuck = world.controller.doors, "new/rack-3"
    frozen = (await world.devices.read(world.now)).get(Metric.ASIC_POWER, stuck)

    class Defiant:
        """Its meter shows that it draws on, until it shows nothing at all."""

        shows = True

        async def read(self, now: datetime) -> Telemetry:
            telemetry = await world.devices.read(now)
            readings = {metric: dict(telemetry.readings(metric)) for metric in Metric}
            del readings[Metric.ASIC_POWER][stuck]
            if self.shows:
                readings[Metric.ASIC_POWER][stuck] = replace(frozen, at=now)
            return Telemetry.of(telemetry.at, readings)

    meters = Defiant()
    world.controller.doors = replace(doors, metrics=meters)
    await world.order(100.0, minutes=120.0)
    await world.run(3)
    assert world.snapshot.fleets["new"].stuck == {stuck}
    meters.shows = False
    await world.run(10)
    status = world.snapshot.fleets["new"]
    assert status.stuck == status.silent == frozenset({stuck})
    assert status.unmoved_kw == 200.0
