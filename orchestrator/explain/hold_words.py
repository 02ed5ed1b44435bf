"""Since when something is held on its setpoints because nobody sees it, until when, and what comes after."""

from datetime import datetime
from zoneinfo import ZoneInfo

from orchestrator.domain.hold import Hold
from orchestrator.domain.target import GRID_CONNECTION
from orchestrator.domain.units import power_text
from orchestrator.explain.local_times import clock_text


def hold_text(hold: Hold, now: datetime, zone: ZoneInfo) -> str:
    """`site held on its setpoints since 12:03 until 12:18, then brought to 12.0 MW by 12:28`, in local site time."""

    def clock(at: datetime) -> str:
        return clock_text(at, now, zone)

    what = "site" if hold.of == GRID_CONNECTION else f"{hold.of.kind} {hold.of.name}"
    held = f"{what} held on its setpoints since {clock(hold.since)}"
    if hold.until is None:
        return f"{held}, as long as its meter is fresh"
    if hold.safe is None:
        return f"{held} until {clock(hold.until)}, then its silent devices count each by itself"
    brought = f"brought to {power_text(hold.safe.kw)} by {clock(hold.safe.reached_at)}"
    if hold.safe.cap_kw is None:
        return f"{held} until {clock(hold.until)}, then {brought}"
    dark = f"{what} dark since {clock(hold.since)}, held until {clock(hold.until)}"
    return f"{dark}: at most {power_text(hold.safe.cap_kw)} now, {brought}"
