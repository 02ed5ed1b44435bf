"""A trace for each decision, from the price or the order that triggered it until the watts have moved.

Spans are made of what is on record and of the parts of the round, so the controller knows nothing of them, and a trace
goes on in later rounds and after a restart. They are on wall time; where site time runs otherwise, it is an attribute.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from opentelemetry.trace import Span, Status, StatusCode

from orchestrator.clock import SiteClock
from orchestrator.controller.rounds import Part, Result
from orchestrator.domain.decision import Action, Decision, Outcome
from orchestrator.ports import Record
from orchestrator.runtime.observability.move_spans import Moved, add_moves
from orchestrator.runtime.observability.spans import Spans, Value

log = logging.getLogger(__name__)

Recall = Callable[[str], tuple[Decision, Sequence[Outcome]] | None]
"""A decision on record by its id, with what came of it."""


@dataclass(slots=True)
class _Open:
    """A decision whose watts may still move. Wall times, ns."""

    decision: Decision
    root: Span
    sent_ns: int
    """When its moves began to be sent."""
    round_ended_ns: int
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    told_ns: dict[str, int] = field(default_factory=dict)
    """When it was heard that nothing more comes of an action."""
    sending: bool = True

    def take(self, outcome: Outcome) -> None:
        self.outcomes[outcome.action_id] = outcome
        if outcome.settled:
            self.told_ns[outcome.action_id] = time.time_ns()

    @property
    def over(self) -> bool:
        """An action that has no outcome when all are sent gets none: its round failed."""
        return not self.sending and all(outcome.settled for outcome in self.outcomes.values())


class DecisionTraces:
    """A RoundWatch that is told of all that goes on record as well, in the order in which it happens."""

    def __init__(self, spans: Spans, clock: SiteClock, recall: Recall) -> None:
        self._spans = spans
        self._clock = clock
        self._recall = recall
        self._made_ns = self._part_began_ns = time.time_ns()
        self._parts: list[tuple[Part, int, int]] = []
        """Of the round under way: which, when it began and ended."""
        self._sending: _Open | None = None
        """The decision of the round under way."""
        self._open: dict[str, _Open] = {}
        self._failed = False

    def begin(self) -> None:
        """A round begins; the one before is over, however it ended."""
        self._guarded(self._sent)
        self._parts.clear()
        self._part_began_ns = time.time_ns()

    def done(self, part: Part) -> None:
        """A part of the round is over."""
        self._guarded(lambda: self._done(part))

    def end(self, result: Result) -> None:
        """The round is over, and with it the sending of moves, whether all are answered or not."""
        self._guarded(self._sent)

    def records(self, records: Sequence[Record]) -> None:
        """These have gone on record together."""
        self._guarded(lambda: self._take(records))

    def _guarded(self, work: Callable[[], None]) -> None:
        """Whatever is wrong with a trace, the loop goes on, and it is said once rather than at each round."""
        if self._failed:
            return
        try:
            work()
        except Exception:
            self._failed = True
            self._open.clear()
            log.exception("decisions are not traced any more")

    def _done(self, part: Part) -> None:
        began_ns, self._part_began_ns = self._part_began_ns, time.time_ns()
        self._parts.append((part, began_ns, self._part_began_ns))
        if self._sending is not None:
            self._add_part(self._sending, *self._parts[-1])

    def _take(self, records: Sequence[Record]) -> None:
        touched: dict[str, _Open] = {}
        for record in records:
            if isinstance(record, Decision):
                self._begin(record)
            elif isinstance(record, Outcome):
                entry = self._open.get(record.decision_id) or self._recalled(record.decision_id)
                if entry is not None:
                    entry.take(record)
                    touched[record.decision_id] = entry
        for entry in touched.values():
            self._end_if_over(entry)

    def _begin(self, decision: Decision) -> None:
        began_ns = self._parts[0][1] if self._parts else time.time_ns()
        self._sending = self._enter(decision, began_ns)
        for part in self._parts:
            self._add_part(self._sending, *part)

    def _recalled(self, decision_id: str) -> _Open | None:
        """A decision of the controller before this one. One of our own that is not open is over."""
        found = self._recall(decision_id)
        if found is None or self._wall_ns(found[0].at) >= self._made_ns:
            return None
        decision, outcomes = found
        entry = self._enter(decision, self._wall_ns(decision.at))
        entry.outcomes.update({outcome.action_id: outcome for outcome in outcomes})
        entry.sending = False
        return entry

    def _enter(self, decision: Decision, round_ns: int) -> _Open:
        """With its root span, which begins with what triggered it, with its round at the latest."""
        began_ns = min(self._wall_ns(decision.trigger_at), round_ns)
        root = self._spans.root("decision", decision.id, began_ns, {**self._about(decision), **_figures(decision)})
        entry = self._open[decision.id] = _Open(decision, root, sent_ns=round_ns, round_ended_ns=round_ns)
        return entry

    def _add_part(self, entry: _Open, part: Part, began_ns: int, ended_ns: int) -> None:
        self._spans.child(part, entry.root, began_ns, self._about(entry.decision)).end(ended_ns)
        entry.round_ended_ns = ended_ns
        if part is not Part.ACT:
            entry.sent_ns = ended_ns

    def _sent(self) -> None:
        entry, self._sending = self._sending, None
        if entry is not None:
            entry.sending = False
            self._end_if_over(entry)

    def _end_if_over(self, entry: _Open) -> None:
        if not entry.over:
            return
        del self._open[entry.decision.id]
        moved = [self._moved(entry, action) for action in entry.decision.actions]
        ended_ns = add_moves(self._spans, entry.root, moved, entry.sent_ns, self._about(entry.decision))
        wrong = sum(each.wrong for each in moved)
        if wrong:
            entry.root.set_status(Status(StatusCode.ERROR, f"{wrong} of {len(moved)} moves went wrong"))
        entry.root.end(max(ended_ns, entry.round_ended_ns))

    def _moved(self, entry: _Open, action: Action) -> Moved:
        outcome = entry.outcomes.get(action.id)
        acknowledged_ns, ended_ns = None, entry.told_ns.get(action.id, entry.round_ended_ns)
        if outcome is not None and outcome.acknowledged_at is not None:
            acknowledged_ns = self._wall_ns(outcome.acknowledged_at)
        if outcome is not None and outcome.measured_at is not None:
            ended_ns = self._wall_ns(outcome.measured_at)
        return Moved(action, outcome, acknowledged_ns, ended_ns)

    def _about(self, decision: Decision) -> dict[str, Value]:
        """On every span, so that each can be found."""
        return {"wattshift.site": self._spans.site, "wattshift.decision.id": decision.id}

    def _wall_ns(self, at: datetime) -> int:
        return round(self._clock.wall_at(at) * 1e9)


def _figures(decision: Decision) -> dict[str, Value]:
    """Times are site time."""
    return {
        "wattshift.trigger": decision.trigger.value,
        "wattshift.trigger.at": decision.trigger_at.isoformat(),
        "wattshift.decision.at": decision.at.isoformat(),
        "wattshift.summary": decision.summary,
        "wattshift.price_usd_per_mwh": decision.price_usd_per_mwh,
        "wattshift.price_basis": decision.price_basis,
        "wattshift.measured_kw": decision.measured_kw,
        "wattshift.limit_kw": decision.limit_kw,
        "wattshift.margin_usd_per_h": decision.margin_usd_per_h,
        "wattshift.binding": ", ".join(decision.binding),
        "wattshift.actions": len(decision.actions),
    }
