"""Times as people at the site read them."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from orchestrator.explain.local_times import apart_text, clock_text, range_text, span_text

ZONE = ZoneInfo("America/Chicago")


def local(hour: int, minute: int = 0, day: int = 6) -> datetime:
    return datetime(2023, 9, day, hour, minute, tzinfo=ZONE).astimezone(UTC)


NOON = local(12, 45)


def test_times_are_those_of_the_site_with_the_day_where_it_is_another() -> None:
    assert clock_text(local(13), NOON, ZONE) == "13:00"
    assert clock_text(local(0, 0, day=7), NOON, ZONE) == "00:00 tomorrow"
    assert clock_text(local(23, 59, day=5), NOON, ZONE) == "23:59 yesterday"
    assert clock_text(local(9, day=9), NOON, ZONE) == "09:00 on 9 Sep"
    assert range_text(local(23), local(1, day=7), NOON, ZONE) == "from 23:00 to 01:00 tomorrow"
    assert range_text(local(1, day=7), local(2, day=7), NOON, ZONE) == "from 01:00 to 02:00 tomorrow"


@pytest.mark.parametrize(
    ("span", "text"),
    [
        (timedelta(seconds=59), "under a minute"),
        (timedelta(minutes=47, seconds=59), "47 min"),
        (timedelta(hours=2), "2 h"),
        (timedelta(hours=2, minutes=10), "2 h 10 min"),
        (timedelta(hours=24), "1 day"),
        (timedelta(hours=53), "2 days 5 h"),
    ],
)
def test_spans(span: timedelta, text: str) -> None:
    assert span_text(span) == text


def test_a_span_between_two_times_agrees_with_the_times_as_told() -> None:
    assert apart_text(local(21, 5) + timedelta(seconds=20), local(22)) == "55 min"
