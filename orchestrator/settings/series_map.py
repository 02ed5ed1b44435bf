"""From presets and `telemetry.series` to the mapping that telemetry is read by."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from orchestrator.domain.observation import Metric
from orchestrator.domain.series.fit import METER_METRICS, NODE_METRICS, RACK_METRICS, fitted
from orchestrator.domain.series.presets import MOCK, OWN, PRESETS
from orchestrator.domain.series.series import Combine, Label, Series, SeriesMap
from orchestrator.domain.site.site import Site
from orchestrator.settings.document import Path
from orchestrator.settings.problems import Found, dotted
from orchestrator.settings.sections.series import LabelSection, LabelsSection, MappedSection, SeriesSection
from orchestrator.settings.series_units import UNITS

QUANTITIES: Mapping[str, Metric] = MappingProxyType(
    {
        "rack_power": Metric.ASIC_POWER,
        "rack_energy": Metric.ASIC_ENERGY,
        "rack_hashrate": Metric.ASIC_HASHRATE,
        "rack_hashes": Metric.ASIC_HASHES,
        "rack_temperature": Metric.ASIC_TEMPERATURE,
        "gpu_power": Metric.GPU_POWER,
        "node_power": Metric.NODE_POWER,
        "node_energy": Metric.NODE_ENERGY,
        "job_progress": Metric.JOB_PROGRESS,
        "job_checkpoint": Metric.JOB_CHECKPOINT,
        "meter_power": Metric.METER_POWER,
        "meter_energy": Metric.METER_ENERGY,
    }
)


def subject_keys(metric: Metric) -> tuple[str, ...]:
    """Which of `labels` name the metric's device."""
    if metric in RACK_METRICS:
        return ("fleet", "rack")
    if metric in METER_METRICS:
        return ("meter",)
    return ("node",) if metric in NODE_METRICS else ("job",)


def preset_series(presets: list[str] | None) -> Mapping[Metric, Series]:
    """The series of some presets, later ones before earlier, with those of jobs and meters."""
    named = [series for preset in presets or [MOCK] for series in PRESETS[preset]]
    return {series.metric: series for series in (*OWN, *named)}


def series_map(section: MappedSection, site: Site, found: Found) -> SeriesMap:
    """The mapping of a section that is sound, for `site`."""
    base = {
        metric: replace(
            series,
            subject=_subject(series, section.labels, None),
            match=_match(section.match),
            names=section.names or {},
            where=_place(found, ("telemetry", "presets")),
        )
        for metric, series in preset_series(list(section.presets) if section.presets else None).items()
    }
    loads = frozenset(fleet.name for fleet in site.fleets) | frozenset(pool.name for pool in site.pools)
    left = dict.fromkeys(base, loads)
    entries: list[tuple[Series, frozenset[str] | None]] = []
    for index, entry in enumerate(section.series or ()):
        metric = QUANTITIES[entry.quantity]
        only = frozenset(entry.only) if entry.only is not None else None
        left[metric] = left.get(metric, frozenset()) - (loads if only is None else only)
        place = _place(found, ("telemetry", "series", index))
        entries.append((_entry(entry, section, base.get(metric), place), only))
    mapped = {series.metric for series, only in entries if only is None}
    presets = [
        (series, None if left[metric] == loads else left[metric])
        for metric, series in base.items()
        if left[metric] and metric not in mapped
    ]
    return fitted(site, [*presets, *entries])


def _place(found: Found, path: Path) -> str:
    return f"line {found.line(path)}: {dotted(path)}"


def _entry(entry: SeriesSection, section: MappedSection, preset: Series | None, place: str) -> Series:
    metric = QUANTITIES[entry.quantity]
    own = preset
    if own is None or entry.metric not in (None, own.name) or entry.expr is not None:
        own = Series(metric, entry.metric or entry.quantity, ())  # another exporter: nothing of the preset holds
    factor = own.factor if entry.unit is None and entry.scale is None else 1.0
    if entry.unit is not None:
        factor *= UNITS[metric.unit][entry.unit]
    return Series(
        metric=metric,
        name=own.name,
        subject=_subject(own, section.labels, entry.labels),
        parts=own.parts if entry.part is None else tuple(entry.part),
        combine=_combine(entry, own),
        repeats=own.repeats if entry.repeats is None else entry.repeats,
        factor=factor * (entry.scale or 1.0),
        match=_match({**(section.match or {}), **(entry.match or {})}),
        seen=own.seen if entry.seen is None else entry.seen,
        expr=entry.expr,
        timed_by=entry.timed_by,
        expected=own.expected if entry.expected is None else entry.expected,
        with_overhead=own.with_overhead if entry.node_overhead is None else entry.node_overhead,
        names=section.names or {},
        where=place,
    )


def _match(labels: Mapping[str, str] | None) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((labels or {}).items()))


def _combine(entry: SeriesSection, preset: Series) -> Combine:
    if entry.combine is not None:
        return Combine(entry.combine)
    return Combine.SUM if entry.part else preset.combine


def _subject(series: Series, of_all: LabelsSection | None, of_one: LabelsSection | None) -> tuple[Label, ...]:
    """The entry's own labels, else those for all series, else the preset's, else one of the quantity's name."""
    keys = subject_keys(series.metric)
    rules: list[Label] = []
    for number, key in enumerate(keys):
        section: LabelSection | None = getattr(of_one, key, None) or getattr(of_all, key, None)
        if section is not None:
            rules.append(Label(section.label, section.pattern, section.name))
        else:
            rules.append(series.subject[number] if series.subject else Label(key))
    return tuple(rules)
