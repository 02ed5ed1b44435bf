"""A plan as people read it: hours ahead in power and money, and for each fleet and job what comes next and why."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from orchestrator.forecast.outlook import Switch


@dataclass(frozen=True, slots=True)
class PlanStep:
    """One step of a plan; powers are grid-side kW."""

    start: datetime
    price_usd_per_mwh: float
    """Expected."""
    low_usd_per_mwh: float
    high_usd_per_mwh: float
    """Between the two the price is expected to be in four cases of five."""
    mining_kw: float
    hpc_kw: float
    overhead_kw: float
    limit_kw: float
    """Of the grid connection: the lowest cap that holds then, as known when the plan was made."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A time over which a fleet or job stays as it is."""

    start: datetime
    end: datetime
    level: str
    """`asleep`, `4 eco, 6 turbo`; `64 GPUs`, `waits`."""
    on: bool
    """It draws more than its rest: racks are awake, GPUs are busy."""


@dataclass(frozen=True, slots=True)
class TargetPlan:
    """What a plan has for one fleet or job."""

    switch: Switch | None
    """Prices at which it is switched now; None of a fleet that goes by the price now alone, whatever the plan has for
    it: too little is known of how prices go."""
    stretches: tuple[Stretch, ...]
    """From the plan's start to its end, each beginning where the one before ends."""
    ends_at: datetime | None = None
    """When a job is done, if the plan has it done; None for fleets."""


@dataclass(frozen=True, slots=True)
class PlanView:
    """A plan in force."""

    made_at: datetime
    end: datetime
    step: timedelta
    steps: tuple[PlanStep, ...]
    profit_usd: float
    """Expected over the hours ahead, credits and energy taken off."""
    bound_usd: float
    """No plan could earn more, on the same forecasts and of the jobs that are known."""
    gap: float
    """As `Plan.gap`: 0.01 is 1 %."""
    sound: bool
    """The gap is small enough for promises to be told from where the plan has its jobs."""
    seconds_to_make: float
    """On the wall."""
    broken_promises: tuple[str, ...]
    """What can't be kept, why, and what it would take, a sentence each."""
    fleets: Mapping[str, TargetPlan]
    jobs: Mapping[str, TargetPlan]


@dataclass(frozen=True, slots=True)
class PlanState:
    """The plan in force and how planning goes."""

    view: PlanView | None
    """None before the first plan."""
    problem: str = ""
    """Why the newest attempt failed or is late; empty when it was made. The last plan stays in force."""
    blocked: str = ""
    """Why none is made though one is due; empty while none is due or nothing is in its way. The last one stays in force
    until its end."""

    @property
    def why_none(self) -> str:
        """What keeps a new plan from coming, or did."""
        return self.blocked or self.problem
