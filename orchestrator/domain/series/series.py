"""Which series of which exporter is read for a quantity, whose it is, and how several become one value."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from orchestrator.domain.observation import Metric


class Combine(StrEnum):
    """How the series of one device become its value."""

    ONE = "one"
    """There is one; more do not fit."""
    SUM = "sum"
    MAX = "max"
    LAST = "last"
    """The one measured last."""


@dataclass(frozen=True, slots=True)
class Label:
    """How a name is read from the labels of a series."""

    label: str | None
    """None where `name` is the same for all."""
    pattern: str | None = None
    """Regular expression that the whole value matches; None takes any value as it is."""
    name: str | None = None
    """The name, with `\\1` for the pattern's first group."""

    def of(self, labels: Mapping[str, str]) -> str | None:
        """None for a value that the pattern does not match; KeyError without the label."""
        if self.label is None:
            return self.name
        value = labels[self.label]
        if self.pattern is None:
            return value
        found = re.fullmatch(self.pattern, value)
        return None if found is None else found.expand(self.name or r"\g<0>")


@dataclass(frozen=True, slots=True)
class Whole:
    """What the site file says of one device's sum."""

    parts: int | None = None
    """How many are expected; None where that is not said."""
    silent: float | None = None
    """What a part without a reading counts at, in the metric's unit; None where a sum without it is none."""
    plus: float = 0.0
    """What is drawn beside the parts and measured by nobody, in the metric's unit."""


_ANY = Whole()


@dataclass(frozen=True, slots=True)
class Series:
    """Where one quantity is read.

    Series of one device that differ in the labels `parts` are its parts. Several of one part say the same where
    `repeats` (the highest counts); else they do not fit.
    """

    metric: Metric
    name: str
    """The exporter's metric name; with `expr` what the quantity is called."""
    subject: tuple[Label, ...]
    """Labels that name the device, joined by `/`."""
    parts: tuple[str, ...] = ()
    combine: Combine = Combine.ONE
    repeats: bool = False
    factor: float = 1.0
    """From the exporter's unit to the metric's."""
    match: tuple[tuple[str, str], ...] = ()
    """Only series with these labels."""
    seen: str | None = None
    """Name of a series whose value says when the device was measured, unix s of site time; else the scrape does."""
    expr: str | None = None
    """PromQL in place of `name`: one element a device, or a part."""
    timed_by: str | None = None
    """With `expr`: the selector whose samples tell when it was measured."""
    expected: int | None = None
    """With SUM: how many parts a device has; None for as many as the site file says."""
    with_overhead: bool = False
    """The parts are GPUs alone: the site file's power of a node beside them is added."""
    names: Mapping[str, str] = field(default_factory=dict)
    """What the exporter calls a device, and its name in the site file."""
    wholes: Mapping[str, Whole] | None = None
    """By device: those it is read for; None for all that there are."""
    where: str = field(default="", compare=False)
    """Its place in the site file."""

    def subject_of(self, labels: Mapping[str, str]) -> str | None:
        """The device's name; None if a pattern does not match. KeyError if a label is missing."""
        names: list[str] = []
        for rule in self.subject:
            name = rule.of(labels)
            if name is None:
                return None
            names.append(name)
        joined = "/".join(names)
        return self.names.get(joined, joined)

    def part_of(self, labels: Mapping[str, str]) -> tuple[str, ...]:
        """Which part of the device; KeyError if a label is missing."""
        return tuple([labels[label] for label in self.parts])

    def takes(self, labels: Mapping[str, str]) -> bool:
        """Whether `match` holds."""
        return all(labels.get(label) == value for label, value in self.match)

    def whole(self, subject: str) -> Whole:
        return _ANY if self.wholes is None else self.wholes.get(subject, _ANY)

    @property
    def labels(self) -> tuple[str, ...]:
        """Those that name the device."""
        return tuple([rule.label for rule in self.subject if rule.label is not None])


@dataclass(frozen=True, slots=True)
class SeriesMap:
    """All that is read of a site."""

    series: tuple[Series, ...]
    max_age: timedelta = timedelta(minutes=1)
    """Site time after which a part is no longer part of its sum."""

    def of(self, metric: Metric) -> tuple[Series, ...]:
        return tuple(series for series in self.series if series.metric is metric)

    def known(self, metric: Metric) -> frozenset[str] | None:
        """Devices that some series of the metric is for; None for all that there are."""
        known: set[str] = set()
        for series in self.of(metric):
            if series.wholes is None:
                return None
            known.update(series.wholes)
        return frozenset(known)


def names_of(series: Iterable[Series]) -> frozenset[str]:
    """Every metric name that is read of an exporter."""
    return frozenset(name for one in series if one.expr is None for name in (one.name, one.seen) if name is not None)
