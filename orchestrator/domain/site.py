"""The site as its file describes it: grid connection, feeders, cooling, fleets, pools and tenants."""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import TypeVar

from orchestrator.domain.charge import Charge
from orchestrator.domain.market import PricePolicy
from orchestrator.domain.metering.points import GRID_METER, MeteringPoint
from orchestrator.domain.sla import SlaClass
from orchestrator.domain.units import HASHES_PER_TH

SLEEP = "sleep"
"""The setpoint of a rack whose machines hash nothing and draw their sleep power."""


_Named = TypeVar("_Named", "Feeder", "Fleet", "GpuPool", "Tenant")


@cache
def _numbered(name: str, count: int) -> tuple[str, ...]:
    """Names of racks or nodes; asked for several times in each round, and always the same."""
    return tuple(f"{name}-{number}" for number in range(count))


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


@dataclass(frozen=True, slots=True)
class Mode:
    """An operating mode of one machine."""

    name: str
    power_w: float
    hashrate_ths: float

    @property
    def efficiency_j_per_th(self) -> float:
        return self.power_w / self.hashrate_ths


@dataclass(frozen=True, slots=True)
class Fleet:
    """ASICs of one model under one Deployment. `modes` ascend in power; `default_mode` is the nameplate one."""

    name: str
    model: str
    feeder: str
    racks: int
    machines_per_rack: int
    modes: tuple[Mode, ...]
    default_mode: str
    sleep_w: float
    """One machine asleep."""
    warm_up: timedelta
    """From wake-up to hashing; full power is drawn, nothing is hashed."""
    min_on: timedelta
    min_off: timedelta

    @property
    def machines(self) -> int:
        return self.racks * self.machines_per_rack

    def mode(self, name: str) -> Mode:
        for mode in self.modes:
            if mode.name == name:
                return mode
        raise KeyError(f"fleet {self.name} has no mode {name}; it has {', '.join(m.name for m in self.modes)}")

    def rack_kw(self, mode: str) -> float:
        """Nameplate power of one rack in `mode` (or asleep), kW of IT load."""
        power_w = self.sleep_w if mode == SLEEP else self.mode(mode).power_w
        return self.machines_per_rack * power_w / 1000.0

    def setpoint_kw(self, racks: Mapping[str, int]) -> float:
        """Nameplate power of `racks[mode]` racks in each mode, kW of IT load."""
        return sum(self.rack_kw(mode) * count for mode, count in racks.items())

    def rack_names(self) -> tuple[str, ...]:
        return _numbered(f"{self.name}/rack", self.racks)

    @property
    def nameplate_kw(self) -> float:
        """Every rack in its strongest mode: what an unmeasured fleet counts at."""
        return self.racks * self.rack_nameplate_kw

    @property
    def rack_nameplate_kw(self) -> float:
        """One rack in its strongest mode."""
        return self.rack_kw(self.modes[-1].name)

    @property
    def rack_nameplate_hs(self) -> float:
        """Hashes per second of one rack in the mode that hashes most."""
        return max(mode.hashrate_ths for mode in self.modes) * HASHES_PER_TH * self.machines_per_rack


THROUGHPUT_AT_POWER_SHARE = (
    (0.333, 0.354),
    (0.417, 0.509),
    (0.500, 0.751),
    (0.583, 0.929),
    (0.667, 0.956),
    (0.750, 0.985),
    (0.833, 0.989),
    (0.917, 0.995),
    (1.000, 1.000),
)
"""(Power limit as a share of the full one, training speed as a share of full speed): medians over the Zeus
measurements of the NVIDIA A40 (100 to 300 W, time per epoch of up to 50 settings; Zeus, Apache-2.0)."""


@dataclass(frozen=True, slots=True)
class GpuPool:
    """Like nodes on one feeder. A node draws `node_overhead_w` and its GPUs' power, idle ones `gpu_idle_w`."""

    name: str
    gpu_model: str
    feeder: str
    nodes: int
    gpus_per_node: int
    gpu_power_w: float
    """Full power limit of one GPU."""
    gpu_min_power_w: float
    """Lowest power limit the GPU accepts."""
    gpu_idle_w: float
    node_overhead_w: float

    @property
    def gpus(self) -> int:
        return self.nodes * self.gpus_per_node

    def node_names(self) -> tuple[str, ...]:
        return _numbered(f"{self.name}-node", self.nodes)

    @property
    def gpu_rise_kw(self) -> float:
        """What one GPU at full power draws more than an idle one."""
        return (self.gpu_power_w - self.gpu_idle_w) / 1000.0

    def rise_kw(self, gpus: int, gpu_limit_w: float) -> float:
        """IT power that so many busy GPUs draw above idle under a power limit."""
        return gpus * max(gpu_limit_w - self.gpu_idle_w, 0.0) / 1000.0

    def throughput(self, gpu_limit_w: float) -> float:
        """Share of full training speed under a power limit, linear between the measured points and below them to 0."""
        share = gpu_limit_w / self.gpu_power_w
        low_share, low = 0.0, 0.0
        for high_share, high in THROUGHPUT_AT_POWER_SHARE:
            if share <= high_share:
                return low + (high - low) * (share - low_share) / (high_share - low_share)
            low_share, low = high_share, high
        return 1.0

    @property
    def node_idle_kw(self) -> float:
        return (self.node_overhead_w + self.gpus_per_node * self.gpu_idle_w) / 1000.0

    @property
    def node_nameplate_kw(self) -> float:
        return (self.node_overhead_w + self.gpus_per_node * self.gpu_power_w) / 1000.0

    @property
    def idle_kw(self) -> float:
        return self.nodes * self.node_idle_kw

    @property
    def nameplate_kw(self) -> float:
        return self.nodes * self.node_nameplate_kw


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
class StalePolicies:
    """How old is too old for each input, and what is assumed then."""

    price: PricePolicy
    telemetry_max_age: timedelta
    """A device with an older power reading is silent: it counts at the most that it may draw."""
    temperature_max_age: timedelta
    temperature_assume_c: float
    hashprice_max_age: timedelta
    hashprice_assume_usd_per_ph_day: float
    plan_max_assumed_share: float = 0.1
    """No plan is made while devices with more of all nameplate power than this have no fresh reading; 1: always."""
    telemetry_hold: timedelta = timedelta(minutes=15)
    """How long the site is held on its accepted setpoints while the source of its readings is down."""
    telemetry_safe_kw: float | None = None
    """What it is then brought down to, at the grid; None: what is guaranteed, and all else asleep or paused."""


@dataclass(frozen=True, slots=True)
class Controls:
    """How the controller paces itself, in site time."""

    tick: timedelta
    verify_within: timedelta
    """By then a move must show in the meter; a power-down that does not is escalated."""
    lease: timedelta
    """Agents without a renewed setpoint fall to sleep after this."""
    price_persistence: timedelta
    """How long the price now is taken to last when the cost of a restart is weighed, as by a persistence forecast."""
    lapse_over: timedelta = timedelta(0)
    """Over which they fall asleep then, one after the other."""
    verify_up: timedelta | None = None
    """For power-ups; None: as all moves."""
    verify_down: timedelta | None = None
    """For power-downs; None: as all moves."""

    @property
    def up_within(self) -> timedelta:
        """By then a power-up must show in the meter."""
        return self.verify_within if self.verify_up is None else self.verify_up

    @property
    def down_within(self) -> timedelta:
        """By then a power-down must show in the meter, or it is escalated."""
        return self.verify_within if self.verify_down is None else self.verify_down


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
