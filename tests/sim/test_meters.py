"""The simulated meters: true to the devices within their class."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orchestrator.domain.observation import Metric
from orchestrator.settings import load_settings
from orchestrator.sim.meters.meter_model import GAIN, NOISE, Drawn, MeterBank, PueCurve
from orchestrator.sim.virtual import VirtualSite

START = datetime(2023, 9, 6, 18, 0, tzinfo=UTC)
EXAMPLE = Path(__file__).parents[2] / "examples" / "texas-100mw.yaml"
CLASS = max(GAIN) + 5 * NOISE


def test_a_meter_is_off_by_its_own_share_and_keeps_it() -> None:
    bank = MeterBank({"grid": ["a", "b"], "north": ["a"]}, PueCurve([(0.0, 1.1)]), seed=7)
    drawn = {"a": Drawn(1e6, 0.0), "b": Drawn(2e6, 0.0)}
    readings = [bank.read(drawn, 0.0) for _ in range(200)]
    for name, true_w in (("grid", 3.3e6), ("north", 1.1e6)):
        shares = [shown[name].power_w / true_w - 1.0 for shown in readings]
        gain = sum(shares) / len(shares)
        assert GAIN[0] - NOISE <= gain <= GAIN[1] + NOISE
        assert max(abs(share - gain) for share in shares) < 6 * NOISE
        assert len(set(shares)) > 100
    other = MeterBank({"grid": ["a", "b"]}, PueCurve([(0.0, 1.1)]), seed=8).read(drawn, 0.0)
    again = MeterBank({"grid": ["a", "b"]}, PueCurve([(0.0, 1.1)]), seed=7).read(drawn, 0.0)
    assert again["grid"] == readings[0]["grid"]
    assert again["grid"] != other["grid"]


def test_energy_goes_on_where_a_device_begins_anew_and_counts_none_that_was_before() -> None:
    bank = MeterBank({"grid": ["a"]}, PueCurve([(0.0, 1.0), (100.0, 2.0)]), seed=1)
    assert bank.read({"a": Drawn(0.0, 5e9)}, 0.0)["grid"].energy_j == 0.0
    gained = bank.read({"a": Drawn(0.0, 5e9 + 1000.0)}, 50.0)["grid"].energy_j
    assert gained == pytest.approx(1500.0, rel=CLASS)
    assert bank.read({}, 60.0)["grid"].energy_j == gained
    anew = bank.read({"a": Drawn(0.0, 200.0)}, 100.0)["grid"].energy_j
    assert anew - gained == pytest.approx(400.0, rel=CLASS)


async def test_the_example_day_has_meters_that_are_true_on_the_virtual_site() -> None:
    site = load_settings(EXAMPLE, {}).site
    devices = VirtualSite(site, start=START, seed=3, awake=True, pue=((START, 1.08),))
    devices.hang("s21/rack-0")
    devices.silence("s21-xp/rack-1")
    await devices.renew(START + timedelta(hours=1), START)
    for minutes in (1, 20):
        telemetry = await devices.read(START + timedelta(minutes=minutes))
        grid = telemetry.get(Metric.METER_POWER, "grid").value
        assert grid == pytest.approx(devices.true_it_kw() * 1000.0 * 1.08, rel=CLASS)
        feeders = [telemetry.get(Metric.METER_POWER, feeder.name).value or 0.0 for feeder in site.feeders]
        assert sum(feeders) == pytest.approx(grid, rel=2 * CLASS)
    devices.silence("north")
    kept = (await devices.read(devices.now)).get(Metric.METER_POWER, "north")
    later = await devices.read(devices.now + timedelta(minutes=1))
    assert later.get(Metric.METER_POWER, "north") == kept
    assert later.get(Metric.METER_POWER, "south").at == devices.now
