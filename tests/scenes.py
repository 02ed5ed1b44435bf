"""A scene of a small site: what runs, what is measured, what is asked, made into a snapshot by `assess`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.accounting.billing import JobRecord
from orchestrator.dispatch.desired import Desired
from orchestrator.domain.decision import Breach
from orchestrator.domain.limits import Curtailment
from orchestrator.domain.market import Market, Price, PriceBook
from orchestrator.domain.metering.points import SeriesPoint
from orchestrator.domain.observation import Metric, Quality, Reading, Sample, Telemetry
from orchestrator.domain.rack_mix import RackMix, choose_racks
from orchestrator.domain.site.machines import SLEEP, Fleet
from orchestrator.domain.site.site import Site
from orchestrator.domain.snapshot import Snapshot
from orchestrator.domain.target import Target
from orchestrator.domain.work import FleetView, Job, JobPhase, JobView, PoolView, Workloads
from orchestrator.explain.reasons import Reasons
from orchestrator.observe.assess import Inputs, assess
from tests.sites import small_site

NOW = datetime(2023, 9, 6, 19, 0, tzinfo=UTC)
LONG_AGO = NOW - timedelta(days=1)


@pytest.fixture
def now() -> datetime:
    return NOW


@pytest.fixture
def site() -> Site:
    return small_site()


def metered(site: Site, *meters: str) -> Site:
    """The site with meters at the grid connection (`grid`) or at feeders of these names."""
    grid = replace(site.grid, meter=SeriesPoint("grid") if "grid" in meters else None)
    feeders = (
        replace(feeder, meter=SeriesPoint(feeder.name) if feeder.name in meters else None) for feeder in site.feeders
    )
    return replace(site, grid=grid, feeders=tuple(feeders))


@dataclass
class Scene:
    """Everything that a snapshot is made from. Devices draw their nameplate unless `kw` says otherwise."""

    site: Site
    price: float = 50.0
    hashprice: float = 60.0
    outdoor: Reading = field(default_factory=lambda: Reading(20.0, "degC", NOW, Quality.FRESH))
    racks: dict[str, Mapping[str, int]] = field(default_factory=dict)
    """Accepted setpoints by fleet; every rack in its default mode where none is given."""
    kw: dict[str, float | None] = field(default_factory=dict)
    """Measured power by rack or node; None for one that is silent."""
    meters_kw: dict[str, float] = field(default_factory=dict)
    """What meters show, by `grid` or feeder; a site that is to look at them is made by `metered`."""
    hash_hs: dict[str, float] = field(default_factory=dict)
    """Measured hashes per second by rack; none where not given."""
    jobs: list[JobView] = field(default_factory=list)
    records: dict[str, JobRecord] = field(default_factory=dict)
    progress: dict[str, float] = field(default_factory=dict)
    gpu_limit_w: dict[str, float] = field(default_factory=dict)
    orders: list[Curtailment] = field(default_factory=list)
    breaches: list[Breach] = field(default_factory=list)
    woken: dict[str, datetime] = field(default_factory=dict)
    put_to_sleep: dict[str, datetime] = field(default_factory=dict)
    moved: dict[str, datetime] = field(default_factory=dict)
    """When a fleet's setpoint last changed."""
    before: Snapshot | None = None
    judge: Callable[[Site, Telemetry], Telemetry] = lambda site, telemetry: telemetry
    """What makes of readings those that are believed; all are where it is not given."""
    held: dict[str, str] = field(default_factory=dict)
    """Why a fleet is not ours to move, by fleet."""

    def job(
        self,
        name: str,
        tenant: str,
        gpus: int = 80,
        phase: JobPhase = JobPhase.RUNNING,
        *,
        pool: str = "h100",
        run_h: float = 10.0,
        deadline_in_h: float | None = None,
        submitted_before_h: float = 1.0,
        changed_at: datetime = LONG_AGO,
        held: str = "",
        elastic: tuple[int, int] | None = None,
        given_gpus: int | None = None,
    ) -> None:
        job = Job(
            name=name,
            tenant=tenant,
            pool=pool,
            gpus=gpus,
            work_gpu_seconds=gpus * run_h * 3600.0,
            submitted_at=NOW - timedelta(hours=submitted_before_h),
            deadline=None if deadline_in_h is None else NOW + timedelta(hours=deadline_in_h),
            checkpoint_every=timedelta(minutes=30),
            restart=timedelta(minutes=5),
            min_gpus=elastic[0] if elastic else None,
            gpu_step=elastic[1] if elastic else None,
        )
        starts = 0 if phase is JobPhase.WAITING else 1
        self.jobs.append(JobView(job, phase, changed_at, starts, timedelta(0), held, given_gpus))

    def interrupted(self, job: str, *, minutes_ago: float = 10.0) -> None:
        view = next(view for view in self.jobs if view.job.name == job)
        at = NOW - timedelta(minutes=minutes_ago)
        self.records[job] = JobRecord(job, view.job.tenant, 0.0, 0.0, 1, at, "open")

    def order(self, limit_kw: float, **changes: timedelta | datetime | Target) -> None:
        order = Curtailment(
            id=f"c-{len(self.orders) + 1}",
            limit_kw=limit_kw,
            shed_kw=None,
            start=NOW - timedelta(minutes=1),
            until=NOW + timedelta(hours=1),
            response=timedelta(minutes=5),
            reason="EEA2",
            source="operator",
        )
        self.orders.append(replace(order, **changes))  # type: ignore[arg-type]  # fields of several types, by name

    def fleet_view(self, fleet: Fleet) -> FleetView:
        wanted = self.racks.get(fleet.name, {fleet.default_mode: fleet.racks})
        modes = choose_racks(fleet, dict.fromkeys(fleet.rack_names(), SLEEP), wanted)
        moved = self.moved.get(fleet.name, LONG_AGO)
        return FleetView(
            fleet=fleet.name,
            racks=RackMix.counted(fleet, modes.values()),
            rack_modes=modes,
            last_up_at=moved,
            last_down_at=moved,
            last_wake_at=self.woken.get(fleet.name, LONG_AGO),
            last_sleep_at=self.put_to_sleep.get(fleet.name, LONG_AGO),
            held=self.held.get(fleet.name, ""),
        )

    def why(self, desired: Desired) -> Reasons:
        """What dispatch says of this moment."""
        return Reasons(self.snapshot(), desired)

    def snapshot(self) -> Snapshot:
        views = {fleet.name: self.fleet_view(fleet) for fleet in self.site.fleets}
        limits_w = {pool.name: self.gpu_limit_w.get(pool.name, pool.gpu_power_w) for pool in self.site.pools}
        readings: dict[tuple[Metric, str], float | None] = {}
        for fleet, rack in self.site.racks():
            nameplate_kw = fleet.rack_kw(views[fleet.name].rack_modes[rack])
            readings[Metric.ASIC_POWER, rack] = self.kw.get(rack, nameplate_kw)
        for pool, node in self.site.nodes():
            running_kw = sum(
                pool.rise_kw(view.gpus, limits_w[pool.name])
                for view in self.jobs
                if view.job.pool == pool.name and view.phase.holds_gpus
            )
            readings[Metric.NODE_POWER, node] = self.kw.get(node, pool.node_idle_kw + running_kw / pool.nodes)
        samples = [
            Sample(metric, subject, Reading(kw * 1000.0, "W", NOW, Quality.FRESH))
            for (metric, subject), kw in readings.items()
            if kw is not None
        ]
        samples.extend(
            Sample(Metric.METER_POWER, meter, Reading(kw * 1000.0, "W", NOW, Quality.FRESH))
            for meter, kw in self.meters_kw.items()
        )
        samples.extend(
            Sample(Metric.ASIC_HASHRATE, rack, Reading(hashes, "H/s", NOW, Quality.FRESH))
            for rack, hashes in self.hash_hs.items()
        )
        samples.extend(
            Sample(Metric.JOB_PROGRESS, job, Reading(done, "GPU s", NOW, Quality.FRESH))
            for job, done in self.progress.items()
        )
        quarter = timedelta(minutes=15)
        inputs = Inputs(
            book=PriceBook.of([Price(NOW, NOW + quarter, self.price, Market.REAL_TIME)]),
            hashprice=Reading(self.hashprice, "USD/PH/s/day", NOW, Quality.FRESH),
            outdoor=self.outdoor,
            telemetry=self.judge(self.site, Telemetry(NOW, samples)),
            workloads=Workloads(
                at=NOW,
                synced=True,
                fleets=views,
                jobs={view.job.name: view for view in self.jobs},
                pools={name: PoolView(name, limit_w) for name, limit_w in limits_w.items()},
            ),
            curtailments=self.orders,
            breaches=self.breaches,
            job_records=self.records,
            before=self.before,
        )
        return assess(self.site, inputs, NOW)


@pytest.fixture
def scene(site: Site) -> Scene:
    return Scene(site)


@pytest.fixture
def scene_of() -> Callable[[Site], Scene]:
    """For sites made in the test."""
    return Scene
