"""The site: its grid connection and feeders, and what is behind them; its tenants."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from orchestrator.domain.charge import Charge
from orchestrator.domain.metering.points import GRID_METER, MeteringPoint
from orchestrator.domain.site.gpus import GpuPool
from orchestrator.domain.site.machines import Fleet
from orchestrator.domain.site.policies import Controls, StalePolicies
from orchestrator.domain.site.pue import Cooling
from orchestrator.domain.sla import SlaClass

_Named = TypeVar("_Named", "Feeder", "Fleet", "GpuPool", "Tenant")


@dataclass(frozen=True, slots=True)
class Grid:
    """The grid connection.

    `limit_kw` is kept on measured power plus `measurement_uncertainty` (a share, 0.01 = 1 %). ValueError where two
    charges have one name, or buy power ahead.
    """

    limit_kw: float
    measurement_uncertainty: float
    charges: tuple[Charge, ...] = ()
    """Beside the market price, at which all else is bought."""
    meter: MeteringPoint | None = None
    """None where there is none that is read."""
    ramp_up_kw_per_min: float | None = None
    """Power goes up no faster; None: as fast as room is measured."""
    ramp_down_kw_per_min: float | None = None
    """Power goes down no faster but for a cap; None: at once."""

    def __post_init__(self) -> None:
        if len({charge.name for charge in self.charges}) < len(self.charges):
            raise ValueError("a site has no two charges of one name")
        if sum(charge.block_kw > 0.0 for charge in self.charges) > 1:
            raise ValueError("one charge of a site buys power ahead, not several")


@dataclass(frozen=True, slots=True)
class Feeder:
    name: str
    limit_kw: float
    """At the feeder's head: IT power and its share of cooling and distribution."""
    meter: MeteringPoint | None = None
    """None where there is none that is read."""


@dataclass(frozen=True, slots=True)
class Tenant:
    """A customer and what was promised."""

    name: str
    sla: SlaClass
    usd_per_gpu_h: float
    credit_share: float
    """Share of a job's price credited back when it is late (pro rata to the work not done at its deadline) or, if
    guaranteed, interrupted."""
    interruptions_per_hour: int
    """Budget of interruptions over any hour, all jobs of the tenant together."""


@dataclass(frozen=True, slots=True)
class Site:
    name: str
    timezone: str
    grid: Grid
    feeders: tuple[Feeder, ...]
    cooling: Cooling
    fleets: tuple[Fleet, ...]
    pools: tuple[GpuPool, ...]
    tenants: tuple[Tenant, ...]
    stale: StalePolicies
    controls: Controls

    def fleet(self, name: str) -> Fleet:
        return _named(self.fleets, name)

    def pool(self, name: str) -> GpuPool:
        return _named(self.pools, name)

    def tenant(self, name: str) -> Tenant:
        return _named(self.tenants, name)

    def racks(self) -> Iterator[tuple[Fleet, str]]:
        """Every rack with its fleet, by name `fleet/rack-n`."""
        for fleet in self.fleets:
            for rack in fleet.rack_names():
                yield fleet, rack

    def meters(self) -> Mapping[str, MeteringPoint]:
        """Those of the grid connection and of feeders, by the subject of their readings."""
        grid = {} if self.grid.meter is None else {GRID_METER: self.grid.meter}
        return grid | {feeder.name: feeder.meter for feeder in self.feeders if feeder.meter is not None}

    def behind(self, meter: str) -> tuple[Fleet | GpuPool, ...]:
        """The fleets and pools whose power comes by a meter."""
        devices: tuple[Fleet | GpuPool, ...] = (*self.fleets, *self.pools)
        return tuple(of for of in devices if meter in (GRID_METER, of.feeder))

    def metered_nameplate_kw(self, meter: str) -> float:
        """The most that can come by a meter: all devices behind it at nameplate, and cooling on the hottest day."""
        return sum(of.nameplate_kw for of in self.behind(meter)) * max(
            pue for _, pue in self.cooling.pue_by_temperature_c
        )

    def nodes(self) -> Iterator[tuple[GpuPool, str]]:
        for pool in self.pools:
            for node in pool.node_names():
                yield pool, node


def _named(items: tuple[_Named, ...], name: str) -> _Named:
    for item in items:
        if item.name == name:
            return item
    raise KeyError(f"no {name}; there is {', '.join(item.name for item in items)}")
