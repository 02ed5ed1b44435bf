"""A controller that is killed at any moment and made again from its record and the devices."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from orchestrator.domain.decision import BreachKind, OutcomeState
from orchestrator.domain.target import Target
from orchestrator.domain.work import JobPhase

if TYPE_CHECKING:
    from tests.controller.conftest import World, WorldOf

CHEAP, SPIKE = 20.0, 3000.0
OPEN = (OutcomeState.SENT, OutcomeState.ACKNOWLEDGED)


async def before_a_spike(world_of: WorldOf) -> World:
    world = world_of([CHEAP] * 4 + [SPIKE] * 4 + [CHEAP] * 4)
    world.submit("train", "bank", 8)
    for number in range(2):
        world.submit(f"batch-{number}", "lab", 8)
    await world.run(59.9)
    return world


async def check_the_rest_of_the_day(world: World) -> None:
    """Goes on to the end: power fell and rose, everything was counted once, nothing is left open."""
    await world.run(5)
    assert world.true_kw < 50.0
    await world.run(110, final=True)
    assert world.true_kw > 1400.0
    assert world.above_limit_s() == 0
    views = world.snapshot.jobs
    assert views["train"].view.starts == 1
    interruptions = 0
    for name in ("batch-0", "batch-1"):
        assert views[name].view.phase is JobPhase.RUNNING
        record = world.controller.job_record(name)
        assert record is not None
        assert record.interruptions == views[name].view.starts - 1
        interruptions += record.interruptions
    assert interruptions == world.driver.pauses == 2
    sums, counted = world.totals(), await world.counters_kwh()
    for account, kwh in counted.items():
        assert sums.energy_kwh[account] == pytest.approx(kwh, rel=1e-9)
    decisions = world.store.decisions(1000)
    for decision, outcomes in decisions:
        assert len(outcomes) == len(decision.actions), "every action has an end"
    assert [outcome for _, outcomes in decisions[1:] for outcome in outcomes if outcome.state in OPEN] == []


@pytest.mark.parametrize("ticks", [0, 1, 2, 3, 4, 5, 8])
async def test_killed_between_two_ticks_of_a_spike_it_goes_on_and_counts_nothing_twice(
    world_of: WorldOf, ticks: int
) -> None:
    world = await before_a_spike(world_of)
    for _ in range(ticks):
        world.now += timedelta(seconds=5)
        await world.tick()
    pending = [outcome.action_id for outcome in world.outcomes() if outcome.state in OPEN]
    world.restart()
    world.now += timedelta(seconds=5)
    await world.tick()
    ends = {outcome.action_id: outcome.state for outcome in world.outcomes()}
    assert {ends[action] for action in pending} <= {OutcomeState.SUPERSEDED}
    await check_the_rest_of_the_day(world)


@pytest.mark.parametrize("dies", ["before", "after"])
async def test_killed_between_a_decision_and_its_act_it_decides_again(
    world_of: WorldOf, killed: type[BaseException], dies: str
) -> None:
    world = await before_a_spike(world_of)
    world.driver.dies = dies
    world.now += timedelta(seconds=6)
    with pytest.raises(killed):
        await world.tick()
    decision, outcomes = world.store.decisions(1)[0]
    assert decision.price_usd_per_mwh == SPIKE
    assert outcomes == ()
    world.restart()
    world.now += timedelta(seconds=5)
    await world.tick()
    _, outcomes = next(pair for pair in world.store.decisions(10) if pair[0].id == decision.id)
    assert {outcome.state for outcome in outcomes} == {OutcomeState.SUPERSEDED}
    await check_the_rest_of_the_day(world)


async def test_killed_in_the_act_of_a_pause_the_interruption_is_counted_once(
    world_of: WorldOf, killed: type[BaseException]
) -> None:
    """The pauses go out first here: the fleets are refused until then."""
    world = await before_a_spike(world_of)
    world.driver.refuse = {Target.fleet("old"), Target.fleet("new")}
    world.now += timedelta(seconds=6)
    await world.tick()
    assert world.driver.pauses == 2
    world.driver.refuse = set()
    world.restart()
    await check_the_rest_of_the_day(world)


async def test_an_order_holds_on_over_a_restart(world_of: WorldOf) -> None:
    world = world_of([CHEAP] * 12)
    await world.run(30)
    await world.order(600.0, minutes=60)
    await world.run(10)
    world.restart()
    assert [order.id for order in world.controller.curtailments] == ["c-1"]
    await world.run(45)
    assert world.true_kw <= 600.0
    assert world.snapshot.limits.grid.source == "curtailment c-1"
    await world.run(20)
    assert world.true_kw > 1400.0
    assert world.above_limit_s() == 0


async def test_a_breach_that_was_open_is_the_same_breach_after_a_restart(world_of: WorldOf) -> None:
    world = world_of([CHEAP] * 12)
    await world.run(30)
    world.devices.silence("new/rack-1")
    await world.run(10)
    [before] = world.snapshot.breaches
    world.restart()
    await world.run(1)
    assert [breach.id for breach in world.snapshot.breaches if breach.kind is BreachKind.METER] == [before.id]


async def test_a_restart_after_an_hour_away_posts_the_energy_of_the_hour_at_its_prices(world_of: WorldOf) -> None:
    """Without a controller the lease runs out and the racks fall asleep; what they drew until then is posted."""
    world = world_of([20.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 80.0, 80.0])
    await world.run(30)
    world.now += timedelta(hours=1)
    world.devices.advance(world.now)
    assert world.true_kw < 50.0
    world.restart()
    await world.run(20, final=True)
    sums, counted = world.totals(), await world.counters_kwh()
    for account, kwh in counted.items():
        assert sums.energy_kwh[account] == pytest.approx(kwh, rel=1e-9)
    lines = world.store.ledger(world.now - timedelta(days=1), world.now)
    assert {line.price_usd_per_mwh for line in lines} == {20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0}
    assert all(line.cost_usd == pytest.approx(line.energy_kwh * line.price_usd_per_mwh / 1000.0) for line in lines)
    assert world.above_limit_s() == 0
