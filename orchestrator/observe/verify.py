"""Did it happen? Actions held against the meter, and promises that are not kept."""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

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
from orchestrator.domain.site import Controls, Site
from orchestrator.domain.snapshot import FleetStatus, PoolStatus, Snapshot
from orchestrator.domain.target import Target
from orchestrator.domain.work import JobPhase
from orchestrator.observe.proof import Evidence, Mark, evidence

TOLERANCE = 0.02
"""Share of the expected power by which a measured power-down may be off."""
SHORT_KW = 1.0
"""A shortfall under this is rounding."""
RISE_SHARE = 0.7
"""Share of an expected rise that must be measured."""


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


def without_effect(pending: Pending, snapshot: Snapshot) -> bool:
    """The driver accepted it and shows what it moves as before: its power may well be that of the old setpoint."""
    return pending.before is not None and pending.before == mark_of(pending.action.move, snapshot)


def check(pending: Pending, snapshot: Snapshot, controls: Controls) -> Outcome:
    """The action's outcome as of this snapshot: still acknowledged, measured, or late."""
    outcome = pending.outcome
    if _measured(pending, snapshot, controls):
        return replace(outcome, state=OutcomeState.MEASURED, measured_at=snapshot.at)
    within = controls.down_within if pending.action.direction is Direction.DOWN else controls.up_within
    if snapshot.at - pending.since > within:
        if without_effect(pending, snapshot):
            detail = f"accepted, and nothing has changed after {within.total_seconds():.0f} s"
            return replace(outcome, state=OutcomeState.LATE, detail=detail)
        status = _status(pending.action, snapshot)
        silent = len(status.silent) if status is not None else 0
        counted = f"{status.counted_kw:.0f} kW counted" if status is not None else "no longer there"
        detail = f"{counted} after {within.total_seconds():.0f} s, {pending.before_kw:.0f} kW before"
        if silent:
            detail += f"; {silent} meters are silent, which proves nothing"
        return replace(outcome, state=OutcomeState.LATE, detail=detail)
    return outcome


def _status(action: Action, snapshot: Snapshot) -> FleetStatus | PoolStatus | None:
    move = action.move
    if isinstance(move, SetFleet):
        return snapshot.fleets.get(move.fleet)
    if isinstance(move, LimitGpus):
        return snapshot.pools.get(move.pool)
    job = snapshot.jobs.get(move.job)
    return snapshot.pools.get(job.job.pool) if job is not None else None


def _measured(pending: Pending, snapshot: Snapshot, controls: Controls) -> bool:
    action, move = pending.action, pending.action.move
    status = _status(action, snapshot)
    if status is None:
        return True  # the job has ended meanwhile
    if without_effect(pending, snapshot):
        return False
    if isinstance(move, (PauseJob, RunJob)):
        phase = snapshot.jobs[move.job].view.phase
        if phase is not (JobPhase.PAUSED if isinstance(move, PauseJob) else JobPhase.RUNNING):
            return False
    seen = evidence(pending.before, status)
    # A full interval has to lie between: what was read at the moment of the answer is of before.
    proven_from = (pending.outcome.acknowledged_at or pending.since) + controls.tick
    return seen is not None and seen.read_from >= proven_from and _shows(pending, seen, snapshot.pue)


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
