"""A running site: the controller on its clock, woken by `wake_ups.py`, the API looking in."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from prometheus_client import CollectorRegistry

from orchestrator.accounting.billing import JobRecord
from orchestrator.accounting.settlement import Asked
from orchestrator.accounting.unaccounted import Resolution, ResolutionError
from orchestrator.adapters.prices.pushed import PushedPrices
from orchestrator.adapters.prices.replayed import ReplayedPrices
from orchestrator.adapters.store import StoreAheadError, StoreInUseError
from orchestrator.adapters.telemetry.latest import LatestMetrics
from orchestrator.api.desk import AskedOrder, ClockInfo, DeskRefusalError, Event, Readiness
from orchestrator.api.recorded_events import events_of, plan_event
from orchestrator.api.routes.events import EventHub
from orchestrator.clock import SiteClock
from orchestrator.controller import Controller, Doors
from orchestrator.controller.planner import Planner, planned
from orchestrator.domain.decision import Trigger
from orchestrator.domain.limits import Curtailment
from orchestrator.domain.market import Price
from orchestrator.domain.site.site import Site
from orchestrator.domain.snapshot import Snapshot
from orchestrator.domain.target import Target
from orchestrator.domain.work import JobView
from orchestrator.explain.plan_view import PlanState
from orchestrator.ports import Record, Store, WorkloadDriver
from orchestrator.runtime import readiness
from orchestrator.runtime.demo.simulated_tenants import SimulatedTenants
from orchestrator.runtime.feeds import Sources
from orchestrator.runtime.memory import give_back
from orchestrator.runtime.observability.metrics import SiteMetrics
from orchestrator.runtime.observability.record_log import RecordLog
from orchestrator.runtime.observability.tracing import both, traces_of
from orchestrator.runtime.orders import new_order
from orchestrator.runtime.plan_worker import PlanWorker
from orchestrator.runtime.wake_ups import WakeUps

if TYPE_CHECKING:
    from orchestrator.runtime.observability.spans import Spans

log = logging.getLogger(__name__)

GIVE_BACK_S = 60.0
"""On the wall: how often memory that a plan or a thousand moves have left behind is given back, on a thread."""


@dataclass(frozen=True, slots=True)
class ReplayedDay:
    """The day that is played on simulated time."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Simulated:
    """What only a simulated site has; nothing of it, the site is real."""

    jobs: SimulatedTenants | None = None
    """That its tenants hand in."""
    day: ReplayedDay | None = None


class LiveSite:
    """The controller with its schedule. It is the desk of `orchestrator.api.desk`."""

    def __init__(
        self,
        site: Site,
        clock: SiteClock,
        sources: Sources,
        workloads: WorkloadDriver,
        store: Store,
        simulated: Simulated = Simulated(),
        *,
        on_record: Callable[[Record], None] = lambda record: None,
        spans: "Spans | None" = None,
    ) -> None:
        self.site = site
        self.store = store
        self._clock = clock
        self._prices = prices = sources.prices
        self._jobs, self._day = simulated.jobs, simulated.day
        self._on_record = on_record
        self._log_record = RecordLog()
        self._traces = traces_of(spans, clock, store) if spans is not None else None
        self._latest = LatestMetrics(sources.metrics)
        self._round = asyncio.Lock()
        self._deciding = asyncio.Lock()
        self._events = EventHub()
        self._metrics = SiteMetrics(site, self.now, simulated=self._day is not None, speed=clock.speed)
        self._wake_ups = WakeUps(clock, site.controls.tick, prices, look=self._look, on_price=self._on_price)
        self._planner = Planner(site)
        self._ticked_at: float | None = None
        self._looked_at: float | None = None
        self._halted = False
        self.ousted = asyncio.Event()
        """The store takes nothing more: another controller has it, or its state has to be read again."""
        self._controller = Controller(
            site,
            Doors(
                prices=prices,
                hashprice=sources.series.hashprice,
                weather=sources.series.weather,
                metrics=self._latest,
                workloads=self._metrics.timed(workloads),
                store=store,
            ),
            now=self.now(),
            policy=planned(self._planner),
            publish=self._publish,
            watch=both(self._metrics.rounds, self._traces) if self._traces is not None else self._metrics.rounds,
        )
        self._metrics.watch(self._controller, self.plan)
        self._plans = PlanWorker(self._planner, self._controller.past, lambda: self._events.publish(plan_event()))
        if not isinstance(prices, ReplayedPrices):
            recorded = self._controller.recorded_prices
            prices.recall((*recorded.real_time, *recorded.day_ahead), self.now())

    def now(self) -> datetime:
        return self._clock.at(time.time())

    # --- going round ---------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to go round."""
        self._wake_ups.schedule.every_on_a_thread("memory", GIVE_BACK_S, give_back)
        self._looked_at = time.monotonic()
        self._wake_ups.start()

    async def pause(self) -> None:
        """Tick no more, and settle to the last joule."""
        self._wake_ups.schedule.pause()
        async with self._round, self._deciding:  # what is under way is let finish
            self._wake_ups.schedule.end()
        await self._latest.refresh(self.now())
        await self._controller.tick(self.now(), final=True)

    async def halt(self) -> None:
        """Tick no more and settle nothing: somebody else controls the site now.

        A round under way is cut off wherever it waits, as by a kill, and whoever follows closes what it left open.
        """
        self._halted = True
        await self._wake_ups.schedule.cut_off()
        async with self._round, self._deciding:  # what was cut off has let go
            pass

    def close(self) -> None:
        """Let everyone go who listens."""
        self._plans.close()
        self._events.close()

    async def _look(self) -> None:
        """Read the meters, then go round."""
        async with self._round:
            try:
                await self._latest.refresh(self.now())
                await self._tick()
            finally:
                self._looked_at = time.monotonic()

    async def _tick(self, trigger: Trigger = Trigger.TICK) -> None:
        async with self._deciding:
            if self._halted:
                return
            if self._jobs is not None:
                self._jobs.submit_due(self.now())
            try:
                await self._controller.tick(self.now(), trigger)
                self._ticked_at = time.monotonic()
            except (StoreInUseError, StoreAheadError) as error:
                log.error("this controller's record is not the site's any more: %s", error)
                self.ousted.set()
            except Exception:
                # The next round starts from the doors again; /readyz shows that this one is missing.
                log.exception("a round of the control loop failed")
        self._look_soon()
        if self._wake_ups.schedule.running and self._controller.snapshot is not None:
            self._plans.consider(self._controller.snapshot)

    async def _on_price(self) -> None:
        await self._tick(Trigger.PRICE)

    def _look_soon(self) -> None:
        """While an action is under way the meter is read again before the next tick."""
        if self._controller.unsettled:
            self._wake_ups.look_soon()

    def _publish(self, records: Sequence[Record]) -> None:
        self._metrics.count(records)
        for record in records:
            self._log_record(record)
            self._on_record(record)
        if self._traces is not None:
            self._traces.records(records)
        for event in events_of(records):
            self._events.publish(event)

    # --- the desk ------------------------------------------------------------------------------------------------

    @property
    def metrics_registry(self) -> CollectorRegistry:
        return self._metrics.registry

    def clock_info(self) -> ClockInfo:
        return ClockInfo(
            now=self.now(),
            speed=self._clock.speed,
            simulated=self._day is not None,
            day_start=self._day.start if self._day is not None else None,
            day_end=self._day.end if self._day is not None else None,
        )

    def snapshot(self) -> Snapshot | None:
        return self._controller.snapshot

    def reasons(self) -> Mapping[Target, str]:
        return self._controller.reasons

    def plan(self) -> PlanState:
        return self._planner.state

    def ended_jobs(self) -> Sequence[tuple[JobView, JobRecord | None]]:
        workloads = self._controller.workloads
        views = workloads.jobs.values() if workloads is not None else ()
        return [(view, self._controller.job_record(view.job.name)) for view in views if view.phase.ended]

    def curtailments(self) -> Sequence[Curtailment]:
        return self._controller.curtailments

    async def curtail(self, asked: AskedOrder) -> Curtailment:
        order = new_order(self.site, self._controller.snapshot, asked, self.now())
        await self._controller.curtail(order)
        self._look_soon()
        return order

    async def cancel(self, curtailment_id: str) -> bool:
        return await self._controller.cancel(curtailment_id, self.now())

    async def account_for(self, asked: Asked, seen: float | None) -> Resolution:
        try:
            return await self._controller.account_for(asked, seen)
        except ResolutionError as error:
            raise DeskRefusalError(str(error)) from error

    async def push_prices(self, prices: Sequence[Price]) -> int:
        if not isinstance(self._prices, PushedPrices):
            raise DeskRefusalError("this site's prices are not pushed; its site file names another source")
        changes = self._prices.accept(prices, self.now())
        await self._on_price()
        return len(prices) - changes.out_of_range

    def loop(self) -> Readiness:
        ticking = self._looked_at is not None and self._wake_ups.schedule.running
        return readiness.of_loop(_age_s(self._looked_at) if ticking else None, self._tick_wall_s)

    def readiness(self) -> Sequence[Readiness]:
        controller = self._controller
        return readiness.of_site(
            controller.snapshot,
            _age_s(self._ticked_at),
            self._tick_wall_s,
            ZoneInfo(self.site.timezone),
            synced=controller.synced,
        )

    @property
    def _tick_wall_s(self) -> float:
        return self._clock.wall_seconds(self.site.controls.tick)

    def events(self) -> AsyncIterator[Event]:
        return self._events.subscribe()


def _age_s(moment: float | None) -> float | None:
    """Of a moment of the monotonic clock."""
    return time.monotonic() - moment if moment is not None else None
