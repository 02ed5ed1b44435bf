"""Jobs yet to come: how many GPUs they are expected to ask for, told from those that came lately.

Where jobs come at a rate of `g(u)` GPUs per hour and a share `s(a)` of their GPUs is still asked for `a` hours later,
those that come after now ask for sum over u of g(u) s(t - u) GPUs at `t`: a queue with servers for all (M/G/inf).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from orchestrator.domain.site.site import Site

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

WINDOW = timedelta(days=28)
LEAST = timedelta(hours=6)
"""Of arrivals that must have been seen; before, none are expected."""
WEEKDAY_SHARE = 0.5
"""Of the rate by hour of the week in the rate; the rest is by hour of the day, which is seen seven times as often."""
HOURS_A_WEEK = 168


@dataclass(frozen=True, slots=True)
class ArrivalPattern:
    """What a pool's jobs are like."""

    gpus_per_h: Floats
    """(168,) GPUs asked for by the jobs that come in an hour, by hour of the local week from Thursday 00:00 on, the
    day of unix time zero."""
    still_asked: Floats
    """(steps,) share of these GPUs that is asked for in the middle of each step from a job's arrival on."""


def arrival_pattern(
    submitted_at: Floats,
    gpus: Ints | Floats,
    run_s: Floats,
    now: datetime,
    since: datetime,
    local: tzinfo,
    *,
    step: timedelta,
    steps: int,
) -> ArrivalPattern:
    """The pattern of one pool's jobs, submitted in order of time (unix seconds), on what came by `now`.

    `since` is when jobs began to be recorded; `run_s` is their time at full power. Later jobs are not looked at.
    """
    begin = max(since, now - WINDOW)
    begin_s, now_s = begin.timestamp(), now.timestamp()
    first, stop = np.searchsorted(submitted_at, [begin_s, now_s], side="right")
    quiet = ArrivalPattern(np.zeros(HOURS_A_WEEK), np.zeros(steps))
    if now - begin < LEAST or stop <= first:
        return quiet
    offset = now.astimezone(local).utcoffset()
    assert offset is not None, "a time zone has an offset at every time"
    shift_s = offset.total_seconds()
    asked = np.asarray(gpus[first:stop], dtype=np.float64)
    hours = np.floor((submitted_at[first:stop] + shift_s) / 3600.0).astype(np.int64) % HOURS_A_WEEK
    came = np.bincount(hours, weights=asked, minlength=HOURS_A_WEEK)
    seen_h = _hours_seen(begin_s + shift_s, now_s + shift_s)
    by_day, seen_by_day = came.reshape(7, 24).sum(axis=0), seen_h.reshape(7, 24).sum(axis=0)
    mean = asked.sum() / seen_h.sum()
    daily = np.tile(np.where(seen_by_day >= 1.0, by_day / np.maximum(seen_by_day, 1.0), mean), 7)
    weekly = np.where(seen_h >= 1.0, came / np.maximum(seen_h, 1.0), daily)
    middles_s = (np.arange(steps) + 0.5) * step.total_seconds()
    order = np.argsort(run_s[first:stop])
    ended = np.searchsorted(run_s[first:stop][order], middles_s, side="right")
    done = np.concatenate(([0.0], np.cumsum(asked[order])))
    return ArrivalPattern(
        gpus_per_h=WEEKDAY_SHARE * weekly + (1.0 - WEEKDAY_SHARE) * daily,
        still_asked=1.0 - done[ended] / asked.sum(),
    )


def arrivals_ahead(pattern: ArrivalPattern, now: datetime, local: tzinfo, *, step: timedelta, steps: int) -> Floats:
    """(steps,) GPUs that jobs coming after `now` are expected to ask for, were each run at once."""
    offset = now.astimezone(local).utcoffset()
    assert offset is not None, "a time zone has an offset at every time"
    step_s = step.total_seconds()
    wall_s = now.timestamp() + offset.total_seconds() + (np.arange(steps) + 0.5) * step_s
    rate = pattern.gpus_per_h[np.floor(wall_s / 3600.0).astype(np.int64) % HOURS_A_WEEK]
    return np.convolve(rate * step_s / 3600.0, pattern.still_asked)[:steps]


@dataclass(frozen=True, slots=True)
class PastJobs:
    """Jobs that were handed in, in order of submission, a row for each."""

    since: datetime
    """From when on all of them are in it."""
    pool: Ints
    """Row in the site file."""
    submitted_at: Floats
    """Unix seconds."""
    gpus: Ints
    run_s: Floats


def patterns_by_pool(
    site: Site, past: PastJobs, now: datetime, *, step: timedelta, steps: int
) -> dict[str, ArrivalPattern]:
    """The pattern of each pool of the site.

    It changes slowly: once an hour or a day is often enough.
    """
    local = ZoneInfo(site.timezone)
    submitted_at, gpus, run_s = past.submitted_at, past.gpus, past.run_s
    first, stop = np.searchsorted(submitted_at, [(now - WINDOW).timestamp(), now.timestamp()], side="right")
    patterns = {}
    for row, of in enumerate(site.pools):
        mine = first + np.flatnonzero(past.pool[first:stop] == row)
        patterns[of.name] = arrival_pattern(
            submitted_at[mine], gpus[mine], run_s[mine], now, past.since, local, step=step, steps=steps
        )
    return patterns


def arrivals_by_pool(
    patterns: Mapping[str, ArrivalPattern], now: datetime, local: tzinfo, *, step: timedelta, steps: int
) -> dict[str, Floats]:
    """By pool (steps,), as an `Outlook` has it: GPUs that jobs coming after `now` are expected to ask for."""
    return {name: arrivals_ahead(pattern, now, local, step=step, steps=steps) for name, pattern in patterns.items()}


def _hours_seen(begin_s: float, end_s: float) -> Floats:
    """(168,) how much of each hour of the week, hours, lies between two local times."""
    starts = np.arange(np.floor(begin_s / 3600.0), np.ceil(end_s / 3600.0))
    parts = np.minimum(starts + 1.0, end_s / 3600.0) - np.maximum(starts, begin_s / 3600.0)
    hours = starts.astype(np.int64) % HOURS_A_WEEK
    return np.bincount(hours, weights=parts, minlength=HOURS_A_WEEK).astype(np.float64)
