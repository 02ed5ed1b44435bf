"""What a replayed day shows when, and how cheap it is to ask."""

from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.adapters.prices.replayed import ReplayedPrices
from orchestrator.domain.market import Market, Price

HOUR = timedelta(hours=1)
MIDNIGHT = datetime(2024, 7, 1, 5, tzinfo=UTC)
"""In Chicago."""


def hours(market: Market, start: datetime, count: int, usd_per_mwh: float = 10.0) -> tuple[Price, ...]:
    return tuple(Price(start + n * HOUR, start + (n + 1) * HOUR, usd_per_mwh + n, market) for n in range(count))


async def test_day_ahead_shows_from_half_past_one_of_the_day_before() -> None:
    source = ReplayedPrices(hours(Market.DAY_AHEAD, MIDNIGHT, 72), "America/Chicago")
    published = MIDNIGHT + timedelta(hours=13, minutes=30)
    assert len((await source.read(MIDNIGHT)).day_ahead) == 24
    assert len((await source.read(published - timedelta(seconds=1))).day_ahead) == 24
    assert len((await source.read(published)).day_ahead) == 48
    assert (await source.read(published - timedelta(days=1, seconds=1))).day_ahead == ()
    assert len((await source.read(published - timedelta(days=1))).day_ahead) == 24


async def test_day_ahead_of_days_of_23_and_25_hours_shows_whole() -> None:
    for start, length in (
        (datetime(2024, 3, 10, 6, tzinfo=UTC), 23),
        (datetime(2024, 11, 3, 5, tzinfo=UTC), 25),
    ):
        source = ReplayedPrices(hours(Market.DAY_AHEAD, start, 48), "America/Chicago")
        assert len((await source.read(start)).day_ahead) == length


async def test_next_change_is_the_start_of_the_next_real_time_interval() -> None:
    source = ReplayedPrices(hours(Market.REAL_TIME, MIDNIGHT, 3), "America/Chicago")
    assert source.next_change(MIDNIGHT - HOUR) == MIDNIGHT
    assert source.next_change(MIDNIGHT) == MIDNIGHT + HOUR
    assert source.next_change(MIDNIGHT + 2 * HOUR) is None
    assert ReplayedPrices((), "America/Chicago").next_change(MIDNIGHT) is None


async def test_files_that_overlap_are_joined_where_they_agree() -> None:
    whole = hours(Market.REAL_TIME, MIDNIGHT, 6)
    source = ReplayedPrices((*whole[:4], *whole[2:]), "America/Chicago")
    assert (await source.read(MIDNIGHT + 9 * HOUR)).real_time == whole


def test_files_that_contradict_each_other_are_refused() -> None:
    one, other = hours(Market.REAL_TIME, MIDNIGHT, 2), hours(Market.REAL_TIME, MIDNIGHT + HOUR, 1, 99.0)
    with pytest.raises(ValueError, match=r"two real_time prices overlap: .*2024-07-01T06:00:00Z"):
        ReplayedPrices(one + other, "America/Chicago")


async def test_every_read_of_a_year_shows_just_what_had_begun() -> None:
    quarter = timedelta(minutes=15)
    year = tuple(
        Price(MIDNIGHT + n * quarter, MIDNIGHT + (n + 1) * quarter, float(n), Market.REAL_TIME) for n in range(35_040)
    )
    source = ReplayedPrices(year, "America/Chicago")
    for n in range(0, 35_040, 101):
        book = await source.read(year[n].start)
        assert book.real_time[-1] == year[n]
        assert len(book.real_time) == min(n + 1, 29 * 96 + 1)  # 29 days and the one in force
