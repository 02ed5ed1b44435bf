"""A site that was not seen for a while: no plan is made of it, none begins from one that was, and the old one stays."""

import logging
import math
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from orchestrator.controller.past import Past
from orchestrator.controller.planner import Answer, Planner, answer
from orchestrator.domain.site.site import Site
from orchestrator.domain.snapshot import Snapshot
from orchestrator.domain.work import JobPhase
from orchestrator.explain.plan_view import PlanState
from orchestrator.optimizer.plan import SOUND_GAP
from orchestrator.optimizer.plan_policy import PLAN_EVERY
from orchestrator.runtime.plan_worker import PlanWorker
from tests.controller.test_planner import days_of_prices
from tests.scenes import NOW, Scene
from tests.sites import small_site

MINUTE = timedelta(minutes=1)
LEFT_NOTHING_KW = 1900.0
"""What half of the racks, counted at nameplate, draw beside idle nodes."""


def tight_site(limit_kw: float = 3000.0) -> Site:
    """Less power than its machines can take."""
    site = small_site()
    return replace(site, grid=replace(site.grid, limit_kw=limit_kw))


def seen(at: datetime = NOW, blind: float = 0.0, site: Site | None = None) -> Snapshot:
    """The site at `at`, the last `blind` (a share) of each fleet's racks and of the nodes silent; jobs for all GPUs."""
    of = Scene(site or tight_site())
    for number in range(6):
        phase = JobPhase.RUNNING if number < 4 else JobPhase.WAITING
        of.job(f"due-{number}", "flux", 40, phase, deadline_in_h=20.0, run_h=9.0)
    of.job("promised", "bank", 80, run_h=30.0)
    for number in range(20):
        of.job(f"try-{number}", "lab", 16, JobPhase.WAITING, run_h=6.0)
    for names in (*(fleet.rack_names() for fleet in of.site.fleets), *(pool.node_names() for pool in of.site.pools)):
        for name in list(names)[round(len(names) * (1.0 - blind)) :]:
            of.kw[name] = None
    return replace(of.snapshot(), at=at, book=days_of_prices(dear_from=NOW + timedelta(hours=8)))


async def nothing_seen(now: datetime) -> Past:
    return Past()


def made(planner: Planner, snapshot: Snapshot) -> Answer:
    return answer(planner.question(snapshot, Past()))


class Working:
    """A worker with a planner, and what it told."""

    def __init__(self, past: Callable[[datetime], Awaitable[Past]] = nothing_seen, site: Site | None = None) -> None:
        self.planner = Planner(site or tight_site())
        self.told: list[PlanState] = []
        self._worker = PlanWorker(self.planner, past, lambda: self.told.append(self.planner.state))

    async def look(self, snapshot: Snapshot) -> PlanState:
        """Have the worker look at it, and wait for the plan if it makes one."""
        self._worker.consider(snapshot)
        if self._worker._making is not None:
            await self._worker._making
        return self.planner.state


async def test_no_plan_is_made_blind_and_the_old_one_stays_with_its_age(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    working = Working()
    first = (await working.look(seen())).view
    assert first is not None
    assert (await working.look(seen(NOW + MINUTE, blind=1.0))).blocked == "", "none is due"
    told = len(working.told)
    for minutes in range(15, 60):
        state = await working.look(seen(NOW + minutes * MINUTE, blind=1.0 if minutes % 2 else 0.5))
        assert state.view is first
        assert state.blocked.endswith(
            "% of the site's power is not measured, more than the 10.0% that a plan may assume"
        )
        assert state.problem == ""
    assert state.blocked.startswith("100.0% of the site's power is not measured")
    assert len(working.told) == told + 1, "told once"
    assert [text.partition(":")[0] for text in caplog.messages] == ["no plan is made"], "once"
    assert working.planner.values(first.end - MINUTE) is not None
    assert working.planner.values(first.end) is None, "then the price now decides alone"

    state = await working.look(seen(NOW + 60 * MINUTE))
    assert state.blocked == ""
    assert state.view is not None
    assert state.view is not first
    assert state.view.made_at == NOW + 60 * MINUTE
    assert state.view.gap <= SOUND_GAP
    assert not state.view.broken_promises
    assert caplog.text.count("measured again") == 1


async def test_a_site_that_starts_blind_waits_for_its_first_plan() -> None:
    working = Working()
    state = await working.look(seen(blind=1.0))
    assert state.view is None
    assert state.blocked
    assert (await working.look(seen(NOW + MINUTE))).view is not None


async def test_one_that_flaps_between_seen_and_not_gets_its_plans_when_it_is_seen(
    caplog: pytest.LogCaptureFixture,
) -> None:
    working = Working()
    made_at = []
    for seconds in range(0, 3600, 30):
        state = await working.look(seen(NOW + timedelta(seconds=seconds), blind=float(seconds % 60 == 0)))
        assert state.blocked == "" or seconds % 60 == 0
        if state.view is not None and state.view.made_at not in made_at:
            made_at.append(state.view.made_at)
    assert made_at == [NOW + timedelta(seconds=30) + number * PLAN_EVERY for number in range(4)]
    assert len(caplog.messages) == 1, "only the first fell due while it was not seen"


@pytest.mark.parametrize(
    ("blind", "most", "blocked"),
    [(0.0, 0.0, False), (0.25, 0.1, True), (0.25, 0.3, False), (1.0, 0.99, True), (1.0, 1.0, False)],
)
async def test_the_share_is_the_site_files(blind: float, most: float, blocked: bool) -> None:
    site = tight_site()
    working = Working(site=replace(site, stale=replace(site.stale, plan_max_assumed_share=most)))
    state = await working.look(seen(blind=blind))
    assert bool(state.blocked) is blocked
    assert (state.view is None) is blocked


async def test_one_silent_rack_of_a_site_that_sleeps_keeps_nobody_from_a_plan() -> None:
    """It counts at nameplate and draws, on paper, more than all the others; it is an eighth of the racks' nameplate."""
    of = Scene(replace(tight_site(), pools=()))
    of.racks = {fleet.name: {"sleep": fleet.racks} for fleet in of.site.fleets}
    of.site = replace(of.site, stale=replace(of.site.stale, plan_max_assumed_share=0.15))
    of.kw["new/rack-1"] = None
    snapshot = of.snapshot()
    assert snapshot.silent_meters == ["rack new/rack-1"]
    assert snapshot.fleets["new"].counted_kw > 0.9 * snapshot.power.mining_kw
    assert not Planner(of.site).blocked(snapshot)


def test_a_plan_begun_from_a_blind_ones_prices_is_made_again_from_none() -> None:
    """Half the racks were never read and count at nameplate, which leaves nothing to plan: its prices are no start."""
    planner = Planner(tight_site())
    blind = made(Planner(tight_site(LEFT_NOTHING_KW)), seen(blind=0.5, site=tight_site(LEFT_NOTHING_KW)))
    fresh = made(Planner(tight_site()), seen(NOW + PLAN_EVERY))
    planner.take(blind)
    again = made(planner, seen(NOW + PLAN_EVERY))
    assert blind.duals.scarce[0].max() > 10.0 * fresh.duals.scarce[0].max()
    assert again.view.gap == fresh.view.gap <= SOUND_GAP
    assert again.values == fresh.values
    assert not again.view.broken_promises
    planner.take(again)
    for quarters in range(2, 8):
        later = made(planner, seen(NOW + quarters * PLAN_EVERY))
        assert later.view.gap <= SOUND_GAP
        assert not later.view.broken_promises
        planner.take(later)


def test_what_is_no_number_is_no_plan() -> None:
    question = Planner(tight_site()).question(seen(), Past())
    known = question.known
    prices = known.outlook.hashprice_usd_per_ph_day * math.nan
    unknown = replace(known, outlook=replace(known.outlook, hashprice_usd_per_ph_day=prices))
    with pytest.raises(ArithmeticError, match="is not a number"):
        answer(replace(question, known=unknown))
