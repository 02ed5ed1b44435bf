"""After a start: what the run before left open is closed, whatever ended it."""

from dataclasses import replace

from orchestrator.accounting.settlement import interrupt
from orchestrator.controller.state import State
from orchestrator.domain.decision import Outcome, OutcomeState, PauseJob
from orchestrator.domain.site.site import Site
from orchestrator.domain.snapshot import Snapshot
from orchestrator.domain.work import JobPhase, Workloads
from orchestrator.ports import Record


def close_restart(site: Site, draft: State, workloads: Workloads, snapshot: Snapshot) -> list[Record]:
    """Once after a start: actions of the run before whose end is unknown are closed.

    Moves are absolute and the driver's view is the truth, so nothing is sent again: the next decision starts
    from what is. A pause that went out unrecorded still counts as an interruption.
    """
    closed: list[Record] = []
    for decision, outcomes in draft.unsettled:
        known = {outcome.action_id: outcome for outcome in outcomes}
        for action in decision.actions:
            outcome = known.get(action.id) or Outcome(action_id=action.id, state=OutcomeState.SENT)
            if outcome.settled:
                continue
            detail = "the controller was restarted before it was measured"
            closed.append(replace(outcome, state=OutcomeState.SUPERSEDED, detail=detail))
            view = workloads.jobs.get(action.move.job) if isinstance(action.move, PauseJob) else None
            if view is not None and action.id not in known and view.phase in (JobPhase.STOPPING, JobPhase.PAUSED):
                records, draft.books = interrupt(site, draft.books, view, snapshot)
                closed.extend(records)
    draft.unsettled = ()
    return closed
