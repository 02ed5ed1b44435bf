"""The mock site in one process on a virtual clock: the same models as the programs', moved by `advance`.

It is a simulation and answers to the controller's ports `WorkloadDriver` and `MetricSource`.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

from orchestrator.domain.decision import Ack, LimitGpus, Move, PauseJob, RunJob, SetFleet
from orchestrator.domain.metering.points import GRID_METER
from orchestrator.domain.observation import Metric, Quality, Reading, Sample, Telemetry
from orchestrator.domain.rack_mix import RackMix, choose_racks
from orchestrator.domain.refusals import fleet_refusal, limit_refusal
from orchestrator.domain.site.machines import SLEEP
from orchestrator.domain.site.site import Site
from orchestrator.domain.units import utc
from orchestrator.domain.work import FleetView, Job, PoolView, Workloads
from orchestrator.sim.gpus.gpu_node import NodeModel
from orchestrator.sim.lapse import lapse_s
from orchestrator.sim.meters.meter_model import Drawn, MeterBank, PueCurve
from orchestrator.sim.racks.asic_rack import FaultRates, RackModel
from orchestrator.sim.spread import Spread
from orchestrator.sim.virtual_jobs import VirtualJobs

# Bound once: a read makes hundreds of samples, and looking a member up in its enum costs as much as making one.
FRESH = Quality.FRESH
ASIC_POWER = Metric.ASIC_POWER
ASIC_ENERGY = Metric.ASIC_ENERGY
ASIC_HASHRATE = Metric.ASIC_HASHRATE
ASIC_HASHES = Metric.ASIC_HASHES
ASIC_TEMPERATURE = Metric.ASIC_TEMPERATURE
GPU_POWER = Metric.GPU_POWER
NODE_POWER = Metric.NODE_POWER
NODE_ENERGY = Metric.NODE_ENERGY
METER_POWER = Metric.METER_POWER
METER_ENERGY = Metric.METER_ENERGY


class VirtualSite:
    """The devices and jobs of `site` from `start` on: fleets asleep, or warm in their default mode if `awake`.

    `seed` decides warm-up times, spreads and faults. Setpoints hold until `start` + the site's lease unless renewed.
    """

    def __init__(
        self,
        site: Site,
        *,
        start: datetime,
        seed: int,
        awake: bool = False,
        outdoor_c: float = 30.0,
        faults: FaultRates | None = None,
        spread: Spread | None = None,
        pue: Sequence[tuple[datetime, float]] = (),
    ) -> None:
        """`pue` by time is what the site's meters go by; without it that of `outdoor_c`."""
        self.site = site
        self._now = start.timestamp()
        self._racks = {
            rack: RackModel(
                fleet,
                rack,
                seed=seed,
                at=self._now,
                awake=fleet.default_mode if awake else None,
                faults=faults,
                outdoor_c=outdoor_c,
                spread=spread,
            )
            for fleet, rack in site.racks()
        }
        self._setpoints = {rack: fleet.default_mode if awake else SLEEP for fleet, rack in site.racks()}
        self._moved_up = {fleet.name: start - timedelta(days=1) for fleet in site.fleets}
        self._moved_down = dict(self._moved_up)
        self._woken = dict(self._moved_up)
        self._put_to_sleep = dict(self._moved_up)
        self._lease_until = (start + site.controls.lease).timestamp()
        self._lapsed = False
        self._nodes = {node: NodeModel(node, pool, self._now, spread) for pool, node in site.nodes()}
        self._limit_w = {pool.name: pool.gpu_power_w for pool in site.pools}
        self._jobs = VirtualJobs(site, self._nodes)
        curve = [(at.timestamp(), value) for at, value in pue] or [(self._now, site.cooling.pue(outdoor_c))]
        self._meters = MeterBank(_behind(site), PueCurve(curve), seed)
        self._silent: dict[str, list[Sample]] = {}

    @property
    def now(self) -> datetime:
        """The time up to which the site was advanced."""
        return _instant(self._now)

    def advance(self, to: datetime) -> None:
        """Let time pass until `to`; a time already passed changes nothing."""
        end = utc(to).timestamp()
        if end <= self._now:
            return
        while (change := self._jobs.next_change()) is not None and change[0] <= end:
            self._now = max(change[0], self._now)
            self._jobs.change(change[1], self._now)
        self._now = end
        self._lapsed = self._lease_until <= end
        if self._lapsed:
            over_s = self.site.controls.lapse_over.total_seconds()
            for name, rack in self._racks.items():  # a lost controller must not leave power on that nobody watches
                at = self._lease_until + lapse_s(name, over_s)
                if at <= end and rack.setpoint != SLEEP:
                    rack.set_mode(SLEEP, at)

    def submit(self, job: Job, now: datetime) -> None:
        """A tenant hands in a job; of two with one name the first holds. ValueError if it could never run here."""
        self.advance(now)
        self._jobs.submit(job, self._now)

    async def observe(self, now: datetime) -> Workloads:
        self.advance(now)
        return Workloads(
            at=self.now,
            synced=True,
            fleets={fleet.name: self._fleet_view(fleet.name) for fleet in self.site.fleets},
            jobs=self._jobs.views(self._now),
            pools={pool: PoolView(pool, limit_w) for pool, limit_w in self._limit_w.items()},
            lapsed_at=_instant(self._lease_until) if self._lapsed else None,
        )

    async def renew(self, until: datetime, now: datetime) -> None:
        self.advance(now)
        self._lease_until = utc(until).timestamp()
        if self._lapsed and self._lease_until > self._now:
            self._lapsed = False
            for name, rack in self._racks.items():
                rack.set_mode(self._setpoints[name], self._now)

    async def apply(self, move: Move, reason: str, now: datetime) -> Ack:
        del reason  # there is no object to note it on
        self.advance(now)
        match move:
            case SetFleet():
                why = self._set_fleet(move)
            case RunJob():
                why = self._jobs.run(move, self._now)
            case PauseJob():
                why = self._jobs.pause(move.job, self._now)
            case LimitGpus():
                why = self._limit_gpus(move)
        return Ack(accepted=not why, at=self.now, detail=why)

    async def read(self, now: datetime) -> Telemetry:
        self.advance(now)
        return Telemetry(self.now, self._samples())

    def hang(self, rack: str) -> None:
        """Fault: from now on the rack keeps its power and follows no setpoint, and its readings grow old."""
        self._racks[rack].hang(self._now)

    def reset(self, rack: str) -> None:
        """End of `hang`: the rack restarts and follows its setpoint."""
        self._racks[rack].reset(self._now)

    def fail_machines(self, rack: str, machines: int, repair: timedelta | None = None) -> None:
        """Fault: `machines` machines of the rack draw and hash nothing, for `repair` or for good."""
        self._racks[rack].fail(machines, self._now, None if repair is None else repair.total_seconds())

    def kill_job(self, job: str) -> None:
        """Fault: the job ends at once; work since its last checkpoint is lost."""
        self._jobs.kill(job, self._now)

    def silence(self, subject: str) -> None:
        """Fault: the exporter of a rack, node, job or meter stops answering, while the device goes on."""
        if all(subject not in known for known in (self._racks, self._nodes, self._jobs, self.site.meters())):
            raise KeyError(f"no rack, node, job or meter {subject}")
        self._silent[subject] = [sample for sample in self._samples() if sample.subject == subject]

    def unsilence(self, subject: str) -> None:
        del self._silent[subject]

    def true_it_kw(self) -> float:
        """What all devices really draw now, whether they answer or not: for tests to judge the readings by."""
        for rack in self._racks.values():
            rack.advance(self._now)
        watts = sum(rack.power_w for rack in self._racks.values()) + sum(node.power_w for node in self._nodes.values())
        return watts / 1000.0

    def _fleet_view(self, name: str) -> FleetView:
        modes = {rack: self._setpoints[rack] for rack in self.site.fleet(name).rack_names()}
        return FleetView(
            fleet=name,
            racks=RackMix.counted(self.site.fleet(name), modes.values()),
            rack_modes=MappingProxyType(modes),
            last_up_at=self._moved_up[name],
            last_down_at=self._moved_down[name],
            last_wake_at=self._woken[name],
            last_sleep_at=self._put_to_sleep[name],
        )

    def _set_fleet(self, move: SetFleet) -> str:
        if why := fleet_refusal(self.site.fleets, move):
            return why
        fleet = self.site.fleet(move.fleet)
        chosen = choose_racks(
            fleet, {rack: self._setpoints[rack] for rack in fleet.rack_names()}, move.racks, move.sleep_first
        )
        for rack, mode in chosen.items():
            change_kw = fleet.rack_kw(mode) - fleet.rack_kw(self._setpoints[rack])
            moved_at = _instant(self._lease_until) if self._lapsed and mode == SLEEP else self.now
            if change_kw > 0.0:
                self._moved_up[fleet.name] = moved_at
            elif change_kw < 0.0:
                self._moved_down[fleet.name] = moved_at
            if mode != self._setpoints[rack] and SLEEP in (mode, self._setpoints[rack]):
                (self._put_to_sleep if mode == SLEEP else self._woken)[fleet.name] = moved_at
            self._setpoints[rack] = mode
            if mode == SLEEP or not self._lapsed:
                self._racks[rack].set_mode(mode, self._now)
        return ""

    def _limit_gpus(self, move: LimitGpus) -> str:
        if why := limit_refusal(self.site.pools, move):
            return why
        pool = self.site.pool(move.pool)
        self._limit_w[pool.name] = move.gpu_limit_w
        self._jobs.limit(pool, move.gpu_limit_w, self._now)
        for node in pool.node_names():
            self._nodes[node].set_limit(move.gpu_limit_w, self._now)
        return ""

    def _samples(self) -> Iterator[Sample]:
        """Every reading now, but the kept ones of subjects that do not answer."""
        at = self.now
        silent = self._silent
        for samples in silent.values():
            yield from samples
        for name, rack in self._racks.items():
            if name in silent:
                continue
            rack.advance(self._now)
            report = rack.report()
            seen = at if report.at == self._now else _instant(report.at)
            yield Sample(ASIC_POWER, name, Reading(report.power_w, "W", seen, FRESH))
            yield Sample(ASIC_ENERGY, name, Reading(report.energy_j, "J", seen, FRESH))
            yield Sample(ASIC_HASHRATE, name, Reading(report.hashrate_hs, "H/s", seen, FRESH))
            yield Sample(ASIC_HASHES, name, Reading(report.hashes, "H", seen, FRESH))
            yield Sample(ASIC_TEMPERATURE, name, Reading(report.temperature_c, "degC", seen, FRESH))
        for name, node in self._nodes.items():
            if name in silent:
                continue
            yield Sample(GPU_POWER, name, Reading(node.gpu_power_w, "W", at, FRESH))
            yield Sample(NODE_POWER, name, Reading(node.power_w, "W", at, FRESH))
            yield Sample(NODE_ENERGY, name, Reading(node.energy_j(self._now), "J", at, FRESH))
        yield from self._jobs.samples(self._now, besides=silent)
        if self.site.meters():
            yield from self._metered()

    def _metered(self) -> Iterator[Sample]:
        """What the meters show, whoever of the devices behind them answers."""
        for rack in self._racks.values():
            rack.advance(self._now)
        drawn = {name: Drawn(rack.power_w, rack.energy_j) for name, rack in self._racks.items()}
        drawn |= {name: Drawn(node.power_w, node.energy_j(self._now)) for name, node in self._nodes.items()}
        for name, shown in self._meters.read(drawn, self._now).items():
            if name not in self._silent:
                yield Sample(METER_POWER, name, Reading(shown.power_w, "W", self.now, FRESH))
                yield Sample(METER_ENERGY, name, Reading(shown.energy_j, "J", self.now, FRESH))


def _behind(site: Site) -> dict[str, list[str]]:
    """The racks and nodes behind each meter of the site."""
    feeders: dict[str, list[str]] = {feeder.name: [] for feeder in site.feeders}
    for fleet, rack in site.racks():
        feeders[fleet.feeder].append(rack)
    for pool, node in site.nodes():
        feeders[pool.feeder].append(node)
    everywhere = [device for devices in feeders.values() for device in devices]
    return {name: everywhere if name == GRID_METER else feeders[name] for name in site.meters()}


def _instant(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)
