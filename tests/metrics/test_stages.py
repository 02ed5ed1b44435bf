"""Stages of a decision, timed by a clock that the test moves."""

from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import CollectorRegistry

from orchestrator.domain.decision import Ack, Action, Decision, Direction, Move, Outcome, OutcomeState, RunJob, Trigger
from orchestrator.domain.work import Workloads
from orchestrator.runtime.observability.metrics.actions import Actions, TimedDriver
from orchestrator.runtime.observability.metrics.counters import Counters

AT = datetime(2023, 9, 6, 20, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)


class Clock:
    def __init__(self) -> None:
        self.now = AT

    def __call__(self) -> datetime:
        return self.now


class SlowDriver:
    """Takes 2 s of `clock` to answer."""

    def __init__(self, clock: Clock, *, accepts: bool = True) -> None:
        self._clock = clock
        self._accepts = accepts

    async def observe(self, now: datetime) -> Workloads:
        return Workloads(now, synced=True)

    async def apply(self, move: Move, reason: str, now: datetime) -> Ack:
        self._clock.now += 2 * SECOND
        return Ack(self._accepts, now)

    async def renew(self, until: datetime, now: datetime) -> None: ...


class Stages:
    def __init__(self, *, accepts: bool = True) -> None:
        self.clock = Clock()
        self._registry = CollectorRegistry()
        self._counters = Counters("small")
        self.actions = Actions(self._counters, self.clock)
        self.driver = TimedDriver(SlowDriver(self.clock, accepts=accepts), self.actions, self.clock)

    def value(self, name: str, **labels: str) -> float:
        for family in self._counters.families():
            for sample in family.samples:
                if sample.name == f"wattshift_{name}" and sample.labels == {"site": "small", **labels}:
                    return float(sample.value)
        raise KeyError(name, labels)

    def sums(self) -> dict[str, float]:
        return {
            stage: self.value("decision_latency_seconds_sum", stage=stage)
            for stage in ("price_seen", "decided", "sent", "acknowledged", "measured")
        }


def decision(trigger: Trigger, number: int = 1) -> Decision:
    """Made 3 s after its trigger."""
    action = Action(f"d-{number}/1", RunJob("train"), Direction.UP, "cheap", 40.0)
    return Decision(
        id=f"d-{number}",
        at=AT + 3 * SECOND,
        trigger=trigger,
        trigger_at=AT,
        summary="",
        price_usd_per_mwh=20.0,
        price_basis="real_time",
        hashprice_usd_per_ph_day=60.0,
        pue=1.1,
        measured_kw=1000.0,
        limit_kw=1500.0,
        binding=(),
        margin_usd_per_h=0.0,
        actions=(action,),
        alternatives=(),
        inputs={},
    )


@pytest.mark.parametrize("trigger", [Trigger.PRICE, Trigger.CURTAILMENT])
async def test_each_stage_counts_from_the_trigger(trigger: Trigger) -> None:
    stages, made = Stages(), decision(trigger)
    stages.clock.now = AT + 4 * SECOND
    stages.actions.count([made])
    stages.clock.now = AT + 5 * SECOND
    ack = await stages.driver.apply(made.actions[0].move, "cheap", made.at)
    assert ack.at == AT + 7 * SECOND, "when the driver answered, on the record too"
    outcome = Outcome("d-1/1", OutcomeState.ACKNOWLEDGED, made.at, ack.at)
    stages.actions.count([outcome])
    stages.actions.count([Outcome("d-1/1", OutcomeState.MEASURED, made.at, ack.at, AT + 40 * SECOND)])
    assert stages.sums() == {"price_seen": 3.0, "decided": 4.0, "sent": 5.0, "acknowledged": 7.0, "measured": 40.0}
    assert stages.value("actions_total", kind="job", state="acknowledged") == 1.0
    assert stages.value("actions_total", kind="job", state="measured") == 1.0


@pytest.mark.parametrize("trigger", [Trigger.TICK, Trigger.START, Trigger.BREACH])
async def test_what_happened_at_no_time_of_its_own_is_counted_but_not_timed(trigger: Trigger) -> None:
    stages, made = Stages(), decision(trigger)
    stages.actions.count([made])
    await stages.driver.apply(made.actions[0].move, "cheap", made.at)
    stages.actions.count([Outcome("d-1/1", OutcomeState.MEASURED, made.at, made.at, AT + 40 * SECOND)])
    assert set(stages.sums().values()) == {0.0}
    assert stages.value("decision_latency_seconds_count", stage="measured") == 0.0
    assert stages.value("decisions_total", trigger=trigger) == 1.0


async def test_a_refused_move_is_sent_and_never_acknowledged() -> None:
    stages, made = Stages(accepts=False), decision(Trigger.PRICE)
    stages.actions.count([made])
    ack = await stages.driver.apply(made.actions[0].move, "cheap", made.at)
    stages.actions.count([Outcome("d-1/1", OutcomeState.REFUSED, made.at)])
    assert not ack.accepted
    assert stages.value("decision_latency_seconds_count", stage="sent") == 1.0
    assert stages.value("decision_latency_seconds_count", stage="acknowledged") == 0.0
    assert stages.value("actions_total", kind="job", state="refused") == 1.0


def test_a_clock_that_goes_back_makes_no_time_negative() -> None:
    stages, made = Stages(), decision(Trigger.PRICE)
    stages.clock.now = AT - 5 * SECOND
    stages.actions.count([made])
    assert stages.sums()["decided"] == 0.0
    assert stages.value("decision_latency_seconds_count", stage="decided") == 1.0


def test_actions_that_never_end_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.runtime.observability.metrics.actions.MOST_KEPT", 10)
    stages = Stages()
    stages.actions.count([decision(Trigger.PRICE, number) for number in range(25)])
    ends = [Outcome(f"d-{number}/1", OutcomeState.SUPERSEDED) for number in range(25)]
    stages.actions.count(ends)
    assert stages.value("actions_total", kind="job", state="superseded") == 10.0
