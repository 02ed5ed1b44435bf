"""GET /state: the site at this moment in one small document; the event stream sends the same one."""

from collections import Counter
from datetime import datetime
from itertools import islice
from zoneinfo import ZoneInfo

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from orchestrator.api.asking import DeskNow
from orchestrator.api.desk import Desk
from orchestrator.api.routes.breaches import BreachDocument
from orchestrator.api.routes.curtailments import CurtailmentDocument, running
from orchestrator.api.routes.fleets import hashprice_usd_per_ph_day
from orchestrator.api.routes.plan import PlanOutline
from orchestrator.api.routes.prices import PriceNow
from orchestrator.api.routes.site import Clock
from orchestrator.dispatch.power_price import charge_figures, power_prices, price_at
from orchestrator.domain.hold import Hold
from orchestrator.domain.limits import Cap
from orchestrator.domain.metering.metered import Balance, MeterStatus
from orchestrator.domain.observation import Quality
from orchestrator.domain.site.site import Site
from orchestrator.domain.snapshot import Snapshot
from orchestrator.domain.unread import Basis
from orchestrator.explain.hold_words import hold_text
from orchestrator.explain.power_words import share_text
from orchestrator.observe.power_shares import Share, power_shares

router = APIRouter(tags=["site"])

MOST_PROMISES = 20
"""Of a plan's broken promises told in a state: an infeasible site may have one a job, and a state is sent each tick."""


MOST_SUSPECTS = 20
"""Told in a state: where a whole exporter is wrong, some of its devices say what is."""


class AssumedDocument(BaseModel):
    basis: Basis = Field(
        description="`setpoint`: racks at the most they were asked since they were read; `trust`: racks of a source "
        "that is down, held on their setpoints; `nameplate`: devices of which nobody knows what they follow; `jobs`: "
        "nodes at what the running jobs may draw; `waking`: racks asked up since they were read; `parts`: machines "
        "and GPUs that do not answer while others of their rack or node do, at nameplate; `meter`: any of these, at "
        "what a fresh meter leaves for them"
    )
    devices: int
    power_kw: float


class CapDocument(BaseModel):
    name: str
    power_kw: float = Field(description="What is drawn, grid side: by its meter if fresh, else as counted")
    measured_kw: float = Field(description="Of that, by fresh readings; at a fresh meter all that is not assumed")
    assumed_kw: float = Field(description="Of that, what no fresh reading has measured: the rest of it")
    assumed: list[AssumedDocument] = Field(description="What stands in for it")
    silent_racks: int = Field(description="Without a fresh reading that can be true")
    silent_nodes: int = Field(description="Likewise")
    suspect_kw: float = Field(
        description="What suspect readings of devices claim, before cooling; it is not counted in `power_kw`"
    )
    suspect_readings: int = Field(description="How many they are")
    text: str = Field(description="The same in words")
    limit_kw: float
    source: str = Field(description="What sets the limit")


class MeterDocument(BaseModel):
    name: str = Field(description="`grid` or a feeder")
    power_kw: float | None = Field(description="What comes by; null where no reading is fresh and can be true")
    quality: Quality
    at: datetime | None = Field(description="When it was read")
    devices_kw: float = Field(
        description="What the devices behind it say, times PUE, as far as their readings are fresh"
    )
    unseen: int = Field(description="Devices behind it without such a reading")
    residual_kw: float | None = Field(description="What comes by and no device explains")
    metered_mwh: float = Field(description="What came by over the last 24 hours, by the record")
    residual_mwh: float = Field(description="Of it, what is booked of no device; negative: more is booked than came by")


class BiasDocument(BaseModel):
    of: str = Field(description="A fleet or pool")
    share: float = Field(description="By which it draws more than its readings say, as learnt from the meters")
    spread: float = Field(description="One standard deviation of that")
    before: float | None = Field(description="What it was over the last days; null until it has settled")
    moved: bool = Field(description="It is another than it was, beyond what it can't be known to")


class HoldDocument(BaseModel):
    of: str = Field(description="`grid connection` for the whole site, else a fleet or pool")
    since: datetime = Field(description="Since when nobody sees it: it is held on its accepted setpoints")
    until: datetime | None = Field(description="End of the hold; null while the connection's meter is fresh")
    safe_kw: float | None = Field(description="What the site is brought to then; null for a fleet or pool")
    safe_at: datetime | None = Field(description="When it is there")
    cap_kw: float | None = Field(description="What of it holds now; null while the hold lasts")
    text: str = Field(description="The same in words, in local site time")


class ChargeNow(BaseModel):
    """A charge at this moment. Of power bought ahead also `left_kw`, what the measured load leaves of it (negative:
    bought beyond it), and `unused_usd_per_mwh`, what it brings unused; of any other `more_usd_per_mwh`, what it adds to
    the market price."""

    model_config = ConfigDict(extra="allow")

    text: str = Field(description="The contract in words")
    marginal_usd_per_mwh: float = Field(description="What one more kW costs now, all charges together")


def _charges(site: Site, snapshot: Snapshot, grid_kw: float) -> dict[str, ChargeNow]:
    price = snapshot.price
    prices = power_prices(site.grid.charges, price.interval_start, price.usd_per_mwh)
    left_kw, marginal = prices.block_kw - grid_kw, price_at(prices, grid_kw).usd_per_mwh
    found: dict[str, ChargeNow] = {}
    for charge in site.grid.charges:
        figures = charge_figures(charge, price.interval_start, price.usd_per_mwh, left_kw)
        found[charge.name] = ChargeNow(text=charge.text, marginal_usd_per_mwh=marginal, **figures)
    return found


class Observed(BaseModel):
    """What one observation saw."""

    at: datetime
    price: PriceNow
    charges: dict[str, ChargeNow] = Field(
        description="By their keys in the site file's `grid`; empty: all power is bought at the market price"
    )
    grid: CapDocument
    feeders: list[CapDocument]
    meters: list[MeterDocument] = Field(description="Of the grid connection and feeders, those there are")
    biases: list[BiasDocument] = Field(description="What is learnt of them; empty without meters")
    measured_kw: float = Field(
        description="Of the grid's `power_kw`, what fresh readings have measured; as `grid.measured_kw`"
    )
    mining_kw: float = Field(description="Before cooling; its devices' part of the grid's `power_kw`")
    hpc_kw: float = Field(description="Likewise")
    overhead_kw: float = Field(description="Cooling and distribution, by these and PUE")
    residual_kw: float = Field(
        description="What the connection's meter shows beyond mining, HPC and overhead; negative where it shows less, "
        "0 without a fresh one"
    )
    pue: float = Field(description="Modelled, by the outdoor temperature: what is dispatched and booked by")
    pue_measured: float | None = Field(
        description="The grid connection's meter over all devices; null where one of them is not measured"
    )
    outdoor_c: float | None
    outdoor_quality: Quality
    hashprice_usd_per_ph_day: float
    hashprice_quality: Quality
    racks_awake: int
    racks: int
    hashrate_phs: float = Field(description="Sum over the fleets with a reading")
    gpus_busy: int
    gpus: int
    jobs_by_phase: dict[str, int] = Field(description="Open jobs")
    stale: list[str] = Field(description="Inputs that are stale, missing or assumed")
    suspect: dict[str, str] = Field(description="Devices with a reading that cannot be true, and why; 20 at most")
    holds: list[HoldDocument] = Field(description="What is held on its setpoints because nobody sees it")
    partial: dict[str, str] = Field(
        description="Devices that are read in part, and how many of their parts answer; 20 at most"
    )
    sources: dict[str, str] = Field(
        description="Sources of readings that do not answer or can't be read, and why; 20 at most"
    )
    unexplained_kw: dict[str, float] = Field(
        description="Racks that draw more than their setpoint explains, and by how much; the 20 with the most"
    )
    estimated: list[str] = Field(
        description="Racks and nodes whose energy or hash is integrated from power, for want of a counter; 20 at most"
    )
    breaches: list[BreachDocument] = Field(description="Those not resolved")


class StateDocument(BaseModel):
    site: str
    clock: Clock
    curtailments: list[CurtailmentDocument] = Field(description="Those not yet over")
    plan: PlanOutline = Field(description="How the plan stands; its hours are at /plan")
    observed: Observed | None = Field(description="Null before the first observation")

    @staticmethod
    def of(desk: Desk) -> "StateDocument":
        clock, snapshot = Clock.of(desk), desk.snapshot()
        return StateDocument(
            site=desk.site.name,
            clock=clock,
            curtailments=running(desk.curtailments(), clock.now),
            plan=PlanOutline.of(desk.plan(), clock.now, MOST_PROMISES),
            observed=None if snapshot is None else _observed(snapshot, desk.site),
        )


@router.get("/state")
async def state(desk: DeskNow) -> StateDocument:
    """The site at this moment, as the event stream sends it."""
    return StateDocument.of(desk)


def _observed(snapshot: Snapshot, site: Site) -> Observed:
    fleets, shares = snapshot.fleets.values(), power_shares(snapshot)
    return Observed(
        at=snapshot.at,
        price=PriceNow.of(snapshot.price),
        charges=_charges(site, snapshot, shares.grid.kw),
        grid=_cap("grid", shares.grid, snapshot.limits.grid),
        feeders=[_cap(name, share, snapshot.limits.feeder(name)) for name, share in shares.feeders.items()],
        meters=[
            _meter(name, meter, snapshot.balances.get(name, Balance(0.0, 0.0)))
            for name, meter in snapshot.meters.meters.items()
        ],
        biases=[
            BiasDocument(of=str(bias.of), share=bias.share, spread=bias.spread, before=bias.before, moved=bias.moved)
            for bias in snapshot.meters.biases
        ],
        measured_kw=shares.grid.measured_kw,
        mining_kw=shares.mining_kw,
        hpc_kw=shares.hpc_kw,
        overhead_kw=shares.overhead_kw,
        residual_kw=shares.residual_kw,
        pue=snapshot.pue,
        pue_measured=snapshot.measured_pue,
        outdoor_c=snapshot.outdoor.value,
        outdoor_quality=snapshot.outdoor.quality,
        hashprice_usd_per_ph_day=hashprice_usd_per_ph_day(snapshot, site),
        hashprice_quality=snapshot.hashprice.quality,
        racks_awake=sum(fleet.view.racks.awake for fleet in fleets),
        racks=sum(fleet.racks for fleet in site.fleets),
        hashrate_phs=sum(fleet.hashrate_phs or 0.0 for fleet in fleets),
        gpus_busy=sum(status.view.gpus for status in snapshot.jobs.values() if status.view.phase.holds_gpus),
        gpus=sum(pool.gpus for pool in site.pools),
        jobs_by_phase=dict(Counter(status.view.phase.value for status in snapshot.jobs.values())),
        stale=list(snapshot.stale),
        suspect=dict(islice(snapshot.suspect.items(), MOST_SUSPECTS)),
        holds=[_hold(hold, snapshot.at, ZoneInfo(site.timezone)) for hold in snapshot.holds],
        partial=dict(islice(snapshot.partial.items(), MOST_SUSPECTS)),
        sources=dict(islice(snapshot.problems.items(), MOST_SUSPECTS)),
        unexplained_kw=dict(Counter(snapshot.unexplained_kw).most_common(MOST_SUSPECTS)),
        estimated=sorted(snapshot.estimated)[:MOST_SUSPECTS],
        breaches=[BreachDocument.of(breach) for breach in snapshot.breaches],
    )


def _cap(name: str, share: Share, cap: Cap) -> CapDocument:
    return CapDocument(
        name=name,
        power_kw=share.kw,
        measured_kw=share.measured_kw,
        assumed_kw=share.assumed_kw,
        assumed=[
            AssumedDocument(basis=basis, devices=of.devices, power_kw=of.kw)
            for basis, of in sorted(share.assumed.items())
        ],
        silent_racks=share.silent_racks,
        silent_nodes=share.silent_nodes,
        suspect_kw=sum(share.claimed_kw.values()),
        suspect_readings=len(share.claimed_kw),
        text=share_text(share),
        limit_kw=cap.limit_kw,
        source=cap.source,
    )


def _hold(hold: Hold, now: datetime, zone: ZoneInfo) -> HoldDocument:
    return HoldDocument(
        of=str(hold.of),
        since=hold.since,
        until=hold.until,
        safe_kw=None if hold.safe is None else hold.safe.kw,
        safe_at=None if hold.safe is None else hold.safe.reached_at,
        cap_kw=None if hold.safe is None else hold.safe.cap_kw,
        text=hold_text(hold, now, zone),
    )


def _meter(name: str, meter: MeterStatus, balance: Balance) -> MeterDocument:
    return MeterDocument(
        name=name,
        power_kw=meter.kw,
        quality=meter.reading.quality,
        at=meter.reading.at,
        devices_kw=meter.devices_kw,
        unseen=meter.unseen,
        residual_kw=meter.residual_kw,
        metered_mwh=balance.metered_kwh / 1000.0,
        residual_mwh=balance.residual_kwh / 1000.0,
    )
