"""Which price holds: real-time, held, day-ahead, assumed."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.market import Market, Price, PriceBook, PricePolicy, current_price
from orchestrator.domain.observation import Quality

NOON = datetime(2023, 9, 6, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
QUARTER = 15 * MINUTE
HOUR = timedelta(hours=1)
POLICY = PricePolicy(max_age=10 * MINUTE, fallback_usd_per_mwh=75.0)


def real_time(start: datetime, usd_per_mwh: float) -> Price:
    return Price(start, start + QUARTER, usd_per_mwh, Market.REAL_TIME)


def day_ahead(start: datetime, usd_per_mwh: float) -> Price:
    return Price(start, start + HOUR, usd_per_mwh, Market.DAY_AHEAD)


BOOK = PriceBook.of([real_time(NOON, -12.5), day_ahead(NOON, 40.0), day_ahead(NOON + HOUR, 44.0)])


@pytest.mark.parametrize(
    ("after", "basis", "usd_per_mwh", "quality", "start", "end"),
    [
        (timedelta(0), "real_time", -12.5, Quality.FRESH, NOON, NOON + QUARTER),
        (QUARTER - timedelta(microseconds=1), "real_time", -12.5, Quality.FRESH, NOON, NOON + QUARTER),
        (QUARTER, "real_time_held", -12.5, Quality.STALE, NOON + QUARTER, NOON + 25 * MINUTE),
        (25 * MINUTE - timedelta(microseconds=1), "real_time_held", -12.5, Quality.STALE, NOON + QUARTER, None),
        (25 * MINUTE, "day_ahead", 40.0, Quality.ASSUMED, NOON, NOON + HOUR),
        (HOUR, "day_ahead", 44.0, Quality.ASSUMED, NOON + HOUR, NOON + 2 * HOUR),
        (2 * HOUR, "fallback", 75.0, Quality.ASSUMED, NOON + 2 * HOUR, None),
        (-MINUTE, "fallback", 75.0, Quality.ASSUMED, None, NOON),
    ],
)
def test_a_lost_real_time_price_is_held_then_day_ahead_then_the_fallback(
    after: timedelta,
    basis: str,
    usd_per_mwh: float,
    quality: Quality,
    start: datetime | None,
    end: datetime | None,
) -> None:
    price = current_price(BOOK, NOON + after, POLICY)
    assert (price.basis, price.usd_per_mwh, price.reading.quality) == (basis, usd_per_mwh, quality)
    assert start is None or price.interval_start == start
    assert end is None or price.interval_end == end


def test_the_reading_carries_the_time_of_the_price_it_is_from() -> None:
    assert current_price(BOOK, NOON + 20 * MINUTE, POLICY).reading.at == NOON
    assert current_price(BOOK, NOON + 50 * MINUTE, POLICY).reading.at == NOON


def test_without_day_ahead_a_lost_price_falls_to_the_fallback() -> None:
    book = PriceBook.of([real_time(NOON, 5000.0)])
    assert current_price(book, NOON + 25 * MINUTE, POLICY).basis == "fallback"


def test_a_held_price_ends_where_the_next_one_begins() -> None:
    book = PriceBook.of([real_time(NOON, 5000.0), real_time(NOON + 20 * MINUTE, 60.0)])
    assert current_price(book, NOON + 16 * MINUTE, POLICY).interval_end == NOON + 20 * MINUTE


def test_with_no_hold_the_day_ahead_price_holds_at_once() -> None:
    policy = PricePolicy(max_age=timedelta(0), fallback_usd_per_mwh=75.0)
    assert current_price(BOOK, NOON + QUARTER, policy).basis == "day_ahead"


def test_the_fallback_interval_stays_the_same_while_it_lasts() -> None:
    book = PriceBook()
    first = current_price(book, NOON + 3 * MINUTE, POLICY)
    assert first.interval_start <= NOON + 3 * MINUTE < first.interval_end
    assert current_price(book, NOON + 4 * MINUTE, POLICY) == first


@given(
    offsets=st.lists(st.integers(0, 400), unique=True),
    ahead=st.lists(st.integers(0, 100), unique=True),
    seconds=st.integers(-100_000, 500_000),
    hold=st.integers(0, 7200),
)
def test_there_is_a_price_at_any_time_and_its_interval_covers_it(
    offsets: list[int], ahead: list[int], seconds: int, hold: int
) -> None:
    prices = [real_time(NOON + n * QUARTER, float(n)) for n in offsets]
    prices += [day_ahead(NOON + n * HOUR, float(n)) for n in ahead]
    now = NOON + timedelta(seconds=seconds)
    price = current_price(PriceBook.of(prices), now, PricePolicy(timedelta(seconds=hold), 75.0))
    assert price.interval_start <= now < price.interval_end
    covering = [p for p in prices if p.covers(now) and p.market is Market.REAL_TIME]
    assert (price.basis == "real_time") == bool(covering)
    if covering:
        assert price.usd_per_mwh == covering[0].usd_per_mwh


# --- the book


def test_a_book_is_sorted_and_the_later_given_price_of_an_interval_holds() -> None:
    book = PriceBook.of([real_time(NOON + QUARTER, 2.0), real_time(NOON, 5000.0), real_time(NOON, 50.0)])
    assert [price.usd_per_mwh for price in book.real_time] == [50.0, 2.0]


def test_prices_are_found_by_the_interval_that_covers_a_time() -> None:
    assert BOOK.real_time_at(NOON - timedelta(microseconds=1)) is None
    assert BOOK.real_time_at(NOON) == BOOK.real_time[0]
    assert BOOK.real_time_at(NOON + QUARTER) is None
    assert BOOK.last_real_time(NOON + QUARTER) == BOOK.real_time[0]
    assert BOOK.last_real_time(NOON - MINUTE) is None
    assert BOOK.day_ahead_at(NOON + 61 * MINUTE) == BOOK.day_ahead[1]
