"""The sections of the grid connection, its charges and meter, and of feeders."""

from abc import abstractmethod
from typing import Annotated

from pydantic import Field

from orchestrator.accounting.charges.block import Ppa
from orchestrator.domain.charge import Charge
from orchestrator.settings.sections.meters import MeterSection
from orchestrator.settings.sections.quantities import (
    Name,
    Price,
    Section,
    SiteKw,
)


class ChargeSection(Section):
    """What is paid for power beside its market price. Its key in `grid` is the charge's name."""

    @abstractmethod
    def charge(self, timezone: str) -> Charge:
        """The charge itself; `timezone` is the site's."""


class PpaSection(ChargeSection):
    """A block of power bought ahead, the same in every hour, paid for whether it is used or not."""

    block_kw: Annotated[SiteKw, Field(description="Power of the block at the grid, kW, around the clock.")]
    price_usd_per_mwh: Annotated[Price, Field(description="Contract price of the whole block, USD/MWh.")]
    sell_back_spread_usd_per_mwh: Annotated[
        Price | None,
        Field(description="Unused power is sold back at the market price less this; left out or null: it is lost."),
    ] = None

    def charge(self, timezone: str) -> Ppa:
        return Ppa(self.block_kw, self.price_usd_per_mwh, self.sell_back_spread_usd_per_mwh)


class RampSection(Section):
    """How fast the site's power may move; what goes down for a cap waits for no ramp."""

    up: Annotated[SiteKw | None, Field(description="Up, kW in a minute; left out: as fast as room is measured.")] = None
    down: Annotated[SiteKw | None, Field(description="Down, kW in a minute; left out: at once.")] = None


class GridSection(Section):
    """The grid connection."""

    limit_kw: Annotated[SiteKw, Field(description="Cap on the site's measured power, kW.")]
    measurement_uncertainty: Annotated[
        float,
        Field(ge=0, le=0.2, description="Share of a cap kept free for the meter's uncertainty; 0.01 is 1 %."),
    ]
    meter: Annotated[
        MeterSection | None, Field(description="Meter of the connection; if left out devices are summed.")
    ] = None
    ramp_kw_per_min: Annotated[RampSection | None, Field(description="How fast power may move.")] = None
    ppa: Annotated[PpaSection | None, Field(description="Power bought ahead; if left out all is at market price.")] = (
        None
    )

    def charges(self, timezone: str) -> tuple[Charge, ...]:
        """Those that are in the file, in the order of their keys above."""
        sections = (getattr(self, key) for key in type(self).model_fields)
        return tuple(section.charge(timezone) for section in sections if isinstance(section, ChargeSection))


class FeederSection(Section):
    """A feeder behind the grid connection."""

    name: Name
    limit_kw: Annotated[SiteKw, Field(description="Cap at the feeder's head, kW: IT power and its share of cooling.")]
    meter: Annotated[MeterSection | None, Field(description="Meter of the feeder; if left out devices are summed.")] = (
        None
    )
