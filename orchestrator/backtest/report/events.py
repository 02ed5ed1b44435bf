"""The dearest hours of the period, found by their settled price, with the hours around them."""

from dataclasses import dataclass

import numpy as np

from orchestrator.backtest.result import MarketSeries
from orchestrator.domain.units import SECONDS_PER_HOUR

EVENTS = 5
AROUND_H = 9.0
"""Shown before and after the dearest hour."""
APART_H = 30.0
"""Two events are this far from each other at least: each is a spike of its own."""
STANDS_OUT = 2.0
"""After the first, an hour counts only if it costs this many times the mean."""


@dataclass(frozen=True, slots=True)
class PriceEvent:
    """One spike: the intervals to show, and the dearest hour among them."""

    rows: slice
    hour: slice
    mean_usd_per_mwh: float
    """Settled, over the dearest hour."""


def price_events(market: MarketSeries, most: int = EVENTS) -> tuple[PriceEvent, ...]:
    """By price, the dearest first; none for an empty market."""
    if not len(market):
        return ()
    price = market.settled_usd_per_mwh
    per_hour = max(round(1.0 / market.step_h), 1)
    length = min(per_hour, len(market))
    hourly = np.convolve(price, np.full(length, 1.0 / length), mode="valid")
    left = hourly.copy()
    found: list[PriceEvent] = []
    while len(found) < most:
        at = int(np.argmax(left))
        if not np.isfinite(left[at]) or (found and left[at] < STANDS_OUT * max(float(price.mean()), 0.0)):
            break
        middle_s = float(market.start_s[at])
        hours = (market.start_s - middle_s) / SECONDS_PER_HOUR
        near = np.flatnonzero((hours >= -AROUND_H) & (hours < AROUND_H + 1.0))
        rows = slice(int(near[0]), int(near[-1]) + 1)
        found.append(PriceEvent(rows, slice(at, at + length), float(hourly[at])))
        left[np.abs(hours[: len(left)]) < APART_H] = -np.inf
    return tuple(found)
