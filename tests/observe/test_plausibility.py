"""Readings that cannot be true are named, and count as silence of their device: nobody else is hurt by them."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.dispatch.dispatch import dispatch
from orchestrator.domain.observation import Metric, Quality, Reading, Sample, Telemetry
from orchestrator.domain.site.machines import SLEEP, Mode
from orchestrator.domain.site.site import Site
from orchestrator.observe.readings.plausibility import judged, suspects_of
from tests.scenes import NOW, Scene
from tests.sites import small_site

SITE = small_site()
RACK, NODE = "old/rack-1", "h100-node-7"
NAMEPLATE_W = {RACK: 100 * 3400.0, NODE: 1800.0 + 8 * 700.0}
DCGM_BLANK = 140737488355328.0
"""What DCGM says of a value that it does not have, where an exporter passes it on."""


def read(*samples: tuple[Metric, str, float], seconds_apart: float = 0.0) -> Telemetry:
    return Telemetry(
        NOW,
        [
            Sample(
                metric, subject, Reading(value, metric.unit, NOW - timedelta(seconds=n * seconds_apart), Quality.FRESH)
            )
            for n, (metric, subject, value) in enumerate(samples)
        ],
    )


@given(
    mode=st.sampled_from(SITE.fleet("old").modes),
    draw=st.floats(0.6, 1.2),
    hash_share=st.floats(0.0, 1.0),
    machines=st.integers(0, 100),
)
def test_what_a_rack_can_do_is_believed(mode: Mode, draw: float, hash_share: float, machines: int) -> None:
    """Any number of its machines in any mode, warming up or not, with tuned and uneven ones among them."""
    power_w, hash_ths = mode.power_w, mode.hashrate_ths
    asleep_w = (100 - machines) * SITE.fleet("old").sleep_w
    telemetry = read(
        (Metric.ASIC_POWER, RACK, asleep_w + machines * power_w * draw),
        (Metric.ASIC_HASHRATE, RACK, machines * hash_ths * 1e12 * hash_share),
    )
    assert judged(SITE, telemetry) is telemetry


@given(gpus=st.integers(0, 8), watts=st.floats(60.0, 720.0), own=st.floats(0.3, 1.2))
def test_what_a_node_can_do_is_believed(gpus: int, watts: float, own: float) -> None:
    gpus_w = gpus * watts + (8 - gpus) * 70.0
    telemetry = read((Metric.NODE_POWER, NODE, gpus_w + 1800.0 * own), (Metric.GPU_POWER, NODE, gpus_w))
    assert judged(SITE, telemetry) is telemetry


@given(times=st.floats(1.26, 1e9), subject=st.sampled_from([RACK, NODE]))
def test_more_than_nameplate_can_explain_is_suspect_at_any_size(times: float, subject: str) -> None:
    metric = Metric.ASIC_POWER if subject == RACK else Metric.NODE_POWER
    reading = judged(SITE, read((metric, subject, NAMEPLATE_W[subject] * times))).get(metric, subject)
    assert reading.quality is Quality.SUSPECT
    assert reading.believed is None
    assert "are possible" in reading.reason


@pytest.mark.parametrize(
    ("samples", "told"),
    [
        pytest.param(
            [(Metric.ASIC_POWER, RACK, 0.0), (Metric.ASIC_HASHRATE, RACK, 9e15)],
            f"{Metric.ASIC_POWER.value}: 0 kW drawn and 9 PH/s hashed, which takes 120 kW at least",
            id="hashes for nothing",
        ),
        pytest.param(
            [(Metric.ASIC_HASHRATE, RACK, 9e18)],
            f"{Metric.ASIC_HASHRATE.value}: 9e+03 PH/s hashed; at most 14.1 PH/s are possible",
            id="a unit too far",
        ),
        pytest.param(
            [(Metric.ASIC_TEMPERATURE, RACK, 6500.0)],
            f"{Metric.ASIC_TEMPERATURE.value}: 6500 degC; -50 to 200 are possible",
            id="no temperature",
        ),
        pytest.param(
            [(Metric.NODE_POWER, NODE, 1200.0), (Metric.GPU_POWER, NODE, 5600.0)],
            f"{Metric.NODE_POWER.value}: 1.2 kW drawn, and 5.6 kW by its GPUs, which are a part of it",
            id="less than its parts",
        ),
        pytest.param(
            [(Metric.NODE_POWER, NODE, DCGM_BLANK)],
            f"{Metric.NODE_POWER.value}: 1.407e+11 kW drawn; at most 9.25 kW are possible",
            id="a blank",
        ),
    ],
)
def test_what_does_not_fit_is_told_with_its_figures(samples: list[tuple[Metric, str, float]], told: str) -> None:
    assert suspects_of(judged(SITE, read(*samples))) == {samples[0][1]: told}


def test_readings_of_two_moments_are_not_held_against_each_other() -> None:
    """A rack that went to sleep between the two has truly hashed, and truly draws nothing."""
    telemetry = read((Metric.ASIC_POWER, RACK, 1500.0), (Metric.ASIC_HASHRATE, RACK, 9e15), seconds_apart=5.0)
    assert judged(SITE, telemetry) is telemetry


def test_a_reading_that_is_old_stays_suspect() -> None:
    reading = judged(SITE, read((Metric.NODE_POWER, NODE, 1e6))).get(Metric.NODE_POWER, NODE)
    assert reading.graded(NOW + timedelta(days=1), timedelta(minutes=1)).quality is Quality.SUSPECT


@pytest.mark.parametrize("node_kw", [1000.0, DCGM_BLANK / 1000.0])
def test_one_node_that_reads_a_megawatt_hurts_nobody(site: Site, node_kw: float) -> None:
    """It counts at its nameplate, as if it were silent: no rack sleeps for it, no job pauses, no GPU slows."""
    scene = Scene(site, price=20.0, judge=judged)
    scene.racks = {"old": {"normal": 4}, "new": {"normal": 4}}
    for number in range(3):
        scene.job(f"bank-{number}", "bank", 80)
    calm = dispatch(site, scene.snapshot())
    scene.kw = {NODE: node_kw}
    snapshot = scene.snapshot()
    desired = dispatch(site, snapshot)
    assert set(snapshot.suspect) == {NODE}
    assert snapshot.pools["h100"].silent == {NODE}
    assert snapshot.measured.grid_kw < site.grid.limit_kw
    assert desired.jobs == calm.jobs
    assert desired.gpu_limit_w == calm.gpu_limit_w
    assert all(racks.get(SLEEP, 0) == 0 for racks in desired.racks.values())


def test_a_rack_that_hashes_for_nothing_counts_at_nameplate(site: Site) -> None:
    scene = Scene(site, price=20.0, judge=judged)
    scene.racks = {"old": {"eco": 4}, "new": {"eco": 4}}
    scene.kw, scene.hash_hs = {RACK: 0.0}, {RACK: 9e15}
    status = scene.snapshot().fleets["old"]
    assert status.silent == {RACK}
    assert status.counted_kw == pytest.approx(3 * 240.0 + 340.0)


def test_a_mode_that_hashes_nothing_bounds_no_power() -> None:
    old = SITE.fleet("old")
    idle = replace(SITE, fleets=(replace(old, modes=(Mode("idle", 300.0, 0.0),), default_mode="idle"),))
    telemetry = read((Metric.ASIC_POWER, RACK, 30_000.0), (Metric.ASIC_HASHRATE, RACK, 0.0))
    assert judged(idle, telemetry) is telemetry


def test_what_comes_as_suspect_stays_so_and_proves_nothing_of_others() -> None:
    """GPUs that an exporter shows twice say nothing against their node."""
    reason = "16 series of DCGM_FI_DEV_POWER_USAGE, 8 are expected"
    twice = Reading(2 * 5600.0, "W", NOW, Quality.SUSPECT, reason)
    node = Reading(7400.0, "W", NOW, Quality.FRESH)
    telemetry = judged(
        SITE, Telemetry(NOW, [Sample(Metric.GPU_POWER, NODE, twice), Sample(Metric.NODE_POWER, NODE, node)])
    )
    assert telemetry.get(Metric.NODE_POWER, NODE) == node
    assert suspects_of(telemetry) == {NODE: f"{Metric.GPU_POWER.value}: {reason}"}
