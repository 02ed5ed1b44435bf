"""What is put on record, and a new plan, as events for the API's listeners."""

import itertools
from collections.abc import Iterable, Sequence

from orchestrator.api.desk import Event
from orchestrator.domain.decision import Breach, Decision, Outcome
from orchestrator.domain.limits import Curtailment
from orchestrator.ports import ObservationRecord, Record

_ids = itertools.count(1)


def plan_event() -> Event:
    """For a plan that has come into force or failed, which is nothing on record."""
    return Event(name="plan", data={}, id=str(next(_ids)))


def events_of(records: Sequence[Record]) -> Iterable[Event]:
    """One event for each decision that was made or whose outcomes changed, and one for the site's state."""
    decisions: dict[str, None] = {}
    state: str | None = None
    for record in records:
        match record:
            case Decision():
                decisions[record.id] = None
            case Outcome():
                decisions[record.decision_id] = None
            case Curtailment():
                state = "curtailment"
            case Breach():
                state = "breach"
            case ObservationRecord():
                state = state or "observation"
    for decision in decisions:
        yield Event(name="decision", data={"id": decision}, id=str(next(_ids)))
    if state is not None:
        yield Event(name=state, data={}, id=str(next(_ids)))
