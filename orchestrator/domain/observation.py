"""What was measured: readings that carry value, unit, time and quality.

A reading that is missing has no value. It is never a zero: whoever needs a number asks for it with the
assumption to use instead, so that the assumption is on record.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache
from types import MappingProxyType

POSSIBLE_SHARE = 1.25
"""Of nameplate: no device draws or hashes more, whether at a moment or over a stretch of time. Warm-up, tuning and an
exporter's own error together stay under it."""


class Quality(StrEnum):
    FRESH = "fresh"
    STALE = "stale"
    MISSING = "missing"
    ASSUMED = "assumed"
    """Not measured: a stale policy's value stands in."""
    SUSPECT = "suspect"
    """Measured, and cannot be true. It is shown with its reason, and counts as silence."""


class Metric(StrEnum):
    """The measured quantities the controller reads, by the exporters' own metric names."""

    ASIC_POWER = "asic_power_watts"
    ASIC_ENERGY = "asic_energy_joules_total"
    ASIC_HASHRATE = "asic_hashrate_hashes_per_second"
    ASIC_HASHES = "asic_hashes_total"
    ASIC_TEMPERATURE = "asic_temperature_celsius"
    GPU_POWER = "DCGM_FI_DEV_POWER_USAGE"
    NODE_POWER = "kepler_platform_watts"
    NODE_ENERGY = "kepler_node_platform_joules_total"
    METER_POWER = "meter_power_watts"
    METER_ENERGY = "meter_energy_joules_total"
    JOB_PROGRESS = "hpc_job_progress_gpu_seconds"
    JOB_CHECKPOINT = "hpc_job_checkpoint_gpu_seconds"
    BLOCK_BOUGHT = "ppa_block_joules_total"
    """Measured by nobody: energy of a block bought ahead, which comes in by the clock and is marked like a meter's."""

    @property
    def unit(self) -> str:
        return _UNITS[self]


_UNITS: Mapping[Metric, str] = MappingProxyType(
    {
        Metric.ASIC_POWER: "W",
        Metric.ASIC_ENERGY: "J",
        Metric.ASIC_HASHRATE: "H/s",
        Metric.ASIC_HASHES: "H",
        Metric.ASIC_TEMPERATURE: "degC",
        Metric.GPU_POWER: "W",
        Metric.NODE_POWER: "W",
        Metric.NODE_ENERGY: "J",
        Metric.METER_POWER: "W",
        Metric.METER_ENERGY: "J",
        Metric.JOB_PROGRESS: "GPU s",
        Metric.JOB_CHECKPOINT: "GPU s",
        Metric.BLOCK_BOUGHT: "J",
    }
)


@dataclass(frozen=True, slots=True)
class Reading:
    """One measured value. `value` and `at` are None exactly when `quality` is MISSING."""

    value: float | None
    unit: str
    at: datetime | None
    quality: Quality
    reason: str = ""
    """Why it is suspect; empty else."""
    assumed: float = 0.0
    """Of a value that is a sum, what parts that do not answer count for."""

    def __post_init__(self) -> None:
        missing = self.quality is Quality.MISSING
        if missing != (self.value is None) or missing != (self.at is None):
            raise ValueError("a reading is missing exactly when it has neither value nor time")
        if (self.quality is Quality.SUSPECT) != bool(self.reason):
            raise ValueError("a reading has a reason exactly when it is suspect")

    def graded(self, now: datetime, max_age: timedelta) -> "Reading":
        """This reading as fresh or stale at `now`; missing, assumed and suspect ones stay what they are.

        One from further ahead of `now` than `max_age` is stale too: with a clock that wrong its age can't be known,
        and a device that hangs would look fresh until the time it claims.
        """
        if self.at is None or self.quality in _UNGRADED:
            return self
        quality = Quality.FRESH if abs(now - self.at) <= max_age else Quality.STALE
        return self if quality is self.quality else replace(self, quality=quality)

    @property
    def fresh(self) -> bool:
        return self.quality is Quality.FRESH

    @property
    def believed(self) -> float | None:
        """The value; None where there is none, or none that can be true."""
        return None if self.quality is Quality.SUSPECT else self.value


_UNGRADED = (Quality.ASSUMED, Quality.SUSPECT)


@cache
def missing(unit: str) -> Reading:
    return Reading(value=None, unit=unit, at=None, quality=Quality.MISSING)


@dataclass(frozen=True, slots=True)
class Sample:
    """A reading of `metric` at `subject`.

    Subjects: `fleet/rack` for ASIC metrics, the node's host name for GPU and node metrics (a GPU metric is the
    sum over the node's GPUs), the job's name for job metrics, `grid` or the feeder's name for meters of power that
    comes by.
    """

    metric: Metric
    subject: str
    reading: Reading


class Telemetry:
    """All samples of one moment, by metric and subject. Immutable."""

    __slots__ = ("_readings", "at", "partial", "problems", "refused")

    def __init__(self, at: datetime, samples: Iterable[Sample] = ()) -> None:
        readings: dict[Metric, dict[str, Reading]] = {}
        for sample in samples:
            readings.setdefault(sample.metric, {})[sample.subject] = sample.reading
        self.at = at
        self.refused: Mapping[str, str] = _NOTHING
        """By subject, why its newest value is no reading: it keeps the one before."""
        self.partial: Mapping[str, str] = _NOTHING
        """By subject, what is read all the same and not wholly: how many parts of a sum answer."""
        self.problems: Mapping[str, str] = _NOTHING
        """By source, what of it does not come: a server, target or meter that is down, a page that can't be read."""
        self._readings: Mapping[Metric, Mapping[str, Reading]] = readings

    @staticmethod
    def of(
        at: datetime, readings: Mapping[Metric, Mapping[str, Reading]], refused: Mapping[str, str] | None = None
    ) -> "Telemetry":
        """Readings by metric and subject as they are; nobody changes them afterwards."""
        telemetry = Telemetry(at)
        telemetry._readings = readings
        telemetry.refused = refused or _NOTHING
        return telemetry

    def saying(self, *, partial: Mapping[str, str], problems: Mapping[str, str]) -> "Telemetry":
        """The same with what its source has to say of it."""
        return self._like(self.at, self._readings, partial, problems)

    def with_readings(
        self, readings: Mapping[Metric, Mapping[str, Reading]], at: datetime | None = None
    ) -> "Telemetry":
        """Other readings of the same sources; `at` where they are of another moment."""
        return self._like(at or self.at, readings, self.partial, self.problems)

    def _like(
        self,
        at: datetime,
        readings: Mapping[Metric, Mapping[str, Reading]],
        partial: Mapping[str, str],
        problems: Mapping[str, str],
    ) -> "Telemetry":
        telemetry = Telemetry.of(at, readings, self.refused)
        telemetry.partial, telemetry.problems = partial, problems
        return telemetry

    def get(self, metric: Metric, subject: str) -> Reading:
        """The reading, or a MISSING one where nothing was measured."""
        return self._readings.get(metric, _NONE).get(subject) or missing(metric.unit)

    def readings(self, metric: Metric) -> Mapping[str, Reading]:
        """By subject, those there are: for whoever goes through thousands of them."""
        return self._readings.get(metric, _NONE)

    def subjects(self, metric: Metric) -> tuple[str, ...]:
        """Subjects with a reading of `metric`, sorted."""
        return tuple(sorted(self._readings.get(metric, _NONE)))

    def graded(self, now: datetime, max_age: timedelta) -> "Telemetry":
        """The same samples, each marked fresh or stale at `now`."""
        graded = {
            metric: {subject: reading.graded(now, max_age) for subject, reading in readings.items()}
            for metric, readings in self._readings.items()
        }
        return self.with_readings(graded, now)

    def __iter__(self) -> Iterator[Sample]:
        return (
            Sample(metric, subject, reading)
            for metric, readings in self._readings.items()
            for subject, reading in readings.items()
        )

    def __len__(self) -> int:
        return sum(len(readings) for readings in self._readings.values())


_NOTHING: Mapping[str, str] = MappingProxyType({})
_NONE: Mapping[str, Reading] = MappingProxyType({})
