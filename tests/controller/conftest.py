"""A small site in one process: the controller as it is, simulated devices, a SQLite record, prices made by hand."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orchestrator.accounting.ledger import Account, Totals, totals
from orchestrator.adapters.prices.replayed import ReplayedPrices
from orchestrator.adapters.series.constant import ConstantSeries
from orchestrator.adapters.store import SqlStore
from orchestrator.controller import Controller, Doors
from orchestrator.domain.decision import Ack, Decision, Move, Outcome, PauseJob
from orchestrator.domain.limits import Curtailment
from orchestrator.domain.market import Market, Price, PriceBook, PricePolicy
from orchestrator.domain.observation import Metric
from orchestrator.domain.site.site import Feeder, Site
from orchestrator.domain.snapshot import Snapshot
from orchestrator.domain.target import GRID_CONNECTION, Target
from orchestrator.domain.work import Job, JobPhase, Workloads
from orchestrator.explain.plan_view import PlanState
from orchestrator.ports import Record
from orchestrator.runtime.observability.metrics import SiteMetrics
from orchestrator.sim.racks.asic_rack import NO_FAULTS, FaultRates
from orchestrator.sim.virtual import VirtualSite
from tests.sites import small_site

START = datetime(2023, 9, 6, 5, 0, tzinfo=UTC)
QUARTER = timedelta(minutes=15)
STEP = timedelta(seconds=60)
VERIFY = timedelta(seconds=5)


class KilledError(BaseException):
    """The process dies here. No SystemExit, which would take the test's event loop with it."""


@pytest.fixture
def killed() -> type[BaseException]:
    return KilledError


@pytest.fixture
def start() -> datetime:
    return START


@pytest.fixture
def site() -> Site:
    """8 racks of 50 machines, 1.6 MW in turbo at PUE 1.1, and 32 GPUs. The grid lets 1.5 MW through.

    At 60 USD per PH/s per day the old fleet's hash is worth 86 USD/MWh in eco, the new one's 181.
    """
    small = small_site()
    return replace(
        small,
        timezone="America/Chicago",
        grid=replace(small.grid, limit_kw=1500.0),
        feeders=(Feeder("a", 800.0), Feeder("b", 1000.0)),
        fleets=tuple(replace(fleet, machines_per_rack=50) for fleet in small.fleets),
        pools=tuple(replace(pool, nodes=4) for pool in small.pools),
        stale=replace(small.stale, price=PricePolicy(max_age=QUARTER, fallback_usd_per_mwh=200.0)),
    )


def prices_of(usd_per_mwh: Sequence[float], market: Market = Market.REAL_TIME) -> list[Price]:
    """One price a quarter of an hour from START on."""
    return [
        Price(START + number * QUARTER, START + (number + 1) * QUARTER, price, market)
        for number, price in enumerate(usd_per_mwh)
    ]


class Feed:
    """A PriceSource that can be cut off: it then returns what it last knew."""

    def __init__(self, prices: Sequence[Price]) -> None:
        self.replayed = ReplayedPrices(prices, "America/Chicago")
        self.cut_at: datetime | None = None

    async def read(self, now: datetime) -> PriceBook:
        return await self.replayed.read(now if self.cut_at is None else min(now, self.cut_at))


class Driver:
    """The simulated devices behind a driver that can die, refuse, or not be in step; it keeps what was asked."""

    def __init__(self, devices: VirtualSite) -> None:
        self.devices = devices
        self.synced = True
        self.refuse: set[Target] = set()
        self.ignore: set[Target] = set()
        """Targets whose moves are accepted and forgotten."""
        self.dies: str | None = None
        """`before` or `after` the next move takes effect."""
        self.dead = False
        self.asked: list[Move] = []
        self.pauses = 0
        """Running jobs that were told to stop."""

    async def observe(self, now: datetime) -> Workloads:
        return replace(await self.devices.observe(now), synced=self.synced)

    async def renew(self, until: datetime, now: datetime) -> None:
        await self.devices.renew(until, now)

    async def apply(self, move: Move, reason: str, now: datetime) -> Ack:
        if self.dead:
            raise KilledError
        if self.dies == "before":
            self.dead = True
            raise KilledError
        self.asked.append(move)
        if move.target in self.refuse:
            return Ack(False, now, "refused by the test")
        if move.target in self.ignore:
            return Ack(True, now)
        if isinstance(move, PauseJob):
            views = (await self.devices.observe(now)).jobs
            self.pauses += views[move.job].phase is JobPhase.RUNNING
        ack = await self.devices.apply(move, reason, now)
        if self.dies == "after":
            self.dead = True
            raise KilledError
        return ack


@dataclass
class World:
    """The site at work. `run` moves time on as a replay does and keeps what the meters showed."""

    site: Site
    devices: VirtualSite
    feed: Feed
    store: SqlStore
    driver: Driver
    now: datetime = START
    told: Callable[[Record], None] = lambda record: None
    """Of all that goes on record."""
    measured_kw: list[tuple[datetime, float]] = field(default_factory=list)
    planned: PlanState = field(default_factory=lambda: PlanState(None))
    controller: Controller = field(init=False)
    metrics: SiteMetrics = field(init=False)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """A new controller on the same record and devices, as after a kill."""
        self.driver.dies, self.driver.dead = None, False
        self.metrics = SiteMetrics(self.site, lambda: self.now)
        self.controller = Controller(
            self.site,
            Doors(
                prices=self.feed,
                hashprice=ConstantSeries(60.0, "USD/PH/s/day"),
                weather=ConstantSeries(20.0, "degC"),
                metrics=self.devices,
                workloads=self.metrics.timed(self.driver),
                store=self.store,
            ),
            now=self.now,
            publish=self._publish,
            watch=self.metrics.rounds,
        )
        self.metrics.watch(self.controller, lambda: self.planned)

    def _publish(self, records: Sequence[Record]) -> None:
        self.metrics.count(records)
        for record in records:
            self.told(record)

    @property
    def snapshot(self) -> Snapshot:
        assert self.controller.snapshot is not None, "no tick yet"
        return self.controller.snapshot

    async def tick(self, *, final: bool = False) -> Decision | None:
        decision = await self.controller.tick(self.now, final=final)
        if self.controller.snapshot is not None:
            self.measured_kw.append((self.now, self.snapshot.measured.grid_kw))
        return decision

    async def run(self, minutes: float, *, final: bool = False) -> None:
        """Ticks until `minutes` from now, the last one then."""
        end = self.now + timedelta(minutes=minutes)
        if self.controller.snapshot is None:
            await self.tick()
        while self.now < end:
            then = self.now + (VERIFY if self.controller.unsettled else STEP)
            change = self.feed.replayed.next_change(self.now)
            self.now = min(then, end, *([change] if change is not None else []))
            await self.tick(final=final and self.now == end)

    async def until(self, holds: Callable[[], bool], *, minutes: float = 30.0) -> None:
        """Ticks until something holds; a failure where it does not within `minutes` of site time."""
        end = self.now + timedelta(minutes=minutes)
        while not holds():
            assert self.now < end, f"does not hold after {minutes} minutes"
            self.now += VERIFY
            await self.tick()

    def submit(
        self, name: str, tenant: str, gpus: int = 8, *, run_h: float = 20.0, deadline_in_h: float | None = None
    ) -> None:
        job = Job(
            name=name,
            tenant=tenant,
            pool="h100",
            gpus=gpus,
            work_gpu_seconds=gpus * run_h * 3600.0,
            submitted_at=self.now,
            deadline=None if deadline_in_h is None else self.now + timedelta(hours=deadline_in_h),
            checkpoint_every=timedelta(minutes=30),
            restart=timedelta(minutes=3),
        )
        self.devices.submit(job, self.now)

    async def order(
        self, limit_kw: float, *, minutes: float = 60.0, response_s: float = 60.0, at: Target = GRID_CONNECTION
    ) -> None:
        await self.controller.curtail(
            Curtailment(
                id=f"c-{len(self.controller.curtailments) + 1}",
                at=at,
                limit_kw=limit_kw,
                shed_kw=None,
                start=self.now,
                until=self.now + timedelta(minutes=minutes),
                response=timedelta(seconds=response_s),
                reason="EEA2",
                source="operator",
            )
        )

    @property
    def true_kw(self) -> float:
        """What the devices really draw at the grid, whether they answer or not."""
        return self.devices.true_it_kw() * 1.1

    def phase(self, job: str) -> JobPhase:
        return self.snapshot.jobs[job].view.phase

    def awake(self, fleet: str) -> int:
        return self.snapshot.fleets[fleet].view.racks.awake

    def totals(self) -> Totals:
        return totals(self.store.ledger(START - timedelta(days=1), self.now + timedelta(days=1)))

    def outcomes(self) -> list[Outcome]:
        return [outcome for _, outcomes in self.store.decisions(1000) for outcome in outcomes]

    def above_limit_s(self) -> float:
        end = self.now + timedelta(days=1)
        return sum(seen.above_limit_s for seen in self.store.observations(START, end))

    async def counters_kwh(self) -> dict[Account, float]:
        """What the devices' own counters show, of a run from their start on."""
        telemetry = await self.devices.read(self.now)
        sums = {}
        for account, metric in ((Account.MINING, Metric.ASIC_ENERGY), (Account.HPC, Metric.NODE_ENERGY)):
            values = [telemetry.get(metric, subject).value for subject in telemetry.subjects(metric)]
            sums[account] = sum(value for value in values if value is not None) / 3.6e6
        return sums


WorldOf = Callable[..., World]


@pytest.fixture
def world_of(site: Site, tmp_path: Path) -> Iterator[WorldOf]:
    """Makes a world on real-time prices by the quarter of an hour, with day-ahead ones if given."""
    stores: list[SqlStore] = []

    def make(
        real_time: Sequence[float],
        day_ahead: Sequence[float] = (),
        *,
        faults: FaultRates = NO_FAULTS,
        seed: int = 1,
        site: Site = site,
    ) -> World:
        store = SqlStore.open(f"sqlite:///{tmp_path / f'{len(stores)}.db'}", durable=False)
        stores.append(store)
        devices = VirtualSite(site, start=START, seed=seed, faults=faults)
        feed = Feed([*prices_of(real_time), *prices_of(day_ahead, Market.DAY_AHEAD)])
        return World(site, devices, feed, store, Driver(devices))

    yield make
    for store in stores:
        with closing(store):
            pass
