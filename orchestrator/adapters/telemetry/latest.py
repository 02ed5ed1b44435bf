"""Telemetry that is read at once: the newest round of another source."""

from datetime import datetime

from orchestrator.domain.observation import Telemetry
from orchestrator.ports import MetricSource


class LatestMetrics:
    """A MetricSource over another one, which is asked only by `refresh`.

    A round of scraping takes a good part of a second; a new price or an order is answered from the round before it
    rather than after the next. The readings carry their time, so nothing passes for newer than it is.
    """

    def __init__(self, source: MetricSource) -> None:
        self._source = source
        self._last: Telemetry | None = None

    async def refresh(self, now: datetime) -> None:
        """Ask the source."""
        self._last = await self._source.read(now)

    async def read(self, now: datetime) -> Telemetry:
        if self._last is None:
            await self.refresh(now)
        assert self._last is not None, "the source was asked"
        return self._last
