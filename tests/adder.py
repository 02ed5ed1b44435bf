"""A new charge, as whoever adds one would write it: here its one file, at the end its lines of the site file's schema.

It puts so many USD/MWh on top of all power drawn in certain local hours of weekdays, as delivery tariffs do.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, ClassVar
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import Field

from orchestrator.domain.charge import Marginal
from orchestrator.domain.units import energy_cost_usd
from orchestrator.settings.sections import grid
from orchestrator.settings.sections import site as schema

Floats = NDArray[np.float64]
SATURDAY = 5


@dataclass(frozen=True, slots=True)
class Adder:
    name: ClassVar[str] = "adder"
    label: ClassVar[str] = "delivery"

    usd_per_mwh: float
    from_hour: int
    to_hour: int
    timezone: str

    @property
    def text(self) -> str:
        return f"delivery at {self.usd_per_mwh:g} USD/MWh from {self.from_hour} to {self.to_hour} h on weekdays"

    @property
    def assumption(self) -> str:
        return self.text

    @property
    def block_kw(self) -> float:
        return 0.0

    def power(self, start: datetime) -> str:
        return "delivery" if self._holds(start) else ""

    def cost_usd(self, start: datetime, block_kwh: float, energy_kwh: float, market_usd_per_mwh: float) -> float:
        return energy_cost_usd(energy_kwh, self.usd_per_mwh) if self._holds(start) else 0.0

    def more_usd_per_mwh(self, starts: Sequence[datetime], market_usd_per_mwh: Floats) -> Marginal[Floats]:
        more = np.array([self.usd_per_mwh if self._holds(start) else 0.0 for start in starts])
        on_top: Floats = np.broadcast_to(more, market_usd_per_mwh.shape)
        return Marginal(on_top, on_top)

    def _holds(self, start: datetime) -> bool:
        local = start.astimezone(ZoneInfo(self.timezone))
        return local.weekday() < SATURDAY and self.from_hour <= local.hour < self.to_hour


class AdderSection(grid.ChargeSection):
    """Delivery: so much on top of all power drawn in certain hours of weekdays."""

    usd_per_mwh: Annotated[float, Field(ge=0, le=1000, description="On top of the market price, USD/MWh.")]
    from_hour: Annotated[int, Field(ge=0, le=23, description="Local hour from which it holds.")]
    to_hour: Annotated[int, Field(ge=1, le=24, description="Local hour from which it holds no more.")]

    def charge(self, timezone: str) -> Adder:
        return Adder(self.usd_per_mwh, self.from_hour, self.to_hour, timezone)


class GridSection(grid.GridSection):
    adder: Annotated[AdderSection | None, Field(description="Delivery; nothing if left out.")] = None


class SiteFile(schema.SiteFile):
    grid: GridSection


def written_down(patch: pytest.MonkeyPatch) -> None:
    """From here on the site file's schema has the line."""
    patch.setattr(schema, "SiteFile", SiteFile)


EXAMPLES = Path(__file__).parents[1] / "examples"
COMMENTED = "  # ppa: {block_kw: 40000, price_usd_per_mwh: 38, sell_back_spread_usd_per_mwh: 3}"


def site_file(folder: Path, *lines: str) -> Path:
    """The example with these lines in `grid`, beside its data."""
    for data in EXAMPLES.glob("*.csv"):
        shutil.copy(data, folder)
    text = (EXAMPLES / "texas-100mw.yaml").read_text(encoding="utf-8")
    assert COMMENTED in text
    file = folder / "site.yaml"
    file.write_text(text.replace(COMMENTED, "\n".join(f"  {line}" for line in lines)), encoding="utf-8")
    return file
