"""Mining: fleets of racks of one machine, and the modes that they run in."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cache

from orchestrator.domain.units import HASHES_PER_TH

SLEEP = "sleep"
"""The setpoint of a rack whose machines hash nothing and draw their sleep power."""


@cache
def numbered(name: str, count: int) -> tuple[str, ...]:
    """Names of racks or nodes; asked for several times in each round, and always the same."""
    return tuple(f"{name}-{number}" for number in range(count))


@dataclass(frozen=True, slots=True)
class Mode:
    """An operating mode of one machine."""

    name: str
    power_w: float
    hashrate_ths: float

    @property
    def efficiency_j_per_th(self) -> float:
        return self.power_w / self.hashrate_ths


@dataclass(frozen=True, slots=True)
class Fleet:
    """ASICs of one model under one Deployment. `modes` ascend in power; `default_mode` is the nameplate one."""

    name: str
    model: str
    feeder: str
    racks: int
    machines_per_rack: int
    modes: tuple[Mode, ...]
    default_mode: str
    sleep_w: float
    """One machine asleep."""
    warm_up: timedelta
    """From wake-up to hashing; full power is drawn, nothing is hashed."""
    min_on: timedelta
    min_off: timedelta

    @property
    def machines(self) -> int:
        return self.racks * self.machines_per_rack

    def mode(self, name: str) -> Mode:
        for mode in self.modes:
            if mode.name == name:
                return mode
        raise KeyError(f"fleet {self.name} has no mode {name}; it has {', '.join(m.name for m in self.modes)}")

    def rack_kw(self, mode: str) -> float:
        """Nameplate power of one rack in `mode` (or asleep), kW of IT load."""
        power_w = self.sleep_w if mode == SLEEP else self.mode(mode).power_w
        return self.machines_per_rack * power_w / 1000.0

    def setpoint_kw(self, racks: Mapping[str, int]) -> float:
        """Nameplate power of `racks[mode]` racks in each mode, kW of IT load."""
        return sum(self.rack_kw(mode) * count for mode, count in racks.items())

    def rack_names(self) -> tuple[str, ...]:
        return numbered(f"{self.name}/rack", self.racks)

    @property
    def nameplate_kw(self) -> float:
        """Every rack in its strongest mode: what an unmeasured fleet counts at."""
        return self.racks * self.rack_nameplate_kw

    @property
    def rack_nameplate_kw(self) -> float:
        """One rack in its strongest mode."""
        return self.rack_kw(self.modes[-1].name)

    @property
    def rack_nameplate_hs(self) -> float:
        """Hashes per second of one rack in the mode that hashes most."""
        return max(mode.hashrate_ths for mode in self.modes) * HASHES_PER_TH * self.machines_per_rack
