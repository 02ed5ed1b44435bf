"""The meters of a simulated site: what really comes by each of them, as that meter shows it.

Each has an error of gain, drawn once and kept, and noise of each reading. The ranges are those of a meter of class
0.5 S with its transformers (IEC 62053-22: 0.5 % from a twentieth of its rated current on); that they are drawn evenly
is assumed.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

GAIN = (-0.005, 0.005)
NOISE = 0.0005
"""Standard deviation of a reading, as a share."""


class Drawn(NamedTuple):
    """What a device really draws, and has drawn since its program started."""

    power_w: float
    energy_j: float


class Shown(NamedTuple):
    """What a meter says."""

    power_w: float
    energy_j: float


@dataclass(frozen=True, slots=True)
class PueCurve:
    """PUE by time: points (unix seconds of site time, PUE), ascending; linear between them, flat beyond."""

    points: Sequence[tuple[float, float]]

    def at(self, unix_s: float) -> float:
        after = bisect_right(self.points, unix_s, key=lambda point: point[0])
        if after in (0, len(self.points)):
            return self.points[max(after - 1, 0)][1]
        (start, low), (end, high) = self.points[after - 1], self.points[after]
        return low + (high - low) * (unix_s - start) / (end - start)


class MeterBank:
    """All meters of a site, by name. `behind` names the devices behind each; `seed` decides the errors."""

    def __init__(self, behind: Mapping[str, Sequence[str]], pue: PueCurve, seed: int) -> None:
        self._behind = behind
        self._pue = pue
        self._random = {name: Random(f"{seed}/meter/{name}") for name in behind}  # noqa: S311  a simulation, no secret
        self._gain = {name: 1.0 + random.uniform(*GAIN) for name, random in self._random.items()}
        self._energy_j = dict.fromkeys(behind, 0.0)
        self._counted: dict[str, float] = {}

    def read(self, drawn: Mapping[str, Drawn], unix_s: float) -> dict[str, Shown]:
        """What every meter shows at site time `unix_s`, by what the devices draw. Devices not in `drawn` are gone."""
        pue = self._pue.at(unix_s)
        more_j = {device: self._more_j(device, now.energy_j) for device, now in drawn.items()}
        shown = {}
        for name, devices in self._behind.items():
            gain = self._gain[name]
            there = [device for device in devices if device in drawn]
            self._energy_j[name] += sum(more_j[device] for device in there) * pue * gain
            true_w = sum(drawn[device].power_w for device in there) * pue
            noise = max(1.0 + self._random[name].gauss(0.0, NOISE), 0.0)
            shown[name] = Shown(true_w * gain * noise, self._energy_j[name])
        return shown

    def _more_j(self, device: str, energy_j: float) -> float:
        """Since the read before; all of it where its counter began anew, none at its first sight."""
        before = self._counted.get(device, energy_j)
        self._counted[device] = energy_j
        return energy_j - before if energy_j >= before else energy_j
