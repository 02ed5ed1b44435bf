"""`MetricSource` by PromQL against a Prometheus server."""

import asyncio
import logging
import time
from collections.abc import Mapping
from datetime import datetime

import httpx

from orchestrator.adapters.telemetry.series import LAST_SEEN, RACK, SERIES, LastReadings, Series, instant
from orchestrator.clock import SiteClock
from orchestrator.domain.observation import Telemetry

log = logging.getLogger(__name__)

_GIVE_UP_S = 10.0
_COMMITTED_S = 0.2
"""On the wall. All queries ask for one moment this long ago: values and their times are then of the same scrapes, where
a scrape that is stored between two queries would give the value of one and the time of another."""
Element = tuple[Mapping[str, str], float]
"""Labels and value of one element of an instant vector."""
_LAST_SEEN_QUERY = f"max by ({', '.join(RACK)}) ({LAST_SEEN})"


def value_query(series: Series) -> str:
    """One value a subject. A device scraped twice (its exporter was just restarted) counts once, at its highest."""
    return f"sum by ({', '.join(series.subject)}) (max by ({', '.join(series.device)}) ({series.metric.value}))"


def time_query(series: Series) -> str:
    """When each subject's value was measured, unix seconds: of the oldest of its devices.

    Asked for because a value is returned for up to 5 minutes after the last scrape as if it were new.
    """
    if series.dated:
        return _LAST_SEEN_QUERY
    newest = f"max by ({', '.join(series.device)}) (timestamp({series.metric.value}))"
    return f"min by ({', '.join(series.subject)}) ({newest})"


class PrometheusMetrics:
    """Readings of the Prometheus server at `base_url`. One that is down, slow or wrong leaves the last readings."""

    def __init__(self, base_url: str, client: httpx.AsyncClient, clock: SiteClock, timeout_s: float = 1.0) -> None:
        self._url = f"{base_url.rstrip('/')}/api/v1/query"
        self._client = client
        self._clock = clock
        self._timeout_s = timeout_s
        self._last = LastReadings(clock)
        self._under_way: asyncio.Task[None] | None = None
        self._slow = False
        self._problems: dict[str, str] = {}
        self._was_told = False

    @property
    def problems(self) -> Mapping[str, str]:
        """What is wrong now, by query or metric."""
        return dict(self._problems)

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
        return self._last.telemetry(now)

    async def close(self) -> None:
        """End the queries that are under way."""
        if self._under_way is not None:
            self._under_way.cancel()
            await asyncio.gather(self._under_way, return_exceptions=True)
            self._under_way = None

    async def _query_all(self) -> None:
        queries = {value_query(series) for series in SERIES.values()} | {time_query(s) for s in SERIES.values()}
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
        latest = self._last.latest(time.time())
        times: dict[str, Mapping[str, float]] = {}
        for series in SERIES.values():
            query = time_query(series)  # those of a rack are asked for once
            try:
                if query not in times:
                    times[query] = _by_subject(series, answers.get(query, []))
                self._take(series, answers.get(value_query(series), []), times[query], latest)
            except ValueError as error:
                problems[series.metric.value] = str(error)
        self._problems = problems
        if problems and not self._was_told:
            what, problem = next(iter(problems.items()))
            log.warning("telemetry from Prometheus fails: %s: %s (%d queries in all)", what, problem, len(problems))
        elif self._was_told and not problems:
            log.info("telemetry from Prometheus comes again")
        self._was_told = bool(problems)

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
        """LAST_SEEN is site time already; a scrape's time is the wall's."""
        return instant(unix_s) if series.dated else self._clock.at(instant(unix_s).timestamp())

    def _take(self, series: Series, elements: list[Element], times: Mapping[str, float], latest: datetime) -> None:
        """Put the good readings of one metric on record; ValueError says what was wrong with one of the others.

        `times` are unix seconds by subject.
        """
        problem = ""
        at: dict[float, datetime] = {}  # many are of the same scrape
        for labels, value in elements:
            try:
                subject = series.subject_of(labels)
                unix_s = times[subject]
                if unix_s not in at:
                    at[unix_s] = self._site_time(series, unix_s)
                self._last.put(series.metric, subject, value, at[unix_s], latest)
            except KeyError as error:
                problem = f"no label or no time of {error}"
            except ValueError as error:
                problem = str(error)
        if problem:
            raise ValueError(problem)


def _by_subject(series: Series, elements: list[Element]) -> Mapping[str, float]:
    """ValueError for elements without the subject's labels."""
    try:
        return {series.subject_of(labels): value for labels, value in elements}
    except KeyError as error:
        raise ValueError(f"series without label {error}") from error
