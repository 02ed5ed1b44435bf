"""The whole loop on simulated devices: prices and orders in, measured watts out."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.domain.decision import Direction, OutcomeState, Trigger
from orchestrator.domain.sla import SlaClass
from orchestrator.domain.target import Target
from orchestrator.domain.work import JobPhase
from orchestrator.sim.racks.asic_rack import NO_FAULTS, FaultRates

if TYPE_CHECKING:
    from tests.controller.conftest import World, WorldOf

CHEAP, SPIKE = 20.0, 3000.0
FEW = settings(
    deadline=None,
    max_examples=8,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


async def test_a_spike_puts_the_site_to_sleep_as_measured_and_it_comes_back_after(world_of: WorldOf) -> None:
    world = world_of([CHEAP] * 4 + [SPIKE] * 4 + [CHEAP] * 4)
    world.submit("train", "bank")
    world.submit("batch", "lab")
    await world.run(59)
    before_kw = world.true_kw
    assert before_kw > 1400.0
    await world.run(2)
    assert world.true_kw < 50.0  # sleeping machines, idle nodes and a guaranteed job
    assert world.phase("train") is JobPhase.RUNNING
    assert world.phase("batch") in (JobPhase.STOPPING, JobPhase.PAUSED)
    price = next(decision for decision, _ in world.store.decisions(100) if decision.trigger is Trigger.PRICE)
    decision, outcomes = next(pair for pair in world.store.decisions(100) if pair[0].id == price.id)
    assert decision.price_usd_per_mwh == SPIKE
    assert {outcome.state for outcome in outcomes} == {OutcomeState.MEASURED}
    assert all(
        outcome.measured_at is not None and outcome.measured_at - decision.trigger_at <= timedelta(seconds=60)
        for outcome in outcomes
    )
    await world.run(58 + 20)
    assert world.true_kw == pytest.approx(before_kw, rel=0.02)
    assert world.phase("batch") is JobPhase.RUNNING
    assert world.above_limit_s() == 0
    assert world.snapshot.breaches == ()


@pytest.mark.parametrize(
    "faults", [pytest.param(NO_FAULTS, id="no faults"), pytest.param(FaultRates(2e-3, 1200.0, 2e-3, 600.0), id="many")]
)
@FEW
@given(
    path=st.lists(st.floats(-50, 400) | st.sampled_from([CHEAP, SPIKE, 86.0, 181.0]), min_size=6, max_size=10),
    seed=st.integers(0, 1000),
)
async def test_no_second_above_a_cap_and_no_guaranteed_job_stopped_whatever_prices_do(
    world_of: WorldOf, path: list[float], seed: int, faults: FaultRates
) -> None:
    world = world_of(path, faults=faults, seed=seed)
    world.submit("train", "bank", 12)
    world.submit("flex", "flux", 8, run_h=1.0, deadline_in_h=4.0)
    world.submit("batch", "lab", 12)
    await world.run(15 * len(path), final=True)
    assert world.above_limit_s() == 0
    assert world.snapshot.jobs["train"].view.starts == 1
    assert all(kw <= 1500.0 for _, kw in world.measured_kw)
    for job in world.snapshot.jobs.values():
        record = world.controller.job_record(job.job.name)
        assert job.tenant.sla is not SlaClass.GUARANTEED or record is None or record.interruptions == 0
        assert record is None or record.interruptions in (job.view.starts - 1, job.view.starts)
    sums = world.totals()
    counted = await world.counters_kwh()
    for account, kwh in counted.items():
        assert sums.energy_kwh[account] == pytest.approx(kwh, rel=1e-9)


async def running(world: World) -> None:
    world.submit("train", "bank", 12)
    world.submit("batch", "lab", 12)
    await world.run(30)
    assert world.true_kw > 1400.0


async def test_an_order_is_met_in_its_response_time_and_released_when_it_is_over(world_of: WorldOf) -> None:
    world = world_of([CHEAP] * 12)
    await running(world)
    await world.order(600.0, minutes=30, response_s=60)
    [(decision, _)] = world.store.decisions(1)
    assert decision.trigger is Trigger.CURTAILMENT
    assert all(action.direction is Direction.DOWN for action in decision.actions)
    await world.run(1)
    assert world.true_kw <= 600.0
    await world.run(28)
    assert world.true_kw == pytest.approx(600.0, rel=0.1)  # and not far below: the room is used
    assert world.above_limit_s() == 0
    await world.run(20)
    assert world.true_kw > 1400.0
    assert world.controller.curtailments == ()


async def test_an_order_for_a_feeder_is_met_there_and_over_a_restart_while_the_rest_earns_on(world_of: WorldOf) -> None:
    world = world_of([CHEAP] * 12)
    await running(world)
    before = world.snapshot.measured
    await world.order(300.0, minutes=60, response_s=60, at=Target.feeder("a"))
    [(decision, _)] = world.store.decisions(1)
    assert decision.trigger is Trigger.CURTAILMENT
    assert decision.binding == ("curtailment c-1",)
    assert {action.move.target for action in decision.actions} == {Target.fleet("old")}
    await world.run(5)
    world.restart()
    await world.run(10)
    measured = world.snapshot.measured
    assert 150.0 < measured.feeders_kw["a"] <= 300.0
    assert measured.feeders_kw["b"] >= before.feeders_kw["b"]
    assert world.above_limit_s() == 0
    assert world.snapshot.breaches == ()
    await world.run(50)
    assert world.snapshot.measured.feeders_kw["a"] == pytest.approx(before.feeders_kw["a"], rel=0.05)


async def test_an_order_for_a_feeder_that_it_cannot_meet_is_a_breach_of_that_order(world_of: WorldOf) -> None:
    world = world_of([CHEAP] * 12)
    await running(world)
    await world.order(10.0, minutes=30, at=Target.feeder("b"))
    await world.run(5)
    assert world.snapshot.jobs["train"].view.phase is JobPhase.RUNNING
    assert world.awake("old") > 0, "the other feeder has no part in it"
    assert {(breach.kind.value, breach.subject) for breach in world.snapshot.breaches} == {
        ("cap_exceeded", "curtailment c-1"),
        ("shed_not_delivered", "curtailment c-1"),
    }


async def test_an_order_cancelled_early_lets_power_up_again(world_of: WorldOf) -> None:
    world = world_of([CHEAP] * 12)
    await running(world)
    await world.order(600.0, minutes=90)
    await world.run(20)
    assert await world.controller.cancel("c-1", world.now)
    assert not await world.controller.cancel("c-1", world.now)
    assert not await world.controller.cancel("no such order", world.now)
    await world.run(15)
    assert world.true_kw > 1400.0


async def test_an_order_below_everything_keeps_the_guaranteed_job_limits_its_gpus_and_reports_the_rest(
    world_of: WorldOf,
) -> None:
    world = world_of([CHEAP] * 12)
    await running(world)
    await world.order(10.0, minutes=30)
    await world.run(5)
    train = world.snapshot.jobs["train"].view
    assert (train.phase, train.starts) == (JobPhase.RUNNING, 1)
    assert world.snapshot.pools["h100"].gpu_limit_w == 200.0
    assert {(breach.kind.value, breach.subject) for breach in world.snapshot.breaches} == {
        ("cap_exceeded", "curtailment c-1"),
        ("shed_not_delivered", "curtailment c-1"),
    }
    await world.run(40)
    assert world.snapshot.pools["h100"].gpu_limit_w == 700.0
    assert world.snapshot.breaches == ()
    assert world.totals().sla_credits_usd == 0


async def test_an_unsynced_view_is_never_acted_on(world_of: WorldOf) -> None:
    world = world_of([CHEAP] * 4 + [SPIKE] * 4)
    await running(world)
    asked = len(world.driver.asked)
    world.driver.synced = False
    await world.run(35)
    assert len(world.driver.asked) == asked
    world.driver.synced = True
    await world.run(1)
    assert len(world.driver.asked) > asked


async def test_a_refused_move_is_on_record_and_the_loop_goes_on(world_of: WorldOf) -> None:
    world = world_of([CHEAP] * 4 + [SPIKE] * 4)
    await running(world)
    world.driver.refuse = {Target.fleet("old")}
    await world.run(32)
    refused = [outcome for outcome in world.outcomes() if outcome.state is OutcomeState.REFUSED]
    assert refused
    assert {outcome.detail for outcome in refused} == {"refused by the test"}
    assert (world.awake("old"), world.awake("new")) == (4, 0)
    world.driver.refuse = set()
    await world.run(2)
    assert world.awake("old") == 0


async def test_time_never_goes_back(world_of: WorldOf) -> None:
    world = world_of([CHEAP] * 4)
    await running(world)
    await world.controller.tick(world.now - timedelta(minutes=10))
    assert world.now <= world.snapshot.at < world.now + timedelta(seconds=1)
