"""PUE: what the grid delivers for a kW of IT power, by the outdoor temperature."""

import itertools
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cooling:
    """PUE by outdoor temperature: points (degC, PUE), ascending; linear between them, flat beyond."""

    pue_by_temperature_c: tuple[tuple[float, float], ...]

    def pue(self, outdoor_c: float) -> float:
        points = self.pue_by_temperature_c
        if outdoor_c <= points[0][0]:
            return points[0][1]
        for (low_c, low), (high_c, high) in itertools.pairwise(points):
            if outdoor_c <= high_c:
                return low + (high - low) * (outdoor_c - low_c) / (high_c - low_c)
        return points[-1][1]
