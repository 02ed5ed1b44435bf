"""What an always-on site would earn by mining, as a yardstick kept up beside the real one.

What it mines is said by `dispatch/baseline.py`; here that becomes money.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from orchestrator.accounting.economics import hash_revenue_usd
from orchestrator.accounting.power_cost import market_usd, more_usd
from orchestrator.domain.charge import Charge
from orchestrator.domain.market import CurrentPrice
from orchestrator.domain.units import HASHES_PER_PH, SECONDS_PER_HOUR


@dataclass(frozen=True, slots=True)
class Pace:
    """Mining at one moment; IT power."""

    mining_kw: float
    hashrate_phs: float


@dataclass(frozen=True, slots=True)
class Money:
    """Over a stretch of time. What is paid for energy, and what is earned with it (prices below 0, or by a charge)."""

    revenue_usd: float = 0.0
    energy_cost_usd: float = 0.0
    energy_income_usd: float = 0.0


def mined(
    pace: Pace,
    span: timedelta,
    prices: Iterable[tuple[CurrentPrice, float]],
    *,
    pue: float,
    hashprice_usd_per_ph_day: float,
    charges: Sequence[Charge] = (),
    hpc_kw: float = 0.0,
) -> Money:
    """What mining at `pace` brings over `span`, at prices each of which holds for a share of it; overhead included.

    Charges are the whole site's: `hpc_kw` of IT power bear on them too, and what one costs more than the market price
    is paid, what it costs less is earned.
    """
    hours = span.total_seconds() / SECONDS_PER_HOUR
    cost = income = 0.0
    for price, share in prices:
        start, market = price.interval_start, price.usd_per_mwh
        drawn_kwh = (pace.mining_kw + hpc_kw) * pue * hours * share
        amounts = [
            market_usd(start, pace.mining_kw * pue * hours * share, market),
            *(more_usd(charge, start, hours * share, drawn_kwh, market) for charge in charges),
        ]
        cost += sum(max(amount, 0.0) for amount in amounts)
        income += sum(max(-amount, 0.0) for amount in amounts)
    revenue = hash_revenue_usd(pace.hashrate_phs * HASHES_PER_PH * span.total_seconds(), hashprice_usd_per_ph_day)
    return Money(revenue, cost, income)
