"""One loop: observe, decide, act, verify, record.

The controller holds no truth of its own: what runs is the driver's, what was decided and earned is the store's. It
can be killed at any moment and made again from the two. What it keeps between rounds is taken over only once it is
on disk, so that a round that fails leaves nothing half done.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

from orchestrator.accounting.billing import JobRecord
from orchestrator.accounting.settlement import Asked, account_for, followed, jobs_followed, settle, settlement_due
from orchestrator.accounting.unaccounted import Resolution, ResolutionError
from orchestrator.controller.back_off import holding, worth_sending
from orchestrator.controller.deciding import acting_on
from orchestrator.controller.doors import Doors
from orchestrator.controller.follow_up import (
    conclude,
    find_interruptions,
    follow_breaches,
    verify_pending,
)
from orchestrator.controller.lapse import taken_over
from orchestrator.controller.observed import new_prices, observation, trigger_of
from orchestrator.controller.past import Past, read_past
from orchestrator.controller.resolving import done_before, parked_for
from orchestrator.controller.restart import close_restart
from orchestrator.controller.rounds import Part, Result, RoundWatch, Unwatched
from orchestrator.controller.sending import Answers, send_together
from orchestrator.controller.state import State
from orchestrator.dispatch.desired import Desired
from orchestrator.dispatch.dispatch import dispatch
from orchestrator.dispatch.live_columns import LiveColumns
from orchestrator.dispatch.moves import plan_moves
from orchestrator.domain.decision import (
    Decision,
    Direction,
    Trigger,
)
from orchestrator.domain.limits import Curtailment
from orchestrator.domain.market import PriceBook
from orchestrator.domain.site.site import Site
from orchestrator.domain.snapshot import Snapshot
from orchestrator.domain.target import Target
from orchestrator.domain.units import INSTANT
from orchestrator.domain.work import Workloads
from orchestrator.explain.decision_record import write_up
from orchestrator.explain.reasons import Reasons
from orchestrator.observe.assess import Inputs, assess
from orchestrator.observe.metering.meter_against_devices import without_suspect
from orchestrator.observe.readings.plausibility import judged
from orchestrator.observe.readings.standstill import watched
from orchestrator.ports import (
    Record,
)

log = logging.getLogger(__name__)

Policy = Callable[[Site, Snapshot], Desired]
Publish = Callable[[Sequence[Record]], None]
"""Told of each transaction once it is on disk, before the controller takes it over: `job_record` is that of before."""


VERIFY_EVERY = timedelta(seconds=5)
"""How often, in site time, whoever paces the controller has it look at the meter while it is `unsettled`."""


class Controller:
    """Call `tick` as often as wanted; what happens depends only on `now` and on what the doors say."""

    def __init__(
        self,
        site: Site,
        doors: Doors,
        *,
        now: datetime,
        policy: Policy | None = None,
        publish: Publish | None = None,
        watch: RoundWatch | None = None,
    ) -> None:
        """Without a `policy` it dispatches by the price alone."""
        self.site = site
        self.doors = doors
        self.snapshot: Snapshot | None = None
        self.inputs: Inputs | None = None
        """What the snapshot was made from."""
        self.workloads: Workloads | None = None
        self.reasons: Mapping[Target, str] = {}
        self.synced = False
        """Whether the workload driver's view could be acted on in the last round."""
        self._policy = policy or partial(dispatch, live=LiveColumns())
        self._publish = publish or (lambda records: None)
        self._watch = watch or Unwatched()
        self._lock = asyncio.Lock()
        self._started_at = now
        self._state = State.of(doors.store.restore(now))

    @property
    def unsettled(self) -> bool:
        """Actions wait to be seen in the meter: look again soon."""
        return bool(self._state.pending)

    @property
    def pending(self) -> int:
        """Actions that wait to be seen in the meter."""
        return len(self._state.pending)

    @property
    def left_open(self) -> tuple[Decision, ...]:
        """Decisions of the run before whose end is unknown, until the first round closes them."""
        return tuple(decision for decision, _ in self._state.unsettled)

    @property
    def observed_at(self) -> datetime | None:
        """When the site was last observed, by whichever run."""
        return self._state.last.at if self._state.last is not None else None

    @property
    def curtailments(self) -> tuple[Curtailment, ...]:
        """Orders not yet over, cancelled ones among them."""
        return tuple(self._state.curtailments.values())

    @property
    def recorded_prices(self) -> PriceBook:
        """What is on record of them, as far back as a book reaches."""
        return self._state.book

    async def past(self, now: datetime) -> Past:
        """What forecasts are made from beside the prices; a restart loses none of it."""
        return await read_past(self.site, self._state.books.jobs.values(), self.doors.weather, now)

    def job_record(self, job: str) -> JobRecord | None:
        return self._state.books.jobs.get(job)

    async def tick(self, now: datetime, trigger: Trigger = Trigger.TICK, *, final: bool = False) -> Decision | None:
        """One round of the loop; returns the decision if something was decided.

        A final one settles to the last joule. Time never goes back or stands still: an earlier `now` is taken as the
        instant after the last round's.
        """
        async with self._lock:
            return await self._tick(now, trigger, final=final)

    async def curtail(self, order: Curtailment) -> None:
        """Keep an order and act on it at once. It is on disk, and holds, before anything moves."""
        async with self._lock:
            self._keep(order)
            await self._answer(order.start)

    async def cancel(self, curtailment_id: str, now: datetime) -> bool:
        """End an order early; False if there is none of that id in force."""
        async with self._lock:
            order = self._state.curtailments.get(curtailment_id)
            if order is None or not order.in_force(now):
                return False
            self._keep(replace(order, cancelled_at=now))
            await self._answer(now)
            return True

    async def account_for(self, asked: Asked, seen: float | None) -> Resolution:
        """Book or write off all that is parked of a meter. The same request again is answered by what came of it, and
        changes nothing.

        `seen` is what whoever asks has seen of it, in the meter's unit; None: whatever it is. ResolutionError where
        there is nothing, something else than was seen, or it can't be booked.
        """
        async with self._lock:
            done = done_before(self.doors.store, asked)
            if done is not None:
                return done
            if self.snapshot is None:
                raise ResolutionError("nothing is observed yet, so nothing can be booked")
            parked = parked_for(self.doors.store, asked, seen)
            draft = self._state.copy()
            resolution, lines, draft.books = account_for(self.site, draft.books, asked, parked, self.snapshot)
            self._record([resolution, *lines])
            self._state = draft
            return resolution

    def _keep(self, order: Curtailment) -> None:
        self._record([order])
        self._state.curtailments[order.id] = order

    async def _answer(self, now: datetime) -> None:
        """Go round for an order that is kept. It stands whatever comes of this round; the next one acts on it too."""
        try:
            await self._tick(now, Trigger.CURTAILMENT)
        except Exception:
            log.exception("the round that was to act on an order failed; the next one will")

    def _record(self, records: Sequence[Record]) -> None:
        self.doors.store.record(records)
        self._publish(records)

    # --- observe -------------------------------------------------------------------------------------------------

    async def _tick(self, now: datetime, trigger: Trigger, *, final: bool = False) -> Decision | None:
        self._watch.begin()
        try:
            decision = await self._round(now, trigger, final=final)
        except Exception:
            self._watch.end(Result.FAILED)
            raise
        self._watch.end(Result.OK if self.synced else Result.UNSYNCED)
        return decision

    async def _round(self, now: datetime, trigger: Trigger, *, final: bool = False) -> Decision | None:
        doors, draft = self.doors, self._state.copy()
        now = max(now, draft.last.at + INSTANT) if draft.last is not None else now
        book, hashprice, outdoor, telemetry, workloads = await asyncio.gather(
            doors.prices.read(now),
            doors.hashprice.read(now),
            doors.weather.read(now),
            doors.metrics.read(now),
            doors.workloads.observe(now),
        )
        workloads = await taken_over(self.site, doors.workloads, workloads, now)
        telemetry, draft.watches = watched(self.site, judged(self.site, telemetry), workloads, draft.watches)
        self._watch.done(Part.OBSERVE)
        self.synced = workloads.synced
        if not workloads.synced:
            return None  # never act on a view that may be old
        draft.curtailments = {key: order for key, order in draft.curtailments.items() if order.until > now}
        draft.books = jobs_followed(self.site, draft.books, workloads, telemetry)
        inputs = Inputs(
            book=book,
            hashprice=hashprice,
            outdoor=outdoor,
            telemetry=telemetry,
            workloads=workloads,
            curtailments=tuple(draft.curtailments.values()),
            breaches=tuple(draft.breaches.values()),
            job_records=draft.books.jobs,
            works=draft.books.works,
            before=self.snapshot,
        )
        snapshot = assess(self.site, inputs, now)
        outcomes, snapshot = verify_pending(self.site, draft, snapshot)
        records: list[Record] = [
            *new_prices(draft, book),
            *close_restart(self.site, draft, workloads, snapshot),
            *outcomes,
            *find_interruptions(self.site, draft, self.workloads, workloads, snapshot),
        ]
        snapshot = holding(draft, snapshot)
        telemetry = without_suspect(telemetry, snapshot.meters)
        draft.books = followed(self.site, draft.books, telemetry)
        if final or settlement_due(draft.books, snapshot, workloads):
            settled, draft.books = settle(self.site, draft.books, snapshot, workloads, telemetry)
            records.extend(settled)
        snapshot = replace(snapshot, estimated=draft.books.estimated, balances=draft.books.balances)
        self._watch.done(Part.ASSESS)
        trigger, trigger_at = trigger_of(draft, snapshot, trigger)
        records.append(observation(self.site, draft, snapshot))
        desired = self._policy(self.site, snapshot)
        reasons = Reasons(snapshot, desired)
        records.extend(follow_breaches(self.site, draft, snapshot, desired, self._started_at))
        draft.ramp = draft.ramp.at_time(self.site, snapshot.at)
        moves = worth_sending(draft, plan_moves(self.site, snapshot, desired, draft.ramp), snapshot)
        draft.ramp = draft.ramp.after(snapshot, (planned.change_kw for planned in moves.now))
        decision = write_up(snapshot, desired, reasons, moves, trigger, trigger_at)
        if decision is not None:
            records.append(decision)
        self._watch.done(Part.DECIDE)
        self._record(records)
        self._watch.done(Part.RECORD)
        self._state, self.inputs = draft, replace(inputs, before=None)
        self.snapshot, self.workloads = replace(snapshot, breaches=tuple(draft.breaches.values())), workloads
        self.reasons = reasons
        if decision is not None:
            with acting_on(decision.id):
                await self._act(decision, snapshot, workloads)
        await doors.workloads.renew(now + self.site.controls.lease, now)
        self._watch.done(Part.ACT)
        what = decision.id if decision is not None else "nothing"
        log.debug("round of %s: %.2f USD/MWh, decided %s", now, snapshot.price.usd_per_mwh, what)
        return decision

    # --- act -----------------------------------------------------------------------------------------------------

    async def _act(self, decision: Decision, snapshot: Snapshot, workloads: Workloads) -> None:
        """Send the power-downs, all together, then the power-ups; answers go on record as they come."""

        def put_on_record(answered: Answers) -> None:
            draft, records = self._state.copy(), list[Record]()
            for action, ack in answered:
                records.extend(conclude(self.site, draft, action, ack, decision, snapshot, workloads))
            self._record(records)
            self._state = draft

        for direction in (Direction.DOWN, Direction.UP):
            actions = [action for action in decision.actions if action.direction is direction]
            await send_together(self.doors.workloads, actions, decision.at, put_on_record)
