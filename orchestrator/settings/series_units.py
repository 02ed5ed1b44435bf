"""Units that a series may be in, by the unit it is read in."""

from collections.abc import Mapping
from types import MappingProxyType

UNITS: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "W": {"W": 1.0, "mW": 1e-3, "kW": 1e3, "MW": 1e6},
        "J": {"J": 1.0, "mJ": 1e-3, "kJ": 1e3, "MJ": 1e6, "Wh": 3.6e3, "kWh": 3.6e6, "MWh": 3.6e9},
        "H/s": {"H/s": 1.0, "MH/s": 1e6, "GH/s": 1e9, "TH/s": 1e12, "PH/s": 1e15, "EH/s": 1e18},
        "H": {"H": 1.0, "MH": 1e6, "GH": 1e9, "TH": 1e12, "PH": 1e15, "EH": 1e18},
        "degC": {"degC": 1.0},
        "GPU s": {"GPU s": 1.0, "GPU min": 60.0, "GPU h": 3600.0},
    }
)
"""Factor from each to the first."""
