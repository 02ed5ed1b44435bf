"""One loop: observe, decide, act, verify, record.

The controller holds no truth of its own: what runs is the driver's, what was decided and earned is the store's. It
can be killed at any moment and made again from the two.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from orchestrator.domain.contracts import JobRecord, interrupted, interruption_credit, new_record, settle
from orchestrator.domain.decision import (
    Action,
    Breach,
    BreachKind,
    BreachState,
    Decision,
    Direction,
    Outcome,
    OutcomeState,
    PauseJob,
    Trigger,
)
from orchestrator.domain.ledger import MeterMark
from orchestrator.domain.limits import Curtailment, limits_due
from orchestrator.domain.metering import meter
from orchestrator.domain.observation import Metric, Telemetry
from orchestrator.domain.site import Site
from orchestrator.domain.snapshot import Snapshot
from orchestrator.domain.work import JobPhase, JobView, Workloads
from orchestrator.planning.assess import Inputs, assess
from orchestrator.planning.decide import decide
from orchestrator.planning.dispatch import Desired, dispatch
from orchestrator.planning.moves import plan_moves
from orchestrator.planning.verify import Pending, above_caps, breaches_now, check, follow, power_before
from orchestrator.ports import (
    MetricSource,
    ObservationRecord,
    PriceSource,
    Record,
    SeriesSource,
    Store,
    WorkloadDriver,
)

log = logging.getLogger(__name__)

SETTLE_EVERY = timedelta(minutes=5)
"""Counters lose nothing between two postings; ERCOT's dispatch runs at this pace too."""

Policy = Callable[[Site, Snapshot], Desired]
Publish = Callable[[Sequence[Record]], None]
"""Told of each transaction once it is on disk."""


@dataclass(frozen=True, slots=True)
class Doors:
    """The adapters a controller works through."""

    prices: PriceSource
    hashprice: SeriesSource
    weather: SeriesSource
    metrics: MetricSource
    workloads: WorkloadDriver
    store: Store


class Controller:
    """Call `tick` as often as wanted; what happens depends only on `now` and on what the doors say."""

    def __init__(
        self, site: Site, doors: Doors, *, now: datetime, policy: Policy = dispatch, publish: Publish | None = None
    ) -> None:
        self.site = site
        self.doors = doors
        self.snapshot: Snapshot | None = None
        self.workloads: Workloads | None = None
        self.reasons: Mapping[str, str] = {}
        self.waiting: tuple[str, ...] = ()
        self._policy = policy
        self._publish = publish or (lambda records: None)
        self._lock = asyncio.Lock()
        self._started_at = now
        memory = doors.store.restore(now)
        self._curtailments: dict[str, Curtailment] = {order.id: order for order in memory.curtailments}
        self._breaches: dict[tuple[BreachKind, str], Breach] = {
            (breach.kind, breach.subject): breach for breach in memory.breaches
        }
        self._marks: dict[tuple[Metric, str], MeterMark] = {(mark.metric, mark.subject): mark for mark in memory.marks}
        self._jobs: dict[str, JobRecord] = {record.job: record for record in memory.jobs}
        self._pending: dict[str, Pending] = {}
        self._late: dict[str, Pending] = {}
        self._unsettled = memory.unsettled
        self._last = memory.last_observation
        self._last_price: tuple[datetime, float] | None = None
        self._settled: tuple[datetime, datetime, float] | None = None

    @property
    def unsettled(self) -> bool:
        """Actions wait to be seen in the meter: look again soon."""
        return bool(self._pending)

    @property
    def curtailments(self) -> tuple[Curtailment, ...]:
        """Orders not yet over, cancelled ones among them."""
        return tuple(self._curtailments.values())

    def job_record(self, job: str) -> JobRecord | None:
        return self._jobs.get(job)

    async def tick(self, now: datetime, trigger: Trigger = Trigger.TICK, *, final: bool = False) -> Decision | None:
        """One round of the loop; returns the decision if something was decided.

        A final one settles to the last joule. Time never goes back: an earlier `now` is taken as the last round's.
        """
        async with self._lock:
            return await self._tick(now, trigger, final=final)

    async def curtail(self, order: Curtailment) -> Decision | None:
        """Keep an order and act on it at once. It is on disk before anything moves."""
        async with self._lock:
            self._keep(order)
            return await self._tick(order.start, Trigger.CURTAILMENT)

    async def cancel(self, curtailment_id: str, now: datetime) -> bool:
        """End an order early; False if there is none of that id in force."""
        async with self._lock:
            order = self._curtailments.get(curtailment_id)
            if order is None or not order.in_force(now):
                return False
            self._keep(replace(order, cancelled_at=now))
            await self._tick(now, Trigger.CURTAILMENT)
            return True

    def _keep(self, order: Curtailment) -> None:
        self._curtailments[order.id] = order
        self._record([order])

    def _record(self, records: Sequence[Record]) -> None:
        self.doors.store.record(records)
        self._publish(records)

    # --- observe -------------------------------------------------------------------------------------------------

    async def _tick(self, now: datetime, trigger: Trigger, *, final: bool = False) -> Decision | None:
        doors = self.doors
        now = max(now, self._last.at) if self._last is not None else now
        book, hashprice, outdoor, telemetry, workloads = await asyncio.gather(
            doors.prices.read(now),
            doors.hashprice.read(now),
            doors.weather.read(now),
            doors.metrics.read(now),
            doors.workloads.observe(now),
        )
        if not workloads.synced:
            return None  # never act on a view that may be old
        self._curtailments = {key: order for key, order in self._curtailments.items() if order.until > now}
        inputs = Inputs(
            book=book,
            hashprice=hashprice,
            outdoor=outdoor,
            telemetry=telemetry,
            workloads=workloads,
            curtailments=tuple(self._curtailments.values()),
            breaches=tuple(self._breaches.values()),
            job_records=self._jobs,
            draw_shares={name: status.draw_share for name, status in self.snapshot.fleets.items()}
            if self.snapshot is not None
            else {},
        )
        snapshot = assess(self.site, inputs, now)
        records: list[Record] = [
            *self._settle_restart(workloads, now),
            *self._verify(snapshot),
            *self._count_interruptions(workloads, now),
            *(self._settle(snapshot, workloads, telemetry) if final or self._settlement_due(snapshot) else []),
            self._observation(snapshot),
        ]
        trigger, trigger_at = self._trigger(snapshot, trigger)
        desired = self._policy(self.site, snapshot)
        records.extend(self._follow_breaches(snapshot, desired))
        moves = plan_moves(self.site, snapshot, desired)
        decision = decide(snapshot, desired, moves, trigger, trigger_at)
        if decision is not None:
            records.append(decision)
        self._record(records)
        self.snapshot, self.workloads = replace(snapshot, breaches=tuple(self._breaches.values())), workloads
        self.reasons, self.waiting = desired.reasons, moves.waiting
        if decision is not None:
            await self._act(decision, snapshot, workloads)
        await doors.workloads.renew(now + self.site.controls.lease, now)
        return decision

    def _trigger(self, snapshot: Snapshot, trigger: Trigger) -> tuple[Trigger, datetime]:
        """A tick that brings a new price is triggered by it, from when the price's interval began or it came in."""
        now, price = snapshot.at, snapshot.price
        seen = (price.interval_start, price.usd_per_mwh)
        before, self._last_price = self._last_price, seen
        last_at = self._last.at if self._last is not None else now
        if before is None:
            return (Trigger.START if trigger is Trigger.TICK else trigger), now
        if trigger in (Trigger.TICK, Trigger.PRICE) and seen != before:
            return Trigger.PRICE, max(price.interval_start, last_at) if price.interval_start <= now else now
        return trigger, now

    # --- verify --------------------------------------------------------------------------------------------------

    def _settle_restart(self, workloads: Workloads, now: datetime) -> list[Record]:
        """Once after a start: actions of the run before whose end is unknown are closed.

        Moves are absolute and the driver's view is the truth, so nothing is sent again: the next decision starts
        from what is. A pause that went out unrecorded still counts as an interruption.
        """
        closed: list[Record] = []
        for decision, outcomes in self._unsettled:
            known = {outcome.action_id: outcome for outcome in outcomes}
            for action in decision.actions:
                outcome = known.get(action.id) or Outcome(action_id=action.id, state=OutcomeState.SENT)
                if outcome.state not in (OutcomeState.SENT, OutcomeState.ACKNOWLEDGED):
                    continue
                detail = "the controller was restarted before it was measured"
                closed.append(replace(outcome, state=OutcomeState.SUPERSEDED, detail=detail))
                view = workloads.jobs.get(action.move.job) if isinstance(action.move, PauseJob) else None
                if view is not None and action.id not in known and view.phase in (JobPhase.STOPPING, JobPhase.PAUSED):
                    record = interrupted(self._jobs.get(view.job.name) or new_record(view), now)
                    self._jobs[view.job.name] = record
                    closed.append(record)
        self._unsettled = ()
        return closed

    def _verify(self, snapshot: Snapshot) -> list[Record]:
        outcomes: list[Record] = []
        within = self.site.controls.verify_within
        for target, pending in list(self._pending.items()):
            outcome = check(pending, snapshot, within)
            if outcome.state is OutcomeState.MEASURED:
                del self._pending[target]
            elif outcome.state is OutcomeState.LATE:
                del self._pending[target]
                if pending.action.direction is Direction.DOWN:
                    self._late[target] = replace(pending, outcome=outcome)
            else:
                continue
            outcomes.append(outcome)
        for target, pending in list(self._late.items()):
            if check(pending, snapshot, within).state is OutcomeState.MEASURED:
                del self._late[target]
        return outcomes

    def _follow_breaches(self, snapshot: Snapshot, desired: Desired) -> Sequence[Breach]:
        due = limits_due(self.site, self._curtailments.values(), snapshot.at)
        late = {target: pending.outcome.detail for target, pending in self._late.items()}
        broken = breaches_now(self.site, snapshot, due, late, desired.shortfall_kw, self._started_at)
        changed = follow(self._breaches.values(), broken, snapshot.at, self.site.controls.verify_within)
        for breach in changed:
            key = (breach.kind, breach.subject)
            if breach.state is BreachState.RESOLVED:
                self._breaches.pop(key, None)
            else:
                self._breaches[key] = breach
        return changed

    # --- settle --------------------------------------------------------------------------------------------------

    def _settlement_due(self, snapshot: Snapshot) -> bool:
        """Every few minutes, and at each change of price, so that no energy is shared out over the change."""
        settled = self._settled
        if settled is None:
            return True
        at, interval_start, usd_per_mwh = settled
        price = snapshot.price
        changed = (price.interval_start, price.usd_per_mwh) != (interval_start, usd_per_mwh)
        return changed or snapshot.at - at >= SETTLE_EVERY

    def _settle(self, snapshot: Snapshot, workloads: Workloads, telemetry: Telemetry) -> list[Record]:
        """Post what the counters advanced since they were last posted: energy, hash, GPU-hours, credits."""
        self._settled = (snapshot.at, snapshot.price.interval_start, snapshot.price.usd_per_mwh)
        hashprice = snapshot.hashprice.value
        assert hashprice is not None, "the stale policy gives a hashprice"
        postings, marks = meter(
            self.site,
            telemetry,
            self._marks,
            snapshot.book,
            pue=snapshot.pue,
            hashprice_usd_per_ph_day=hashprice,
        )
        self._marks.update({(mark.metric, mark.subject): mark for mark in marks})
        records: list[Record] = [*postings, *marks]
        for name, view in workloads.jobs.items():
            record = self._jobs.get(name)
            if record is not None and record.outcome != "open" and view.phase.ended:
                continue
            before = record
            record = record or new_record(view)
            progress = telemetry.get(Metric.JOB_PROGRESS, name).value
            tenant = self.site.tenant(view.job.tenant)
            record, job_postings = settle(view, tenant, record, progress, snapshot.price, snapshot.at)
            records.extend(job_postings)
            if record != before:
                self._jobs[name] = record
                records.append(record)
        return records

    def _count_interruptions(self, workloads: Workloads, now: datetime) -> list[Record]:
        """Jobs that were running and are paused without our asking were interrupted by something else."""
        if self.workloads is None:
            return []
        records: list[Record] = []
        for name, view in workloads.jobs.items():
            was = self.workloads.jobs.get(name)
            if was is None or was.phase is not JobPhase.RUNNING:
                continue
            if view.phase not in (JobPhase.STOPPING, JobPhase.PAUSED):
                continue
            record = self._jobs.get(name) or new_record(view)
            if record.last_interrupted_at is None or record.last_interrupted_at < self.workloads.at:
                self._jobs[name] = interrupted(record, now)
                records.append(self._jobs[name])
        return records

    def _observation(self, snapshot: Snapshot) -> ObservationRecord:
        measured, now = snapshot.measured, snapshot.at
        due = limits_due(self.site, self._curtailments.values(), now)
        since = now - self._last.at if self._last is not None else timedelta(0)
        # Across a restart nothing was measured, so no more than the age of a usable reading is claimed.
        since_s = min(since, max(self.site.stale.telemetry_max_age, self.site.controls.tick)).total_seconds()
        observation = ObservationRecord(
            at=now,
            price_usd_per_mwh=snapshot.price.usd_per_mwh,
            price_basis=snapshot.price.basis,
            grid_kw=measured.grid_kw,
            mining_kw=measured.mining_kw,
            hpc_kw=measured.hpc_kw,
            overhead_kw=measured.overhead_kw,
            limit_kw=snapshot.limits.grid.limit_kw,
            above_limit_s=since_s if above_caps(snapshot, due) else 0.0,
            feeder_kw=tuple(measured.feeders_kw.items()),
            stale=snapshot.stale,
        )
        self._last = observation
        return observation

    # --- act ------------------------------------------------------------------------------------------------------

    async def _act(self, decision: Decision, snapshot: Snapshot, workloads: Workloads) -> None:
        """Send the power-downs, all together, then the power-ups that had room without them."""
        for direction in (Direction.DOWN, Direction.UP):
            actions = [action for action in decision.actions if action.direction is direction]
            await asyncio.gather(*(self._send(action, decision, snapshot, workloads) for action in actions))

    async def _send(self, action: Action, decision: Decision, snapshot: Snapshot, workloads: Workloads) -> None:
        ack = await self.doors.workloads.apply(action.move, action.reason, decision.at)
        outcome = Outcome(
            action_id=action.id,
            state=OutcomeState.ACKNOWLEDGED if ack.accepted else OutcomeState.REFUSED,
            sent_at=decision.at,
            acknowledged_at=ack.at if ack.accepted else None,
            detail=ack.detail,
        )
        records: list[Record] = [outcome]
        target = action.move.target
        superseded = self._pending.pop(target, None)
        if superseded is not None:
            records.append(replace(superseded.outcome, state=OutcomeState.SUPERSEDED, detail=f"by {action.id}"))
        if ack.accepted:
            self._late.pop(target, None)
            self._pending[target] = Pending(action, outcome, power_before(action, snapshot))
            if isinstance(action.move, PauseJob):
                records.extend(self._interrupt(workloads.jobs[action.move.job], snapshot))
        else:
            log.warning("%s refused: %s", target, ack.detail)
        self._record(records)

    def _interrupt(self, view: JobView, snapshot: Snapshot) -> list[Record]:
        record = interrupted(self._jobs.get(view.job.name) or new_record(view), snapshot.at)
        record, postings = interruption_credit(view, self.site.tenant(view.job.tenant), record, snapshot.price)
        self._jobs[view.job.name] = record
        return [record, *postings]
