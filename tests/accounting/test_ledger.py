"""Sums of the ledger, to the cent."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.accounting.ledger import Account, Posting, totals
from orchestrator.domain.units import cents, energy_cost_usd

ANY_SPEED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
NOW = datetime(2023, 9, 6, 19, 0, tzinfo=UTC)
BLANK = Posting(NOW, Account.MINING, "s21", 100.0, "real_time")


def metered(account: Account, kwh: float, price: float, revenue_usd: float = 0.0) -> Posting:
    return replace(
        BLANK,
        account=account,
        price_usd_per_mwh=price,
        energy_kwh=kwh,
        cost_usd=energy_cost_usd(kwh, price),
        revenue_usd=revenue_usd,
    )


def test_an_empty_ledger_sums_to_nothing() -> None:
    sums = totals([])
    assert sums.energy_kwh == {Account.MINING: 0.0, Account.HPC: 0.0, Account.OVERHEAD: 0.0}
    assert sums.revenue_usd == {Account.MINING: Decimal(0), Account.HPC: Decimal(0)}
    assert sums.profit_usd == sums.energy_cost_usd == sums.sla_credits_usd == Decimal(0)


def test_energy_is_summed_by_use_and_cost_over_all_uses() -> None:
    sums = totals(
        [
            metered(Account.MINING, 1000.0, 50.0, revenue_usd=147.20),
            metered(Account.MINING, 500.0, 4999.0),
            metered(Account.HPC, 200.0, 50.0, revenue_usd=640.0),
            metered(Account.OVERHEAD, 150.0, 50.0),
        ]
    )
    assert sums.energy_kwh == {Account.MINING: 1500.0, Account.HPC: 200.0, Account.OVERHEAD: 150.0}
    # 50.00 + 2,499.50 + 10.00 + 7.50
    assert sums.energy_cost_usd == Decimal("2567.00")
    assert sums.revenue_usd == {Account.MINING: Decimal("147.20"), Account.HPC: Decimal("640.00")}
    assert sums.profit_usd == Decimal("-1779.80")


def test_energy_at_a_negative_price_is_paid_for() -> None:
    sums = totals([metered(Account.MINING, 2000.0, -12.5, revenue_usd=10.0)])
    assert sums.energy_cost_usd == Decimal("-25.00")
    assert sums.profit_usd == Decimal("35.00")


def test_credits_come_off_the_profit() -> None:
    credit = replace(BLANK, account=Account.CREDIT, subject="train", credit_usd=12.346)
    sums = totals([metered(Account.HPC, 0.0, 50.0, revenue_usd=100.0), credit])
    assert sums.sla_credits_usd == Decimal("12.35")
    assert sums.profit_usd == Decimal("87.65")


def test_profit_is_what_its_rounded_parts_come_to() -> None:
    """Each part is rounded, not the profit: the table that shows the parts adds up."""
    sums = totals([metered(Account.MINING, 0.0, 0.0, 0.006), metered(Account.HPC, 0.0, 0.0, 0.006)])
    assert sums.profit_usd == Decimal("0.02")


def test_cents_are_not_lost_over_many_small_postings() -> None:
    """24 h of 15 s ticks: what each posts is far under a cent."""
    tick = metered(Account.MINING, 0.01, 35.0, revenue_usd=0.0004)
    sums = totals([tick] * 5760)
    assert sums.energy_cost_usd == Decimal("2.02")  # 57.6 kWh at 0.035 USD
    assert sums.revenue_usd[Account.MINING] == Decimal("2.30")


@pytest.mark.parametrize(
    ("usd", "rounded"),
    [(0.125, "0.12"), (0.375, "0.38"), (-0.125, "-0.12"), (2.0, "2.00"), (1e9 + 0.25, "1000000000.25")],
)
def test_cents_round_halves_to_even(usd: float, rounded: str) -> None:
    assert cents(usd) == Decimal(rounded)


postings = st.builds(
    metered, st.sampled_from(Account), st.floats(0, 1e6), st.floats(-100, 5000), revenue_usd=st.floats(0, 1e6)
)


@given(st.lists(postings, max_size=30), st.lists(postings, max_size=30))
@ANY_SPEED
def test_the_sum_of_two_ledgers_is_that_of_both_together(one: list[Posting], other: list[Posting]) -> None:
    parts = totals(one).profit_usd + totals(other).profit_usd
    # Four figures of each ledger are rounded, each by half a cent at most; twelve roundings in all.
    assert abs(totals([*one, *other]).profit_usd - parts) <= Decimal("0.06")
