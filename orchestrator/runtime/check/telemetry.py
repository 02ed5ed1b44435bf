"""`wattshift check --telemetry`: what the live source says of each device, and which line to change."""

import asyncio
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from pathlib import Path

import httpx
from rich.console import Console
from rich.text import Text

from orchestrator.adapters.telemetry.prometheus import PrometheusMetrics
from orchestrator.adapters.telemetry.scrape import ScrapedMetrics
from orchestrator.clock import SiteClock
from orchestrator.domain.observation import Metric, Quality, Reading, Telemetry
from orchestrator.domain.series.fit import NODE_METRICS, RACK_METRICS
from orchestrator.domain.series.presets import PRESETS
from orchestrator.domain.series.series import Series, SeriesMap
from orchestrator.domain.site.site import Site
from orchestrator.observe.readings.plausibility import judged
from orchestrator.runtime.feeds import DeviceMetrics, open_devices
from orchestrator.settings import QUANTITIES, Settings, values

ASK_EVERY_S = 1.0
"""On the wall, between two looks."""
_NAMES = {metric: quantity for quantity, metric in QUANTITIES.items()}
_NUMBERED = re.compile(r"(.*-)(\d+)\Z")


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found of one quantity of one device."""

    device: str
    metric: Metric
    state: str
    """found, missing, suspect or old."""
    text: str
    line: str
    """Where in the site file it is mapped."""
    value: float | None = None


@dataclass(frozen=True, slots=True)
class Findings:
    """Of all devices, and what the source says itself."""

    devices: Sequence[Finding]
    problems: Mapping[str, str] = field(default_factory=dict)
    hints: Sequence[str] = ()

    @property
    def sound(self) -> bool:
        return all(finding.state == "found" for finding in self.devices) and not self.problems


async def check_telemetry(settings: Settings, targets: Path, console: Console, clock: SiteClock, for_s: float) -> int:
    """Asks the source, for `for_s` at most if something is missing, and prints what it says; 0 if all is there, else 1.

    `targets` is the folder of the built-in scraper's targets.
    """
    async with httpx.AsyncClient(trust_env=False) as client:
        source = open_devices(settings, targets, client, clock)
        try:
            findings = await _ask(settings, source, clock, for_s)
        finally:
            await source.close()
        hints = [] if findings.sound else await _hints(settings, targets, client, clock)
    _print(settings, findings, hints, console)
    return 0 if findings.sound else 1


async def _ask(settings: Settings, source: DeviceMetrics, clock: SiteClock, for_s: float) -> Findings:
    """What is there once all of it is, or after `for_s`."""
    rounds = max(int(for_s / ASK_EVERY_S), 1)
    for left in reversed(range(rounds)):
        now = _now(clock)
        telemetry = await source.read(now)
        findings = Findings(
            list(findings_of(settings.site, settings.series, telemetry, now)), {**source.notes, **source.problems}
        )
        if findings.sound or not left:
            return findings
        await asyncio.sleep(ASK_EVERY_S)
    raise AssertionError("there is a round at least")


def findings_of(site: Site, mapping: SeriesMap, telemetry: Telemetry, now: datetime) -> Iterator[Finding]:
    """Every quantity that is mapped of every rack and node; pure."""
    graded = judged(site, telemetry.graded(now, site.stale.telemetry_max_age))
    racks, nodes = [name for _, name in site.racks()], [name for _, name in site.nodes()]
    for devices, metrics in ((racks, RACK_METRICS), (nodes, NODE_METRICS)):
        for metric in sorted(metrics):
            readings = graded.readings(metric)
            lines = {device: series for series in mapping.of(metric) for device in series.wholes or ()}
            for device in devices:
                if device in lines:
                    yield _finding(device, metric, readings.get(device), lines[device], now)


def _finding(device: str, metric: Metric, reading: Reading | None, series: Series, now: datetime) -> Finding:
    if reading is None or reading.value is None or reading.at is None:
        return Finding(device, metric, "missing", f"no {series.name}", series.where)
    if reading.quality is Quality.SUSPECT:
        return Finding(device, metric, "suspect", reading.reason, series.where)
    if reading.quality is Quality.STALE:
        age_s = (now - reading.at).total_seconds()
        return Finding(device, metric, "old", f"{series.name} is {age_s:,.0f} s old", series.where)
    return Finding(device, metric, "found", series.name, series.where, reading.value)


async def _hints(settings: Settings, targets: Path, client: httpx.AsyncClient, clock: SiteClock) -> list[str]:
    """Which series the source has that the site file could name, with the labels of one of them."""
    known = {series.name: (preset, series) for preset in PRESETS for series in PRESETS[preset]}
    for series in settings.series.series:
        known.setdefault(series.name, ("the site file", series))
    everything = SeriesMap(tuple(series for _, series in known.values()))
    if isinstance(settings.telemetry, values.PrometheusMetrics):
        source: DeviceMetrics = PrometheusMetrics(settings.telemetry.url, client, clock)
    else:
        source = ScrapedMetrics(targets, client, clock, everything)
        await source.read(_now(clock))
    hints: list[str] = []
    for name, (preset, series) in sorted(known.items()):
        labels = await source.example(series)
        if labels is not None:
            shown = ", ".join(f"{label}={value!r}" for label, value in sorted(labels.items()) if label != "__name__")
            hints.append(f"{name} ({preset}): {shown}")
    await source.close()
    return hints


def _print(settings: Settings, findings: Findings, hints: Sequence[str], console: Console) -> None:
    styles = {"found": "green", "missing": "bold red", "suspect": "bold red", "old": "yellow"}
    for devices, of_group in _grouped(findings.devices):
        first = of_group[0]
        line = f" ({first.line})" if first.line else ""
        texts = (
            f"{devices}: {_NAMES[first.metric]} ",
            (first.state, styles[first.state]),
            f": {_what(of_group)}{line}",
        )
        console.print(Text.assemble(*texts), soft_wrap=True)  # one line each, so that grep can follow it
    mapped = {series.metric for series in settings.series.series}
    for metrics, there_are in ((RACK_METRICS, settings.site.fleets), (NODE_METRICS, settings.site.pools)):
        unmapped = ", ".join(_NAMES[metric] for metric in sorted(metrics - mapped))
        if unmapped and there_are:
            console.print(Text(f"not mapped: {unmapped}; telemetry.series can name where it is"), soft_wrap=True)
    for about, problem in sorted(findings.problems.items()):
        console.print(Text.assemble((about, "bold red"), ": ", problem), soft_wrap=True)
    if hints:
        console.print(Text("The source has, one of each:", "bold"))
        for hint in hints:
            console.print(Text(f"  {hint}"), soft_wrap=True)
    if findings.sound:
        console.print(Text("every device is there"), soft_wrap=True)


def _grouped(findings: Sequence[Finding]) -> Iterator[tuple[str, list[Finding]]]:
    """Those of like devices together, with the devices' names in short: `s21/rack-0 to 41`."""

    def like(finding: Finding) -> tuple[str, ...]:
        stem = _NUMBERED.match(finding.device)
        return (stem[1] if stem else finding.device, finding.metric, finding.state, finding.text, finding.line)

    for _, found in groupby(sorted(findings, key=lambda finding: (*like(finding), _number(finding.device))), like):
        of_group = list(found)
        yield ", ".join(_spans([finding.device for finding in of_group])), of_group


def _spans(devices: Sequence[str]) -> Iterator[str]:
    numbers = [_number(device) for device in devices]
    start = 0
    for index in range(1, len(numbers) + 1):
        if index == len(numbers) or numbers[index] != numbers[index - 1] + 1:
            last = f" to {numbers[index - 1]}" if index - 1 > start else ""
            yield devices[start] + last
            start = index


def _number(device: str) -> int:
    stem = _NUMBERED.match(device)
    return int(stem[2]) if stem else 0


def _what(of_group: Sequence[Finding]) -> str:
    found = [finding.value for finding in of_group if finding.value is not None]
    if not found:
        return of_group[0].text
    low, high, unit = min(found), max(found), of_group[0].metric.unit
    return f"{of_group[0].text}, {low:.4g}{f' to {high:.4g}' if high > low else ''} {unit}"


def _now(clock: SiteClock) -> datetime:
    return clock.at(time.time())
