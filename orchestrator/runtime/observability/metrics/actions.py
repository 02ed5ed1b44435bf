"""Decisions and their actions on their way: what came of them, and how long each stage took."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from orchestrator.domain.decision import Ack, Decision, Move, Outcome, OutcomeState, Trigger
from orchestrator.domain.work import Workloads
from orchestrator.ports import Record, WorkloadDriver
from orchestrator.runtime.observability.metrics.counters import Counters

TIMED = (Trigger.PRICE, Trigger.CURTAILMENT)
"""What happened at a time of its own. A tick, a start and a breach are only noticed."""
MOST_KEPT = 50_000
"""Actions on their way that are remembered. Those whose sending fails come to no end and would add up."""


@dataclass(frozen=True, slots=True)
class _OnItsWay:
    kind: str
    trigger_at: datetime | None
    """None where its trigger is not timed."""


class Actions:
    """`now` is site time."""

    def __init__(self, counters: Counters, now: Callable[[], datetime]) -> None:
        self._counters = counters
        self._now = now
        self._on_their_way: dict[str, _OnItsWay] = {}
        self._latest: Decision | None = None

    def left_open(self, decisions: Iterable[Decision]) -> None:
        """Decisions of a run before: their actions' ends are counted, their stages not timed."""
        for decision in decisions:
            self._send_off(decision, None)

    def count(self, records: Iterable[Record]) -> None:
        for record in records:
            match record:
                case Decision():
                    self._decided(record)
                case Outcome():
                    self._came_to(record)

    def _decided(self, decision: Decision) -> None:
        self._latest = decision
        self._counters.add("decisions_total", 1.0, decision.trigger)
        trigger_at = decision.trigger_at if decision.trigger in TIMED else None
        self._send_off(decision, trigger_at)
        if trigger_at is not None:
            self._observe("price_seen", trigger_at, decision.at)
            self._observe("decided", trigger_at, self._now())

    def _send_off(self, decision: Decision, trigger_at: datetime | None) -> None:
        for action in decision.actions:
            self._on_their_way[action.id] = _OnItsWay(action.move.target.kind, trigger_at)
        while len(self._on_their_way) > MOST_KEPT:
            del self._on_their_way[next(iter(self._on_their_way))]

    def _came_to(self, outcome: Outcome) -> None:
        action = self._on_their_way.get(outcome.action_id)
        if action is None:
            return  # forgotten, being one of too many
        self._counters.add("actions_total", 1.0, action.kind, outcome.state)
        if outcome.state is not OutcomeState.ACKNOWLEDGED:
            del self._on_their_way[outcome.action_id]
        if outcome.state is OutcomeState.MEASURED and action.trigger_at is not None and outcome.measured_at is not None:
            self._observe("measured", action.trigger_at, outcome.measured_at)

    def sending(self, decided_at: datetime) -> datetime | None:
        """A move of the decision of that time goes out; when what triggered it came to be known, if it is timed."""
        latest = self._latest
        if latest is None or latest.at != decided_at or latest.trigger not in TIMED:
            return None
        self._observe("sent", latest.trigger_at, self._now())
        return latest.trigger_at

    def acknowledged(self, trigger_at: datetime, at: datetime) -> None:
        self._observe("acknowledged", trigger_at, at)

    def _observe(self, stage: str, trigger_at: datetime, at: datetime) -> None:
        self._counters.observe("decision_latency_seconds", max((at - trigger_at).total_seconds(), 0.0), stage)


class TimedDriver:
    """A WorkloadDriver over another one, that tells when moves go out and puts the time of the answer on it."""

    def __init__(self, driver: WorkloadDriver, actions: Actions, now: Callable[[], datetime]) -> None:
        self._driver = driver
        self._actions = actions
        self._now = now

    async def observe(self, now: datetime) -> Workloads:
        return await self._driver.observe(now)

    async def apply(self, move: Move, reason: str, now: datetime) -> Ack:
        trigger_at = self._actions.sending(now)
        ack = await self._driver.apply(move, reason, now)
        answered_at = max(self._now(), now)
        if ack.accepted and trigger_at is not None:
            self._actions.acknowledged(trigger_at, answered_at)
        return replace(ack, at=answered_at)

    async def renew(self, until: datetime, now: datetime) -> None:
        await self._driver.renew(until, now)
