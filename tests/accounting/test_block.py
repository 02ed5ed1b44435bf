"""What a block of power bought ahead costs: 40 MW at 38 USD/MWh, unused power sold back at market - 3, or lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.accounting.charges.block import Ppa
from orchestrator.accounting.power_cost import marginal_now, paid_usd
from orchestrator.domain.units import energy_cost_usd
from tests.accounting.test_metering import NOW
from tests.power_block import contract_usd

SOLD, LOST = Ppa(40_000.0, 38.0, 3.0), Ppa(40_000.0, 38.0, None)

PPAS = st.builds(Ppa, st.floats(1.0, 1e5), st.floats(0.0, 500.0), st.none() | st.floats(0.0, 200.0))
MARKET = st.floats(-500.0, 5000.0)
KWH = st.floats(0.0, 1e6)


@pytest.mark.parametrize(
    ("ppa", "energy_kwh", "market", "usd"),
    [
        pytest.param(SOLD, 40_000.0, 900.0, 40 * 38, id="all of it used: the contract price, whatever the market"),
        pytest.param(SOLD, 55_000.0, 900.0, 40 * 38 + 15 * 900, id="15 MWh beyond it, at the market"),
        pytest.param(SOLD, 0.0, 900.0, 40 * (38 - 897), id="all of it sold back in a spike"),
        pytest.param(SOLD, 30_000.0, 20.0, 40 * 38 - 10 * 17, id="10 MWh sold back under the contract price"),
        pytest.param(SOLD, 30_000.0, -20.0, 40 * 38 + 10 * 23, id="10 MWh that cost something to be rid of"),
        pytest.param(LOST, 30_000.0, 900.0, 40 * 38, id="10 MWh lost"),
        pytest.param(LOST, 55_000.0, 20.0, 40 * 38 + 15 * 20, id="beyond it, at the market, though cheaper"),
        pytest.param(LOST, 30_000.0, -20.0, 40 * 38 + 10 * 20, id="lost at a negative price: settled at that"),
    ],
)
def test_an_hour_costs_the_block_and_what_is_beyond_it_less_what_is_sold_back(
    ppa: Ppa, energy_kwh: float, market: float, usd: float
) -> None:
    assert contract_usd(ppa, 1.0, energy_kwh, market) == pytest.approx(usd)
    assert paid_usd((ppa,), NOW, 1.0, energy_kwh, market) == pytest.approx(usd)


@given(PPAS, KWH, st.floats(0.0, 24.0), MARKET)
def test_energy_at_the_market_and_the_contracts_line_add_up_to_what_is_paid(
    ppa: Ppa, energy_kwh: float, hours: float, market: float
) -> None:
    lines = energy_cost_usd(energy_kwh, market) + ppa.cost_usd(NOW, ppa.block_kw * hours, energy_kwh, market)
    size = 1.0 + (energy_kwh + ppa.block_kw * hours) * (abs(market) + ppa.price_usd_per_mwh + 200.0)
    assert lines == pytest.approx(contract_usd(ppa, hours, energy_kwh, market), abs=1e-12 * size)


@given(PPAS, MARKET)
def test_power_never_brings_more_unused_than_beyond_the_block_it_costs(ppa: Ppa, market: float) -> None:
    assert ppa.unused_usd_per_mwh(market) <= market


@given(PPAS, st.floats(0.0, 2.0), MARKET)
def test_one_more_kw_costs_its_marginal_price(ppa: Ppa, share: float, market: float) -> None:
    power_kw = share * ppa.block_kw
    more_kw = 1.0 if power_kw >= ppa.block_kw else min(1.0, ppa.block_kw - power_kw)
    rise = paid_usd((ppa,), NOW, 1.0, power_kw + more_kw, market) - paid_usd((ppa,), NOW, 1.0, power_kw, market)
    left, beyond = marginal_now((ppa,), NOW, market)
    price = beyond if power_kw >= ppa.block_kw else left
    size = ppa.block_kw * (abs(market) + ppa.price_usd_per_mwh + 200.0)
    assert rise == pytest.approx(
        energy_cost_usd(more_kw, price),
        abs=1e-12 * size + 1e-12,
    )


@given(PPAS, MARKET, st.lists(st.floats(0.0, 2.0), min_size=3, max_size=3))
def test_what_is_paid_is_convex_in_what_is_drawn(ppa: Ppa, market: float, shares: list[float]) -> None:
    low, mid, high = sorted(share * ppa.block_kw for share in shares)
    if high - low < 1e-6 * ppa.block_kw:
        return
    at_low, at_mid, at_high = (paid_usd((ppa,), NOW, 1.0, kwh, market) for kwh in (low, mid, high))
    between = at_low + (at_high - at_low) * (mid - low) / (high - low)
    assert at_mid <= between + 1e-9 * (1.0 + ppa.block_kw * (abs(market) + ppa.price_usd_per_mwh + 200.0))


@pytest.mark.parametrize(
    ("ppa", "text"),
    [
        (SOLD, "block of 40.0 MW at 38 USD/MWh: unused power is sold back at market - 3"),
        (Ppa(640.0, 41.5, 0.0), "block of 640 kW at 41.5 USD/MWh: unused power is sold back at market"),
        (LOST, "block of 40.0 MW at 38 USD/MWh: unused power is lost"),
    ],
)
def test_the_contract_is_told_in_words(ppa: Ppa, text: str) -> None:
    assert ppa.text == text
