"""What a driver remembers of a fleet beside the modes of its racks: when its power was moved, and why."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType

from orchestrator.domain.rack_mix import RackMix
from orchestrator.domain.site.machines import SLEEP, Fleet
from orchestrator.domain.work import FleetView

NEVER = datetime(1970, 1, 1, tzinfo=UTC)
"""Stands for the last change of a fleet that was never changed."""


@dataclass(frozen=True, slots=True)
class FleetNote:
    """What a fleet was asked last, when its power was last raised and lowered, and what it was before."""

    last_up_at: datetime = NEVER
    last_down_at: datetime = NEVER
    last_wake_at: datetime = NEVER
    last_sleep_at: datetime = NEVER
    previous: Mapping[str, int] = field(default_factory=dict)
    """Racks by mode before the last change, every mode named."""
    reason: str = ""

    def after(
        self, fleet: Fleet, before: Mapping[str, str], modes: Mapping[str, str], reason: str, now: datetime
    ) -> "FleetNote":
        """The note once the racks in `modes` go over from their modes in `before`; times follow each rack's power."""
        changes = [(fleet.rack_kw(before[rack]), fleet.rack_kw(mode)) for rack, mode in modes.items()]
        woken = any(before[rack] == SLEEP != mode for rack, mode in modes.items())
        put_to_sleep = any(before[rack] != SLEEP == mode for rack, mode in modes.items())
        return FleetNote(
            last_up_at=now if any(new > old for old, new in changes) else self.last_up_at,
            last_down_at=now if any(new < old for old, new in changes) else self.last_down_at,
            last_wake_at=now if woken else self.last_wake_at,
            last_sleep_at=now if put_to_sleep else self.last_sleep_at,
            previous=RackMix.counted(fleet, (before[rack] for rack in fleet.rack_names())).by_mode(fleet),
            reason=reason,
        )

    def view(self, fleet: Fleet, modes: Mapping[str, str]) -> FleetView:
        """The fleet with its racks in `modes` (of the whole site, by rack name)."""
        rack_modes = {rack: modes[rack] for rack in fleet.rack_names()}
        return FleetView(
            fleet=fleet.name,
            racks=RackMix.counted(fleet, rack_modes.values()),
            rack_modes=MappingProxyType(rack_modes),
            last_up_at=self.last_up_at,
            last_down_at=self.last_down_at,
            last_wake_at=self.last_wake_at,
            last_sleep_at=self.last_sleep_at,
        )
