"""What devices say of a move: readings from after it was accepted, of all it moved. Silence proves nothing."""

from datetime import datetime
from typing import NamedTuple

from orchestrator.domain.snapshot import FleetStatus, PoolStatus

Mark = tuple[object, ...]
"""What of a driver's view changes when a move takes effect, whatever the meter says."""


class Evidence(NamedTuple):
    """What is measured of a fleet or pool by its devices, IT power; `meter_proof` has what a meter leaves for it."""

    kw: float
    expected_kw: float
    """What the setpoints let those draw that are measured."""
    read_from: datetime
    """When the oldest of the readings that count was made."""
    moved_alone: bool
    """It is of what was moved; else of all that is beside it too."""


def evidence(before: Mark | None, status: FleetStatus | PoolStatus) -> Evidence | None:
    """None where something that was moved is silent. `before`: how it showed when the move was sent.

    Of a fleet the racks count whose setpoint has changed since; which nodes a job or a power limit moves is not known,
    so of a pool all do.
    """
    if isinstance(status, PoolStatus):
        if status.silent or status.read_from is None:
            return None
        return Evidence(status.counted_kw, status.expected_kw, status.read_from, moved_alone=False)
    modes, moved = status.view.rack_modes, moved_racks(before, status)
    read = [status.readings.get(rack) for rack in moved or status.readings]
    if not read or None in read:
        return None
    return Evidence(
        kw=sum(reading.value or 0.0 for reading in read if reading is not None) / 1000.0,
        expected_kw=sum(status.fleet.rack_kw(modes[rack]) for rack in moved or status.readings),
        read_from=min(reading.at for reading in read if reading is not None and reading.at is not None),
        moved_alone=True,
    )


def moved_racks(before: Mark | None, status: FleetStatus) -> frozenset[str]:
    """Those whose setpoint has changed since."""
    as_before = set(before or ())
    return frozenset(rack for rack, mode in status.view.rack_modes.items() if (rack, mode) not in as_before)
