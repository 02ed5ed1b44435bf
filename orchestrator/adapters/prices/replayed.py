"""Prices of past days, shown as they became known then."""

import itertools
from bisect import bisect_right
from collections.abc import Iterable
from datetime import datetime
from zoneinfo import ZoneInfo

from orchestrator.domain.market import BEHIND, Market, Price, PriceBook, day_ahead_published_at


class ReplayedPrices:
    """A PriceSource over prices known beforehand, from files.

    A real-time price shows when its interval begins. Day-ahead prices of a local day show from 13:30 local time of
    the day before on. A book reaches four weeks back.
    """

    def __init__(self, prices: Iterable[Price], timezone: str) -> None:
        """`prices` in any order, of several files too; `timezone` is that of the market's delivery days.

        Identical prices are taken once. Raises ValueError where two of one market overlap otherwise.
        """
        local = ZoneInfo(timezone)
        known = sorted(set(prices), key=lambda price: price.start)
        self._real_time = tuple(price for price in known if price.market is Market.REAL_TIME)
        self._day_ahead = tuple(price for price in known if price.market is Market.DAY_AHEAD)
        _check_apart(self._real_time)
        _check_apart(self._day_ahead)
        self._begins = tuple(price.start for price in self._real_time)
        self._published = tuple(day_ahead_published_at(price.start, local) for price in self._day_ahead)
        self._shown: tuple[int, int, int, int] | None = None
        self._book = PriceBook()

    async def read(self, now: datetime) -> PriceBook:
        oldest = now - BEHIND
        shown = (
            bisect_right(self._real_time, oldest, key=_end),
            bisect_right(self._begins, now),
            bisect_right(self._day_ahead, oldest, key=_end),
            bisect_right(self._published, now),
        )
        if shown != self._shown:
            self._shown = shown
            self._book = PriceBook(
                real_time=self._real_time[shown[0] : shown[1]], day_ahead=self._day_ahead[shown[2] : shown[3]]
            )
        return self._book

    def next_change(self, now: datetime) -> datetime | None:
        """When the next real-time interval after `now` begins; None after the last one."""
        index = bisect_right(self._begins, now)
        return self._begins[index] if index < len(self._begins) else None


def _check_apart(prices: tuple[Price, ...]) -> None:
    for earlier, later in itertools.pairwise(prices):
        if later.start < earlier.end:
            raise ValueError(
                f"two {later.market} prices overlap: {earlier.usd_per_mwh} USD/MWh from {earlier.start:%FT%TZ} and "
                f"{later.usd_per_mwh} from {later.start:%FT%TZ}; each interval may have one"
            )


def _end(price: Price) -> datetime:
    return price.end
