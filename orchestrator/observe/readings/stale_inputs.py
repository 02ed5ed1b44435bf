"""What is assumed where a single figure is too old: the stale policies of the site file, applied to one reading.

Prices have their own (`domain.market`), and devices theirs (`silence`).
"""

from dataclasses import replace
from datetime import datetime, timedelta

from orchestrator.domain.observation import Quality, Reading
from orchestrator.domain.site.policies import StalePolicies


def or_assumed(reading: Reading, now: datetime, max_age: timedelta, assume: float) -> Reading:
    """The reading if it is fresh, else the stale policy's value, marked as assumed."""
    graded = reading.graded(now, max_age)
    if graded.fresh:
        return graded
    return Reading(value=assume, unit=reading.unit, at=now, quality=Quality.ASSUMED)


def outdoor_or_assumed(reading: Reading, now: datetime, stale: StalePolicies) -> Reading:
    """The temperature, going over into the assumed one from half its greatest age on.

    Power at the grid is counted by it: were it to jump when the reading gets too old, so would a site at its cap.
    """
    max_age = stale.temperature_max_age
    graded = or_assumed(reading, now, max_age, stale.temperature_assume_c)
    if graded.value is None or graded.at is None or not graded.fresh:
        return graded
    faded = min(max((now - graded.at) / max_age * 2.0 - 1.0, 0.0), 1.0)
    return replace(graded, value=graded.value + (stale.temperature_assume_c - graded.value) * faded)
