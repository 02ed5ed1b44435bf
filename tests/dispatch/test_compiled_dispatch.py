"""The compiled walk on columns chooses what the plain one on objects does, whatever the scene and the plan's values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.accounting.charges.block import Ppa
from orchestrator.dispatch.desired import Desired
from orchestrator.dispatch.dispatch import dispatch
from orchestrator.dispatch.live_columns import LiveColumns
from orchestrator.domain.site.machines import SLEEP
from orchestrator.domain.site.site import Feeder, Grid, Site
from orchestrator.domain.sla import SlaClass
from orchestrator.domain.target import Target
from orchestrator.domain.work import JobPhase
from orchestrator.forecast.outlook import PlanValues, Switch
from orchestrator.observe.columns import hull
from tests.dispatch.plain_dispatch import walk
from tests.dispatch.test_dispatch_properties import ANY_SPEED, drawn_kw, scenes

if TYPE_CHECKING:
    from tests.scenes import Scene

SWITCHES = st.builds(Switch, st.floats(-200, 5000), st.floats(-200, 5000))


@st.composite
def crowded(draw: st.DrawFn, scene_of: Callable[[Site], Scene], base: Site, now: datetime) -> Scene:
    """A site with more to run than its caps, feeders and pools carry, at a price near what its tranches are worth.

    From a seed: hypothesis by itself keeps to small scenes, in which nobody stands in another's way.
    """
    chance = Random(draw(st.integers(0, 2**32 - 1)))
    site = crowded_site(base, chance)
    scene = scene_of(site)
    scene.price = chance.choice([chance.uniform(-50, 300), chance.uniform(800, 1600), chance.uniform(1600, 4500)])
    scene.hashprice = chance.uniform(40, 90)

    def ago() -> datetime:
        return now - timedelta(minutes=chance.randrange(60))

    for fleet in site.fleets:
        modes = chance.choices([SLEEP, *(mode.name for mode in fleet.modes)], k=fleet.racks)
        scene.racks[fleet.name] = Counter(modes)
        scene.woken[fleet.name], scene.put_to_sleep[fleet.name] = ago(), ago()
        scene.moved[fleet.name] = max(scene.woken[fleet.name], scene.put_to_sleep[fleet.name])
        if chance.random() < 0.1:
            scene.held[fleet.name] = "a person moves it"
    for rack in chance.sample([rack for _, rack in site.racks()], chance.choice([0, 0, 2])):
        scene.kw[rack] = chance.choice([None, 0.0, 500.0])
    free = {pool.name: pool.gpus for pool in site.pools}
    for number in range(chance.randrange(8, 30)):
        add_job(scene, f"job-{chance.randrange(1000)}-{number}", free, ago, chance)
    if chance.random() < 0.3:
        scene.order(site.grid.limit_kw * chance.uniform(0.1, 0.9))
    if chance.random() < 0.3:
        feeder = chance.choice(site.feeders)
        scene.order(feeder.limit_kw * chance.uniform(0.1, 0.9), at=Target.feeder(feeder.name))
    return scene


def any_ppa(load_kw: float, chance: Random) -> tuple[Ppa, ...]:
    if chance.random() < 0.4:
        return ()
    return (Ppa(load_kw * chance.uniform(0.05, 0.9), 40.0, chance.choice([None, 0.0, 3.0, 100.0, 1000.0])),)


def crowded_site(base: Site, chance: Random) -> Site:
    fleets = tuple(
        replace(
            chance.choice(base.fleets),
            name=f"fleet-{number}",
            feeder=chance.choice("ab"),
            racks=chance.randrange(1, 6),
            modes=chance.choice(base.fleets).modes[: chance.randrange(1, 4)],
        )
        for number in range(chance.randrange(2, 7))
    )
    fleets = tuple(replace(fleet, default_mode=fleet.modes[0].name) for fleet in fleets)
    pools = tuple(
        replace(base.pools[0], name=name, feeder=feeder, nodes=20) for name, feeder in (("p", "a"), ("q", "b"))
    )
    load_kw = 1.1 * (sum(fleet.nameplate_kw for fleet in fleets) + sum(pool.nameplate_kw for pool in pools))
    return replace(
        base,
        grid=Grid(load_kw * chance.uniform(0.2, 1.1), chance.choice([0.0, 0.01]), any_ppa(load_kw, chance)),
        feeders=tuple(Feeder(name, load_kw * chance.uniform(0.2, 0.8)) for name in "ab"),
        fleets=fleets,
        pools=pools,
        tenants=tuple(replace(tenant, interruptions_per_hour=chance.randrange(4)) for tenant in base.tenants),
    )


def add_job(scene: Scene, name: str, free: dict[str, int], ago: Callable[[], datetime], chance: Random) -> None:
    pool, tenant = chance.choice(scene.site.pools), chance.choice(["bank", "flux", "lab", "lab"])
    phase = chance.choice([JobPhase.WAITING, JobPhase.RUNNING, JobPhase.RUNNING, JobPhase.PAUSED, JobPhase.STOPPING])
    gpus = 4 * chance.randrange(1, 9)
    elastic = (4, 4) if gpus > 4 and chance.random() < 0.3 else None
    gives = 4 * chance.randrange(1, gpus // 4 + 1) if elastic and tenant != "bank" and chance.random() < 0.7 else None
    if phase.holds_gpus and (gives or gpus) > free[pool.name]:
        phase = JobPhase.WAITING
    if phase.holds_gpus:
        free[pool.name] -= gives or gpus
    scene.job(
        name,
        tenant,
        gpus,
        phase,
        pool=pool.name,
        run_h=chance.uniform(1.0, 6.0),
        deadline_in_h=chance.uniform(-1.0, 8.0) if tenant == "flux" else None,
        submitted_before_h=chance.choice([1.0, 2.0, 3.0]),
        changed_at=ago(),
        held="a person moves it" if chance.random() < 0.1 else "",
        elastic=elastic,
        given_gpus=gives if phase.holds_gpus else None,
    )
    if phase is not JobPhase.WAITING:
        scene.progress[name] = chance.choice([0.0, 3600.0, 7200.0])
    if chance.random() < 0.2:
        scene.interrupted(name, minutes_ago=chance.choice([10.0, 59.0, 60.0, 90.0]))


@st.composite
def any_values(draw: st.DrawFn, scene: Scene) -> PlanValues:
    """A plan's values for some of the fleets and jobs."""
    return PlanValues(
        fleets={fleet.name: draw(SWITCHES) for fleet in scene.site.fleets if draw(st.booleans())},
        jobs={view.job.name: draw(SWITCHES) for view in scene.jobs if draw(st.booleans())},
    )


@pytest.fixture
def any_crowd(scene_of: Callable[[Site], Scene], site: Site, now: datetime) -> st.SearchStrategy[Scene]:
    return crowded(scene_of, site, now)


def assert_as_plain(scene: Scene, values: PlanValues | None, live: LiveColumns | None = None) -> Desired:
    snapshot = scene.snapshot()
    desired, wanted = dispatch(scene.site, snapshot, values, live), walk(scene.site, snapshot, values)
    assert desired.racks == wanted.racks
    assert desired.jobs == wanted.jobs
    assert desired.gpu_limit_w == wanted.gpu_limit_w
    assert desired.binding == wanted.binding
    assert max(desired.shortfalls_kw.values(), default=0.0) == pytest.approx(wanted.shortfall_kw, abs=1e-6)
    assert set(desired.changes) == wanted.changed
    assert list(desired.order) == [target for target in wanted.order if target in wanted.changed]
    return desired


@ANY_SPEED
@given(st.data())
def test_without_a_plan_it_chooses_what_the_plain_walk_does(
    any_crowd: st.SearchStrategy[Scene], data: st.DataObject
) -> None:
    assert_as_plain(data.draw(any_crowd), None)


@ANY_SPEED
@given(st.data())
def test_with_a_plan_it_chooses_what_the_plain_walk_does(
    any_crowd: st.SearchStrategy[Scene], data: st.DataObject
) -> None:
    scene = data.draw(any_crowd)
    desired = assert_as_plain(scene, data.draw(any_values(scene)))
    assert all(scene.why(desired).values())


@ANY_SPEED
@given(st.data())
def test_what_is_remembered_of_the_snapshot_before_changes_nothing(
    any_crowd: st.SearchStrategy[Scene], data: st.DataObject
) -> None:
    """The same site twice, with jobs come and gone, fleets moved and another plan in between."""
    scene, live = data.draw(any_crowd), LiveColumns()
    values = data.draw(any_values(scene))
    assert_as_plain(scene, values, live)
    scene.before = scene.snapshot()
    if scene.jobs:
        gone = data.draw(st.integers(0, len(scene.jobs) - 1))
        moved = data.draw(st.sampled_from([phase for phase in JobPhase if not phase.ended]))
        scene.jobs[-1] = replace(scene.jobs[-1], phase=moved)
        del scene.jobs[gone]
    if data.draw(st.booleans()):
        scene.job("arrived", "lab", 4, JobPhase.WAITING, pool=scene.site.pools[0].name)
    for fleet in scene.site.fleets:
        if data.draw(st.booleans()):
            scene.racks[fleet.name] = {data.draw(st.sampled_from(fleet.modes)).name: fleet.racks}
    scene.price = data.draw(st.floats(-500, 5000))
    assert_as_plain(scene, data.draw(st.sampled_from([values, None])), live)


@ANY_SPEED
@given(st.data())
def test_caps_hold_whatever_a_plan_says(
    scene_of: Callable[[Site], Scene], site: Site, now: datetime, data: st.DataObject
) -> None:
    scene = data.draw(scenes(scene_of, site, now))
    snapshot = scene.snapshot()
    desired = dispatch(scene.site, snapshot, data.draw(any_values(scene)))
    limits = snapshot.limits
    for at, cap in limits.tightest.items():
        feeder, usable_kw = at.name or None, limits.usable_kw(cap)
        must_kw = drawn_kw(snapshot, desired, feeder=feeder, optional=False)
        assert drawn_kw(snapshot, desired, feeder=feeder) <= max(usable_kw, must_kw) + 1e-3, feeder
        assert must_kw <= usable_kw + desired.shortfalls_kw.get(cap, 0.0) + 1e-3, "what is above a cap is reported"


@ANY_SPEED
@given(st.data())
def test_promises_hold_whatever_a_plan_says(any_crowd: st.SearchStrategy[Scene], data: st.DataObject) -> None:
    scene = data.draw(any_crowd)
    snapshot = scene.snapshot()
    desired = dispatch(scene.site, snapshot, data.draw(any_values(scene)))
    at_rest = not desired.binding and not desired.shortfalls_kw  # no cap asks for more than the promises give
    for name, status in snapshot.fleets.items():
        sleeping = desired.racks[name].get(SLEEP, 0)
        if snapshot.at < status.view.last_sleep_at + status.fleet.min_off:
            assert sleeping >= status.view.racks.get(SLEEP, 0), "it sleeps for its minimum off time"
        woken = snapshot.at < status.view.last_wake_at + status.fleet.min_on
        hashing = [step.to_mode for step in hull(status.fleet)]
        if at_rest and woken and not status.silent and {SLEEP, *hashing} >= set(status.view.rack_modes.values()):
            assert sleeping <= status.view.racks.get(SLEEP, 0), "it is awake for its minimum on time"
    paused = Counter[str]()
    # A guaranteed job that waits takes its GPUs from others, whatever their budgets say.
    wants_in = any(
        job.tenant.sla is SlaClass.GUARANTEED and not job.view.phase.holds_gpus for job in snapshot.jobs.values()
    )
    for name, job in snapshot.jobs.items():
        if job.view.phase is not JobPhase.RUNNING:
            continue
        if at_rest and job.tenant.sla is SlaClass.GUARANTEED:
            assert desired.jobs.get(name) == job.job.gpus
        if name not in desired.jobs:
            paused[job.tenant.name] += 1
    for tenant in scene.site.tenants:
        spent = snapshot.interruptions_last_hour.get(tenant.name, 0)
        if at_rest and not wants_in:
            assert paused[tenant.name] <= max(tenant.interruptions_per_hour - spent, 0)


def test_a_fleet_sleeps_and_wakes_at_the_prices_of_the_plan(scene: Scene) -> None:
    """The old fleet's hash is worth 86 USD/MWh in eco, 57 from there to normal."""
    values = PlanValues({"old": Switch(stay_usd_per_mwh=70.0, wake_usd_per_mwh=60.0)}, {})
    for price, now_in, wanted in (
        (69.0, "eco", "eco"),
        (71.0, "eco", SLEEP),
        (61.0, SLEEP, SLEEP),
        (59.0, SLEEP, "eco"),
        (50.0, SLEEP, "normal"),
    ):
        scene.price, scene.racks["old"] = price, {now_in: 4}
        desired = dispatch(scene.site, scene.snapshot(), values)
        assert desired.racks["old"] == {wanted: 4}, price
        if wanted == SLEEP:
            assert "the plan" in scene.why(desired)[Target.fleet("old")]


def test_what_a_plan_says_of_a_fleet_stays_awake_through_a_dear_hour(scene: Scene) -> None:
    scene.price, scene.racks["old"] = 130.0, {"eco": 4}
    assert dispatch(scene.site, scene.snapshot()).racks["old"] == {SLEEP: 4}
    values = PlanValues({"old": Switch(140.0, 80.0)}, {})
    desired = dispatch(scene.site, scene.snapshot(), values)
    assert desired.racks["old"] == {"eco": 4}
    assert "140, above which the plan lets it sleep" in scene.why(desired)[Target.fleet("old")]


def test_jobs_pause_and_start_at_the_prices_of_the_plan(scene: Scene) -> None:
    """A GPU-hour of the lab's is paid 1 USD: 1,443 USD/MWh, and 1,563 once it runs, with its restart."""
    scene.job("runs", "lab", 40)
    scene.job("waits", "lab", 40, JobPhase.WAITING)
    values = PlanValues({}, {"runs": Switch(1700.0, 400.0), "waits": Switch(1700.0, 480.0)})
    scene.price = 1750.0
    desired = dispatch(scene.site, scene.snapshot(), values)
    assert desired.jobs == {}
    assert "is above 1700, where the plan pauses it" in scene.why(desired)[Target.job("runs")]
    scene.price = 1600.0
    assert dispatch(scene.site, scene.snapshot()).jobs == {}
    desired = dispatch(scene.site, scene.snapshot(), values)
    assert set(desired.jobs) == {"runs"}
    assert "the plan keeps it below 1700 USD/MWh" in scene.why(desired)[Target.job("runs")]
    scene.price = 500.0
    assert set(dispatch(scene.site, scene.snapshot()).jobs) == {"runs", "waits"}
    desired = dispatch(scene.site, scene.snapshot(), values)
    assert set(desired.jobs) == {"runs"}
    assert "is above 480, below which the plan starts it" in scene.why(desired)[Target.job("waits")]
    scene.price = 440.0
    assert set(dispatch(scene.site, scene.snapshot(), values).jobs) == {"runs", "waits"}


def test_a_plan_finds_no_job_that_runs_worth_less_than_stopping_it_loses(scene: Scene) -> None:
    scene.price = 500.0
    scene.job("runs", "lab", 40)
    values = PlanValues({}, {"runs": Switch(450.0, 400.0)})
    assert dispatch(scene.site, scene.snapshot(), values).jobs == {"runs": 40}
