"""How simulated devices differ from their nameplate: ranges, as shares, that each device's own is drawn from."""

from dataclasses import dataclass

Range = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Spread:
    """Means over a rack and of a GPU, fixed by the device."""

    warm_up: Range = (0.625, 1.25)
    """First and last machine to hash, as shares of the fleet's warm-up: 5 to 10 min at 480 s."""
    rack_power: Range = (0.97, 0.995)
    rack_hash: Range = (0.985, 1.0)
    gpu_power: Range = (0.94, 0.99)
    """A busy GPU's power as a share of its limit."""


NO_SPREAD = Spread((1.0, 1.0), (1.0, 1.0), (1.0, 1.0), (1.0, 1.0))
"""All at nameplate, as a backtest has it."""
