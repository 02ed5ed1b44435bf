"""Rows of one market as intervals without hole, overlap or change of length."""

import itertools
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from orchestrator.adapters.prices.cells import ALLOWED_INTERVALS, INTERVALS
from orchestrator.adapters.prices.faults import Faults
from orchestrator.domain.market import Market, Price

APART = timedelta(days=366)
"""Rows of one file lie no further apart: beyond, a year is mistyped, and a backtest would go on until then."""


class Row(NamedTuple):
    """A row whose time could be read."""

    line: int
    start: datetime
    values: tuple[float | None, ...]
    """One a market, USD/MWh; None where the cell was a fault."""
    end: datetime | None = None
    """Where the file gives it, or its layout fixes it."""
    shown: str = ""
    """Its time as the file has it; blank stands for `start`."""


def priced_intervals(
    rows: Sequence[Row], markets: Sequence[Market], column: str, faults: Faults, *, complete: bool
) -> list[Price]:
    """The prices of `rows`, one a market and interval; `column` names the time in faults.

    A row that repeats an earlier one with the same prices is left out, as where files overlap. The interval's
    length is the file's own, or the usual step from row to row. `complete` says that every row's time could be
    read; where not, holes are not looked for, since they would be of the rows that are faults already.
    """
    kept = _in_order(rows, column, faults)
    length = _length(kept)
    if length not in INTERVALS:
        found = "cannot be told from fewer than two rows" if length is None else f"is {_minutes(length)}"
        if kept:
            faults.add(f"has an interval that {found}", ALLOWED_INTERVALS, line=kept[0].line, column=column)
        return []
    assert length is not None, "it is one of INTERVALS"
    if complete:
        _check_steps(kept, length, column, faults)
    return [
        Price(row.start, row.start + length, value, market)
        for index, market in enumerate(markets)
        for row in kept
        if (value := row.values[index]) is not None
    ]


def _in_order(rows: Sequence[Row], column: str, faults: Faults) -> list[Row]:
    seen: dict[datetime, Row] = {}
    kept: list[Row] = []
    for row in rows:
        earlier = seen.setdefault(row.start, row)
        if earlier is not row:
            if earlier.values != row.values:
                problem = f"was given on line {earlier.line} with another price"
                faults.add(problem, "each interval once", line=row.line, column=column, value=_shown(row))
        elif kept and row.start < kept[-1].start:
            problem = f"comes after {_shown(kept[-1])} on line {kept[-1].line}"
            faults.add(problem, "rows in order of time", line=row.line, column=column, value=_shown(row))
        else:
            kept.append(row)
    return kept


def _length(rows: Sequence[Row]) -> timedelta | None:
    given = Counter(row.end - row.start for row in rows if row.end is not None)
    if given:
        return given.most_common(1)[0][0]
    steps = [later.start - earlier.start for earlier, later in itertools.pairwise(rows)]
    if len(steps) > 1 and steps[0] == steps[1] and steps[0] in INTERVALS:
        return steps[0]
    return Counter(steps).most_common(1)[0][0] if steps else None


def _check_steps(rows: Sequence[Row], length: timedelta, column: str, faults: Faults) -> None:
    for index, row in enumerate(rows):
        if row.end is not None and row.end - row.start != length:
            problem = f"is {_minutes(row.end - row.start)} long, others are {_minutes(length)}"
            faults.add(problem, "one interval length", line=row.line, column=column, value=_shown(row))
        if index == 0:
            continue
        earlier = rows[index - 1]
        step = row.start - earlier.start
        if step == length:
            continue
        steady = index + 1 < len(rows) and rows[index + 1].start - row.start == step
        if row.end is None and step in INTERVALS and steady:
            problem = f"is where intervals change from {_minutes(length)} to {_minutes(step)}"
            faults.add(problem, "one interval length", line=earlier.line, column=column, value=_shown(earlier))
            length = step
        elif step > APART:
            problem = f"is more than {APART.days} days after {_shown(earlier)} on line {earlier.line}"
            faults.add(problem, "rows of one stretch of time", line=row.line, column=column, value=_shown(row))
        elif step > length:
            start = earlier.start + length
            problem = f"follows a hole: no price from {_text(start)} to {_text(row.start)}"
            span = (start, row.start)
            faults.add_hole(problem, "every interval", line=row.line, column=column, value=_shown(row), span=span)
        else:
            problem = f"starts before the interval from {_shown(earlier)} has ended"
            faults.add(problem, f"steps of {_minutes(length)}", line=row.line, column=column, value=_shown(row))


def _shown(row: Row) -> str:
    return row.shown or _text(row.start)


def _text(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def _minutes(span: timedelta) -> str:
    return f"{span.total_seconds() / 60:g} min"
