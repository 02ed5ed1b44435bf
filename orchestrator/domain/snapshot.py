"""All that is known of the site at one moment: what a decision is made from, and what the API shows."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from orchestrator.domain.decision import Breach
from orchestrator.domain.hold import Hold
from orchestrator.domain.limits import Curtailment, Limits
from orchestrator.domain.market import CurrentPrice, PriceBook
from orchestrator.domain.metering.metered import NO_METERS, Balance, SiteMeters
from orchestrator.domain.observation import Reading
from orchestrator.domain.site.gpus import GpuPool
from orchestrator.domain.site.machines import Fleet
from orchestrator.domain.site.site import Tenant
from orchestrator.domain.target import GRID_CONNECTION, Target
from orchestrator.domain.unread import Basis, Unread
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
    """While its source is down it is put off: nobody could have seen it follow."""
    follows_below_kw: float
    """Measured power under which the rack has followed: halfway down."""
    from_kw: float
    """What it may draw until it is seen to follow: the most that it was asked since it was last seen to."""


@dataclass(frozen=True, slots=True)
class FleetStatus:
    """A fleet with what was asked of it and what it measures. Powers are IT power."""

    fleet: Fleet
    view: FleetView
    counted_kw: float
    """Measured power; racks without a fresh reading at the most that they may draw (`observe.silence`)."""
    committed_kw: float
    """What may be drawn under the accepted setpoint: measured where a rack has settled, else the higher of measured
    and setpoint power, rack by rack; what was asked down and is not seen to follow as before."""
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
    """Of `counted_kw`, `committed_kw` and `unmoved_kw`, what silent racks count for that are not on trust."""
    readings: Mapping[str, Reading] = field(default_factory=dict)
    """Measured power by rack; of those that are not silent."""
    raised: Mapping[str, datetime] = field(default_factory=dict)
    """Racks that were asked up and have not been read since, and when they were asked."""
    defiant: frozenset[str] = frozenset()
    """Stuck racks that were seen not to follow when they were last read; the others of `stuck` are silent."""
    never_read: frozenset[str] = frozenset()
    """Silent racks that have not been read since we started: nobody knows what they follow."""
    dark_since: datetime | None = None
    """Since when most of its racks are silent, which is taken for one source that is down; None where it is not."""
    on_trust: frozenset[str] = frozenset()
    """Silent racks of a source that is down, held on their accepted setpoints: they are moved like the others, and
    none of the fleet goes up."""
    measured_kw: float = 0.0
    """The newest readings alone, whatever their age; racks asked up and not read since at their setpoint."""
    unmoved_kw: float = 0.0
    """What the racks that no choice moves count at."""
    assumed_kw: float = 0.0
    """Of `unmoved_kw` what nobody measures: beyond sleep of silent racks, beyond their reading of stuck ones."""
    unread: Mapping[Basis, Unread] = field(default_factory=dict)
    """Of `counted_kw` what no fresh reading has measured, by what stands in for it."""
    claimed_kw: Mapping[str, float] = field(default_factory=dict)
    """Power by rack that its reading says and that cannot be true; it is not counted."""

    @property
    def unmoved(self) -> frozenset[str]:
        """Racks that no choice moves: stuck ones, and silent ones but those on trust."""
        return (self.silent - self.on_trust) | self.stuck


@dataclass(frozen=True, slots=True)
class JobStatus:
    """A job that has not ended, with its promise and its progress."""

    job: Job
    view: JobView
    tenant: Tenant
    done_gpu_seconds: float
    """Progress; 0 before the first start."""
    checkpoint_gpu_seconds: float
    interruptions: int
    last_interrupted_at: datetime | None = None
    estimated: bool = False
    """Whether its progress is in part or whole from GPUs and time, for want of a reading."""

    @property
    def left_gpu_seconds(self) -> float:
        return max(self.job.work_gpu_seconds - self.done_gpu_seconds, 0.0)


@dataclass(frozen=True, slots=True)
class PoolStatus:
    pool: GpuPool
    gpu_limit_w: float
    counted_kw: float
    """Measured node power; silent nodes at what is left for them of `expected_kw`, never read ones at nameplate."""
    committed_kw: float
    """The higher of counted power and what the running jobs may draw at the power limit."""
    silent: frozenset[str]
    excess_kw: float = 0.0
    """Measured power beyond idle nodes and the running jobs' full draw; as last seen while nodes are silent."""
    expected_kw: float = 0.0
    """Idle nodes and the running jobs' full draw at the power limit."""
    silent_kw: float = 0.0
    """Of `counted_kw`, what silent nodes count for."""
    never_read: frozenset[str] = frozenset()
    """Silent nodes that have not been read since we started."""
    dark_since: datetime | None = None
    """Since when most of its nodes are silent, which is taken for one source that is down; None where it is not."""
    most_kw: float = 0.0
    """The highest `expected_kw` since the source is down; as it is now else."""
    read_from: datetime | None = None
    """When the oldest of the fresh readings was measured; None where there is none."""
    unread: Mapping[Basis, Unread] = field(default_factory=dict)
    """Of `counted_kw` what no fresh reading has measured, by what stands in for it."""
    claimed_kw: Mapping[str, float] = field(default_factory=dict)
    """Power by node that its reading says and that cannot be true; it is not counted."""

    @property
    def silent_by_jobs_kw(self) -> float:
        """Silent nodes, as the jobs and the power limit have them: what those that answer do not draw of it."""
        left_kw = self.expected_kw - (self.counted_kw - self.silent_kw)
        return self.pool.nodes_kw(len(self.silent), left_kw)

    @property
    def unknown(self) -> frozenset[str]:
        """Nodes that count at nameplate: never read, though others of the pool are."""
        return self.never_read if self.dark_since is None else frozenset()


@dataclass(frozen=True, slots=True)
class Snapshot:
    at: datetime
    price: CurrentPrice
    book: PriceBook
    hashprice: Reading
    outdoor: Reading
    pue: float
    power: Power
    """As counted against the caps: measured, and where it is not the most that may be drawn."""
    measured: Power
    """The newest readings alone, whatever their age; what has none is left out. A rack that was asked up and not read
    since is at its setpoint: an older reading is of what it was asked before."""
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
    holds: tuple[Hold, ...] = ()
    """What is held on its setpoints because nobody sees it."""
    partial: Mapping[str, str] = field(default_factory=dict)
    """Devices that are read and not wholly, and how many of their parts answer."""
    problems: Mapping[str, str] = field(default_factory=dict)
    """Sources of readings that do not come or can't be read, and why."""

    unexplained_kw: Mapping[str, float] = field(default_factory=dict)
    """Racks that draw more than their setpoint explains, and by how much, IT power."""
    estimated: frozenset[str] = frozenset()
    """Racks and nodes whose energy or hash was posted from power at the last settlement, for want of a counter."""
    balances: Mapping[str, Balance] = field(default_factory=dict)
    """By meter, as of the last settlement; those that have counted."""

    def metered_kw(self, place: Target) -> float:
        """What is proven of power at the grid connection or a feeder: by its meter where that is fresh, else by the
        newest readings of devices, whatever their age. What is shown as drawn there is `power_shares`'."""
        metered_kw = self.meters.kw(place)
        return self.measured.at(place) if metered_kw is None else metered_kw

    def unmeasured(self, place: Target) -> list[str]:
        """What keeps power there from being known: nothing where there is a fresh meter."""
        return [] if self.meters.kw(place) is not None else self.silent_meters

    @property
    def measured_pue(self) -> float | None:
        """What comes by the grid connection's meter over what all devices say; None where one of the two is not known.
        What devices do not say and what cooling takes beyond the model are one in it."""
        meter = self.meters.at(GRID_CONNECTION)
        if meter is None or meter.kw is None or meter.unseen or meter.devices_kw <= 0.0:
            return None
        return meter.kw / meter.devices_kw * self.pue

    @property
    def silent_meters(self) -> list[str]:
        """Racks, nodes and meters without a fresh reading, as named in `stale`."""
        return [name for name in self.stale if name.startswith(("rack ", "node ", "meter "))]
