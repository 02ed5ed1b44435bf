"""One fleet as it is: what its racks measure against what was asked of them, which are silent and which are stuck."""

from datetime import datetime

from orchestrator.domain.observation import Metric, Telemetry
from orchestrator.domain.site import SLEEP, Fleet, Site
from orchestrator.domain.snapshot import FleetStatus, Lowered
from orchestrator.domain.units import HASHES_PER_TH
from orchestrator.domain.work import FleetView

SETTLED_SHARE = 0.9
"""A rack that draws less than this share of its setpoint's nameplate is on its way up and counts at nameplate."""
ASLEEP_SHARE = 0.25
"""A rack that is asleep and draws more than this share of its strongest mode's power does not sleep."""


def fleet_status(
    site: Site, fleet: Fleet, view: FleetView, telemetry: Telemetry, before: FleetStatus | None, now: datetime
) -> FleetStatus:
    """`before`: as it was in the snapshot before, for what outlasts one: the share drawn, racks that are stuck."""
    powers, rates = telemetry.readings(Metric.ASIC_POWER), telemetry.readings(Metric.ASIC_HASHRATE)
    max_age = site.stale.telemetry_max_age
    share = before.draw_share if before is not None else 1.0
    lowered = _lowered(fleet, view, before, share, now)
    at_rest = now >= max(view.last_up_at, view.last_down_at) + site.controls.verify_within
    rack_kw = {mode: fleet.rack_kw(mode) for mode in set(view.rack_modes.values())}
    strongest_kw = fleet.rack_nameplate_kw
    counted = committed = settled = settled_nameplate = excess = hashrate = 0.0
    silent: set[str] = set()
    stuck: set[str] = set()
    efficiency: dict[str, float] = {}
    hashing = False
    for rack, mode in view.rack_modes.items():
        reading = powers.get(rack)
        setpoint_kw = rack_kw[mode]
        asked = lowered.get(rack)
        if reading is None or reading.value is None or not reading.graded(now, max_age).fresh:
            silent.add(rack)
            if asked is not None and now - asked.at >= site.controls.verify_within:
                stuck.add(rack)  # a shed that nobody sees is not delivered
            counted += strongest_kw
            committed += strongest_kw
            continue
        measured_kw = reading.value / 1000.0
        counted += measured_kw
        if asked is not None and measured_kw <= asked.follows_below_kw:
            del lowered[rack]
        elif asked is not None and now - asked.at >= site.controls.verify_within:
            stuck.add(rack)
        elif asked is None and at_rest and mode == SLEEP and measured_kw > ASLEEP_SHARE * strongest_kw:
            stuck.add(rack)  # asked down before we were started
        if at_rest and rack not in stuck and mode != SLEEP and measured_kw >= SETTLED_SHARE * setpoint_kw:
            settled += measured_kw
            settled_nameplate += setpoint_kw
            committed += measured_kw
        else:
            committed += max(measured_kw, setpoint_kw)
            if rack in stuck:
                excess += max(measured_kw - strongest_kw, 0.0)
            elif at_rest and mode == SLEEP:
                excess += max(measured_kw - setpoint_kw, 0.0)
        rate = rates.get(rack)
        if rate is not None and (hash_hs := rate.believed) is not None:
            hashing = True
            hashrate += hash_hs
            if hash_hs > 0.0:
                efficiency[rack] = reading.value / (hash_hs / HASHES_PER_TH)
    return FleetStatus(
        fleet=fleet,
        view=view,
        counted_kw=counted,
        committed_kw=committed,
        # While a fleet moves its ratio says nothing, so the one before holds: else each move would set off another.
        draw_share=settled / settled_nameplate if settled_nameplate else share,
        hashrate_phs=hashrate / 1e15 if hashing else None,
        silent=frozenset(silent),
        stuck=frozenset(stuck),
        lowered=lowered,
        excess_kw=excess,
        efficiency_j_per_th=efficiency,
        silent_kw=strongest_kw * len(silent),
    )


def _lowered(
    fleet: Fleet, view: FleetView, before: FleetStatus | None, share: float, now: datetime
) -> dict[str, Lowered]:
    """Racks asked down since the snapshot before, and those of before that were not asked up again."""
    if before is None:
        return {}
    lowered = dict(before.lowered)
    if before.view is view:
        return lowered
    for rack, mode in view.rack_modes.items():
        was_kw, is_kw = fleet.rack_kw(before.view.rack_modes.get(rack, mode)), fleet.rack_kw(mode)
        if is_kw < was_kw:
            lowered[rack] = Lowered(now, (was_kw + is_kw) / 2.0 * max(share, 1.0))
        elif is_kw > was_kw:
            lowered.pop(rack, None)
    return lowered
