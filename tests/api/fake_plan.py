"""A plan made up to go with the fake desk: a calm night and morning, and a dear hour tomorrow evening."""

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from orchestrator.domain.site.machines import Fleet
from orchestrator.domain.site.site import Site
from orchestrator.domain.sla import SlaClass
from orchestrator.domain.snapshot import JobStatus
from orchestrator.domain.work import JobPhase
from orchestrator.explain.plan_view import PlanStep, PlanView, Stretch, TargetPlan
from orchestrator.forecast.outlook import Switch

STEP = timedelta(minutes=5)
STEPS = 288
PUE = 1.118
HPC_KW = 640.0


def make_plan(site: Site, jobs: Mapping[str, JobStatus], made_at: datetime) -> PlanView:
    """Fleets sleep where the expected price is above their worth, jobs of best-effort tenants wait over the peak."""
    prices = [_price(number / 12) for number in range(STEPS)]
    starts = [made_at + number * STEP for number in range(STEPS)]
    end = made_at + STEPS * STEP
    worth = {fleet.name: _worth_usd_per_mwh(fleet) for fleet in site.fleets}
    steps = []
    for start, price in zip(starts, prices, strict=True):
        mining_kw = sum(fleet.nameplate_kw * 0.97 for fleet in site.fleets if worth[fleet.name] > price)
        spread = 0.12 + 0.5 * (start - made_at) / timedelta(hours=24)
        steps.append(
            PlanStep(
                start=start,
                price_usd_per_mwh=price,
                low_usd_per_mwh=price - spread * abs(price) - 3.0,
                high_usd_per_mwh=price + 2.0 * spread * abs(price) + 5.0,
                mining_kw=mining_kw,
                hpc_kw=HPC_KW,
                overhead_kw=(mining_kw + HPC_KW) * (PUE - 1.0),
                limit_kw=site.grid.limit_kw,
            )
        )
    return PlanView(
        made_at=made_at,
        end=end,
        step=STEP,
        steps=tuple(steps),
        profit_usd=118_240.0,
        bound_usd=119_310.0,
        gap=0.009,
        sound=True,
        seconds_to_make=1.4,
        broken_promises=(),
        fleets={fleet.name: _fleet(fleet, worth[fleet.name], starts, prices, end) for fleet in site.fleets},
        jobs={name: _job(status, starts, prices, end) for name, status in jobs.items()},
    )


def _price(hours: float) -> float:
    """By hours from 18:00 local time on."""
    usual = 31.0 + 9.0 * math.sin((hours - 13.0) / 24.0 * 2.0 * math.pi)
    tonight = 60.0 * math.exp(-((hours / 0.8) ** 2))
    tomorrow = 330.0 * math.exp(-(((hours - 22.5) / 0.7) ** 2))
    return round(usual + tonight + tomorrow, 2)


def _worth_usd_per_mwh(fleet: Fleet) -> float:
    return 62.0 * 1000.0 / 24.0 / (fleet.mode(fleet.default_mode).efficiency_j_per_th * PUE)


def _fleet(
    fleet: Fleet, worth: float, starts: Sequence[datetime], prices: Sequence[float], end: datetime
) -> TargetPlan:
    on = f"{fleet.racks} normal"
    levels = ((on, True) if worth > price else ("asleep", False) for price in prices)
    return TargetPlan(Switch(worth * 1.1, worth * 0.95), _stretches(starts, levels, end))


def _job(status: JobStatus, starts: Sequence[datetime], prices: Sequence[float], end: datetime) -> TargetPlan:
    """It runs below its price until its work is done, on all of its GPUs."""
    job, guaranteed = status.job, status.tenant.sla is SlaClass.GUARANTEED
    below = math.inf if guaranteed else 45.0 if status.view.phase is JobPhase.WAITING else 160.0
    left_h, ends_at = status.left_gpu_seconds / job.gpus / 3600.0, None
    levels = []
    for start, price in zip(starts, prices, strict=True):
        runs = ends_at is None and (guaranteed or price < below)
        levels.append((f"{job.gpus} GPUs", True) if runs else ("waits", False))
        left_h -= STEP / timedelta(hours=1) if runs else 0.0
        if runs and left_h <= 0.0:
            ends_at = start + STEP
    return TargetPlan(Switch(below, below), _stretches(starts, levels, end), ends_at)


def _stretches(starts: Sequence[datetime], levels: Iterable[tuple[str, bool]], end: datetime) -> tuple[Stretch, ...]:
    begins: list[tuple[datetime, str, bool]] = []
    for start, (level, on) in zip(starts, levels, strict=True):
        if not begins or begins[-1][1] != level:
            begins.append((start, level, on))
    ends = [start for start, _, _ in begins[1:]] + [end]
    return tuple(Stretch(start, until, level, on) for (start, level, on), until in zip(begins, ends, strict=True))
