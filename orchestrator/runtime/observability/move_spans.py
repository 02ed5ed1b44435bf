"""Spans of a decision's moves: one for each direction, and below it one for each move that is worth it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from opentelemetry.trace import Span, Status, StatusCode

from orchestrator.domain.decision import Action, Direction, Outcome, OutcomeState
from orchestrator.runtime.observability.spans import Spans, Value

MOST_MOVES = 32
"""Spans of moves in one direction, the largest first, and as many again of those that went wrong. A decision may have
thousands; the direction's span counts them all."""


@dataclass(frozen=True, slots=True)
class Moved:
    """A move and what came of it. Wall times, ns."""

    action: Action
    outcome: Outcome | None
    """None where its round failed before it was answered."""
    acknowledged_ns: int | None
    ended_ns: int
    """When it was measured, or given up."""

    @property
    def wrong(self) -> bool:
        return self.outcome is None or self.outcome.state in (OutcomeState.REFUSED, OutcomeState.LATE)

    @property
    def state(self) -> str:
        return "unanswered" if self.outcome is None else self.outcome.state.value


def add_moves(spans: Spans, root: Span, moved: Sequence[Moved], sent_ns: int, about: Mapping[str, Value]) -> int:
    """Add all spans; returns when the last one ended. Power went down first, then up."""
    began_ns = ended_ns = sent_ns
    for direction in Direction:
        those = [each for each in moved if each.action.direction is direction]
        if not those:
            continue
        ended_ns = max(ended_ns, _add_direction(spans, root, direction, those, began_ns, about))
        began_ns = max([began_ns, *(each.acknowledged_ns for each in those if each.acknowledged_ns is not None)])
    return ended_ns


def _add_direction(
    spans: Spans, root: Span, direction: Direction, moved: Sequence[Moved], began_ns: int, about: Mapping[str, Value]
) -> int:
    ended_ns = max([began_ns, *(each.ended_ns for each in moved)])
    counts: dict[str, Value] = {
        **about,
        "wattshift.actions": len(moved),
        "wattshift.change_kw": sum(each.action.change_kw for each in moved),
    }
    for state in sorted({each.state for each in moved}):
        counts[f"wattshift.actions.{state}"] = sum(each.state == state for each in moved)
    span = spans.child(f"power {direction}", root, began_ns, counts)
    for each in _worth_it(moved):
        _add_move(spans, span, each, began_ns, about)
    wrong = sum(each.wrong for each in moved)
    if wrong:
        span.set_status(Status(StatusCode.ERROR, f"{wrong} of {len(moved)} moves went wrong"))
    span.end(ended_ns)
    return ended_ns


def _worth_it(moved: Sequence[Moved]) -> list[Moved]:
    largest_first = sorted(moved, key=lambda each: -abs(each.action.change_kw))
    rest = largest_first[MOST_MOVES:]
    return largest_first[:MOST_MOVES] + [each for each in rest if each.wrong][:MOST_MOVES]


def _add_move(spans: Spans, parent: Span, moved: Moved, began_ns: int, about: Mapping[str, Value]) -> None:
    action, outcome = moved.action, moved.outcome
    ended_ns = max(moved.ended_ns, began_ns)
    attributes: dict[str, Value] = {
        **about,
        "wattshift.action.id": action.id,
        "wattshift.target": str(action.move.target),
        "wattshift.change_kw": action.change_kw,
        "wattshift.reason": action.reason,
        "wattshift.outcome": moved.state,
    }
    span = spans.child("move", parent, began_ns, attributes)
    if moved.acknowledged_ns is not None:
        span.add_event("acknowledged", timestamp=min(max(moved.acknowledged_ns, began_ns), ended_ns))
    if outcome is not None and outcome.state is OutcomeState.MEASURED:
        span.add_event("measured", timestamp=ended_ns)
    if moved.wrong:
        span.set_status(Status(StatusCode.ERROR, outcome.detail if outcome is not None else "the round failed"))
    span.end(ended_ns)
