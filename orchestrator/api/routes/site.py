"""GET /site: the site as its file describes it."""

from dataclasses import asdict
from datetime import datetime

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from orchestrator.api.asking import DeskNow
from orchestrator.api.desk import Desk
from orchestrator.domain.charge import Charge
from orchestrator.domain.site.site import Site
from orchestrator.domain.sla import SlaClass

router = APIRouter(tags=["site"])


class Clock(BaseModel):
    now: datetime = Field(description="Site time, UTC")
    speed: float = Field(description="Seconds of site time a wall second")
    simulated: bool = Field(description="True where site time is a replayed day")
    day_start: datetime | None = Field(description="First instant of the replayed day, UTC")
    day_end: datetime | None = Field(description="End of the replayed day, UTC")
    tick_seconds: float = Field(description="Site time between two observations")
    timezone: str = Field(description="The site's own time zone, IANA name")

    @staticmethod
    def of(desk: Desk) -> "Clock":
        clock = desk.clock_info()
        return Clock(
            now=clock.now,
            speed=clock.speed,
            simulated=clock.simulated,
            day_start=clock.day_start,
            day_end=clock.day_end,
            tick_seconds=desk.site.controls.tick.total_seconds(),
            timezone=desk.site.timezone,
        )


class FeederLimit(BaseModel):
    name: str
    limit_kw: float = Field(description="At the feeder's head, cooling included")


class ChargeOutline(BaseModel):
    """What is paid for power beside its market price: its terms as in the site file, and in words."""

    model_config = ConfigDict(extra="allow")

    text: str = Field(description="The contract in words")

    @staticmethod
    def of(charge: Charge) -> "ChargeOutline":
        return ChargeOutline(text=charge.text, **asdict(charge))


class FleetOutline(BaseModel):
    name: str
    model: str
    feeder: str
    racks: int
    machines: int
    nameplate_kw: float = Field(description="IT power, every rack in its strongest mode")


class PoolOutline(BaseModel):
    name: str
    gpu_model: str
    feeder: str
    nodes: int
    gpus: int
    nameplate_kw: float = Field(description="IT power, every GPU at its full limit")


class TenantOutline(BaseModel):
    name: str
    sla: SlaClass
    usd_per_gpu_h: float
    credit_share: float = Field(
        description="Credited share of the price of the work not done at a job's deadline or, interrupted, of all work"
    )
    interruptions_per_hour: int


class SiteDocument(BaseModel):
    name: str
    clock: Clock
    grid_limit_kw: float = Field(description="The grid connection, kept on measured power")
    measurement_uncertainty: float = Field(description="Share of a reading; 0.01 is 1 %")
    charges: dict[str, ChargeOutline] = Field(
        description="By their keys in the site file's `grid`; empty: all power is bought at the market price"
    )
    feeders: list[FeederLimit]
    fleets: list[FleetOutline]
    pools: list[PoolOutline]
    tenants: list[TenantOutline]

    @staticmethod
    def of(site: Site, clock: Clock) -> "SiteDocument":
        return SiteDocument(
            name=site.name,
            clock=clock,
            grid_limit_kw=site.grid.limit_kw,
            measurement_uncertainty=site.grid.measurement_uncertainty,
            charges={charge.name: ChargeOutline.of(charge) for charge in site.grid.charges},
            feeders=[FeederLimit(name=feeder.name, limit_kw=feeder.limit_kw) for feeder in site.feeders],
            fleets=[
                FleetOutline(
                    name=fleet.name,
                    model=fleet.model,
                    feeder=fleet.feeder,
                    racks=fleet.racks,
                    machines=fleet.machines,
                    nameplate_kw=fleet.nameplate_kw,
                )
                for fleet in site.fleets
            ],
            pools=[
                PoolOutline(
                    name=pool.name,
                    gpu_model=pool.gpu_model,
                    feeder=pool.feeder,
                    nodes=pool.nodes,
                    gpus=pool.gpus,
                    nameplate_kw=pool.nameplate_kw,
                )
                for pool in site.pools
            ],
            tenants=[
                TenantOutline(
                    name=tenant.name,
                    sla=tenant.sla,
                    usd_per_gpu_h=tenant.usd_per_gpu_h,
                    credit_share=tenant.credit_share,
                    interruptions_per_hour=tenant.interruptions_per_hour,
                )
                for tenant in site.tenants
            ],
        )


@router.get("/site")
async def site(desk: DeskNow) -> SiteDocument:
    """The site as its file describes it, and its clock."""
    return SiteDocument.of(desk.site, Clock.of(desk))
