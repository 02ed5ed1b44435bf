"""The one document that all agents watch, and what is remembered on it about each fleet."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

from orchestrator.adapters.workloads.processes.documents import read_document, write_document
from orchestrator.adapters.workloads.processes.fleet_note import FleetNote
from orchestrator.domain.site.machines import SLEEP, Fleet
from orchestrator.domain.site.site import Site
from orchestrator.domain.work import FleetView, PoolView


@dataclass(frozen=True, slots=True)
class Setpoints:
    """What was accepted for racks and pools. `racks` holds every rack of the site, `gpu_limit_w` every pool."""

    generation: int
    lease_until: datetime
    racks: Mapping[str, str]
    gpu_limit_w: Mapping[str, float]
    notes: Mapping[str, FleetNote] = field(default_factory=dict)

    def with_fleet(self, fleet: Fleet, modes: Mapping[str, str], reason: str, now: datetime) -> "Setpoints":
        """The racks of `fleet` in `modes`; up and down times follow the power that each rack is set to."""
        note = self.note(fleet.name).after(fleet, self.racks, modes, reason, now)
        return replace(self, racks={**self.racks, **modes}, notes={**self.notes, fleet.name: note})

    def note(self, fleet: str) -> FleetNote:
        return self.notes.get(fleet, FleetNote())

    def fleet_view(self, fleet: Fleet) -> FleetView:
        return self.note(fleet.name).view(fleet, self.racks)

    def pool_view(self, pool: str) -> PoolView:
        return PoolView(pool=pool, gpu_limit_w=self.gpu_limit_w[pool])


def asleep(site: Site, lease_until: datetime) -> Setpoints:
    """A site that was never asked anything: every rack asleep, every GPU at its full power limit."""
    return Setpoints(
        generation=0,
        lease_until=lease_until,
        racks={rack: SLEEP for _, rack in site.racks()},
        gpu_limit_w={pool.name: pool.gpu_power_w for pool in site.pools},
    )


def load_setpoints(path: Path, site: Site) -> Setpoints | None:
    """The setpoints on disk, None where there are none.

    Racks and pools that the site has and the document lacks are asleep and at full limit; those it no longer has,
    and modes a fleet no longer knows, are dropped. ValueError names the file when it cannot be read.
    """
    document = read_document(path)
    if document is None:
        return None
    try:
        fresh = asleep(site, datetime.fromisoformat(str(document["lease_until"])))
        racks = _mapping(document["racks"])
        limits = _mapping(document["gpu_limit_w"])
        known = {fleet.name: {SLEEP, *(mode.name for mode in fleet.modes)} for fleet in site.fleets}
        return Setpoints(
            generation=int(str(document["generation"])),
            lease_until=fresh.lease_until,
            racks={
                rack: mode if (mode := str(racks.get(rack, SLEEP))) in known[fleet.name] else SLEEP
                for fleet, rack in site.racks()
            },
            gpu_limit_w={pool: float(str(limits.get(pool, full))) for pool, full in fresh.gpu_limit_w.items()},
            notes={fleet: _note(_mapping(note)) for fleet, note in _mapping(document.get("fleets", {})).items()},
        )
    except (KeyError, ValueError) as error:
        raise ValueError(f"{path} holds no setpoints: {error!r}") from error


def save_setpoints(path: Path, setpoints: Setpoints, lapse_over: timedelta) -> None:
    """One write, seen whole by every agent; once the lease is out racks fall asleep over `lapse_over`."""
    write_document(
        path,
        {
            "generation": setpoints.generation,
            "lease_until": setpoints.lease_until.isoformat(),
            "lapse_over_s": lapse_over.total_seconds(),
            "racks": dict(setpoints.racks),
            "gpu_limit_w": dict(setpoints.gpu_limit_w),
            "fleets": {
                fleet: {
                    "last_up_at": note.last_up_at.isoformat(),
                    "last_down_at": note.last_down_at.isoformat(),
                    "last_wake_at": note.last_wake_at.isoformat(),
                    "last_sleep_at": note.last_sleep_at.isoformat(),
                    "previous": dict(note.previous),
                    "reason": note.reason,
                }
                for fleet, note in setpoints.notes.items()
            },
        },
    )


def _note(document: Mapping[str, object]) -> FleetNote:
    return FleetNote(
        last_up_at=datetime.fromisoformat(str(document["last_up_at"])),
        last_down_at=datetime.fromisoformat(str(document["last_down_at"])),
        last_wake_at=datetime.fromisoformat(str(document["last_wake_at"])),
        last_sleep_at=datetime.fromisoformat(str(document["last_sleep_at"])),
        previous={mode: int(str(count)) for mode, count in _mapping(document["previous"]).items()},
        reason=str(document["reason"]),
    )


def _mapping(value: object) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise ValueError(f"{value!r} is no JSON object")
    return value
