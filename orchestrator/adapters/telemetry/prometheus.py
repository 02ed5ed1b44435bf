"""`MetricSource` by PromQL against a Prometheus server."""

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import httpx

from orchestrator.adapters.telemetry.parts import Part, combined, doubled, place
from orchestrator.adapters.telemetry.promql import (
    count_query,
    example_query,
    own_labels,
    time_query,
    twice_queries,
    value_query,
)
from orchestrator.adapters.telemetry.series import LastReadings, Told, by_subject, instant
from orchestrator.clock import SiteClock
from orchestrator.domain.observation import Metric, Telemetry
from orchestrator.domain.series.presets import MOCK_MAP
from orchestrator.domain.series.series import Series, SeriesMap

log = logging.getLogger(__name__)

_QUERY = "/api/v1/query"
_GIVE_UP_S = 10.0
_COMMITTED_S = 0.2
"""On the wall. All queries ask for one moment this long ago: values and their times are then of the same scrapes, where
a scrape that is stored between two queries would give the value of one and the time of another."""
Element = tuple[Mapping[str, str], float]
"""Labels and value of one element of an instant vector."""


class PrometheusMetrics:
    """Readings of the Prometheus server at `base_url`. One that is down, slow or wrong leaves the last readings."""

    def __init__(
        self,
        base_url: str,
        client: httpx.AsyncClient,
        clock: SiteClock,
        mapping: SeriesMap = MOCK_MAP,
        timeout_s: float = 1.0,
    ) -> None:
        self._url = base_url.rstrip("/") + _QUERY
        self._client = client
        self._clock = clock
        self._mapping = mapping
        self._twice = twice_queries(mapping.series)
        self._timeout_s = timeout_s
        self._last = LastReadings(clock)
        self._under_way: asyncio.Task[None] | None = None
        self._slow = False
        self._problems: dict[str, str] = {}
        self._notes: dict[str, str] = {}
        self._partial: Mapping[str, str] = {}
        self._down = ""
        """What its queries fail with; empty where they are answered."""
        self._told_of: Mapping[str, str] = {}
        """What is wrong with the answers, by metric or device."""
        self._told = Told(log, "from Prometheus")

    @property
    def problems(self) -> Mapping[str, str]:
        """What is wrong now, by query, metric or device."""
        return dict(self._problems)

    @property
    def notes(self) -> Mapping[str, str]:
        """What is read all the same, and not wholly: parts that do not answer, by device and quantity."""
        return dict(self._notes)

    async def read(self, now: datetime) -> Telemetry:
        if self._under_way is None:
            self._under_way = asyncio.create_task(self._query_all())
        if not self._slow:
            await asyncio.wait([self._under_way], timeout=self._timeout_s)
        self._slow = not self._under_way.done()
        if self._slow:
            self._problems.setdefault("server", f"no answer within {self._timeout_s:g} s")
        else:
            self._under_way.result()
            self._under_way = None
        late = f"no answer within {self._timeout_s:g} s" if self._slow else ""
        down = {self._url.removesuffix(_QUERY): self._down or late} if self._down or late else {}
        return self._last.telemetry(now).saying(partial=self._partial, problems={**down, **self._told_of})

    async def example(self, series: Series) -> Mapping[str, str] | None:
        """The labels of one of the server's series of that name; None if there is none, or no answer."""
        try:
            async with asyncio.timeout(_GIVE_UP_S):
                answer = await self._ask(example_query(series), time.time())
        except (TimeoutError, httpx.HTTPError, httpx.InvalidURL, ValueError):
            return None
        return own_labels(answer[0][0]) if answer else None

    async def close(self) -> None:
        """End the queries that are under way."""
        if self._under_way is not None:
            self._under_way.cancel()
            await asyncio.gather(self._under_way, return_exceptions=True)
            self._under_way = None

    async def _query_all(self) -> None:
        queries = set(self._twice)
        for series in self._mapping.series:
            queries |= {value_query(series), time_query(series)}
            queries |= {query for query in (count_query(series),) if query is not None}
        problems: dict[str, str] = {}
        answers: dict[str, list[Element]] = {}
        moment = time.time() - _COMMITTED_S

        async def ask(query: str) -> None:
            try:
                async with asyncio.timeout(_GIVE_UP_S):
                    answers[query] = await self._ask(query, moment)
            except TimeoutError:
                problems[query] = f"no answer within {_GIVE_UP_S:g} s"
            except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
                problems[query] = str(error) or type(error).__name__

        await asyncio.gather(*(ask(query) for query in sorted(queries)))
        failed = list(problems.values())
        round_ = _Round(answers, problems, time.time())
        twice = self._which_twice(answers)
        for series in self._mapping.series:
            if value_query(series) in answers:
                self._take(series, round_, twice.get(series.name, {}))
        self._problems, self._notes = problems, round_.notes
        self._partial = by_subject(round_.partial)
        self._down = f"{len(failed)} of {len(queries)} queries fail: {failed[0]}" if failed else ""
        self._told_of = {about: text for about, text in problems.items() if about not in queries}
        self._told.tell(problems, round_.notes, round_.wall)

    def _which_twice(self, answers: Mapping[str, list[Element]]) -> Mapping[str, Mapping[str, int]]:
        """How often there is what should be there once, by metric name and device."""
        found: dict[str, dict[str, int]] = {}
        for query, group in self._twice.items():
            by_name = {series.name: series for series in group}
            for labels, count in answers.get(query, []):
                series = by_name.get(labels.get("__name__", ""))
                subject = None if series is None else _subject(series, own_labels(labels))
                if series is not None and subject is not None:
                    found.setdefault(series.name, {})[subject] = int(count)
        return found

    async def _ask(self, query: str, moment: float) -> list[Element]:
        """The instant vector at `moment`, unix s; ValueError for other answers."""
        parameters = {"query": query, "time": f"{moment:.3f}"}
        response = await self._client.get(self._url, params=parameters, timeout=_GIVE_UP_S)
        if response.status_code != httpx.codes.OK:
            raise ValueError(f"HTTP status {response.status_code}: {response.text[:200]}")
        try:
            document = response.json()
            data = document["data"]
            if document["status"] != "success" or data["resultType"] != "vector":
                raise ValueError(f"no instant vector: {response.text[:200]}")
            return [(element["metric"], float(element["value"][1])) for element in data["result"]]
        except (KeyError, TypeError, IndexError) as error:
            raise ValueError(f"no answer of a Prometheus server: {error!r}") from error

    def _site_time(self, series: Series, unix_s: float) -> datetime:
        """What a device says itself is site time already; a scrape's time is the wall's."""
        return instant(unix_s) if series.seen is not None else self._clock.at(instant(unix_s).timestamp())

    def _take(self, series: Series, round_: "_Round", twice: Mapping[str, int]) -> None:
        """Put the good readings of one series on record; the problems of the others go to the round's."""
        times = _by_labels(series, round_.answers.get(time_query(series), []))
        counting = count_query(series)
        counts = None if counting is None else _by_labels(series, round_.answers.get(counting, []))
        parts: dict[str, list[Part]] = {}
        known, at = self._mapping.known(series.metric), dict[float, datetime]()  # many are of the same scrape
        for labels, value in round_.answers[value_query(series)]:
            own = own_labels(labels)
            try:
                subject = series.subject_of(own)
                if subject is None or (series.wholes is not None and subject not in series.wholes):
                    if subject is not None and known is not None and subject not in known:
                        round_.problem(series, subject, f"the site file has no {subject}")
                    continue
                key = _key(series, own)
                unix_s = times[key]
                if unix_s not in at:
                    at[unix_s] = self._site_time(series, unix_s)
                count = 1 if counts is None else int(counts[key])
                parts.setdefault(subject, []).append(Part(value, at[unix_s], count))
            except KeyError as error:
                round_.problem(series, "", f"no label or no time of {error}")
            except ValueError as error:
                round_.problem(series, "", str(error))
        latest = self._last.latest(round_.wall)
        for subject, of_device in parts.items():
            try:
                reading = combined(series, subject, of_device)
                count = twice.get(subject, 1)
                overlaps = self._last.overlaps(series.metric, subject, round_.wall, twice=count > 1)
                suspect = doubled(series, count) if count > 1 and not overlaps else reading.suspect
                if suspect or reading.note:
                    round_.notes[f"{series.metric.value} {subject}"] = (suspect or reading.note) + place(series)
                if reading.note and not suspect:
                    round_.partial.append((series.metric, subject, reading.note))
                self._last.put(series.metric, subject, reading.value, reading.at, latest, suspect, reading.assumed)
            except ValueError as error:
                round_.problem(series, subject, str(error))


@dataclass(frozen=True, slots=True)
class _Round:
    """The answers of one round of queries, and what was wrong with them."""

    answers: Mapping[str, list[Element]]
    problems: dict[str, str]
    wall: float
    """When they had come, unix s."""
    notes: dict[str, str] = field(default_factory=dict)
    partial: list[tuple[Metric, str, str]] = field(default_factory=list)
    """Sums that are believed and lack parts: metric, device and what to tell."""

    def problem(self, series: Series, subject: str, text: str) -> None:
        self.problems[f"{series.metric.value} {subject}".rstrip()] = text + place(series)


def _subject(series: Series, labels: Mapping[str, str]) -> str | None:
    try:
        return series.subject_of(labels)
    except KeyError:
        return None


def _key(series: Series, labels: Mapping[str, str]) -> tuple[str, ...]:
    return tuple([labels[label] for label in series.labels])


def _by_labels(series: Series, elements: list[Element]) -> Mapping[tuple[str, ...], float]:
    """By the labels that name the device; elements without them are left out."""
    found: dict[tuple[str, ...], float] = {}
    for labels, value in elements:
        own = own_labels(labels)
        if all(label in own for label in series.labels):
            found[_key(series, own)] = value
    return found
