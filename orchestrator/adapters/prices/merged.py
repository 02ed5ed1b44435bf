"""Real-time prices of one source with day-ahead prices of another."""

from datetime import datetime

from orchestrator.domain.market import PriceBook
from orchestrator.ports import PriceSource


class MergedPrices:
    """A PriceSource of two, such as pushed real-time prices and a file of day-ahead ones."""

    def __init__(self, real_time: PriceSource, day_ahead: PriceSource) -> None:
        self._real_time = real_time
        self._day_ahead = day_ahead
        self._of: tuple[PriceBook, PriceBook] | None = None
        self._book = PriceBook()

    async def read(self, now: datetime) -> PriceBook:
        first, second = await self._real_time.read(now), await self._day_ahead.read(now)
        if self._of is None or self._of[0] is not first or self._of[1] is not second:
            self._of = (first, second)
            self._book = PriceBook(real_time=first.real_time, day_ahead=second.day_ahead)
        return self._book
