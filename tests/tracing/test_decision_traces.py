"""Decisions and outcomes in, spans at the collector out: also when rounds fail, moves are many and controllers die."""

import socket
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any

import pytest

from orchestrator.clock import SiteClock, wall_clock
from orchestrator.controller.rounds import Part, Result
from orchestrator.domain.decision import (
    Action,
    Decision,
    Direction,
    Outcome,
    OutcomeState,
    RunJob,
    SetFleet,
    Trigger,
)
from orchestrator.domain.rack_mix import RackMix
from orchestrator.runtime.observability.decision_traces import DecisionTraces
from orchestrator.runtime.observability.move_spans import MOST_MOVES
from orchestrator.runtime.observability.spans import Spans
from orchestrator.runtime.observability.trace_ids import root_span_id, trace_id
from tests.tracing.collector import PATIENCE_S, Collector, Got

SECOND = timedelta(seconds=1)


def a_decision(at: datetime, downs: int = 1, ups: int = 1, trigger: Trigger = Trigger.PRICE) -> Decision:
    decision_id = f"d-{at:%Y%m%dT%H%M%S%f}"
    moves = [(SetFleet(f"f{number}", RackMix({"sleep": 1})), Direction.DOWN, -10.0 - number) for number in range(downs)]
    moves += [(RunJob(f"j{number}"), Direction.UP, 5.0) for number in range(ups)]  # type: ignore[misc]
    return Decision(
        id=decision_id,
        at=at,
        trigger=trigger,
        trigger_at=at - SECOND,
        summary="made up",
        price_usd_per_mwh=300.0,
        price_basis="real_time",
        hashprice_usd_per_ph_day=60.0,
        pue=1.1,
        measured_kw=500.0,
        limit_kw=1000.0,
        binding=(),
        margin_usd_per_h=1.0,
        actions=tuple(
            Action(f"{decision_id}/{number}", move, direction, "a reason", change_kw)
            for number, (move, direction, change_kw) in enumerate(moves)
        ),
        alternatives=(),
        inputs={},
    )


def outcome(action: Action, state: OutcomeState, at: datetime, measured_at: datetime | None = None) -> Outcome:
    accepted = state is not OutcomeState.REFUSED
    return Outcome(action.id, state, at, at if accepted else None, measured_at, "" if accepted else "no such fleet")


class Rounds:
    """A controller as its watch and its listener see it."""

    def __init__(
        self, spans: Spans, clock: SiteClock | None = None, stored: tuple[Decision, Sequence[Outcome]] | None = None
    ) -> None:
        self.clock = clock or wall_clock()
        self.traces = DecisionTraces(spans, self.clock, lambda decision_id: stored)

    def now(self) -> datetime:
        return self.clock.at(time.time())

    def decide(self, decision: Decision, answers: Sequence[Outcome], result: Result = Result.OK) -> None:
        traces = self.traces
        traces.begin()
        for part in (Part.OBSERVE, Part.ASSESS, Part.DECIDE):
            traces.done(part)
        traces.records([decision])
        traces.done(Part.RECORD)
        traces.records(answers)
        if result is Result.OK:
            traces.done(Part.ACT)
        traces.end(result)

    def verify(self, outcomes: Sequence[Outcome]) -> None:
        """A later round, in which nothing is decided."""
        self.traces.begin()
        self.traces.done(Part.OBSERVE)
        self.traces.records(outcomes)
        self.traces.end(Result.OK)


@pytest.fixture
def spans(traced: Collector) -> Iterator[Spans]:
    made = Spans("texas")
    yield made
    made.close()


def tree(spans: Sequence[Got]) -> dict[str, list[str]]:
    """Names of children by the name of their parent, "" above the root."""
    names = {span.span_id: span.name for span in spans} | {"": ""}
    found: dict[str, list[str]] = {}
    for span in spans:
        found.setdefault(names[span.parent_id], []).append(span.name)
    return found


def with_root(spans: list[Got]) -> bool:
    return any(not span.parent_id for span in spans)


def test_a_trace_ends_when_the_last_watts_have_moved(spans: Spans, traced: Collector) -> None:
    rounds = Rounds(spans)
    decision = a_decision(rounds.now())
    down, up = decision.actions
    rounds.decide(decision, [outcome(each, OutcomeState.ACKNOWLEDGED, decision.at) for each in decision.actions])
    rounds.verify([])
    first, last = rounds.now() + SECOND, rounds.now() + 3 * SECOND
    rounds.verify([outcome(down, OutcomeState.MEASURED, decision.at, first)])
    traced.wait_for(lambda seen: len(seen) == 5, "the parts of the round")
    assert not with_root(traced.spans), "watts are still to move"
    rounds.verify([outcome(up, OutcomeState.MEASURED, decision.at, last)])
    got = traced.wait_for(with_root, "the root")
    assert tree(got) == {
        "": ["decision"],
        "decision": ["observe", "assess", "decide", "record", "act", "power down", "power up"],
        "power down": ["move"],
        "power up": ["move"],
    }
    root = next(span for span in got if not span.parent_id)
    assert (root.trace_id, root.span_id) == (trace_id("texas", decision.id), root_span_id("texas", decision.id))
    assert root.began == pytest.approx((decision.at - SECOND).timestamp() * 1e9, abs=1000)
    assert root.ended == pytest.approx(last.timestamp() * 1e9, abs=1000)
    assert {span.attributes["wattshift.decision.id"] for span in got} == {decision.id}
    assert not any(span.failed for span in got)


def test_moves_by_the_thousand_are_counted_and_the_ones_that_matter_shown(spans: Spans, traced: Collector) -> None:
    rounds = Rounds(spans)
    decision = a_decision(rounds.now(), downs=1500, ups=0)
    smallest, others = decision.actions[0], decision.actions[1:]
    answers = [outcome(each, OutcomeState.ACKNOWLEDGED, decision.at) for each in others]
    rounds.decide(decision, [outcome(smallest, OutcomeState.REFUSED, decision.at), *answers])
    rounds.verify([outcome(each, OutcomeState.MEASURED, decision.at, rounds.now()) for each in others])
    got = traced.wait_for(with_root, "the root")
    moves = [span for span in got if span.name == "move"]
    assert len(moves) == MOST_MOVES + 1
    assert sorted(span.attributes["wattshift.change_kw"] for span in moves)[:2] == [-1509.0, -1508.0]
    (refused,) = [span for span in moves if span.failed]
    assert refused.attributes["wattshift.target"] == "fleet/f0"
    (down,) = [span for span in got if span.name == "power down"]
    assert down.failed
    assert {name: value for name, value in down.attributes.items() if "actions" in name} == {
        "wattshift.actions": 1500,
        "wattshift.actions.measured": 1499,
        "wattshift.actions.refused": 1,
    }


def test_a_decision_that_moves_nothing_is_a_trace_of_its_round(spans: Spans, traced: Collector) -> None:
    rounds = Rounds(spans)
    rounds.decide(a_decision(rounds.now(), downs=0, ups=0, trigger=Trigger.CURTAILMENT), [])
    assert tree(traced.wait_for(with_root, "the root")) == {
        "": ["decision"],
        "decision": ["observe", "assess", "decide", "record", "act"],
    }


def test_a_late_move_ends_its_trace_as_a_failure(spans: Spans, traced: Collector) -> None:
    rounds = Rounds(spans)
    decision = a_decision(rounds.now(), ups=0)
    rounds.decide(decision, [outcome(decision.actions[0], OutcomeState.ACKNOWLEDGED, decision.at)])
    rounds.verify([outcome(decision.actions[0], OutcomeState.LATE, decision.at)])
    got = traced.wait_for(with_root, "the root")
    assert {span.name for span in got if span.failed} == {"decision", "power down", "move"}


def test_a_round_that_fails_as_it_sends_ends_its_trace(spans: Spans, traced: Collector) -> None:
    rounds = Rounds(spans)
    decision = a_decision(rounds.now())
    down, _ = decision.actions
    rounds.decide(decision, [outcome(down, OutcomeState.ACKNOWLEDGED, decision.at)], Result.FAILED)
    rounds.verify([outcome(down, OutcomeState.MEASURED, decision.at, rounds.now())])
    got = traced.wait_for(with_root, "the root")
    assert "act" not in tree(got)["decision"]
    moves = [span.attributes for span in got if span.name == "move"]
    assert {move["wattshift.target"]: move["wattshift.outcome"] for move in moves} == {
        "fleet/f0": "measured",
        "job/j0": "unanswered",
    }


def test_the_controller_after_a_kill_ends_the_trace_of_the_one_before(spans: Spans, traced: Collector) -> None:
    killed = Rounds(spans)
    decision = a_decision(killed.now(), ups=0)
    acknowledged = outcome(decision.actions[0], OutcomeState.ACKNOWLEDGED, decision.at)
    killed.decide(decision, [acknowledged])
    traced.wait_for(lambda seen: len(seen) == 5, "the parts of the round")

    superseded = outcome(decision.actions[0], OutcomeState.SUPERSEDED, decision.at)
    other = Spans("texas")
    try:
        Rounds(other, stored=(decision, [superseded])).verify([superseded])
        got = traced.wait_for(with_root, "the root")
    finally:
        other.close()
    assert len({span.trace_id for span in got}) == 1
    assert tree(got) == {
        "": ["decision"],
        "decision": ["observe", "assess", "decide", "record", "act", "power down"],
        "power down": ["move"],
    }


def test_spans_are_on_wall_time_where_site_time_runs_faster(spans: Spans, traced: Collector) -> None:
    began = time.time()
    rounds = Rounds(spans, SiteClock(wall_origin=began, site_origin=datetime(2023, 9, 6, tzinfo=UTC), speed=60.0))
    decision = a_decision(rounds.now() + timedelta(minutes=1), ups=0)
    rounds.decide(decision, [outcome(decision.actions[0], OutcomeState.ACKNOWLEDGED, decision.at)])
    measured_at = decision.at + timedelta(minutes=2)
    rounds.verify([outcome(decision.actions[0], OutcomeState.MEASURED, decision.at, measured_at)])
    root = next(span for span in traced.wait_for(with_root, "the root") if not span.parent_id)
    assert root.ended == pytest.approx(rounds.clock.wall_at(measured_at) * 1e9, abs=1000)
    assert began - 1.0 < root.began / 1e9 < time.time()
    assert root.attributes["wattshift.decision.at"].startswith("2023-09-06T00:01:")


def test_what_the_sampler_leaves_out_is_not_sent(traced: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    off = Spans("texas")
    rounds = Rounds(off)
    rounds.decide(a_decision(rounds.now(), downs=0, ups=0), [])
    off.close()
    assert traced.requests == 0


def test_a_fault_of_the_traces_is_said_once_and_costs_only_them(
    spans: Spans, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*args: Any) -> None:
        raise RuntimeError("no span today")

    monkeypatch.setattr(spans, "root", broken)
    rounds = Rounds(spans)
    for _ in range(3):
        rounds.decide(a_decision(rounds.now()), [])
    assert [record.message for record in caplog.records] == ["decisions are not traced any more"]


def test_a_collector_that_is_gone_is_said_once_and_once_that_it_is_back(
    spans: Spans, traced: Collector, caplog: pytest.LogCaptureFixture
) -> None:
    traced.status = HTTPStatus.BAD_REQUEST
    rounds = Rounds(spans)

    def until(holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not holds():
            assert time.monotonic() < deadline
            rounds.decide(a_decision(rounds.now(), downs=0, ups=0), [])
            time.sleep(0.02)

    until(lambda: traced.requests >= 3)
    traced.status = HTTPStatus.OK
    until(lambda: "again" in caplog.text)
    gone, back = [
        record.message for record in caplog.records if record.name == "orchestrator.runtime.observability.spans"
    ]
    assert gone.startswith("spans do not reach the collector")
    assert "Bad Request" in gone
    assert back == "spans reach the collector again"


def test_without_a_collector_rounds_go_on_and_the_process_ends(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.socket() as taken:  # bound and not listened on: nothing answers there
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{taken.getsockname()[1]}")
        spans = Spans("texas")
        rounds = Rounds(spans)
        for _ in range(3000):  # more spans than are kept
            rounds.decide(a_decision(rounds.now(), downs=0, ups=0), [])
        spans.close()
    assert "Connection refused" in caplog.text
    assert len([record for record in caplog.records if record.name == "orchestrator.runtime.observability.spans"]) == 1
