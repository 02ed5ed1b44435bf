"""What the meters of the grid connection and of feeders say, and what the devices behind them leave unexplained."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from orchestrator.domain.metering.points import GRID_METER
from orchestrator.domain.observation import Reading
from orchestrator.domain.target import GRID_CONNECTION, Kind, Target


@dataclass(frozen=True, slots=True)
class MeterStatus:
    """One meter. Powers are at the grid side."""

    at: Target
    """The grid connection or a feeder."""
    reading: Reading
    """Judged: fresh, stale, missing or suspect."""
    devices_kw: float
    """What the devices behind it say that have a fresh reading which can be true, times PUE."""
    unseen: int
    """Devices behind it that have none."""
    doubted_since: datetime | None = None
    """Since when it contradicts the devices."""
    still_kw: float = 0.0
    """What the devices said when its value last changed, or when other ones began to answer."""

    apart_since: datetime | None = None
    """Since when it and the devices, all of which answer, part by more than readings are ever off."""
    apart: str = ""
    """How far, once that has lasted; empty else."""

    @property
    def kw(self) -> float | None:
        """What comes by; None where no reading of it is to be believed."""
        return self.reading.value / 1000.0 if self.reading.fresh and self.reading.value is not None else None

    @property
    def residual_kw(self) -> float | None:
        """What comes by and no device explains."""
        return None if self.kw is None else self.kw - self.devices_kw


@dataclass(frozen=True, slots=True)
class Balance:
    """Energy by a meter over the last day against what is booked of the devices behind it, as it is on record."""

    metered_kwh: float
    residual_kwh: float
    """Of it, what is booked of no device; negative where more is booked than came by."""


@dataclass(frozen=True, slots=True)
class Bias:
    """How much more a fleet or pool draws than its readings say, by the meters, as a share of what they say."""

    of: Target
    share: float
    spread: float
    """One standard deviation of what is learnt."""
    before: float | None
    """What it was over the last days; None until it has settled."""

    @property
    def moved(self) -> bool:
        """It is another than it was, beyond what it can't be known to."""
        return self.before is not None and abs(self.share - self.before) > max(MOVED_SHARE, MOVED_SPREADS * self.spread)


MOVED_SHARE = 0.02
MOVED_SPREADS = 3.0


@dataclass(frozen=True, slots=True)
class Learnt:
    """The biases as they are known at one time, together: of what a meter shows, one may stand for another."""

    at: datetime
    biases: tuple[Bias, ...] = ()
    covariance: tuple[tuple[float, ...], ...] = ()
    """Of the shares, in the order of `biases`."""


@dataclass(frozen=True, slots=True)
class SiteMeters:
    """All meters of a site at one moment."""

    meters: Mapping[str, MeterStatus] = field(default_factory=dict)
    """By the subject of their readings."""
    learnt: Learnt | None = None
    """None before there was anything to learn from."""

    def kw(self, at: Target) -> float | None:
        """Power that a fresh meter shows at the grid connection or a feeder; None where there is no such meter."""
        meter = self.at(at)
        return meter.kw if meter is not None else None

    def at(self, place: Target) -> MeterStatus | None:
        """The meter of the grid connection or of a feeder, if there is one."""
        return self.meters.get(GRID_METER if place == GRID_CONNECTION else place.name)

    def bound(self, at: Target) -> bool:
        """A fresh meter, there or at the grid connection, says how much can be drawn there at most."""
        return self.kw(at) is not None or self.kw(GRID_CONNECTION) is not None

    @property
    def biases(self) -> tuple[Bias, ...]:
        return self.learnt.biases if self.learnt is not None else ()

    @property
    def suspect(self) -> Mapping[str, str]:
        """Meters whose reading cannot be true, and those whose devices' readings together cannot, as named in a
        snapshot's `suspect`, and why."""
        meters = {f"meter {name}": meter.reading.reason for name, meter in self.meters.items() if meter.reading.reason}
        return meters | {f"devices of meter {name}": meter.apart for name, meter in self.meters.items() if meter.apart}

    @property
    def silent(self) -> list[str]:
        """Meters without a reading to be believed, as named in a snapshot's `stale`."""
        return [f"meter {name}" for name, meter in self.meters.items() if meter.kw is None]


NO_METERS = SiteMeters()


def place_of(subject: str) -> Target:
    """The grid connection or the feeder that a meter's readings are of."""
    return GRID_CONNECTION if subject == GRID_METER else Target(Kind.FEEDER, subject)
