"""What is expected of the hours ahead, as values with a spread, and what a plan says of one moment."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Outlook:
    """Forecasts for `T` steps of equal length from `start` on; each holds over its step."""

    start: datetime
    step: timedelta
    price_usd_per_mwh: Floats
    """(T,) expected."""
    price_quantiles: Mapping[float, Floats]
    """(T,) by probability, for example 0.1 and 0.9: the spread of the price."""
    hashprice_usd_per_ph_day: Floats
    outdoor_c: Floats
    arrivals_gpus: Mapping[str, Floats]
    """By pool (T,): GPUs that jobs yet to come are expected to ask for at once, on average over the step."""
    paths_usd_per_mwh: Floats | None = None
    """(P, T) ways that the price may go, each as likely as the others; None where only the expected one is known."""

    def __len__(self) -> int:
        return len(self.price_usd_per_mwh)


@dataclass(frozen=True, slots=True)
class Switch:
    """Prices of energy, USD/MWh at the grid, at which something should be switched."""

    stay_usd_per_mwh: float
    """It runs: above this it should stop."""
    wake_usd_per_mwh: float
    """It does not run: below this it should start."""


@dataclass(frozen=True, slots=True)
class PlanValues:
    """What a plan says of one moment."""

    fleets: Mapping[str, Switch]
    """Of a rack of each fleet in its most efficient mode: further modes follow from the price alone."""
    jobs: Mapping[str, Switch]
    """Of those that the plan knew."""
