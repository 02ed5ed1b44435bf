"""Forecasts of the hours ahead as an `Outlook`, by two doors: from a live price book, and from the arrays of a history.

Both go the same way: a `Track` says what was known when, a `PriceModel` what was fitted on it so far.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, tzinfo

import numpy as np

from orchestrator.domain.market import BEHIND, Price, PriceBook
from orchestrator.forecast.outlook import Outlook
from orchestrator.forecast.price_history import AHEAD, Floats, Track, price_track
from orchestrator.forecast.price_model import (
    PROBABILITIES,
    PriceModel,
    fit_model,
    paths_ahead,
    prices_ahead,
    source_rows,
)

OUTDOOR_HALF_LIFE = timedelta(hours=12)
"""Of today's difference from yesterday's temperature at the same time."""


@dataclass(frozen=True, slots=True)
class BesidePrices:
    """What else an outlook starts from."""

    hashprice_usd_per_ph_day: float
    """Now; it is expected to stay so."""
    outdoor_c: float
    """Measured now."""
    fallback_usd_per_mwh: float
    """What stands where no price is known at all."""
    arrivals_gpus: Mapping[str, Floats] = field(default_factory=dict)
    """As `Outlook.arrivals_gpus`."""


def outlook_at(
    track: Track,
    model: PriceModel,
    row: int,
    steps: int,
    beside: BesidePrices,
    forecasts: dict[int, Floats] | None = None,
) -> Outlook:
    """What is expected of `steps` steps from `row` on, as known at `row`; nothing later is looked at.

    `forecasts` is a memory that whoever asks row by row may keep between calls.

    Hashprice stays as it is; the temperature goes from the one measured now over into yesterday's. Raises ValueError
    beyond two days.
    """
    if steps * track.step > AHEAD:
        raise ValueError(f"{steps} steps of {track.step} are more than {AHEAD}, as far as forecasts go")
    prices = prices_ahead(track, model, row, steps)
    prices = np.where(np.isnan(prices), beside.fallback_usd_per_mwh, prices)
    paths = paths_ahead(track, model, row, prices, {} if forecasts is None else forecasts)
    spread = model.spread[min(row // track.steps_a_day, len(model.spread) - 1)]
    return Outlook(
        start=track.start + row * track.step,
        step=track.step,
        price_usd_per_mwh=prices,
        price_quantiles={
            probability: prices + spread[index, :steps] for index, probability in enumerate(PROBABILITIES)
        },
        hashprice_usd_per_ph_day=np.full(steps, beside.hashprice_usd_per_ph_day),
        outdoor_c=outdoor_ahead(track, row, steps, beside.outdoor_c),
        arrivals_gpus=beside.arrivals_gpus,
        paths_usd_per_mwh=paths if len(paths) else None,
    )


def outdoor_ahead(track: Track, row: int, steps: int, outdoor_c: float) -> Floats:
    """(steps,) temperatures: yesterday's at the same time, and today's difference from it decaying; where yesterday's
    is not known, today's."""
    ahead = np.minimum(np.arange(row, row + steps), len(track) - 1)
    before = track.day_before[source_rows(track, row, ahead)]
    yesterday = np.where(before >= 0, track.outdoor_c[np.maximum(before, 0)], np.nan)
    difference = outdoor_c - yesterday[0]
    half_life = OUTDOOR_HALF_LIFE / track.step
    expected = yesterday + difference * 2.0 ** (-(ahead - row) / half_life)
    return np.where(np.isnan(expected), outdoor_c, expected)


def knowing_prices(outlook: Outlook, truth: Floats) -> Outlook:
    """The outlook of one who knows the prices to come: `truth` (up to as long), and the forecast where it is NaN. There
    is one way for them to go."""
    prices = outlook.price_usd_per_mwh.copy()
    known = np.flatnonzero(~np.isnan(truth[: len(prices)]))
    prices[known] = truth[known]
    quantiles = {}
    for probability, values in outlook.price_quantiles.items():
        quantiles[probability] = values.copy()
        quantiles[probability][known] = truth[known]
    return replace(outlook, price_usd_per_mwh=prices, price_quantiles=quantiles, paths_usd_per_mwh=prices[np.newaxis])


def live_outlook(
    book: PriceBook,
    now: datetime,
    local: tzinfo,
    *,
    step: timedelta,
    steps: int,
    beside: BesidePrices,
    outdoor_past: Sequence[tuple[datetime, float]] = (),
) -> Outlook:
    """What is expected from the step that covers `now` on; `local` is the zone of the market's delivery days.

    `book` holds what is published: real-time prices up to now, day-ahead ones as far as they go. `outdoor_past` are
    temperatures measured before, in order of time.
    """
    row = BEHIND // step
    start = datetime.fromtimestamp(now.timestamp() // step.total_seconds() * step.total_seconds(), UTC) - row * step
    rows = row + round(AHEAD / step)
    real_time = _on_grid([price for price in book.real_time if price.start <= now], start, step, rows)
    past = np.full(rows, np.nan)
    for at, value in outdoor_past:
        past_row = (at - start) // step
        if 0 <= past_row <= row:
            past[past_row:row] = value  # holds until the next one
    track = price_track(
        start,
        step,
        real_time,
        _on_grid(book.day_ahead, start, step, rows),
        local,
        outdoor_c=past,
        published_by=start + row * step,
    )
    return outlook_at(track, fit_model(track, only_last=True), row, steps, beside)


def _on_grid(prices: Sequence[Price], start: datetime, step: timedelta, rows: int) -> Floats:
    values = np.full(rows, np.nan)
    for price in prices:
        if price.end - price.start < step:  # the last one in a row stands for all of it
            first = (price.start - start) // step
            stop = first + 1
        else:
            first, stop = -((start - price.start) // step), -((start - price.end) // step)
        if stop > 0 and first < rows:
            values[max(first, 0) : stop] = price.usd_per_mwh
    return values
