"""Units in which the domain speaks, and the few conversions between them.

Power is in kW at the grid side and W at the device side, energy in kWh, prices in USD/MWh, hashrate in
TH/s, hashprice in USD per PH/s per day. Consumption is positive. Every instant is an aware UTC datetime.
"""

from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal

JOULES_PER_KWH = 3_600_000.0
SECONDS_PER_HOUR = 3600.0
SECONDS_PER_DAY = 86_400.0
KWH_PER_MWH = 1000.0
HASHES_PER_PH = 1e15
HASHES_PER_TH = 1e12
HASHES_PER_PH_DAY = HASHES_PER_PH * SECONDS_PER_DAY
"""Hashes in one PH/s kept up for a day: what one hashprice buys."""

INSTANT = timedelta(microseconds=1)
"""The smallest step of time that is told apart."""

CENT = Decimal("0.01")


def cents(usd: float | Decimal) -> Decimal:
    """Round an amount in USD to the cent, halves to even."""
    return Decimal(usd).quantize(CENT, rounding=ROUND_HALF_EVEN)


def energy_cost_usd(energy_kwh: float, price_usd_per_mwh: float) -> float:
    """What `energy_kwh` costs at `price_usd_per_mwh`; negative prices pay."""
    return energy_kwh * price_usd_per_mwh / KWH_PER_MWH


def power_text(kw: float) -> str:
    """Power in the unit that reads best: `88.1 MW`, `640 kW`, `4.2 kW`."""
    if abs(kw) >= 1000.0:
        return f"{kw / 1000.0:.1f} MW"
    return f"{kw:.1f} kW" if abs(kw) < 10.0 else f"{kw:.0f} kW"


def utc(at: datetime) -> datetime:
    """`at` in UTC; a naive datetime is refused, since its instant is unknown."""
    if at.tzinfo is None:
        raise ValueError(f"{at.isoformat()} has no UTC offset; an aware datetime is needed")
    return at.astimezone(UTC)
