"""Racks that hang, exporters that fall silent, price feeds that are lost."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from orchestrator.accounting.ledger import Account
from orchestrator.domain.decision import Breach, BreachKind, BreachState, Decision, Outcome, OutcomeState
from orchestrator.domain.limits import Authority
from orchestrator.domain.target import Target

if TYPE_CHECKING:
    from tests.controller.conftest import World, WorldOf

CHEAP, SPIKE = 20.0, 3000.0


def breaches(world: World, kind: BreachKind) -> list[Breach]:
    return [
        breach
        for breach in world.store.breaches(world.now - timedelta(days=1), world.now + timedelta(days=1))
        if breach.kind is kind
    ]


@pytest.mark.parametrize("rack", ["new/rack-0", "new/rack-1"])  # the least efficient one, which is put to sleep first
async def test_a_rack_that_hangs_before_an_order_is_made_up_for_by_the_next_and_its_breach_runs_its_course(
    world_of: WorldOf, rack: str
) -> None:
    world = world_of([CHEAP] * 16)
    await world.run(30)
    world.devices.hang(rack)
    await world.order(500.0, minutes=90, response_s=300)
    await world.run(1.5)
    assert world.true_kw <= 500.0
    [breach] = breaches(world, BreachKind.SHED)
    assert (breach.state, breach.subject) == (BreachState.ACTIVE, "fleet/new")
    await world.run(3)
    [breach] = breaches(world, BreachKind.SHED)
    assert breach.state is BreachState.ESCALATED
    await world.run(20)
    assert world.true_kw <= 500.0
    assert world.above_limit_s() == 0
    world.devices.reset(rack)
    await world.run(10)
    [breach] = breaches(world, BreachKind.SHED)
    assert breach.state is BreachState.RESOLVED
    assert breach.escalated_at is not None
    assert world.true_kw <= 500.0
    await world.run(70)
    assert world.true_kw > 1400.0


async def test_racks_that_hang_under_an_order_never_bring_power_above_it(world_of: WorldOf) -> None:
    world = world_of([CHEAP] * 16)
    await world.run(30)
    await world.order(700.0, minutes=120, response_s=60)
    for rack in ("new/rack-0", "new/rack-2", "old/rack-1"):
        await world.run(10)
        world.devices.hang(rack)
    await world.run(20)
    for rack in ("new/rack-0", "new/rack-2", "old/rack-1"):
        world.devices.reset(rack)
        await world.run(5)
        assert world.true_kw <= 700.0
    assert world.above_limit_s() == 0


async def test_a_silenced_exporter_counts_at_nameplate_and_its_energy_is_posted_when_it_answers(
    world_of: WorldOf,
) -> None:
    world = world_of([CHEAP] * 4 + [90.0] * 4 + [CHEAP] * 8)
    await world.run(45)
    world.devices.silence("new/rack-1")
    await world.run(1)
    assert "rack new/rack-1" not in world.snapshot.stale
    await world.run(5)
    assert "rack new/rack-1" in world.snapshot.stale
    fleet = world.snapshot.fleets["new"]
    assert fleet.silent == {"new/rack-1"}
    others_kw = fleet.counted_kw - 50 * 4.0
    assert others_kw == pytest.approx(3 * 50 * 3.93, rel=0.1)
    [breach] = breaches(world, BreachKind.METER)
    assert breach.state in (BreachState.ACTIVE, BreachState.ESCALATED)
    assert breach.detail == "no fresh reading of rack new/rack-1"
    await world.run(40, final=True)  # over two changes of the price
    posted = world.totals().energy_kwh[Account.MINING]
    drawn = (await world.counters_kwh())[Account.MINING]
    world.devices.unsilence("new/rack-1")
    await world.run(10, final=True)
    assert [breach.state for breach in breaches(world, BreachKind.METER)] == [BreachState.RESOLVED]
    sums, counted = world.totals(), await world.counters_kwh()
    assert posted == pytest.approx(drawn, rel=1e-9)  # a silent exporter shows its last count
    assert sums.energy_kwh[Account.MINING] == pytest.approx(counted[Account.MINING], rel=1e-9)
    assert counted[Account.MINING] - drawn > 200.0 * 0.9 * 45 / 60  # the silent time is in it


async def test_when_all_meters_fall_silent_no_guaranteed_job_is_interrupted(world_of: WorldOf) -> None:
    world = world_of([CHEAP] * 12)
    world.submit("train", "bank", 16)
    await world.run(30)
    subjects = [*(rack for _, rack in world.site.racks()), *(node for _, node in world.site.nodes())]
    for subject in subjects:
        world.devices.silence(subject)
    await world.run(40)
    assert world.snapshot.limits.grid.by is Authority.SAFE_POWER, "the hold is over"
    assert world.snapshot.jobs["train"].view.starts == 1
    for subject in subjects:
        world.devices.unsilence(subject)
    await world.run(40)
    assert world.snapshot.jobs["train"].view.starts == 1
    assert world.true_kw > 1400.0
    assert world.above_limit_s() == 0


async def test_a_lost_price_feed_holds_then_takes_day_ahead_then_the_fallback(world_of: WorldOf) -> None:
    """Real-time prices end with the first hour; day-ahead ones are known for two."""
    world = world_of([CHEAP] * 16, [30.0] * 8)
    seen: list[tuple[datetime, str, float, bool]] = []
    start = world.now
    world.feed.cut_at = start + timedelta(minutes=50)
    for _ in range(12 * 15):
        await world.run(1)
        price = world.snapshot.price
        seen.append((world.now, price.basis, price.usd_per_mwh, "price" in world.snapshot.stale))
    changes = [seen[0], *(now for before, now in itertools.pairwise(seen) if now[1] != before[1])]
    assert [((at - start) / timedelta(minutes=1), basis, usd, stale) for at, basis, usd, stale in changes] == [
        (1, "real_time", CHEAP, False),
        (60, "real_time_held", CHEAP, True),
        (75, "day_ahead", 30.0, True),
        (120, "fallback", 200.0, True),
    ]
    assert (world.awake("old"), world.awake("new")) == (0, 4)  # at 200: under what the new fleet's warm-up costs
    world.feed.cut_at = None
    await world.run(10)
    assert world.snapshot.stale == ()
    assert {line.price_basis for line in world.store.ledger(start, world.now)} >= {"real_time", "day_ahead"}


async def test_a_fleet_that_accepts_and_does_not_move_is_told_once_and_tried_again_less_and_less(
    world_of: WorldOf,
) -> None:
    world = world_of([CHEAP] * 4 + [SPIKE] * 8)
    await world.run(59)
    assert world.awake("old") == 4
    world.driver.ignore = {Target.fleet("old")}
    began = world.now
    await world.run(45)
    tried = [decision.at for decision, _ in decided_on(world, Target.fleet("old"), since=began)]
    waits_s = [(later - earlier).total_seconds() for earlier, later in pairwise(tried)]
    assert waits_s == pytest.approx([180.0, 300.0, 540.0, 1020.0], abs=70.0), "a minute to move, then twice as long"
    outcomes = [outcomes[0] for _, outcomes in decided_on(world, Target.fleet("old"), since=began)]
    assert {outcome.state for outcome in outcomes} == {OutcomeState.LATE}
    assert {outcome.detail for outcome in outcomes} == {"accepted, and nothing has changed after 60 s"}
    (breach,) = [breach for breach in world.snapshot.breaches if breach.kind is BreachKind.SHED]
    assert breach.subject == "fleet/old"
    assert "does not answer: 5 moves were accepted and changed nothing" in world.controller.reasons[Target.fleet("old")]
    assert world.awake("new") == 0, "the other one sleeps"

    world.driver.ignore = set()
    await world.until(lambda: world.awake("old") == 0, minutes=35.0)
    await world.run(3)
    assert not world.snapshot.breaches
    assert not world.snapshot.fleets["old"].view.held


async def test_others_are_shed_in_place_of_a_fleet_that_does_not_move(world_of: WorldOf) -> None:
    world = world_of([CHEAP] * 8)
    await world.run(30)
    world.driver.ignore = {Target.fleet("old")}
    await world.order(900.0, minutes=60.0)
    await world.run(4)
    assert world.awake("old") == 4
    assert world.true_kw <= 900.0
    await world.run(60)
    assert (world.awake("old"), world.awake("new")) == (4, 4), "the order is over"
    await world.run(40)
    assert not world.snapshot.breaches, "nothing is asked of it any more"


def decided_on(world: World, target: Target, since: datetime) -> list[tuple[Decision, tuple[Outcome, ...]]]:
    """Decisions that move a target, the oldest first, each with the outcomes of its actions on it."""
    found = []
    for decision, outcomes in reversed(world.store.decisions(1000)):
        ids = {action.id for action in decision.actions if action.move.target == target}
        if ids and decision.at >= since:
            found.append((decision, tuple(outcome for outcome in outcomes if outcome.action_id in ids)))
    return found
