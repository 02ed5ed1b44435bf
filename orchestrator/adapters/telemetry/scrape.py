"""The built-in scraper: `MetricSource` straight from the exporters, for sites without a Prometheus server."""

import asyncio
import re
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import lru_cache
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

from orchestrator.adapters.telemetry.file_targets import FileTargets
from orchestrator.adapters.telemetry.series import LAST_SEEN, RACK, SERIES, LastReadings, instant
from orchestrator.clock import SiteClock
from orchestrator.domain.observation import Metric, Telemetry

_WANTED = re.compile(rf"^(?:{'|'.join([*SERIES, LAST_SEEN])})[{{ \t].*\n", re.MULTILINE)
_MAX_BYTES = 16_000_000
_GIVE_UP_S = 10.0
"""On the wall. A target that lets this pass is asked anew."""


class ScrapedMetrics:
    """Scrapes every target found in `targets_dir`, all at once.

    A target that has not answered within `timeout_s` (wall) keeps its last readings and is not waited for again until
    it answers; there is never more than one request to it under way.
    """

    def __init__(self, targets_dir: Path, client: httpx.AsyncClient, clock: SiteClock, timeout_s: float = 1.0) -> None:
        self._discovery = FileTargets(targets_dir)
        self._client = client
        self._clock = clock
        self._timeout_s = timeout_s
        self._last = LastReadings(clock)
        self._under_way: dict[str, asyncio.Task[bool]] = {}
        self._slow: set[str] = set()
        self._problems: dict[str, str] = {}

    @property
    def problems(self) -> Mapping[str, str]:
        """What is wrong now, by target or file of targets."""
        return {**self._discovery.problems, **self._problems}

    async def read(self, now: datetime) -> Telemetry:
        targets = self._discovery.read()
        self._forget((self._under_way.keys() | self._problems.keys() | self._slow) - targets)
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
        return self._last.telemetry(now)

    async def close(self) -> None:
        """End the requests that are under way."""
        tasks = list(self._under_way.values())
        self._forget(set(self._under_way))
        await asyncio.gather(*tasks, return_exceptions=True)

    def _forget(self, targets: set[str]) -> None:
        for target in targets:
            self._problems.pop(target, None)
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
        wrong = self._take(text)
        if wrong:
            self._problems[target] = "; ".join(wrong[:3]) + (f"; {len(wrong) - 3} more" if len(wrong) > 3 else "")
        else:
            self._problems.pop(target, None)
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

    def _take(self, text: str) -> list[str]:
        """Put every good reading of a scrape on record; returns what was wrong with the others."""
        wall = time.time()
        try:
            lines = list(_lines(text))
        except (ValueError, KeyError, IndexError) as error:
            return [f"no metrics: {error}"]
        if not lines:
            return ["none of the metrics wanted"]
        wrong: list[str] = []
        last_seen: dict[str, float] = {}
        devices: dict[tuple[Metric, str], dict[tuple[str, ...], float]] = {}
        for name, labels, value in lines:
            try:
                if name == LAST_SEEN:
                    last_seen["/".join(labels[label] for label in RACK)] = value
                else:
                    series = SERIES[name]
                    device = tuple(labels[label] for label in series.device)
                    values = devices.setdefault((series.metric, series.subject_of(labels)), {})
                    values[device] = max(value, values.get(device, value))
            except KeyError as error:
                wrong.append(f"{name} has no label {error}")
        scraped_at, latest = self._clock.at(wall), self._last.latest(wall)
        for (metric, subject), values in devices.items():
            try:
                at = instant(last_seen[subject]) if SERIES[metric.value].dated else scraped_at
                self._last.put(metric, subject, sum(values.values()), at, latest)
            except KeyError:
                wrong.append(f"{subject} has no {LAST_SEEN}")
            except ValueError as error:
                wrong.append(str(error))
        return wrong


def _lines(text: str) -> Iterator[tuple[str, Mapping[str, str], float]]:
    """Name, labels and value of the samples wanted: picked out before they are parsed, which is what takes time."""
    for line in _WANTED.findall(text):
        series, _, rest = line.rpartition("}")
        value, *timestamp = rest.split()
        if len(timestamp) > 1:
            raise ValueError(f"{line.strip()!r} is no sample")
        yield *_series(series + "}"), float(value)


@lru_cache(maxsize=100_000)
def _series(text: str) -> tuple[str, Mapping[str, str]]:
    """Name and labels; kept, since a series reads the same at every scrape. ValueError if it is none."""
    for family in text_string_to_metric_families(f"{text} 0\n"):
        for sample in family.samples:
            return sample.name, sample.labels
    raise ValueError(f"{text!r} is no series")
