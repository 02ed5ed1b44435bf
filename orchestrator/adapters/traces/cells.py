"""One cell of a trace as a figure, or nonsense that says why not."""

from typing import NamedTuple

from orchestrator.adapters.prices.cells import number
from orchestrator.adapters.traces.nonsense import Nonsense

LONGEST_RUN_S = 366 * 86_400.0
"""The longest jobs of the known traces ran for some months."""


LATEST_S = 4_102_444_800.0
"""Submissions in seconds: up to 2100, where they are unix time."""
MOST = 10_000_000
"""GPUs or processors of a job, where nothing else limits them: the largest machines have about as many cores."""


class TraceRow(NamedTuple):
    """A row that can be used."""

    line: int
    shown: str
    """Its time as written."""
    submitted_s: float
    run_s: float
    gpus: int


def run_seconds(cell: str, line: int, nonsense: Nonsense) -> float | None:
    """A time that a job ran, seconds."""
    allowed = f"seconds above 0, up to {LONGEST_RUN_S:.0f} (a year)"
    value = number(cell)
    if value is None:
        nonsense.add("a run time that is no number", allowed, line, cell)
    elif value < 0.0:
        nonsense.add("a negative run time", allowed, line, cell)
    elif value == 0.0:
        nonsense.add("no run time", allowed, line, cell)
    elif value > LONGEST_RUN_S:
        nonsense.add("a run time of more than a year", allowed, line, cell)
    else:
        return value
    return None


def count_of(cell: str, what: str, most: int | None, line: int, nonsense: Nonsense) -> int | None:
    """A whole number of `what` (GPUs, processors) from 1 to `most`."""
    most = MOST if most is None else most
    allowed = f"a whole number of {what} from 1 to {most}"
    value = number(cell)
    if value is None or value != int(value):
        nonsense.add(f"a number of {what} that is no whole number", allowed, line, cell)
    elif value < 1:
        nonsense.add(f"no {what}" if value == 0 else f"a negative number of {what}", allowed, line, cell)
    elif value > most:
        nonsense.add(f"more {what} than there are", allowed, line, cell)
    else:
        return int(value)
    return None
