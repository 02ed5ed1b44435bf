"""How fast power may go: not up at all where nobody sees it, and else no faster than the site's ramp.

A ramp is a bucket that fills at its rate and holds what one tick brings, so that over no minute much more than the
ramp moves. One device is never too large for it: it goes when the bucket is full, and the next ones wait until it is
paid for.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from math import floor, inf

from orchestrator.domain.decision import SetFleet
from orchestrator.domain.site.site import Site
from orchestrator.domain.snapshot import FleetStatus, Snapshot
from orchestrator.domain.target import Kind, Target
from orchestrator.observe.power_shares import power_shares

MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Bucket:
    """Grid power that may move in one direction now, kW; below 0 what has moved ahead of the ramp."""

    holds_kw: float = inf
    left_kw: float = inf

    def filled(self, kw_per_min: float | None, tick: timedelta, passed: timedelta) -> "Bucket":
        """After some time. One that never was is full."""
        if kw_per_min is None:
            return FREE
        holds_kw = kw_per_min * (tick / MINUTE)
        left_kw = holds_kw if self.left_kw == inf else self.left_kw + kw_per_min * (passed / MINUTE)
        return Bucket(holds_kw, min(left_kw, holds_kw))

    def units(self, unit_kw: float) -> int:
        """How many of `unit_kw` may move; a full one lets one through."""
        if unit_kw <= 0.0 or self.left_kw == inf:
            return 1 << 30
        return max(floor(self.left_kw / unit_kw + 1e-9), int(self.left_kw >= self.holds_kw > 0.0))

    def less(self, kw: float) -> "Bucket":
        return replace(self, left_kw=self.left_kw - kw)


FREE = Bucket()


@dataclass(frozen=True, slots=True)
class Ramp:
    """What may go up and down at a moment."""

    at: datetime | None = None
    up: Bucket = FREE
    down: Bucket = FREE

    def at_time(self, site: Site, now: datetime) -> "Ramp":
        """The same one later."""
        passed = now - self.at if self.at is not None else timedelta(0)
        grid, tick = site.grid, site.controls.tick
        return Ramp(
            now,
            self.up.filled(grid.ramp_up_kw_per_min, tick, passed),
            self.down.filled(grid.ramp_down_kw_per_min, tick, passed),
        )

    def after(self, snapshot: Snapshot, changes_kw: Iterable[float]) -> "Ramp":
        """What is left once these changes of grid power are sent. What goes down for a cap is owed to nobody."""
        ramp, for_a_cap = self, self.down is FREE or above_a_cap(snapshot)
        for change_kw in changes_kw:
            if change_kw > 0.0:
                ramp = replace(ramp, up=ramp.up.less(change_kw))
            elif not for_a_cap:
                ramp = replace(ramp, down=ramp.down.less(-change_kw))
        return ramp


NO_RAMP = Ramp()


def in_the_dark(snapshot: Snapshot, target: Target) -> bool:
    """The source of its readings is down: there is no measured room for it to go up into."""
    if target.kind is Kind.FLEET:
        return snapshot.fleets[target.name].dark_since is not None
    pool = snapshot.jobs[target.name].job.pool if target.kind is Kind.JOB else target.name
    return snapshot.pools[pool].dark_since is not None


def above_a_cap(snapshot: Snapshot) -> bool:
    """What is counted exceeds a cap: its relief waits for no ramp."""
    limits, shares = snapshot.limits, power_shares(snapshot)
    return any(shares.at(place).kw > limits.usable_kw(cap) for place, cap in limits.tightest.items())


def fewer_racks(status: FleetStatus, move: SetFleet, bucket: Bucket, pue: float) -> SetFleet | None:
    """As many racks of a power-down as the ramp lets go now, each all the way; None if none may."""
    fleet = status.fleet
    current = status.view.racks
    whole = current.steps_above(fleet, move.racks)
    each_kw = (fleet.setpoint_kw(current) - fleet.setpoint_kw(move.racks)) * pue / whole
    go = min(bucket.units(each_kw), whole)
    if go == whole:
        return move
    if go == 0:
        return None
    return replace(move, racks=current.lowered(fleet, move.racks, by=go))
