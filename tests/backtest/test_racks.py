"""What racks draw, hash and lose by warming up in a backtest."""

from datetime import UTC, datetime

import numpy as np
import pytest

from orchestrator.backtest.racks import Racks
from orchestrator.dispatch.baseline import default_modes
from orchestrator.domain.site.site import Site

START = datetime(2024, 5, 1, tzinfo=UTC)
QUARTER_S = 900.0


def racks(site: Site, *, awake: bool = True) -> Racks:
    return Racks(site, START, awake=awake)


def test_awake_fleets_hash_in_their_default_modes(site: Site) -> None:
    site = default_modes(site)
    settled = racks(site).settle(np.zeros(len(site.fleets), dtype=np.int64), QUARTER_S)
    for row, fleet in enumerate(site.fleets):
        default = fleet.mode(fleet.default_mode)
        assert settled.it_kw[row] == pytest.approx(fleet.racks * fleet.rack_kw(fleet.default_mode))
        assert settled.hashes[row] == pytest.approx(default.hashrate_ths * 1e12 * fleet.machines * QUARTER_S)


def test_asleep_fleets_draw_their_sleep_power(site: Site) -> None:
    settled = racks(site, awake=False).settle(np.zeros(len(site.fleets), dtype=np.int64), QUARTER_S)
    assert settled.it_kw.tolist() == pytest.approx([fleet.racks * fleet.rack_kw("sleep") for fleet in site.fleets])
    assert settled.hashes.tolist() == [0.0] * len(site.fleets)


def test_a_rack_that_wakes_draws_power_and_hashes_only_once_it_is_warm(site: Site) -> None:
    house = racks(site, awake=False)
    fleet = site.fleets[0]
    warm_s = fleet.warm_up.total_seconds()
    at_step = house.columns.at_step.copy()
    at_step[0, 0] = 1
    woken = house.move(at_step, START.timestamp())
    assert woken[0] == 1
    first = house.settle(woken, QUARTER_S)
    second = house.settle(np.zeros_like(woken), QUARTER_S)
    assert first.it_kw[0] == second.it_kw[0]
    assert first.hashes[0] == pytest.approx(second.hashes[0] * (QUARTER_S - warm_s) / QUARTER_S)


def test_a_warm_up_longer_than_an_interval_goes_on_in_the_next(site: Site) -> None:
    house = racks(site, awake=False)
    warm_s = site.fleets[0].warm_up.total_seconds()
    assert warm_s == 480.0
    at_step = house.columns.at_step.copy()
    at_step[0, 0] = 2
    woken = house.move(at_step, START.timestamp())
    hashes = [house.settle(woken, 300.0).hashes[0] for _ in range(3)]
    assert hashes[0] == 0.0
    assert hashes[1] == pytest.approx(hashes[2] * 120.0 / 300.0)


def test_racks_woken_last_go_to_sleep_first(site: Site) -> None:
    house = racks(site)
    start = house.columns.at_step.copy()
    fewer = start.copy()
    fewer[0] = np.minimum(fewer[0], 3)
    nothing = np.zeros(len(site.fleets), dtype=np.int64)
    house.move(fewer, START.timestamp())
    house.settle(nothing, 300.0)
    house.move(start, START.timestamp() + 300.0)  # one is woken ...
    house.move(fewer, START.timestamp() + 300.0)  # ... and is the one that goes
    settled = house.settle(nothing, 300.0)
    rate = (fewer[0] * house.columns.rise_hs[0]).sum()
    assert settled.hashes[0] == pytest.approx(rate * 300.0)


def test_moves_are_remembered_for_minimum_times(site: Site) -> None:
    house = racks(site)
    at = START.timestamp()
    down = house.columns.at_step.copy()
    down[0] = 0
    house.move(down, at)
    assert house.columns.slept_at[0] == at
    assert house.columns.woken_at[0] < at
    assert house.columns.slept_at[1] < at
