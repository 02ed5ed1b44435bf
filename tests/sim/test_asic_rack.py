import itertools
import math
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.domain.site.machines import SLEEP, Fleet
from orchestrator.sim.racks.asic_rack import NO_FAULTS, FaultRates, RackModel

T0 = 1_694_030_400.0
BUSY = FaultRates(fail_per_machine_h=0.02, repair_s=1800.0, hang_per_machine_h=0.02, reset_s=600.0)


def rack(fleet: Fleet, *, awake: str | None = None, faults: FaultRates = NO_FAULTS, seed: int = 1) -> RackModel:
    return RackModel(fleet, "s21/rack-0", seed=seed, at=T0, awake=awake, faults=faults)


def test_warm_up_draws_full_power_and_hashes_nothing_for_five_minutes(fleet: Fleet) -> None:
    model = rack(fleet)
    model.set_mode("normal", T0)
    model.advance(T0 + 299)
    warming = model.report()
    assert warming.power_w > 0.96 * warming.power_limit_w
    assert warming.hashrate_hs == 0.0
    assert warming.hashes == 0.0
    assert (warming.warming, warming.hashing) == (300, 0)


def test_machines_start_to_hash_between_five_and_ten_minutes(fleet: Fleet) -> None:
    model = rack(fleet)
    model.set_mode("normal", T0)
    hashing = []
    for after_s in range(300, 601, 60):
        model.advance(T0 + after_s)
        hashing.append(model.report().hashing)
    assert hashing == sorted(hashing)
    assert 0 < hashing[2] < 300
    assert hashing[-1] == 300
    assert 0.98 * 300 * 200e12 <= model.report().hashrate_hs <= 300 * 200e12


def test_asleep_a_machine_draws_its_sleep_power_and_stays_cool(fleet: Fleet) -> None:
    model = rack(fleet, awake="normal")
    warm_c = model.report().temperature_c
    model.set_mode(SLEEP, T0)
    model.advance(T0 + 60)
    asleep = model.report()
    assert 0.96 * 15 * 300 < asleep.power_w <= 15 * 300 * 1.01
    assert (asleep.hashrate_hs, asleep.asleep) == (0.0, 300)
    model.advance(T0 + 900)
    assert 30 < model.report().temperature_c < 40 < 70 < warm_c < 85


def test_power_takes_seconds_to_fall_and_to_rise(fleet: Fleet) -> None:
    model = rack(fleet, awake="normal")
    full_w = model.report().power_w
    model.set_mode(SLEEP, T0)
    model.advance(T0 + 5)
    assert 0.3 * full_w < model.report().power_w < 0.45 * full_w
    model.advance(T0 + 60)
    model.set_mode("normal", T0 + 60)
    model.advance(T0 + 70)
    assert 0.55 * full_w < model.report().power_w < 0.7 * full_w


def test_a_change_of_mode_while_warm_costs_seconds_not_minutes(fleet: Fleet) -> None:
    model = rack(fleet, awake="eco")
    model.set_mode("normal", T0)
    model.advance(T0 + 5)
    assert model.report().hashing == 0
    model.advance(T0 + 10)
    assert model.report().hashing == 300


def test_a_mode_that_the_fleet_lacks_is_refused_and_changes_nothing(fleet: Fleet) -> None:
    model = rack(fleet, awake="eco")
    with pytest.raises(KeyError, match="no mode turbo"):
        model.set_mode("turbo", T0)
    assert model.setpoint == "eco"


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 1000),
    moves=st.lists(
        st.tuples(st.sampled_from([SLEEP, "eco", "normal"]), st.floats(1.0, 1500.0)), min_size=1, max_size=8
    ),
)
def test_power_never_exceeds_the_nameplate_it_moves_between_and_counters_only_rise(
    fleet: Fleet, seed: int, moves: list[tuple[str, float]]
) -> None:
    model = rack(fleet, seed=seed)
    at, before_w = T0, fleet.rack_kw(SLEEP) * 1000.0
    energy_j = hashes = 0.0
    for mode, stay_s in moves:
        model.set_mode(mode, at)
        mode_w = fleet.rack_kw(mode) * 1000.0
        for _ in range(10):
            at += stay_s / 10
            model.advance(at)
            report = model.report()
            assert report.power_w <= max(before_w, mode_w) * (1 + 1e-9)
            assert report.energy_j >= energy_j
            assert report.hashes >= hashes
            energy_j, hashes = report.energy_j, report.hashes
        before_w = max(mode_w, report.power_w)


@pytest.mark.parametrize("faults", [NO_FAULTS, BUSY], ids=["sound", "with faults"])
def test_counters_are_the_integrals_of_power_and_hashrate(fleet: Fleet, faults: FaultRates) -> None:
    model = rack(fleet, faults=faults)
    energy_j = hashes = 0.0
    step_s = 0.25
    for number in range(int(3600 / step_s)):
        at = T0 + number * step_s
        if number % 4000 == 0:
            model.set_mode([SLEEP, "normal", "eco"][number // 4000 % 3], at)
        before = model.report()
        model.advance(at + step_s)
        after = model.report()
        energy_j += step_s * (before.power_w + after.power_w) / 2
        hashes += step_s * (before.hashrate_hs + after.hashrate_hs) / 2
    assert math.isclose(model.energy_j, energy_j, rel_tol=1e-4)
    assert math.isclose(model.hashes, hashes, rel_tol=1e-3)


def test_the_size_of_the_steps_changes_nothing(fleet: Fleet) -> None:
    """Speed 1 and speed 60 poll a rack at 0.1 s and 6 s of site time; a virtual site at 30 s."""
    moves = [(T0 + 60, "normal"), (T0 + 1500, "eco"), (T0 + 2400, SLEEP), (T0 + 3000, "normal")]
    reports = []
    for step_s in (1.0, 6.0, 60.0):
        model = rack(fleet, faults=BUSY)
        for number in range(1, int(7200 / step_s) + 1):
            at = T0 + number * step_s
            model.advance(at)
            for when, mode in moves:
                if when == at:
                    model.set_mode(mode, at)
        reports.append(model.report())
    assert sum(report.failed + report.hung for report in reports) > 0
    for one, other in itertools.pairwise(reports):
        assert one[1:2] + one[8:] == other[1:2] + other[8:]
        assert one.energy_j == pytest.approx(other.energy_j, rel=1e-9)
        assert one.hashes == pytest.approx(other.hashes, rel=1e-9)
        assert one.power_w == pytest.approx(other.power_w, rel=1e-9)


def test_failed_machines_draw_and_hash_nothing_until_repaired(fleet: Fleet) -> None:
    model = rack(fleet, awake="normal")
    sound = model.report()
    model.fail(30, T0, repair_s=600.0)
    model.advance(T0 + 1)
    failed = model.report()
    assert failed.power_w == pytest.approx(0.9 * sound.power_w)
    assert failed.hashrate_hs == pytest.approx(0.9 * sound.hashrate_hs)
    assert (failed.failed, failed.hashing) == (30, 270)
    model.advance(T0 + 601)
    assert model.report().power_w == pytest.approx(sound.power_w)
    assert model.report().failed == 0


def test_a_hung_rack_keeps_its_power_ignores_setpoints_and_its_age_shows(fleet: Fleet) -> None:
    model = rack(fleet, awake="normal")
    model.advance(T0 + 100)
    last = model.report()
    model.hang(T0 + 100)
    model.set_mode(SLEEP, T0 + 110)
    model.advance(T0 + 700)
    hung = model.report()
    assert hung.at == T0 + 100
    assert (hung.power_w, hung.energy_j, hung.hung) == (last.power_w, last.energy_j, 300)
    assert model.power_w == pytest.approx(last.power_w), "it really draws on"
    assert model.hashes == last.hashes, "and hashes nothing"


def test_a_reset_rack_follows_its_setpoint_and_its_meter_has_run_on(fleet: Fleet) -> None:
    model = rack(fleet, awake="normal")
    model.hang(T0)
    model.set_mode(SLEEP, T0 + 10)
    model.reset(T0 + 600)
    model.advance(T0 + 660)
    report = model.report()
    assert report.at == T0 + 660
    assert report.power_w < 5000.0
    assert report.energy_j > 590 * 0.96 * 1_050_000
    assert report.hung == 0


def test_a_rack_reset_into_an_awake_mode_warms_up_again(fleet: Fleet) -> None:
    model = rack(fleet, awake="normal")
    model.hang(T0)
    model.reset(T0 + 60)
    model.advance(T0 + 300)
    assert model.report().hashing == 0
    model.advance(T0 + 700)
    assert model.report().hashing == 300


def test_machines_fail_and_come_back_at_the_rates_asked_for(fleet: Fleet) -> None:
    """0.02 an hour over 300 machines for 200 h: 1,200 failures expected, each half an hour out."""
    model = rack(fleet, awake="normal", faults=BUSY)
    random, out = Random(0), []
    for hour in range(200):
        model.advance(T0 + 3600.0 * (hour + random.random()))
        out.append(model.report().failed)
    assert 2.0 < sum(out) / len(out) < 4.0
