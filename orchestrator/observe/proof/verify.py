"""Did it happen? Actions held against the meter, and promises that are not kept."""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import NamedTuple

from orchestrator.domain.decision import (
    Action,
    Breach,
    BreachKind,
    BreachState,
    Direction,
    LimitGpus,
    Move,
    Outcome,
    OutcomeState,
    PauseJob,
    RunJob,
    SetFleet,
)
from orchestrator.domain.limits import Cap, Limits
from orchestrator.domain.site.policies import Controls
from orchestrator.domain.site.site import Site
from orchestrator.domain.snapshot import FleetStatus, PoolStatus, Snapshot
from orchestrator.domain.target import Target
from orchestrator.domain.work import JobPhase
from orchestrator.observe.proof.evidence import Evidence, Mark, evidence, moved_racks
from orchestrator.observe.proof.meter_proof import FALL_SHARE, RISE_SHARE, Left, left_by_meter

TOLERANCE = 1.0 - FALL_SHARE
"""Share of the expected power by which a measured power-down may be off."""
SHORT_KW = 1.0
"""A shortfall under this is rounding."""


@dataclass(frozen=True, slots=True)
class Pending:
    """An action that was sent and is not yet seen in the meter."""

    action: Action
    outcome: Outcome
    before_kw: float
    """IT power of the action's fleet or pool when it was sent."""
    before: "Mark | None"
    """How what it moves showed then."""
    since: datetime
    """When it was sent, or the first of those before it that were accepted too and changed nothing."""
    quiet: Snapshot
    """From before it and all else that was under way when it was sent: meters show what has changed since."""


def power_before(action: Action, snapshot: Snapshot) -> float:
    """IT power, kW, of what the action moves, as counted now."""
    status = _status(action, snapshot)
    return status.counted_kw if status is not None else 0.0


def mark_of(move: Move, snapshot: Snapshot) -> Mark | None:
    """How what is moved shows in the driver's view; None where it is not there any more."""
    if isinstance(move, SetFleet):
        fleet = snapshot.fleets.get(move.fleet)
        if fleet is None:
            return None
        return (*sorted(fleet.view.rack_modes.items()), fleet.view.last_up_at, fleet.view.last_down_at)
    if isinstance(move, LimitGpus):
        pool = snapshot.pools.get(move.pool)
        return None if pool is None else (pool.gpu_limit_w,)
    job = snapshot.jobs.get(move.job)
    return None if job is None else (job.view.phase, job.view.changed_at, job.view.starts, job.view.given_gpus)


def quiet_before(under_way: Iterable[Pending], snapshot: Snapshot, controls: Controls) -> Snapshot:
    """The snapshot from before all that is under way at `snapshot`: this one where nothing is.

    Where something always is, no older one than by the time in which moves show: what they come to adds up, and with
    it what is not known of them.
    """
    oldest = snapshot.at - 2 * max(controls.up_within, controls.down_within)
    before = (pending.quiet for pending in under_way if pending.quiet.at >= oldest)
    return min(before, key=lambda quiet: quiet.at, default=snapshot)


def without_effect(pending: Pending, snapshot: Snapshot) -> bool:
    """The driver accepted it and shows what it moves as before: its power may well be that of the old setpoint."""
    return pending.before is not None and pending.before == mark_of(pending.action.move, snapshot)


def check(pending: Pending, snapshot: Snapshot, controls: Controls) -> Outcome:
    """The action's outcome as of this snapshot: still acknowledged, measured, or late."""
    outcome = pending.outcome
    within = controls.down_within if pending.action.direction is Direction.DOWN else controls.up_within
    overdue = snapshot.at - pending.since > within
    proof = _proof(pending, snapshot, controls, overdue=overdue)
    if proof.proven:
        detail = str(proof.left) if proof.by_meter else outcome.detail
        return replace(outcome, state=OutcomeState.MEASURED, measured_at=snapshot.at, detail=detail)
    if not overdue:
        return outcome
    if without_effect(pending, snapshot):
        detail = f"accepted, and nothing has changed after {within.total_seconds():.0f} s"
        return replace(outcome, state=OutcomeState.LATE, detail=detail)
    status = _status(pending.action, snapshot)
    silent = len(status.silent) if status is not None else 0
    counted = f"{status.counted_kw:.0f} kW counted" if status is not None else "no longer there"
    detail = f"{counted} after {within.total_seconds():.0f} s, {pending.before_kw:.0f} kW before"
    if silent:
        detail += f"; {silent} meters are silent, which proves nothing"
    if proof.left is not None and proof.left.can_tell:
        detail += f"; {proof.left}"
    return replace(outcome, state=OutcomeState.LATE, detail=detail)


def followed_unseen(pending: Pending, snapshot: Snapshot, controls: Controls) -> Snapshot:
    """The snapshot after `pending` was measured: racks of it that have said nothing since were seen by a meter, and owe
    nothing."""
    status = _status(pending.action, snapshot)
    if not isinstance(status, FleetStatus):
        return snapshot
    proven_from = _proven_from(pending, controls)
    read = {rack for rack, reading in status.readings.items() if reading.at is not None and reading.at >= proven_from}
    unseen = moved_racks(pending.before, status) - status.defiant - read
    if not unseen & status.lowered.keys():
        return snapshot
    lowered = {rack: asked for rack, asked in status.lowered.items() if rack not in unseen}
    status = replace(status, lowered=lowered, stuck=status.stuck - unseen)
    return replace(snapshot, fleets={**snapshot.fleets, status.fleet.name: status})


def _status(action: Action, snapshot: Snapshot) -> FleetStatus | PoolStatus | None:
    move = action.move
    if isinstance(move, SetFleet):
        return snapshot.fleets.get(move.fleet)
    if isinstance(move, LimitGpus):
        return snapshot.pools.get(move.pool)
    job = snapshot.jobs.get(move.job)
    return snapshot.pools.get(job.job.pool) if job is not None else None


class _Proof(NamedTuple):
    proven: bool
    left: Left | None = None
    """What a meter leaves for it, where one has been read since."""
    by_meter: bool = False
    """And by nothing else."""


def _proof(pending: Pending, snapshot: Snapshot, controls: Controls, *, overdue: bool) -> _Proof:
    """By the meter of the place where it can tell, else by the devices that were moved.

    Devices that say nothing are no matter where the meter shows the move. Where they deny it, they may be right, and
    others have changed that say nothing: then nothing is proven. A meter is waited for until the move is `overdue`.
    """
    action = pending.action
    status = _status(action, snapshot)
    if status is None:
        return _Proof(True)  # the job has ended meanwhile
    if not _taken_on(pending, snapshot):
        return _Proof(False)
    proven_from = _proven_from(pending, controls)
    seen = evidence(pending.before, status)
    read = seen is not None and seen.read_from >= proven_from
    claimed = seen is not None and read and _shows(pending, seen, snapshot.pue)
    left = left_by_meter(pending.quiet, snapshot, status, controls.tick)
    if left is None or not left.can_tell or left.down is not (action.direction is Direction.DOWN):
        return _Proof(claimed)
    if left.read_at < proven_from:
        return _Proof(claimed and overdue)
    if claimed:
        return _Proof(not left.contradicts, left)
    shown = left.shows and not (read and left.silent_beside)
    return _Proof(shown, left, by_meter=shown)


def _taken_on(pending: Pending, snapshot: Snapshot) -> bool:
    """The driver shows it as it was asked for, whatever is measured."""
    move = pending.action.move
    if isinstance(move, (PauseJob, RunJob)):
        wanted = JobPhase.PAUSED if isinstance(move, PauseJob) else JobPhase.RUNNING
        if snapshot.jobs[move.job].view.phase is not wanted:
            return False
    return not without_effect(pending, snapshot)


def _proven_from(pending: Pending, controls: Controls) -> datetime:
    """A full interval has to lie between: what was read at the moment of the answer is of before."""
    return (pending.outcome.acknowledged_at or pending.since) + controls.tick


def _shows(pending: Pending, seen: Evidence, pue: float) -> bool:
    """The watts are gone, or there."""
    change_kw = pending.action.change_kw / pue
    if pending.action.direction is Direction.DOWN:
        return seen.kw <= max(seen.expected_kw * (1.0 + TOLERANCE), seen.expected_kw - TOLERANCE * change_kw)
    if seen.moved_alone:
        return seen.kw >= RISE_SHARE * seen.expected_kw
    return seen.kw >= min(pending.before_kw + RISE_SHARE * change_kw, RISE_SHARE * seen.expected_kw)


def above_caps(snapshot: Snapshot, due: Limits) -> tuple[Cap, ...]:
    """Caps that measured power exceeds now, by the meter where there is a fresh one."""
    return tuple(cap for cap in due.tightest.values() if snapshot.metered_kw(cap.at) > cap.limit_kw)


def breaches_now(
    site: Site,
    snapshot: Snapshot,
    due: Limits,
    late: Mapping[Target, str],
    shortfalls_kw: Mapping[Cap, float],
    started_at: datetime,
) -> dict[tuple[BreachKind, str], str]:
    """What is broken at this moment, each with its figures.

    `late` holds the details of late power-downs by target; `shortfalls_kw` what dispatch found no way to shed, by cap.
    """
    broken: dict[tuple[BreachKind, str], str] = {}
    for cap in above_caps(snapshot, due):
        measured_kw = snapshot.metered_kw(cap.at)
        of = "measured" if not snapshot.unmeasured(cap.at) else "by the last readings"
        broken[BreachKind.CAP, cap.source] = f"{measured_kw:.0f} kW {of}, {cap.limit_kw:.0f} kW allowed"
    for target, detail in late.items():
        broken[BreachKind.SHED, str(target)] = detail
    for cap, shortfall_kw in shortfalls_kw.items():
        if shortfall_kw > SHORT_KW and due.tightest[cap.at].limit_kw <= cap.limit_kw:
            detail = f"{shortfall_kw:.0f} kW could be shed only by interrupting guaranteed jobs"
            broken[BreachKind.SHED, cap.source] = detail
    for status in snapshot.fleets.values():
        if status.stuck:
            broken[BreachKind.SHED, str(Target.fleet(status.fleet.name))] = (
                f"racks that do not follow their setpoint: {_names(status.stuck)}"
            )
    for name, job in snapshot.jobs.items():
        if not job.tenant.sla.rules.interruptible and job.view.phase is JobPhase.PAUSED:
            broken[BreachKind.SLA, name] = f"a {job.tenant.sla} job is not running"
    silent = snapshot.silent_meters
    known = any(breach.kind is BreachKind.METER for breach in snapshot.breaches)
    if silent and (known or snapshot.at - started_at > 2 * site.controls.verify_within):
        broken[BreachKind.METER, "telemetry"] = f"no fresh reading of {_names(frozenset(silent))}"
    return broken


def follow(
    open_breaches: Iterable[Breach],
    broken: Mapping[tuple[BreachKind, str], str],
    now: datetime,
    escalate_after: timedelta,
) -> Sequence[Breach]:
    """The breaches that changed: newly opened, escalated or resolved."""
    changed: list[Breach] = []
    known = {(breach.kind, breach.subject): breach for breach in open_breaches}
    for key, breach in known.items():
        if key not in broken:
            changed.append(replace(breach, state=BreachState.RESOLVED, resolved_at=now))
        elif breach.state is BreachState.ACTIVE and now - breach.opened_at >= escalate_after:
            changed.append(replace(breach, state=BreachState.ESCALATED, escalated_at=now, detail=broken[key]))
    for (kind, subject), detail in broken.items():
        if (kind, subject) not in known:
            changed.append(
                Breach(
                    id=f"b-{now:%Y%m%dT%H%M%S%f}-{kind}-{subject.replace('/', '-').replace(' ', '-')}",
                    kind=kind,
                    subject=subject,
                    state=BreachState.ACTIVE,
                    opened_at=now,
                    detail=detail,
                )
            )
    return changed


def _names(items: AbstractSet[str], limit: int = 5) -> str:
    """A short list of names for a reason."""
    ordered = sorted(items)
    shown = ", ".join(ordered[:limit])
    return shown if len(ordered) <= limit else f"{shown} and {len(ordered) - limit} more"
