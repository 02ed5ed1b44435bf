"""The built-in scraper: `MetricSource` straight from the exporters, for sites without a Prometheus server."""

import asyncio
import logging
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import httpx

from orchestrator.adapters.telemetry.file_targets import FileTargets
from orchestrator.adapters.telemetry.page import Device, Page, PageReader
from orchestrator.adapters.telemetry.parts import Part, combined, doubled, place
from orchestrator.adapters.telemetry.series import LastReadings, Told, by_subject
from orchestrator.clock import SiteClock
from orchestrator.domain.observation import Telemetry
from orchestrator.domain.series.presets import MOCK_MAP
from orchestrator.domain.series.series import Combine, Series, SeriesMap

log = logging.getLogger(__name__)

_MAX_BYTES = 16_000_000
_GIVE_UP_S = 10.0
"""On the wall. A target that lets this pass is asked anew."""


class ScrapedMetrics:
    """Scrapes every target found in `targets_dir`, all at once.

    A target that has not answered within `timeout_s` (wall) keeps its last readings and is not waited for again until
    it answers; there is never more than one request to it under way.
    """

    def __init__(
        self,
        targets_dir: Path,
        client: httpx.AsyncClient,
        clock: SiteClock,
        mapping: SeriesMap = MOCK_MAP,
        timeout_s: float = 1.0,
    ) -> None:
        self._discovery = FileTargets(targets_dir)
        self._client = client
        self._clock = clock
        self._mapping = mapping
        self._reader = PageReader(mapping)
        self._pages: dict[str, Page] = {}
        """The last of each target."""
        self._new: dict[str, Page] = {}
        """Those that came since the last look: judged together, so that what is on two of them shows."""
        self._timeout_s = timeout_s
        self._last = LastReadings(clock)
        self._under_way: dict[str, asyncio.Task[bool]] = {}
        self._slow: set[str] = set()
        self._problems: dict[str, str] = {}
        self._notes: dict[Device, str] = {}
        self._partial: dict[Device, str] = {}
        """Of the notes those of sums that are believed."""
        self._told = Told(log, "from exporters")

    @property
    def problems(self) -> Mapping[str, str]:
        """What is wrong now, by target or file of targets."""
        return {**self._discovery.problems, **self._problems}

    @property
    def notes(self) -> Mapping[str, str]:
        """What is read all the same, and not wholly: parts that do not answer, by device and quantity."""
        named = ((self._mapping.series[number], subject, note) for (number, subject), note in self._notes.items())
        return {f"{series.metric.value} {subject}": note for series, subject, note in named}

    async def read(self, now: datetime) -> Telemetry:
        targets = self._discovery.read()
        self._forget((self._under_way.keys() | self._problems.keys() | self._pages.keys() | self._slow) - targets)
        for target in targets - self._under_way.keys():
            self._under_way[target] = asyncio.create_task(self._scrape(target))
        prompt = [task for target, task in self._under_way.items() if target not in self._slow]
        if prompt:
            await asyncio.wait(prompt, timeout=self._timeout_s)
        for target, task in list(self._under_way.items()):
            if not task.done():
                self._slow.add(target)
                self._problems.setdefault(target, f"no answer within {self._timeout_s:g} s")
                continue
            del self._under_way[target]
            if task.result():
                self._slow.discard(target)
        self._take_new()
        self._told.tell(self.problems, self.notes, time.time())
        series = self._mapping.series
        partial = by_subject((series[number].metric, name, note) for (number, name), note in self._partial.items())
        return self._last.telemetry(now).saying(partial=partial, problems=self.problems)

    async def example(self, series: Series) -> Mapping[str, str] | None:
        """The labels of one of the exporters' series of that name, as they were last read; None if there is none."""
        return next((page.examples[series.name] for page in self._pages.values() if series.name in page.examples), None)

    async def close(self) -> None:
        """End the requests that are under way."""
        tasks = list(self._under_way.values())
        self._forget(set(self._under_way))
        await asyncio.gather(*tasks, return_exceptions=True)

    def _forget(self, targets: set[str]) -> None:
        for target in targets:
            self._problems.pop(target, None)
            self._pages.pop(target, None)
            self._new.pop(target, None)
            self._slow.discard(target)
            if (task := self._under_way.pop(target, None)) is not None:
                task.cancel()

    async def _scrape(self, target: str) -> bool:
        """Take in what `target` says; False if it let the time pass. Raises nothing."""
        try:
            async with asyncio.timeout(_GIVE_UP_S):
                text = await self._fetch(target)
        except TimeoutError:
            self._problems[target] = f"no answer within {_GIVE_UP_S:g} s"
            return False
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            self._problems[target] = str(error) or type(error).__name__
            return True
        labels, scraped_at = self._discovery.labels(target), self._clock.at(time.time())
        self._new[target] = self._reader.read(text, labels, scraped_at)
        return True

    async def _fetch(self, target: str) -> str:
        """The whole body. ValueError if it can be no exposition of metrics."""
        async with self._client.stream("GET", f"http://{target}/metrics", timeout=_GIVE_UP_S) as response:
            if response.status_code != httpx.codes.OK:
                raise ValueError(f"HTTP status {response.status_code}")
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > _MAX_BYTES:
                    raise ValueError(f"more than {_MAX_BYTES} bytes")
        if not body.endswith(b"\n"):
            raise ValueError("the last line does not end: truncated, or no metrics")
        return body.decode("utf-8")

    def _take_new(self) -> None:
        """Put every good reading on the new pages on record, and what was wrong with the others with the problems."""
        new, wall = self._new, time.time()
        self._new = {}
        self._pages.update({target: page for target, page in new.items() if page.examples})
        wrong = {target: list(page.wrong) for target, page in new.items()}
        for device in dict.fromkeys(device for page in new.values() for device in page.parts):
            try:
                self._put(device, max(page.twice.get(device, 1) for page in new.values()), wall)
            except ValueError as error:
                self._note(device, "", "")
                for target, page in new.items():
                    if device in page.parts:
                        wrong[target].append(str(error))
        shown = {device for page in self._pages.values() for device in page.parts}
        self._notes = {device: note for device, note in self._notes.items() if device in shown}
        self._partial = {device: note for device, note in self._partial.items() if device in shown}
        for target, texts in wrong.items():
            more = f"; {len(texts) - 3} more" if len(texts) > 3 else ""
            if texts:
                self._problems[target] = "; ".join(texts[:3]) + more
            else:
                self._problems.pop(target, None)

    def _put(self, device: Device, on_page: int, wall: float) -> None:
        """Put one reading on record; `on_page` is how often one page has what should be there once. ValueError if it
        can't be one."""
        number, subject = device
        series = self._mapping.series[number]
        parts, on_pages = self._parts(device)
        reading = combined(series, subject, parts)
        overlaps = self._last.overlaps(series.metric, subject, wall, twice=on_pages > 1)
        suspect = reading.suspect
        if on_page > 1 or (on_pages > 1 and not overlaps):  # no exporter is replaced by itself
            suspect = doubled(series, max(on_page, on_pages))
        self._note(device, suspect, reading.note)
        latest = self._last.latest(wall)
        self._last.put(series.metric, subject, reading.value, reading.at, latest, suspect, reading.assumed)

    def _note(self, device: Device, suspect: str, partial: str) -> None:
        self._notes.pop(device, None)
        self._partial.pop(device, None)
        if suspect or partial:
            self._notes[device] = (suspect or partial) + place(self._mapping.series[device[0]])
        if partial and not suspect:
            self._partial[device] = partial

    def _parts(self, device: Device) -> tuple[list[Part], int]:
        """The parts of a device on all pages, and on how many pages the same part is.

        Those much older than the newest are of an exporter that has stopped, and are left out.
        """
        found: dict[tuple[str, ...], list[Part]] = {}
        for page in self._pages.values():
            for key, part in page.parts.get(device, {}).items():
                found.setdefault(key, []).append(part)
        newest = max(part.at for parts in found.values() for part in parts)
        live = [[part for part in parts if newest - part.at <= self._mapping.max_age] for parts in found.values()]
        series = self._mapping.series[device[0]]
        best = [
            max(parts, key=lambda part: part.at if series.combine is Combine.LAST else part.value)
            for parts in live
            if parts
        ]
        once = series.repeats or series.combine in (Combine.MAX, Combine.LAST)
        return best, 1 if once else max(map(len, live))
