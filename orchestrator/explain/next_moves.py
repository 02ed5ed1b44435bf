"""Why a fleet or job is as it is, and when that changes next: sentences from the plan's values, in local site time."""

import math
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from orchestrator.domain.snapshot import FleetStatus, JobStatus
from orchestrator.domain.work import JobPhase
from orchestrator.explain.local_times import apart_text, clock_text, span_text
from orchestrator.explain.plan_view import PlanState, PlanView, TargetPlan
from orchestrator.explain.plan_words import (
    Moment,
    clock_at,
    otherwise_text,
    over_text,
    stretches_from,
    told_apart,
    when_text,
)
from orchestrator.forecast.outlook import Switch

OLD_AFTER = timedelta(minutes=30)
"""By then two refreshes were missed: sentences tell the plan's age from here on."""


@dataclass(frozen=True, slots=True)
class NextMove:
    """Of one fleet or job."""

    now: str
    """Why it is as it is."""
    next: str
    """When that changes; empty where no plan says."""

    @property
    def sentence(self) -> str:
        return f"{self.now} {self.next}".strip()


def is_old(view: PlanView, now: datetime) -> bool:
    return now - view.made_at > OLD_AFTER


def fleet_next(status: FleetStatus, state: PlanState, moment: Moment) -> NextMove:
    """Of a fleet; where there is no plan, or none that reaches to now, it says so."""
    fleet, view = status.fleet, state.view
    if view is None or view.end <= moment.now:
        return NextMove(_without_plan(state, moment), "")
    made = clock_text(view.made_at, moment.now, moment.zone)
    if status.view.held:
        next_ = f"The plan of {made} moves it again when it is let go."
        return NextMove(f"{fleet.model} stays as it is: {status.view.held}.", next_ + _age(view, moment))
    plan = view.fleets.get(fleet.name)
    if plan is None:
        return NextMove(f"The plan of {made} does not have {fleet.model}.", "")
    then = _fleet_then(status, plan, view, moment) + _age(view, moment)
    return NextMove(_fleet_now(status, plan, moment), then.strip())


def job_next(status: JobStatus, state: PlanState, moment: Moment, switch: Switch | None = None) -> NextMove:
    """Of a job that has not ended; where there is no plan, or none that reaches to now, it says so.

    `switch` holds the prices at which dispatch switches it, where they are not the plan's own.
    """
    job, view = status.job, state.view
    if view is None or view.end <= moment.now:
        return NextMove(_without_plan(state, moment), "")
    made = clock_text(view.made_at, moment.now, moment.zone)
    if status.view.held:
        verb = "Runs on" if status.view.phase.holds_gpus else "Waits"
        next_ = f"The plan of {made} moves it again when it is let go."
        return NextMove(f"{verb}: {status.view.held}.", next_ + _age(view, moment))
    plan = view.jobs.get(job.name)
    if plan is None:
        why = "it came later" if job.submitted_at > view.made_at else "it was left out"
        due = "" if job.deadline is None else _capital(f"{_deadline(job.deadline, moment)}.")
        return NextMove(f"The plan of {made} does not have it: {why}.", (due + _age(view, moment)).strip())
    plan = plan if switch is None else replace(plan, switch=switch)
    then = _job_then(status, plan, view, moment) + _age(view, moment)
    return NextMove(_job_now(status, plan, moment), then.strip())


def _without_plan(state: PlanState, moment: Moment) -> str:
    if state.view is not None:
        made, end = (clock_text(at, moment.now, moment.zone) for at in (state.view.made_at, state.view.end))
        text = f"The last plan, of {made}, reached only to {end}"
    else:
        text = "There is no plan yet"
    if state.why_none:
        text += f" ({state.why_none.rstrip('.')})"
    return f"{text}: the price now decides alone."


def _age(view: PlanView, moment: Moment) -> str:
    """A sentence, where the plan is old."""
    return f" The plan is {span_text(moment.now - view.made_at)} old." if is_old(view, moment.now) else ""


def _fleet_now(status: FleetStatus, plan: TargetPlan, moment: Moment) -> str:
    if plan.switch is None:
        return f"{_as_it_is(status)}: too little is known yet of how prices go, so the price now decides alone."
    tell = _awake_now if status.view.racks.awake else _asleep_now
    return tell(status, plan.switch, moment)


def _as_it_is(status: FleetStatus) -> str:
    racks = status.view.racks
    return f"{status.fleet.model} is on in {racks.text()}" if racks.awake else f"{status.fleet.model} is asleep"


def _asleep_now(status: FleetStatus, switch: Switch, moment: Moment) -> str:
    asleep, wake = _as_it_is(status), switch.wake_usd_per_mwh
    if wake == -math.inf:
        return f"{asleep}: the plan would not wake it at any price."
    at, limit = told_apart(moment.price_usd_per_mwh, wake)
    if moment.price_usd_per_mwh >= wake:
        return f"{asleep}: {moment.power} at {at} USD/MWh is above {limit}, below which the plan would wake it."
    rest = _lasts("off", status.view.last_sleep_at + status.fleet.min_off, moment)
    return f"{asleep}, though {moment.power} at {at} USD/MWh is below {limit}, where it would wake{rest}."


def _awake_now(status: FleetStatus, switch: Switch, moment: Moment) -> str:
    fleet, view, stay = status.fleet, status.view, switch.stay_usd_per_mwh
    on = _as_it_is(status)
    if stay == math.inf:
        return f"{on}; the plan keeps it on whatever power costs."
    at, limit = told_apart(moment.price_usd_per_mwh, stay)
    if moment.price_usd_per_mwh >= stay:
        rest = _lasts("on", view.last_wake_at + fleet.min_on, moment)
        return f"{on}, though {moment.power} at {at} USD/MWh is above {limit}, where it would sleep{rest}."
    text = f"{on}; it would sleep above {limit} USD/MWh"
    if view.racks.asleep and switch.wake_usd_per_mwh > -math.inf:
        rest = _lasts("off", view.last_sleep_at + fleet.min_off, moment) or ", given room"
        return f"{text}, and what sleeps would wake below {switch.wake_usd_per_mwh:.0f}{rest}."
    return f"{text}."


def _lasts(kind: str, end: datetime, moment: Moment) -> str:
    """What a minimum time adds to a sentence, while it lasts."""
    if end <= moment.now:
        return ""
    return f": its minimum {kind} time lasts until {clock_text(end, moment.now, moment.zone)}"


def _fleet_then(status: FleetStatus, plan: TargetPlan, view: PlanView, moment: Moment) -> str:
    now, later = stretches_from(plan, moment.now)
    if now is None:
        return ""
    switch = next((stretch for stretch in later if stretch.on != now.on), None)
    if now.on != bool(status.view.racks.awake):
        once = _once(plan.switch, ("It wakes", "It sleeps"), now.on, moment)
        return otherwise_text("it on" if now.on else "it asleep", once, switch, view, moment) + "."
    if switch is None:
        if later and later[0].level != now.level:
            return (
                f"It goes to {later[0].level} at {clock_at(later[0].start, moment)}{when_text(later[0].start, view)}."
            )
        return f"It stays {'on' if now.on else 'asleep'} to the plan's end, {clock_at(view.end, moment)}."
    if switch.on:
        return f"It should wake at {clock_at(switch.start, moment)}{when_text(switch.start, view)}."
    return f"Asleep {over_text(switch, view, moment)}."


def _job_now(status: JobStatus, plan: TargetPlan, moment: Moment) -> str:
    match status.view.phase:
        case JobPhase.STOPPING:
            return "Is stopping: it writes its checkpoint."
        case JobPhase.RUNNING:
            return _running_now(status, _prices(plan).stay_usd_per_mwh, moment)
        case _:
            return _waiting_now(status, _prices(plan).wake_usd_per_mwh, moment)


def _running_now(status: JobStatus, stay_usd_per_mwh: float, moment: Moment) -> str:
    runs = f"Runs on {status.view.gpus} GPUs"
    if status.tenant.sla.rules.at_any_price:
        return f"{runs} whatever power costs: it is {status.tenant.sla}."
    if stay_usd_per_mwh == math.inf:
        return f"{runs}; the plan would not pause it at any price."
    at, limit = told_apart(moment.price_usd_per_mwh, stay_usd_per_mwh)
    if moment.price_usd_per_mwh >= stay_usd_per_mwh:
        return f"{runs}, though {moment.power} at {at} USD/MWh is above {limit}, where it would pause."
    return f"{runs}; it would pause above {limit} USD/MWh."


def _waiting_now(status: JobStatus, wake_usd_per_mwh: float, moment: Moment) -> str:
    job, waits = status.job, "Paused" if status.view.phase is JobPhase.PAUSED else "Waits"
    needs, free = job.min_gpus or job.gpus, moment.free_gpus.get(job.pool, 0)
    lacks = f"it needs {needs}, {free} are free" if free < needs else ""
    if wake_usd_per_mwh == -math.inf:
        return f"{waits}: the plan would not start it at any price now."
    if wake_usd_per_mwh == math.inf:
        return f"{waits} for {f'GPUs: {lacks}' if lacks else 'room'}; it starts whatever power costs."
    at, limit = told_apart(moment.price_usd_per_mwh, wake_usd_per_mwh)
    if moment.price_usd_per_mwh >= wake_usd_per_mwh:
        return f"{waits} for cheaper power: {at} USD/MWh is above {limit}, below which the plan would start it."
    if lacks:
        return f"{waits} for GPUs: {lacks}. {_capital(moment.power)} at {at} USD/MWh is below its {limit}."
    return f"{waits}, though {moment.power} at {at} USD/MWh is below {limit}, where the plan would start it."


def _job_then(status: JobStatus, plan: TargetPlan, view: PlanView, moment: Moment) -> str:
    now, later = stretches_from(plan, moment.now)
    if now is None:
        return ""
    ends_at, runs = plan.ends_at, status.view.phase is JobPhase.RUNNING
    if ends_at is not None and ends_at <= moment.now:
        return f"The plan had it end at {clock_at(ends_at, moment)}{_slack(status.job.deadline, ends_at, moment)}."
    later = tuple(stretch for stretch in later if ends_at is None or stretch.start < ends_at)  # then it is done
    switch = next((stretch for stretch in later if stretch.on != now.on), None)
    parts = []
    if now.on != runs and status.view.phase is not JobPhase.STOPPING:
        once = _once(plan.switch, ("It goes on" if status.view.starts else "It starts", "It pauses"), now.on, moment)
        parts.append(otherwise_text("it run" if now.on else "it wait", once, switch, view, moment, ends_at))
    elif not now.on and switch is None:
        parts.append(f"It does not run before the plan's end, {clock_at(view.end, moment)}")
    elif not now.on and switch is not None:
        verb = "goes on" if status.view.starts else "starts"
        parts.append(f"It {verb} at {clock_at(switch.start, moment)}{when_text(switch.start, view)}")
    else:
        if later and later[0].on and later[0].level != now.level:
            parts.append(f"On {later[0].level} from {clock_at(later[0].start, moment)}")
        if switch is not None:
            parts.append(f"Pauses {over_text(switch, view, moment)}")
    if ends_at is not None:
        parts.append(f"expected to end at {clock_at(ends_at, moment)}{_slack(status.job.deadline, ends_at, moment)}")
    else:
        if now.on and switch is None:
            parts.append(f"runs past the plan's end, {clock_at(view.end, moment)}")
        if status.job.deadline is not None:
            parts.append(_unfinished(status.job.deadline, view, moment))
    return _capital("; ".join(parts)) + "."


def _prices(plan: TargetPlan) -> Switch:
    assert plan.switch is not None, "a plan has prices for each of its jobs"
    return plan.switch


def _once(switch: Switch | None, verbs: tuple[str, str], planned_on: bool, moment: Moment) -> str:
    """What the price must do for it to be as planned; empty where it is not the price that keeps it from that."""
    price, (starts, stops) = moment.price_usd_per_mwh, verbs
    if switch is None:
        return ""
    if planned_on and -math.inf < switch.wake_usd_per_mwh <= price:
        return f"{starts} once power is below {switch.wake_usd_per_mwh:.0f} USD/MWh"
    if not planned_on and price < switch.stay_usd_per_mwh < math.inf:
        return f"{stops} once power is above {switch.stay_usd_per_mwh:.0f} USD/MWh"
    return ""


def _slack(deadline: datetime | None, ends_at: datetime, moment: Moment) -> str:
    if deadline is None:
        return ""
    if ends_at <= deadline:
        return f", {apart_text(ends_at, deadline)} before its deadline"
    return f", {apart_text(deadline, ends_at)} after its deadline, {clock_at(deadline, moment)}"


def _unfinished(deadline: datetime, view: PlanView, moment: Moment) -> str:
    """Of the deadline of a job that the plan does not have done."""
    if moment.now < deadline <= view.end:
        return f"it is not done by its deadline, {clock_at(deadline, moment)}"
    return _deadline(deadline, moment)


def _deadline(deadline: datetime, moment: Moment) -> str:
    if deadline <= moment.now:
        return f"its deadline, {clock_at(deadline, moment)}, has passed"
    return f"its deadline is {clock_at(deadline, moment)}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
