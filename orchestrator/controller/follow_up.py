"""After the act: actions held against the meter, interruptions counted, breaches followed. All on a round's draft."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from orchestrator.accounting.settlement import interrupt
from orchestrator.controller.back_off import leave_alone
from orchestrator.controller.state import State
from orchestrator.dispatch.desired import Desired
from orchestrator.domain.decision import (
    Ack,
    Action,
    Breach,
    BreachState,
    Decision,
    Direction,
    Outcome,
    OutcomeState,
    PauseJob,
)
from orchestrator.domain.limits import limits_due
from orchestrator.domain.site.site import Site
from orchestrator.domain.snapshot import Snapshot
from orchestrator.domain.work import JobPhase, Workloads
from orchestrator.observe.proof.verify import (
    Pending,
    breaches_now,
    check,
    follow,
    followed_unseen,
    mark_of,
    power_before,
    quiet_before,
    without_effect,
)
from orchestrator.ports import Record


def conclude(
    site: Site,
    draft: State,
    action: Action,
    ack: Ack,
    decision: Decision,
    snapshot: Snapshot,
    workloads: Workloads,
) -> list[Record]:
    """What became of an action when it was sent. One that was taken is held against the meter from now on."""
    outcome = Outcome(
        action_id=action.id,
        state=OutcomeState.ACKNOWLEDGED if ack.accepted else OutcomeState.REFUSED,
        sent_at=decision.at,
        acknowledged_at=ack.at if ack.accepted else None,
        detail=ack.detail,
    )
    target = action.move.target
    if not ack.accepted:
        return [outcome]
    records: list[Record] = [outcome]
    superseded = draft.pending.pop(target, None)
    if superseded is not None:
        records.append(replace(superseded.outcome, state=OutcomeState.SUPERSEDED, detail=f"by {action.id}"))
    if action.direction is Direction.UP:
        draft.late.pop(target, None)  # else what did not fall is still owed, whatever is asked on top
    before, since = mark_of(action.move, snapshot), decision.at
    if superseded is not None and superseded.before == before:
        since = superseded.since
    quiet = quiet_before(draft.pending.values(), snapshot, site.controls)
    draft.pending[target] = Pending(action, outcome, power_before(action, snapshot), before, since, quiet)
    if isinstance(action.move, PauseJob):
        interruption, draft.books = interrupt(site, draft.books, workloads.jobs[action.move.job], snapshot)
        records.extend(interruption)
    return records


def verify_pending(site: Site, draft: State, snapshot: Snapshot) -> tuple[list[Record], Snapshot]:
    """Outcomes of actions that the meter shows now, or that it should show by now and does not; and the snapshot, in
    which devices that say nothing owe nothing any more where a meter has seen them follow."""
    outcomes: list[Record] = []
    controls = site.controls
    for target, pending in list(draft.pending.items()):
        outcome = check(pending, snapshot, controls)
        if outcome.state is OutcomeState.MEASURED:
            del draft.pending[target]
            snapshot = followed_unseen(pending, snapshot, controls)
        elif outcome.state is OutcomeState.LATE:
            del draft.pending[target]
            if without_effect(pending, snapshot):
                leave_alone(draft, pending, snapshot, controls.verify_within)
            if pending.action.direction is Direction.DOWN:
                draft.late[target] = replace(pending, outcome=outcome)
        else:
            continue
        outcomes.append(outcome)
    for target, pending in list(draft.late.items()):
        if check(pending, snapshot, controls).state is OutcomeState.MEASURED:
            del draft.late[target]
            snapshot = followed_unseen(pending, snapshot, controls)
    return outcomes, snapshot


def find_interruptions(
    site: Site, draft: State, before: Workloads | None, workloads: Workloads, snapshot: Snapshot
) -> list[Record]:
    """Jobs that were running and are stopped without our asking were interrupted by something else."""
    if before is None:
        return []
    found: list[Record] = []
    for name, view in workloads.jobs.items():
        was = before.jobs.get(name)
        if was is None or was.phase is not JobPhase.RUNNING:
            continue
        if view.phase not in (JobPhase.STOPPING, JobPhase.PAUSED):
            continue
        counted_at = draft.books.job(view, snapshot.at).last_interrupted_at
        if counted_at is None or counted_at < before.at:
            records, draft.books = interrupt(site, draft.books, view, snapshot)
            found.extend(records)
    return found


def follow_breaches(
    site: Site, draft: State, snapshot: Snapshot, desired: Desired, started_at: datetime
) -> Sequence[Breach]:
    """Breaches that were opened, escalated or resolved by what is seen now."""
    due = limits_due(site, draft.curtailments.values(), snapshot.at)
    late = {target: pending.outcome.detail for target, pending in draft.late.items()}
    broken = breaches_now(site, snapshot, due, late, desired.shortfalls_kw, started_at)
    changed = follow(draft.breaches.values(), broken, snapshot.at, site.controls.verify_within)
    for breach in changed:
        key = (breach.kind, breach.subject)
        if breach.state is BreachState.RESOLVED:
            draft.breaches.pop(key, None)
        else:
            draft.breaches[key] = breach
    return changed
