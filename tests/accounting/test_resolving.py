"""What is parked comes off the books once, in lines that come to nothing with it; booked is only what can be true."""

from dataclasses import replace
from datetime import timedelta
from math import isclose

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.accounting.ledger import Account, Posting, totals
from orchestrator.accounting.unaccounted import (
    ResolutionError,
    book,
    booked_amount,
    parked_of,
    take_off,
)
from orchestrator.domain.observation import POSSIBLE_SHARE, Metric
from tests.accounting.test_metering import NODE, NOW, QUARTER, RACK
from tests.accounting.test_unaccounted import RACK_KW, SITE

ENERGY, HASHES = f"{Metric.ASIC_ENERGY} {RACK}", f"{Metric.ASIC_HASHES} {RACK}"


def parked_line(quantity: float, quarter: int = 0, meter: str = ENERGY, usd_per_mwh: float = 50.0) -> Posting:
    return Posting(NOW + quarter * QUARTER, Account.UNACCOUNTED, meter, usd_per_mwh, "real_time", quantity=quantity)


LINES = st.lists(
    st.builds(
        parked_line,
        st.floats(-1e7, 1e7).filter(bool),
        st.integers(0, 40),
        st.sampled_from([ENERGY, HASHES, f"{Metric.NODE_ENERGY} {NODE}", "what no site has"]),
        st.floats(-500.0, 5000.0),
    ),
    max_size=12,
)


@given(LINES)
def test_what_is_taken_off_comes_to_nothing_with_what_was_parked(lines: list[Posting]) -> None:
    taken = [line for parked in parked_of(lines) for line in take_off(parked)]
    assert parked_of([*lines, *taken]) == []
    assert totals([*lines, *taken]) == totals([])
    assert all(line.account == Account.RESOLVED for line in taken)


@given(LINES, LINES)
def test_what_is_parked_later_is_left_and_the_first_is_not_taken_twice(
    before: list[Posting], after: list[Posting]
) -> None:
    taken = [line for parked in parked_of(before) for line in take_off(parked)]
    left = {parked.meter: parked.amount for parked in parked_of([*before, *taken, *after])}
    whole = sum(abs(line.quantity) for line in (*before, *after))
    for parked in parked_of(after):
        assert isclose(left.get(parked.meter, 0.0), parked.amount, rel_tol=1e-9, abs_tol=1e-11 * whole)


@given(
    prices=st.lists(st.floats(-500.0, 5000.0), min_size=1, max_size=8),
    share=st.floats(1e-3, 1.0),
    pue=st.floats(1.0, 1.6),
)
def test_the_booked_amount_is_posted_once_at_the_prices_of_its_intervals(
    prices: list[float], share: float, pue: float
) -> None:
    (parked,) = parked_of(parked_line(1.0, number, usd_per_mwh=usd) for number, usd in enumerate(prices))
    asked = share * RACK_KW * 24.0 / 1000.0
    amount = booked_amount(SITE, parked, asked, parked.lines[-1].start)
    lines = book(SITE, parked, amount, pue=pue, hashprice_usd_per_ph_day=60.0)
    sums = totals([*parked.lines, *take_off(parked), *lines])
    assert sums.energy_kwh[Account.MINING] == pytest.approx(asked * 1000.0)
    assert sums.energy_kwh[Account.OVERHEAD] == pytest.approx(asked * 1000.0 * (pue - 1.0))
    cost = asked * pue * sum(prices) / len(prices)
    assert float(sums.energy_cost_usd) == pytest.approx(cost, abs=0.0051)


def test_hash_that_is_booked_earns_at_the_hashprice_and_costs_nothing() -> None:
    (parked,) = parked_of([parked_line(3.0, meter=HASHES)])
    (line,) = book(SITE, parked, booked_amount(SITE, parked, None, NOW), pue=1.1, hashprice_usd_per_ph_day=60.0)
    assert (line.account, line.subject, line.quantity, line.revenue_usd) == (Account.MINING, "s21", 3.0, 180.0)
    assert (line.energy_kwh, line.cost_usd) == (0.0, 0.0)


def test_of_a_wrong_reading_among_right_ones_what_was_done_is_not_booked_at_the_price_of_the_fault() -> None:
    """+1,389 MWh at 20 USD and the same less 4 kWh at 3,000 USD/MWh are 4 kWh, not four million dollars."""
    (parked,) = parked_of([parked_line(1388.889, 0, usd_per_mwh=20.0), parked_line(-1388.885, 1, usd_per_mwh=3000.0)])
    lines = book(SITE, parked, booked_amount(SITE, parked, None, NOW), pue=1.0, hashprice_usd_per_ph_day=60.0)
    assert sum(line.cost_usd for line in lines) == pytest.approx(0.004 * (20.0 + 3000.0) / 2.0)


@given(times=st.floats(1.001, 1e6), hours=st.floats(0.0, 1000.0))
def test_nobody_can_book_more_than_the_device_can_have_done(times: float, hours: float) -> None:
    (parked,) = parked_of([parked_line(5.0)])
    most = RACK_KW / 1000.0 * POSSIBLE_SHARE * (hours + 24.0)
    now = NOW + timedelta(hours=hours)
    with pytest.raises(ResolutionError, match="can have done since 2023-09-06T19:00:00Z and the day before"):
        booked_amount(SITE, parked, most * times, now)
    assert booked_amount(SITE, parked, most / times, now) == most / times


@pytest.mark.parametrize(
    ("line", "told"),
    [
        pytest.param(parked_line(1388.9), "1388.9 MWh are more than s21/rack-0 can have done", id="the jump itself"),
        pytest.param(parked_line(-1320.0), "-1320 MWh of .* are nothing to book: give the amount", id="a fall"),
        pytest.param(
            replace(parked_line(0.1), subject=f"{Metric.ASIC_ENERGY} s19/rack-9"), "only be written off", id="no device"
        ),
    ],
)
def test_what_cannot_be_booked_says_why(line: Posting, told: str) -> None:
    (parked,) = parked_of([line])
    with pytest.raises(ResolutionError, match=told):
        booked_amount(SITE, parked, None, NOW)


def test_why_it_is_parked_is_told_in_figures() -> None:
    (rose,) = parked_of([parked_line(1388.9)])
    assert rose.reason == "its counter rose by 1388.9 MWh, beyond what its nameplate allows in the time"
    (both,) = parked_of([parked_line(3.0, meter=HASHES), parked_line(-2.5, 1, meter=HASHES)])
    assert "rose by 3 PH/s-days and fell by 2.5 PH/s-days and was not reset" in both.reason
    assert (both.device, both.metric, both.since) == (RACK, "asic_hashes_total", NOW)
