"""What is read from exporters: which series, whose they are, and when they were measured."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

from orchestrator.clock import SiteClock
from orchestrator.domain.observation import Metric, Quality, Reading, Telemetry

LAST_SEEN = "asic_last_seen_timestamp_seconds"
"""When the machines of a rack last answered, unix seconds of site time: the time of all that is read of the rack."""
FORGET_AFTER = timedelta(days=1)
"""Site time after which the last reading of a device that is gone is dropped."""
SWEEP_EVERY = timedelta(hours=1)
"""Site time between two looks for such."""
_CLOCKS_APART_S = 5.0
"""On the wall; a device's time further ahead than this is no time."""


@dataclass(frozen=True, slots=True)
class Series:
    """One metric. Series with the same `device` labels are one device's; a subject's devices add up."""

    metric: Metric
    subject: tuple[str, ...]
    """Labels that name the subject, joined by `/`."""
    device: tuple[str, ...]
    """`subject` and the labels that tell its devices apart."""
    dated: bool
    """Measured at the rack's LAST_SEEN rather than when it was scraped."""

    def subject_of(self, labels: Mapping[str, str]) -> str:
        """KeyError if a label is missing."""
        return "/".join([labels[label] for label in self.subject])


RACK = ("fleet", "rack")
_NODE = ("Hostname",)
_METER = ("meter",)
_JOB = ("job",)

SERIES: Mapping[str, Series] = MappingProxyType(
    {
        series.metric.value: series
        for series in (
            Series(Metric.ASIC_POWER, RACK, RACK, dated=True),
            Series(Metric.ASIC_ENERGY, RACK, RACK, dated=True),
            Series(Metric.ASIC_HASHRATE, RACK, RACK, dated=True),
            Series(Metric.ASIC_HASHES, RACK, RACK, dated=True),
            Series(Metric.ASIC_TEMPERATURE, RACK, RACK, dated=True),
            Series(Metric.GPU_POWER, _NODE, (*_NODE, "gpu"), dated=False),
            Series(Metric.NODE_POWER, _NODE, _NODE, dated=False),
            Series(Metric.NODE_ENERGY, _NODE, _NODE, dated=False),
            Series(Metric.METER_POWER, _METER, _METER, dated=False),
            Series(Metric.METER_ENERGY, _METER, _METER, dated=False),
            Series(Metric.JOB_PROGRESS, _JOB, _JOB, dated=False),
            Series(Metric.JOB_CHECKPOINT, _JOB, _JOB, dated=False),
        )
    }
)


class LastReadings:
    """The newest good reading of every series seen so far."""

    def __init__(self, clock: SiteClock) -> None:
        self._clock = clock
        self._readings: dict[Metric, dict[str, Reading]] = {series.metric: {} for series in SERIES.values()}
        self._swept_at: datetime | None = None

    def latest(self, wall: float) -> datetime:
        """The last time (of the site) that something received at `wall` (unix s) can be of."""
        return self._clock.at(wall + _CLOCKS_APART_S)

    def put(self, metric: Metric, subject: str, value: float, at: datetime, latest: datetime) -> None:
        """Take in a value of time `at`. ValueError, and no change, if it can't be true or is of after `latest`."""
        if not math.isfinite(value) or (value < 0.0 and metric is not Metric.ASIC_TEMPERATURE):
            raise ValueError(f"{metric.value} of {subject} is {value:g} {metric.unit}")
        if at > latest:
            raise ValueError(f"{metric.value} of {subject} is of {at.isoformat()}, which is to come")
        self._readings[metric][subject] = Reading(value=value, unit=metric.unit, at=at, quality=Quality.FRESH)

    def telemetry(self, now: datetime) -> Telemetry:
        """All of them, without those too old to speak of."""
        if self._swept_at is None or now - self._swept_at >= SWEEP_EVERY:
            self._swept_at = now
            for readings in self._readings.values():
                gone = [name for name, reading in readings.items() if reading.at and now - reading.at > FORGET_AFTER]
                for name in gone:
                    del readings[name]
        return Telemetry.of(now, {metric: dict(readings) for metric, readings in self._readings.items()})


def instant(unix_s: float) -> datetime:
    """ValueError for seconds that are no time."""
    try:
        return datetime.fromtimestamp(unix_s, UTC)
    except (OverflowError, OSError, ValueError) as error:
        raise ValueError(f"{unix_s:g} s are no time") from error
