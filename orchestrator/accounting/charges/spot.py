"""The market price: all that is drawn costs it, and where it is negative, brings it.

Its line of the ledger is no line of its own: each fleet, pool and the overhead is posted with its energy at this price,
so that who uses power sees what it is worth. What other charges make of it is beside that.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from orchestrator.domain.charge import Marginal
from orchestrator.domain.units import KWH_PER_MWH

Floats = NDArray[np.float64]

Energy = TypeVar("Energy", float, Floats)
"""Of one meter, or of many."""


@dataclass(frozen=True, slots=True)
class Spot:
    """It has no terms: the price comes in by a feed."""

    name: ClassVar[str] = "spot"
    label: ClassVar[str] = "market"

    @property
    def text(self) -> str:
        return "power at the market price"

    @property
    def assumption(self) -> str:
        return self.text

    @property
    def block_kw(self) -> float:
        return 0.0

    def power(self, start: datetime) -> str:
        return ""

    def cost_usd(self, start: datetime, block_kwh: float, energy_kwh: Energy, market_usd_per_mwh: float) -> Energy:
        return energy_kwh * market_usd_per_mwh / KWH_PER_MWH

    def more_usd_per_mwh(self, starts: Sequence[datetime], market_usd_per_mwh: Floats) -> Marginal[Floats]:
        return Marginal(market_usd_per_mwh, market_usd_per_mwh)
