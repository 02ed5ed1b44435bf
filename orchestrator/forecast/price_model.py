"""How prices ahead are told from what is known: the day-ahead price or a profile, and an error now that decays.

The price expected at row `t` as seen from row `r` is

    base(t) + (price(r) - base(r)) x decay(t - r)        within the range of the last days' prices

where base is the day-ahead price with half of its usual premium taken off, as far as published, and beyond it the
median of the last days at that time of day, mixed with yesterday's price. What decays slowly and what fast differs
by hours ahead, so the decay at each of `LEADS_H` is that of the half-life which erred least there over the last
`WINDOW`, chosen once a day like the mix; the quantiles of the errors left are the spread. All of it is additive, so
that negative prices are prices like others.
"""

from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from orchestrator.forecast.price_history import AHEAD, Floats, Ints, Track

PREMIUM_SHARE = 0.5
"""Of the usual difference between both markets: the median of a few weeks is itself uncertain."""
HALF_LIVES_H = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
YESTERDAY_SHARES = (0.0, 0.5)
"""Of yesterday's price in the base, where there is no day-ahead price; the rest is the median of the last days."""
DEFAULT = HALF_LIVES_H.index(1.0)
"""Until `LEAST_ERRORS` were seen; then without yesterday's price."""
WINDOW = timedelta(days=28)
LEAST_ERRORS = 96
"""Hours with errors by which the decay and quantiles are told: four days."""
LEADS_H = (0.25, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 20.0, 24.0)
"""Hours ahead for which errors are kept; quantiles are linear between them."""
DEFAULT_ERRORS = {0.1: -9.0, 0.25: -3.0, 0.5: 0.0, 0.75: 4.0, 0.9: 12.0}
"""Quantiles of the errors, USD/MWh, a few hours ahead until enough were seen: about those of ERCOT's hubs in 2024."""
PROBABILITIES = tuple(DEFAULT_ERRORS)
SEEN_DAYS = 7
"""Prices of so many days are the range of those to come."""
PATHS = 14
"""Days whose errors are taken as ways that prices may go: with twice as many a backtest earned no more."""


@dataclass(frozen=True, slots=True)
class PriceModel:
    """What was fitted, for each day of a track (`steps_a_day` rows from its start on), on the rows before that day."""

    decay: Floats
    """(days, steps): what is left of an error so many steps later."""
    yesterday_share: Floats
    """(days,)"""
    spread: Floats
    """(days, probabilities, steps): quantiles of price less forecast by steps ahead, USD/MWh."""


LEAST_PATHS = 7
"""With fewer nothing is said of how prices go to and fro."""


def fit_model(track: Track, *, only_last: bool = False) -> PriceModel:
    """The model of each day of the track, or (live) of the day of its last real-time price alone, as one that holds
    for all days."""
    a_day, an_hour = track.steps_a_day, max(track.steps_a_day // 24, 1)
    targets = np.arange(0, len(track), an_hour)
    leads = np.maximum(np.rint(np.array(LEADS_H) * a_day / 24.0).astype(np.int64), 1)
    origins = targets[:, np.newaxis] - leads
    errors = np.full((len(YESTERDAY_SHARES), len(HALF_LIVES_H), len(targets), len(leads)), np.nan)
    there = origins >= 0
    rows, ahead = origins[there], np.broadcast_to(targets[:, np.newaxis], origins.shape)[there]
    truth = track.real_time[ahead]
    weights = 0.5 ** (leads / (np.array(HALF_LIVES_H)[:, np.newaxis] * a_day / 24.0))  # (half-lives, leads)
    by_lead = np.nonzero(there)[1]
    for index, share in enumerate(YESTERDAY_SHARES):
        base = _base(track, rows, ahead, share)
        error, age = _error_now(track, rows, share)
        for half_life in range(len(HALF_LIVES_H)):
            aged = 0.5 ** (age / (HALF_LIVES_H[half_life] * a_day / 24.0))
            errors[index, half_life][there] = truth - base - error * aged * weights[half_life, by_lead]
    days = len(track) // a_day + 1
    first, window = 0, round(WINDOW / timedelta(hours=1))
    if only_last:
        days, first = 1, int(track.last_known[-1]) + 1
    steps = round(AHEAD / track.step)
    model = PriceModel(np.empty((days, steps)), np.zeros(days), np.empty((days, len(PROBABILITIES), steps)))
    for day in range(days):
        stop = -(-(first + day * a_day) // an_hour)  # targets before the day
        seen = errors[:, :, max(stop - window, 0) : stop]
        whole = ~np.isnan(seen[0, DEFAULT]).any(axis=1)
        decay, offsets = weights[DEFAULT], _default_offsets(len(leads))
        if whole.sum() >= LEAST_ERRORS:
            sizes = np.abs(seen[:, :, whole]).sum(axis=2)  # (shares, half-lives, leads)
            share = int(np.argmin(sizes.min(axis=1).sum(axis=1)))
            best = sizes[share].argmin(axis=0)
            of_lead = np.arange(len(leads))
            decay = np.minimum.accumulate(weights[best, of_lead])
            offsets = np.quantile(seen[share][best, :, of_lead][:, whole], PROBABILITIES, axis=1)
            model.yesterday_share[day] = YESTERDAY_SHARES[share]
        at = np.arange(steps)
        model.decay[day] = np.interp(at, [0, *leads], [1.0, *decay])
        for index in range(len(PROBABILITIES)):
            model.spread[day, index] = np.interp(at, [0, *leads], [0.0, *offsets[index]])
    return model


def _default_offsets(leads: int) -> Floats:
    offsets = np.repeat(np.array(list(DEFAULT_ERRORS.values()))[:, np.newaxis], leads, axis=1)
    offsets[:, 0] /= 2.0
    return offsets


def prices_ahead(track: Track, model: PriceModel, row: int, steps: int) -> Floats:
    """(steps,) expected from `row` on, as seen from `row`; the first is the price at `row` itself where it is known.

    NaN where nothing at all is known.
    """
    day = min(row // track.steps_a_day, len(model.decay) - 1)
    share = float(model.yesterday_share[day])
    ahead = np.minimum(np.arange(row, row + steps), len(track) - 1)
    error, age = _error_now(track, np.array([row]), share)
    later = np.minimum(np.arange(steps) + age, model.decay.shape[1] - 1)
    base = _base(track, row, ahead, share)
    prices: Floats = _within_seen(track, row, base, base + error * model.decay[day][later])
    last = int(track.last_known[row])
    if last == row:
        prices[0] = track.real_time[row]
    if np.isnan(prices).any():
        prices = np.where(np.isnan(prices), track.real_time[last] if last >= 0 else np.nan, prices)
    return prices


def _within_seen(track: Track, row: int, base: Floats, prices: Floats) -> Floats:
    """No price beyond those of the last days and the base.

    The error of an hour that was dear yesterday and is not today would make the cheap hours after it deeply negative.
    """
    seen = track.real_time[max(row - SEEN_DAYS * track.steps_a_day, 0) : row + 1]
    seen = seen[~np.isnan(seen)]
    if not len(seen):
        return prices
    within: Floats = np.clip(prices, np.fmin(base, seen.min()), np.fmax(base, seen.max()))
    return within


def paths_ahead(track: Track, model: PriceModel, row: int, expected: Floats, forecasts: dict[int, Floats]) -> Floats:
    """(P, T) ways that prices may go from `row` on: `expected`, each time with an error path of the days before.

    An error path is what prices did less what had been forecast of them, from the same time of a day on, all of it
    known at `row`. `forecasts`, by row, is the caller's memory of them and is added to; none of it is needed.
    """
    steps, a_day = len(expected), track.steps_a_day
    forecasts[row] = expected
    errors = []
    for day in range(-(-steps // a_day), PATHS + 1):
        then = row - day * a_day
        if then < 0:
            break
        if then not in forecasts:
            forecasts[then] = prices_ahead(track, model, then, steps)
        error = track.real_time[then : then + steps] - forecasts[then]
        if not np.isnan(error).any():
            errors.append(error)
    forecasts.pop(row - (PATHS + 1) * a_day, None)
    if len(errors) < LEAST_PATHS:
        errors = []
    return expected + np.array(errors).reshape(len(errors), steps)


def source_rows(track: Track, row: int | Ints, ahead: Ints) -> Ints:
    """For each row ahead, itself or the same time of a day so much earlier that the day before it is known at `row`."""
    source = ahead
    while True:
        before = track.day_before[source]
        late = before > row
        if not late.any():
            return source
        source = np.where(late, before, source)


def _base(track: Track, row: int | Ints, ahead: Ints, yesterday_share: float) -> Floats:
    source = source_rows(track, row, ahead)
    profile = track.profile[source]
    if yesterday_share:
        before = track.day_before[source]
        yesterday = np.where(before >= 0, track.real_time[np.maximum(before, 0)], np.nan)
        mixed = profile + yesterday_share * (yesterday - profile)
        profile = np.where(np.isnan(mixed), profile, mixed)
    day_ahead = track.day_ahead[ahead]
    published = (track.known_from[ahead] <= row) & ~np.isnan(day_ahead)
    return np.where(published, day_ahead + PREMIUM_SHARE * track.premium[source], profile)


def _error_now(track: Track, rows: Ints, yesterday_share: float) -> tuple[Floats, Ints]:
    """The last known price less its base, and how many steps ago it was; zero where there is none."""
    last = track.last_known[rows]
    known = np.maximum(last, 0)
    error = track.real_time[known] - _base(track, known, known, yesterday_share)
    return np.where((last < 0) | np.isnan(error), 0.0, error), rows - known
