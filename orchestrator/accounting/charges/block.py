"""A block of power bought ahead: a long-term contract for the same power in every hour, at a fixed price.

The block is paid for whether it is used or not (take-or-pay). What the site draws beyond it is bought at the market
price. What it leaves of it is sold back at the market price less a spread or, without sell-back, brings nothing; where
the market price is negative it costs that much. So a kWh never brings more unused than one beyond the block costs, and
what the site pays is convex in what it draws.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from orchestrator.domain.charge import Marginal
from orchestrator.domain.units import energy_cost_usd, power_text

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Ppa:
    """The contract, as the site file has it."""

    name: ClassVar[str] = "ppa"
    label: ClassVar[str] = "PPA"

    block_kw: float
    """At the grid, in every hour of the year."""
    price_usd_per_mwh: float
    sell_back_spread_usd_per_mwh: float | None
    """By which unused power is sold under the market price; None: it can't be sold back."""

    def unused_usd_per_mwh(self, market_usd_per_mwh: float) -> float:
        """What a MWh of the block that is not used brings; never more than the market price."""
        if self.sell_back_spread_usd_per_mwh is None:
            return min(market_usd_per_mwh, 0.0)
        return market_usd_per_mwh - self.sell_back_spread_usd_per_mwh

    def cost_usd(self, start: datetime, block_kwh: float, energy_kwh: float, market_usd_per_mwh: float) -> float:
        """By how much the contract is more than `energy_kwh` at the market price.

        Block x (contract price - market price), and the spread on what is not used.
        """
        spread = market_usd_per_mwh - self.unused_usd_per_mwh(market_usd_per_mwh)
        return energy_cost_usd(block_kwh, self.price_usd_per_mwh - market_usd_per_mwh) + energy_cost_usd(
            max(block_kwh - energy_kwh, 0.0), spread
        )

    def more_usd_per_mwh(self, starts: Sequence[datetime], market_usd_per_mwh: Floats) -> Marginal[Floats]:
        """One more kW takes what it would bring unused; beyond the block it costs the market price and no more."""
        nothing = np.zeros_like(market_usd_per_mwh)
        spread = self.sell_back_spread_usd_per_mwh
        return Marginal(-np.maximum(market_usd_per_mwh, 0.0) if spread is None else nothing - spread, nothing)

    def power(self, start: datetime) -> str:
        return "block power left unused" if self.sell_back_spread_usd_per_mwh is None else "power sold back"

    @property
    def text(self) -> str:
        """In words: `block of 40.0 MW at 38 USD/MWh: unused power is sold back at market - 3`."""
        block = f"block of {power_text(self.block_kw)} at {self.price_usd_per_mwh:g} USD/MWh"
        spread = self.sell_back_spread_usd_per_mwh
        if spread is None:
            return f"{block}: unused power is lost"
        return f"{block}: unused power is sold back at market{f' - {spread:g}' if spread else ''}"

    @property
    def assumption(self) -> str:
        return f"power is bought ahead, {self.text}"
