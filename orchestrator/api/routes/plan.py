"""GET /plan: the hours ahead in power and money, how good the plan provably is, and what is next for whom."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from orchestrator.api.asking import DeskNow
from orchestrator.api.desk import Desk
from orchestrator.api.next_moves import Teller
from orchestrator.api.problems import not_found
from orchestrator.domain.snapshot import Snapshot
from orchestrator.explain.next_moves import NextMove, is_old
from orchestrator.explain.plan_view import PlanState, PlanStep, PlanView, Stretch, TargetPlan

router = APIRouter(tags=["plan"])

NOT_MADE = "No plan is made yet: dispatch decides by the price now alone"

ListLimit = Annotated[int, Query(ge=0, le=1000, description="At most this many; 0 leaves the list out")]
ListOffset = Annotated[int, Query(ge=0, description="Skip this many")]


class PlanOutline(BaseModel):
    """How the plan stands, without its hours; before the first plan its figures are null and `problem` says so."""

    made_at: datetime | None
    age_seconds: float | None = Field(description="Site time since it was made")
    old: bool = Field(description="Refreshes were missed, or it reaches no further: treat it with care")
    end: datetime | None
    profit_usd: float | None = Field(description="Expected to its end: revenue less energy and credits")
    bound_usd: float | None = Field(description="No plan could earn more on the same forecasts, with the jobs known")
    gap: float | None = Field(
        description="(bound - profit) / |bound|, or a twentieth of revenue and energy together where that is more: "
        "0.01 is 1 %; null where it has no meaning"
    )
    seconds_to_make: float | None = Field(description="On the wall")
    failed: bool = Field(description="The newest attempt failed or is late; the last plan, if any, stays in force")
    problem: str | None = Field(description="Why it failed, or why there is no plan")
    blocked: str | None = Field(
        description="Why none is made though one is due: too little is measured; the last plan stays in force"
    )
    sound: bool | None = Field(
        description="Its gap is at most 3 %; of one that is not, only promises are told that no plan could keep"
    )
    broken_promises_total: int
    broken_promises: list[str] = Field(
        description="What the plan cannot keep, why, and what it would take; in /state the first 20"
    )

    @staticmethod
    def of(state: PlanState, now: datetime, most_promises: int | None = None) -> "PlanOutline":
        view = state.view
        why = state.why_none
        if view is None:
            return PlanOutline(
                made_at=None,
                age_seconds=None,
                old=False,
                end=None,
                profit_usd=None,
                bound_usd=None,
                gap=None,
                seconds_to_make=None,
                failed=bool(state.problem),
                problem=f"{NOT_MADE} ({why.rstrip('.')})" if why else NOT_MADE,
                blocked=state.blocked or None,
                sound=None,
                broken_promises_total=0,
                broken_promises=[],
            )
        return PlanOutline(
            made_at=view.made_at,
            age_seconds=(now - view.made_at).total_seconds(),
            old=is_old(view, now) or view.end <= now,
            end=view.end,
            profit_usd=_finite(view.profit_usd),
            bound_usd=_finite(view.bound_usd),
            gap=_finite(view.gap),
            seconds_to_make=view.seconds_to_make,
            failed=bool(state.problem),
            problem=state.problem or None,
            blocked=state.blocked or None,
            sound=view.sound,
            broken_promises_total=len(view.broken_promises),
            broken_promises=list(view.broken_promises[:most_promises]),
        )


class StepDocument(BaseModel):
    start: datetime
    price_usd_per_mwh: float = Field(description="Expected")
    low_usd_per_mwh: float = Field(description="In four cases of five the price is between this and `high_usd_per_mwh`")
    high_usd_per_mwh: float
    mining_kw: float = Field(description="Before cooling")
    hpc_kw: float = Field(description="Before cooling")
    overhead_kw: float = Field(description="Cooling and distribution")
    limit_kw: float = Field(description="Lowest cap on the grid connection then, as known when the plan was made")

    @staticmethod
    def of(step: PlanStep) -> "StepDocument":
        return StepDocument(
            start=step.start,
            price_usd_per_mwh=step.price_usd_per_mwh,
            low_usd_per_mwh=step.low_usd_per_mwh,
            high_usd_per_mwh=step.high_usd_per_mwh,
            mining_kw=step.mining_kw,
            hpc_kw=step.hpc_kw,
            overhead_kw=step.overhead_kw,
            limit_kw=step.limit_kw,
        )


class StretchDocument(BaseModel):
    start: datetime
    end: datetime
    level: str = Field(description="`asleep`, `4 eco, 6 turbo`; `64 GPUs`, `waits`")
    on: bool = Field(description="Racks are awake, GPUs are busy")

    @staticmethod
    def of(stretch: Stretch) -> "StretchDocument":
        return StretchDocument(start=stretch.start, end=stretch.end, level=stretch.level, on=stretch.on)


class TargetDocument(BaseModel):
    """What the plan has for one fleet or job."""

    name: str
    stay_usd_per_mwh: float | None = Field(
        description="The plan's: while it runs, above this it should stop; null: at no price. "
        "`now` has the price at which dispatch stops a job, which is never less than what stopping it loses"
    )
    wake_usd_per_mwh: float | None = Field(
        description="While it does not run: below this it should start; null: the price does not matter, see `now`"
    )
    now: str | None = Field(description="Why it is as it is; null for what is not on the site any more")
    next: str | None = Field(description="When that changes, in local site time; null for what has no change to tell")
    ends_at: datetime | None = Field(description="When a job is done, if the plan has it done; null for fleets")
    stretches: list[StretchDocument] = Field(description="Each begins where the one before ends")

    @staticmethod
    def of(name: str, plan: TargetPlan, told: NextMove | None) -> "TargetDocument":
        return TargetDocument(
            name=name,
            stay_usd_per_mwh=_finite(plan.switch.stay_usd_per_mwh) if plan.switch else None,
            wake_usd_per_mwh=_finite(plan.switch.wake_usd_per_mwh) if plan.switch else None,
            now=told.now if told else None,
            next=(told.next or None) if told else None,
            ends_at=plan.ends_at,
            stretches=[StretchDocument.of(stretch) for stretch in plan.stretches],
        )


class PlanDocument(PlanOutline):
    step_seconds: float | None = Field(description="Length of each of `steps`")
    steps: list[StepDocument] = Field(description="From the plan's start to its end")
    fleets_total: int
    fleets: list[TargetDocument] = Field(description="In the order of the site file")
    jobs_total: int
    jobs: list[TargetDocument] = Field(description="By name")


@router.get("/plan")
async def plan(
    desk: DeskNow,
    fleets_limit: ListLimit = 50,
    fleets_offset: ListOffset = 0,
    jobs_limit: ListLimit = 50,
    jobs_offset: ListOffset = 0,
) -> PlanDocument:
    """The plan in force: expected price and power by step, profit with its proven bound, and for each fleet and job
    its switch prices, what comes next, and why it is now as it is. Before the first plan `problem` says so."""
    asked = _Asked.of(desk)
    view = asked.state.view
    if view is None:
        nothing = PlanOutline.of(asked.state, asked.now).model_dump()
        return PlanDocument(**nothing, step_seconds=None, steps=[], fleets_total=0, fleets=[], jobs_total=0, jobs=[])
    fleets = [fleet.name for fleet in desk.site.fleets if fleet.name in view.fleets]
    jobs = sorted(view.jobs)
    return await run_in_threadpool(  # thousands of sentences take longer than the control loop should wait
        _document,
        asked,
        view,
        fleets[fleets_offset : fleets_offset + fleets_limit],
        jobs[jobs_offset : jobs_offset + jobs_limit],
    )


@router.get("/plan/fleets/{name}")
async def planned_fleet(desk: DeskNow, name: str) -> TargetDocument:
    """What the plan has for one fleet; 404 where there is no plan, or none for it."""
    asked = _Asked.of(desk)
    if asked.state.view is None or name not in asked.state.view.fleets:
        raise not_found("plan for the fleet", name)
    return asked.fleets([name])[0]


@router.get("/plan/jobs/{name}")
async def planned_job(desk: DeskNow, name: str) -> TargetDocument:
    """What the plan has for one job; 404 where there is no plan, or none for it."""
    asked = _Asked.of(desk)
    if asked.state.view is None or name not in asked.state.view.jobs:
        raise not_found("plan for the job", name)
    return asked.jobs([name])[0]


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a document is made from, as it was when it was asked for."""

    now: datetime
    state: PlanState
    snapshot: Snapshot | None
    teller: Teller | None
    """None before the first observation."""

    @staticmethod
    def of(desk: Desk) -> "_Asked":
        now, state, snapshot = desk.clock_info().now, desk.plan(), desk.snapshot()
        teller = None if snapshot is None else Teller(desk.site, state, snapshot, now)
        return _Asked(now, state, snapshot, teller)

    def fleets(self, names: Sequence[str]) -> list[TargetDocument]:
        seen = self.snapshot.fleets if self.snapshot is not None else {}
        told = {name: self.teller.fleet(seen[name]) for name in names if name in seen} if self.teller else {}
        planned = self.state.view.fleets if self.state.view is not None else {}
        return [TargetDocument.of(name, planned[name], told.get(name)) for name in names]

    def jobs(self, names: Sequence[str]) -> list[TargetDocument]:
        seen = self.snapshot.jobs if self.snapshot is not None else {}
        told = {name: self.teller.job(seen[name]) for name in names if name in seen} if self.teller else {}
        planned = self.state.view.jobs if self.state.view is not None else {}
        return [TargetDocument.of(name, planned[name], told.get(name)) for name in names]


def _document(asked: _Asked, view: PlanView, fleets: Sequence[str], jobs: Sequence[str]) -> PlanDocument:
    return PlanDocument(
        **PlanOutline.of(asked.state, asked.now).model_dump(),
        step_seconds=view.step.total_seconds(),
        steps=[StepDocument.of(step) for step in view.steps],
        fleets_total=len(view.fleets),
        fleets=asked.fleets(fleets),
        jobs_total=len(view.jobs),
        jobs=asked.jobs(jobs),
    )


def _finite(value: float) -> float | None:
    """JSON has no infinity."""
    return value if math.isfinite(value) else None
