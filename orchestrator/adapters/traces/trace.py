"""A trace of jobs of any layout we know, as columns in order of submission."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from orchestrator.adapters.prices.faults import Faults
from orchestrator.adapters.prices.table import read_table
from orchestrator.adapters.traces import csv_jobs, swf
from orchestrator.adapters.traces.cells import TraceRow
from orchestrator.adapters.traces.nonsense import Kind, Nonsense, TraceError

APART_S = 60 * 86_400.0
"""A trace may pause so long."""


@dataclass(frozen=True, slots=True)
class JobTrace:
    """The usable jobs of a trace, in order of submission."""

    path: Path
    layout: str
    """`csv`, `openb` or `swf`."""
    submitted_s: NDArray[np.float64]
    """(jobs,) seconds on local clocks since the Thursday 00:00 of unix time zero: the time of the week is kept."""
    run_s: NDArray[np.float64]
    """(jobs,)"""
    gpus: NDArray[np.int64]
    """(jobs,) GPUs, or processors of a trace in Standard Workload Format."""
    machine: int | None
    """GPUs or processors of the traced machine, where the trace says so."""
    rows: int
    """Rows of jobs in the file, usable or not."""
    nonsense: tuple[Kind, ...]

    def __len__(self) -> int:
        return len(self.run_s)


def read_trace(path: str | Path, most_gpus: int) -> JobTrace:
    """Read a trace: Philly's CSV, Alibaba's list of pods (openb), or Standard Workload Format (`.swf`).

    `most_gpus` is the most that a job of a CSV may ask for, being the site's largest pool; a job in Standard Workload
    Format may ask for all of its own machine. Rows without sense are left out and told. Raises TraceError for a file
    that cannot be read, of no known layout, or without a job that can be used.
    """
    path = Path(path)
    nonsense = Nonsense(path)
    machine: int | None = None
    if path.suffix.lower() == ".swf":
        layout = "swf"
        jobs, rows, machine = swf.read(path, nonsense)
    else:
        faults = Faults(path)
        table = read_table(path, faults)
        if table is None:
            faults.raise_any(TraceError)
        assert table is not None, "what is wrong with a table is a fault"
        layout = csv_jobs.layout_of(table.header)
        if layout == "":
            header = ",".join(table.header)
            faults.add("is not the header of a trace", csv_jobs.COLUMNS, column="header", value=header)
            raise TraceError(tuple(faults.kept), faults.count)
        if faults.count:
            first = faults.kept[0]
            nonsense.add(
                f"another number of cells than the header's {len(table.header)}",
                "as many cells as the header",
                first.line or 0,
                first.value or "",
                count=faults.count,
            )
        jobs, rows = csv_jobs.read(table, layout, most_gpus, nonsense), len(table.rows) + faults.count
    jobs = _together(jobs, nonsense)
    if not jobs:
        nonsense.refuse()
    submitted_s = np.array([job.submitted_s for job in jobs], dtype=np.float64)
    order = np.argsort(submitted_s, kind="stable")
    return JobTrace(
        path=path,
        layout=layout,
        submitted_s=submitted_s[order],
        run_s=np.array([job.run_s for job in jobs], dtype=np.float64)[order],
        gpus=np.array([job.gpus for job in jobs], dtype=np.int64)[order],
        machine=machine,
        rows=rows,
        nonsense=_told(jobs, nonsense),
    )


def _together(jobs: list[TraceRow], nonsense: Nonsense) -> list[TraceRow]:
    """The jobs without those that lie far from most: one with the wrong year would make a trace of decades."""
    ordered = sorted(jobs, key=lambda job: job.submitted_s)
    parts: list[list[TraceRow]] = []
    for job in ordered:
        if not parts or job.submitted_s - parts[-1][-1].submitted_s > APART_S:
            parts.append([])
        parts[-1].append(job)
    kept = max(parts, key=len, default=[])
    for job in jobs if len(parts) > 1 else ():
        if not kept[0].submitted_s <= job.submitted_s <= kept[-1].submitted_s:
            problem = f"submitted more than {APART_S / 86_400:.0f} days before or after most jobs"
            nonsense.add(problem, "one stretch of time", job.line, job.shown)
    return [job for job in jobs if kept[0].submitted_s <= job.submitted_s <= kept[-1].submitted_s]


def _told(jobs: list[TraceRow], nonsense: Nonsense) -> tuple[Kind, ...]:
    latest = float("-inf")
    for job in jobs:
        if job.submitted_s < latest:
            nonsense.add("not in order of time, so sorted", "any order", job.line, job.shown, left_out=False)
        latest = max(latest, job.submitted_s)
    return nonsense.kinds
