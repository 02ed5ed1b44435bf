"""Prices that are pushed to us."""

from collections.abc import Sequence
from datetime import datetime

from orchestrator.adapters.prices.known_prices import KnownPrices, PriceChanges
from orchestrator.domain.market import Price, PriceBook


class PushedPrices:
    """A PriceSource that is told its prices (`POST /api/v1/prices`); keeps four weeks of them."""

    def __init__(self) -> None:
        self._recent = KnownPrices()

    def accept(self, prices: Sequence[Price], now: datetime) -> PriceChanges:
        """Take `prices` as `parse_price_document` gives them; one for a known interval corrects it."""
        return self._recent.take(prices, now)

    def recall(self, prices: Sequence[Price], now: datetime) -> None:
        """Take what was known before a restart."""
        self._recent.take(prices, now)

    async def read(self, now: datetime) -> PriceBook:
        return self._recent.book(now)
