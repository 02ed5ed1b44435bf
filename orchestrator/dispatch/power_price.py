"""What one more kW costs, where a block of power is bought ahead: what it would bring unused, or the market price."""

from dataclasses import dataclass

from orchestrator.accounting.charges.block import Ppa


@dataclass(frozen=True, slots=True)
class PowerPrice:
    """The price that decided, USD/MWh, and of what it is, as sentences begin: `power`, `power sold back`."""

    usd_per_mwh: float
    what: str = "power"

    @property
    def text(self) -> str:
        return f"{self.what} at {self.usd_per_mwh:.0f}"

    @staticmethod
    def unused(ppa: Ppa, market_usd_per_mwh: float) -> "PowerPrice":
        """Of power that is left of the block."""
        what = "power sold back" if ppa.sell_back_spread_usd_per_mwh is not None else "block power left unused"
        return PowerPrice(ppa.unused_usd_per_mwh(market_usd_per_mwh), what)


def price_at(ppa: Ppa | None, power_kw: float, market_usd_per_mwh: float) -> PowerPrice:
    """Of one more kW where `power_kw` are drawn at the grid."""
    if ppa is None or power_kw >= ppa.block_kw:
        return PowerPrice(market_usd_per_mwh)
    return PowerPrice.unused(ppa, market_usd_per_mwh)


def price_for(
    ppa: Ppa | None, market_usd_per_mwh: float, left_kw: float, limit_usd_per_mwh: float, *, on: bool
) -> PowerPrice:
    """The price that decided over what is worth power up to `limit_usd_per_mwh`; `left_kw` of the block are left.

    What is worth less than market power runs on what is left of the block, or, where that is too little, not.
    """
    market = PowerPrice(market_usd_per_mwh)
    if ppa is None:
        return market
    unused = PowerPrice.unused(ppa, market_usd_per_mwh)
    if unused.usd_per_mwh < limit_usd_per_mwh <= market_usd_per_mwh:
        return unused if on else market
    return unused if left_kw > 0.0 else market
