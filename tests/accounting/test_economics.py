"""What a watt earns, against figures worked out by hand."""

import csv
import itertools
from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from orchestrator.accounting.economics import (
    hash_revenue_usd,
    job_pause_threshold_usd_per_mwh,
    job_value_usd_per_mwh,
    mining_value_usd_per_mwh,
    mode_steps,
    sleep_threshold_usd_per_mwh,
    wake_value_usd_per_mwh,
)
from orchestrator.domain.site.gpus import THROUGHPUT_AT_POWER_SHARE, GpuPool
from orchestrator.domain.site.machines import SLEEP, Fleet, Mode
from orchestrator.domain.site.site import Tenant
from orchestrator.domain.sla import SlaClass
from orchestrator.domain.work import Job

ANY_SPEED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
HASHPRICE = 61.821
"""USD per PH/s per day, 6 September 2023."""
HOUR = timedelta(hours=1)
WARM_UP = timedelta(minutes=8)

S21 = Fleet(
    name="s21",
    model="Antminer S21",
    feeder="north",
    racks=10,
    machines_per_rack=300,
    modes=(Mode("eco", 2800.0, 175.0), Mode("normal", 3500.0, 200.0)),
    default_mode="normal",
    sleep_w=15.0,
    warm_up=WARM_UP,
    min_on=HOUR,
    min_off=HOUR / 2,
)
H100 = GpuPool(
    name="h100",
    gpu_model="NVIDIA H100 80GB HBM3",
    feeder="south",
    nodes=16,
    gpus_per_node=8,
    gpu_power_w=700.0,
    gpu_min_power_w=200.0,
    gpu_idle_w=70.0,
    node_overhead_w=1800.0,
)
JOB = Job("train", "acme", "h100", 64, 64 * 3600.0, datetime(2023, 9, 6, tzinfo=UTC), None, HOUR / 4, HOUR / 12)
TENANT = Tenant("acme", SlaClass.FLEXIBLE, 2.5, 0.1, 2)


@pytest.fixture
def shared_data() -> Path:
    folder = Path(__file__).resolve().parents[3] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the folder of real data, ../shared/data beside the project, is not here")
    return folder


# --- mining


def test_a_petahash_kept_up_for_a_day_earns_the_hashprice() -> None:
    assert hash_revenue_usd(1e15 * 86_400, HASHPRICE) == pytest.approx(HASHPRICE)


@pytest.mark.parametrize(
    ("power_w", "hashrate_ths", "pue", "usd_per_mwh"),
    [
        # 0.2 PH/s x 61.821 / 24 h = 0.515175 USD/h from 0.0035 MW
        (3500.0, 200.0, 1.0, 147.193),
        # the same from 0.00385 MW
        (3500.0, 200.0, 1.1, 133.812),
        # S19j Pro: 0.1 PH/s x 61.821 / 24 h = 0.2575875 USD/h from 0.00305 MW
        (3050.0, 100.0, 1.0, 84.455),
    ],
)
def test_what_hash_is_worth_per_mwh(power_w: float, hashrate_ths: float, pue: float, usd_per_mwh: float) -> None:
    assert mining_value_usd_per_mwh(power_w, hashrate_ths, HASHPRICE, pue) == pytest.approx(usd_per_mwh, abs=0.001)


def test_steps_go_from_sleep_up_through_the_modes_worth_less_and_less() -> None:
    wake, push = mode_steps(S21, HASHPRICE, pue=1.0)
    assert (wake.from_mode, wake.to_mode, push.from_mode, push.to_mode) == (SLEEP, "eco", "eco", "normal")
    # 300 machines x 2,785 W; 0.175 PH/s x 61.821 / 24 h = 0.450778 USD/h from 0.002785 MW
    assert wake.rise_kw == pytest.approx(835.5)
    assert wake.value_usd_per_mwh == pytest.approx(161.859, abs=0.001)
    # 300 machines x 700 W; 0.025 PH/s x 61.821 / 24 h = 0.0643969 USD/h from 0.0007 MW
    assert push.rise_kw == pytest.approx(210.0)
    assert push.value_usd_per_mwh == pytest.approx(91.996, abs=0.001)


def test_a_mode_that_a_mix_of_its_neighbours_beats_is_left_out() -> None:
    fleet = replace(S21, modes=(Mode("poor", 1500.0, 60.0), *S21.modes))
    assert mode_steps(fleet, HASHPRICE, 1.0) == mode_steps(S21, HASHPRICE, 1.0)


def test_a_mode_that_draws_more_and_hashes_no_more_is_never_reached() -> None:
    fleet = replace(S21, modes=(*S21.modes, Mode("hot", 4000.0, 200.0)))
    assert mode_steps(fleet, HASHPRICE, 1.0) == mode_steps(S21, HASHPRICE, 1.0)


def test_modes_in_a_line_are_one_step() -> None:
    fleet = replace(S21, sleep_w=0.0, modes=(Mode("half", 1000.0, 50.0), Mode("full", 2000.0, 100.0)))
    (step,) = mode_steps(fleet, HASHPRICE, 1.0)
    assert (step.from_mode, step.to_mode) == (SLEEP, "full")


fleets = st.builds(
    lambda sleep_w, powers, hashes: replace(
        S21,
        sleep_w=float(sleep_w),
        modes=tuple(
            Mode(f"m{n}", float(power), float(ths))
            for n, (power, ths) in enumerate(zip(sorted(powers), hashes, strict=False))
        ),
    ),
    st.integers(0, 50),
    st.lists(st.integers(100, 8000), min_size=1, max_size=6, unique=True),
    st.lists(st.integers(1, 500), min_size=6, max_size=6),
)


@given(fleets, st.floats(1.0, 500.0), st.floats(1.0, 2.0))
@ANY_SPEED
def test_steps_are_the_concave_hull_of_the_modes(fleet: Fleet, hashprice: float, pue: float) -> None:
    steps = mode_steps(fleet, hashprice, pue)
    assert steps[0].from_mode == SLEEP
    assert all(low.to_mode == high.from_mode for low, high in itertools.pairwise(steps))
    assert all(step.rise_kw > 0 and step.value_usd_per_mwh > 0 for step in steps)
    values = [step.value_usd_per_mwh for step in steps]
    assert all(low >= high * (1 - 1e-9) for low, high in itertools.pairwise(values))
    # No mode earns more than a mix of the two modes of the hull that its power lies between, or than the last.
    corners = [(fleet.sleep_w, 0.0)] + [
        (fleet.mode(s.to_mode).power_w, fleet.mode(s.to_mode).hashrate_ths) for s in steps
    ]
    assert corners[-1][1] == max(mode.hashrate_ths for mode in fleet.modes)
    for mode in fleet.modes:
        assert mode.hashrate_ths <= _mix_ths(corners, mode.power_w) * (1 + 1e-9)


def _mix_ths(corners: list[tuple[float, float]], power_w: float) -> float:
    for (low_w, low), (high_w, high) in itertools.pairwise(corners):
        if power_w <= high_w:
            return low + (high - low) * (power_w - low_w) / (high_w - low_w)
    return corners[-1][1]


@given(fleets, st.floats(1.0, 500.0), st.floats(1.0, 2.0))
@ANY_SPEED
def test_climbing_the_steps_earns_what_the_top_mode_earns(fleet: Fleet, hashprice: float, pue: float) -> None:
    steps = mode_steps(fleet, hashprice, pue)
    top = fleet.mode(steps[-1].to_mode)
    usd_per_h = sum(step.value_usd_per_mwh * step.rise_kw * pue / 1000 for step in steps)
    hashes_per_h = fleet.machines_per_rack * top.hashrate_ths * 1e12 * 3600
    assert usd_per_h == pytest.approx(hash_revenue_usd(hashes_per_h, hashprice))
    assert sum(step.rise_kw for step in steps) == pytest.approx(fleet.rack_kw(top.name) - fleet.rack_kw(SLEEP))


# --- sleeping and waking


def test_waking_is_worth_less_by_the_share_of_the_warm_up() -> None:
    assert wake_value_usd_per_mwh(150.0, WARM_UP, HOUR) == pytest.approx(130.0)


def test_waking_for_less_than_the_warm_up_is_worth_nothing() -> None:
    assert wake_value_usd_per_mwh(150.0, WARM_UP, WARM_UP / 2) == 0.0


def test_sleeping_pays_above_the_value_of_hash_and_the_warm_up_on_top() -> None:
    assert sleep_threshold_usd_per_mwh(150.0, WARM_UP, HOUR) == pytest.approx(170.0)


values = st.floats(1.0, 1000.0)
spans = st.timedeltas(timedelta(minutes=5), timedelta(hours=12))


@given(values, spans, spans)
@ANY_SPEED
def test_at_the_sleep_threshold_both_ways_earn_the_same(value: float, warm_up: timedelta, away: timedelta) -> None:
    """One MW, over `away` and a warm-up after it: awake all along, or asleep and then warming up."""
    price = sleep_threshold_usd_per_mwh(value, warm_up, away)
    away_h, warm_up_h = away / HOUR, warm_up / HOUR
    awake_usd = (value - price) * (away_h + warm_up_h)
    asleep_usd = -price * warm_up_h
    assert awake_usd == pytest.approx(asleep_usd, abs=1e-6 * value)


@given(values, spans, spans)
@ANY_SPEED
def test_at_its_wake_value_a_rack_that_wakes_breaks_even(value: float, warm_up: timedelta, stay: timedelta) -> None:
    assume(stay > warm_up)
    price = wake_value_usd_per_mwh(value, warm_up, stay)
    assert value * ((stay - warm_up) / HOUR) == pytest.approx(price * (stay / HOUR), abs=1e-6 * value)


@given(values, spans, spans)
@ANY_SPEED
def test_the_price_to_wake_at_lies_below_the_price_to_sleep_at(
    value: float, warm_up: timedelta, span: timedelta
) -> None:
    """Between the two nothing moves: a price that goes to and fro there flaps nothing."""
    assert wake_value_usd_per_mwh(value, warm_up, span) < value < sleep_threshold_usd_per_mwh(value, warm_up, span)


# --- jobs


def test_a_running_job_draws_what_its_gpus_draw_above_idle() -> None:
    assert H100.rise_kw(JOB.gpus, 700.0) == pytest.approx(40.32)  # 64 x 630 W
    assert H100.rise_kw(JOB.gpus, 400.0) == pytest.approx(21.12)  # 64 x 330 W
    assert H100.rise_kw(JOB.gpus, 50.0) == 0.0


def test_what_a_job_is_worth_per_mwh() -> None:
    # 64 x 2.50 = 160 USD/h from 40.32 kW x 1.25 = 0.0504 MW
    assert job_value_usd_per_mwh(JOB.gpus, TENANT, 40.32, 1.25) == pytest.approx(3174.603, abs=0.001)


def test_pausing_a_job_pays_above_its_value_its_lost_work_and_its_credit() -> None:
    threshold = job_pause_threshold_usd_per_mwh(1000.0, HOUR / 12, HOUR / 6, 50.0, HOUR)
    assert threshold == pytest.approx(1300.0)  # 1,000 x (1 + 15 / 60) + 50


@pytest.mark.parametrize(("share", "speed"), [(0.0, 0.0), (0.5, 0.751), (0.75, 0.985), (1.0, 1.0), (1.2, 1.0)])
def test_training_speed_at_a_power_limit(share: float, speed: float) -> None:
    assert H100.throughput(share * H100.gpu_power_w) == pytest.approx(speed)


def test_training_speed_between_measured_points_is_linear() -> None:
    # halfway from (0.500, 0.751) to (0.583, 0.929)
    assert H100.throughput(0.5415 * 700.0) == pytest.approx(0.840)


@given(st.floats(0, 900), st.floats(0, 900))
@ANY_SPEED
def test_more_power_never_trains_slower(one_w: float, other_w: float) -> None:
    low, high = sorted((one_w, other_w))
    assert 0.0 <= H100.throughput(low) <= H100.throughput(high) <= 1.0


def test_the_points_are_the_medians_of_the_zeus_measurements(shared_data: Path) -> None:
    epoch_s: dict[tuple[str, ...], dict[float, float]] = defaultdict(dict)
    with (shared_data / "gpu" / "zeus_summary_power_a40.csv").open(encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            setting = (row["dataset"], row["network"], row["batch_size"], row["optimizer"])
            epoch_s[setting][float(row["power_limit"])] = float(row["time_per_epoch"])
    speeds: dict[float, list[float]] = defaultdict(list)
    for times in epoch_s.values():
        if 300.0 in times:
            for limit_w, seconds in times.items():
                speeds[limit_w / 300.0].append(times[300.0] / seconds)
    measured = sorted((share, median(speed)) for share, speed in speeds.items())
    for (share, speed), (measured_share, measured_speed) in zip(THROUGHPUT_AT_POWER_SHARE, measured, strict=True):
        assert share == pytest.approx(measured_share, abs=0.0005)
        assert speed == pytest.approx(measured_speed, abs=0.0006)
