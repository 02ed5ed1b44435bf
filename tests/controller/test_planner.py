"""The plan in force: when a new one is due, what it says, and what happens when none can be made."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.accounting.charges.block import Ppa
from orchestrator.controller.past import Past
from orchestrator.controller.planner import Planner, Question, answer, planned
from orchestrator.dispatch.dispatch import dispatch
from orchestrator.domain.market import Market, Price, PriceBook
from orchestrator.domain.snapshot import Snapshot
from orchestrator.domain.target import Target
from orchestrator.domain.work import JobPhase
from orchestrator.explain.plan_view import PlanState
from orchestrator.explain.reasons import Reasons
from orchestrator.optimizer.plan_policy import AT_LEAST_APART, PLAN_EVERY
from orchestrator.runtime import plan_worker
from orchestrator.runtime.plan_worker import PlanWorker
from tests.power_block import charged
from tests.scenes import NOW, Scene
from tests.sites import small_site

QUARTER = timedelta(minutes=15)


def scene() -> Scene:
    return Scene(small_site())


def days_of_prices(before: int = 16, dear_from: datetime | None = None, until_h: int = 24) -> PriceBook:
    """Quarters of an hour at 50 USD/MWh, day-ahead ones for the hours to come, at 900 from `dear_from` on."""
    start, end = NOW - timedelta(days=before), NOW + timedelta(hours=until_h)
    real, ahead = [], []
    at = start
    while at < end:
        usd = 900.0 if dear_from is not None and at >= dear_from else 50.0
        ahead.append(Price(at, at + QUARTER, usd, Market.DAY_AHEAD))
        if at <= NOW:
            real.append(Price(at, at + QUARTER, usd, Market.REAL_TIME))
        at += QUARTER
    return PriceBook.of([*real, *ahead])


async def nothing_seen(now: datetime) -> Past:
    return Past()


def with_prices(snapshot: Snapshot, book: PriceBook) -> Snapshot:
    return replace(snapshot, book=book)


def test_a_plan_says_what_is_next_for_every_fleet_and_job() -> None:
    of = scene()
    of.job("train", "flux", 80, deadline_in_h=20.0)
    of.job("try", "lab", 80, JobPhase.WAITING)
    dear_from = NOW + timedelta(hours=6)
    snapshot = with_prices(of.snapshot(), days_of_prices(dear_from=dear_from))
    planner = Planner(of.site)
    planner.take(answer(planner.question(snapshot, Past())))
    view = planner.state.view
    assert view is not None
    assert len(view.steps) == 96
    assert view.profit_usd <= view.bound_usd + 1e-6
    assert set(view.fleets) == {fleet.name for fleet in of.site.fleets}
    assert set(view.jobs) == {"train", "try"}
    for target in (*view.fleets.values(), *view.jobs.values()):
        assert target.stretches[0].start == view.steps[0].start
        assert target.stretches[-1].end == view.end
        for one, next_ in zip(target.stretches, target.stretches[1:], strict=False):
            assert one.end == next_.start
    asleep = [stretch for stretch in view.fleets["new"].stretches if not stretch.on]
    assert [stretch.start for stretch in asleep] == [dear_from]
    assert view.jobs["train"].ends_at is not None
    for step in view.steps:
        assert step.low_usd_per_mwh <= step.price_usd_per_mwh <= step.high_usd_per_mwh
        assert step.mining_kw + step.hpc_kw + step.overhead_kw <= step.limit_kw
    values = planner.values(NOW)
    assert values is not None
    assert set(values.fleets) == {fleet.name for fleet in of.site.fleets}
    assert planner.values(view.end) is None


@pytest.mark.parametrize(
    ("spread", "sleeps"),
    [
        pytest.param(3.0, True, id="sold back at 897: asleep"),
        pytest.param(None, False, id="lost: as many on as it feeds"),
    ],
)
def test_the_plan_reckons_with_power_that_was_bought_ahead(spread: float | None, sleeps: bool) -> None:
    dear_from = NOW + timedelta(hours=6)
    views = []
    for price in (38.0, 48.0):
        of = scene()
        of.site = charged(of.site, Ppa(1000.0, price, spread))
        planner = Planner(of.site)
        made = answer(planner.question(with_prices(of.snapshot(), days_of_prices(dear_from=dear_from)), Past()))
        views.append(made.view)
    cheap, dear = views
    in_spike = next(stretch for stretch in cheap.fleets["new"].stretches if stretch.start >= dear_from)
    assert in_spike.on is not sleeps
    assert cheap.profit_usd - dear.profit_usd == pytest.approx(1.0 * 24 * 10.0)
    assert cheap.bound_usd - dear.bound_usd == pytest.approx(1.0 * 24 * 10.0)
    assert cheap.profit_usd <= cheap.bound_usd + 1e-6


def test_before_the_first_plan_nothing_is_said() -> None:
    planner = Planner(small_site())
    assert planner.state.view is None
    assert planner.values(NOW) is None


def test_fleets_go_by_the_price_alone_while_little_is_known_of_prices() -> None:
    of = scene()
    of.job("train", "flux", 80)
    planner = Planner(of.site)
    planner.take(answer(planner.question(with_prices(of.snapshot(), days_of_prices(before=2)), Past())))
    values = planner.values(NOW)
    assert values is not None
    assert not values.fleets
    assert set(values.jobs) == {"train"}


def test_dispatch_decides_by_the_plan_in_force() -> None:
    of = scene()
    of.job("train", "flux", 80)
    of.price = 184.0  # a little above what its hash is worth: waking again would cost more
    snapshot = with_prices(of.snapshot(), days_of_prices())
    planner = Planner(of.site)
    policy = planned(planner)
    without = dispatch(of.site, snapshot)
    assert policy(of.site, snapshot) == without
    assert Reasons(snapshot, policy(of.site, snapshot)) == Reasons(snapshot, without)
    planner.take(answer(planner.question(snapshot, Past())))
    decided = policy(of.site, snapshot)
    assert decided.racks == dispatch(of.site, snapshot, planner.values(NOW)).racks
    assert "plan" in Reasons(snapshot, decided)[Target.fleet("new")]


def test_a_plan_is_due_when_it_is_old_and_when_jobs_or_limits_have_changed() -> None:
    of = scene()
    of.job("train", "flux", 80)
    snapshot = of.snapshot()
    planner = Planner(of.site)
    assert planner.due(snapshot)
    planner.question(snapshot, Past())
    assert not planner.due(snapshot)
    assert not planner.due(replace(snapshot, at=NOW + PLAN_EVERY - timedelta(seconds=1)))
    assert planner.due(replace(snapshot, at=NOW + PLAN_EVERY))

    of.job("more", "lab", 8, JobPhase.WAITING)
    with_more = of.snapshot()
    assert not planner.due(with_more)  # they come one after the other: no plan for each
    assert planner.due(replace(with_more, at=NOW + AT_LEAST_APART))
    of.jobs.pop()
    of.order(1000.0)
    assert planner.due(replace(of.snapshot(), at=NOW + AT_LEAST_APART))


def test_the_same_question_has_the_same_answer() -> None:
    of = scene()
    of.job("train", "flux", 80, deadline_in_h=20.0)
    question = Planner(of.site).question(with_prices(of.snapshot(), days_of_prices()), Past())
    one, two = answer(question), answer(question)
    assert one.values == two.values
    assert one.view.profit_usd == two.view.profit_usd


async def test_a_plan_that_fails_leaves_the_last_one_in_force_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    of = scene()
    of.job("train", "flux", 80)
    snapshot = with_prices(of.snapshot(), days_of_prices())
    planner = Planner(of.site)
    told: list[PlanState] = []
    worker = PlanWorker(planner, nothing_seen, lambda: told.append(planner.state))

    async def settled() -> None:
        assert worker._making is not None
        await worker._making

    worker.consider(snapshot)
    await settled()
    first = planner.state.view
    assert first is not None
    assert [state.view for state in told] == [first]

    def fails(question: Question) -> None:
        raise ArithmeticError("no pivot")

    monkeypatch.setattr(plan_worker, "answer", fails)
    later = replace(snapshot, at=NOW + PLAN_EVERY)
    worker.consider(later)
    await settled()
    assert planner.state.view is first
    assert "no pivot" in planner.state.problem
    assert told[1:] == [planner.state], "that it failed is told too"
    assert "the last one stays in force" in caplog.text
    monkeypatch.undo()
    worker.consider(replace(snapshot, at=NOW + 2 * PLAN_EVERY))
    await settled()
    assert planner.state.problem == ""
    assert planner.state.view is not first
    worker.close()


async def test_one_plan_is_made_at_a_time_and_the_loop_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    of = scene()
    snapshot = of.snapshot()
    planner = Planner(of.site)
    worker = PlanWorker(planner, nothing_seen, lambda: None)
    asked = []
    loop, may_end = asyncio.get_running_loop(), asyncio.Event()

    def slow(question: Question) -> object:
        asked.append(question.made_at)
        asyncio.run_coroutine_threadsafe(may_end.wait(), loop).result()
        return answer(question)

    monkeypatch.setattr(plan_worker, "answer", slow)
    worker.consider(snapshot)
    for minutes in range(15, 60, 15):
        await asyncio.sleep(0)
        worker.consider(replace(snapshot, at=NOW + timedelta(minutes=minutes)))
    may_end.set()
    assert worker._making is not None
    await worker._making
    assert asked == [NOW.astimezone(UTC)]
    worker.close()
