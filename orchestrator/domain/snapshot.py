"""All that is known of the site at one moment: what a decision is made from, and what the API shows."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from orchestrator.domain.decision import Breach
from orchestrator.domain.limits import Curtailment, Limits
from orchestrator.domain.market import CurrentPrice, PriceBook
from orchestrator.domain.metered import NO_METERS, SiteMeters
from orchestrator.domain.observation import Reading
from orchestrator.domain.site import Fleet, GpuPool, Tenant
from orchestrator.domain.target import GRID_CONNECTION, Target
from orchestrator.domain.work import FleetView, Job, JobView


@dataclass(frozen=True, slots=True)
class Power:
    """Grid-side power, kW. `grid` is the sum of the uses; overhead is IT power x (PUE - 1)."""

    grid_kw: float
    mining_kw: float
    hpc_kw: float
    overhead_kw: float
    feeders_kw: Mapping[str, float]
    """Each feeder's share, overhead included."""

    def at(self, place: Target) -> float:
        """At the grid connection or a feeder."""
        return self.grid_kw if place == GRID_CONNECTION else self.feeders_kw[place.name]


@dataclass(frozen=True, slots=True)
class Lowered:
    """A power-down that a rack was asked for."""

    at: datetime
    follows_below_kw: float
    """Measured power under which the rack has followed: halfway down."""


@dataclass(frozen=True, slots=True)
class FleetStatus:
    """A fleet with what was asked of it and what it measures. Powers are IT power."""

    fleet: Fleet
    view: FleetView
    counted_kw: float
    """Measured power; racks without a fresh reading at nameplate."""
    committed_kw: float
    """What may be drawn under the accepted setpoint: measured where a rack has settled, else the higher of measured
    and setpoint power, rack by rack."""
    draw_share: float
    """Measured power of settled awake racks as a share of their nameplate, as last seen; 1 before that."""
    hashrate_phs: float | None
    """None when no rack has a reading."""
    silent: frozenset[str]
    """Racks without a fresh reading."""
    stuck: frozenset[str]
    """Racks that did not follow a power-down in time: their power can't be counted on to fall."""
    lowered: Mapping[str, "Lowered"] = field(default_factory=dict)
    """Racks that were asked down and have not been seen to follow yet."""
    excess_kw: float = 0.0
    """Measured power beyond what setpoints and `draw_share` explain: it is there whatever is asked."""
    efficiency_j_per_th: Mapping[str, float] = field(default_factory=dict)
    """Measured, by rack; of those that hash and are not silent."""
    silent_kw: float = 0.0
    """Of `counted_kw` and `committed_kw`, what silent racks count for."""


@dataclass(frozen=True, slots=True)
class JobStatus:
    """A job that has not ended, with its promise and its progress."""

    job: Job
    view: JobView
    tenant: Tenant
    done_gpu_seconds: float
    """Measured progress; 0 before the first start."""
    checkpoint_gpu_seconds: float
    interruptions: int
    last_interrupted_at: datetime | None = None

    @property
    def left_gpu_seconds(self) -> float:
        return max(self.job.work_gpu_seconds - self.done_gpu_seconds, 0.0)


@dataclass(frozen=True, slots=True)
class PoolStatus:
    pool: GpuPool
    gpu_limit_w: float
    counted_kw: float
    """Measured node power; nodes without a fresh reading at nameplate."""
    committed_kw: float
    """The higher of counted power and what the running jobs may draw at the power limit."""
    silent: frozenset[str]
    excess_kw: float = 0.0
    """Measured power beyond idle nodes and the running jobs' full draw."""
    expected_kw: float = 0.0
    """Idle nodes and the running jobs' full draw at the power limit."""
    silent_kw: float = 0.0
    """Of `counted_kw`, what silent nodes count for."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    at: datetime
    price: CurrentPrice
    book: PriceBook
    hashprice: Reading
    outdoor: Reading
    pue: float
    power: Power
    """As counted against the caps: measured, with nameplate where a reading is stale."""
    measured: Power
    """The newest readings alone, whatever their age; what has none is left out."""
    limits: Limits
    fleets: Mapping[str, FleetStatus]
    pools: Mapping[str, PoolStatus]
    jobs: Mapping[str, JobStatus]
    """Open jobs only."""
    curtailments: tuple[Curtailment, ...]
    breaches: tuple[Breach, ...]
    stale: tuple[str, ...]
    """Inputs that are stale, missing or assumed: `price`, `hashprice`, `temperature`, `rack ...`, `node ...`,
    `meter ...`."""
    interruptions_last_hour: Mapping[str, int]
    """By tenant."""
    suspect: Mapping[str, str] = field(default_factory=dict)
    """Devices with a reading that cannot be true, and why; they count as silent where it is their power."""
    meters: SiteMeters = NO_METERS
    """Of the grid connection and of feeders, those there are."""

    def metered_kw(self, place: Target) -> float:
        """Power at the grid connection or a feeder: by its meter where that is fresh, else by the devices' readings."""
        metered_kw = self.meters.kw(place)
        return self.measured.at(place) if metered_kw is None else metered_kw

    def counted_kw(self, place: Target) -> float:
        """The same with nameplate, instead of nothing, for devices of which no reading is fresh."""
        metered_kw = self.meters.kw(place)
        return self.power.at(place) if metered_kw is None else metered_kw

    def unmeasured(self, place: Target) -> list[str]:
        """What keeps power there from being known: nothing where there is a fresh meter."""
        return [] if self.meters.kw(place) is not None else self.silent_meters

    @property
    def silent_meters(self) -> list[str]:
        """Racks, nodes and meters without a fresh reading, as named in `stale`."""
        return [name for name in self.stale if name.startswith(("rack ", "node ", "meter "))]
