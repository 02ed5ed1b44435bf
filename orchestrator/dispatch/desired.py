"""What should run, and the figures that decided it: `explain` puts them into words when it is asked."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from orchestrator.accounting.economics import job_value_usd_per_mwh
from orchestrator.dispatch.decide import Decided
from orchestrator.dispatch.live_columns import FleetRows, JobRows
from orchestrator.dispatch.power_price import PowerPrice, PowerPrices, price_for
from orchestrator.domain.limits import Cap
from orchestrator.domain.rack_mix import RackMix
from orchestrator.domain.site.machines import SLEEP
from orchestrator.domain.snapshot import FleetStatus, JobStatus, Snapshot
from orchestrator.domain.target import Kind, Target
from orchestrator.domain.units import KWH_PER_MWH
from orchestrator.forecast.outlook import PlanValues


@dataclass(frozen=True, slots=True)
class Worth:
    """At which prices of energy, USD/MWh, dispatch switches a fleet or job."""

    stay_usd_per_mwh: float
    """It runs: above this it stops."""
    wake_usd_per_mwh: float
    """It does not run: below this it starts."""
    planned: bool
    """A plan says so."""


class Lack(NamedTuple):
    """GPUs that a job lacked, whatever it is worth."""

    left_gpus: int
    """Of its pool, when its turn came."""
    needs_gpus: int


@dataclass(frozen=True, slots=True)
class Figures:
    """What decided over one fleet or job."""

    worth: Worth
    power: PowerPrice
    """What the power that it draws, or would draw, costs."""
    lack: Lack | None = None


class FiguresByTarget:
    """Read off the tables of a decision when they are asked for: of ten thousand jobs most never are."""

    def __init__(
        self, fleets: FleetRows, jobs: JobRows, decided: Decided, values: PlanValues | None, prices: PowerPrices
    ) -> None:
        self._fleets, self._jobs, self._decided, self._values, self._prices = fleets, jobs, decided, values, prices
        self._fleet_row: dict[str, int] = {}
        self._job_row: dict[str, int] = {}

    def of_fleet(self, name: str, racks: RackMix) -> Figures:
        """Of a fleet that should be as `racks`. KeyError where there is none of that name."""
        if not self._fleet_row:
            self._fleet_row.update(zip(self._fleets.names, range(len(self._fleets.names)), strict=True))
        row, tranches, values = self._fleet_row[name], self._decided.tranches, self._values
        worth = Worth(
            float(tranches.fleet_stay_usd_per_mwh[row]),
            float(tranches.fleet_wake_usd_per_mwh[row]),
            planned=values is not None and name in values.fleets,
        )
        runs = self._fleets.statuses[row].view.racks.awake > 0
        return Figures(worth, self._power(worth, runs=runs, on=racks.awake > 0))

    def of_job(self, name: str, gpus: int) -> Figures:
        """Of a job that should have `gpus` GPUs. KeyError where there is none of that name."""
        if not self._job_row:
            self._job_row.update(zip(self._jobs.names, range(len(self._jobs.names)), strict=True))
        row, values = self._job_row[name], self._values
        tranches, chosen = self._decided.tranches, self._decided.chosen
        worth = Worth(
            float(tranches.job_stay_usd_per_mwh[row]),
            float(tranches.job_wake_usd_per_mwh[row]),
            planned=values is not None and name in values.jobs,
        )
        power = self._power(worth, runs=self._jobs.statuses[row].view.phase.holds_gpus, on=gpus > 0)
        left, needs = int(chosen.lacks_of[row]), int(chosen.lacks_for[row])
        return Figures(worth, power, Lack(left, needs) if left >= 0 else None)

    def _power(self, worth: Worth, *, runs: bool, on: bool) -> PowerPrice:
        limit = worth.stay_usd_per_mwh if runs else worth.wake_usd_per_mwh
        return price_for(self._prices, self._decided.chosen.block_kw, limit, on=on)


@dataclass(frozen=True, slots=True)
class Desired:
    """What should run. `racks` counts every rack of each fleet by mode, silent and stuck ones included."""

    racks: Mapping[str, RackMix]
    jobs: Mapping[str, int]
    """GPUs of each open job that should run."""
    gpu_limit_w: Mapping[str, float]
    binding: tuple[Cap, ...]
    """Caps that kept a worthwhile tranche from running."""
    changes: tuple[Target, ...]
    """Fleets and jobs that change, in the snapshot's order."""
    shortfalls_kw: Mapping[Cap, float]
    """Power above each cap that is exceeded, which only an interruption of guaranteed jobs could shed."""
    order: tuple[Target, ...]
    """Those of the changes that were chosen between, in merit order."""
    figures: FiguresByTarget = field(compare=False)
    rules: tuple[str, ...] = ()
    """Those of `precedence.PRECEDENCE` that made it what it is, the highest first."""
    charges: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """What each of the site's charges comes to, by name, as a decision keeps it on record."""

    def figures_of(self, target: Target) -> Figures:
        """What decided over a fleet or job. KeyError where there is no such one."""
        match target.kind:
            case Kind.FLEET:
                return self.figures.of_fleet(target.name, self.racks[target.name])
            case Kind.JOB:
                return self.figures.of_job(target.name, self.jobs.get(target.name, 0))
            case _:
                raise KeyError(target)


def gain_usd_per_h(snapshot: Snapshot, desired: Desired, target: Target) -> float:
    """USD per hour gained by the change to a fleet or job, at the price of the power that decided over it."""
    price = desired.figures_of(target).power.usd_per_mwh
    if target.kind is Kind.FLEET:
        status, racks = snapshot.fleets[target.name], desired.racks[target.name]
        return _fleet_usd_per_h(status, racks, snapshot, price) - _fleet_usd_per_h(
            status, status.view.racks, snapshot, price
        )
    job = snapshot.jobs[target.name]
    more = desired.jobs.get(target.name, 0) - (job.view.gpus if job.view.phase.holds_gpus else 0)
    rise_kw = job_rise_kw(job, snapshot)
    return rise_kw * snapshot.pue * (job_worth_usd_per_mwh(job, snapshot) - price) / KWH_PER_MWH / job.job.gpus * more


def job_worth_usd_per_mwh(status: JobStatus, snapshot: Snapshot) -> float:
    """What the GPU-hours of a job earn by the power that they draw at the grid."""
    return job_value_usd_per_mwh(status.job.gpus, status.tenant, job_rise_kw(status, snapshot), snapshot.pue)


def job_rise_kw(status: JobStatus, snapshot: Snapshot) -> float:
    """IT power that all GPUs of a job draw above idle, at full power."""
    pool = snapshot.pools[status.job.pool].pool
    return pool.rise_kw(status.job.gpus, pool.gpu_power_w)


def _fleet_usd_per_h(status: FleetStatus, racks: RackMix, snapshot: Snapshot, price_usd_per_mwh: float) -> float:
    fleet, hashprice = status.fleet, snapshot.hashprice.value
    assert hashprice is not None, "the stale policy gives a hashprice"
    usd = 0.0
    for mode, count in racks.items():
        hash_phs = 0.0 if mode == SLEEP else fleet.mode(mode).hashrate_ths * fleet.machines_per_rack / 1000.0
        cost = fleet.rack_kw(mode) * snapshot.pue * price_usd_per_mwh / KWH_PER_MWH
        usd += count * (hash_phs * hashprice / 24.0 - cost)
    return usd
