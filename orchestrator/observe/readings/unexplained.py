"""Power that nobody asked for: racks that draw more than their setpoint explains, each by name."""

from collections.abc import Mapping
from datetime import datetime

from orchestrator.domain.observation import Metric, Telemetry
from orchestrator.domain.site.machines import Fleet
from orchestrator.domain.site.site import Site
from orchestrator.domain.work import Workloads

SETPOINT_TIMES = 1.1
"""A rack may draw so much of its setpoint's nameplate: tuning, and its meter's error."""
EXTRA_SHARE = 0.05
"""Of its strongest mode's power, beside that: a machine or two of fifty that hang, hot fans, a meter's zero."""


def explained_kw(fleet: Fleet, mode: str) -> float:
    """What a rack at rest in `mode` may draw at most, IT power."""
    return fleet.rack_kw(mode) * SETPOINT_TIMES + fleet.rack_nameplate_kw * EXTRA_SHARE


def unexplained(site: Site, workloads: Workloads, telemetry: Telemetry, now: datetime) -> Mapping[str, float]:
    """kW by rack, of fleets that had the time to follow: what is drawn beyond the setpoint's nameplate, where neither
    tuning nor error explains it."""
    powers, max_age = telemetry.readings(Metric.ASIC_POWER), site.stale.telemetry_max_age
    follows_within = max(site.controls.up_within, site.controls.down_within)
    found: dict[str, float] = {}
    for fleet in site.fleets:
        view = workloads.fleets.get(fleet.name)
        if view is None or now < max(view.last_up_at, view.last_down_at) + follows_within:
            continue
        most_w = {mode: explained_kw(fleet, mode) * 1000.0 for mode in set(view.rack_modes.values())}
        for rack, mode in view.rack_modes.items():
            reading = powers.get(rack)
            if reading is None or reading.value is None or reading.value <= most_w[mode]:
                continue
            if reading.graded(now, max_age).fresh:
                found[rack] = reading.value / 1000.0 - fleet.rack_kw(mode)
    return found
