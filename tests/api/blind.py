"""What the fake desk's site looks like where readings are missing, wrong, in part, or none come at all."""

from dataclasses import replace
from datetime import timedelta

from orchestrator.domain.hold import Hold, SafePower
from orchestrator.domain.snapshot import Snapshot
from orchestrator.domain.target import GRID_CONNECTION, Target
from orchestrator.domain.unread import Basis, Unread

PROMETHEUS = "http://prometheus:9090"


def three_silent(snapshot: Snapshot) -> Snapshot:
    """Three racks of fleet s21 say nothing and count at their setpoint."""
    return _unread(snapshot, "s21", 3, Basis.SETPOINT)


def one_suspect(snapshot: Snapshot) -> Snapshot:
    """A rack of fleet s21 says that it draws 1 MW."""
    seen = _unread(snapshot, "s21", 1, Basis.SETPOINT)
    status = replace(seen.fleets["s21"], claimed_kw={"s21/rack-0": 1000.0})
    why = "asic_power_watts: 1000 kW drawn; at most 735 kW are possible"
    return replace(seen, fleets={**seen.fleets, "s21": status}, suspect={"s21/rack-0": why})


def in_part(snapshot: Snapshot) -> Snapshot:
    """A machine of a rack of fleet s21 does not answer, and counts at nameplate."""
    status = replace(snapshot.fleets["s21"], unread={Basis.PARTS: Unread(1, 3.5)})
    note = "asic_power_watts of s21/rack-0: 167 of 168 answer; the others count at 3500 W"
    return replace(snapshot, fleets={**snapshot.fleets, "s21": status}, partial={"s21/rack-0": note})


def source_down(snapshot: Snapshot, *, minutes: float = 2.0) -> Snapshot:
    """No rack has been read for so long: the site is held for a quarter of an hour, then brought to 12 MW."""
    seen, since = snapshot, snapshot.at - timedelta(minutes=minutes)
    for name, status in snapshot.fleets.items():
        seen = _unread(seen, name, status.fleet.racks, Basis.TRUST)
    until = since + timedelta(minutes=15)
    closing = snapshot.at > until
    safe = SafePower(12_000.0, until + timedelta(minutes=10), 61_200.0 if closing else None)
    return replace(
        seen,
        holds=(Hold(GRID_CONNECTION, since, until, safe),),
        problems={PROMETHEUS: "61 of 61 queries fail: All connection attempts failed"},
    )


def fleet_dark(snapshot: Snapshot) -> Snapshot:
    """One fleet says nothing."""
    racks = snapshot.fleets["s21"].fleet.racks
    since = snapshot.at - timedelta(minutes=2)
    hold = Hold(Target.fleet("s21"), since, since + timedelta(minutes=15))
    return replace(_unread(snapshot, "s21", racks, Basis.TRUST), holds=(hold,))


def _unread(snapshot: Snapshot, name: str, racks: int, basis: Basis) -> Snapshot:
    """The first racks of a fleet are silent, and have their part of what it counts at."""
    status = snapshot.fleets[name]
    silent = frozenset(status.fleet.rack_names()[:racks])
    unread = {basis: Unread(racks, status.counted_kw * racks / status.fleet.racks)}
    dark = replace(status, silent=silent, unread=unread)
    stale = (*snapshot.stale, *(f"rack {rack}" for rack in sorted(silent)))
    return replace(snapshot, fleets={**snapshot.fleets, name: dark}, stale=stale)
