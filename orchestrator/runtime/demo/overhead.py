"""What cooling and distribution take on a simulated site, by the weather that its controller sees too."""

from datetime import datetime, timedelta

from orchestrator.domain.site.site import Site
from orchestrator.ports import SeriesSource

_STEP = timedelta(minutes=15)
"""PUE is on the line between its points."""


async def pue_by_time(
    site: Site, weather: SeriesSource, start: datetime, end: datetime
) -> tuple[tuple[datetime, float], ...]:
    """PUE at points of time from `start` to `end`; () where the site has no meters, since nobody asks then."""
    if not site.meters():
        return ()
    points = []
    at = start
    while True:
        outdoor_c = (await weather.read(at)).value
        points.append((at, site.cooling.pue(site.stale.temperature_assume_c if outdoor_c is None else outdoor_c)))
        if at >= end:
            return tuple(points)
        at = min(at + _STEP, end)
