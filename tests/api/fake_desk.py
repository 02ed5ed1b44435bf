"""A desk whose site is built by hand: the figures are made up to look like an afternoon, and nothing is measured."""

import math
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from prometheus_client import CollectorRegistry, Gauge

from orchestrator.accounting.billing import JobRecord
from orchestrator.accounting.ledger import Posting
from orchestrator.accounting.settlement import Asked
from orchestrator.accounting.unaccounted import Resolution
from orchestrator.api import AskedOrder, ClockInfo, DeskRefusalError, Event, EventHub, Readiness
from orchestrator.domain.decision import (
    Action,
    Breach,
    Decision,
    Direction,
    Outcome,
    OutcomeState,
    PauseJob,
    RunJob,
    SetFleet,
    Trigger,
)
from orchestrator.domain.limits import Curtailment, limits_now
from orchestrator.domain.market import Market, Price, PriceBook, PricePolicy, current_price
from orchestrator.domain.metering.metered import NO_METERS, Balance
from orchestrator.domain.observation import Quality, Reading
from orchestrator.domain.rack_mix import RackMix
from orchestrator.domain.site.gpus import GpuPool
from orchestrator.domain.site.machines import SLEEP, Fleet, Mode
from orchestrator.domain.site.policies import Controls, StalePolicies
from orchestrator.domain.site.pue import Cooling
from orchestrator.domain.site.site import Feeder, Grid, Site, Tenant
from orchestrator.domain.sla import SlaClass
from orchestrator.domain.snapshot import FleetStatus, JobStatus, PoolStatus, Power, Snapshot
from orchestrator.domain.target import Target
from orchestrator.domain.work import FleetView, Job, JobPhase, JobView
from orchestrator.explain.plan_view import PlanState
from orchestrator.ports import Memory, ObservationRecord, Record
from tests.api.fake_plan import make_plan

NOW = datetime(2023, 9, 6, 23, 5, 20, tzinfo=UTC)
PLANNED_AT = datetime(2023, 9, 6, 23, 0, tzinfo=UTC)
MIDNIGHT = datetime(2023, 9, 6, 5, 0, tzinfo=UTC)
"""Start of the site's day, Central time."""

Decided = tuple[Decision, tuple[Outcome, ...]]

_MODELS = (
    ("s21-xp", "Antminer S21 XP", 3645, 270.0, 30),
    ("s21", "Antminer S21", 3500, 200.0, 32),
    ("m60s", "Whatsminer M60S", 3441, 186.0, 24),
    ("s19xp", "Antminer S19 XP", 3010, 140.0, 20),
    ("s19j-pro", "Antminer S19j Pro", 3068, 104.0, 18),
)


def build_site(fleets: int = len(_MODELS)) -> Site:
    """A site of some 100 MW; more fleets than five repeat the models under numbered names."""
    return Site(
        name="Pecos Ridge",
        timezone="America/Chicago",
        grid=Grid(limit_kw=100_000.0, measurement_uncertainty=0.01),
        feeders=tuple(Feeder(f"feeder-{name}", limit_kw=32_000.0) for name in "abcd"),
        cooling=Cooling(((10.0, 1.03), (40.0, 1.12))),
        fleets=tuple(_fleet(number) for number in range(fleets)),
        pools=(
            GpuPool("h100", "NVIDIA H100 80GB HBM3", "feeder-d", 64, 8, 700.0, 200.0, 70.0, 1800.0),
            GpuPool("a100", "NVIDIA A100 80GB", "feeder-d", 40, 8, 400.0, 100.0, 50.0, 1200.0),
        ),
        tenants=(
            Tenant("acme-ai", SlaClass.GUARANTEED, 2.6, 1.0, 0),
            Tenant("genome-lab", SlaClass.FLEXIBLE, 1.7, 0.5, 2),
            Tenant("render-co", SlaClass.BEST_EFFORT, 0.9, 0.0, 12),
        ),
        stale=StalePolicies(
            price=PricePolicy(timedelta(minutes=20), 60.0),
            telemetry_max_age=timedelta(minutes=2),
            temperature_max_age=timedelta(hours=3),
            temperature_assume_c=40.0,
            hashprice_max_age=timedelta(days=2),
            hashprice_assume_usd_per_ph_day=55.0,
        ),
        controls=Controls(
            tick=timedelta(seconds=30),
            verify_within=timedelta(minutes=2),
            lease=timedelta(minutes=5),
            price_persistence=timedelta(minutes=30),
        ),
    )


class FakeStore:
    """Keeps what it is given in lists."""

    def __init__(self) -> None:
        self.decided: list[Decided] = []
        self.seen: list[ObservationRecord] = []
        self.broken: list[Breach] = []
        self.parked_lines: list[Posting] = []
        self.resolved: list[Resolution] = []

    def record(self, records: Sequence[Record]) -> None:
        raise AssertionError("the API must not write to the store")

    def restore(self, now: datetime) -> Memory:
        raise AssertionError("the API has no use for the controller's memory")

    def decisions(self, limit: int, before: str | None = None) -> Sequence[Decided]:
        newest_first = list(reversed(self.decided))
        ids = [decision.id for decision, _ in newest_first]
        start = 0 if before is None else ids.index(before) + 1
        return newest_first[start : start + limit]

    def decision(self, decision_id: str) -> Decided | None:
        return next((pair for pair in self.decided if pair[0].id == decision_id), None)

    def ledger(self, start: datetime, end: datetime) -> Sequence[Posting]:
        raise AssertionError("no route reads the ledger yet")

    def parked(self) -> Sequence[Posting]:
        return self.parked_lines

    def resolution(self, resolution_id: str) -> Resolution | None:
        raise AssertionError("the controller reads it, not the API")

    def resolutions(self, limit: int) -> Sequence[Resolution]:
        return self.resolved[:limit]

    def observations(self, start: datetime, end: datetime) -> Sequence[ObservationRecord]:
        return [record for record in self.seen if start <= record.at < end]

    def breaches(self, start: datetime, end: datetime) -> Sequence[Breach]:
        return [breach for breach in self.broken if start <= breach.opened_at < end or breach.resolved_at is None]


class FakeDesk:
    """Answers the API from `site` and `now`; `set_price`, `decide` and the like change what it answers and say so."""

    def __init__(self, fleets: int = len(_MODELS), jobs: int = 14, *, simulated: bool = True) -> None:
        self.site = build_site(fleets)
        self.store = FakeStore()
        self.hub = EventHub()
        self.metrics_registry = CollectorRegistry()
        Gauge("wattshift_price_usd_per_mwh", "Price now", registry=self.metrics_registry).set(38.2)
        self.now = NOW
        self.simulated = simulated
        self.pushed_source = True
        self.going = Readiness("loop", True, "the last round ended 0.4 s ago")
        self.checks = [Readiness("price", True, "real-time, 5 min old"), Readiness("telemetry", True, "232 of 232")]
        self.orders: list[Curtailment] = []
        self.book = PriceBook.of(_day_of_prices())
        self.stale: tuple[str, ...] = ()
        self.meters = NO_METERS
        self.balances: dict[str, Balance] = {}
        self.changed: Callable[[Snapshot], Snapshot] = lambda snapshot: snapshot
        """What a test makes of a snapshot before it is handed out."""
        self.observed = True
        self.share = 1.0
        """Share of the racks that are awake."""
        self._jobs = [_job(self.site, number) for number in range(jobs)]
        self.estimated: set[str] = set()
        """Jobs that serve no progress."""
        self.ended: list[tuple[JobView, JobRecord | None]] = []
        self._why = {Target.fleet(fleet.name): _fleet_reason(fleet) for fleet in self.site.fleets}
        self._why |= {Target.job(job.job.name): "runs: earns 412 USD/MWh, energy costs 38" for job in self._jobs}
        self._why[Target.job(self._jobs[-1].job.name)] = "<b>waits</b>: best-effort, 0 of 8 GPUs free" if jobs else ""
        self.planned = PlanState(make_plan(self.site, {job.job.name: job for job in self._jobs}, PLANNED_AT))
        self.store.seen = [_observation(self, minutes) for minutes in range(-18 * 60, 1, 5)]

    # what the API asks

    def clock_info(self) -> ClockInfo:
        speed = 60.0 if self.simulated else 1.0
        day = (MIDNIGHT, MIDNIGHT + timedelta(days=1)) if self.simulated else (None, None)
        return ClockInfo(self.now, speed, self.simulated, *day)

    def reasons(self) -> dict[Target, str]:
        return self._why

    def plan(self) -> PlanState:
        return self.planned

    def ended_jobs(self) -> Sequence[tuple[JobView, JobRecord | None]]:
        return self.ended

    def curtailments(self) -> Sequence[Curtailment]:
        return self.orders

    async def curtail(self, asked: AskedOrder) -> Curtailment:
        if asked.shed_kw is not None and not self.observed:
            raise DeskRefusalError("there is no measured power to shed from; give limit_kw")
        limit_kw = asked.limit_kw
        if limit_kw is None:
            limit_kw = self._power().at(asked.at) - (asked.shed_kw or 0.0)
        order = Curtailment(
            id=f"c-{len(self.orders) + 1}",
            at=asked.at,
            limit_kw=limit_kw,
            shed_kw=asked.shed_kw,
            start=self.now,
            until=asked.until,
            response=timedelta(minutes=2),
            reason=asked.reason,
            source=asked.source,
        )
        self.orders.append(order)
        self.share = min(self.share, max(limit_kw - 16_000.0, 0.0) / 70_000.0)
        self._publish("curtailment")
        return order

    async def cancel(self, curtailment_id: str) -> bool:
        for index, order in enumerate(self.orders):
            if order.id == curtailment_id and order.cancelled_at is None:
                self.orders[index] = replace(order, cancelled_at=self.now)
                self._publish("curtailment")
                return True
        return False

    async def account_for(self, asked: Asked, seen: float | None) -> Resolution:
        raise DeskRefusalError(f"nothing is parked of {asked.meter!r}")

    async def push_prices(self, prices: Sequence[Price]) -> int:
        if not self.pushed_source:
            raise DeskRefusalError("the site's prices come from a file; its site file names no pushed source")
        self.book = PriceBook.of((*self.book.real_time, *self.book.day_ahead, *prices))
        self._publish("price")
        return len(prices)

    def loop(self) -> Readiness:
        return self.going

    def readiness(self) -> Sequence[Readiness]:
        return self.checks

    def events(self) -> AsyncIterator[Event]:
        return self.hub.subscribe()

    def snapshot(self) -> Snapshot | None:
        if not self.observed:
            return None
        power = self._power()
        snapshot = Snapshot(
            at=self.now,
            price=current_price(self.book, self.now, self.site.stale.price),
            book=self.book,
            hashprice=Reading(62.0, "USD/PH/day", self.now, Quality.FRESH),
            outdoor=Reading(39.5, "degC", self.now, Quality.FRESH),
            pue=1.118,
            power=power,
            measured=power,
            limits=limits_now(self.site, self.orders, self.now),
            fleets={fleet.name: self._fleet_status(fleet) for fleet in self.site.fleets},
            pools={pool.name: PoolStatus(pool, 700.0, 380.0, 400.0, frozenset()) for pool in self.site.pools},
            jobs={
                status.job.name: replace(status, estimated=status.job.name in self.estimated) for status in self._jobs
            },
            curtailments=tuple(self.orders),
            breaches=tuple(breach for breach in self.store.broken if breach.resolved_at is None),
            stale=self.stale,
            interruptions_last_hour={},
            suspect=self.meters.suspect,
            meters=self.meters,
            balances=self.balances,
        )
        return self.changed(snapshot)

    # what tests do to it

    def set_price(self, usd_per_mwh: float) -> None:
        """A new real-time price for the interval of now, and word of it."""
        start = self.now.replace(minute=self.now.minute // 15 * 15, second=0)
        price = Price(start, start + timedelta(minutes=15), usd_per_mwh, Market.REAL_TIME)
        self.book = PriceBook.of((*self.book.real_time, *self.book.day_ahead, price))
        self._publish("price")

    def observe(self, share: float, minutes: float = 1.0) -> None:
        """Time goes on and `share` of the racks are awake."""
        self.now += timedelta(minutes=minutes)
        self.share = share
        self.store.seen.append(_observation(self, 0))
        self._publish("observation")

    def plan_again(self, planned: PlanState) -> None:
        """Planning came to `planned`, between two observations."""
        self.planned = planned
        self._publish("plan")

    def decide(self, decided: Decided) -> None:
        self.store.decided = [pair for pair in self.store.decided if pair[0].id != decided[0].id] + [decided]
        self._publish("decision", id=decided[0].id)

    def _publish(self, name: str, **data: object) -> None:
        self.hub.publish(Event(name, data, f"{name}-{self.now.timestamp():.0f}"))

    def _power(self) -> Power:
        mining = sum(self._fleet_status(fleet).counted_kw for fleet in self.site.fleets)
        hpc = 640.0
        overhead = (mining + hpc) * 0.118
        grid = mining + hpc + overhead
        return Power(
            grid, mining, hpc, overhead, {f.name: grid * s for f, s in zip(self.site.feeders, _SPLIT, strict=True)}
        )

    def _fleet_status(self, fleet: Fleet) -> FleetStatus:
        awake = round(fleet.racks * self.share)
        racks = RackMix({"normal": awake - awake // 8, "eco": awake // 8, SLEEP: fleet.racks - awake})
        kw = sum(count * fleet.rack_kw(mode) for mode, count in racks.items())
        phs = sum(
            count * fleet.machines_per_rack * fleet.mode(mode).hashrate_ths / 1000.0
            for mode, count in racks.items()
            if mode != SLEEP
        )
        up, down = NOW - timedelta(hours=2), NOW - timedelta(hours=3)
        view = FleetView(fleet.name, racks, {}, up, down, last_wake_at=up, last_sleep_at=down)
        return FleetStatus(fleet, view, kw * 0.99, kw, 0.99, phs * 0.98, frozenset(), frozenset())


_SPLIT = (0.3, 0.28, 0.24, 0.18)


def a_decision(desk: FakeDesk, number: int, *, settled: bool = True) -> Decided:
    """Fleets put to sleep and a job paused for a price; `settled` says whether the meter has shown it."""
    at = desk.now - timedelta(minutes=max(12 - number, 0) * 7)
    fleet = desk.site.fleets[number % len(desk.site.fleets)]
    job = desk._jobs[number % len(desk._jobs)].job.name
    price = 312.4 + 40 * number
    decision_id = f"d-{number:04d}"
    actions = (
        Action(
            f"{decision_id}/1",
            SetFleet(fleet.name, RackMix({"normal": 4, SLEEP: fleet.racks - 4})),
            Direction.DOWN,
            f"{fleet.model} asleep: power {price:.0f} USD/MWh is worth more than its hash at 71",
            -9_840.0,
        ),
        Action(
            f"{decision_id}/2",
            PauseJob(job) if number % 2 == 0 else RunJob(job),
            Direction.DOWN if number % 2 == 0 else Direction.UP,
            f"{job}: earns 412 USD/MWh and restarts in 4 min",
            -44.0 if number % 2 == 0 else 44.0,
        ),
    )
    decision = Decision(
        id=decision_id,
        at=at,
        trigger=Trigger.PRICE,
        trigger_at=at - timedelta(seconds=1),
        summary=f"{fleet.model} down 9.8 MW for a price of {price:.0f} USD/MWh",
        price_usd_per_mwh=price,
        price_basis="real_time",
        hashprice_usd_per_ph_day=62.0,
        pue=1.118,
        measured_kw=88_120.0,
        limit_kw=100_000.0,
        binding=("grid connection",),
        margin_usd_per_h=2410.5,
        actions=actions,
        alternatives=("pause acme-ai/train-1: guaranteed, not at any price",),
        inputs={"outdoor_c": 39.5},
    )
    sent, acknowledged = at + timedelta(milliseconds=200), at + timedelta(milliseconds=850)
    outcomes = [
        Outcome(f"{decision_id}/1", OutcomeState.MEASURED, sent, acknowledged, at + timedelta(seconds=21)),
        Outcome(f"{decision_id}/2", OutcomeState.ACKNOWLEDGED, sent, acknowledged),
    ]
    if not settled:
        outcomes = [Outcome(f"{decision_id}/1", OutcomeState.SENT, sent)]
    return decision, tuple(outcomes)


def _fleet(number: int) -> Fleet:
    name, model, watts, ths, racks = _MODELS[number % len(_MODELS)]
    round_number = number // len(_MODELS)
    return Fleet(
        name=name if round_number == 0 else f"{name}-{round_number}",
        model=model,
        feeder=f"feeder-{'abcd'[number % 4]}",
        racks=racks,
        machines_per_rack=168,
        modes=(Mode("eco", watts * 0.8, ths * 0.86), Mode("normal", watts, ths)),
        default_mode="normal",
        sleep_w=15.0,
        warm_up=timedelta(minutes=8),
        min_on=timedelta(minutes=15),
        min_off=timedelta(minutes=15),
    )


def _fleet_reason(fleet: Fleet) -> str:
    mode = fleet.mode(fleet.default_mode)
    worth = 62.0 * 1000 / 24 / (mode.efficiency_j_per_th * 1.118)
    return f"{fleet.model} awake: its hash is worth {worth:.0f} USD/MWh, power costs 38"


def _job(site: Site, number: int) -> JobStatus:
    tenant = site.tenants[number % 3]
    phase = JobPhase.RUNNING if number % 5 < 3 else (JobPhase.PAUSED, JobPhase.WAITING)[number % 2]
    gpus = (8, 64, 16, 32)[number % 4]
    job = Job(
        name=f"{('train', 'align', 'render')[number % 3]}-{number}",
        tenant=tenant.name,
        pool="h100" if number % 2 == 0 else "a100",
        gpus=gpus,
        work_gpu_seconds=gpus * 3600.0 * (4 + number % 7),
        submitted_at=MIDNIGHT + timedelta(minutes=number % 600),
        deadline=None if tenant.sla is SlaClass.BEST_EFFORT else NOW + timedelta(hours=3 + number % 9),
        checkpoint_every=timedelta(minutes=10),
        restart=timedelta(minutes=4),
    )
    done = 0.0 if phase is JobPhase.WAITING else job.work_gpu_seconds * ((number * 37) % 97) / 100.0
    starts = 0 if phase is JobPhase.WAITING else 1 + number % 2
    view = JobView(job, phase, NOW - timedelta(minutes=40), starts, timedelta(hours=2))
    return JobStatus(job, view, tenant, done, done * 0.98, max(starts - 1, 0))


def _day_of_prices() -> list[Price]:
    prices = []
    for quarter in range(96):
        start = MIDNIGHT + timedelta(minutes=15 * quarter)
        hour = quarter / 4
        usual = 24 + 9 * math.sin((hour - 9) / 24 * 2 * math.pi) + 6 * math.sin(quarter * 1.7)
        spike = 420 * math.exp(-(((hour - 17.2) / 0.55) ** 2))
        if start <= NOW:
            prices.append(Price(start, start + timedelta(minutes=15), round(usual + spike, 2), Market.REAL_TIME))
        if quarter % 4 == 0:
            ahead = usual + 130 * math.exp(-(((hour - 18.5) / 2) ** 2))
            prices.append(Price(start, start + timedelta(hours=1), round(ahead, 2), Market.DAY_AHEAD))
    return prices


def _observation(desk: FakeDesk, minutes: int) -> ObservationRecord:
    at = desk.now + timedelta(minutes=minutes)
    power = desk._power()
    dip = 1.0 - 0.72 * math.exp(-(((minutes + 55) / 24) ** 4)) + 0.006 * math.sin(minutes * 1.3)
    mining, hpc = power.mining_kw * (dip if minutes else 1.0), power.hpc_kw
    overhead = (mining + hpc) * 0.118
    return ObservationRecord(
        at=at,
        price_usd_per_mwh=38.0,
        price_basis="real_time",
        grid_kw=mining + hpc + overhead,
        mining_kw=mining,
        hpc_kw=hpc,
        overhead_kw=overhead,
        limit_kw=desk.site.grid.limit_kw,
        above_limit_s=0.0,
        feeder_kw=(),
        stale=(),
    )
