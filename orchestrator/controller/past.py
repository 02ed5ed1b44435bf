"""What was seen of jobs and temperatures, to forecast by. It is on record or with the sources: a restart loses none."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from orchestrator.accounting.billing import JobRecord
from orchestrator.domain.site.site import Site
from orchestrator.observe.readings.stale_inputs import outdoor_or_assumed
from orchestrator.ports import SeriesSource

OUTDOOR_EVERY = timedelta(minutes=15)
OUTDOOR_BEHIND = timedelta(hours=26)
"""Temperatures ahead are told from those of the day before, which has up to 25 hours."""


@dataclass(frozen=True, slots=True)
class Past:
    """What was seen up to a moment."""

    jobs: Collection[JobRecord] = ()
    """All on record."""
    outdoor: Sequence[tuple[datetime, float]] = ()
    """degC of the day before, in order of time."""


async def read_past(site: Site, jobs: Collection[JobRecord], weather: SeriesSource, now: datetime) -> Past:
    """As known at `now`; temperatures by the stale policy of their time."""
    every_s = OUTDOOR_EVERY.total_seconds()
    last = datetime.fromtimestamp(now.timestamp() // every_s * every_s, UTC)
    outdoor = []
    for back in range(OUTDOOR_BEHIND // OUTDOOR_EVERY, -1, -1):
        at = last - back * OUTDOOR_EVERY
        value = outdoor_or_assumed(await weather.read(at), at, site.stale).value
        assert value is not None, "an assumed temperature has a value"
        outdoor.append((at, value))
    return Past(jobs, outdoor)
