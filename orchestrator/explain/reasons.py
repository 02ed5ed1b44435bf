"""Why a target is as it should be, in a sentence with the figures that decided it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from orchestrator.dispatch.power_price import PowerPrice
from orchestrator.domain.economics import gpus_rise_kw, job_value_usd_per_mwh, mode_steps
from orchestrator.domain.limits import Cap
from orchestrator.domain.rack_mix import RackMix
from orchestrator.domain.site import SLEEP
from orchestrator.domain.snapshot import FleetStatus, JobStatus, PoolStatus, Snapshot
from orchestrator.domain.target import GRID_CONNECTION, Kind, Target
from orchestrator.domain.units import KWH_PER_MWH

Explained = tuple[str, float]
"""A sentence, and the USD per hour gained by the change it explains."""


@dataclass(frozen=True, slots=True)
class Worth:
    """At which prices of energy, USD/MWh, dispatch switches a fleet or job."""

    stay_usd_per_mwh: float
    """It runs: above this it stops."""
    wake_usd_per_mwh: float
    """It does not run: below this it starts."""
    planned: bool
    """A plan says so."""


class Reasons(Mapping[Target, str]):
    """Why each target is as it should be, worded when it is asked for: of ten thousand jobs most never are."""

    def __init__(
        self,
        fleets: Mapping[str, object],
        jobs: Mapping[str, object],
        pools: Mapping[str, object],
        explain: Callable[[Target], Explained],
    ) -> None:
        self._names = {Kind.FLEET: fleets, Kind.JOB: jobs, Kind.POOL: pools}
        self._explain = explain
        self._explained: dict[Target, Explained] = {}

    def __getitem__(self, target: Target) -> str:
        return self._look_up(target)[0]

    def gain(self, target: Target) -> float:
        """USD per hour gained by the change to `target`."""
        return self._look_up(target)[1]

    def _look_up(self, target: Target) -> Explained:
        if target.name not in self._names.get(target.kind, ()):
            raise KeyError(target)
        if target not in self._explained:
            self._explained[target] = self._explain(target)
        return self._explained[target]

    def __iter__(self) -> Iterator[Target]:
        return (Target(kind, name) for kind, names in self._names.items() for name in names)

    def __len__(self) -> int:
        return sum(len(names) for names in self._names.values())


def fleet_reason(
    status: FleetStatus,
    racks: RackMix,
    snapshot: Snapshot,
    binding: tuple[Cap, ...],
    switch: Worth,
    power: PowerPrice,
) -> tuple[str, float]:
    """The sentence, and the USD per hour gained by going to `racks` at the price of `power`."""
    fleet, price = status.fleet, power.usd_per_mwh
    hashprice = snapshot.hashprice.value
    assert hashprice is not None, "the stale policy gives a hashprice"
    steps = mode_steps(fleet, hashprice, snapshot.pue)
    first = steps[0].value_usd_per_mwh if steps else 0.0
    awake = racks.awake
    gain = _fleet_usd_per_h(status, racks, snapshot, hashprice, price) - _fleet_usd_per_h(
        status, status.view.racks, snapshot, hashprice, price
    )
    worth = f"its hash at {first:.0f} USD/MWh"
    if status.view.held:
        text = f"{fleet.model}, {racks.text()}: stays as it is: {status.view.held}"
    elif awake == 0:
        text = f"{fleet.model} asleep: {power.text} USD/MWh is worth more than {worth}"
        if first > price:
            text = f"{fleet.model} asleep: {_hold(status, snapshot, first, power, binding, switch)}"
    elif awake < fleet.racks:
        text = f"{fleet.model}: {racks.text()}: {_hold(status, snapshot, first, power, binding, switch)}"
    else:
        text = f"{fleet.model} on, {racks.text()}: {worth} is worth more than {power.text}"
        if price >= first:
            limit = switch.stay_usd_per_mwh
            at_limit = "above which the plan lets it sleep" if switch.planned else "where a new warm-up would pay"
            kept = (
                f"its minimum on time lasts {_left(status.view.last_wake_at + fleet.min_on, snapshot)}"
                if price >= limit
                else f"{power.text} USD/MWh is above {worth}, but below {limit:.0f}, {at_limit}"
            )
            text = f"{fleet.model} on, {racks.text()}: {kept}"
    if status.stuck:
        text += f"; {len(status.stuck)} racks do not follow and count at full power"
    if status.silent:
        text += f"; {len(status.silent)} racks are silent and count at nameplate"
    return text, gain


def _hold(
    status: FleetStatus, snapshot: Snapshot, value: float, power: PowerPrice, binding: tuple[Cap, ...], switch: Worth
) -> str:
    """What keeps racks asleep whose hash is worth more than power."""
    fleet, price = status.fleet, power.usd_per_mwh
    if snapshot.at < status.view.last_sleep_at + fleet.min_off:
        return f"its minimum off time lasts {_left(status.view.last_sleep_at + fleet.min_off, snapshot)}"
    if switch.planned:
        limit = switch.stay_usd_per_mwh if status.view.racks.awake else switch.wake_usd_per_mwh
        if price >= limit:
            where = "above which the plan lets it sleep" if status.view.racks.awake else "below which the plan wakes it"
            return f"its hash is worth {value:.0f} USD/MWh, and {power.text} is not under {limit:.0f}, {where}"
    caps = _caps_on(fleet.feeder, binding)
    if caps:
        return f"{caps[0]} leaves no room for more, though its hash is worth {value:.0f} against {price:.0f} USD/MWh"
    return f"its hash at {value:.0f} USD/MWh does not pay for {power.text} and a warm-up"


def _caps_on(feeder: str, binding: tuple[Cap, ...]) -> list[str]:
    """Names of the binding caps that hold for a load on `feeder`."""
    return [cap.source for cap in binding if cap.at in (GRID_CONNECTION, Target.feeder(feeder))]


def _left(end: datetime, snapshot: Snapshot) -> str:
    return f"another {(end - snapshot.at).total_seconds() / 60.0:.0f} min"


def _fleet_usd_per_h(status: FleetStatus, racks: RackMix, snapshot: Snapshot, hashprice: float, price: float) -> float:
    fleet = status.fleet
    usd = 0.0
    for mode, count in racks.items():
        hash_phs = 0.0 if mode == SLEEP else fleet.mode(mode).hashrate_ths * fleet.machines_per_rack / 1000.0
        cost = fleet.rack_kw(mode) * snapshot.pue * price / KWH_PER_MWH
        usd += count * (hash_phs * hashprice / 24.0 - cost)
    return usd


def job_reason(
    status: JobStatus,
    gpus: int,
    snapshot: Snapshot,
    held_back: str | None,
    binding: tuple[Cap, ...],
    switch: Worth,
    power: PowerPrice,
) -> tuple[str, float]:
    """Why it should run on `gpus` GPUs (0: not), and the USD per hour gained by the change (0 where it stays)."""
    job, tenant, price = status.job, status.tenant, power.usd_per_mwh
    pool = snapshot.pools[job.pool].pool
    rise_kw = gpus_rise_kw(job.gpus, pool, pool.gpu_power_w)
    value = job_value_usd_per_mwh(job.gpus, tenant, rise_kw, snapshot.pue)
    usd_per_gpu_h = rise_kw * snapshot.pue * (value - price) / KWH_PER_MWH / job.gpus
    who = f"{job.name} ({tenant.sla}, {job.gpus} GPUs)"
    running = status.view.phase.holds_gpus
    gain = usd_per_gpu_h * (gpus - (status.view.gpus if running else 0))
    if status.view.held:
        return f"{who} {'runs on' if gpus else 'waits'}: {status.view.held}", gain
    if 0 < gpus < job.gpus:
        caps = _caps_on(pool.feeder, binding)
        why = held_back or (f"{caps[0]} leaves no room for more" if caps else "it grows when it has run so for a while")
        return f"{who} runs on {gpus} GPUs: {why}", gain
    if gpus:
        return f"{who} runs{_why_runs(status, value, power, switch)}", gain
    state = "pauses" if running else "waits"
    if held_back is not None:
        why = held_back
    elif switch.planned and running and price >= switch.stay_usd_per_mwh:
        why = f"{power.text} USD/MWh is above {switch.stay_usd_per_mwh:.0f}, where the plan pauses it"
    elif switch.planned and not running and price >= switch.wake_usd_per_mwh:
        why = f"{power.text} USD/MWh is above {switch.wake_usd_per_mwh:.0f}, below which the plan starts it"
    elif value <= price:
        why = f"{power.text} USD/MWh costs more than its GPU-hours earn, {value:.0f}"
    elif caps := _caps_on(pool.feeder, binding):
        why = f"{caps[0]} leaves no room"
    else:
        why = f"its GPU-hours earn {value:.0f} USD/MWh, which does not pay for {power.text} and a restart"
    return f"{who} {state}: {why}", gain


def _why_runs(status: JobStatus, value: float, power: PowerPrice, switch: Worth) -> str:
    price = power.usd_per_mwh
    if status.tenant.sla.rules.at_any_price:
        return f": {status.tenant.sla}, whatever power costs ({price:.0f} USD/MWh now)"
    limit = switch.stay_usd_per_mwh if status.view.phase.holds_gpus else switch.wake_usd_per_mwh
    costs = "power costs" if power.what == "power" else f"{power.what} is worth"
    if limit <= price:
        why = "its deadline or its tenant's budget of interruptions leaves no slack"
        worth = f"the {limit:.0f} at which the plan stops it" if switch.planned else f"its worth of {value:.0f}"
        return f" at {price:.0f} USD/MWh, above {worth}: {why}"
    if switch.planned:
        return f": the plan keeps it below {limit:.0f} USD/MWh, {costs} {price:.0f}"
    return f": its GPU-hours are worth {value:.0f} USD/MWh, {costs} {price:.0f}"


def pool_reason(status: PoolStatus, gpu_limit_w: float, binding: tuple[Cap, ...]) -> str:
    pool = status.pool
    if gpu_limit_w < pool.gpu_power_w:
        caps = _caps_on(pool.feeder, binding)
        return (
            f"{pool.name} GPUs limited to {gpu_limit_w:.0f} of {pool.gpu_power_w:.0f} W: "
            f"so {caps[0] if caps else 'a cap'} holds with no guaranteed job stopped"
        )
    return f"{pool.name} GPUs at full power"
