"""A figure that does not change."""

import math
from datetime import datetime

from orchestrator.domain.observation import Quality, Reading


class ConstantSeries:
    """A SeriesSource with one value, as set in the site file: it holds at any time, so it is never old."""

    def __init__(self, value: float, unit: str) -> None:
        if not math.isfinite(value):
            raise ValueError(f"{value} {unit} is not a constant; a finite number is allowed")
        self._value = value
        self._unit = unit

    async def read(self, now: datetime) -> Reading:
        return Reading(value=self._value, unit=self._unit, at=now, quality=Quality.FRESH)
