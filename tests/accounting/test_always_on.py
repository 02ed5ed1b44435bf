"""The always-on yardstick, against figures worked out by hand."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.accounting.always_on import Money, Pace, always_on_pace, feeder_loads, mined
from orchestrator.accounting.charges.block import Ppa
from orchestrator.domain.limits import Cap, Limits
from orchestrator.domain.market import CurrentPrice
from orchestrator.domain.observation import Quality, Reading
from orchestrator.domain.site import Fleet, Mode
from orchestrator.domain.target import GRID_CONNECTION, Target

MINUTE = timedelta(minutes=1)
AT = datetime(2023, 9, 6, 20, 0, tzinfo=UTC)

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
LOADS = feeder_loads([OLD, NEW])


def limits(grid_kw: float = 1e6, a_kw: float = 1e6, b_kw: float = 1e6, uncertainty: float = 0.0) -> Limits:
    feeders = {"a": Cap(a_kw, Target.feeder("a")), "b": Cap(b_kw, Target.feeder("b"))}
    return Limits(Cap(grid_kw, GRID_CONNECTION), feeders, uncertainty)


def price(usd_per_mwh: float) -> CurrentPrice:
    return CurrentPrice(Reading(usd_per_mwh, "USD/MWh", AT, Quality.FRESH), "real_time", AT, AT + 15 * MINUTE)


def test_within_the_caps_every_rack_is_in_its_default_mode() -> None:
    assert always_on_pace(LOADS, limits(), {}, 1.0) == Pace(5000.0, 300.0)


def test_a_feeder_puts_racks_of_its_own_to_sleep_and_those_draw_their_sleep_power() -> None:
    """Half awake: 100 + 1,450 kW of 3,100 / 2."""
    assert always_on_pace(LOADS, limits(a_kw=1550.0), {}, 1.0) == Pace(3550.0, 250.0)
    assert always_on_pace(LOADS, limits(a_kw=1705.0), {}, 1.1).mining_kw == pytest.approx(3550.0), "at the grid side"
    assert always_on_pace(LOADS, limits(a_kw=2000.0), {"a": 450.0}, 1.0) == Pace(3550.0, 250.0), "beside HPC"
    assert always_on_pace(LOADS, limits(a_kw=1550.0 / 0.99, uncertainty=0.01), {}, 1.0).mining_kw == pytest.approx(
        3550.0
    )


def test_the_grid_takes_the_same_share_of_what_the_feeders_leave() -> None:
    """200 kW asleep and a quarter of 1,450 + 1,900 kW."""
    got = always_on_pace(LOADS, limits(grid_kw=1037.5, a_kw=1550.0), {}, 1.0)
    assert got.mining_kw == pytest.approx(1037.5)
    assert got.hashrate_phs == pytest.approx(250.0 / 4.0)
    beside = always_on_pace(LOADS, limits(grid_kw=2037.5, a_kw=1550.0), {"b": 600.0, "c": 400.0}, 1.0)
    assert beside.mining_kw == pytest.approx(1037.5)


def test_under_a_cap_below_what_sleeps_nothing_hashes() -> None:
    assert always_on_pace(LOADS, limits(grid_kw=50.0), {}, 1.0) == Pace(200.0, 0.0)


def test_a_site_without_fleets_mines_nothing() -> None:
    assert always_on_pace(feeder_loads([]), limits(), {}, 1.0) == Pace(0.0, 0.0)


def test_energy_is_paid_or_paid_for_at_each_price_and_hash_at_the_hashprice() -> None:
    """5 MW x 1.1 for half an hour are 2.75 MWh; 300 PH/s for it at 60 are 375 USD."""
    pieces = [(price(100.0), 0.6), (price(-40.0), 0.4)]
    money = mined(Pace(5000.0, 300.0), 30 * MINUTE, pieces, pue=1.1, hashprice_usd_per_ph_day=60.0)
    assert money.revenue_usd == pytest.approx(375.0)
    assert money.energy_cost_usd == pytest.approx(165.0)
    assert money.energy_income_usd == pytest.approx(44.0)


def test_a_power_block_is_used_by_hpc_too_and_pays_where_the_market_is_dearer() -> None:
    """6 MW x 1.1 for half an hour are 3.3 MWh, the block 5; at 100 it earns 5 x (100 - 38) less 3 on the 1.7 unused."""
    block = Ppa(block_kw=10_000.0, price_usd_per_mwh=38.0, sell_back_spread_usd_per_mwh=3.0)

    def at(usd_per_mwh: float) -> Money:
        pieces = [(price(usd_per_mwh), 1.0)]
        pace = Pace(5000.0, 300.0)
        return mined(pace, 30 * MINUTE, pieces, pue=1.1, hashprice_usd_per_ph_day=60.0, charges=(block,), hpc_kw=1000.0)

    assert at(100.0).energy_cost_usd == pytest.approx(275.0)
    assert at(100.0).energy_income_usd == pytest.approx(5.0 * 62.0 - 1.7 * 3.0)
    assert at(20.0).energy_cost_usd == pytest.approx(55.0 + 5.0 * 18.0 + 1.7 * 3.0)
    assert at(20.0).energy_income_usd == 0.0
