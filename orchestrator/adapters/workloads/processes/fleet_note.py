"""What a driver remembers of a fleet beside the modes of its racks: when its power was moved, and why."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType

from orchestrator.domain.site import SLEEP, Fleet
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
    """Racks by mode before the last change."""
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
            previous=count_racks(fleet, before),
            reason=reason,
        )

    def view(self, fleet: Fleet, modes: Mapping[str, str]) -> FleetView:
        """The fleet with its racks in `modes` (of the whole site, by rack name)."""
        return FleetView(
            fleet=fleet.name,
            racks=MappingProxyType(count_racks(fleet, modes)),
            rack_modes=MappingProxyType({rack: modes[rack] for rack in fleet.rack_names()}),
            last_up_at=self.last_up_at,
            last_down_at=self.last_down_at,
            last_wake_at=self.last_wake_at,
            last_sleep_at=self.last_sleep_at,
        )


def count_racks(fleet: Fleet, modes: Mapping[str, str]) -> dict[str, int]:
    """Racks of `fleet` by mode, every mode and SLEEP named."""
    counter = Counter(modes[rack] for rack in fleet.rack_names())
    return {mode: counter[mode] for mode in (SLEEP, *(mode.name for mode in fleet.modes))}
