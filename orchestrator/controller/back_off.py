"""Moves that a driver accepts and that change nothing: told once, then left alone for longer and longer.

What does not answer stays as it is, as if an operator held it, so that others are moved in its stead. All on a
round's draft.
"""

from dataclasses import replace
from datetime import timedelta

from orchestrator.controller.state import State, Unmoved
from orchestrator.dispatch.anti_cycling import wait_after
from orchestrator.dispatch.moves import Moves, PlannedMove
from orchestrator.domain.decision import SetFleet
from orchestrator.domain.snapshot import Snapshot
from orchestrator.domain.target import Kind
from orchestrator.observe.proof.verify import Pending, without_effect


def leave_alone(draft: State, pending: Pending, snapshot: Snapshot, verify_within: timedelta) -> None:
    """`pending` should have taken effect by now and has not."""
    target = pending.action.move.target
    before = draft.unmoved.get(target)
    tries = before.tries + 1 if before is not None else 1
    draft.unmoved[target] = Unmoved(pending, tries, snapshot.at + wait_after(tries, verify_within))


def holding(draft: State, snapshot: Snapshot) -> Snapshot:
    """The snapshot with what does not answer held; what moved at last is forgotten."""
    if not draft.unmoved:
        return snapshot
    fleets, jobs = dict(snapshot.fleets), dict(snapshot.jobs)
    for target, unmoved in list(draft.unmoved.items()):
        if not without_effect(unmoved.pending, snapshot):
            del draft.unmoved[target]
        elif snapshot.at < unmoved.until:
            name = target.name
            times = "a move was" if unmoved.tries == 1 else f"{unmoved.tries} moves were"
            why = f"does not answer: {times} accepted and changed nothing; the next is at {unmoved.until:%H:%M:%S} UTC"
            if target.kind is Kind.FLEET and not fleets[name].view.held:
                fleets[name] = replace(fleets[name], view=replace(fleets[name].view, held=why))
            elif target.kind is Kind.JOB and not jobs[name].view.held:
                jobs[name] = replace(jobs[name], view=replace(jobs[name].view, held=why))
    return replace(snapshot, fleets=fleets, jobs=jobs)


def worth_sending(draft: State, moves: Moves, snapshot: Snapshot) -> Moves:
    """The moves less those that are on their way already, and those of what is left alone."""
    wanted = {planned.move.target for planned in moves.now}
    for target, unmoved in list(draft.unmoved.items()):
        if snapshot.at >= unmoved.until and target not in wanted and target not in draft.pending:
            del draft.unmoved[target]  # nothing is asked of it any more, so nothing is owed
            draft.late.pop(target, None)
    return replace(moves, now=tuple(planned for planned in moves.now if not _in_vain(draft, planned, snapshot)))


def _in_vain(draft: State, planned: PlannedMove, snapshot: Snapshot) -> bool:
    target = planned.move.target
    unmoved, pending = draft.unmoved.get(target), draft.pending.get(target)
    if unmoved is not None and snapshot.at < unmoved.until:
        return True
    return pending is not None and without_effect(pending, snapshot) and _same(pending, planned)


def _same(pending: Pending, planned: PlannedMove) -> bool:
    """Which racks sleep first is no other move while none has changed."""
    asked, now = pending.action.move, planned.move
    if isinstance(asked, SetFleet) and isinstance(now, SetFleet):
        return asked.racks == now.racks
    return asked == now
