"""What gauges show, read off the latest round when somebody asks: nothing is kept twice, and nothing made up.

What is not known is left out. No series is a job's or a rack's.
"""

import itertools
import math
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter

from orchestrator.accounting.economics import mining_value_usd_per_mwh
from orchestrator.domain.decision import BreachKind
from orchestrator.domain.limits import Curtailment
from orchestrator.domain.market import PRICE_BASES
from orchestrator.domain.observation import Metric, Quality, Telemetry
from orchestrator.domain.site.machines import Fleet
from orchestrator.domain.site.site import Site
from orchestrator.domain.sla import SlaClass
from orchestrator.domain.snapshot import FleetStatus, PoolStatus, Snapshot
from orchestrator.domain.target import GRID_CONNECTION
from orchestrator.domain.units import JOULES_PER_KWH
from orchestrator.domain.work import JobPhase
from orchestrator.explain.plan_view import PlanState
from orchestrator.observe.assess import Inputs
from orchestrator.observe.jobs_at_risk import JobsWatched, tenant_power_kw, watch_jobs
from orchestrator.observe.power_shares import PowerShares, power_shares
from orchestrator.runtime.observability.metrics.sheet import Labels, Sheet
from orchestrator.runtime.observability.metrics.vocabulary import INPUTS

_TENANT_AND_PHASE = attrgetter("job.tenant", "phase")


@dataclass(frozen=True, slots=True)
class Seen:
    """What a round came to, and what has come in since."""

    now: datetime
    """Site time of the scrape: ages count on while the loop stands still."""
    snapshot: Snapshot
    inputs: Inputs
    curtailments: Sequence[Curtailment]
    plan: PlanState
    pending: int


class Gauges:
    """Fills sheets for one site."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._fleet_labels: dict[str, Labels] = {
            fleet.name: {"fleet": fleet.name, "site": site.name} for fleet in site.fleets
        }
        self._sla = {tenant.name: tenant.sla for tenant in site.tenants}
        self._worth = {fleet.name: _worth_usd_per_mwh(fleet) for fleet in site.fleets}

    def fill(self, sheet: Sheet, seen: Seen) -> None:
        snapshot, jobs = seen.snapshot, watch_jobs(seen.snapshot.jobs.values(), seen.now)
        shares = power_shares(snapshot)
        self._power(sheet, snapshot, shares)
        _meters(sheet, snapshot)
        self._fleets(sheet, snapshot, shares)
        _pools(sheet, snapshot, shares, jobs)
        sheet.put("devices_estimated", len(snapshot.estimated))
        _market(sheet, snapshot)
        _inputs(sheet, seen)
        _loop(sheet, seen)
        self._jobs(sheet, seen, jobs)
        self._tenants(sheet, snapshot, shares, jobs)

    def _power(self, sheet: Sheet, snapshot: Snapshot, shares: PowerShares) -> None:
        fleets, pools = snapshot.fleets.values(), snapshot.pools.values()
        mining, hpc = _known(fleets), _known(pools)
        if mining:
            sheet.put("power_watts", shares.mining_kw * 1000.0, use="mining")
        if hpc:
            sheet.put("power_watts", shares.hpc_kw * 1000.0, use="hpc")
        if mining and hpc:
            sheet.put("power_watts", shares.overhead_kw * 1000.0, use="overhead")
        if (mining and hpc) or snapshot.meters.kw(GRID_CONNECTION) is not None:
            sheet.put("grid_power_watts", shares.grid.kw * 1000.0)
        sheet.put("power_assumed_watts", shares.grid.assumed_kw * 1000.0)
        sheet.put("power_suspect_watts", sum(shares.grid.claimed_kw.values()) * 1000.0)
        sheet.put("setpoint_watts", sum(status.expected_kw for status in pools) * 1000.0, use="hpc")
        sheet.put("grid_limit_watts", snapshot.limits.grid.limit_kw * 1000.0)
        sheet.put("grid_connection_watts", self._site.grid.limit_kw * 1000.0)
        for name in shares.feeders:
            sheet.put("feeder_limit_watts", snapshot.limits.feeder(name).limit_kw * 1000.0, feeder=name)
        by_feeder: dict[str, list[FleetStatus | PoolStatus]] = {name: [] for name in shares.feeders}
        for fleet in fleets:
            by_feeder[fleet.fleet.feeder].append(fleet)
        for pool in pools:
            by_feeder[pool.pool.feeder].append(pool)
        for name, devices in by_feeder.items():
            share = shares.feeders[name]
            if _known(devices) or share.metered:
                sheet.put("feeder_power_watts", share.kw * 1000.0, feeder=name)
            sheet.put("feeder_power_assumed_watts", share.assumed_kw * 1000.0, feeder=name)

    def _fleets(self, sheet: Sheet, snapshot: Snapshot, shares: PowerShares) -> None:
        rows = [(self._fleet_labels[name], status) for name, status in snapshot.fleets.items()]
        setpoints_w = [status.fleet.setpoint_kw(status.view.racks) * 1000.0 for status in snapshot.fleets.values()]
        sheet.put("setpoint_watts", sum(setpoints_w), use="mining")
        sheet.column(
            "fleet_power_watts",
            ((labels, shares.fleets[status.fleet.name].kw * 1000.0) for labels, status in rows if not _dark(status)),
        )
        sheet.column(
            "fleet_setpoint_watts",
            ((labels, setpoint_w) for (labels, _), setpoint_w in zip(rows, setpoints_w, strict=True)),
        )
        sheet.column(
            "fleet_hashrate_hashes_per_second",
            ((labels, phs * 1e15) for labels, status in rows if (phs := status.hashrate_phs) is not None),
        )
        sheet.column("fleet_racks", ((labels, len(status.view.rack_modes)) for labels, status in rows))
        sheet.column("fleet_racks_awake", ((labels, status.view.racks.awake) for labels, status in rows))
        sheet.column("fleet_racks_silent", ((labels, len(status.silent)) for labels, status in rows))
        sheet.column(
            "fleet_racks_suspect",
            ((labels, _count_suspect(status.view.rack_modes, snapshot)) for labels, status in rows),
        )
        more_kw = snapshot.unexplained_kw
        sheet.column(
            "fleet_unexplained_watts",
            (
                (labels, sum(more_kw.get(rack, 0.0) for rack in status.view.rack_modes) * 1000.0 if more_kw else 0.0)
                for labels, status in rows
            ),
        )
        sheet.column("fleet_racks_stuck", ((labels, len(status.stuck)) for labels, status in rows))
        hashprice = snapshot.hashprice.value
        if hashprice is not None:
            hash_over_power = hashprice / snapshot.pue
            sheet.column(
                "break_even_usd_per_mwh",
                ((labels, self._worth[status.fleet.name] * hash_over_power) for labels, status in rows),
            )

    def _jobs(self, sheet: Sheet, seen: Seen, jobs: JobsWatched) -> None:
        counts = {(sla, phase): 0 for sla in SlaClass for phase in JobPhase}
        listed = Counter(map(_TENANT_AND_PHASE, seen.inputs.workloads.jobs.values()))
        for (tenant, phase), count in listed.items():
            counts[self._sla[tenant], phase] += count
        for (sla, phase), count in counts.items():
            sheet.put("jobs", count, sla_class=sla, phase=phase)
        for sla, count in jobs.at_risk.items():
            sheet.put("jobs_at_risk", count, sla_class=sla)
        for sla, count in jobs.estimated.items():
            sheet.put("jobs_estimated", count, sla_class=sla)

    def _tenants(self, sheet: Sheet, snapshot: Snapshot, shares: PowerShares, jobs: JobsWatched) -> None:
        power = tenant_power_kw(snapshot.pools, {name: share.kw for name, share in shares.pools.items()}, jobs.gpus)
        for tenant in self._site.tenants:
            sheet.put("tenant_power_watts", power.get(tenant.name, 0.0) * 1000.0, tenant=tenant.name)
            if tenant.interruptions_per_hour > 0:
                count = snapshot.interruptions_last_hour.get(tenant.name, 0)
                sheet.put("sla_budget_burnt_ratio", count / tenant.interruptions_per_hour, tenant=tenant.name)


def _meters(sheet: Sheet, snapshot: Snapshot) -> None:
    meters = snapshot.meters
    for name, meter in meters.meters.items():
        sheet.put("meter_silent", float(meter.kw is None), meter=name)
        sheet.put("meter_suspect", float(meter.reading.quality is Quality.SUSPECT or bool(meter.apart)), meter=name)
        if meter.kw is not None and meter.residual_kw is not None:
            sheet.put("meter_watts", meter.kw * 1000.0, meter=name)
            sheet.put("meter_residual_watts", meter.residual_kw * 1000.0, meter=name)
    for name, balance in snapshot.balances.items():
        sheet.put("meter_energy_joules", balance.metered_kwh * JOULES_PER_KWH, meter=name)
        sheet.put("meter_residual_joules", balance.residual_kwh * JOULES_PER_KWH, meter=name)
    if snapshot.measured_pue is not None:
        sheet.put("pue_measured_ratio", snapshot.measured_pue)
    for bias in meters.biases:
        sheet.put("meter_bias_ratio", bias.share, devices=bias.of.name)
        sheet.put("meter_bias_spread_ratio", bias.spread, devices=bias.of.name)
        sheet.put("meter_bias_moved", float(bias.moved), devices=bias.of.name)


def _worth_usd_per_mwh(fleet: Fleet) -> float:
    """What the mode that gets most hash from a watt earns at a hashprice of 1 USD and a PUE of 1."""
    return max(mining_value_usd_per_mwh(mode.power_w, mode.hashrate_ths, 1.0, 1.0) for mode in fleet.modes)


def _dark(status: FleetStatus | PoolStatus) -> bool:
    """No device of it has a fresh reading."""
    devices = len(status.view.rack_modes) if isinstance(status, FleetStatus) else status.pool.nodes
    return 0 < devices <= len(status.silent)


def _known(devices: Iterable[FleetStatus | PoolStatus]) -> bool:
    """Something of it is measured, or there is nothing to measure."""
    dark = [_dark(status) for status in devices]
    return not dark or not all(dark)


def _pools(sheet: Sheet, snapshot: Snapshot, shares: PowerShares, jobs: JobsWatched) -> None:
    busy = dict.fromkeys(snapshot.pools, 0)
    for (pool, _), gpus in jobs.gpus.items():
        busy[pool] += gpus
    for name, status in snapshot.pools.items():
        if not _dark(status):
            sheet.put("pool_power_watts", shares.pools[name].kw * 1000.0, pool=name)
        sheet.put("pool_setpoint_watts", status.expected_kw * 1000.0, pool=name)
        sheet.put("pool_gpus", status.pool.gpus, pool=name)
        sheet.put("pool_gpus_busy", busy[name], pool=name)
        sheet.put("pool_nodes_silent", len(status.silent), pool=name)
        sheet.put("pool_nodes_suspect", _count_suspect(status.pool.node_names(), snapshot), pool=name)


def _count_suspect(devices: Collection[str], snapshot: Snapshot) -> int:
    """Of these racks or nodes; most often none of the site is."""
    return sum(device in snapshot.suspect for device in devices) if snapshot.suspect else 0


def _market(sheet: Sheet, snapshot: Snapshot) -> None:
    price = snapshot.price
    sheet.put("price_usd_per_mwh", price.usd_per_mwh)
    for basis in dict.fromkeys((*PRICE_BASES, price.basis)):
        sheet.put("price_basis", float(basis == price.basis), basis=basis)
    day_ahead = snapshot.book.day_ahead_at(snapshot.at)
    if day_ahead is not None:
        sheet.put("day_ahead_price_usd_per_mwh", day_ahead.usd_per_mwh)
    if snapshot.hashprice.value is not None:
        sheet.put("hashprice_usd_per_phs_day", snapshot.hashprice.value)
    if snapshot.outdoor.value is not None:
        sheet.put("outdoor_celsius", snapshot.outdoor.value)
    sheet.put("pue_ratio", snapshot.pue)


def _inputs(sheet: Sheet, seen: Seen) -> None:
    snapshot, inputs = seen.snapshot, seen.inputs
    last = inputs.book.last_real_time(seen.now)
    read_at = {
        "price": min(last.end, seen.now) if last is not None else None,
        "hashprice": inputs.hashprice.at,
        "temperature": inputs.outdoor.at,
        "telemetry": _read_longest_ago(snapshot, inputs.telemetry),
    }
    silent = any(fleet.silent for fleet in snapshot.fleets.values()) or any(
        pool.silent for pool in snapshot.pools.values()
    )
    for name in INPUTS:
        at = read_at[name]
        if at is not None:
            sheet.put("input_age_seconds", max((seen.now - at).total_seconds(), 0.0), input=name)
        stale = silent if name == "telemetry" else name in snapshot.stale
        sheet.put("input_stale", float(stale), input=name)


def _read_longest_ago(snapshot: Snapshot, telemetry: Telemetry) -> datetime | None:
    """Of the devices that are there now and have been read."""
    racks, nodes = telemetry.readings(Metric.ASIC_POWER), telemetry.readings(Metric.NODE_POWER)
    readings = itertools.chain(
        (racks.get(rack) for status in snapshot.fleets.values() for rack in status.view.rack_modes),
        (nodes.get(node) for status in snapshot.pools.values() for node in status.pool.node_names()),
    )
    return min((reading.at for reading in readings if reading is not None and reading.at is not None), default=None)


def _loop(sheet: Sheet, seen: Seen) -> None:
    sheet.put("actions_pending", seen.pending)
    active = dict.fromkeys(BreachKind, 0)
    for breach in seen.snapshot.breaches:
        active[breach.kind] += 1
    for kind, count in active.items():
        sheet.put("breaches_active", count, kind=kind)
    sheet.put("curtailments_active", sum(order.in_force(seen.now) for order in seen.curtailments))
    sheet.put("watched_objects", len(seen.inputs.workloads.fleets), kind="fleet")
    sheet.put("watched_objects", len(seen.inputs.workloads.jobs), kind="job")
    _plan(sheet, seen)


def _plan(sheet: Sheet, seen: Seen) -> None:
    sheet.put("plan_failed", float(bool(seen.plan.problem)))
    sheet.put("plan_blocked", float(bool(seen.plan.blocked)))
    view = seen.plan.view
    if view is None:
        return
    sheet.put("plan_age_seconds", max((seen.now - view.made_at).total_seconds(), 0.0))
    if math.isfinite(view.gap):
        sheet.put("plan_gap_ratio", view.gap)
    sheet.put("plan_sound", float(view.sound))
    sheet.put("plan_profit_usd", view.profit_usd)
    sheet.put("plan_bound_usd", view.bound_usd)
    sheet.put("plan_broken_promises", len(view.broken_promises))
    sheet.put("plan_solve_seconds", view.seconds_to_make)
