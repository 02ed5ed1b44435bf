"""What the readings before rule out: values that stand still while their device moves, and hash without a warm-up."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.domain.observation import Metric, Quality, Reading, Sample, Telemetry
from orchestrator.domain.rack_mix import RackMix
from orchestrator.domain.site.machines import SLEEP
from orchestrator.domain.work import FleetView, Workloads
from orchestrator.observe.readings.plausibility import judged, suspects_of
from orchestrator.observe.readings.standstill import Watches, watched
from orchestrator.sim.racks.asic_rack import NO_FAULTS, FaultRates, RackModel
from tests.scenes import LONG_AGO, NOW
from tests.sites import small_site

SITE = small_site()
OLD = SITE.fleet("old")
RACK, NODE = "old/rack-1", "h100-node-7"
TICK = timedelta(seconds=10)
TICKS_TO_VERIFY = int((SITE.controls.verify_within + SITE.stale.telemetry_max_age) / TICK)
LATE_TICKS = int(SITE.stale.telemetry_max_age / TICK)
MODES = ["sleep", "eco", "normal", "turbo"]


@dataclass
class Watcher:
    """Devices that are read every tick, and what was made of it."""

    mode: str = "normal"
    now: datetime = NOW
    seen: Watches = field(default_factory=dict)

    def look(self, *values: tuple[Metric, str, float]) -> Mapping[str, str]:
        self.now += TICK
        readings = [Sample(metric, of, Reading(it, metric.unit, self.now, Quality.FRESH)) for metric, of, it in values]
        return self.take(Telemetry(self.now, readings))

    def take(self, telemetry: Telemetry) -> Mapping[str, str]:
        modes = dict.fromkeys(OLD.rack_names(), "normal") | {RACK: self.mode}
        view = FleetView("old", RackMix.counted(OLD, modes.values()), modes, LONG_AGO, LONG_AGO, LONG_AGO, LONG_AGO)
        workloads = Workloads(self.now, True, {"old": view}, {}, {})
        telemetry, self.seen = watched(SITE, judged(SITE, telemetry), workloads, self.seen)
        return suspects_of(telemetry)


def rack(kw: float, counter_kwh: float | None = None, phs: float | None = None) -> list[tuple[Metric, str, float]]:
    values = [(Metric.ASIC_POWER, RACK, kw * 1000.0)]
    values += [(Metric.ASIC_ENERGY, RACK, counter_kwh * 3.6e6)] if counter_kwh is not None else []
    values += [(Metric.ASIC_HASHRATE, RACK, phs * 1e15)] if phs is not None else []
    return values


def kwh(kw: float, ticks: int) -> float:
    return kw * ticks * TICK.total_seconds() / 3600.0


@settings(deadline=None)
@given(
    moves=st.lists(st.tuples(st.sampled_from(MODES), st.integers(1, 120)), min_size=1, max_size=6),
    tick_s=st.sampled_from([5, 15, 30, 60]),
    seed=st.integers(0, 1000),
    faults=st.sampled_from([NO_FAULTS, FaultRates(0.02, 1200.0, 0.02, 600.0)]),
    ignores=st.booleans(),
    whole=st.booleans(),
)
def test_a_rack_that_is_measured_truly_is_never_suspect(
    moves: list[tuple[str, int]], tick_s: int, seed: int, faults: FaultRates, ignores: bool, whole: bool
) -> None:
    """Constant by design, asleep for long, with machines that hang, and where it ignores what is asked of it; and
    with a counter of whole kWh."""
    watcher = Watcher()
    model = RackModel(OLD, RACK, seed=seed, at=NOW.timestamp(), awake="normal", faults=faults)
    for mode, ticks in moves:
        watcher.mode = mode
        if not ignores:
            model.set_mode(mode, watcher.now.timestamp())
        for _ in range(ticks):
            watcher.now += timedelta(seconds=tick_s)
            model.advance(watcher.now.timestamp())
            report = model.report()
            counter = report.energy_j // 3.6e6 * 3.6e6 if whole else report.energy_j
            telemetry = Telemetry(
                watcher.now,
                [
                    Sample(metric, RACK, Reading(value, metric.unit, watcher.now, Quality.FRESH))
                    for metric, value in (
                        (Metric.ASIC_POWER, report.power_w),
                        (Metric.ASIC_ENERGY, counter),
                        (Metric.ASIC_HASHRATE, report.hashrate_hs),
                    )
                ],
            )
            assert watcher.take(telemetry) == {}


@given(frozen=st.floats(0.0, 340.0), true=st.floats(0.0, 340.0), ticks=st.integers(2, 9 * LATE_TICKS))
def test_power_that_stands_still_is_held_against_the_energy_counter(frozen: float, true: float, ticks: int) -> None:
    watcher = Watcher()
    found: Mapping[str, str] = {}
    for tick in range(ticks + 1):
        found = watcher.look(*rack(frozen, 1000.0 + kwh(true, tick)))
    beyond = abs(frozen - true) * ticks - 340.0 * (0.2 * ticks + LATE_TICKS)
    if beyond > 0.1 and true > 0.001:
        assert found[RACK].startswith(f"asic_power_watts: {frozen:.4g} kW to the last digit since 19:00:10, while")
        assert f"goes on at {true:.4g} kW" in found[RACK]
    elif beyond < -0.1 and true > 0.001:
        assert RACK not in found


@given(true=st.floats(0.0, 340.0), late_s=st.lists(st.floats(0.0, 59.0), min_size=2, max_size=60))
def test_a_constant_device_whose_readings_come_late_by_less_than_they_stay_good_for_is_believed(
    true: float, late_s: list[float]
) -> None:
    """As of an exporter on a busy machine, on site time that runs fast."""
    watcher = Watcher()
    for tick, late in enumerate(late_s):
        read_at = tick * TICK.total_seconds() * 6.0 + late
        watcher.now = NOW + timedelta(seconds=read_at) - TICK
        said_kwh = 1000.0 + true * tick * 60.0 / 3600.0
        assert watcher.look(*rack(true, said_kwh)) == {}


def test_an_exporter_that_serves_the_same_page_for_ever_is_suspect_where_its_rack_hashes() -> None:
    watcher = Watcher()
    for _ in range(2 * TICKS_TO_VERIFY + 2):
        found = watcher.look(*rack(300.0, 1000.0, 10.0))
    assert found[RACK].endswith("300 kW to the last digit since 19:00:10, and its energy counter stands still as well")
    watcher.mode = SLEEP
    asleep = Watcher(mode=SLEEP)
    for _ in range(40 * TICKS_TO_VERIFY):
        assert asleep.look(*rack(1.5, 1000.0, 0.0)) == {}


@pytest.mark.parametrize(("asked", "suspect"), [("sleep", True), ("normal", False), ("turbo", True)])
def test_of_a_rack_without_a_counter_power_that_never_moves_is_suspect_where_its_setpoint_did(
    asked: str, suspect: bool
) -> None:
    watcher = Watcher()
    for _ in range(3 * TICKS_TO_VERIFY):
        assert watcher.look(*rack(300.0)) == {}
    watcher.mode = asked
    for _ in range(TICKS_TO_VERIFY):
        assert watcher.look(*rack(300.0)) == {}
    found = watcher.look(*rack(300.0))
    assert (RACK in found) == suspect
    if suspect:
        assert f"though its setpoint went from 300 kW to {OLD.rack_kw(asked):.4g} kW" in found[RACK]
    watcher.mode = "normal"
    assert watcher.look(*rack(300.0)) == {}  # asked back, it is where it should be
    watcher.mode = asked
    assert watcher.look(*rack(299.9)) == {}


def test_what_is_suspect_stays_so_between_two_readings_and_is_believed_again_once_it_moves() -> None:
    watcher = Watcher()
    for tick in range(3 * TICKS_TO_VERIFY):
        watcher.look(*rack(300.0, kwh(10.0, tick)))
    same = Telemetry(
        watcher.now,
        [
            Sample(m, of, Reading(v, m.unit, watcher.now, Quality.FRESH))
            for m, of, v in rack(300.0, kwh(10.0, 3 * TICKS_TO_VERIFY))
        ],
    )
    assert RACK in watcher.take(same)
    assert RACK in watcher.take(same)
    assert watcher.look(*rack(10.0, kwh(10.0, 3 * TICKS_TO_VERIFY + 1))) == {}


def test_a_jump_of_the_counter_says_nothing_of_power() -> None:
    watcher = Watcher()
    for tick in range(3 * TICKS_TO_VERIFY):
        jump = 1e6 if tick > TICKS_TO_VERIFY else 0.0
        assert watcher.look(*rack(300.0, 1000.0 + kwh(300.0, tick) + jump)) == {}


def test_a_node_that_stands_still_while_its_gpus_work_is_suspect() -> None:
    watcher = Watcher()
    for _ in range(TICKS_TO_VERIFY):
        assert watcher.look((Metric.NODE_POWER, NODE, 4000.0), (Metric.GPU_POWER, NODE, 2200.0)) == {}
    for _ in range(TICKS_TO_VERIFY + 1):
        found = watcher.look((Metric.NODE_POWER, NODE, 4000.0), (Metric.GPU_POWER, NODE, 3900.0))
    assert "4 kW to the last digit since 19:00:10, though its GPUs went from 2.2 kW to 3.9 kW" in found[NODE]


@given(after_s=st.integers(10, 1000), share=st.floats(0.3, 1.0))
def test_hash_comes_up_with_the_warm_up_and_no_faster(after_s: int, share: float) -> None:
    watcher = Watcher()
    watcher.look(*rack(1.5, phs=0.0))
    watcher.now += timedelta(seconds=after_s) - TICK
    found = watcher.look(*rack(300.0, phs=share * 11.3))
    soonest_s = 0.25 * OLD.warm_up.total_seconds()
    assert (RACK in found) == (share > 0.25 + after_s / soonest_s)
    if found:
        assert f"{after_s} s after it drew next to nothing; its machines warm up for 480 s" in found[RACK]


def test_a_rack_that_was_never_seen_off_may_hash_at_once_and_a_fleet_without_a_warm_up_too() -> None:
    assert Watcher().look(*rack(300.0, phs=10.5)) == {}
    prompt = replace(SITE, fleets=tuple(replace(fleet, warm_up=timedelta(0)) for fleet in SITE.fleets))
    watcher = Watcher()
    watcher.look(*rack(1.5, phs=0.0))
    modes = dict.fromkeys(OLD.rack_names(), "normal")
    view = FleetView("old", RackMix.counted(OLD, modes.values()), modes, LONG_AGO, LONG_AGO, LONG_AGO, LONG_AGO)
    at = watcher.now + TICK
    telemetry = Telemetry(
        at, [Sample(m, of, Reading(v, m.unit, at, Quality.FRESH)) for m, of, v in rack(300.0, phs=10.5)]
    )
    assert watched(prompt, telemetry, Workloads(at, True, {"old": view}, {}, {}), watcher.seen)[0] is telemetry


def test_a_device_that_says_what_cannot_be_true_keeps_its_memory() -> None:
    watcher = Watcher()
    watcher.look(*rack(300.0))
    before = watcher.seen[RACK]
    found = watcher.look(*rack(9e9))
    assert "are possible" in found[RACK]
    assert watcher.seen[RACK] is before
