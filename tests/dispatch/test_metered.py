"""Caps kept by the meter: a blind device forces no shed while a fresh meter is under the cap, and hides no watt."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import combinations_with_replacement

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from orchestrator.dispatch.dispatch import dispatch
from orchestrator.dispatch.moves import MeasuredRoom, Moves, plan_moves
from orchestrator.domain.decision import Direction
from orchestrator.domain.limits import limits_due
from orchestrator.domain.site.machines import SLEEP
from orchestrator.domain.site.site import Site
from orchestrator.domain.snapshot import Snapshot
from orchestrator.domain.target import GRID_CONNECTION, Target
from orchestrator.observe.metering.metered_load import load_at
from orchestrator.observe.proof.verify import above_caps
from tests.scenes import NOW, Scene, metered
from tests.sites import small_site

PUE = 1.1
USABLE = 0.99
EVERY = ("grid", "a", "b")
DEVICES = [*(rack for _, rack in small_site().racks()), *(node for _, node in small_site().nodes())]
FEEDERS = {fleet.name: fleet.feeder for fleet in small_site().fleets} | {"h100": "b"}


def feeder_of(device: str) -> str:
    return FEEDERS[device.split("/", maxsplit=1)[0] if "/" in device else device.rpartition("-node-")[0]]


def drawn_kw(snapshot: Snapshot) -> dict[str, float]:
    """What really comes by, at the grid side, of a scene in which all devices answer truly."""
    return {"grid": snapshot.measured.grid_kw, **snapshot.measured.feeders_kw}


def planned(scene: Scene) -> tuple[Snapshot, Moves]:
    snapshot = scene.snapshot()
    return snapshot, plan_moves(scene.site, snapshot, dispatch(scene.site, snapshot))


def downs(moves: Moves) -> list[object]:
    return [move.move for move in moves.now if move.direction is Direction.DOWN]


def capped(site: Site, kw: dict[str, float], spare: float) -> Site:
    """With caps under which what is drawn fits, `spare` of it left free."""
    feeders = tuple(replace(feeder, limit_kw=kw[feeder.name] * (1.0 + spare) / USABLE) for feeder in site.feeders)
    return replace(site, grid=replace(site.grid, limit_kw=kw["grid"] * (1.0 + spare) / USABLE), feeders=feeders)


MIXES = [
    {mode: modes.count(mode) for mode in dict.fromkeys(modes)}
    for modes in combinations_with_replacement((SLEEP, "eco", "normal", "turbo"), 4)
]


@st.composite
def running(draw: st.DrawFn) -> Scene:
    """Fleets in any mode and jobs of any class, at a price at which nothing goes down by itself."""
    scene = Scene(small_site(), price=0.0)
    scene.racks = {"old": draw(st.sampled_from(MIXES)), "new": draw(st.sampled_from(MIXES))}
    for number in range(draw(st.integers(0, 3))):
        tenant = draw(st.sampled_from(["bank", "flux", "lab"]))
        scene.job(f"job-{number}", tenant, draw(st.sampled_from([16, 48, 80])))
    return scene


@st.composite
def at_rest(draw: st.DrawFn) -> Scene:
    """A site under any caps, as dispatch would have it: nothing moves where all devices answer."""
    scene = draw(running())
    site = scene.site
    feeders = tuple(replace(feeder, limit_kw=draw(st.floats(500.0, 2500.0))) for feeder in site.feeders)
    grid = replace(site.grid, limit_kw=draw(st.floats(800.0, 4000.0)))
    scene = replace(scene, site=replace(site, grid=grid, feeders=feeders))
    for _ in range(4):
        snapshot = scene.snapshot()
        desired = dispatch(scene.site, snapshot)
        if not desired.changes:
            break
        jobs = [view for view in scene.jobs if desired.jobs[view.job.name] == view.gpus]
        scene = replace(scene, racks={**desired.racks}, jobs=jobs)
    snapshot, moves = planned(scene)
    assume(not moves.now and not moves.waiting and not dispatch(scene.site, snapshot).shortfalls_kw)
    return scene


def silenced(scene: Scene, silent: Sequence[str], shown: dict[str, float]) -> Scene:
    return replace(scene, kw=dict.fromkeys(silent, None), meters_kw=shown)


SILENT = st.lists(st.sampled_from(DEVICES), unique=True) | st.just(DEVICES)


@given(scene=at_rest(), silent=SILENT, meters=st.sampled_from([EVERY, ("a", "b")]))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
def test_no_silent_device_forces_a_shed_while_fresh_meters_are_under_the_caps(
    scene: Scene, silent: list[str], meters: tuple[str, ...]
) -> None:
    kw = drawn_kw(scene.snapshot())
    scene = replace(scene, site=metered(scene.site, *meters))
    snapshot, moves = planned(silenced(scene, silent, {name: kw[name] for name in meters}))
    assert moves.now == ()
    assert not above_caps(snapshot, limits_due(scene.site, [], NOW))
    assert dispatch(scene.site, snapshot).shortfalls_kw == {}


@given(scene=at_rest(), silent=SILENT)
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
def test_the_grid_connections_meter_is_enough_for_its_own_cap(scene: Scene, silent: list[str]) -> None:
    wide = tuple(replace(feeder, limit_kw=10_000.0) for feeder in scene.site.feeders)
    scene = replace(scene, site=metered(replace(scene.site, feeders=wide), "grid"))
    assume(not planned(scene)[1].now)
    kw = drawn_kw(scene.snapshot())
    assert planned(silenced(scene, silent, {"grid": kw["grid"]}))[1].now == ()


@given(
    scene=running(),
    silent=SILENT,
    meters=st.sets(st.sampled_from(EVERY)),
    hidden=st.floats(0.0, 1.0),
    spare=st.floats(0.0, 0.6),
)
@settings(max_examples=150, deadline=None)
def test_no_power_up_goes_above_a_cap_whatever_the_silent_devices_draw(
    scene: Scene, silent: list[str], meters: set[str], hidden: float, spare: float
) -> None:
    """They draw anything from nothing to nameplate, and the meters show it."""
    site = metered(scene.site, *meters)
    nameplates = {rack: fleet.rack_nameplate_kw for fleet, rack in site.racks()}
    nameplates |= {node: pool.node_nameplate_kw for pool, node in site.nodes()}
    true = replace(scene, kw={device: nameplates[device] * hidden for device in silent})
    kw = drawn_kw(true.snapshot())
    scene = replace(scene, site=capped(site, kw, spare))
    snapshot, moves = planned(silenced(scene, silent, {name: kw[name] for name in meters}))
    rises = dict.fromkeys(EVERY, 0.0)
    for planned_move in moves.now:
        if planned_move.direction is Direction.UP:
            target = planned_move.move.target
            of = target.name if target.name in FEEDERS else "h100"
            for name in ("grid", FEEDERS[of]):
                rises[name] += planned_move.change_kw
    for name, rise_kw in rises.items():
        place = GRID_CONNECTION if name == "grid" else Target.feeder(name)
        usable_kw = snapshot.limits.usable_kw(snapshot.limits.tightest[place])
        assert rise_kw == 0.0 or kw[name] + rise_kw <= usable_kw + 1e-6


def at_its_best(site: Site) -> Scene:
    """At 50 USD/MWh nothing moves: the old fleet in normal, the new one in turbo."""
    return Scene(site, racks={"new": {"turbo": 4}})


def test_without_a_meter_silent_racks_count_at_nameplate_as_ever() -> None:
    scene = at_its_best(small_site())
    kw = drawn_kw(scene.snapshot())
    scene = replace(scene, site=capped(scene.site, kw, 0.01))
    assert planned(scene)[1].now == ()
    snapshot, moves = planned(replace(scene, kw={"old/rack-0": None}))
    assert downs(moves)
    assert load_at(scene.site, snapshot)[GRID_CONNECTION].total_kw == pytest.approx(kw["grid"] + PUE * (340.0 - 300.0))
    behind_meters = replace(scene, site=metered(scene.site, *EVERY), kw={"old/rack-0": None}, meters_kw=kw)
    assert planned(behind_meters)[1].now == ()


def test_a_meter_that_is_silent_too_changes_nothing() -> None:
    plain = Scene(small_site(), price=0.0, kw={"old/rack-0": None})
    with_meter = replace(plain, site=metered(small_site(), "grid"))
    assert planned(plain)[1] == planned(with_meter)[1]
    assert load_at(plain.site, plain.snapshot()) == load_at(with_meter.site, with_meter.snapshot())


def test_what_the_meter_shows_beyond_the_devices_leaves_less_room() -> None:
    """Racks that sum 91 % of their machines: what is kept is the cap, not the sum."""
    scene = at_its_best(metered(small_site(), "grid"))
    kw = drawn_kw(scene.snapshot())["grid"]
    scene = replace(scene, site=replace(scene.site, grid=replace(scene.site.grid, limit_kw=kw * 1.05)))
    scene.meters_kw = {"grid": kw}
    assert planned(scene)[1].now == ()
    scene.meters_kw = {"grid": kw * 1.09}
    snapshot, moves = planned(scene)
    assert downs(moves)
    assert MeasuredRoom.measured(scene.site, snapshot).grid_kw < 0.0
    (cap,) = above_caps(snapshot, limits_due(scene.site, [], NOW))
    assert cap.at == GRID_CONNECTION


def test_a_cap_is_not_exceeded_by_devices_that_only_say_so() -> None:
    scene = Scene(metered(small_site(), "grid"), price=0.0)
    kw = drawn_kw(scene.snapshot())["grid"]
    scene = replace(scene, site=replace(scene.site, grid=replace(scene.site.grid, limit_kw=kw * 0.995)))
    assert above_caps(scene.snapshot(), limits_due(scene.site, [], NOW))
    scene.meters_kw = {"grid": kw * 0.98}
    assert not above_caps(scene.snapshot(), limits_due(scene.site, [], NOW))


def test_silent_racks_that_were_just_asked_up_count_at_their_setpoint() -> None:
    """The meter does not show yet what they are going to draw."""
    scene = Scene(metered(small_site(), "grid"), price=0.0, kw=dict.fromkeys(DEVICES[:2], None))
    scene.racks = {"old": {"turbo": 4}}
    others_kw = drawn_kw(scene.snapshot())["grid"]
    scene.meters_kw = {"grid": others_kw}
    assert load_at(scene.site, scene.snapshot())[GRID_CONNECTION].silent_racks_kw == pytest.approx(0.0, abs=1e-6)
    scene.moved = {"old": NOW - timedelta(seconds=5)}
    assert load_at(scene.site, scene.snapshot())[GRID_CONNECTION].silent_racks_kw == pytest.approx(2 * 340.0 * PUE)
