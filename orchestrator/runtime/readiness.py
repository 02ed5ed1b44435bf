"""Whether the control loop goes round, and what it lacks to decide well. Ages and ticks are seconds on the wall."""

from collections.abc import Sequence
from zoneinfo import ZoneInfo

from orchestrator.api.desk import Readiness
from orchestrator.domain.observation import Quality
from orchestrator.domain.snapshot import Snapshot
from orchestrator.domain.units import power_text
from orchestrator.explain.hold_words import hold_text
from orchestrator.explain.power_words import share_text
from orchestrator.observe.power_shares import power_shares

LATE_TICKS = 3
LATEST_TICK_S = 15.0
"""A controller that has not gone round for this long, or for three ticks, is not ready."""
STUCK_S = 60.0
"""A round that has not ended for this long, or for three ticks, well or badly, will not. The slowest one waits for
every request of two moves to fail."""


def of_loop(ended_s: float | None, tick_s: float) -> Readiness:
    """`ended_s`: since the last round ended, well or badly; None while it is not to tick."""
    if ended_s is None:
        return Readiness("loop", ok=True, detail="not ticking")
    allowed_s = max(STUCK_S, LATE_TICKS * tick_s)
    return Readiness("loop", ok=ended_s < allowed_s, detail=f"the last round ended {ended_s:.1f} s ago")


def of_site(
    snapshot: Snapshot | None, ticked_s: float | None, tick_s: float, zone: ZoneInfo, *, synced: bool
) -> Sequence[Readiness]:
    """`ticked_s`: since the last round that went well, None before the first; `zone`: the site's, for times of day;
    `synced`: the workload driver's view."""
    if snapshot is None or ticked_s is None:
        return [Readiness("controller", ok=False, detail="the first round is not done")]
    silent, price = snapshot.silent_meters, snapshot.price
    allowed_s = max(LATEST_TICK_S, LATE_TICKS * tick_s)
    return [
        Readiness("controller", ok=ticked_s < allowed_s, detail=f"last round {ticked_s:.1f} s ago"),
        Readiness("workloads", ok=synced, detail="in step" if synced else "the driver's view is not to be trusted"),
        Readiness(
            "price",
            ok=price.reading.quality is Quality.FRESH,
            detail=f"{price.usd_per_mwh:.2f} USD/MWh, {price.basis}, of {price.interval_start:%FT%TZ}",
        ),
        Readiness(
            "telemetry",
            ok=not silent and not snapshot.suspect,
            detail=_telemetry(snapshot, zone),
        ),
        Readiness("power", ok=True, detail=_power(snapshot)),
    ]


def _power(snapshot: Snapshot) -> str:
    share = power_shares(snapshot).grid
    return f"{power_text(share.kw)} at the grid connection, {share_text(share)}"


def _telemetry(snapshot: Snapshot, zone: ZoneInfo) -> str:
    """Who does not answer, who says what cannot be true, which sources are down and who is read in part: five of each
    by name; and what is held meanwhile."""
    silent, suspect = snapshot.silent_meters, snapshot.suspect
    parts = [f"{len(silent)} silent: {', '.join(silent[:5])}"] if silent else []
    if suspect:
        told = [f"{device} ({why})" for device, why in list(suspect.items())[:5]]
        parts.append(f"{len(suspect)} suspect: {', '.join(told)}")
    dark = [
        *(f"fleet {name}" for name, status in snapshot.fleets.items() if status.dark_since is not None),
        *(f"pool {name}" for name, status in snapshot.pools.items() if status.dark_since is not None),
    ]
    if dark:
        parts.append(f"no source of readings for {', '.join(dark[:5])}")
    parts += [hold_text(hold, snapshot.at, zone) for hold in snapshot.holds]
    if snapshot.problems:
        told = [f"{source} ({why})" for source, why in list(snapshot.problems.items())[:5]]
        parts.append(f"{len(snapshot.problems)} of the sources fail: {', '.join(told)}")
    if not silent and not suspect:
        parts.insert(0, "all devices answer")
    if snapshot.partial:
        told = list(snapshot.partial.values())[:5]
        parts.append(f"{len(snapshot.partial)} in part: {', '.join(told)}")
    return "; ".join(parts)
