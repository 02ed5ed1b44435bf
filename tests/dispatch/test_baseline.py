"""The site without dispatch: what it mines beside HPC under caps, against figures worked out by hand."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from orchestrator.accounting.mining_pace import Pace
from orchestrator.dispatch.baseline import default_modes, mining_beside, warm
from orchestrator.domain.limits import Cap, Limits
from orchestrator.domain.site.machines import Fleet, Mode
from orchestrator.domain.site.site import Feeder, Site
from orchestrator.domain.target import GRID_CONNECTION, Target
from tests.sites import small_site

MINUTE = timedelta(minutes=1)

OLD = Fleet(
    name="old",
    model="Old miner",
    feeder="a",
    racks=10,
    machines_per_rack=100,
    modes=(Mode("normal", 3000.0, 100.0), Mode("turbo", 3600.0, 110.0)),
    default_mode="normal",
    sleep_w=100.0,
    warm_up=8 * MINUTE,
    min_on=15 * MINUTE,
    min_off=15 * MINUTE,
)
"""3,000 kW awake, 100 kW asleep, 100 PH/s."""
NEW = replace(OLD, name="new", feeder="b", modes=(Mode("normal", 2000.0, 200.0),))
"""2,000 kW awake, 100 kW asleep, 200 PH/s."""


def limits(grid_kw: float = 1e6, a_kw: float = 1e6, b_kw: float = 1e6, uncertainty: float = 0.0) -> Limits:
    return Limits(
        (Cap(grid_kw, GRID_CONNECTION), Cap(a_kw, Target.feeder("a")), Cap(b_kw, Target.feeder("b"))), uncertainty
    )


def site_of(*fleets: Fleet) -> Site:
    feeders = (Feeder("a", 1e6), Feeder("b", 1e6))
    return default_modes(replace(small_site(), feeders=feeders, fleets=fleets))


def pace(caps: Limits, hpc_kw: dict[str, float] | None = None, pue: float = 1.0, *fleets: Fleet) -> Pace:
    site = site_of(*(fleets or (OLD, NEW)))
    return mining_beside(site, warm(site, 0.0), caps, hpc_kw or {}, pue)


def test_within_the_caps_every_rack_is_in_its_default_mode() -> None:
    assert pace(limits()) == Pace(5000.0, 300.0)


def test_a_feeder_puts_racks_of_its_own_to_sleep_and_those_draw_their_sleep_power() -> None:
    """Half awake: 100 + 1,450 kW of 3,100 / 2."""
    assert pace(limits(a_kw=1550.0)) == Pace(3550.0, 250.0)
    assert pace(limits(a_kw=1705.0), {}, 1.1).mining_kw == pytest.approx(3550.0), "at the grid side"
    assert pace(limits(a_kw=2000.0), {"a": 450.0}) == Pace(3550.0, 250.0), "beside HPC"
    assert pace(limits(a_kw=1550.0 / 0.99, uncertainty=0.01)).mining_kw == pytest.approx(3550.0)


def test_a_rack_is_awake_or_asleep_as_a_whole() -> None:
    """1,449 kW hold four racks of 290 kW."""
    assert pace(limits(a_kw=1549.0)) == Pace(5000.0 - 6 * 290.0, 240.0)


def test_under_the_cap_of_the_grid_fleets_go_by_name_as_they_do_where_dispatch_finds_equals() -> None:
    """837.5 kW above sleep: four racks of `new`, 190 kW each, and none of `old`, 290 kW each."""
    got = pace(limits(grid_kw=1037.5, a_kw=1550.0))
    assert got.mining_kw == pytest.approx(200.0 + 4 * 190.0)
    assert got.hashrate_phs == pytest.approx(80.0)
    beside = pace(limits(grid_kw=2037.5, a_kw=1550.0), {"b": 1000.0})
    assert beside.mining_kw == pytest.approx(got.mining_kw)


def test_under_a_cap_below_what_sleeps_nothing_hashes() -> None:
    assert pace(limits(grid_kw=50.0)) == Pace(200.0, 0.0)


def test_a_site_without_fleets_mines_nothing() -> None:
    site = site_of()
    assert mining_beside(site, warm(site, 0.0), limits(), {}, 1.0) == Pace(0.0, 0.0)


def test_no_rack_of_a_warm_site_is_bound_by_a_minimum_time() -> None:
    site = site_of(OLD, NEW)
    fleets = warm(site, 1e9)
    assert (fleets.woken_at + fleets.min_on_s < 1e9).all()
    assert (fleets.slept_at + fleets.min_off_s < 1e9).all()
    assert np.array_equal(fleets.at_step[:, 0], fleets.racks)
