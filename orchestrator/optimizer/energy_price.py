"""What energy costs over the steps of a plan, all charges together: by step, and along ways that prices may go."""

from collections.abc import Sequence
from datetime import datetime

import numpy as np

from orchestrator.accounting.power_cost import block_kw, marginal_over, paid_usd
from orchestrator.domain.charge import Charge
from orchestrator.optimizer.kernels.arrays import Floats, Supply


def standing_usd(charges: Sequence[Charge], starts: Sequence[datetime], step_h: float, market: Floats) -> float:
    """What the site pays over all steps if it draws just what it bought ahead; `market` (T,), USD/MWh."""
    block_kwh = block_kw(charges) * step_h
    return sum(
        paid_usd(charges, start, step_h, block_kwh, price) for start, price in zip(starts, market.tolist(), strict=True)
    )


def marginal_paths(
    charges: Sequence[Charge], starts: Sequence[datetime], supply: Supply, energy_usd_per_mwh: Floats, paths: Floats
) -> Floats:
    """(P, T) marginal prices of energy where the market price goes along `paths` (P, T).

    `energy_usd_per_mwh` (T,) is the marginal price at the expected one. Where that lies between those within the block
    and beyond it says how much of it the block covers, and it covers as much on any path.
    """
    if not charges:
        return paths
    spread = supply.price_usd_per_mwh - supply.sell_usd_per_mwh
    share = np.divide(
        energy_usd_per_mwh - supply.sell_usd_per_mwh, spread, out=np.ones_like(spread), where=spread > 0.0
    )
    left, beyond = marginal_over(charges, starts, paths)
    marginal: Floats = left + share * (beyond - left)
    return marginal
