"""The Standard Workload Format, version 2.2, of the Parallel Workloads Archive.

Lines of 18 numbers; header lines start with `;`. See https://www.cs.huji.ac.il/labs/parallel/workload/swf.html. Of a
job's line the submit time (field 2), the run time (4) and the allocated processors (5; the requested ones, 8, where
those are -1) are taken. Lines of status 2 to 4 are parts of jobs that have a line of their own as a whole. Of the
header MaxProcs (else MaxNodes), UnixStartTime and TimeZoneString are taken, and told where they cannot be.
"""

import re
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from orchestrator.adapters.prices.cells import number
from orchestrator.adapters.prices.faults import Faults
from orchestrator.adapters.prices.text import read_text
from orchestrator.adapters.traces.cells import LATEST_S, MOST, TraceRow, count_of, run_seconds
from orchestrator.adapters.traces.nonsense import Nonsense, TraceError

FIELDS = 18
_PARTS = ("2", "3", "4")
_LATEST_START_S = 4e9
_HEADER = re.compile(r";\s*(MaxProcs|MaxNodes|UnixStartTime|TimeZoneString)\s*:\s*(\S+)")

Header = dict[str, tuple[int, str]]
"""Line and value of the header's fields that are used."""


def read(path: Path, nonsense: Nonsense) -> tuple[list[TraceRow], int, int | None]:
    """Usable jobs, how many lines of jobs there are, and the processors of the machine where its header says."""
    faults = Faults(path)
    text = read_text(path, faults, "a file in Standard Workload Format")
    if text is not None and not text.strip():
        faults.add("is empty", "lines of 18 numbers")
    faults.raise_any(TraceError)
    assert text is not None, "what is wrong with a file is a fault"
    header: Header = {}
    lines: list[tuple[int, list[str]]] = []
    for line, content in enumerate(text.splitlines(), 1):
        if content.lstrip().startswith(";"):
            found = _HEADER.match(content.lstrip())
            if found is not None:
                header.setdefault(found[1], (line, found[2]))
        elif content.strip():
            lines.append((line, content.split()))
    machine = _processors(header, nonsense)
    start_s = _local_start(header, nonsense)
    seen: set[str] = set()
    jobs: list[TraceRow] = []
    for line, fields in lines:
        job = _job(line, fields, machine, start_s, seen, nonsense)
        if job is not None:
            jobs.append(job)
    if not lines:
        nonsense.add("no line of a job", "lines of 18 numbers", 1, text[:40])
    return jobs, len(lines), machine


def _job(
    line: int, fields: list[str], machine: int | None, start_s: float, seen: set[str], nonsense: Nonsense
) -> TraceRow | None:
    if len(fields) != FIELDS:
        nonsense.add("another number of fields than 18", "18 numbers", line, " ".join(fields))
        return None
    if fields[10] in _PARTS:
        nonsense.add("a part of a job (status 2 to 4)", "jobs as a whole (status 0, 1, 5 or -1)", line, fields[10])
        return None
    if fields[0] in seen:
        nonsense.add("a job number given before", "each job once", line, fields[0])
        return None
    seen.add(fields[0])
    submitted_s = number(fields[1])
    if submitted_s is None or not 0.0 <= submitted_s <= LATEST_S:
        nonsense.add("a time of submission that cannot be read", "seconds from 0", line, fields[1])
        return None
    run_s = run_seconds(fields[3], line, nonsense)
    if run_s is None:
        return None
    allocated = number(fields[4])
    cell = fields[7] if allocated is not None and allocated <= 0.0 else fields[4]
    count = count_of(cell, "processors", machine, line, nonsense)
    return None if count is None else TraceRow(line, fields[1], start_s + submitted_s, run_s, count)


def _processors(header: Header, nonsense: Nonsense) -> int | None:
    """Of the traced machine; None where its header does not say, or nothing that can be."""
    for name in ("MaxProcs", "MaxNodes"):
        line, cell = header.get(name, (0, ""))
        value = number(cell)
        if value is not None and 1 <= value <= MOST and value == int(value):
            return int(value)
        if cell:
            other = name == "MaxProcs" and "MaxNodes" in header
            so = "MaxNodes is taken" if other else "it is not known how large the traced one was"
            allowed = f"a whole number from 1 to {MOST}"
            _left_out(f"a {name} that no machine has, so {so}", allowed, line, cell, nonsense)
    return None


def _local_start(header: Header, nonsense: Nonsense) -> float:
    """Unix time zero of the log moved to local clocks; 0 where its header does not say, or nothing that can be."""
    zone_line, name = header.get("TimeZoneString", (0, "UTC"))
    try:
        local = ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown, malformed, or a folder of zones such as "America"
        local = ZoneInfo("UTC")
        allowed = "an IANA name such as America/Chicago"
        _left_out(
            "a TimeZoneString of no time zone, so its clocks are taken for UTC's", allowed, zone_line, name, nonsense
        )
    line, cell = header.get("UnixStartTime", (0, ""))
    start_s = number(cell)
    if start_s is None or not 0.0 <= start_s < _LATEST_START_S:
        if cell:
            problem = "a UnixStartTime that cannot be, so the log is taken to begin on a Thursday at 00:00"
            _left_out(problem, f"seconds of unix time from 0 to {_LATEST_START_S:.0f}", line, cell, nonsense)
        return 0.0
    offset = datetime.fromtimestamp(start_s, UTC).astimezone(local).utcoffset()
    assert offset is not None, "a ZoneInfo has an offset at every time"
    return start_s + offset.total_seconds()


def _left_out(problem: str, allowed: str, line: int, cell: str, nonsense: Nonsense) -> None:
    nonsense.add(problem, allowed, line, cell, of="header lines")
