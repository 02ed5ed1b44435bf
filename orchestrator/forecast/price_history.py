"""What was known of prices and temperature, and when, as arrays: what forecasts are made from.

Row `r` of a track is the interval from `start + r * step`. At row `r` the real-time prices of rows up to `r` are known
(one is published as its interval begins) and the day-ahead prices of rows whose `known_from` is at most `r`.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

import numpy as np
from numpy.typing import NDArray

from orchestrator.domain.market import day_ahead_published_at

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

PROFILE_DAYS = 7
"""Days that the profile of prices by time of day is the median of."""
PREMIUM_DAYS = 28
"""Days that the real-time price's difference from the day-ahead one, by time of day, is the median of."""
AHEAD = timedelta(days=2)
"""A track goes so far beyond its last price."""


@dataclass(frozen=True, slots=True)
class Track:
    """`R` rows; NaN is a price that is not known."""

    start: datetime
    step: timedelta
    real_time: Floats
    """(R,) USD/MWh as first published."""
    day_ahead: Floats
    """(R,) USD/MWh."""
    known_from: Ints
    """(R,) row from which on `day_ahead` is published."""
    day_before: Ints
    """(R,) row of the same local time the day before; -1 where that is before the track."""
    profile: Floats
    """(R,) median of the prices at this local time on the `PROFILE_DAYS` days before; NaN where there is none."""
    premium: Floats
    """(R,) median of real-time less day-ahead price at this local time on the `PREMIUM_DAYS` days before; 0 where
    there is none."""
    last_known: Ints
    """(R,) newest row up to this one with a real-time price; -1 where there is none."""
    outdoor_c: Floats
    """(R,) measured so far; NaN where not."""

    def __len__(self) -> int:
        return len(self.real_time)

    @property
    def steps_a_day(self) -> int:
        return round(timedelta(days=1) / self.step)

    def row(self, at: datetime) -> int:
        """The row that covers `at`; it may lie outside."""
        return (at - self.start) // self.step


def price_track(
    start: datetime,
    step: timedelta,
    real_time: Floats,
    day_ahead: Floats,
    local: tzinfo,
    *,
    outdoor_c: Floats | None = None,
    published_by: datetime | None = None,
) -> Track:
    """The track of prices on a uniform grid from `start` on, both arrays equally long, USD/MWh, NaN where not known.

    Day-ahead prices are known from 13:30 local time of the day before; all of them are at `published_by`, if given.
    Where there is no real-time price the day-ahead one stands for it in the profile.
    """
    rows = len(real_time)
    padded = rows + round(AHEAD / step)
    first, ahead, outdoor = (np.full(padded, np.nan) for _ in range(3))
    first[:rows], ahead[:rows] = real_time, day_ahead
    if outdoor_c is not None:
        outdoor[:rows] = outdoor_c
    at_s = int(start.timestamp()) + int(step.total_seconds()) * np.arange(padded, dtype=np.int64)
    wall_s = _wall_seconds(at_s, local)
    step_s = int(step.total_seconds())
    known_from = _published_rows(at_s, wall_s, local)
    if published_by is not None:
        known_from = np.minimum(known_from, (published_by - start) // step)
    premium = _profile(first - ahead, wall_s, step_s, PREMIUM_DAYS)
    return Track(
        start=start,
        step=step,
        real_time=first,
        day_ahead=ahead,
        known_from=known_from,
        day_before=_days_before(wall_s, step_s, 1),
        profile=_profile(np.where(np.isnan(first), ahead, first), wall_s, step_s, PROFILE_DAYS),
        premium=np.where(np.isnan(premium), 0.0, premium),
        last_known=np.maximum.accumulate(np.where(np.isnan(first), -1, np.arange(padded))),
        outdoor_c=outdoor,
    )


def _wall_seconds(at_s: Ints, local: tzinfo) -> Ints:
    """What clocks in `local` show at `at_s` (unix seconds), as seconds: the same time a day later is 86,400 more."""
    # Clocks change on whole or half hours, so the offset is asked for once each half hour and not for each row.
    half_hours, of_row = np.unique(at_s // 1800, return_inverse=True)
    offsets = []
    for half_hour in half_hours.tolist():
        offset = datetime.fromtimestamp(half_hour * 1800, local).utcoffset()
        assert offset is not None, "a time zone has an offset at every time"
        offsets.append(int(offset.total_seconds()))
    return at_s + np.array(offsets, dtype=np.int64)[of_row]


def _published_rows(at_s: Ints, wall_s: Ints, local: tzinfo) -> Ints:
    _, first_rows, of_row = np.unique(wall_s // 86_400, return_index=True, return_inverse=True)
    published_s = [
        day_ahead_published_at(datetime.fromtimestamp(at, UTC), local).timestamp() for at in at_s[first_rows].tolist()
    ]
    return np.searchsorted(at_s, np.array(published_s)).astype(np.int64)[of_row]


def _days_before(wall_s: Ints, step_s: int, days: int) -> Ints:
    """Of each row, the row of the same local time so many days before; -1 where that is before the track."""
    # Not by going back a day at a time: past an hour that clocks leave out, each day before would be off by that hour.
    back = days * (86_400 // step_s)
    shift_s = np.zeros(len(wall_s), dtype=np.int64)
    shift_s[back:] = wall_s[back:] - wall_s[: max(len(wall_s) - back, 0)] - days * 86_400
    rows = np.arange(len(wall_s)) - back
    return np.where(rows >= 0, np.maximum(rows + shift_s // step_s, 0), -1)


def _profile(prices: Floats, wall_s: Ints, step_s: int, days: int) -> Floats:
    """Of each row, the median of the prices on the days before at the same time of day; NaN where there is none."""
    past = np.full((days, len(prices)), np.nan)
    for day in range(days):
        rows = _days_before(wall_s, step_s, day + 1)
        there = rows >= 0
        past[day, there] = prices[rows[there]]
    past.sort(axis=0)  # what is not known comes last
    count = (~np.isnan(past)).sum(axis=0)
    every = np.arange(len(prices))
    low, high = past[np.maximum(count - 1, 0) // 2, every], past[np.minimum(count // 2, days - 1), every]
    return np.where(count > 0, (low + high) / 2.0, np.nan)
