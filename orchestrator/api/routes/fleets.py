"""GET /fleets: what each mining fleet was asked to do, what it measures, what its hash earns, and why."""

import itertools
from collections.abc import Mapping

from fastapi import APIRouter
from pydantic import BaseModel, Field

from orchestrator.accounting.economics import mining_value_usd_per_mwh
from orchestrator.api.asking import DeskNow, Limit, Offset, SnapshotNow
from orchestrator.api.next_moves import Teller
from orchestrator.domain.site.machines import SLEEP, Fleet
from orchestrator.domain.site.site import Site
from orchestrator.domain.snapshot import FleetStatus, Snapshot
from orchestrator.domain.target import Target
from orchestrator.explain.power_words import share_text
from orchestrator.observe.power_shares import Share, power_shares

router = APIRouter(tags=["fleets"])


class FleetDocument(BaseModel):
    name: str
    model: str
    feeder: str
    racks: int
    racks_by_mode: dict[str, int] = Field(description="Accepted setpoint: racks in each mode, `sleep` among them")
    machines: int
    power_kw: float = Field(description="IT power: measured, and what is assumed where nothing is")
    assumed_kw: float = Field(description="Of that, what no fresh reading has measured")
    suspect_kw: float = Field(description="IT power that readings claim which can't be true; not counted")
    power_text: str = Field(description="The same in words")
    nameplate_kw: float = Field(description="IT power, every rack in its strongest mode")
    hashrate_phs: float | None = Field(description="PH/s as measured; null when no rack has a reading")
    break_even_usd_per_mwh: float = Field(description="Price at which the hash of the default mode pays the energy")
    efficiency_j_per_th: float = Field(description="Of the default mode")
    silent_racks: int = Field(description="Racks without a fresh reading")
    stuck_racks: int = Field(description="Racks that did not follow a power-down in time")
    reason: str | None = Field(description="Why it is set as it is, by the latest decision that moved it")
    next: str | None = Field(description="What the plan has next, and when; null without a plan in force")


class FleetsDocument(BaseModel):
    total: int
    offset: int
    fleets: list[FleetDocument] = Field(description="In the order of the site file")


@router.get("/fleets")
async def fleets(desk: DeskNow, snapshot: SnapshotNow, limit: Limit = 500, offset: Offset = 0) -> FleetsDocument:
    """Mining fleets, in the order of the site file."""
    reasons = desk.reasons()
    teller = Teller(desk.site, desk.plan(), snapshot, desk.clock_info().now)
    shares = power_shares(snapshot)
    page = itertools.islice(desk.site.fleets, offset, offset + limit)
    return FleetsDocument(
        total=len(desk.site.fleets),
        offset=offset,
        fleets=[
            _document(snapshot.fleets[fleet.name], shares.fleets[fleet.name], snapshot, desk.site, reasons, teller)
            for fleet in page
            if fleet.name in snapshot.fleets
        ],
    )


def break_even_usd_per_mwh(fleet: Fleet, hashprice_usd_per_ph_day: float, pue: float) -> float:
    """The price at which the hash of the fleet's default mode just pays its energy."""
    mode = fleet.mode(fleet.default_mode)
    return mining_value_usd_per_mwh(mode.power_w, mode.hashrate_ths, hashprice_usd_per_ph_day, pue)


def hashprice_usd_per_ph_day(snapshot: Snapshot, site: Site) -> float:
    """As read, or what the stale policy assumes where there is none."""
    value = snapshot.hashprice.value
    return site.stale.hashprice_assume_usd_per_ph_day if value is None else value


def _document(
    status: FleetStatus, share: Share, snapshot: Snapshot, site: Site, reasons: Mapping[Target, str], teller: Teller
) -> FleetDocument:
    fleet = status.fleet
    modes = [mode.name for mode in reversed(fleet.modes)] + [SLEEP]
    return FleetDocument(
        name=fleet.name,
        model=fleet.model,
        feeder=fleet.feeder,
        racks=fleet.racks,
        racks_by_mode={mode: status.view.racks.get(mode, 0) for mode in modes},
        machines=fleet.machines,
        power_kw=share.kw,
        assumed_kw=share.assumed_kw,
        suspect_kw=sum(share.claimed_kw.values()),
        power_text=share_text(share),
        nameplate_kw=fleet.nameplate_kw,
        hashrate_phs=status.hashrate_phs,
        break_even_usd_per_mwh=break_even_usd_per_mwh(fleet, hashprice_usd_per_ph_day(snapshot, site), snapshot.pue),
        efficiency_j_per_th=fleet.mode(fleet.default_mode).efficiency_j_per_th,
        silent_racks=len(status.silent),
        stuck_racks=len(status.stuck),
        reason=reasons.get(Target.fleet(fleet.name)),
        next=teller.fleet(status).next or None,
    )
