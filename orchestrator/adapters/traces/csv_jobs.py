"""Traces with a header and a row a job.

- Philly's: `timestamp,duration,num_gpus,gpu_time,cluster`: submission (local time, or seconds), run time in seconds,
  GPUs; further columns are left out.
- Alibaba's list of pods (openb): `num_gpu,creation_time,deletion_time`, times in seconds, among others.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

from orchestrator.adapters.prices.cells import YEARS, number
from orchestrator.adapters.prices.table import Table
from orchestrator.adapters.traces.cells import LATEST_S, TraceRow, count_of, run_seconds
from orchestrator.adapters.traces.nonsense import Nonsense

COLUMNS = (
    "timestamp,duration,num_gpus[,...] | num_gpu,creation_time,deletion_time[,...] | or Standard Workload Format in a "
    "file named .swf"
)
_PHILLY = ("timestamp", "duration", "num_gpus")
_OPENB = ("creation_time", "deletion_time", "num_gpu")
_ALLOWED_TIME = f"a time such as 2017-10-09 07:01:55, from {YEARS[0]} to {YEARS[-1]}, or seconds"


def layout_of(header: Sequence[str]) -> str:
    """`csv`, `openb`, or empty for another header."""
    if set(_PHILLY) <= set(header):
        return "csv"
    return "openb" if set(_OPENB) <= set(header) else ""


def read(table: Table, layout: str, most_gpus: int, nonsense: Nonsense) -> list[TraceRow]:
    """The rows that can be used; of rows that are alike in every cell the first."""
    at, run, count = (table.index(name) for name in (_PHILLY if layout == "csv" else _OPENB))
    seen: set[tuple[str, ...]] = set()
    rows: list[TraceRow] = []
    for line, cells in table.rows:
        if tuple(cells) in seen:
            nonsense.add("the same as an earlier row", "each job once", line, ",".join(cells))
            continue
        seen.add(tuple(cells))
        submitted_s = _seconds(cells[at], line, nonsense)
        if submitted_s is None:
            continue
        run_s = run_seconds(cells[run] if layout == "csv" else _span(cells[at], cells[run]), line, nonsense)
        if run_s is None:
            continue
        gpus = count_of(cells[count], "GPUs", most_gpus, line, nonsense)
        if gpus is not None:
            rows.append(TraceRow(line, cells[at], submitted_s, run_s, gpus))
    return rows


def _seconds(cell: str, line: int, nonsense: Nonsense) -> float | None:
    """Seconds on local clocks; of a time with an offset the local time is taken, as people work by it."""
    value = number(cell)
    if value is not None and 0.0 <= value <= LATEST_S:
        return value
    try:
        at = datetime.fromisoformat(cell)
    except ValueError:
        at = None
    if at is not None and len(cell) > len("2017-10-09") and at.year in YEARS:
        return at.replace(tzinfo=UTC).timestamp()
    nonsense.add("a time of submission that cannot be read", _ALLOWED_TIME, line, cell)
    return None


def _span(begin: str, end: str) -> str:
    """The run time between two cells of seconds, as a cell; blank where either is."""
    first, last = number(begin), number(end)
    return end if first is None or last is None else f"{last - first:g}"
