"""How good forecasts of prices are: errors by hours ahead over a history, beside those of naive ones."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from orchestrator.forecast.price_history import Floats, Ints, Track
from orchestrator.forecast.price_model import PROBABILITIES, PriceModel, prices_ahead

FIRST_DAY = 29
"""Of a history; the model learns on the days before."""


@dataclass(frozen=True, slots=True)
class Skill:
    """By hours ahead: of hour `h`, all steps that end up to `h` hours after the forecast and more than `h - 1`."""

    hours: tuple[int, ...]
    mae: Floats
    """(hours,) mean absolute error, USD/MWh."""
    bias: Floats
    """(hours,) mean of forecast less price, USD/MWh."""
    pinball: Floats | None
    """(hours,) mean over the probabilities of the pinball loss, USD/MWh; None for a forecast without a spread."""
    coverage: Mapping[float, Floats] | None
    """(hours,) by probability: share of prices under that quantile."""


def forecast_skill(
    track: Track, model: PriceModel, rows: int, hours: tuple[int, ...], *, every: int = 1
) -> dict[str, Skill]:
    """Skill by name over the first `rows` rows of a track: ours, and the naive ones that its prices allow.

    Forecasts are made at each row, or at one in `every`. Empty where the track is too short.

    `persistence` is the last price, `yesterday` the price at that time of the day before, `day-ahead` the day-ahead
    price as far as published and yesterday's beyond.
    """
    naive: dict[str, Callable[[Ints, Ints], Floats]] = {
        "persistence": lambda origins, ahead: track.real_time[origins],
        "yesterday": lambda origins, ahead: _yesterday(track, origins, ahead),
    }
    if not np.isnan(track.day_ahead[:rows]).all():
        naive["day-ahead"] = lambda origins, ahead: np.where(
            (track.known_from[ahead] <= origins) & ~np.isnan(track.day_ahead[ahead]),
            track.day_ahead[ahead],
            _yesterday(track, origins, ahead),
        )
    an_hour = max(track.steps_a_day // 24, 1)
    steps = max(hours) * an_hour + 1
    origins = np.arange(FIRST_DAY * track.steps_a_day, rows - steps, every)
    if not len(origins):
        return {}
    ahead = origins[:, np.newaxis] + np.arange(steps)
    truth = track.real_time[ahead]
    ours = np.array([prices_ahead(track, model, row, steps) for row in origins.tolist()]).reshape(truth.shape)
    days = np.minimum(origins // track.steps_a_day, len(model.spread) - 1)
    quantiles = {
        probability: ours + model.spread[days, index, :steps] for index, probability in enumerate(PROBABILITIES)
    }
    skill = {"ours": _skill(ours, truth, hours, an_hour, quantiles)}
    for name, forecast in naive.items():
        told = np.broadcast_to(forecast(origins[:, np.newaxis], ahead), truth.shape)
        skill[name] = _skill(told, truth, hours, an_hour, None)
    return skill


def _yesterday(track: Track, origins: Ints, ahead: Ints) -> Floats:
    before = track.day_before[ahead]
    before = np.where(before > origins, track.day_before[before], before)
    return np.where(before >= 0, track.real_time[np.maximum(before, 0)], np.nan)


def _skill(
    forecast: Floats, truth: Floats, hours: tuple[int, ...], an_hour: int, quantiles: Mapping[float, Floats] | None
) -> Skill:
    error = forecast - truth
    return Skill(
        hours=hours,
        mae=_by_hours(np.abs(error), hours, an_hour),
        bias=_by_hours(error, hours, an_hour),
        pinball=None
        if quantiles is None
        else _by_hours(
            np.mean([pinball_loss(truth, values, p) for p, values in quantiles.items()], axis=0), hours, an_hour
        ),
        coverage=None
        if quantiles is None
        else {
            p: _by_hours(np.where(np.isnan(error), np.nan, truth <= values), hours, an_hour)
            for p, values in quantiles.items()
        },
    )


def pinball_loss(truth: Floats, quantile: Floats, probability: float) -> Floats:
    """The loss that a quantile of that probability makes least on average; half the absolute error for the median."""
    under = truth - quantile
    return np.maximum(probability * under, (probability - 1.0) * under)


def _by_hours(values: Floats, hours: tuple[int, ...], an_hour: int) -> Floats:
    """The mean of the steps of each hour ahead; steps without a price are left out."""
    of_hours = [values[:, (hour - 1) * an_hour + 1 : hour * an_hour + 1] for hour in hours]
    return np.array([np.nan if np.isnan(of_hour).all() else np.nanmean(of_hour) for of_hour in of_hours])
