"""The prices that a live source has told us: those of the last four weeks, and of the days ahead."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from orchestrator.domain.market import BEHIND, Market, Price, PriceBook

AHEAD = timedelta(days=8)
"""No market publishes prices further ahead: one that starts later is taken for a mistake."""


@dataclass(frozen=True, slots=True)
class PriceChanges:
    """What newly given prices changed."""

    added: tuple[Price, ...] = ()
    corrected: tuple[tuple[Price, Price], ...] = ()
    """(before, after), of intervals whose price was known and changed; one pair for each interval replaced."""
    unchanged: int = 0
    out_of_range: int = 0
    """Over for more than four weeks, or starting more than eight days ahead; not kept."""


class KnownPrices:
    """Takes in prices and corrections of them, and gives the book of what is known at a time."""

    def __init__(self) -> None:
        self._prices: dict[Market, list[Price]] = {market: [] for market in Market}
        self._shown: tuple[int, int] | None = None
        self._version = 0
        self._book = PriceBook()

    def take(self, prices: Iterable[Price], now: datetime) -> PriceChanges:
        """Keep `prices`; one that overlaps known ones of its market replaces them."""
        added: list[Price] = []
        corrected: list[tuple[Price, Price]] = []
        unchanged = out_of_range = 0
        for price in prices:
            if price.end <= now - BEHIND or price.start >= now + AHEAD:
                out_of_range += 1
                continue
            known = self._prices[price.market]
            first = bisect_right(known, price.start, key=_end)
            last = bisect_left(known, price.end, key=_start)
            replaced = known[first:last]
            known[first:last] = [price]
            if replaced == [price]:
                unchanged += 1
            elif replaced:
                corrected += [(before, price) for before in replaced]
            else:
                added.append(price)
        if added or corrected:
            self._version += 1
        return PriceChanges(tuple(added), tuple(corrected), unchanged, out_of_range)

    def book(self, now: datetime) -> PriceBook:
        """What is known at `now`: real-time intervals that have begun, and all day-ahead ones."""
        for known in self._prices.values():
            over = bisect_right(known, now - BEHIND, key=_end)
            if over:
                del known[:over]
                self._version += 1
        real_time = self._prices[Market.REAL_TIME]
        begun = bisect_right(real_time, now, key=_start)
        if (self._version, begun) != self._shown:
            self._shown = (self._version, begun)
            day_ahead = self._prices[Market.DAY_AHEAD]
            self._book = PriceBook(real_time=tuple(real_time[:begun]), day_ahead=tuple(day_ahead))
        return self._book


def _start(price: Price) -> datetime:
    return price.start


def _end(price: Price) -> datetime:
    return price.end
