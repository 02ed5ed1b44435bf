"""Slowly changing figures beside the price, on the grid of a backtest: hashprice and outdoor temperature."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Series:
    """A slowly changing figure: values in order of time."""

    at: Floats
    """Unix seconds."""
    values: Floats
    max_age_s: float
    """An older value gives way to `assumed`; infinite for a constant."""
    assumed: float


def held(series: Series, at: Floats, otherwise: Floats | None = None) -> tuple[Floats, Flags]:
    """The newest value by each of `at` (unix seconds), and where none was new enough; there `otherwise` or what is
    assumed."""
    index = np.searchsorted(series.at, at, side="right") - 1
    known = np.maximum(index, 0)
    old = (index < 0) | (at - series.at[known] > series.max_age_s)
    values = np.where(old, series.assumed if otherwise is None else otherwise, series.values[known])
    return values, old


def between(series: Series, at: Floats) -> tuple[Floats, Flags]:
    """Linear between values up to two hours apart, else held and going over into what is assumed, as live."""
    last, old = held(series, at)
    index = np.searchsorted(series.at, at, side="right") - 1
    low, high = np.maximum(index, 0), np.minimum(index + 1, len(series.at) - 1)
    span_s = series.at[high] - series.at[low]
    near = (index >= 0) & (high > low) & (span_s <= 7200.0)
    share = np.where(near, (at - series.at[low]) / np.where(near, span_s, 1.0), 0.0)
    values = series.values[low] + (series.values[high] - series.values[low]) * share
    age_s = np.where(near, 0.0, at - series.at[low])
    faded = np.clip(age_s / series.max_age_s * 2.0 - 1.0, 0.0, 1.0)
    return np.where(old & ~near, last, values + (series.assumed - values) * faded), old & ~near
