"""One page of an exporter, as the parts of devices that the mapping finds on it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache

from prometheus_client.parser import text_string_to_metric_families

from orchestrator.adapters.telemetry.parts import Part, place
from orchestrator.adapters.telemetry.series import instant
from orchestrator.domain.series.series import Combine, Series, SeriesMap, names_of

Device = tuple[int, str]
"""Number of the series in the mapping, and the device's name."""
_Found = tuple[int, str, tuple[str, ...], float]
"""Number of the series, device, part and value."""


@dataclass(slots=True)
class Page:
    """What is on a page: parts by device and what tells them apart, and what is wrong with the rest."""

    parts: dict[Device, dict[tuple[str, ...], Part]] = field(default_factory=dict)
    twice: dict[Device, int] = field(default_factory=dict)
    """How often there is what should be there once."""
    examples: dict[str, Mapping[str, str]] = field(default_factory=dict)
    """By metric name the labels of one of its series."""
    wrong: list[str] = field(default_factory=list)


class PageReader:
    """Finds the series of a mapping in the text of exporters."""

    def __init__(self, mapping: SeriesMap) -> None:
        self._mapping = mapping
        names = names_of(mapping.series)
        wanted = "|".join(sorted(map(re.escape, names)))
        self._wanted = re.compile(rf"^(?:{wanted})[{{ \t].*\n" if names else r"(?!)", re.MULTILINE)
        self._by_name: dict[str, list[int]] = {}
        self._seen: dict[str, list[int]] = {}
        for number, series in enumerate(mapping.series):
            if series.expr is None:
                self._by_name.setdefault(series.name, []).append(number)
                if series.seen is not None:
                    self._seen.setdefault(series.seen, []).append(number)

    def read(self, text: str, target: Mapping[str, str], scraped_at: datetime) -> Page:
        """`target` are labels of the target, which series without such labels have."""
        page, seen_at = Page(), dict[Device, datetime]()
        found: list[_Found] = []
        for line in self._wanted.findall(text):
            name = ""
            try:
                name, own, value = _sample(line)
                labels = {**target, **own}
                page.examples.setdefault(name, labels)
                self._sort(name, labels, value, found, seen_at)
            except KeyError as error:
                page.wrong.append(f"{name} has no label {error}")
            except ValueError as error:
                page.wrong.append(str(error))
        if not found and not page.wrong:
            page.wrong.append("none of the metrics wanted")
        for number, subject, part, value in found:
            series, device = self._mapping.series[number], (number, subject)
            at = scraped_at if series.seen is None else seen_at.get(device)
            if at is None:
                page.wrong.append(f"{subject} has no {series.seen}")
                continue
            self._add(page, device, part, Part(value, at))
        return page

    def _sort(
        self,
        name: str,
        labels: Mapping[str, str],
        value: float,
        found: list[_Found],
        seen_at: dict[Device, datetime],
    ) -> None:
        """Put a sample to the series of the mapping that take it. ValueError if none does."""
        for number in self._seen.get(name, ()):
            subject = self._mapping.series[number].subject_of(labels)
            if subject is not None:
                seen_at[number, subject] = instant(value)
        misfits, taken = "", False
        for number in self._by_name.get(name, ()):
            series = self._mapping.series[number]
            if not series.takes(labels):
                continue
            try:
                subject, part = series.subject_of(labels), series.part_of(labels)
            except KeyError as error:
                misfits = misfits or f"{name} has no label {error}, but {', '.join(sorted(labels))}{place(series)}"
                continue
            if subject is None:
                misfits = misfits or f"{name}: no pattern fits {_shown(labels, series)}{place(series)}"
            elif series.wholes is None or subject in series.wholes:
                found.append((number, subject, part, value))
                taken = True
            elif subject not in (self._mapping.known(series.metric) or ()):
                misfits = misfits or f"{name}: the site file has no {subject}{place(series)}"
        if misfits and not taken:
            raise ValueError(misfits)

    def _add(self, page: Page, device: Device, key: tuple[str, ...], part: Part) -> None:
        series, parts = self._mapping.series[device[0]], page.parts.setdefault(device, {})
        if key not in parts:
            parts[key] = part
            return
        if not series.repeats and series.combine in (Combine.ONE, Combine.SUM):
            page.twice[device] = page.twice.get(device, 1) + 1
        if part.value > parts[key].value:
            parts[key] = part


def _shown(labels: Mapping[str, str], series: Series) -> str:
    return ", ".join(f"{label}={labels.get(label, '')!r}" for label in series.labels)


def _sample(line: str) -> tuple[str, Mapping[str, str], float]:
    """Name, labels and value: picked out before they are parsed, which is what takes time. ValueError if it is none."""
    series, bracket, rest = line.rpartition("}")
    if not bracket:
        series, _, rest = line.partition(" ")
    value, *timestamp = rest.split() or [""]
    if len(timestamp) > 1:
        raise ValueError(f"{line.strip()!r} is no sample")
    try:
        name, labels = _series(series + bracket)
        return name, labels, float(value)
    except (ValueError, KeyError, IndexError) as error:
        raise ValueError(f"{line.strip()[:200]!r} is no sample: {error}") from error


@lru_cache(maxsize=100_000)
def _series(text: str) -> tuple[str, Mapping[str, str]]:
    """Name and labels; kept, since a series reads the same at every scrape. ValueError if it is none."""
    for family in text_string_to_metric_families(f"{text} 0\n"):
        for sample in family.samples:
            return sample.name, sample.labels
    raise ValueError(f"{text!r} is no series")
