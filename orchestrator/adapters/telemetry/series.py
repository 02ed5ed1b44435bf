"""The readings that are on record, whichever way they came, and what has been told of those that were not."""

import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import NoReturn

from orchestrator.clock import SiteClock
from orchestrator.domain.observation import Metric, Quality, Reading, Telemetry

FORGET_AFTER = timedelta(days=1)
"""Site time after which the last reading of a device that is gone is dropped."""
SWEEP_EVERY = timedelta(hours=1)
"""Site time between two looks for such."""
OVERLAP_S = 120.0
"""On the wall. An exporter that is replaced is scraped twice for less than this: until then the highest counts."""
_COUNTED = frozenset({"J", "H", "GPU s"})
"""Units of counters."""
NOTED_FOR_S = 3600.0
"""On the wall: what a device lacks comes and goes with every machine that restarts."""
NAMED_FOR = timedelta(minutes=10)
"""Site time for which a value that was refused is named, unless it comes again; its series may be gone."""
_CLOCKS_APART_S = 5.0
"""On the wall; a device's time further ahead than this is no time."""


class LastReadings:
    """The newest good reading of every series seen so far."""

    def __init__(self, clock: SiteClock) -> None:
        self._clock = clock
        self._readings: dict[Metric, dict[str, Reading]] = {metric: {} for metric in Metric}
        self._doubled: dict[tuple[Metric, str], float] = {}
        self._refused: dict[tuple[Metric, str], tuple[str, datetime]] = {}
        self._swept_at: datetime | None = None

    def latest(self, wall: float) -> datetime:
        """The last time (of the site) that something received at `wall` (unix s) can be of."""
        return self._clock.at(wall + _CLOCKS_APART_S)

    def put(
        self,
        metric: Metric,
        subject: str,
        value: float,
        at: datetime,
        latest: datetime,
        suspect: str = "",
        assumed: float = 0.0,
    ) -> None:
        """Take in a value of time `at`. ValueError, and no change, if it can't be true or is of after `latest`: that
        counts as silence, and `telemetry` names it until a good one comes.

        `suspect` says why it is not believed; empty for one that is. A counter that is not believed is not taken in at
        all: the next one that is goes on from the last that was. `assumed` is what of it silent parts count for.
        """
        key = (metric, subject)
        if suspect and metric.unit in _COUNTED:
            self._refused[key] = (suspect, latest)
            raise ValueError(suspect)
        if not math.isfinite(value) or (value < 0.0 and metric is not Metric.ASIC_TEMPERATURE):
            self._refuse(metric, subject, f"is {value:g} {metric.unit}", latest)
        if at > latest:
            self._refuse(metric, subject, f"is of {at.isoformat()}, which is to come", latest)
        quality = Quality.SUSPECT if suspect else Quality.FRESH
        self._readings[metric][subject] = Reading(value, metric.unit, at, quality, suspect, assumed)
        self._refused.pop(key, None)

    def _refuse(self, metric: Metric, subject: str, why: str, at: datetime) -> NoReturn:
        self._refused[metric, subject] = (why, at)
        raise ValueError(f"{metric.value} of {subject} {why}")

    def overlaps(self, metric: Metric, subject: str, wall: float, *, twice: bool) -> bool:
        """Whether what is there twice may still be an exporter and the one that replaces it."""
        key = (metric, subject)
        if not twice:
            self._doubled.pop(key, None)
            return False
        if key not in self._doubled:
            before = self._readings[metric].get(subject)
            self._doubled[key] = wall if before is not None and before.fresh else -math.inf
        return wall - self._doubled[key] < OVERLAP_S

    def telemetry(self, now: datetime) -> Telemetry:
        """All of them, without those too old to speak of."""
        if self._swept_at is None or now - self._swept_at >= SWEEP_EVERY:
            self._swept_at = now
            for readings in self._readings.values():
                gone = [name for name, reading in readings.items() if reading.at and now - reading.at > FORGET_AFTER]
                for name in gone:
                    del readings[name]
            self._refused = {key: it for key, it in self._refused.items() if now - it[1] <= NAMED_FOR}
        readings_now = {metric: dict(readings) for metric, readings in self._readings.items()}
        refused: dict[str, str] = {}
        for (metric, subject), (why, at) in self._refused.items():
            if now - at <= NAMED_FOR:
                refused.setdefault(subject, f"{metric.value} {why}")
        return Telemetry.of(now, readings_now, refused)


def by_subject(notes: Iterable[tuple[Metric, str, str]]) -> Mapping[str, str]:
    """Of what is told of several quantities of a device the first, in the order of `Metric`: power comes first."""
    found: dict[str, str] = {}
    for _, subject, note in sorted(notes, key=lambda of: _ORDER[of[0]]):
        found.setdefault(subject, note)
    return found


_ORDER = {metric: number for number, metric in enumerate(Metric)}


class Told:
    """Problems go to the log when they begin and when all have ended; what a device lacks once an hour at most."""

    def __init__(self, log: logging.Logger, source: str) -> None:
        self._log = log
        self._source = source
        self._told: set[str] = set()
        self._noted: dict[str, float] = {}

    def tell(self, problems: Mapping[str, str], notes: Mapping[str, str], wall: float) -> None:
        """All that there are now, by what they are about; `wall` in unix s."""
        self._warn("fails", problems, sorted(problems.keys() - self._told))
        if self._told and not problems:
            self._log.info("telemetry %s comes again", self._source)
        self._told = set(problems)
        self._warn("is not whole", notes, sorted(notes.keys() - self._noted.keys()))
        recent = {about: at for about, at in self._noted.items() if wall - at < NOTED_FOR_S}
        self._noted = recent | dict.fromkeys(notes.keys() - recent.keys(), wall)

    def _warn(self, how: str, texts: Mapping[str, str], new: Sequence[str]) -> None:
        if new:
            more = f" (and {len(new) - 1} more)" if len(new) > 1 else ""
            self._log.warning("telemetry %s %s: %s: %s%s", self._source, how, new[0], texts[new[0]], more)


def instant(unix_s: float) -> datetime:
    """ValueError for seconds that are no time."""
    try:
        return datetime.fromtimestamp(unix_s, UTC)
    except (OverflowError, OSError, ValueError) as error:
        raise ValueError(f"{unix_s:g} s are no time") from error
