"""What is asked of a Prometheus server for a series of the mapping.

Where a target's own label hides one of the exporter's, Prometheus keeps the exporter's as `exported_...` (unless
`honor_labels` is set). Of labels that every target has it is asked for along with it, and is the one that counts; what
else hides an exporter's label was put there on purpose.
"""

import json
from collections.abc import Iterable, Mapping

from orchestrator.adapters.telemetry.parts import BLANK_W
from orchestrator.domain.series.series import Combine, Series

_HIDDEN = "exported_"
_EVERY_TARGETS = frozenset({"job", "instance", "namespace", "pod", "container", "service", "endpoint"})
"""Those that Prometheus, or its operator, puts on every target."""


def value_query(series: Series) -> str:
    """The values, added up as far as the labels that name the device allow. A part that comes twice counts once, at
    its highest."""
    if series.expr is not None:
        return series.expr
    subject, part, name = _by(series.labels), _by((*series.labels, *series.parts)), _selector(series)
    match series.combine:
        case Combine.ONE | Combine.MAX:
            return f"max by ({subject}) ({name})"
        case Combine.SUM:
            return f"sum by ({subject}) (max by ({part}) ({_answering(series)}))"
        case Combine.LAST:
            newest = f"group_left () max by ({subject}) (timestamp({name}))"
            return f"max by ({subject}) ({name} and (timestamp({name}) == on ({subject}) {newest}))"


def count_query(series: Series) -> str | None:
    """How many parts each of the values is of; None where it does not matter."""
    if series.expr is not None or not _counted(series):
        return None
    subject, part = _by(series.labels), _by((*series.labels, *series.parts))
    return f"count by ({subject}) (count by ({part}) ({_answering(series)}))"


def time_query(series: Series) -> str:
    """When each value was measured, unix seconds: of the oldest of the device's parts.

    Asked for because a value is returned for up to 5 minutes after the last scrape as if it were new.
    """
    subject, part = _by(series.labels), _by((*series.labels, *series.parts))
    if series.seen is not None:
        return f"max by ({subject}) ({_selector(series, series.seen)})"
    if series.combine is Combine.LAST:
        return f"max by ({subject}) (timestamp({_selector(series)}))"
    name = _selector(series) if series.timed_by is None else series.timed_by
    return f"min by ({subject}) (max by ({part}) (timestamp({name})))"


def twice_queries(mapping: Iterable[Series]) -> Mapping[str, tuple[Series, ...]]:
    """Which devices have series that do not fit: several where there should be one, the name of it in `__name__`.

    One question for all series of like labels.
    """
    like: dict[tuple[str, str, str], list[Series]] = {}
    for series in mapping:
        if series.expr is None and not series.repeats and series.combine in (Combine.ONE, Combine.SUM):
            part = _by((*series.labels, *series.parts))
            like.setdefault((_by(series.labels), part, _matchers(series)), []).append(series)
    queries: dict[str, tuple[Series, ...]] = {}
    for (subject, part, matchers), group in like.items():
        names = "|".join(sorted({series.name for series in group}))
        selector = "{" + f'__name__=~"{names}"' + (f",{matchers}" if matchers else "") + "}"
        count = f"count by (__name__, {part}) ({selector})"
        queries[f"max by (__name__, {subject}) ({count}) > 1"] = tuple(group)
    return queries


def example_query(series: Series) -> str:
    """One series of that name, or one that the expression is timed by, whatever the labels are."""
    return f"topk(1, {series.name if series.timed_by is None else series.timed_by})"


def own_labels(labels: Mapping[str, str]) -> Mapping[str, str]:
    """The exporter's own labels from those of an answer."""
    hidden = {label: value for label in _EVERY_TARGETS if (value := labels.get(f"{_HIDDEN}{label}"))}
    return {**labels, **hidden} if hidden else labels


def _by(labels: Iterable[str]) -> str:
    return ", ".join([name for label in labels for name in _either(label)])


def _either(label: str) -> tuple[str, ...]:
    return (label, f"{_HIDDEN}{label}") if label in _EVERY_TARGETS else (label,)


def _selector(series: Series, name: str = "") -> str:
    matchers = _matchers(series)
    return f"{name or series.name}{{{matchers}}}" if matchers else name or series.name


def _answering(series: Series) -> str:
    """The same as `parts.answers`; all there are where they are not counted."""
    if not _counted(series):
        return _selector(series)
    blank = f" < {BLANK_W:g}" if series.metric.unit == "W" else ""
    return f"{_selector(series)} >= 0{blank}"


def _matchers(series: Series) -> str:
    return ",".join([f"{label}={json.dumps(value)}" for label, value in series.match])


def _counted(series: Series) -> bool:
    return series.wholes is not None and any(whole.parts is not None for whole in series.wholes.values())
