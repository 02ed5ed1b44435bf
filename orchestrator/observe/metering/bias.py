"""How much each fleet and pool draws beyond what its readings say: learnt slowly, from what the meters show.

A meter shows `meter = PUE x sum of (1 + b_i) x device_i` over the fleets and pools behind it. The shares b_i are
estimated together by a Kalman filter (R. E. Kalman, "A New Approach to Linear Filtering and Prediction Problems", 1960)
with one scalar measurement a meter:

    h_i = PUE x device_i              innovation  y = meter - sum h_i - h b
    S = h P h' + R                    gain        k = P h' / S
    b <- b + k y                      P <- P - k (h P)

Between two of them b decays towards 0 and P towards the first spread, as a mean-reverting process: over dt, with
a = exp(-dt / MEMORY), b <- a b and P <- a^2 P + (1 - a^2) FIRST_SPREAD^2 I. So a fleet that sleeps is known less and
less well, and never worse than at first. What is wrong with the modelled PUE, or with the meter's own gain, shows as a
bias of all alike: nothing here can tell them apart.
"""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import numpy as np

from orchestrator.domain.metering.metered import Bias, Learnt
from orchestrator.domain.target import Target
from orchestrator.observe.columns import Floats

FIRST_SPREAD = 0.05
"""Of a bias of which nothing is known. Exporters and power supplies are off by less."""
METER_SHARE = 0.005
"""Standard deviation of a meter's reading against the sum of right readings: class 0.5, and moments apart."""
MEMORY = timedelta(days=30)
LEARN_EVERY = timedelta(minutes=1)
"""What a meter says a moment later is no news of its own."""
SETTLED_SPREAD = 0.01
"""From when on a bias is held against what it was."""
BEFORE = timedelta(days=7)
"""How slowly what it was follows what it is: a step of 5 % is told for about six days."""


class Metered(NamedTuple):
    """A fresh meter, kW, and what the devices behind it say, all of them, kW at the grid side by fleet and pool."""

    kw: float
    devices_kw: Mapping[Target, float]


def learn(before: Learnt | None, of: Sequence[Target], metered: Sequence[Metered], now: datetime) -> Learnt:
    """What is known of the biases `of` these fleets and pools at `now`; pure."""
    if before is None or tuple(bias.of for bias in before.biases) != tuple(of):
        count = len(of)
        share, covariance = np.zeros(count), np.eye(count) * FIRST_SPREAD**2
        was: Sequence[float | None] = [None] * count
        passed = LEARN_EVERY
    elif now - before.at < LEARN_EVERY:
        return before
    else:
        share = np.array([bias.share for bias in before.biases])
        covariance = np.array(before.covariance)
        was = [bias.before for bias in before.biases]
        passed = now - before.at
    kept = math.exp(-passed / MEMORY)
    share = share * kept
    covariance = covariance * kept**2 + np.eye(len(of)) * FIRST_SPREAD**2 * (1.0 - kept**2)
    for meter in metered:
        share, covariance = _measured(share, covariance, meter, of)
    spread = np.sqrt(np.maximum(np.diagonal(covariance), 0.0))
    return Learnt(
        at=now,
        biases=tuple(
            Bias(target, float(share[row]), float(spread[row]), _followed(was[row], share[row], spread[row], passed))
            for row, target in enumerate(of)
        ),
        covariance=tuple(tuple(float(value) for value in line) for line in covariance),
    )


def _measured(share: Floats, covariance: Floats, meter: Metered, of: Sequence[Target]) -> tuple[Floats, Floats]:
    h = np.array([meter.devices_kw.get(target, 0.0) for target in of])
    said_kw = float(h.sum())
    if said_kw <= 0.0:
        return share, covariance
    through: Floats = covariance @ h
    variance = float(h @ through) + (METER_SHARE * max(meter.kw, said_kw)) ** 2
    gain = through / variance
    innovation_kw = meter.kw - said_kw - float(h @ share)
    return share + gain * innovation_kw, covariance - np.outer(gain, through)


def _followed(was: float | None, share: float, spread: float, passed: timedelta) -> float | None:
    """What it was, as it follows what it is; None until that is settled."""
    if was is None:
        return float(share) if spread < SETTLED_SPREAD else None
    return was + (float(share) - was) * (1.0 - math.exp(-passed / BEFORE))
