"""What is read from exporters: which series, whose they are, and when they were measured."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

from orchestrator.domain.clock import SiteClock
from orchestrator.domain.observation import Metric, Quality, Reading, Sample, Telemetry

LAST_SEEN = "asic_last_seen_timestamp_seconds"
"""When the machines of a rack last answered, unix seconds of site time: the time of all that is read of the rack."""
FORGET_AFTER = timedelta(days=1)
"""Site time after which the last reading of a device that is gone is dropped."""
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
        return "/".join(labels[label] for label in self.subject)


RACK = ("fleet", "rack")
_NODE = ("Hostname",)
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
            Series(Metric.JOB_PROGRESS, _JOB, _JOB, dated=False),
            Series(Metric.JOB_CHECKPOINT, _JOB, _JOB, dated=False),
        )
    }
)


class LastReadings:
    """The newest good reading of every series seen so far."""

    def __init__(self, clock: SiteClock) -> None:
        self._clock = clock
        self._samples: dict[tuple[Metric, str], Sample] = {}

    def put(self, metric: Metric, subject: str, value: float, at: datetime, wall: float) -> None:
        """Take in a value of time `at`, received at `wall` (unix s). ValueError, and no change, if it can't be true."""
        if not math.isfinite(value) or (value < 0.0 and metric is not Metric.ASIC_TEMPERATURE):
            raise ValueError(f"{metric.value} of {subject} is {value:g} {metric.unit}")
        if at > self._clock.at(wall + _CLOCKS_APART_S):
            raise ValueError(f"{metric.value} of {subject} is of {at.isoformat()}, which is to come")
        reading = Reading(value=value, unit=metric.unit, at=at, quality=Quality.FRESH)
        self._samples[metric, subject] = Sample(metric, subject, reading)

    def telemetry(self, now: datetime) -> Telemetry:
        """All of them, without those too old to speak of."""
        for key, sample in list(self._samples.items()):
            if sample.reading.at is not None and now - sample.reading.at > FORGET_AFTER:
                del self._samples[key]
        return Telemetry(now, self._samples.values())


def instant(unix_s: float) -> datetime:
    """ValueError for seconds that are no time."""
    try:
        return datetime.fromtimestamp(unix_s, UTC)
    except (OverflowError, OSError, ValueError) as error:
        raise ValueError(f"{unix_s:g} s are no time") from error
