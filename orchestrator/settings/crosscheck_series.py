"""What the keys of `telemetry.series` mean for each other and for the rest of the site file."""

import re

from pydantic import ValidationError

from orchestrator.domain.series.presets import PRESETS
from orchestrator.domain.series.series import Series
from orchestrator.settings.document import Path
from orchestrator.settings.problems import NOTHING, Found, shown
from orchestrator.settings.sections.series import LabelSection, SeriesSection
from orchestrator.settings.series_map import QUANTITIES, preset_series, subject_keys
from orchestrator.settings.series_units import UNITS

_SERIES = ("telemetry", "series")


def check_series(
    telemetry: object, fleets: frozenset[str], pools: frozenset[str], found: Found, *, promql: bool
) -> None:
    """Adds to `found` what does not fit together. `promql` says whether a Prometheus server is asked."""
    if not isinstance(telemetry, dict):
        return
    _patterns(("telemetry", "labels"), telemetry.get("labels"), found)
    presets = telemetry.get("presets")
    known = preset_series([name for name in presets if name in PRESETS] if isinstance(presets, list) else None)
    taken: dict[tuple[str, str], Path] = {}
    items = telemetry.get("series")
    for index, item in enumerate(items if isinstance(items, list) else ()):
        path = (*_SERIES, index)
        if isinstance(item, dict):
            _patterns((*path, "labels"), item.get("labels"), found)
        try:
            entry = SeriesSection.model_validate(item)
        except ValidationError:
            continue  # reported already
        _source(path, entry, QUANTITIES[entry.quantity] in known, found, promql=promql)
        _unit(path, entry, found)
        _combination(path, entry, known.get(QUANTITIES[entry.quantity]), found)
        _labels(path, entry, found)
        loads = {"rack": fleets, "gpu": pools, "node": pools}.get(entry.quantity.split("_")[0], frozenset())
        _only(path, entry, loads, taken, found)


def _source(path: Path, entry: SeriesSection, in_preset: bool, found: Found, *, promql: bool) -> None:
    if entry.metric is not None and entry.expr is not None:
        found.add((*path, "expr"), "metric and expr", "one of metric and expr")
    if entry.metric is None and entry.expr is None and not in_preset:
        found.add((*path, "metric"), NOTHING, f"metric or expr, since no preset has {entry.quantity}")
    if entry.expr is not None and not promql:
        found.add((*path, "expr"), shown(entry.expr), "metric, since the built-in scraper knows no PromQL")
    if (entry.expr is None) != (entry.timed_by is None):
        key, allowed = ("timed_by", "the series that times it, with expr: its value alone does not say how old it is")
        found.add((*path, key), NOTHING if entry.timed_by is None else shown(entry.timed_by), allowed)


def _unit(path: Path, entry: SeriesSection, found: Found) -> None:
    units = UNITS[QUANTITIES[entry.quantity].unit]
    if entry.unit is not None and entry.unit not in units:
        found.add((*path, "unit"), shown(entry.unit), f"one of {', '.join(units)}")


def _combination(path: Path, entry: SeriesSection, preset: Series | None, found: Found) -> None:
    if entry.combine == "sum" and not entry.part and (preset is None or entry.metric is not None):
        found.add((*path, "part"), NOTHING, "the labels that tell what is summed apart, for example [machine]")
    if entry.expected is not None and entry.combine in ("one", "max", "last"):
        found.add((*path, "expected"), shown(entry.expected), f"only with combine: sum, not {entry.combine}")
    of_node = entry.quantity in ("node_power", "node_energy") and entry.combine in (None, "sum")
    of_gpus = entry.node_overhead or (entry.node_overhead is None and preset is not None and preset.with_overhead)
    if of_node and entry.part and not of_gpus and entry.expected is None:
        found.add((*path, "expected"), NOTHING, "how many parts a node has, since they are summed")
    if entry.node_overhead and entry.quantity != "node_power":
        found.add((*path, "node_overhead"), "true", "only for node_power")


def _labels(path: Path, entry: SeriesSection, found: Found) -> None:
    keys = subject_keys(QUANTITIES[entry.quantity])
    given = entry.labels.model_fields_set if entry.labels is not None else set()
    for key in sorted(given - set(keys)):
        found.add((*path, "labels", key), "a mapping", f"{' and '.join(keys)}, which name what {entry.quantity} is of")


def _only(
    path: Path, entry: SeriesSection, loads: frozenset[str], taken: dict[tuple[str, str], Path], found: Found
) -> None:
    for index, name in enumerate(entry.only or ()):
        if name not in loads:
            allowed = (
                f"one of {', '.join(sorted(loads))}" if loads else f"nothing: {entry.quantity} is of no fleet or pool"
            )
            found.add((*path, "only", index), shown(name), allowed)
    for name in entry.only or sorted(loads) or [""]:
        first = taken.setdefault((entry.quantity, name), path)
        if first != path:
            allowed = f"{entry.quantity} of {name or 'jobs'} once; the first is on line {found.line(first)}"
            found.add((*path, "quantity"), shown(entry.quantity), allowed)
            return


def _patterns(path: Path, labels: object, found: Found) -> None:
    for key, value in (labels if isinstance(labels, dict) else {}).items():
        try:
            section = LabelSection.model_validate(value)
        except ValidationError:
            continue  # reported already
        _pattern((*path, key), section, found)


def _pattern(path: Path, section: LabelSection, found: Found) -> None:
    if section.label is None and (section.name is None or section.pattern is not None):
        found.add((*path, "label"), NOTHING, "the label whose value it is, or name alone")
    if section.label is not None and section.pattern is None and section.name is not None:
        found.add((*path, "pattern"), NOTHING, "what name is made from, or no name")
    if section.pattern is None:
        return
    try:
        compiled = re.compile(section.pattern)
    except re.error as error:
        found.add((*path, "pattern"), shown(section.pattern), f"a regular expression; {error}")
        return
    try:
        compiled.sub(section.name or "", "")
    except (re.error, IndexError) as error:
        allowed = f"text with groups of the pattern, of which there are {compiled.groups}; {error}"
        found.add((*path, "name"), shown(section.name), allowed)
