"""From the parts that an exporter shows of a device to the one reading of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from orchestrator.domain.series.series import Combine, Series


@dataclass(frozen=True, slots=True)
class Part:
    """A value of a part of a device, or of several of its parts together, in the exporter's unit."""

    value: float
    at: datetime
    count: int = 1
    """How many parts it is of."""


@dataclass(frozen=True, slots=True)
class Combined:
    """The value of a device in the metric's unit, of the time of its oldest part."""

    value: float
    at: datetime
    suspect: str = ""
    """Why it can't be taken for the device's value; empty else."""
    note: str = ""
    """What is to be told of it all the same; empty else."""
    assumed: float = 0.0
    """Of the value, what parts that do not answer count for."""


def combined(series: Series, subject: str, parts: Sequence[Part]) -> Combined:
    """One value from the parts of `subject`, at least one. ValueError if a part is missing and it can't be one then."""
    whole = series.whole(subject)
    if series.combine is Combine.SUM and whole.parts is not None:
        parts = [part for part in parts if answers(series, part.value)]
        if not parts:
            raise ValueError(f"{series.name} of {subject}: 0 of {whole.parts} answer")
    found = sum(part.count for part in parts)
    match series.combine:
        case Combine.SUM:
            value, at = sum(part.value for part in parts), min(part.at for part in parts)
        case Combine.MAX | Combine.ONE:
            value, at = max(part.value for part in parts), min(part.at for part in parts)
        case Combine.LAST:
            last = max(parts, key=lambda part: part.at)
            value, at = last.value, last.at
    value = value * series.factor + whole.plus
    if series.combine is Combine.ONE and len(parts) > 1 and not series.repeats:
        return Combined(value, at, suspect=doubled(series, len(parts)))
    if whole.parts is None or found == whole.parts:
        return Combined(value, at)
    if found > whole.parts:
        return Combined(value, at, suspect=f"{found} series of {series.name}, {whole.parts} are expected")
    note = f"{series.name} of {subject}: {found} of {whole.parts} answer"
    if whole.silent is None:
        raise ValueError(f"{note}, which makes no {series.metric.value}")
    if not whole.silent:
        return Combined(value, at, note=note)
    silent = (whole.parts - found) * whole.silent
    return Combined(
        value + silent, at, note=f"{note}; the others count at {silent:g} {series.metric.unit}", assumed=silent
    )


BLANK_W = 1e13
"""DCGM shows more than this for a power that it can't read: 2^47, or 2^63 less a few."""


def answers(series: Series, value: float) -> bool:
    """Whether a part of a sum has a value at all."""
    return value >= 0.0 and (series.metric.unit != "W" or value < BLANK_W)


def doubled(series: Series, count: int) -> str:
    """Why several series of what should be one are no reading."""
    what = "part" if series.parts else "device"
    return f"{count} series of {series.name} for one {what}: say which label tells parts apart, or how to combine"


def place(series: Series) -> str:
    """Where the series is in the site file, to end a sentence with."""
    return f" ({series.where})" if series.where else ""
