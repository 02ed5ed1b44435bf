"""What the mining of an always-on site comes to, against figures worked out by hand."""

from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.accounting.charges.block import Ppa
from orchestrator.accounting.mining_pace import Money, Pace, mined
from orchestrator.domain.market import CurrentPrice
from orchestrator.domain.observation import Quality, Reading

MINUTE = timedelta(minutes=1)
AT = datetime(2023, 9, 6, 20, 0, tzinfo=UTC)


def price(usd_per_mwh: float) -> CurrentPrice:
    return CurrentPrice(Reading(usd_per_mwh, "USD/MWh", AT, Quality.FRESH), "real_time", AT, AT + 15 * MINUTE)


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
