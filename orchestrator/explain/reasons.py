"""Why a target is as it should be, in a sentence with the figures that decided it."""

from collections.abc import Iterator, Mapping
from datetime import datetime

from orchestrator.accounting.economics import mode_steps
from orchestrator.dispatch.desired import Desired, Lack, Worth, job_worth_usd_per_mwh
from orchestrator.dispatch.power_price import PowerPrice
from orchestrator.domain.limits import Cap
from orchestrator.domain.snapshot import FleetStatus, JobStatus, PoolStatus, Snapshot
from orchestrator.domain.target import GRID_CONNECTION, Kind, Target
from orchestrator.domain.work import JobPhase


class Reasons(Mapping[Target, str]):
    """Why each fleet, job and pool is as it should be, worded when asked for: of ten thousand jobs most never are."""

    def __init__(self, snapshot: Snapshot, desired: Desired) -> None:
        self._snapshot, self._desired = snapshot, desired
        self._of_kind: Mapping[Kind, Mapping[str, object]] = {
            Kind.FLEET: snapshot.fleets,
            Kind.JOB: snapshot.jobs,
            Kind.POOL: snapshot.pools,
        }
        self._worded: dict[Target, str] = {}

    def __getitem__(self, target: Target) -> str:
        if target.name not in self._of_kind.get(target.kind, ()):
            raise KeyError(target)
        if target not in self._worded:
            self._worded[target] = _reason(self._snapshot, self._desired, target)
        return self._worded[target]

    def __iter__(self) -> Iterator[Target]:
        return (Target(kind, name) for kind, names in self._of_kind.items() for name in names)

    def __len__(self) -> int:
        return sum(map(len, self._of_kind.values()))


def _reason(snapshot: Snapshot, desired: Desired, target: Target) -> str:
    if target.kind is Kind.FLEET:
        return _fleet_reason(snapshot, desired, snapshot.fleets[target.name])
    if target.kind is Kind.JOB:
        return _job_reason(snapshot, desired, snapshot.jobs[target.name])
    return _pool_reason(snapshot.pools[target.name], desired)


def _fleet_reason(snapshot: Snapshot, desired: Desired, status: FleetStatus) -> str:
    fleet, racks = status.fleet, desired.racks[status.fleet.name]
    figures = desired.figures_of(Target.fleet(fleet.name))
    switch, power, binding = figures.worth, figures.power, desired.binding
    price, awake = power.usd_per_mwh, racks.awake
    hashprice = snapshot.hashprice.value
    assert hashprice is not None, "the stale policy gives a hashprice"
    steps = mode_steps(fleet, hashprice, snapshot.pue)
    first = steps[0].value_usd_per_mwh if steps else 0.0
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
    if status.on_trust and status.dark_since is not None:
        text += f"; not seen since {status.dark_since:%H:%M:%S} UTC and held on its setpoints: nothing of it goes up"
    elif status.never_read:
        text += f"; {len(status.never_read)} racks are silent and count at nameplate"
    elif status.silent:
        text += f"; {len(status.silent)} racks are silent and count at the most that they were asked"
    return text


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


def _job_reason(snapshot: Snapshot, desired: Desired, status: JobStatus) -> str:
    job, gpus = status.job, desired.jobs.get(status.job.name, 0)
    figures = desired.figures_of(Target.job(job.name))
    switch, power, price = figures.worth, figures.power, figures.power.usd_per_mwh
    value, held_back = job_worth_usd_per_mwh(status, snapshot), _held_back(status, figures.lack)
    caps = _caps_on(snapshot.pools[job.pool].pool.feeder, desired.binding)
    who = f"{job.name} ({status.tenant.sla}, {job.gpus} GPUs)"
    running = status.view.phase.holds_gpus
    if status.view.held:
        return f"{who} {'runs on' if gpus else 'waits'}: {status.view.held}"
    if 0 < gpus < job.gpus:
        why = held_back or (f"{caps[0]} leaves no room for more" if caps else "it grows when it has run so for a while")
        return f"{who} runs on {gpus} GPUs: {why}"
    if gpus:
        return f"{who} runs{_why_runs(status, value, power, switch)}"
    state = "pauses" if running else "waits"
    if held_back is not None:
        why = held_back
    elif switch.planned and running and price >= switch.stay_usd_per_mwh:
        why = f"{power.text} USD/MWh is above {switch.stay_usd_per_mwh:.0f}, where the plan pauses it"
    elif switch.planned and not running and price >= switch.wake_usd_per_mwh:
        why = f"{power.text} USD/MWh is above {switch.wake_usd_per_mwh:.0f}, below which the plan starts it"
    elif value <= price:
        why = f"{power.text} USD/MWh costs more than its GPU-hours earn, {value:.0f}"
    elif caps:
        why = f"{caps[0]} leaves no room"
    else:
        why = f"its GPU-hours earn {value:.0f} USD/MWh, which does not pay for {power.text} and a restart"
    return f"{who} {state}: {why}"


def _held_back(status: JobStatus, lack: Lack | None) -> str | None:
    """Why the job has no more GPUs, whatever it is worth."""
    if status.view.phase is JobPhase.STOPPING:
        return "it is still writing its checkpoint"
    if lack is None:
        return None
    return f"{lack.left_gpus} GPUs of pool {status.job.pool} are left, it needs {lack.needs_gpus}"


def _why_runs(status: JobStatus, value: float, power: PowerPrice, switch: Worth) -> str:
    price = power.usd_per_mwh
    if status.tenant.sla.rules.at_any_price:
        return f": {status.tenant.sla}, whatever power costs ({price:.0f} USD/MWh now)"
    limit = switch.stay_usd_per_mwh if status.view.phase.holds_gpus else switch.wake_usd_per_mwh
    if limit <= price:
        why = "its deadline or its tenant's budget of interruptions leaves no slack"
        worth = f"the {limit:.0f} at which the plan stops it" if switch.planned else f"its worth of {value:.0f}"
        return f" at {price:.0f} USD/MWh, above {worth}: {why}"
    if switch.planned:
        return f": the plan keeps it below {limit:.0f} USD/MWh, {power.clause}"
    return f": its GPU-hours are worth {value:.0f} USD/MWh, {power.clause}"


def _pool_reason(status: PoolStatus, desired: Desired) -> str:
    pool, gpu_limit_w = status.pool, desired.gpu_limit_w[status.pool.name]
    if gpu_limit_w < pool.gpu_power_w:
        caps = _caps_on(pool.feeder, desired.binding)
        return (
            f"{pool.name} GPUs limited to {gpu_limit_w:.0f} of {pool.gpu_power_w:.0f} W: "
            f"so {caps[0] if caps else 'a cap'} holds with no guaranteed job stopped"
        )
    return f"{pool.name} GPUs at full power"
