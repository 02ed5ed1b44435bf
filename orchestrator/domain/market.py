"""Prices of energy as published, and which of them holds now."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta, tzinfo
from enum import StrEnum

from orchestrator.domain.observation import Quality, Reading

FALLBACK_INTERVAL = timedelta(minutes=15)
"""Interval of a price that is assumed for want of any published one."""

BEHIND = timedelta(days=29)
"""A price book reaches this far back: the four weeks that forecasts learn from, and the day in hand."""

DAY_AHEAD_PUBLISHED = time(13, 30)
"""By this local time day-ahead results are out for the day after: ERCOT's protocols set 13:30 Central, and the
auctions of California and Europe are out before it."""


def day_ahead_published_at(start: datetime, local: tzinfo) -> datetime:
    """When the day-ahead price of the interval from `start` is out: the day before its delivery day in zone `local`."""
    eve = start.astimezone(local).date() - timedelta(days=1)
    return datetime.combine(eve, DAY_AHEAD_PUBLISHED, local).astimezone(UTC)


class Market(StrEnum):
    REAL_TIME = "real_time"
    DAY_AHEAD = "day_ahead"


@dataclass(frozen=True, slots=True)
class Price:
    """The price of one interval `[start, end)` in one market, USD/MWh. It may be negative."""

    start: datetime
    end: datetime
    usd_per_mwh: float
    market: Market

    def covers(self, at: datetime) -> bool:
        return self.start <= at < self.end


@dataclass(frozen=True, slots=True)
class PriceBook:
    """What is known of prices at one moment: real-time so far, day-ahead as far as published.

    Both sequences are sorted by start and do not overlap.
    """

    real_time: tuple[Price, ...] = ()
    day_ahead: tuple[Price, ...] = ()
    _real_time_starts: tuple[datetime, ...] = field(init=False, repr=False, compare=False)
    _day_ahead_starts: tuple[datetime, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_real_time_starts", tuple(price.start for price in self.real_time))
        object.__setattr__(self, "_day_ahead_starts", tuple(price.start for price in self.day_ahead))

    @staticmethod
    def of(prices: Iterable[Price]) -> "PriceBook":
        """A book of `prices` in any order; of two for one interval and market the later given one holds."""
        latest: dict[tuple[Market, datetime], Price] = {(price.market, price.start): price for price in prices}
        ordered = sorted(latest.values(), key=lambda price: price.start)
        return PriceBook(
            real_time=tuple(price for price in ordered if price.market is Market.REAL_TIME),
            day_ahead=tuple(price for price in ordered if price.market is Market.DAY_AHEAD),
        )

    def real_time_at(self, at: datetime) -> Price | None:
        """The real-time price whose interval covers `at`."""
        return _covering(self.real_time, self._real_time_starts, at)

    def day_ahead_at(self, at: datetime) -> Price | None:
        """The day-ahead price whose interval covers `at`."""
        return _covering(self.day_ahead, self._day_ahead_starts, at)

    def last_real_time(self, at: datetime) -> Price | None:
        """The newest real-time price that began by `at`, even if its interval is over."""
        index = bisect_right(self._real_time_starts, at)
        return self.real_time[index - 1] if index else None


@dataclass(frozen=True, slots=True)
class PricePolicy:
    """When a real-time price is too old, and what is assumed then.

    A real-time price holds to the end of its interval and `max_age` more. After that the day-ahead price of
    the hour is assumed, and where there is none `fallback_usd_per_mwh`.
    """

    max_age: timedelta
    fallback_usd_per_mwh: float


PRICE_BASES = ("real_time", "real_time_held", "day_ahead", "fallback")


@dataclass(frozen=True, slots=True)
class CurrentPrice:
    """The price to decide and settle on, and where it is from."""

    reading: Reading
    basis: str
    """`real_time`, `real_time_held` (interval over, not yet too old), `day_ahead` or `fallback`."""
    interval_start: datetime
    interval_end: datetime

    @property
    def usd_per_mwh(self) -> float:
        assert self.reading.value is not None, "a current price always has a value"
        return self.reading.value


def current_price(book: PriceBook, now: datetime, policy: PricePolicy) -> CurrentPrice:
    """The price in force at `now` under the stale policy; never a silent zero."""
    last = book.last_real_time(now)
    if last is not None and last.covers(now):
        return _priced(last.usd_per_mwh, last.start, Quality.FRESH, "real_time", last.start, last.end)
    if last is not None and now < last.end + policy.max_age:
        held_until = _next_start(book.real_time, book._real_time_starts, now, last.end + policy.max_age)
        return _priced(last.usd_per_mwh, last.start, Quality.STALE, "real_time_held", last.end, held_until)
    forward = book.day_ahead_at(now)
    if forward is not None:
        # A real-time price known to come ends it early, for whoever prices a stretch of time afterwards.
        until = _next_start(book.real_time, book._real_time_starts, now, forward.end)
        return _priced(forward.usd_per_mwh, forward.start, Quality.ASSUMED, "day_ahead", forward.start, until)
    start = now.replace(minute=now.minute - now.minute % 15, second=0, microsecond=0)
    end = _next_start(book.real_time, book._real_time_starts, now, start + FALLBACK_INTERVAL)
    return _priced(policy.fallback_usd_per_mwh, start, Quality.ASSUMED, "fallback", start, end)


def _priced(value: float, at: datetime, quality: Quality, basis: str, start: datetime, end: datetime) -> CurrentPrice:
    return CurrentPrice(
        reading=Reading(value=value, unit="USD/MWh", at=at, quality=quality),
        basis=basis,
        interval_start=start,
        interval_end=end,
    )


def _covering(prices: Sequence[Price], starts: Sequence[datetime], at: datetime) -> Price | None:
    index = bisect_right(starts, at)
    if index == 0:
        return None
    candidate = prices[index - 1]
    return candidate if candidate.covers(at) else None


def _next_start(prices: Sequence[Price], starts: Sequence[datetime], at: datetime, limit: datetime) -> datetime:
    index = bisect_right(starts, at)
    return min(prices[index].start, limit) if index < len(prices) else limit
