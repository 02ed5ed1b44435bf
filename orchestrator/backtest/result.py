"""What a backtest found: the market as it was, and what each strategy earned in it, interval by interval.

The engine fills these in; the JSON document, the table and the report are made from them and from nothing else. All
arrays are over the same `N` settled intervals of equal length; power is kW at the grid connection, cooling included.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from orchestrator.domain.site.site import Site
from orchestrator.domain.units import SECONDS_PER_HOUR

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class MarketSeries:
    """What no strategy has a say in. ValueError where lengths differ or a figure is not finite."""

    start_s: Ints
    """(N,) unix seconds at which each interval starts, ascending; a hole in the data is a jump."""
    step: timedelta
    """Length of each interval."""
    decided_usd_per_mwh: Floats
    """(N,) as first published: what decisions were made on."""
    settled_usd_per_mwh: Floats
    """(N,) final: what energy was paid at."""
    pue: Floats
    hashprice_usd_per_ph_day: Floats

    def __post_init__(self) -> None:
        _check(
            len(self.start_s),
            decided_usd_per_mwh=self.decided_usd_per_mwh,
            settled_usd_per_mwh=self.settled_usd_per_mwh,
            pue=self.pue,
            hashprice_usd_per_ph_day=self.hashprice_usd_per_ph_day,
        )

    def __len__(self) -> int:
        return len(self.start_s)

    @property
    def step_h(self) -> float:
        return self.step.total_seconds() / SECONDS_PER_HOUR


@dataclass(frozen=True, slots=True)
class StrategySeries:
    """What a strategy drew and earned, (N,) each. ValueError where lengths differ or a figure is not finite."""

    mining_grid_kw: Floats
    """Mean over the interval, with the fleets' share of cooling."""
    hpc_grid_kw: Floats
    """Likewise of GPU pools, idle GPUs included."""
    mining_revenue_usd: Floats
    hpc_revenue_usd: Floats
    """Billed in the interval."""
    energy_cost_usd: Floats
    """At the settled price, charges and all; negative where power was paid for."""
    credits_usd: Floats
    """SLA credits that fell due in the interval."""
    charges_usd: Mapping[str, Floats] = field(default_factory=dict)
    """Of the energy cost, what each of the site's charges cost more than the market, by name."""

    def __post_init__(self) -> None:
        columns = {name: getattr(self, name) for name in COLUMNS}
        _check(len(self.mining_grid_kw), **columns, **{f"{name}_usd": usd for name, usd in self.charges_usd.items()})

    def __len__(self) -> int:
        return len(self.mining_grid_kw)

    @property
    def grid_kw(self) -> Floats:
        return self.mining_grid_kw + self.hpc_grid_kw

    @property
    def profit_usd(self) -> Floats:
        return self.mining_revenue_usd + self.hpc_revenue_usd - self.energy_cost_usd - self.credits_usd

    @property
    def cumulative_profit_usd(self) -> Floats:
        """(N,) from the start to the end of each interval."""
        return np.cumsum(self.profit_usd)


COLUMNS = tuple(name for name in StrategySeries.__dataclass_fields__ if name != "charges_usd")
"""Those of a `StrategySeries` that it has of any site."""


def _check(length: int, **columns: Floats) -> None:
    for name, column in columns.items():
        if column.shape != (length,):
            raise ValueError(f"{name} has shape {column.shape}; {length} intervals are needed")
        if not np.isfinite(column).all():
            at = int(np.flatnonzero(~np.isfinite(column))[0])
            raise ValueError(f"{name} is {column[at]} in interval {at}; a finite figure is needed")


@dataclass(frozen=True, slots=True)
class SlaOutcome:
    """How a tenant's jobs fared. A job counts once, under how it was settled."""

    tenant: str
    on_time: int
    """Ended by its deadline, or had none and ended."""
    late: int
    """Not done at its deadline, whenever it ended; one that is withdrawn after it is counted here."""
    withdrawn: int
    """Taken back by its tenant before it ended."""
    failed: int
    """Ended by itself with an error: nobody's promise."""
    open: int
    """Not done at the end of the period, deadline not reached."""
    interruptions: int
    billed_gpu_hours: float
    credits_usd: float
    unpaid_power_usd: float
    """Cost of power beyond what was billed, over the intervals in which a job's power cost more than it paid."""
    most_in_an_hour: int
    """Interruptions in the worst hour that ends with an interval's start."""
    windows_over_budget: int
    """Such hours, one for each interval, with more interruptions than the tenant's budget allows."""

    @property
    def handed_in(self) -> int:
        return self.on_time + self.late + self.withdrawn + self.failed + self.open


@dataclass(frozen=True, slots=True)
class PlannerFacts:
    """How the planning behind a strategy went; a figure is None where there was nothing to measure."""

    plans: int
    """Made in time and taken into force."""
    late_plans: int
    """Failed or came too late: the last one stayed in force."""
    mean_gap: float | None
    """Share of a plan's own bound (0.01 = 1 %) that it was proven to be within, averaged over plans."""
    worst_age_s: float | None
    """Oldest plan that was ever acted on, in site time."""
    mean_ms: float | None
    """To make one plan, on the machine the backtest ran on."""
    p99_ms: float | None


@dataclass(frozen=True, slots=True)
class StrategyResult:
    """One strategy over the whole period."""

    name: str
    """As asked for: `plan`, `threshold=80`."""
    series: StrategySeries
    starts: Mapping[str, int]
    """By fleet: racks that were woken."""
    job_starts: int
    """First starts and restarts."""
    outcomes: tuple[SlaOutcome, ...]
    """In the order of the site's tenants."""
    seconds_above_cap: float
    """Seconds in which the grid connection or a feeder was above its limit."""
    highest_grid_kw: float
    """At the finest step that was simulated."""
    planner: PlannerFacts | None
    """None where the strategy does not plan."""
    seconds: float
    """Wall time it took."""
    peak_mb: float
    """Most memory (MiB) its process held."""
    assumptions: tuple[str, ...] = ()
    """What this strategy knows or leaves out, each a sentence: 'knows all prices of the next 24 h'."""

    @property
    def interruptions(self) -> int:
        return sum(outcome.interruptions for outcome in self.outcomes)

    @property
    def windows_over_budget(self) -> int:
        """Of all tenants together."""
        return sum(outcome.windows_over_budget for outcome in self.outcomes)


@dataclass(frozen=True, slots=True)
class Source:
    """Where an input came from."""

    name: str
    """File name, or what was assumed in its place: `55 USD per PH/s per day`."""
    detail: str = ""
    """What is in it, and how it was used, in words."""
    sha256: str = ""
    """Of the file, so that a second run can tell that it reads the same; empty where there is no file."""


@dataclass(frozen=True, slots=True)
class ForecastSkill:
    """How good the price forecast was at one distance, against the prices that came."""

    hours_ahead: float
    """Up to so many hours ahead, and more than the row before."""
    mae_usd_per_mwh: float
    """Mean absolute error."""
    pinball_usd_per_mwh: float
    """Mean over the forecast's quantiles."""
    count: int


@dataclass(frozen=True, slots=True)
class BacktestResult:
    """Strategies side by side in the same market. ValueError where their series are not as long as the market's."""

    site: Site
    start: datetime
    """First settled instant; aware, UTC."""
    end: datetime
    market: MarketSeries
    strategies: tuple[StrategyResult, ...]
    """In the order asked for."""
    bound_usd: float | None
    """Proven: no decisions could have earned more within the site's limits, less its meters' uncertainty. None where it
    was not worked out."""
    prices: tuple[Source, ...]
    hashprice: Source
    weather: Source
    trace: Source | None
    """None: no jobs."""
    seed: int
    warnings: tuple[str, ...]
    """Notes on the data, a sentence each: what was filled, corrected, left out or assumed, and how jobs were made."""
    assumptions: tuple[str, ...]
    """How it was simulated and what was left out, a sentence each."""
    versions: Mapping[str, str]
    """Wattshift, Python, numpy, ...: by name."""
    seconds: float
    """Wall time of the whole run."""
    peak_mb: float
    """Most memory (MiB) that any one of its processes held."""
    command: str = ""
    """The command line that runs it again."""
    skill: tuple[ForecastSkill, ...] = ()
    """By hours ahead, ascending; empty where nothing was forecast."""
    bound_note: str = ""
    """How the bound was found, or why there is none, in a sentence."""

    def __post_init__(self) -> None:
        for strategy in self.strategies:
            if len(strategy.series) != len(self.market):
                raise ValueError(
                    f"strategy {strategy.name} has {len(strategy.series)} intervals, the market {len(self.market)}"
                )

    def strategy(self, name: str) -> StrategyResult:
        """KeyError where it was not asked for."""
        for strategy in self.strategies:
            if strategy.name == name:
                return strategy
        raise KeyError(f"no strategy {name}; there is {', '.join(strategy.name for strategy in self.strategies)}")
