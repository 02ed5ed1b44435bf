"""Meters held against the devices behind them: which reading is believed, what is left unexplained, what is learnt."""

import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.domain.metering.metered import NO_METERS, SiteMeters
from orchestrator.domain.observation import Metric, Quality, Reading, Sample, Telemetry
from orchestrator.domain.rack_mix import RackMix
from orchestrator.domain.site.machines import SLEEP
from orchestrator.domain.site.site import Site
from orchestrator.domain.target import GRID_CONNECTION, Target
from orchestrator.domain.work import FleetView, Workloads
from orchestrator.observe.metering.bias import FIRST_SPREAD
from orchestrator.observe.metering.meter_against_devices import observe_meters
from tests.scenes import LONG_AGO, NOW, Scene, metered
from tests.sites import small_site

PUE = 1.1
OLD, NEW, H100 = Target.fleet("old"), Target.fleet("new"), Target.pool("h100")
SECOND, MINUTE, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(days=1)


class Watched:
    """The small site round after round: each fleet and the pool say what they are told to."""

    def __init__(self, *meters: str) -> None:
        self.site = metered(small_site(), *meters)
        self.seen = NO_METERS
        self.now = NOW
        self.moved_at = LONG_AGO

    def say(
        self,
        shown_kw: Mapping[str, float | None],
        said_kw: Mapping[Target, float],
        after: timedelta = timedelta(seconds=5),
        *,
        silent: int = 0,
    ) -> SiteMeters:
        """One round, `after` the one before. `silent` racks of the old fleet say nothing; a meter at None neither."""
        self.now += after
        samples = [
            Sample(Metric.METER_POWER, name, self._reading(kw)) for name, kw in shown_kw.items() if kw is not None
        ]
        for fleet in self.site.fleets:
            kw = said_kw[Target.fleet(fleet.name)] / fleet.racks
            racks = fleet.rack_names()[silent if fleet.name == "old" else 0 :]
            samples += [Sample(Metric.ASIC_POWER, rack, self._reading(kw)) for rack in racks]
        for pool in self.site.pools:
            kw = said_kw[Target.pool(pool.name)] / pool.nodes
            samples += [Sample(Metric.NODE_POWER, node, self._reading(kw)) for node in pool.node_names()]
        self.seen = observe_meters(self.site, Telemetry(self.now, samples), self._workloads(), PUE, self.seen, self.now)
        return self.seen

    def _reading(self, kw: float) -> Reading:
        return Reading(kw * 1000.0, "W", self.now, Quality.FRESH)

    def _workloads(self) -> Workloads:
        views = {
            fleet.name: FleetView(
                fleet=fleet.name,
                racks=RackMix({SLEEP: fleet.racks}),
                rack_modes=dict.fromkeys(fleet.rack_names(), SLEEP),
                last_up_at=self.moved_at,
                last_down_at=self.moved_at,
                last_wake_at=LONG_AGO,
                last_sleep_at=LONG_AGO,
            )
            for fleet in self.site.fleets
        }
        return Workloads(at=self.now, synced=True, fleets=views, jobs={}, pools={})


SAID = {OLD: 1000.0, NEW: 1400.0, H100: 200.0}
ALL_KW = sum(SAID.values()) * PUE


def test_what_comes_by_and_no_device_explains_is_shown() -> None:
    watched = Watched("grid", "a")
    meters = watched.say({"grid": ALL_KW + 100.0, "a": 1000.0 * PUE - 20.0}, SAID)
    grid, feeder = meters.meters["grid"], meters.meters["a"]
    assert (grid.at, feeder.at) == (GRID_CONNECTION, Target.feeder("a"))
    assert grid.kw == pytest.approx(ALL_KW + 100.0)
    assert grid.residual_kw == pytest.approx(100.0)
    assert feeder.residual_kw == pytest.approx(-20.0)
    meters = watched.say({"grid": ALL_KW + 60.0, "a": None}, SAID, after=timedelta(minutes=30))
    assert meters.meters["a"].kw is None
    assert meters.meters["a"].residual_kw is None
    meters = watched.say({"grid": ALL_KW, "a": 1000.0 * PUE}, SAID, after=timedelta(minutes=30))
    assert meters.kw(GRID_CONNECTION) == pytest.approx(ALL_KW)
    assert meters.kw(Target.feeder("b")) is None


def test_a_meter_that_shows_more_than_all_devices_can_draw_is_suspect_at_once() -> None:
    watched = Watched("grid")
    site = watched.site
    most_kw = (sum(of.nameplate_kw for of in site.fleets) + sum(of.nameplate_kw for of in site.pools)) * PUE * 1.25
    assert watched.say({"grid": most_kw * 0.999}, SAID).meters["grid"].kw == pytest.approx(most_kw * 0.999)
    meters = watched.say({"grid": most_kw * 1.001}, SAID)
    assert meters.meters["grid"].kw is None
    assert "at most" in meters.suspect["meter grid"]
    assert meters.silent == ["meter grid"]


@pytest.mark.parametrize("share", [0.0, 0.5, 0.8])
def test_a_meter_that_shows_far_less_than_the_devices_is_suspect_once_it_lasts(share: float) -> None:
    watched = Watched("grid")
    watched.say({"grid": ALL_KW}, SAID)
    within = watched.site.controls.verify_within
    assert watched.say({"grid": ALL_KW * share}, SAID).meters["grid"].kw is not None  # read a moment apart, maybe
    meters = watched.say({"grid": ALL_KW * share}, SAID, after=within - SECOND)
    assert meters.meters["grid"].kw is not None
    meters = watched.say({"grid": ALL_KW * share}, SAID, after=SECOND)
    assert meters.meters["grid"].kw is None
    assert "the devices behind it say" in meters.suspect["meter grid"]
    assert watched.say({"grid": ALL_KW * 0.9}, SAID).meters["grid"].kw is not None


def test_a_meter_that_stands_still_while_devices_move_is_suspect_until_it_moves() -> None:
    watched = Watched("grid")
    watched.say({"grid": ALL_KW}, SAID)
    less = {**SAID, NEW: 400.0}
    for _ in range(11):
        assert watched.say({"grid": ALL_KW}, less).meters["grid"].kw is not None
    for _ in range(4):
        meters = watched.say({"grid": ALL_KW}, less)
    assert "stood at" in meters.suspect["meter grid"]
    assert watched.say({"grid": ALL_KW - 1100.0}, less).meters["grid"].kw is not None


def test_a_meter_may_stand_still_while_nothing_moves_or_devices_fall_silent() -> None:
    watched = Watched("grid")
    for silent in (0, 0, 2, 2, 4, 4, 4, 0, 0):
        meters = watched.say({"grid": ALL_KW}, SAID, after=MINUTE, silent=silent)
        assert meters.meters["grid"].kw == pytest.approx(ALL_KW)
        assert meters.meters["grid"].unseen == silent
    assert not meters.suspect


def test_more_than_the_devices_say_is_believed_for_they_may_not_be_all() -> None:
    watched = Watched("grid")
    said = {**SAID, NEW: 20.0}  # one machine's series for a rack's
    for _ in range(30):
        meters = watched.say({"grid": ALL_KW}, said, after=MINUTE)
    assert meters.meters["grid"].kw == pytest.approx(ALL_KW)
    assert meters.meters["grid"].residual_kw == pytest.approx(1380.0 * PUE)


def test_an_old_reading_is_stale_and_a_missing_one_missing(scene_of: Callable[[Site], Scene]) -> None:
    site = metered(small_site(), "grid", "b")
    scene = scene_of(site)
    scene.meters_kw = {"grid": 2000.0}
    snapshot = scene.snapshot()
    assert snapshot.meters.meters["b"].reading.quality is Quality.MISSING
    assert "meter b" in snapshot.stale
    assert snapshot.silent_meters == ["meter b"]
    old = Telemetry(NOW, [Sample(Metric.METER_POWER, "grid", Reading(1e6, "W", NOW - 2 * MINUTE, Quality.FRESH))])
    seen = observe_meters(site, old, Workloads(NOW, True, {}, {}, {}), PUE, NO_METERS, NOW)
    assert seen.meters["grid"].reading.quality is Quality.STALE
    assert seen.meters["grid"].kw is None


def test_a_site_without_meters_sees_none(scene: Scene) -> None:
    scene.meters_kw = {"grid": 2000.0}
    assert scene.snapshot().meters == NO_METERS


# What is learnt


def biases(meters: SiteMeters) -> dict[Target, tuple[float, float]]:
    return {bias.of: (bias.share, bias.spread) for bias in meters.biases}


def live(watched: Watched, true: Mapping[Target, float], rounds: int, seed: int, meters: tuple[str, ...]) -> SiteMeters:
    """Rounds a minute apart in which fleets go up and down, with meters that are off by 0.2 % a reading."""
    dice = random.Random(seed)
    said = dict(SAID)
    seen = NO_METERS
    for number in range(rounds):
        if number % 10 == 0:
            said = {of: kw * dice.choice((0.1, 0.6, 1.0)) for of, kw in SAID.items()}
        drawn = {of: kw * PUE * (1.0 + true[of]) for of, kw in said.items()}
        shown = {"grid": sum(drawn.values()), "a": drawn[OLD], "b": drawn[NEW] + drawn[H100]}
        seen = watched.say({name: shown[name] * dice.gauss(1.0, 0.002) for name in meters}, said, after=MINUTE)
    return seen


@given(
    old=st.floats(-0.08, 0.08),
    new=st.floats(-0.08, 0.08),
    h100=st.floats(-0.08, 0.08),
    seed=st.integers(0, 10**6),
    meters=st.sampled_from([("grid",), ("a", "b"), ("grid", "a", "b")]),
)
@settings(max_examples=25, deadline=None)
def test_the_bias_of_each_fleet_is_learnt_within_its_spread(
    old: float, new: float, h100: float, seed: int, meters: tuple[str, ...]
) -> None:
    true = {OLD: old, NEW: new, H100: h100}
    seen = biases(live(Watched("grid", "a", "b"), true, 300, seed, meters))
    for of, bias in true.items():
        share, spread = seen[of]
        assert abs(share - bias) < 5 * spread
        assert spread < FIRST_SPREAD
    assert seen[NEW][1] < 0.01


def test_nothing_is_learnt_while_something_moves_or_somebody_is_silent() -> None:
    watched = Watched("grid")
    watched.moved_at = NOW
    for _ in range(5):
        meters = watched.say({"grid": ALL_KW * 1.05}, SAID)
    assert meters.learnt is None
    watched.moved_at = LONG_AGO
    meters = watched.say({"grid": ALL_KW * 1.05}, SAID, silent=1)
    assert meters.learnt is None
    learnt = watched.say({"grid": ALL_KW * 1.05}, SAID).learnt
    assert learnt is not None
    watched.moved_at = watched.now + MINUTE
    assert watched.say({"grid": ALL_KW * 1.2}, SAID, after=MINUTE).learnt == learnt


def test_a_fleet_whose_bias_moves_is_named_and_no_other() -> None:
    watched = Watched("grid", "a", "b")
    true = {OLD: -0.01, NEW: 0.02, H100: 0.0}
    every = ("grid", "a", "b")
    seen = live(watched, true, 600, 3, every)
    assert not [bias.of for bias in seen.biases if bias.moved]
    seen = live(watched, {**true, NEW: 0.11}, 90, 4, every)
    assert [bias.of for bias in seen.biases if bias.moved] == [NEW]
    (moved,) = [bias for bias in seen.biases if bias.moved]
    assert moved.share == pytest.approx(0.11, abs=0.02)
    assert moved.before == pytest.approx(0.02, abs=0.02)


def test_a_fleet_that_sleeps_is_known_less_and_less_well() -> None:
    watched = Watched("grid")
    live(watched, {OLD: 0.05, NEW: 0.0, H100: 0.0}, 200, 5, ("grid",))
    share, spread = biases(watched.seen)[OLD]
    asleep = {**SAID, OLD: 0.0}
    at = watched.now
    while watched.now < at + 30 * DAY:
        watched.say({"grid": (sum(asleep.values())) * PUE}, asleep, after=timedelta(hours=6))
    later, wider = biases(watched.seen)[OLD]
    assert abs(later) < abs(share)
    assert spread < wider <= FIRST_SPREAD


def test_a_round_changes_nothing_given_to_it() -> None:
    watched = Watched("grid")
    before = watched.say({"grid": ALL_KW}, SAID)
    kept = replace(before)
    watched.say({"grid": ALL_KW * 1.1}, SAID, after=MINUTE)
    assert before == kept
