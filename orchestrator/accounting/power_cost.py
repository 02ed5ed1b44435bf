"""What power costs a site, all its charges together: the one place that turns kWh into dollars, and says what one more
kWh costs."""

from collections.abc import Iterable, Sequence
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from orchestrator.accounting.charges.spot import Energy, Spot
from orchestrator.domain.charge import Charge, Marginal

Floats = NDArray[np.float64]

SPOT = Spot()
"""Of every site, beside the charges in its file."""


def market_usd(start: datetime, energy_kwh: Energy, market_usd_per_mwh: float) -> Energy:
    """What `energy_kwh`, drawn in the price interval from `start`, costs at the market price."""
    return SPOT.cost_usd(start, 0.0, energy_kwh, market_usd_per_mwh)


def more_usd(charge: Charge, start: datetime, hours: float, energy_kwh: float, market_usd_per_mwh: float) -> float:
    """What one charge adds to that, over `hours` of one price interval."""
    return charge.cost_usd(start, charge.block_kw * hours, energy_kwh, market_usd_per_mwh)


def paid_usd(
    charges: Iterable[Charge], start: datetime, hours: float, energy_kwh: float, market_usd_per_mwh: float
) -> float:
    """What a site pays for `energy_kwh`, drawn over `hours` of one price interval."""
    more = sum(more_usd(charge, start, hours, energy_kwh, market_usd_per_mwh) for charge in charges)
    return market_usd(start, energy_kwh, market_usd_per_mwh) + more


def block_kw(charges: Iterable[Charge]) -> float:
    """Power bought ahead, at the grid; 0 where none is."""
    return sum(charge.block_kw for charge in charges)


def marginal_over(
    charges: Iterable[Charge], starts: Sequence[datetime], market_usd_per_mwh: Floats
) -> Marginal[Floats]:
    """What one more MWh costs at market prices (..., T) of intervals from `starts` (T)."""
    left, beyond = SPOT.more_usd_per_mwh(starts, market_usd_per_mwh)
    for charge in charges:
        more = charge.more_usd_per_mwh(starts, market_usd_per_mwh)
        left, beyond = left + more.left, beyond + more.beyond
    return Marginal(left, beyond)


def marginal_now(charges: Sequence[Charge], start: datetime, market_usd_per_mwh: float) -> Marginal[float]:
    """The same at one market price."""
    if not charges:
        return Marginal(market_usd_per_mwh, market_usd_per_mwh)
    left, beyond = marginal_over(charges, (start,), np.array([market_usd_per_mwh]))
    return Marginal(float(left[0]), float(beyond[0]))
