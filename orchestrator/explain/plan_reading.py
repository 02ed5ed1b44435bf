"""A plan's arrays as people read them: hours ahead in kW, and what each fleet and job does in turn."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from orchestrator.domain.headroom import usable_share
from orchestrator.domain.rack_mix import RackMix
from orchestrator.domain.site.machines import SLEEP
from orchestrator.domain.site.site import Site
from orchestrator.domain.target import GRID_CONNECTION, Target
from orchestrator.explain.plan_view import PlanStep, PlanView, Stretch, TargetPlan
from orchestrator.forecast.outlook import Floats, Outlook, PlanValues, Switch
from orchestrator.observe.columns import hull
from orchestrator.optimizer.formulate import CapsAhead, pue_at
from orchestrator.optimizer.plan import Plan
from orchestrator.optimizer.unkept_promises import BrokenPromise, Cause, Promise

LOW, HIGH = 0.1, 0.9
"""Quantiles between which the price is expected in four cases of five."""
DONE_H = 1e-6
NO_PRICE = Switch(float("nan"), float("nan"))
"""Of a job without a value in the first step: dispatch goes by what it earns."""


class Lazily(Mapping[str, TargetPlan]):
    """Made when asked for: of ten thousand jobs few are looked at."""

    def __init__(self, names: Sequence[str], make: Callable[[int], TargetPlan]) -> None:
        self._rows = {name: row for row, name in enumerate(names)}
        self._make = make

    def __getitem__(self, name: str) -> TargetPlan:
        return self._make(self._rows[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)


@dataclass(frozen=True, slots=True)
class PlanRows:
    """What the rows of a plan are of."""

    fleets: Sequence[str]
    jobs: Sequence[str]
    left_h: Floats
    """(J,) each job's work, hours on all its GPUs."""


@dataclass(frozen=True, slots=True)
class Made:
    """When a plan was made, and how long that took."""

    at: datetime
    seconds: float


def plan_view(
    site: Site,
    plan: Plan,
    outlook: Outlook,
    caps: CapsAhead,
    values: PlanValues,
    rows: PlanRows,
    made: Made,
) -> PlanView:
    """The `plan` as people read it."""
    fleets, jobs = rows.fleets, rows.jobs
    step = timedelta(seconds=plan.step_s)
    start = datetime.fromtimestamp(plan.start, UTC)
    steps = plan.job_gpus.shape[1] if len(plan.job_gpus) else plan.fleet_kw.shape[1]
    ends = [start + number * step for number in range(steps + 1)]
    modes = {fleet.name: (fleet.racks, [one.to_mode for one in hull(fleet)]) for fleet in site.fleets}

    def of_fleet(row: int) -> TargetPlan:
        name = fleets[row]
        above = plan.fleet_racks[row]
        texts = [_level(RackMix.of_steps(*modes[name], above[:, at].tolist())) for at in range(steps)]
        on = above[0] > 0 if len(above) else np.zeros(steps, dtype=np.bool_)
        return TargetPlan(values.fleets.get(name), _stretches(ends, texts, on.tolist()))

    def of_job(row: int) -> TargetPlan:
        gpus = plan.job_gpus[row].tolist()
        texts = [f"{count} GPUs" if count else "waits" for count in gpus]
        ended_at = _ends_at(plan, row, float(rows.left_h[row]), ends)
        stretches = _stretches(ends, texts, [count > 0 for count in gpus])
        return TargetPlan(values.jobs.get(jobs[row], NO_PRICE), stretches, ended_at)

    return PlanView(
        made_at=made.at,
        end=ends[-1],
        step=step,
        steps=_steps(site, plan, outlook, caps, ends),
        profit_usd=plan.profit_usd,
        bound_usd=plan.bound_usd,
        gap=plan.gap,
        sound=plan.sound,
        seconds_to_make=made.seconds,
        broken_promises=tuple(
            told(site, promise, start, step) for promise in plan.broken if plan.sound or promise.cause.proven
        ),
        fleets=Lazily(fleets, of_fleet),
        jobs=Lazily(jobs, of_job),
    )


def _steps(site: Site, plan: Plan, outlook: Outlook, caps: CapsAhead, ends: Sequence[datetime]) -> tuple[PlanStep, ...]:
    pue = pue_at(site.cooling, outlook.outdoor_c)
    mining_kw = plan.fleet_kw.sum(axis=0) + sum(fleet.racks * fleet.rack_kw(SLEEP) for fleet in site.fleets)
    hpc_kw = plan.moved_kw.sum(axis=0) - plan.fleet_kw.sum(axis=0) + sum(pool.idle_kw for pool in site.pools)
    usable = usable_share(site.grid.measurement_uncertainty)
    expected = outlook.price_usd_per_mwh
    low, high = outlook.price_quantiles.get(LOW, expected), outlook.price_quantiles.get(HIGH, expected)
    return tuple(
        PlanStep(
            start=ends[at],
            price_usd_per_mwh=float(expected[at]),
            low_usd_per_mwh=float(min(low[at], expected[at])),
            high_usd_per_mwh=float(max(high[at], expected[at])),
            mining_kw=float(mining_kw[at]),
            hpc_kw=float(hpc_kw[at]),
            overhead_kw=float((mining_kw[at] + hpc_kw[at]) * (pue[at] - 1.0)),
            limit_kw=float(caps.grid_kw[at]) / usable,
        )
        for at in range(len(ends) - 1)
    )


def _level(racks: RackMix) -> str:
    """`asleep`, or how many racks are in which mode: `4 eco, 6 asleep`."""
    return racks.awake_first().text() if racks.awake else "asleep"


def _stretches(ends: Sequence[datetime], texts: Sequence[str], on: Sequence[bool]) -> tuple[Stretch, ...]:
    found: list[Stretch] = []
    first = 0
    for at in range(1, len(texts) + 1):
        if at == len(texts) or texts[at] != texts[first]:
            found.append(Stretch(ends[first], ends[at], texts[first], on[first]))
            first = at
    return tuple(found)


def _ends_at(plan: Plan, row: int, left_h: float, ends: Sequence[datetime]) -> datetime | None:
    """When the job's work is done, to the step; None if the plan leaves some of it."""
    busy = np.flatnonzero(plan.job_gpus[row])
    return ends[int(busy[-1]) + 1] if len(busy) and plan.done_h[row] >= left_h - DONE_H else None


def told(site: Site, promise: BrokenPromise, start: datetime, step: timedelta) -> str:
    """Of a plan that begins at `start`: what can't be kept, from when, why, and what it would take."""
    at = (start + promise.step * step).strftime("%FT%RZ")
    subject = _subject(site, promise)
    needs = [
        text
        for amount, text in (
            (promise.kw, f"{promise.kw:,.0f} kW"),
            (promise.gpus, f"{promise.gpus:,.0f} GPUs"),
            (promise.hours, f"{promise.hours:,.1f} h"),
        )
        if amount > 0.0
    ]
    takes = f"; it would take {', '.join(needs)} more" if needs else ""
    return f"{subject}, from {at}: {_why(promise, subject)}{takes}"


def _subject(site: Site, promise: BrokenPromise) -> str:
    row = promise.subject
    if promise.kind is Promise.CAP:
        return str(Target.feeder(site.feeders[row].name)) if isinstance(row, int) else f"the {GRID_CONNECTION}"
    if promise.kind is Promise.GPUS:
        assert isinstance(row, int), "pools are told by their rows"
        return f"GPU pool {site.pools[row].name}"
    return f"job {promise.subject}"


def _why(promise: BrokenPromise, subject: str) -> str:
    taken = (
        f"hold {promise.gpus:.0f} GPUs more than {subject} has to give"
        if promise.kind is Promise.GPUS
        else f"need {promise.kw:.0f} kW more than the cap on {subject} leaves"
    )
    causes = {
        Cause.GUARANTEED: f"guaranteed jobs that run {taken}",
        Cause.HELD: "other guaranteed jobs hold what it needs",
        Cause.POOL: f"it asks for {promise.needs:.0f} GPUs and its pool never has as many",
        Cause.CAPS: f"it would draw {promise.kw:.0f} kW more than the caps leave at any time",
        Cause.TIME: f"it needs {promise.needs:.2f} h and has {promise.has_h:.2f} h till its deadline",
        Cause.WORTH: "what it needs is worth more to others, or held by them",
    }
    return causes[promise.cause]
