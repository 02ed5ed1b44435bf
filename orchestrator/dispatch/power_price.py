"""What one more kW costs at the market price now, all charges of the site together, and what sentences call it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from orchestrator.accounting.power_cost import block_kw, marginal_now
from orchestrator.domain.charge import Charge


@dataclass(frozen=True, slots=True)
class PowerPrice:
    """The price that decided, USD/MWh, and of what it is, as sentences begin: `power`, `power sold back`."""

    usd_per_mwh: float
    what: str = "power"
    is_bought: bool = True
    """False of power that is left of a block: it brings that much unused."""

    @property
    def text(self) -> str:
        return f"{self.what} at {self.usd_per_mwh:.0f}"

    @property
    def clause(self) -> str:
        """`power costs 60`, `power sold back is worth 57`."""
        return f"{self.what} {'costs' if self.is_bought else 'is worth'} {self.usd_per_mwh:.0f}"


class PowerPrices(NamedTuple):
    """Of one moment."""

    block_kw: float
    """Power bought ahead, at the grid; 0 where none is."""
    left: PowerPrice
    """While some of it is left."""
    beyond: PowerPrice

    def next_kw(self, left_kw: float) -> PowerPrice:
        """Of one more kW where `left_kw` of the block are left."""
        return self.left if self.block_kw > 0.0 and left_kw > 0.0 else self.beyond


def power_prices(charges: Sequence[Charge], start: datetime, market_usd_per_mwh: float) -> PowerPrices:
    """In the price interval from `start`."""
    left, beyond = marginal_now(charges, start, market_usd_per_mwh)
    on_top = [charge.power(start) for charge in charges if not charge.block_kw]
    ahead = next((charge.power(start) for charge in charges if charge.block_kw), "power")
    return PowerPrices(
        block_kw(charges),
        PowerPrice(left, _joined([ahead, *on_top]), is_bought=False),
        PowerPrice(beyond, _joined(["power", *on_top])),
    )


def _joined(words: Iterable[str]) -> str:
    return " and ".join(word for word in words if word)


def price_at(prices: PowerPrices, power_kw: float) -> PowerPrice:
    """Of one more kW where `power_kw` are drawn at the grid."""
    return prices.next_kw(prices.block_kw - power_kw)


def price_for(prices: PowerPrices, left_kw: float, limit_usd_per_mwh: float, *, on: bool) -> PowerPrice:
    """The price that decided over what is worth power up to `limit_usd_per_mwh`; `left_kw` of the block are left.

    What is worth less than power beyond the block runs on what is left of it, or, where that is too little, not.
    """
    if prices.left.usd_per_mwh < limit_usd_per_mwh <= prices.beyond.usd_per_mwh:
        return prices.left if on else prices.beyond
    return prices.next_kw(left_kw)


def charge_figures(charge: Charge, start: datetime, market_usd_per_mwh: float, left_kw: float) -> dict[str, float]:
    """Of one charge now: of a block what is left of it and what that brings unused, of any other what it puts on
    top."""
    alone = marginal_now((charge,), start, market_usd_per_mwh)
    if charge.block_kw:
        return {"left_kw": left_kw, "unused_usd_per_mwh": alone.left}
    return {"more_usd_per_mwh": alone.beyond - market_usd_per_mwh}
