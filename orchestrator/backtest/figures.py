"""Sums of a strategy's intervals: money to the cent, energy, shares of the bound, and the same by month."""

import calendar
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from math import isfinite
from zoneinfo import ZoneInfo

import numpy as np

from orchestrator.backtest.result import BacktestResult, MarketSeries, StrategySeries
from orchestrator.domain.units import KWH_PER_MWH, cents

EVERY = slice(None)


@dataclass(frozen=True, slots=True)
class Money:
    """USD, each rounded to the cent before they are added, so that what is shown adds up."""

    mining: Decimal
    hpc: Decimal
    energy_cost: Decimal
    charges: Mapping[str, Decimal]
    """Of the energy cost, what each charge cost more than the market, by name."""
    credits: Decimal

    @property
    def profit(self) -> Decimal:
        return self.mining + self.hpc - self.energy_cost - self.credits


def money(series: StrategySeries, rows: slice = EVERY) -> Money:
    """Of all intervals, or of a stretch of them."""
    return Money(
        mining=cents(float(series.mining_revenue_usd[rows].sum())),
        hpc=cents(float(series.hpc_revenue_usd[rows].sum())),
        energy_cost=cents(float(series.energy_cost_usd[rows].sum())),
        charges={name: cents(float(usd[rows].sum())) for name, usd in series.charges_usd.items()},
        credits=cents(float(series.credits_usd[rows].sum())),
    )


def energy_mwh(series: StrategySeries, market: MarketSeries, rows: slice = EVERY) -> float:
    """Drawn from the grid."""
    return float(series.grid_kw[rows].sum()) * market.step_h / KWH_PER_MWH


def paid_usd_per_mwh(series: StrategySeries, market: MarketSeries, rows: slice = EVERY) -> float | None:
    """What energy cost on average; None where none was drawn."""
    energy = energy_mwh(series, market, rows)
    return float(series.energy_cost_usd[rows].sum()) / energy if energy > 0 else None


def mean_price_usd_per_mwh(market: MarketSeries, rows: slice = EVERY) -> float:
    """Settled, over time."""
    return float(market.settled_usd_per_mwh[rows].mean())


def capture(profit: Decimal, result: BacktestResult) -> tuple[float | None, str]:
    """Share of the bound that was earned, or None and why there is none."""
    bound = result.bound_usd
    if bound is None or not isfinite(bound):
        return None, result.bound_note or "no bound was worked out"
    if bound <= 0:
        return None, f"the bound is {bound:,.2f} USD: nothing could have been earned, so a share of it means nothing"
    return float(profit) / bound, ""


def limits_used(measurement_uncertainty: float) -> str:
    """What the bound and all strategies keep to, in words."""
    if not measurement_uncertainty:
        return "limits in full: its meters are taken to be exact"
    return f"limits less {100.0 * measurement_uncertainty:g} % for the uncertainty of its meters"


@dataclass(frozen=True, slots=True)
class Month:
    """A calendar month of the site's time zone, as far as it lies in the period."""

    year: int
    month: int
    rows: slice
    whole: bool
    """All of it was settled."""

    @property
    def key(self) -> str:
        return f"{self.year}-{self.month:02}"

    @property
    def name(self) -> str:
        return f"{calendar.month_abbr[self.month]} {self.year}"


def months(market: MarketSeries, timezone: str) -> tuple[Month, ...]:
    """In order; none without intervals."""
    if not len(market):
        return ()
    zone = ZoneInfo(timezone)
    at = datetime.fromtimestamp(int(market.start_s[0]), UTC).astimezone(zone)
    found: list[Month] = []
    year, month = at.year, at.month
    while (first := _row(market, year, month, zone)) < len(market):
        after_year, after = (year + 1, 1) if month == 12 else (year, month + 1)
        last = _row(market, after_year, after, zone)
        if last > first:
            lasts_s = _start_s(after_year, after, zone) - _start_s(year, month, zone)
            whole = (last - first) * market.step.total_seconds() >= lasts_s
            found.append(Month(year, month, slice(first, last), whole))
        year, month = after_year, after
    return tuple(found)


def _row(market: MarketSeries, year: int, month: int, zone: ZoneInfo) -> int:
    return int(np.searchsorted(market.start_s, _start_s(year, month, zone)))


def _start_s(year: int, month: int, zone: ZoneInfo) -> float:
    return datetime(year, month, 1, tzinfo=zone).timestamp()
